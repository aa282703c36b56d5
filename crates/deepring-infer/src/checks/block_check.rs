//! The check of one block: made when the block is opened, begun at each use.

mod drawing;

use std::hash::Hash as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use deepring::{Header, Part, PartKind, TensorSpec};
use deepring_memory::{Protection, SecretBytes};
use rayon::prelude::*;

use super::cost::{BlockCosts, Observed};
use super::operators::Operators;
use super::plan::{CheckPlan, PlanKind, Rate};
use super::recomputed::Recomputed;
use super::rotation::Rotation;
use super::shared_tags::SharedPieces;
use super::transcript::Transcript;
use super::usage::UseVerification;
use super::vault::{
    Changed, Draft, OpenVault, PieceTags, ReadError, SharedKey, Vault, VerifiedReader,
};
use super::{CheckFault, Mode};
use crate::mac::{Mac, Piece, TagDomain};
use drawing::{draw_all, of_product, rotation_of, vault_of};

/// Uses after which secrets are drawn anew: what an attacker can learn from one is whether a use was refused, and that
/// ends its life at once; still none serves for ever.
pub(crate) const SECRET_LIFE: u64 = 4096;

/// The check of one block: all that it needs.
pub(crate) struct BlockCheck {
    mode: Mode,
    operators: Operators,
    recomputed: Option<Recomputed>,
    parts: Vec<Part>,
    pieces: Vec<Piece>,
    /// The last pieces have their tags there.
    shared: Vec<SharedPieces>,
    /// `None` from the first fault on: secrets and turns are wiped, and the block must be opened anew.
    secrets: Mutex<Option<Secrets>>,
    plans: [OnceLock<TaggedPlan>; PlanKind::COUNT],
    observed: Mutex<Observed>,
}

/// Secrets drawn at random for a block, and shared by the uses that are under way.
#[derive(Clone)]
struct Secrets {
    vault: Arc<Vault>,
    rotation: Arc<Rotation>,
}

/// The keys that one use compares with: the block's secrets and the tags of what it shares, these compared with their own tag.
pub(super) struct Keys {
    pub(super) mac: Mac,
    pub(super) vault: Arc<Vault>,
    shared: Vec<SharedKey>,
}

impl Keys {
    pub(super) fn tags(&self) -> PieceTags<'_> {
        self.vault.tags_of_pieces(&self.mac, &self.shared)
    }

    fn reader<'a>(&'a self, pieces: &'a [Piece], bytes: &'a [u8]) -> VerifiedReader<'a> {
        VerifiedReader { mac: &self.mac, tags: self.tags(), pieces, bytes }
    }
}

/// A plan, and the tag that it is compared with at each use; no tag where there was no memory for it.
struct TaggedPlan {
    plan: CheckPlan,
    tag: Option<SecretBytes>,
}

impl BlockCheck {
    /// Makes the check of a block whose own pieces were tagged in `draft` as they were decrypted, and those that it shares
    /// when the shared blocks were.
    ///
    /// Every byte of `bytes` is compared with its tag once more on the way, all that is drawn from them through
    /// verified copies.
    ///
    /// # Errors
    /// [`CheckFault::Bytes`] if the live bytes are not what was decrypted, [`CheckFault::NoMemory`] where there is none for secrets.
    pub(crate) fn new(
        mode: Mode,
        draft: &Draft,
        (pieces, shared): (Vec<Piece>, Vec<SharedPieces>),
        bytes: &[u8],
        header: &Header,
    ) -> Result<Self, CheckFault> {
        let parts = &header.parts;
        // Each piece has its tag in one place.
        let mut end = draft.pieces();
        for some in &shared {
            if some.first() as usize != end {
                return Err(CheckFault::Structure);
            }
            end = some.end();
        }
        if end != pieces.len() {
            return Err(CheckFault::Structure);
        }
        let mac = draft.mac().ok_or(CheckFault::NoMemory)?;
        let keys = shared.iter().map(SharedPieces::open).collect::<Result<Vec<_>, _>>()?;
        let tags = draft.tags_of_pieces(&mac, &keys);
        let reader = VerifiedReader { mac: &mac, tags, pieces: &pieces, bytes };
        let part = parts.iter().position(|p| p.kind == PartKind::Graph);
        let graph = part.filter(|_| mode != Mode::Bytes).map(|part| reader.part(part));
        let graph = graph.transpose()?;
        let operators = graph.as_deref().map(|graph| Operators::of(graph, parts));
        let mut operators = operators.unwrap_or_default();
        let vault = vault_of(&mut operators, draft, parts, &reader)?;
        let recomputed = graph.and_then(|graph| {
            let (inputs, outputs) = (&header.inputs, &header.outputs);
            let rest = Recomputed::of(&graph, &operators, inputs, outputs)?;
            match mode {
                Mode::ComputeWhole => rest.whole(&graph, &operators, inputs, outputs),
                _ => Some(rest),
            }
        });
        // What was read through copies has been compared on the way.
        let read = |piece: &Piece| {
            operators.linears.iter().any(|l| l.weight == piece.part)
                || operators.tables.iter().any(|t| t.part == piece.part)
        };
        let unread = (0u32..).zip(&pieces).filter(|(_, p)| !read(p));
        compare(vault.tags_of_pieces(&mac, &keys), bytes, unread, |_| ())?;
        let rotation = rotation_of(&operators, &pieces).ok_or(CheckFault::NoMemory)?;
        let secrets = Secrets { vault: Arc::new(vault), rotation: Arc::new(rotation) };
        let check = Self {
            mode,
            operators,
            recomputed,
            parts: parts.clone(),
            pieces,
            shared,
            secrets: Mutex::new(Some(secrets)),
            plans: Default::default(),
            observed: Mutex::default(),
        };
        check.tag_plans();
        Ok(check)
    }

    /// Tags the plans that are known now, out of verified copies, and not at their first use.
    fn tag_plans(&self) {
        if self.mode == Mode::Bytes {
            self.plan_or(PlanKind::Bytes, CheckPlan::bytes);
            return;
        }
        self.plan_or(PlanKind::Compute, CheckPlan::compute);
        if self.mode == Mode::Auto {
            self.plan_or(PlanKind::Both, CheckPlan::both);
        }
    }

    /// The part that is computed a second time; `None` where nothing of the block can be.
    pub(crate) fn recomputed(&self) -> Option<&Recomputed> {
        self.recomputed.as_ref()
    }

    pub(crate) fn operators(&self) -> &Operators {
        &self.operators
    }

    /// Returns whether a use has anything verified that comes out.
    pub(crate) fn looks_at_outputs(&self) -> bool {
        self.mode != Mode::Bytes
    }

    /// A verified copy of the block's graph; `None` if it has none.
    pub(crate) fn graph(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, CheckFault> {
        let part = self.parts.iter().position(|p| p.kind == PartKind::Graph);
        part.map(|part| self.copy_of(bytes, part)).transpose()
    }

    /// A verified copy of a part.
    pub(crate) fn copy_of(&self, bytes: &[u8], part: usize) -> Result<Vec<u8>, CheckFault> {
        Ok(self.keys()?.reader(&self.pieces, bytes).part(part)?)
    }

    /// As [`copy_of`](Self::copy_of), straight into a place of the part's length, and verified there.
    pub(crate) fn copy_into(
        &self,
        bytes: &[u8],
        part: usize,
        out: &mut [u8],
    ) -> Result<(), CheckFault> {
        if self.parts.get(part).map(|p| p.len) != Some(out.len() as u64) {
            return Err(CheckFault::Structure);
        }
        Ok(self.keys()?.reader(&self.pieces, bytes).part_into(part, out)?)
    }

    /// The costs of the block's checks, when enough uses were observed.
    pub(crate) fn costs(&self) -> Option<BlockCosts> {
        let len = |part: usize| self.parts.get(part).map_or(0, |p| p.len);
        let compute = self.plan(PlanKind::Compute)?;
        let piece = |i: &u32| self.pieces.get(*i as usize).map_or(0, |p| p.range.len() as u64);
        let after = compute.plan.after().iter().map(piece).sum();
        self.observed().costs(&self.operators, len, after)
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The protection of the pages of keys, tags and secrets, shared ones among them; of several, the weakest.
    pub(crate) fn protection(&self) -> Protection {
        let own = self.vault().map_or(Protection::Plain, |vault| vault.protection());
        self.shared.iter().map(SharedPieces::protection).fold(own, Protection::min)
    }

    /// The observed cost of the block, for whoever chooses its plan.
    pub(crate) fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kind of plan that is followed whatever was observed: of `run` and `spot` every byte, of `compute` every
    /// product. `None` under `auto`.
    pub(crate) fn fixed_plan(&self) -> Option<PlanKind> {
        match self.mode {
            Mode::Bytes => Some(PlanKind::Bytes),
            Mode::Compute | Mode::ComputeWhole => Some(PlanKind::Compute),
            Mode::Auto => None,
        }
    }

    /// Sets the plan of kind [`PlanKind::Auto`]; of several, the first stays. Where the block is not what it was, none is
    /// set, and its next use is a fault.
    pub(crate) fn set_auto(&self, rates: impl FnOnce() -> Vec<Rate>) {
        let mac = self.vault().ok().and_then(|vault| vault.mac());
        let both = self.plan(PlanKind::Both);
        let intact = mac.zip(both).map(|(mac, both)| self.is_plan(&both.plan, &mac));
        if intact == Some(Ok(())) {
            let make = |operators: &Operators, pieces: &[Piece]| {
                CheckPlan::auto(rates(), operators, pieces)
            };
            self.plan_or(PlanKind::Auto, make);
        }
    }

    /// A plan that was made: none is made at a use, when what it is made of may not be what was opened.
    fn plan(&self, kind: PlanKind) -> Option<&TaggedPlan> {
        self.plans.get(kind.index())?.get()
    }

    fn plan_or(
        &self,
        kind: PlanKind,
        make: impl FnOnce(&Operators, &[Piece]) -> CheckPlan,
    ) -> &TaggedPlan {
        self.plans[kind.index()].get_or_init(|| {
            let plan = make(&self.operators, &self.pieces);
            let mac = self.vault().ok().and_then(|vault| vault.mac());
            let domain = TagDomain::Plan(kind as u32);
            let tag = mac.and_then(|mac| mac.tag(domain, &self.transcript(&plan)));
            let tag = tag.and_then(|tag| SecretBytes::new(&tag));
            TaggedPlan { plan, tag }
        })
    }

    /// Begins one use under a plan. Compares what the check itself is made of with its tags, and whether the block is
    /// retired; bytes are compared by [`UseVerification::compare_bytes`].
    ///
    /// # Errors
    /// [`CheckFault::Retired`]; [`CheckFault::Structure`] also where no such plan was chosen.
    pub(crate) fn begin(&self, kind: PlanKind) -> Result<UseVerification<'_>, CheckFault> {
        let keys = self.keys()?;
        let TaggedPlan { plan, .. } = self.plan(kind).ok_or(CheckFault::Structure)?;
        self.is_intact(plan, &keys.vault, &keys.mac)?;
        Ok(UseVerification::new(self, plan, keys))
    }

    /// Verifies that everything that decides a verdict is what it was: secrets, structure and plan.
    fn is_intact(&self, plan: &CheckPlan, vault: &Vault, mac: &Mac) -> Result<(), CheckFault> {
        self.is_plan(plan, mac)?;
        if vault.is_intact(mac) { Ok(()) } else { Err(CheckFault::Structure) }
    }

    /// Verifies that the plan and what it is about are what they were when it was chosen.
    pub(super) fn is_plan(&self, plan: &CheckPlan, mac: &Mac) -> Result<(), CheckFault> {
        let tagged = self.plans.get(plan.kind().index()).and_then(OnceLock::get);
        let tag = tagged.and_then(|tagged| tagged.tag.as_ref()).ok_or(CheckFault::Structure)?;
        let domain = TagDomain::Plan(plan.kind() as u32);
        let fits = mac.matches(domain, &self.transcript(plan), tag.expose());
        if fits { Ok(()) } else { Err(CheckFault::Structure) }
    }

    fn transcript(&self, plan: &CheckPlan) -> Vec<u8> {
        let parts = self.parts.iter().map(|p| (p.offset, p.len, p.kind == PartKind::Graph));
        let mut transcript = Transcript::default();
        self.mode.hash(&mut transcript);
        self.operators.hash(&mut transcript);
        self.recomputed.hash(&mut transcript);
        parts.for_each(|part| part.hash(&mut transcript));
        self.pieces.iter().for_each(|p| (p.part, p.range.start, p.range.end).hash(&mut transcript));
        let shared = || self.shared.iter().map(|s| (s.first(), s.end()));
        shared().for_each(|s| s.hash(&mut transcript));
        shared().count().hash(&mut transcript);
        plan.hash(&mut transcript);
        transcript.into_bytes()
    }

    /// Pieces that the rotation has to deal.
    pub(super) fn in_rotation(&self) -> usize {
        self.pieces.iter().filter(|p| of_product(&self.operators, p)).count()
    }

    /// Whose turn it is.
    pub(super) fn rotation(&self) -> Result<Arc<Rotation>, CheckFault> {
        self.secrets().as_ref().map(|s| Arc::clone(&s.rotation)).ok_or(CheckFault::Retired)
    }

    /// Draws all secrets and turns anew, from bytes that are compared on the way.
    pub(crate) fn redraw(&self, bytes: &[u8]) -> Result<(), CheckFault> {
        let keys = self.keys()?;
        let reader = keys.reader(&self.pieces, bytes);
        let mut vault = OpenVault::again(&keys.vault).ok_or(CheckFault::NoMemory)?;
        if !draw_all(&self.operators, &self.parts, &reader, &mut vault)?.is_empty() {
            return Err(CheckFault::Structure);
        }
        let vault = vault.close(keys.vault.generation().wrapping_add(1));
        let rotation = rotation_of(&self.operators, &self.pieces).ok_or(CheckFault::NoMemory)?;
        let vault = vault.ok_or(CheckFault::NoMemory)?;
        let drawn = Secrets { vault: Arc::new(vault), rotation: Arc::new(rotation) };
        // A fault in another thread may have taken the block out of use meanwhile.
        match &mut *self.secrets() {
            Some(secrets) => *secrets = drawn,
            None => return Err(CheckFault::Retired),
        }
        Ok(())
    }

    /// Takes the block out of use for good, and wipes its secrets when the uses that are under way have ended.
    pub(crate) fn retire(&self) {
        *self.secrets() = None;
    }

    /// Compares every byte.
    pub(crate) fn bytes_fit(&self, bytes: &[u8]) -> Result<(), CheckFault> {
        compare(self.keys()?.tags(), bytes, (0u32..).zip(&self.pieces), |_| ())
    }

    /// The keys that a use compares with. Of what is shared, tags and keys are compared here; the block's own when a use begins.
    pub(super) fn keys(&self) -> Result<Keys, CheckFault> {
        let vault = self.vault()?;
        let mac = vault.mac().ok_or(CheckFault::Structure)?;
        let shared = self.shared.iter().map(SharedPieces::open).collect::<Result<_, _>>()?;
        Ok(Keys { mac, vault, shared })
    }

    fn vault(&self) -> Result<Arc<Vault>, CheckFault> {
        self.secrets().as_ref().map(|s| Arc::clone(&s.vault)).ok_or(CheckFault::Retired)
    }

    fn secrets(&self) -> MutexGuard<'_, Option<Secrets>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the parameters stand of which a plan compares the bytes, so that an engine must read these very bytes.
    ///
    /// Left out are single numbers and short lists of integers: operators want them as constants, and every
    /// engine makes them something of its own.
    pub(crate) fn read_in_place(&self) -> Vec<u64> {
        let all: Vec<usize> = (0..self.operators.linears.len()).collect();
        let by_product = |part: usize| {
            self.operators.linears.iter().any(|l| l.weight == part)
                || self.operators.is_bias(part, &all)
        };
        let parts = self.parts.iter().enumerate();
        parts
            .filter(|(i, part)| match &part.kind {
                PartKind::Parameter(spec) => !is_constant(spec, part) && !by_product(*i),
                _ => false,
            })
            .map(|(_, part)| part.offset)
            .collect()
    }

    /// The bytes of keys, tags and secrets, for tests that edit them.
    #[cfg(test)]
    pub(crate) fn with_vault<T>(&self, f: impl FnOnce(&deepring_memory::Region) -> T) -> T {
        f(self.vault().unwrap().region())
    }

    /// Returns whether nothing is left of what was drawn.
    #[cfg(test)]
    pub(crate) fn is_retired(&self) -> bool {
        self.secrets().is_none()
    }

    /// A use under any plan, for tests of what is refused.
    #[cfg(test)]
    pub(crate) fn under<'c>(&'c self, plan: &'c CheckPlan) -> UseVerification<'c> {
        UseVerification::new(self, plan, self.keys().unwrap())
    }

    /// Deals other pieces than were dealt, for tests of what is refused.
    #[cfg(test)]
    pub(crate) fn deal(&self, pieces: &[u32]) {
        let rotation = Arc::new(Rotation::new(pieces).unwrap());
        self.secrets().as_mut().unwrap().rotation = rotation;
    }

    /// The parts of a plan, for tests that edit them.
    #[cfg(test)]
    pub(crate) fn anatomy_mut(&mut self) -> &mut Operators {
        &mut self.operators
    }

    /// The projections as they are now.
    #[cfg(test)]
    pub(crate) fn projections(&self) -> Vec<Vec<u8>> {
        let vault = self.vault().unwrap();
        (0..self.operators.linears.len()).map(|i| vault.projection(i).to_vec()).collect()
    }
}

impl std::fmt::Debug for BlockCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockCheck").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Below so many bytes, starting threads costs more than they save.
const PARALLEL_FROM_BYTES: usize = 1 << 20;

/// Compares pieces with their tags, by all threads of the pool that this is called in; `each` hears of those that fit.
pub(super) fn compare<'p>(
    tags: PieceTags<'_>,
    bytes: &[u8],
    pieces: impl Iterator<Item = (u32, &'p Piece)>,
    mut each: impl FnMut(&Piece),
) -> Result<(), CheckFault> {
    let pieces: Vec<(u32, &Piece)> = pieces.collect();
    let differs = |(number, piece): &&(u32, &Piece)| {
        let live = bytes.get(piece.range.clone());
        !live.is_some_and(|b| tags.matches(*number, b))
    };
    let total: usize = pieces.iter().map(|(_, p)| p.range.len()).sum();
    let changed = if total >= PARALLEL_FROM_BYTES && rayon::current_num_threads() > 1 {
        pieces.par_iter().find_first(differs)
    } else {
        pieces.iter().find(differs)
    };
    if let Some((_, piece)) = changed {
        return Err(Changed((*piece).clone()).into());
    }
    pieces.iter().for_each(|(_, piece)| each(piece));
    Ok(())
}

impl From<Changed> for CheckFault {
    fn from(Changed(piece): Changed) -> Self {
        Self::Bytes { part: piece.part, range: piece.range }
    }
}

impl From<ReadError> for CheckFault {
    fn from(e: ReadError) -> Self {
        match e {
            ReadError::Changed(changed) => changed.into(),
            ReadError::Stopped => Self::NoMemory,
        }
    }
}

/// Integers up to this many are a shape, axes, or the like.
const MOST_SHAPE_INTEGERS: u64 = 64;

fn is_constant(spec: &TensorSpec, part: &Part) -> bool {
    use deepring::DType;
    let count = part.len / (spec.dtype.size() as u64).max(1);
    let float = matches!(spec.dtype, DType::F32 | DType::F64 | DType::F16 | DType::Bf16);
    let byte = matches!(spec.dtype, DType::I8 | DType::U8);
    count <= if float || byte { 1 } else { MOST_SHAPE_INTEGERS }
}
