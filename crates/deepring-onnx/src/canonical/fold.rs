//! Constants that follow from constants by moving or converting elements.
//!
//! The engine would compute them when it loads a block, into memory of its own that no check of
//! the parameters could see.

use deepring::DType;

use super::graph::Graph;
use crate::proto::{NodeProto, TensorProto};
use crate::read::{ChannelIndex, ImportError, MAX_RANK, ParamSource, Recipe};

/// Most bytes of constants that are made where the file has only their shapes.
const FILL_LIMIT: u64 = 1 << 28;
/// Most channels with a scale of their own.
const CHANNEL_LIMIT: u64 = 1 << 20;

struct Folded {
    dtype: DType,
    dims: Vec<u64>,
    source: ParamSource,
}

impl Graph {
    /// Replaces nodes whose output is a constant by that constant.
    pub(crate) fn fold_constants(&mut self) -> Result<(), ImportError> {
        let outputs = self.output_names();
        let mut fill_left = FILL_LIMIT;
        for node in std::mem::take(&mut self.nodes) {
            let target = match node.output.as_slice() {
                [only] if !only.is_empty() && !outputs.contains(only) => only.clone(),
                _ => {
                    self.nodes.push(node);
                    continue;
                }
            };
            let folded = match node.onnx_op() {
                "ConstantOfShape" => self.filled(&node, &mut fill_left)?,
                _ => self.folded(&node)?,
            };
            if node.onnx_op() == "DequantizeLinear" && folded.is_some() {
                // A scale and a zero point for each channel.
                let scale = self.constant(node.arg(1)).and_then(|t| self.source(t));
                let held = scale.map_or(0, |s| s.len().saturating_mul(2));
                self.store.charge(held)?;
            }
            match folded {
                Some(Folded { dtype, dims, source }) if countable(&dims) => {
                    self.set_constant(&target, dtype, &dims, source);
                }
                _ => self.nodes.push(node),
            }
        }
        Ok(())
    }

    fn folded(&self, node: &NodeProto) -> Result<Option<Folded>, ImportError> {
        let op = node.onnx_op();
        let Some(tensor) = self.constant(node.arg(0)) else { return Ok(None) };
        let (Some(dtype), Some(source)) = (tensor.dtype(), self.source(tensor)) else {
            return Ok(None);
        };
        let dims = tensor.sizes();
        let moved = |dims: Vec<u64>| {
            let same = dims.iter().product::<u64>() * dtype.size() as u64 == source.len();
            same.then(|| Folded { dtype, dims, source: source.clone() })
        };
        Ok(match op {
            "Identity" => moved(dims),
            "Flatten" => flat(node.attr_int("axis").unwrap_or(1), &dims).and_then(moved),
            "Reshape" => match self.ints(node.arg(1))? {
                Some(shape) => {
                    let keep_zero = node.attr_int("allowzero").unwrap_or(0) != 0;
                    reshaped(&dims, &shape, keep_zero).and_then(moved)
                }
                None => None,
            },
            "Unsqueeze" | "Squeeze" => match self.axes(node)? {
                Some(axes) if op == "Unsqueeze" => unsqueezed(&dims, &axes).and_then(moved),
                Some(axes) => squeezed(&dims, &axes).and_then(moved),
                None => None,
            },
            "Transpose" => transposed(node, &dims).map(|(perm, dims_out)| Folded {
                dtype,
                dims: dims_out,
                source: ParamSource::derived(Recipe::Transpose {
                    of: source.clone(),
                    dims: dims.iter().map(|&d| d as usize).collect(),
                    perm,
                    width: dtype.size(),
                }),
            }),
            "Cast" => cast(node, tensor, dtype, source),
            "DequantizeLinear" => self.dequantized(node, &dims, dtype, source)?,
            _ => None,
        })
    }

    /// Axes of a (un)squeeze: an attribute up to opset 12, an input from there on.
    pub(crate) fn axes(&self, node: &NodeProto) -> Result<Option<Vec<i64>>, ImportError> {
        match node.attr_ints("axes") {
            Some(axes) => Ok(Some(axes.to_vec())),
            None => self.ints(node.arg(1)),
        }
    }

    fn filled(&self, node: &NodeProto, left: &mut u64) -> Result<Option<Folded>, ImportError> {
        let Some(shape) = self.ints(node.arg(0))? else { return Ok(None) };
        let value = node.attr("value").and_then(|a| a.t.as_deref());
        let element = match value {
            None => 0f32.to_le_bytes().to_vec(),
            Some(value) => match (value.dtype(), self.source(value)) {
                (Some(DType::F32), Some(source)) if source.len() == 4 => source.read()?,
                _ => return Ok(None),
            },
        };
        let dims: Option<Vec<u64>> = shape.iter().map(|&d| u64::try_from(d).ok()).collect();
        let Some(dims) = dims.filter(|d| d.len() <= MAX_RANK) else { return Ok(None) };
        let len = dims.iter().try_fold(4u64, |n, &d| n.checked_mul(d));
        let Some((len, rest)) = len.and_then(|len| Some((len, left.checked_sub(len)?))) else {
            return Ok(None);
        };
        *left = rest;
        let source = ParamSource::derived(Recipe::Fill { element, len });
        Ok(Some(Folded { dtype: DType::F32, dims, source }))
    }

    fn dequantized(
        &self,
        node: &NodeProto,
        dims: &[u64],
        from: DType,
        source: &ParamSource,
    ) -> Result<Option<Folded>, ImportError> {
        let blocked = node.attr_int("block_size").unwrap_or(0) != 0;
        let Some(scale_tensor) = self.constant(node.arg(1)) else { return Ok(None) };
        let scale_dims = scale_tensor.sizes();
        let count = scale_dims.iter().product::<u64>();
        if blocked || count > CHANNEL_LIMIT || !matches!(from, DType::U8 | DType::I8 | DType::I32) {
            return Ok(None);
        }
        let Some(scale) = self.floats(node.arg(1))? else { return Ok(None) };
        let zero = match node.arg(2) {
            None => Vec::new(),
            zero => match self.ints(zero)? {
                Some(zero) => zero.into_iter().map(|z| z as i32).collect(),
                None => return Ok(None),
            },
        };
        let channels = if count == 1 {
            Some(ChannelIndex::ONE)
        } else {
            axis_of(node.attr_int("axis").unwrap_or(1), dims.len())
                .filter(|&axis| scale_dims.len() == 1 && dims.get(axis) == Some(&count))
                .and_then(|axis| ChannelIndex::along(dims, axis))
        };
        let Some(channels) = channels.filter(|_| zero.is_empty() || zero.len() == scale.len())
        else {
            return Ok(None);
        };
        let recipe = Recipe::Dequantize { of: source.clone(), from, channels, scale, zero };
        let source = ParamSource::derived(recipe);
        Ok(Some(Folded { dtype: DType::F32, dims: dims.to_vec(), source }))
    }
}

/// Returns whether the bytes of any part of these dimensions can be counted; a zero must not hide others.
fn countable(dims: &[u64]) -> bool {
    dims.iter().filter(|&&d| d != 0).try_fold(8u64, |n, &d| n.checked_mul(d)).is_some()
}

/// An axis that may count from the end.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(axis).ok().filter(|&a| a < rank)
}

/// Dimensions that `Reshape` to `shape` gives, where all are known.
pub(crate) fn reshaped(dims: &[u64], shape: &[i64], keep_zero: bool) -> Option<Vec<u64>> {
    if shape.len() > MAX_RANK {
        return None;
    }
    let total = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d))?;
    let mut out = Vec::with_capacity(shape.len());
    let mut open = None;
    for (i, &d) in shape.iter().enumerate() {
        out.push(match d {
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            0 if !keep_zero => *dims.get(i)?,
            d => u64::try_from(d).ok()?,
        });
    }
    if let Some(open) = open {
        let rest = out.iter().try_fold(1u64, |n, &d| n.checked_mul(d))?;
        *out.get_mut(open)? = total.checked_div(rest)?;
    }
    (out.iter().try_fold(1u64, |n, &d| n.checked_mul(d))? == total).then_some(out)
}

fn flat(axis: i64, dims: &[u64]) -> Option<Vec<u64>> {
    let rank = i64::try_from(dims.len()).ok()?;
    let axis = usize::try_from(if axis < 0 { axis.checked_add(rank)? } else { axis }).ok()?;
    let (left, right) = dims.split_at_checked(axis)?;
    Some(vec![left.iter().product(), right.iter().product()])
}

fn unsqueezed(dims: &[u64], axes: &[i64]) -> Option<Vec<u64>> {
    let rank = Some(dims.len() + axes.len()).filter(|&r| r <= MAX_RANK)?;
    let axes: Option<Vec<usize>> = axes.iter().map(|&a| axis_of(a, rank)).collect();
    let axes = axes?;
    let mut rest = dims.iter();
    let out: Option<Vec<u64>> =
        (0..rank).map(|i| if axes.contains(&i) { Some(1) } else { rest.next().copied() }).collect();
    out.filter(|_| rest.next().is_none())
}

fn squeezed(dims: &[u64], axes: &[i64]) -> Option<Vec<u64>> {
    let axes: Option<Vec<usize>> = axes.iter().map(|&a| axis_of(a, dims.len())).collect();
    let axes = axes?;
    Some(dims.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &d)| d).collect())
}

fn transposed(node: &NodeProto, dims: &[u64]) -> Option<(Vec<usize>, Vec<u64>)> {
    let perm: Vec<usize> = match node.attr_ints("perm") {
        None => (0..dims.len()).rev().collect(),
        Some(perm) => perm.iter().map(|&p| usize::try_from(p).ok()).collect::<Option<Vec<_>>>()?,
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..dims.len()) {
        return None;
    }
    let out = perm.iter().filter_map(|&p| dims.get(p).copied()).collect();
    Some((perm, out))
}

fn cast(
    node: &NodeProto,
    tensor: &TensorProto,
    from: DType,
    source: &ParamSource,
) -> Option<Folded> {
    let to = DType::from_onnx(i32::try_from(node.attr_int("to")?).ok()?)?;
    let dims = tensor.sizes();
    if to == from {
        return Some(Folded { dtype: to, dims, source: source.clone() });
    }
    // Other casts are of shapes; the engine may have those to itself.
    let convertible = !matches!(from, DType::U64 | DType::U32 | DType::F32);
    (to == DType::F32 && convertible).then(|| Folded {
        dtype: to,
        dims,
        source: ParamSource::derived(Recipe::ToFloat { of: source.clone(), from }),
    })
}
