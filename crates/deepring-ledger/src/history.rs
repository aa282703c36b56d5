//! Replays a ledger's entries: what they come to, and which of them have no effect.

use tlog_tiles::tlog::record_hash;

use crate::checkpoint::Checkpoint;
use crate::entry::UnverifiedEntry;
use crate::error::LedgerError;
use crate::state::{NoAuthority, State};
use crate::store::Store;
use crate::tree::Frontier;

/// Entries that are read at once; the database is not held while they are judged.
const CHUNK: u64 = 1024;

/// How much is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Entries that can change the state. Decisions, the bulk of a ledger, cannot: each is judged
    /// when it is asked for.
    State,
    /// Every entry.
    Everything,
}

/// Why an entry that can be read has no effect.
#[derive(Debug)]
pub(crate) enum Unfounded {
    /// The author that it names did not sign it.
    NotSigned,
    /// Its author had no authority to say it.
    NoAuthority(NoAuthority),
}

/// Reads every entry that `head` commits to, in order; returns the state after them.
///
/// "Not revoked" and "no newer version" are answers about entries that are *not* there, so the
/// state is of all entries or of none: they must have the signed root. An entry whose author did
/// not sign it or had no authority is told to `unfounded`, and changes nothing. One that cannot be
/// read is an error: it might be a revocation, of a kind that this program does not know.
pub(crate) fn replay(
    store: &Store,
    head: &Checkpoint,
    depth: Depth,
    mut unfounded: impl FnMut(u64, Unfounded),
) -> Result<State, LedgerError> {
    let mut state = State::new(head.origin());
    let mut tree = Frontier::default();
    while state.size() < head.size() {
        let from = state.size();
        let to = head.size().min(from.saturating_add(CHUNK));
        let entries = store.read(|snapshot| snapshot.entries(from..to))?;
        for bytes in &entries {
            let index = state.size();
            tree.push(record_hash(bytes));
            let entry = UnverifiedEntry::decode(bytes)
                .map_err(|source| LedgerError::EntryUnreadable { index, source })?;
            if depth == Depth::State && !entry.claims_effect() {
                state.push(None);
                continue;
            }
            let judged = match entry.verify() {
                Ok(entry) => state.verify_entry(&entry).map_err(Unfounded::NoAuthority),
                Err(_) => Err(Unfounded::NotSigned),
            };
            match judged {
                Ok(change) => state.push(Some(change)),
                Err(why) => {
                    unfounded(index, why);
                    state.push(None);
                }
            }
        }
        if state.size() < to {
            break;
        }
    }
    // Also fails where entries are missing: the root of fewer leaves is another.
    if tree.size() != head.size() || tree.root() != head.root_hash() {
        return Err(LedgerError::damaged(store.path(), "entries do not have the signed root"));
    }
    Ok(state)
}

impl State {
    /// The state after further entries, all of which have authority, each where those before it
    /// leave off; `None` where they change no more than the number of entries.
    pub(crate) fn after(
        &self,
        entries: &[crate::entry::Entry],
    ) -> Result<Option<Self>, LedgerError> {
        let mut changed: Option<Self> = None;
        for (position, entry) in entries.iter().enumerate() {
            let judged = changed.as_ref().unwrap_or(self).verify_entry(entry);
            let change = judged.map_err(|source| LedgerError::NoAuthority { position, source })?;
            match &mut changed {
                Some(state) => state.push(Some(change)),
                None if change.is_none() => {}
                None => {
                    let mut state = self.clone();
                    state.skip(position as u64);
                    state.push(Some(change));
                    changed = Some(state);
                }
            }
        }
        Ok(changed)
    }
}
