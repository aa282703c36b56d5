//! Opening a block's bytes so that their tags are of what was authenticated.

use std::sync::{Arc, Mutex, PoisonError};

use deepring::opening::{DecryptedChunk, OpenError};
use deepring::{AuthenticRing, Header, Host, OpenedBlock, OpeningKey, SecretKey};
use deepring_memory::{Region, Use};

use super::fault::at_opening;
use super::shared::SharedBlock;
use crate::checks::{BlockCheck, CheckFault, Draft, Mode, SharedPieces};
use crate::error::RunError;
use crate::mac::{Mac, Piece, TagDomain, pieces_of};
use crate::weights::room;

/// A block's plaintext, read-only, and its check.
pub(super) struct BlockMemory {
    pub(super) buffer: Region,
    pub(super) opened: OpenedBlock,
    /// `None` where nothing is compared later.
    pub(super) check: Option<BlockCheck>,
}

impl BlockMemory {
    /// Decrypts a block. Each chunk is tagged in the copy that was authenticated, before it is put into its place; the pages
    /// are then made read-only, the content digest is computed over them, and they are compared with the tags once more.
    /// `shared` are the shared blocks that it uses, in order: their pieces have the tags that they got when they were
    /// decrypted.
    pub(super) fn of(
        ring: &AuthenticRing,
        key: &SecretKey<Host>,
        header: &Header,
        mode: Option<Mode>,
        shared: &[SharedBlock],
    ) -> Result<Self, RunError> {
        Self::staged((ring, key), header, mode, shared, |_, _| ())
    }

    /// As [`of`](Self::of); `meddle` is called between the stages, with the live bytes.
    fn staged(
        (ring, key): (&AuthenticRing, &SecretKey<Host>),
        header: &Header,
        mode: Option<Mode>,
        shared: &[SharedBlock],
        meddle: impl Fn(Stage, &[u8]),
    ) -> Result<Self, RunError> {
        let Decrypted { buffer, opened, pieces, draft } =
            decrypted((ring, key), header, mode.is_some(), shared, &meddle)?;
        meddle(Stage::Confirmed, buffer.bytes());
        let check = mode.zip(draft).map(|(mode, draft)| {
            let shared = shared_pieces(header, &pieces, shared).ok_or(CheckFault::Structure);
            let check = shared.and_then(|shared| {
                BlockCheck::new(mode, &draft, (pieces, shared), buffer.bytes(), header)
            });
            check.map_err(|fault| at_opening(header, fault))
        });
        Ok(Self { buffer, opened, check: check.transpose()? })
    }
}

/// A block's plaintext, read-only, and tags of what was decrypted.
pub(super) struct Decrypted {
    pub(super) buffer: Region,
    pub(super) opened: OpenedBlock,
    pub(super) pieces: Vec<Piece>,
    /// `None` where nothing is compared later.
    pub(super) draft: Option<Draft>,
}

impl Decrypted {
    /// A shared block, whose pages other regions can show.
    pub(super) fn shared(
        from: (&AuthenticRing, &SecretKey<Host>),
        header: &Header,
        tagged: bool,
    ) -> Result<Self, RunError> {
        decrypted(from, header, tagged, &[], &|_, _| ())
    }
}

/// Decrypts a block and tags its own pieces on the way, if they are to be `tagged`.
fn decrypted(
    (ring, key): (&AuthenticRing, &SecretKey<Host>),
    header: &Header,
    tagged: bool,
    shared: &[SharedBlock],
    meddle: &impl Fn(Stage, &[u8]),
) -> Result<Decrypted, RunError> {
    let too_large = || OpenError::TooLarge { bytes: header.plain_len };
    let pieces = pieces_of(&header.parts).ok_or_else(too_large)?;
    let own = usize::try_from(header.own_len()).map_err(|_| too_large())?;
    let mut buffer = if header.is_shared() {
        Region::new(own, Use::Shared)
    } else if shared.is_empty() {
        room(own)
    } else {
        let place = |s: &SharedBlock| (header.place_of_shared(s.index()).start, s.region());
        Region::with_shared(own, shared.iter().map(place).collect())
    }
    .ok_or_else(too_large)?;
    // What is shared stands behind what is not.
    let first = pieces.iter().position(|piece| sharer(header, piece).is_some());
    let own_pieces = pieces.get(..first.unwrap_or(pieces.len())).unwrap_or_default();
    let tagging = match tagged {
        true => Some(Tagging::new(own_pieces).ok_or(RunError::NoRandomness)?),
        false => None,
    };
    let observe = |chunk: &DecryptedChunk<'_>| {
        if let Some(tagging) = &tagging {
            tagging.note(own_pieces, chunk);
        }
    };
    let (index, opening) = (header.index, OpeningKey::Host(key));
    let decrypted = ring.decrypt_block(index, opening, buffer.bytes_mut(), &observe)?;
    meddle(Stage::Decrypted, buffer.bytes());
    buffer.freeze();
    meddle(Stage::Frozen, buffer.bytes());
    let contents: Vec<OpenedBlock> = shared.iter().map(|s| s.opened().clone()).collect();
    let opened = decrypted.confirm(buffer.bytes().get(..own).unwrap_or_default(), &contents)?;
    let draft = tagging.map(Tagging::into_draft);
    Ok(Decrypted { buffer, opened, pieces, draft })
}

/// The shared block that holds a piece.
fn sharer(user: &Header, piece: &Piece) -> Option<u32> {
    user.parts.get(piece.part)?.shared
}

/// Where each shared block's pieces are among those of the block that uses it. `None` if one has no tags, or other pieces:
/// the same parts, cut in the same way, stand there one behind the other.
fn shared_pieces(
    user: &Header,
    pieces: &[Piece],
    shared: &[SharedBlock],
) -> Option<Vec<SharedPieces>> {
    let of = |block: &SharedBlock| {
        let first = pieces.iter().position(|p| sharer(user, p) == Some(block.index()))?;
        SharedPieces::new(first, pieces, Arc::clone(block.tags()?))
    };
    shared.iter().map(of).collect()
}

/// How far an opening is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Every chunk is in its place and has its tag.
    Decrypted,
    /// The pages are read-only.
    Frozen,
    /// The content digest is the header's.
    Confirmed,
}

/// Tags pieces as they are decrypted, by several threads.
struct Tagging {
    mac: Mac,
    draft: Mutex<Draft>,
}

impl Tagging {
    fn new(pieces: &[Piece]) -> Option<Self> {
        let draft = Draft::new(pieces.len())?;
        Some(Self { mac: draft.mac()?, draft: Mutex::new(draft) })
    }

    /// A piece whose tag is not noted never matches.
    fn note(&self, pieces: &[Piece], chunk: &DecryptedChunk<'_>) {
        let number = pieces.partition_point(|p| p.range.start < chunk.offset);
        let whole = chunk.offset..chunk.offset + chunk.bytes.len();
        if pieces.get(number).is_none_or(|p| p.range != whole) {
            return;
        }
        let _ = self.tag(number, chunk.bytes);
    }

    fn tag(&self, number: usize, bytes: &[u8]) -> Option<()> {
        let domain = TagDomain::Piece(u32::try_from(number).ok()?);
        let tag = self.mac.tag(domain, bytes)?;
        self.draft.lock().ok()?.note(number, &tag)
    }

    fn into_draft(self) -> Draft {
        self.draft.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use deepring::{Owner, Trust, UnverifiedRing};
    use deepring_memory::tamper;

    use super::*;
    use crate::checks::PlanKind;
    use crate::sealing::{Blocks, Seal};

    /// A sealed network of the zoo, and the key of its host.
    fn sealed() -> (AuthenticRing, SecretKey<Host>) {
        let folder = tempfile::tempdir().unwrap();
        let (owner, key) =
            (SecretKey::<Owner>::generate().unwrap(), SecretKey::<Host>::generate().unwrap());
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../zoo/fashion-lenet5.onnx");
        let path = folder.path().join("ring");
        let seal = Seal::new(model.as_ref(), &owner).host(Blocks::All, key.public());
        seal.write(&path, &|_| ()).unwrap();
        let trust = Trust::owner(owner.public());
        (UnverifiedRing::open(&path).unwrap().authenticate(&trust).unwrap(), key)
    }

    /// A plan that is chosen after uses were observed is tagged then; of a block that was edited before, none is.
    #[test]
    fn plans_are_made_of_what_was_opened_or_not_at_all() {
        let (ring, key) = sealed();
        let header = ring.layers().last().unwrap();
        for edited in [false, true] {
            let opened = BlockMemory::of(&ring, &key, header, Some(Mode::Auto), &[]).unwrap();
            let mut check = opened.check.unwrap();
            assert!(
                matches!(check.begin(PlanKind::Auto), Err(CheckFault::Structure)),
                "not yet chosen"
            );
            if edited {
                assert!(check.anatomy_mut().linears.pop().is_some());
            }
            // No operator by its product: every byte is compared.
            check.set_auto(Vec::new);
            for kind in [PlanKind::Auto, PlanKind::Both, PlanKind::Compute] {
                let begun = check.begin(kind).map(drop);
                let wanted = if edited { Err(CheckFault::Structure) } else { Ok(()) };
                assert_eq!(begun, wanted, "{kind:?}");
            }
        }
    }

    /// An edit that is there while tags and secrets are made, absent while the digest is computed, and there again after,
    /// was accepted for ever once: the tags were of the edited bytes.
    #[test]
    fn an_edit_while_a_block_is_opened_is_refused() {
        let (ring, key) = sealed();
        let header = ring.layers().last().unwrap();
        let at = header.parts[0].offset as usize + 3;
        let flip = |live: &[u8]| assert!(tamper(live, at, &[live[at] ^ 0x40]));
        for mode in [Mode::Bytes, Mode::Compute, Mode::Auto] {
            let open = |stages: &[Stage]| {
                BlockMemory::staged((&ring, &key), header, Some(mode), &[], |stage, live| {
                    if stages.contains(&stage) {
                        flip(live);
                    }
                })
            };
            // In place through all stages, and in place while tags are made, away for the digest, in place again.
            for stages in [
                &[Stage::Decrypted][..],
                &[Stage::Frozen],
                &[Stage::Confirmed],
                &[Stage::Decrypted, Stage::Frozen, Stage::Confirmed],
            ] {
                let refused = open(stages).err().unwrap_or_else(|| panic!("{mode:?} {stages:?}"));
                let finding = refused.finding().unwrap_or_else(|| panic!("{refused}"));
                assert_eq!(finding.block, Some(header.index));
            }
            // Away before anything was compared: what is opened is what was sealed, and an edit after that is found.
            let opened = open(&[Stage::Decrypted, Stage::Frozen]).unwrap();
            flip(opened.buffer.bytes());
            let check = opened.check.unwrap();
            let kind = if mode == Mode::Bytes { PlanKind::Bytes } else { PlanKind::Compute };
            let found = (0..64)
                .any(|_| check.begin(kind).unwrap().compare_bytes(opened.buffer.bytes()).is_err());
            assert!(found, "{mode:?}");
        }
    }
}
