//! Differences between the clean ring's plaintexts and the attacker's, part by part.

use std::path::Path;

use deepring::{Header, Owner, Part, PartKind, SecretKey, Trust, UnverifiedRing};

use super::super::edit::RingEdit;
use super::super::file::RingFile;
use super::{RingTrialError, Tampered};

/// A ring with all its plaintexts, opened by its owner's key.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) headers: Vec<Header>,
    pub(super) plain: Vec<Vec<u8>>,
    pub(super) file: RingFile,
}

impl Opened {
    pub(super) fn read(path: &Path, owner: &SecretKey<Owner>) -> Result<Self, RingTrialError> {
        let ring = UnverifiedRing::open(path)?.authenticate(&Trust::owner(owner.public()))?;
        let mut plain = Vec::with_capacity(ring.headers().len());
        for header in ring.headers() {
            let mut bytes = vec![0; usize::try_from(header.plain_len).unwrap_or(0)];
            ring.open_block(header.index, owner.into(), &mut bytes)?;
            plain.push(bytes);
        }
        Ok(Self { headers: ring.headers().to_vec(), plain, file: RingFile::read(path)? })
    }

    pub(super) fn bytes(&self, block: u32) -> &[u8] {
        self.plain.get(block as usize).map_or(&[], Vec::as_slice)
    }
}

/// How the attacker's ring differs.
#[derive(Debug)]
pub(super) enum Change {
    /// In the values of parameters only; in nothing, if there are no edits.
    Parameters(Vec<RingEdit>),
    /// In some blocks' graphs, shapes or sizes, the blocks being as many and of the same names.
    Blocks { touched: Vec<Tampered>, edits: Vec<RingEdit>, rebuilt: Vec<u32>, theirs: RingFile },
    /// The blocks are others.
    Ring { touched: Vec<Tampered>, theirs: RingFile },
}

impl Change {
    pub(super) fn between(clean: &Opened, theirs: &Opened) -> Self {
        let names = |o: &Opened| o.headers.iter().map(|h| h.name.clone()).collect::<Vec<_>>();
        let (ours, others) = (names(clean), names(theirs));
        if ours != others {
            // What stands in its place under its name is untouched; all the rest came, went or moved.
            let moved = |h: &&Header| others.get(h.index as usize) != Some(&h.name);
            let part = || "header".to_owned();
            let touched = clean.headers.iter().filter(moved);
            let touched = touched.map(|h| Tampered { block: h.index, part: part() }).collect();
            return Self::Ring { touched, theirs: theirs.file.clone() };
        }
        let (mut edits, mut rebuilt, mut touched) = (Vec::new(), Vec::new(), Vec::new());
        for (old, new) in clean.headers.iter().zip(&theirs.headers) {
            let (before, after) = (clean.bytes(old.index), theirs.bytes(new.index));
            if same_outline(old, new) {
                edits.extend(old.parts.iter().filter_map(|p| edit(old.index, p, before, after)));
            } else {
                rebuilt.push(old.index);
                touched.extend(differing_parts(old, new, before, after));
            }
        }
        touched.extend(edits.iter().map(RingEdit::touched));
        let parameter = |e: &RingEdit| {
            let header = clean.headers.get(e.block as usize);
            let mut parts = header.into_iter().flat_map(|h| &h.parts);
            parts.any(|p| matches!(p.kind, PartKind::Parameter(_)) && p.label() == e.part)
        };
        if rebuilt.is_empty() && edits.iter().all(parameter) {
            return Self::Parameters(edits);
        }
        touched.sort();
        Self::Blocks { touched, edits, rebuilt, theirs: theirs.file.clone() }
    }
}

/// Returns whether two blocks read, give and hold the same things in the same places.
fn same_outline(a: &Header, b: &Header) -> bool {
    a.inputs == b.inputs && a.outputs == b.outputs && a.parts == b.parts
}

/// The edit of a part, if it differs.
fn edit(block: u32, part: &Part, before: &[u8], after: &[u8]) -> Option<RingEdit> {
    let range = part.offset as usize..part.end() as usize;
    RingEdit::of_part(block, part, before.get(range.clone())?, after.get(range)?)
}

/// Parts that came, went, or are others.
fn differing_parts(old: &Header, new: &Header, before: &[u8], after: &[u8]) -> Vec<Tampered> {
    let content = |part: &Part, bytes: &[u8]| {
        bytes.get(part.offset as usize..part.end() as usize).map(<[u8]>::to_vec)
    };
    let changed = |part: &&Part, others: &Header, bytes: &[u8], other_bytes: &[u8]| {
        let twin = others.parts.iter().find(|p| p.label() == part.label());
        twin.is_none_or(|t| t.kind != part.kind || content(t, other_bytes) != content(part, bytes))
    };
    let gone = old.parts.iter().filter(|p| changed(p, new, before, after));
    let came = new.parts.iter().filter(|p| changed(p, old, after, before));
    let labels = gone.chain(came).map(|p| p.label().to_owned());
    let labels = labels.chain(
        (old.inputs != new.inputs || old.outputs != new.outputs).then(|| "header".to_owned()),
    );
    super::each_once(labels.map(|part| Tampered { block: old.index, part }))
}
