//! Folding of `BatchNormalization` into the linear operator before it.
//!
//! A weight that other nodes read as well stays as it is, since its folded form would be a copy: the map is written behind the
//! operator, a factor and a shift for each channel.
//!
//! Factors are computed in f64 from f32 parameters and each result is rounded once. The engine
//! folds too, but into a copy of the weights that no check of the parameters could see.

use std::collections::HashMap;

use deepring::DType;

use super::graph::Graph;
use super::shapes::Shapes;
use crate::proto::NodeProto;
use crate::read::{ChannelIndex, ImportError, ParamSource, Recipe};

/// Most channels of a normalisation that is folded.
const CHANNEL_LIMIT: u64 = 1 << 20;

/// `y = x * factor + shift` for each channel.
struct Affine {
    factor: Vec<f64>,
    shift: Vec<f64>,
}

impl Graph {
    /// Folds each normalisation whose input is a linear operator's output that nothing else uses.
    pub(crate) fn fold_batch_norm(&mut self, shapes: &Shapes) -> Result<(), ImportError> {
        let uses = self.uses();
        let producers = self.producers();
        let mut removed = vec![false; self.nodes.len()];
        let mut shifts: HashMap<usize, NodeProto> = HashMap::new();
        for index in 0..self.nodes.len() {
            let Some(norm) = self.nodes.get(index).cloned() else { continue };
            let Some(linear) = foldable(&norm, &uses).and_then(|x| producers.get(x)).copied()
            else {
                continue;
            };
            let Some(mut node) = self.nodes.get(linear).cloned() else { continue };
            let Some(affine) = self.affine(&norm)? else { continue };
            let is_shared = |weight: &str| uses.get(weight).is_some_and(|n| *n > 1);
            if is_linear(&node) && node.arg(1).is_some_and(is_shared) {
                if let Some((scale, shift)) = self.behind(&norm, &affine, shapes)? {
                    if let Some(place) = self.nodes.get_mut(index) {
                        *place = scale;
                    }
                    shifts.insert(index, shift);
                }
                continue;
            }
            if !self.scale_linear(&mut node, &norm, &affine, &uses, shapes)? {
                continue;
            }
            node.output.clone_from(&norm.output);
            node.output.truncate(1);
            // The normalisation's place: what came between may not need the linear operator, and
            // nothing before the normalisation needs its output.
            if let (Some(old), Some(new)) = (removed.get_mut(linear), self.nodes.get_mut(index)) {
                *old = true;
                *new = node;
            }
        }
        let nodes = std::mem::take(&mut self.nodes);
        for (index, (node, removed)) in nodes.into_iter().zip(removed).enumerate() {
            if !removed {
                self.nodes.push(node);
                self.nodes.extend(shifts.remove(&index));
            }
        }
        Ok(())
    }

    /// The affine map as nodes of its own; `None` where the number of dimensions is not known.
    fn behind(
        &mut self,
        norm: &NodeProto,
        affine: &Affine,
        shapes: &Shapes,
    ) -> Result<Option<(NodeProto, NodeProto)>, ImportError> {
        let rank = shapes.rank(norm.arg(0)).filter(|rank| *rank >= 2);
        let (Some((x, y)), Some(rank)) = (norm.edge(), rank) else { return Ok(None) };
        let channels = affine.factor.len() as u64;
        self.store.charge(channels.saturating_mul(8))?;
        // `[c, 1 ...]`: the channels are axis 1.
        let mut dims = vec![1; rank - 1];
        if let Some(first) = dims.first_mut() {
            *first = channels;
        }
        let mut vector = |what: &str, values: &[f64]| {
            let name = self.fresh(&format!("{y}.{what}"));
            let bytes: Vec<u8> = values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
            self.set_constant(&name, DType::F32, &dims, ParamSource::owned(bytes));
            name
        };
        let (factor, shift) = (vector("factor", &affine.factor), vector("shift", &affine.shift));
        let scaled = self.fresh(&format!("{y}.scaled"));
        let mut add = NodeProto::new("Add", &y, &[&scaled, &shift], &[&y]);
        add.name.clone_from(&norm.name);
        Ok(Some((NodeProto::new("Mul", &scaled, &[&x, &factor], &[&scaled]), add)))
    }

    fn affine(&self, norm: &NodeProto) -> Result<Option<Affine>, ImportError> {
        let mut parts = Vec::with_capacity(4);
        for arg in 1..5 {
            let length = self.constant(norm.arg(arg)).map(|t| t.sizes());
            let Some(&[channels]) = length.as_deref() else { return Ok(None) };
            if channels == 0 || channels > CHANNEL_LIMIT {
                return Ok(None);
            }
            let Some(values) = self.floats(norm.arg(arg))? else { return Ok(None) };
            parts.push(values);
        }
        let [scale, bias, mean, var] = parts.as_slice() else { return Ok(None) };
        let n = scale.len();
        if [bias, mean, var].iter().any(|p| p.len() != n) {
            return Ok(None);
        }
        let epsilon = f64::from(norm.attr_float("epsilon").unwrap_or(1e-5));
        let factor: Vec<f64> = scale
            .iter()
            .zip(var)
            .map(|(&s, &v)| f64::from(s) / (f64::from(v) + epsilon).sqrt())
            .collect();
        let shift: Vec<f64> = factor
            .iter()
            .zip(bias.iter().zip(mean))
            .map(|(f, (&b, &m))| f64::from(b) - f64::from(m) * f)
            .collect();
        let finite = factor.iter().chain(&shift).all(|v| v.is_finite());
        Ok(finite.then_some(Affine { factor, shift }))
    }

    /// Puts the affine map into the parameters of `node`; false where that is not simple.
    fn scale_linear(
        &mut self,
        node: &mut NodeProto,
        norm: &NodeProto,
        affine: &Affine,
        uses: &HashMap<String, usize>,
        shapes: &Shapes,
    ) -> Result<bool, ImportError> {
        let Some(weight_name) = node.arg(1).map(str::to_owned) else { return Ok(false) };
        let Some(weight) = self.constant(Some(&weight_name)) else { return Ok(false) };
        let Some(source) = self.source(weight).cloned() else { return Ok(false) };
        let dims = weight.sizes();
        let channels = affine.factor.len() as u64;
        let layout = match node.onnx_op() {
            _ if weight.dtype() != Some(DType::F32) || source.is_empty() => None,
            "Conv" if dims.len() >= 3 => along(&dims, 0, channels),
            "ConvTranspose" if dims.len() >= 3 => {
                transposed(&dims, node.attr_int("group").unwrap_or(1), channels)
            }
            "Gemm" if plain_gemm(node) && dims.len() == 2 => {
                let axis = usize::from(node.attr_int("transB").unwrap_or(0) == 0);
                along(&dims, axis, channels)
            }
            // The channels of a normalisation are axis 1: the last one of a matrix only.
            "MatMul" if dims.len() == 2 && shapes.rank(node.arg(0)) == Some(2) => {
                along(&dims, 1, channels)
            }
            _ => None,
        };
        let Some(layout) = layout else { return Ok(false) };
        let Some(bias) = self.folded_bias(node, affine)? else { return Ok(false) };

        // A factor and a bias for each.
        self.store.charge(channels.saturating_mul(12))?;
        let recipe = Recipe::Scale { of: source, channels: layout, factors: affine.factor.clone() };
        let own = |name: &str| uses.get(name) == Some(&1);
        let weight_to = if own(&weight_name) {
            weight_name.clone()
        } else {
            self.fresh(&format!("{weight_name}_folded"))
        };
        self.set_constant(&weight_to, DType::F32, &dims, ParamSource::derived(recipe));
        let bias_wish = node.arg(2).or(norm.arg(2)).unwrap_or("bias").to_owned();
        let bias_to =
            if own(&bias_wish) { bias_wish } else { self.fresh(&format!("{bias_wish}_folded")) };
        let bytes: Vec<u8> = bias.iter().flat_map(|b| b.to_le_bytes()).collect();
        self.set_constant(&bias_to, DType::F32, &[channels], ParamSource::owned(bytes));
        let x = node.arg(0).unwrap_or_default().to_owned();
        node.input = vec![x, weight_to, bias_to];
        if node.onnx_op() == "MatMul" {
            node.op_type = Some("Gemm".to_owned());
        }
        Ok(true)
    }

    fn folded_bias(
        &self,
        node: &NodeProto,
        affine: &Affine,
    ) -> Result<Option<Vec<f32>>, ImportError> {
        let n = affine.factor.len();
        let bias = match node.arg(2) {
            None => vec![0.0; n],
            arg => {
                let dims = self.constant(arg).map(|t| t.sizes()).unwrap_or_default();
                let vector = matches!(dims.as_slice(), [_] | [1, _]);
                match self.floats(arg)? {
                    Some(bias) if vector && bias.len() == n => bias,
                    _ => return Ok(None),
                }
            }
        };
        let terms = bias.iter().zip(affine.factor.iter().zip(&affine.shift));
        Ok(Some(terms.map(|(&b, (f, s))| (f64::from(b) * f + s) as f32).collect()))
    }
}

/// Input of a normalisation that infers, has one output and is its input's only user.
fn foldable<'a>(norm: &'a NodeProto, uses: &HashMap<String, usize>) -> Option<&'a str> {
    let other_outputs = norm.output.iter().skip(1).any(|o| !o.is_empty() && uses.contains_key(o));
    let infers = norm.attr_int("training_mode").unwrap_or(0) == 0;
    let fits = norm.onnx_op() == "BatchNormalization" && infers && !other_outputs;
    norm.arg(0).filter(|x| fits && uses.get(*x) == Some(&1))
}

fn is_linear(node: &NodeProto) -> bool {
    matches!(node.onnx_op(), "Conv" | "ConvTranspose" | "Gemm" | "MatMul")
}

fn plain_gemm(node: &NodeProto) -> bool {
    node.attr_float("alpha").unwrap_or(1.0) == 1.0 && node.attr_float("beta").unwrap_or(1.0) == 1.0
}

fn along(dims: &[u64], axis: usize, channels: u64) -> Option<ChannelIndex> {
    (dims.get(axis) == Some(&channels)).then(|| ChannelIndex::along(dims, axis)).flatten()
}

/// Weights `[c, m, ...]` of a transposed convolution: output channel `group of c * m + j`.
fn transposed(dims: &[u64], groups: i64, channels: u64) -> Option<ChannelIndex> {
    let (&[c, m], kernel) = dims.split_first_chunk::<2>()?;
    let groups = u64::try_from(groups).ok().filter(|&g| g > 0)?;
    if c % groups != 0 || m.checked_mul(groups)? != channels {
        return None;
    }
    let inner = usize::try_from(kernel.iter().product::<u64>()).ok()?;
    let m = usize::try_from(m).ok()?;
    let per_group = usize::try_from(c / groups).ok()?;
    Some(ChannelIndex {
        inner: inner.max(1),
        count_inner: m.max(1),
        outer: inner.checked_mul(m)?.checked_mul(per_group)?.max(1),
        count_outer: usize::try_from(groups).ok()?,
    })
}
