//! Making checks while a ring is sealed: planned from shapes, drawn when a block's parameters are at hand, kept
//! for the block that follows.

use deepring::keys::NoRandomness;
use deepring::seal::SealError;
use deepring::{Part, PartKind};
use deepring_onnx::{CutBlock, CutModel};
use zeroize::Zeroizing;

use super::check_encoding;
use super::public_subgraph::{PublicSubgraph, is_single, names_of};
use crate::checks::{DrawError, Linear, Projection};
use crate::engine::Rten;
use crate::error::SealModelError;
use crate::weights::{BoundPrograms, scratch};

/// The checks of a ring's blocks, from the sealer's side.
#[derive(Debug, Default)]
pub(crate) struct Vectors {
    planned: Vec<Option<Planned>>,
    /// The check of the block before.
    kept: Option<Zeroizing<Vec<u8>>>,
}

/// The check of one block before its numbers are drawn.
#[derive(Debug)]
struct Planned {
    head: Vec<u8>,
    linears: Vec<Linear>,
    parts: Vec<Part>,
    len: usize,
}

impl Vectors {
    /// Plans a check for each block of which one can be made.
    pub(crate) fn plan(model: &CutModel, engine: &Rten) -> Self {
        // A single block has no neighbour.
        if model.blocks.len() < 2 {
            return Self::default();
        }
        let planned = model.blocks.iter().map(|block| {
            let planned = Planned::of(block, engine);
            if planned.is_none() {
                tracing::debug!(block = %block.name, "no neighbour can check this block");
            }
            planned
        });
        Self { planned: planned.collect(), kept: None }
    }

    /// The part that block `index` carries, Genesis not counted.
    pub(crate) fn part(&self, index: usize) -> Option<(PartKind, u64)> {
        let of = self.checked(index)?;
        let planned = self.planned.get(of)?.as_ref()?;
        Some((PartKind::Check(u32::try_from(of + 1).ok()?), planned.len as u64))
    }

    /// Puts the neighbour's check into the plaintext of a block whose parameters are in their place, and draws
    /// this block's own.
    pub(crate) fn pass(
        &mut self,
        index: usize,
        model: &CutModel,
        plaintext: &mut [u8],
        parts: &[Part],
    ) -> Result<(), SealModelError> {
        let layout = || SealError::Layout {
            block: u32::try_from(index + 1).unwrap_or(u32::MAX),
            reason: "the neighbour's check does not fit its place",
        };
        if index == 0 {
            self.kept = self.of_last(model)?;
        }
        let carried = parts.iter().find(|p| matches!(p.kind, PartKind::Check(_)));
        match (carried, self.kept.take()) {
            (None, None) => {}
            (Some(part), Some(check)) if part.len == check.len() as u64 => {
                let place = part.offset as usize..part.end() as usize;
                plaintext.get_mut(place).ok_or_else(layout)?.copy_from_slice(&check);
            }
            _ => return Err(layout().into()),
        }
        // The last block's went into the first.
        if index + 1 < self.planned.len() {
            self.kept = self.draw(index, plaintext)?;
        }
        Ok(())
    }

    /// The block whose check a block carries, both counted from 0.
    fn checked(&self, index: usize) -> Option<usize> {
        index.checked_sub(1).or_else(|| self.planned.len().checked_sub(1))
    }

    fn draw(&self, of: usize, bytes: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, SealModelError> {
        let Some(Some(planned)) = self.planned.get(of) else { return Ok(None) };
        let block = u32::try_from(of + 1).unwrap_or(u32::MAX);
        let refused = |reason| SealError::Layout { block, reason };
        let layout = || refused("a parameter is not as long as its operator says");
        let large =
            "a parameter is too large for neighbours to check; seal without neighbour checks";
        let floats = |part: usize| -> Option<&[f32]> {
            let part = planned.parts.get(part)?;
            bytemuck::try_cast_slice(bytes.get(part.offset as usize..part.end() as usize)?).ok()
        };
        let mut out = Zeroizing::new(Vec::with_capacity(planned.len));
        out.extend_from_slice(&planned.head);
        for linear in &planned.linears {
            let weights = floats(linear.weight).ok_or_else(layout)?;
            let bias = match linear.bias {
                Some(part) => Some(floats(part).ok_or_else(layout)?),
                None => None,
            };
            if !Projection::fits(linear, weights.len(), bias.map(<[f32]>::len)) {
                return Err(layout().into());
            }
            let drawn = Projection::draw(linear, weights, bias).map_err(|e| match e {
                DrawError::NoRandomness => SealError::from(NoRandomness),
                DrawError::Unsuitable | DrawError::Read(_) => refused(large),
            })?;
            drawn.to_seal().iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        }
        Ok(Some(out))
    }

    /// The last block's check goes into the first, so its parameters are read once before their turn.
    fn of_last(&self, model: &CutModel) -> Result<Option<Zeroizing<Vec<u8>>>, SealModelError> {
        let (Some(Some(_)), Some(block)) = (self.planned.last(), model.blocks.last()) else {
            return Ok(None);
        };
        let bytes = block.params_len();
        let too_large = || SealModelError::TooLarge { block: model.blocks.len(), bytes };
        let buffer = usize::try_from(bytes).ok().and_then(scratch);
        let mut buffer = buffer.ok_or_else(too_large)?;
        block.read_params(buffer.bytes_mut())?;
        self.draw(self.planned.len() - 1, buffer.bytes())
    }
}

impl Planned {
    /// `None` if nothing of the block can be checked, or the engine cannot load the rest.
    fn of(block: &CutBlock, engine: &Rten) -> Option<Self> {
        let parts: Vec<Part> = block
            .params
            .iter()
            .map(|p| Part {
                kind: PartKind::Parameter(p.spec.clone()),
                offset: p.offset,
                len: p.len,
                shared: None,
            })
            .collect();
        let subgraph = PublicSubgraph::of(&block.graph, &parts, &block.inputs, &block.outputs)?;
        let single = |at: u64| {
            let i = parts.iter().position(|p| p.offset == at && is_single(p))?;
            block.params.get(i)?.read().ok()
        };
        let recomputed = subgraph.recomputed(single)?;
        loads(engine, &recomputed).then_some(())?;
        let (head, numbers) = check_encoding::head(&subgraph, &recomputed)?;
        let len = numbers.checked_mul(4)?.checked_add(head.len())?;
        Some(Self { head, linears: subgraph.linears, parts, len })
    }
}

fn loads(engine: &Rten, recomputed: &[u8]) -> bool {
    if recomputed.is_empty() {
        return true;
    }
    let Some((inputs, outputs)) = names_of(recomputed) else { return false };
    let Some(mut buffer) = scratch(recomputed.len()) else { return false };
    buffer.bytes_mut().copy_from_slice(recomputed);
    let (inputs, outputs): (Vec<&str>, Vec<&str>) =
        (inputs.iter().map(String::as_str).collect(), outputs.iter().map(String::as_str).collect());
    BoundPrograms::load(engine, (buffer, recomputed.len()), 0..recomputed.len(), &inputs, &outputs)
        .is_ok()
}
