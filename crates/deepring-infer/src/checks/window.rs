//! The window of a convolution: which input pixel meets which tap for which output pixel.

use std::ops::Range;

use deepring_onnx::proto::NodeProto;

/// Shape and movement of a convolution's kernel, over two dimensions; one dimension is a picture of height 1.
///
/// Weights are `[output][input of the group][tap]`, a tensor `[picture][channel][row][column]`; taps are counted row by row. Each
/// pair of numbers is one for the rows and one for the columns, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub(crate) outputs: usize,
    pub(crate) inputs_per_group: usize,
    pub(crate) group: usize,
    pub(crate) kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: Pads,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Pads {
    /// Before the first row and column, and after the last.
    Explicit([usize; 2], [usize; 2]),
    SameUpper,
}

impl Window {
    /// The window of a `Conv` with weights of `dims`: `[output, input of the group, height, width]`, or without height. `None` for
    /// what is not understood.
    pub(crate) fn of(node: &NodeProto, dims: &[usize]) -> Option<Self> {
        let (outputs, inputs_per_group, kernel) = match *dims {
            [o, i, w] => (o, i, [1, w]),
            [o, i, h, w] => (o, i, [h, w]),
            _ => return None,
        };
        let flat = dims.len() == 3;
        let pair = |name: &str, default: usize| -> Option<[usize; 2]> {
            let Some(given) = node.attr_ints(name).filter(|v| !v.is_empty()) else {
                return Some(if flat { [1, default] } else { [default; 2] });
            };
            let given: Vec<usize> =
                given.iter().map(|v| usize::try_from(*v).ok()).collect::<Option<_>>()?;
            match (given.as_slice(), flat) {
                (&[w], true) => Some([1, w]),
                (&[h, w], false) => Some([h, w]),
                _ => None,
            }
        };
        let (strides, dilations) = (pair("strides", 1)?, pair("dilations", 1)?);
        if strides.contains(&0) || dilations.contains(&0) {
            return None;
        }
        let pads = match node.attr_str("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" => {
                let given = node.attr_ints("pads").unwrap_or_default();
                let given: Vec<usize> =
                    given.iter().map(|v| usize::try_from(*v).ok()).collect::<Option<_>>()?;
                match (given.as_slice(), flat) {
                    ([], _) => Pads::Explicit([0, 0], [0, 0]),
                    (&[left, right], true) => Pads::Explicit([0, left], [0, right]),
                    (&[top, left, bottom, right], false) => {
                        Pads::Explicit([top, left], [bottom, right])
                    }
                    _ => return None,
                }
            }
            "VALID" => Pads::Explicit([0, 0], [0, 0]),
            "SAME_UPPER" => Pads::SameUpper,
            _ => return None,
        };
        let group = usize::try_from(node.attr_int("group").unwrap_or(1)).ok()?;
        let divides = group > 0 && outputs % group == 0;
        divides.then_some(Self {
            outputs,
            inputs_per_group,
            group,
            kernel,
            strides,
            dilations,
            pads,
        })
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs_per_group.saturating_mul(self.group)
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    pub(crate) fn strides(&self) -> [usize; 2] {
        self.strides
    }

    /// How far a tap looks ahead of the first, in pixels.
    pub(crate) fn ahead(&self, tap: usize) -> [usize; 2] {
        let width = self.kernel[1].max(1);
        [tap / width * self.dilations[0], tap % width * self.dilations[1]]
    }

    /// How far the last tap looks ahead.
    pub(crate) fn reach_of_taps(&self) -> [usize; 2] {
        [0, 1].map(|d| (self.kernel[d] - 1) * self.dilations[d])
    }

    /// The padding before each dimension.
    pub(crate) fn pads(&self, size: [usize; 2], out: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|d| self.pad(d, size[d], out[d]))
    }

    /// Returns whether output pixel and input pixel are one and the same.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
            && self.strides == [1, 1]
            && matches!(self.pads, Pads::Explicit([0, 0], [0, 0]) | Pads::SameUpper)
    }

    /// The output's size for an input's. `None` if the kernel does not fit in.
    pub(crate) fn output(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let one = |dim: usize| -> Option<usize> {
            let stride = self.strides[dim];
            let Pads::Explicit(before, after) = &self.pads else {
                return Some(size[dim].div_ceil(stride));
            };
            let padded = size[dim].checked_add(before[dim])?.checked_add(after[dim])?;
            let reach = (self.kernel[dim].checked_sub(1)?).checked_mul(self.dilations[dim])?;
            Some(padded.checked_sub(reach)?.checked_sub(1)? / stride + 1)
        };
        Some([one(0)?, one(1)?])
    }

    /// For each output pixel, joins what stands in the tap's plane at the input pixel that the tap meets. `from` and `to` are
    /// `[row][column]`, of `size` and of `out`.
    pub(crate) fn gather<T: Copy>(
        &self,
        tap: usize,
        (from, size): (&[T], [usize; 2]),
        (to, out): (&mut [T], [usize; 2]),
        join: impl Fn(T, T) -> T + Copy,
    ) {
        let [ahead_y, ahead_x] = self.ahead(tap);
        let (rows, top) = self.reach(0, ahead_y, size[0], out[0]);
        let (columns, left) = self.reach(1, ahead_x, size[1], out[1]);
        if columns.is_empty() {
            return;
        }
        for oy in rows {
            let iy = oy * self.strides[0] + top.0 - top.1;
            let start = iy * size[1] + columns.start * self.strides[1] + left.0 - left.1;
            let line = from.get(start..).unwrap_or_default();
            let into = oy * out[1];
            let target = to.get_mut(into + columns.start..into + columns.end).unwrap_or_default();
            if self.strides[1] == 1 {
                target.iter_mut().zip(line).for_each(|(t, v)| *t = join(*t, *v));
            } else {
                let stepped = line.iter().step_by(self.strides[1]);
                target.iter_mut().zip(stepped).for_each(|(t, v)| *t = join(*t, *v));
            }
        }
    }

    /// The row and column of the input that a tap reads for those of an output, `place`; `None` in the padding.
    pub(crate) fn input_of(
        &self,
        place: [usize; 2],
        tap: usize,
        size: [usize; 2],
        out: [usize; 2],
    ) -> Option<[usize; 2]> {
        let (ahead, pads) = (self.ahead(tap), self.pads(size, out));
        let one = |d: usize| {
            let at = (place[d] * self.strides[d] + ahead[d]).checked_sub(pads[d])?;
            (at < size[d]).then_some(at)
        };
        Some([one(0)?, one(1)?])
    }

    /// The output places along a dimension for which a tap is inside the input, and what to add and take
    /// away to come from `place * stride` to the input.
    fn reach(
        &self,
        dim: usize,
        ahead: usize,
        size: usize,
        out: usize,
    ) -> (Range<usize>, (usize, usize)) {
        let stride = self.strides[dim];
        let pad = self.pad(dim, size, out);
        // First place with place*stride + ahead >= pad, first with place*stride + ahead - pad >= size.
        let first = pad.saturating_sub(ahead).div_ceil(stride).min(out);
        let end = (size + pad).saturating_sub(ahead).div_ceil(stride).min(out);
        (first..end.max(first), (ahead, pad))
    }

    fn pad(&self, dim: usize, size: usize, out: usize) -> usize {
        let total = || {
            let reach = (self.kernel[dim] - 1) * self.dilations[dim] + 1;
            (out.saturating_sub(1) * self.strides[dim] + reach).saturating_sub(size)
        };
        match self.pads {
            Pads::Explicit(before, _) => before[dim],
            Pads::SameUpper => total() / 2,
        }
    }
}
