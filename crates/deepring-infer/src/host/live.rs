//! A block in memory: opened, loaded, and checked at each use.

use std::ops::Range;

use deepring::{
    AuthenticRing, Check, Coverage, Finding, Header, Host, OpenError, OpenedBlock, OpeningKey,
    PartKind, PartName, SecretKey,
};

use super::CHANGED_IN_MEMORY;
use crate::checks::{BlockCheck, Fault, Margin, Mode, Slot, Watch, exposing};
use crate::engine::{Engine, Input, View};
use crate::error::RunError;
use crate::inputs::names;
use crate::neighbour::{self, Blame, LoadError, Neighbour, Query};
use crate::weights::{Buffer, Resident};

/// An opened block.
pub(super) struct Live<E: Engine> {
    resident: Resident<E>,
    opened: OpenedBlock,
    check: Option<BlockCheck>,
    graph: Range<usize>,
    /// What this host shows of the block to the next one; `None` if that one could not check it.
    shows: Option<Vec<String>>,
    neighbour: Option<Neighbour<E>>,
}

/// What a block gave for one query: its outputs, and what was given out for the check.
pub(super) struct Given<V> {
    names: Vec<String>,
    values: Vec<V>,
    /// The first so many are the block's outputs.
    outputs: usize,
}

impl<V> Given<V> {
    pub(super) fn into_outputs(self) -> impl Iterator<Item = (String, V)> {
        self.names.into_iter().zip(self.values).take(self.outputs)
    }

    /// The last value that was given out: of a convolution under a product, its sums.
    #[cfg(test)]
    pub(super) fn last_mut(&mut self) -> Option<&mut V> {
        self.values.last_mut()
    }

    /// An output, or what was given out besides.
    pub(super) fn find(&self, name: &str) -> Option<&V> {
        self.values.get(self.names.iter().position(|n| n == name)?)
    }
}

impl<E: Engine> Live<E> {
    pub(super) fn open(
        ring: &AuthenticRing,
        engine: &E,
        key: &SecretKey<Host>,
        index: u32,
        check: Check,
    ) -> Result<Self, RunError> {
        let header = ring.headers().get(index as usize).ok_or_else(|| OpenError::NoSuchBlock {
            index,
            count: u32::try_from(ring.headers().len()).unwrap_or(u32::MAX),
        })?;
        let mut buffer = room(header)?;
        let decrypted = ring.decrypt_block(index, OpeningKey::Host(key), buffer.bytes_mut())?;
        let graph = graph_range(header).ok_or(RunError::NoGraph { block: index })?;
        let mode = match check {
            Check::None | Check::Load => None,
            Check::Spot(_) | Check::Run => Some(Mode::Bytes),
            Check::Auto => Some(Mode::Auto),
            Check::Compute => Some(Mode::Compute),
        };
        // Tags and secrets first, digest second: what changes before they were made is seen by the digest that
        // confirms the block, what changes after by the tags. There is no moment in between.
        let made = |mode| {
            let bytes = std::hint::black_box(buffer.bytes());
            BlockCheck::of(mode, bytes, graph.clone(), &header.parts).ok_or(RunError::NoRandomness)
        };
        let made = mode.map(made).transpose()?;
        let opened = decrypted.confirm(buffer.bytes())?;
        let (inputs, outputs) = (names(&header.inputs), names(&header.outputs));
        // An engine that copies has one program for a block: that of the check, if there is one.
        let with_check = !E::IN_PLACE && made.is_some();
        let resident = if with_check {
            Resident::hold(buffer)
        } else {
            Resident::load(engine, buffer, graph.clone(), &inputs, &outputs)
                .map_err(|source| RunError::Engine { block: header.name.clone(), source })?
        };
        let mut live = Self { resident, opened, check: made, graph, shows: None, neighbour: None };
        if with_check {
            let watch = live.watch(1);
            live.program(engine, header, watch, &inputs, &live.given_out(header, watch, &[]))?;
        }
        if check == Check::Compute {
            live.meet_neighbours(ring, engine, header)?;
        }
        Ok(live)
    }

    /// Finds what the next host must be shown, and loads the check of the block before.
    fn meet_neighbours(
        &mut self,
        ring: &AuthenticRing,
        engine: &E,
        header: &Header,
    ) -> Result<(), RunError> {
        let carrier = neighbour::carrier(header.index, header.count);
        let carrier = carrier.and_then(|i| ring.headers().get(i as usize));
        if carrier.is_some_and(|h| neighbour::carried(h).is_some()) {
            let graph = self.resident.bytes().get(self.graph.clone()).unwrap_or_default();
            self.shows = neighbour::shown_by(graph, &header.parts, header);
        }
        let Some((part, of)) = neighbour::carried(header) else { return Ok(()) };
        let range = header.parts.get(part).map_or(0..0, |p| p.offset as usize..p.end() as usize);
        let loaded = Neighbour::load(engine, of, part, self.resident.bytes(), range);
        self.neighbour = Some(loaded.map_err(|e| match e {
            LoadError::Malformed(source) => {
                OpenError::Malformed { index: header.index, source }.into()
            }
            LoadError::Engine(source) => RunError::Engine { block: header.name.clone(), source },
        })?);
        Ok(())
    }

    /// The values that the next host is shown.
    pub(super) fn shows(&self) -> Option<&[String]> {
        self.shows.as_deref()
    }

    /// Holds what the host of another block sent against the check that this block carries. `None` if it
    /// carries none of that block.
    pub(super) fn hold(
        &self,
        engine: &E,
        checked: &Header,
        shown: &[Query<'_>],
    ) -> Option<Result<(), Held>> {
        let neighbour = self.neighbour.as_ref().filter(|n| n.of == checked.index)?;
        let intact = || match &self.check {
            Some(check) => check.part_fits(self.resident.bytes(), neighbour.part),
            None => Ok(()),
        };
        // The check may be changed while it is used; then what it said counts for nothing.
        let held = intact().map_err(Held::Changed).and_then(|()| {
            let held = neighbour.hold(engine, self.resident.bytes(), checked, shown);
            intact().map_err(Held::Changed)?;
            held.map_err(Held::Blamed)
        });
        Some(held)
    }

    pub(super) fn opened(&self) -> &OpenedBlock {
        &self.opened
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.resident.bytes()
    }

    /// The plan for queries that pass `together`; `None` if nothing is checked.
    pub(super) fn watch(&self, together: usize) -> Option<&Watch> {
        let check = self.check.as_ref()?;
        Some(check.watch(together))
    }

    /// What each part has under a plan, or without one.
    pub(super) fn coverage(
        &self,
        header: &Header,
        watch: Option<&Watch>,
        check: Check,
    ) -> Vec<Coverage> {
        match (watch, check) {
            (Some(watch), _) => watch.coverage().to_vec(),
            (None, Check::None) => vec![Coverage::Unchecked; header.parts.len()],
            (None, _) => vec![Coverage::Opened; header.parts.len()],
        }
    }

    /// The check before a use, by all threads of the pool that it is called in or by this one alone.
    pub(super) fn before(&self, header: &Header, watch: &Watch, all: bool) -> Result<(), Fault> {
        let Some(check) = &self.check else { return Ok(()) };
        check.before(watch, self.resident.bytes(), &header.parts, all)
    }

    /// The check after a use.
    pub(super) fn after(&self, watch: &Watch) -> Result<(), Fault> {
        let Some(check) = &self.check else { return Ok(()) };
        check.after(watch, self.resident.bytes())
    }

    /// Runs the block on one query. With a plan, what its check needs is given out besides; and `shown`, where
    /// the next host is to see it.
    pub(super) fn compute(
        &self,
        engine: &E,
        header: &Header,
        watch: Option<&Watch>,
        shown: &[String],
        inputs: Vec<Input<'_, E::Value>>,
    ) -> Result<Given<E::Value>, RunError> {
        let (given_in, given_out) = (names(&header.inputs), self.given_out(header, watch, shown));
        let program = self.program(engine, header, watch, &given_in, &given_out)?;
        let values = engine
            .run(program, inputs)
            .map_err(|source| RunError::Engine { block: header.name.clone(), source })?;
        let names = given_out.into_iter().map(ToOwned::to_owned).collect();
        Ok(Given { names, values, outputs: header.outputs.len() })
    }

    /// The block's outputs, then what a plan looks at besides, then what is shown to the next host.
    fn given_out<'a>(
        &self,
        header: &'a Header,
        watch: Option<&'a Watch>,
        shown: &'a [String],
    ) -> Vec<&'a str> {
        let (given_in, mut given_out) = (names(&header.inputs), names(&header.outputs));
        for name in watch.into_iter().flat_map(Watch::looks_at) {
            if !given_in.contains(&name) && !given_out.contains(&name) {
                given_out.push(name);
            }
        }
        for name in shown {
            if !given_out.contains(&name.as_str()) {
                given_out.push(name);
            }
        }
        given_out
    }

    /// The program that a plan wants, and what is shown besides, loaded if it is not yet.
    fn program(
        &self,
        engine: &E,
        header: &Header,
        watch: Option<&Watch>,
        given_in: &[&str],
        given_out: &[&str],
    ) -> Result<&E::Program, RunError> {
        let planned = self.given_out(header, watch, &[]).len();
        let slot = match watch {
            _ if given_out.len() > planned => Slot::WITNESS,
            None => Slot::BARE,
            // Also where nothing is exposed, parameters are to be read in place.
            Some(_) if !E::IN_PLACE => Slot::ALL,
            Some(watch) => watch.slot(),
        };
        let graph = || {
            let exposed: Vec<_> =
                given_out.iter().skip(header.outputs.len()).map(|n| (*n).to_owned()).collect();
            let lent = match (watch, &self.check) {
                (Some(watch), Some(check)) if !E::IN_PLACE => {
                    check.read_in_place(watch, &header.parts)
                }
                _ => Vec::new(),
            };
            exposing(self.resident.bytes().get(self.graph.clone())?, &exposed, &lent)
        };
        self.resident
            .program_or_load(engine, slot.index(), graph, given_in, given_out)
            .map_err(|source| RunError::Engine { block: header.name.clone(), source })
    }

    /// Holds what a run gave against the secrets. `input` finds the values that were lent to it.
    pub(super) fn outputs_fit<'v>(
        &self,
        engine: &E,
        watch: &Watch,
        given: &'v Given<E::Value>,
        input: &(dyn Fn(&str) -> Option<&'v E::Value> + Sync),
    ) -> Result<(), Fault>
    where
        E::Value: 'v,
    {
        let Some(check) = &self.check else { return Ok(()) };
        let value = |name: &str| -> Option<View<'v>> {
            engine.view(given.find(name).or_else(|| input(name))?)
        };
        check.outputs_fit(watch, self.resident.bytes(), &value)
    }

    /// What the block's products could tell apart in a run.
    pub(super) fn margins<'v>(
        &self,
        engine: &E,
        header: &Header,
        watch: &Watch,
        given: &'v Given<E::Value>,
        input: &(dyn Fn(&str) -> Option<&'v E::Value> + Sync),
        random: &mut dyn FnMut() -> usize,
    ) -> Result<Vec<Margin>, Fault>
    where
        E::Value: 'v,
    {
        let Some(check) = &self.check else { return Ok(Vec::new()) };
        let value = |name: &str| -> Option<View<'v>> {
            engine.view(given.find(name).or_else(|| input(name))?)
        };
        check.margins(watch, self.resident.bytes(), &header.parts, &value, random)
    }

    /// The secrets of the block's products.
    #[cfg(test)]
    pub(super) fn secrets(&self) -> Vec<Vec<u8>> {
        self.check.as_ref().map(BlockCheck::secrets).unwrap_or_default()
    }

    /// Where the secrets of the block's products lie in memory.
    #[cfg(test)]
    pub(super) fn secret_places(&self) -> Vec<std::ops::Range<usize>> {
        self.check.as_ref().map(BlockCheck::secret_places).unwrap_or_default()
    }

    /// Says what was found. The ring's own copy tells just which bytes; where it cannot be read any more, the
    /// piece that a tag refused is named.
    pub(super) fn describe(
        &self,
        ring: &AuthenticRing,
        key: &SecretKey<Host>,
        header: &Header,
        fault: Fault,
    ) -> RunError {
        let finding = |reason: &str, part: usize| {
            let finding = Finding::tampered(PartName::Body, reason)
                .in_block(header.index, Some(&header.name));
            match header.parts.get(part) {
                Some(part) => finding.of_tensor(part.label()),
                None => finding,
            }
        };
        // Where an output is wrong, bytes that have changed say why.
        let by_bytes = self.check.as_ref().and_then(|c| c.bytes_fit(self.resident.bytes()).err());
        match (fault, by_bytes) {
            (Fault::NoRandomness, _) => RunError::NoRandomness,
            (Fault::Bytes { part, range }, _) | (_, Some(Fault::Bytes { part, range })) => {
                let exact = room(header).ok().and_then(|mut sealed| {
                    let key = OpeningKey::Host(key);
                    ring.open_block(header.index, key, sealed.bytes_mut()).ok()?;
                    differing(sealed.bytes(), self.resident.bytes(), range.clone())
                });
                let range = exact.unwrap_or(range);
                let finding = finding(CHANGED_IN_MEMORY, part);
                RunError::Tampered(finding.at(range.start as u64..range.end as u64))
            }
            (Fault::Product { part }, _) => RunError::Tampered(finding(NOT_THE_PRODUCT, part)),
            (Fault::Secret, _) => RunError::Tampered(finding(SECRET_CHANGED, usize::MAX)),
        }
    }
}

/// Why a neighbour's block was not believed.
pub(super) enum Held {
    /// The check itself is not what it was.
    Changed(Fault),
    /// What was sent is not right.
    Blamed(Blame),
}

/// Parameters that were changed only while they were read, a kernel that computes wrongly, and sums that
/// overflow all end here.
const NOT_THE_PRODUCT: &str =
    "what was computed is not what the sealed parameters give, or is not finite";
const SECRET_CHANGED: &str = "what the check keeps in memory is not what it was";

/// Memory for a block's plaintext that an engine can read in place.
fn room(header: &Header) -> Result<Buffer, OpenError> {
    let too_large = || OpenError::TooLarge { bytes: header.plain_len };
    let len = usize::try_from(header.plain_len).map_err(|_| too_large())?;
    Buffer::zeroed(len).ok_or_else(too_large)
}

/// First and one past the last byte of `range` in which the two differ.
fn differing(a: &[u8], b: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let start = range.start;
    let pairs = || {
        a.get(range.clone()).into_iter().flatten().zip(b.get(range.clone()).into_iter().flatten())
    };
    let first = pairs().position(|(x, y)| x != y)?;
    let last = pairs().enumerate().filter(|(_, (x, y))| x != y).last()?.0;
    Some(start + first..start + last + 1)
}

fn graph_range(header: &Header) -> Option<Range<usize>> {
    let part = header.parts.iter().find(|p| p.kind == PartKind::Graph)?;
    Some(usize::try_from(part.offset).ok()?..usize::try_from(part.end()).ok()?)
}
