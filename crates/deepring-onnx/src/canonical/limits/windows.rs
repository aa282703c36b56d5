//! How many elements convolutions and pools make, and look at.

use super::{Sizes, WORK, exceeds_limit, refuse_if};
use crate::proto::NodeProto;
use crate::read::ImportError;

/// Along one axis.
struct Axis {
    size: f64,
    padding: f64,
    kernel: f64,
    reach: f64,
    stride: f64,
    added: f64,
}

impl Sizes<'_> {
    /// The number of elements of a convolution's or pool's result, as far as it is known.
    ///
    /// # Errors
    /// Where what is padded, a window, or what all windows look at together is vast.
    pub(super) fn windows(&self, node: &NodeProto) -> Result<Option<f64>, ImportError> {
        let given = node.arg(0).map_or(1.0, |x| self.count(x));
        let look = |by: f64| {
            refuse_if(by > WORK, "a pool whose windows look at more than 2^34 elements", node)
        };
        if node.onnx_op() == "LRN" {
            let window = node.attr_int("size").unwrap_or(1) as f64;
            refuse_if(exceeds_limit(window), "a window of more than 2^27 elements", node)?;
            look(window * given)?;
            return Ok(None);
        }
        let weight = if node.onnx_op().ends_with("Pool") { None } else { self.dims(node.arg(1)) };
        let dims = self.dims(node.arg(0));
        let axes = axes(node, dims.as_deref(), weight.as_deref());
        let product = |of: fn(&Axis) -> f64| axes.iter().map(of).product::<f64>();
        let window = product(|a| a.kernel);
        refuse_if(exceeds_limit(window), "a window of more than 2^27 elements", node)?;
        let lead = |dims: &[f64], i: usize| dims.get(i).copied().unwrap_or(1.0);
        let batch = dims.as_deref().map_or(1.0, |d| lead(d, 0));
        let channels = match (&weight, node.onnx_op()) {
            (Some(w), "ConvTranspose") => {
                lead(w, 1) * node.attr_int("group").unwrap_or(1).max(1) as f64
            }
            (Some(w), _) => lead(w, 0),
            (None, _) => dims.as_deref().map_or(1.0, |d| lead(d, 1)),
        };
        if node.onnx_op() == "ConvTranspose" {
            let requested = node.attr_ints("output_shape").filter(|s| !s.is_empty());
            let places = match requested {
                Some(shape) => shape.iter().map(|n| *n as f64).product(),
                None => product(|a| {
                    ((a.size - 1.0) * a.stride + a.reach + a.added - a.padding).max(1.0)
                }),
            };
            return Ok(Some(batch * channels * places));
        }
        let padded = product(|a| a.size + a.padding.max(0.0));
        refuse_if(exceeds_limit(padded), "a tensor of more than 2^27 elements", node)?;
        let out = product(|a| (((a.size + a.padding - a.reach) / a.stride).floor() + 1.0).max(1.0));
        let out = batch * channels * out;
        if node.onnx_op().ends_with("Pool") {
            look(out * window)?;
        }
        Ok(Some(out))
    }
}

fn axes(node: &NodeProto, dims: Option<&[f64]>, weight: Option<&[f64]>) -> Vec<Axis> {
    let list = |name: &str| node.attr_ints(name).unwrap_or_default();
    let kernel = list("kernel_shape");
    let kernels: Vec<f64> = match weight.and_then(|w| w.get(2..)) {
        Some(weight) => weight.to_vec(),
        None => kernel.iter().map(|k| *k as f64).collect(),
    };
    let (pads, strides) = (list("pads"), list("strides"));
    let (dilations, added) = (list("dilations"), list("output_padding"));
    let explicit = matches!(node.attr_str("auto_pad"), None | Some("NOTSET" | ""));
    let of = |(i, kernel): (usize, &f64)| {
        let at = |list: &[i64], i: usize, or: i64| list.get(i).copied().unwrap_or(or) as f64;
        let padding = at(pads, i, 0) + at(pads, i + kernels.len(), 0);
        let stride = at(strides, i, 1).max(1.0);
        let size = dims.and_then(|d| d.get(i + 2)).copied().unwrap_or(1.0);
        let reach = (kernel - 1.0) * at(dilations, i, 1) + 1.0;
        Axis {
            size,
            // Padding that keeps the size is what the window and the stride need.
            padding: match (explicit, node.onnx_op()) {
                (true, _) => padding,
                (false, "ConvTranspose") => (reach - stride).max(0.0),
                (false, _) => 0.0,
            },
            kernel: *kernel,
            reach,
            stride,
            added: at(added, i, 0),
        }
    };
    kernels.iter().enumerate().map(of).collect()
}
