//! Which inputs a window of a convolution or a pool looks at.

use deepring_onnx::proto::NodeProto;

use super::attributes::{int, ints, text};

/// A row that is not there: candle's index operators read zeros and add nothing.
pub(super) const OUTSIDE: u32 = u32::MAX;

/// Windows over some spatial dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Windows {
    inputs: Vec<usize>,
    kernel: Vec<usize>,
    strides: Vec<usize>,
    /// Before the first element of each dimension.
    pads: Vec<usize>,
    dilations: Vec<usize>,
    /// Windows in each dimension.
    pub(super) outputs: Vec<usize>,
}

impl Windows {
    /// As the attributes of a node say; `None` where they contradict each other or are not known here.
    pub(super) fn of(node: &NodeProto, inputs: &[usize], kernel: &[usize]) -> Option<Self> {
        let rank = inputs.len();
        let sizes = |name: &str, count: usize, default: usize| -> Option<Vec<usize>> {
            let Some(given) = ints(node, name) else { return Some(vec![default; count]) };
            let sizes: Vec<usize> =
                given.iter().map(|i| usize::try_from(*i)).collect::<Result<_, _>>().ok()?;
            (sizes.len() == count).then_some(sizes)
        };
        let strides = sizes("strides", rank, 1)?;
        let dilations = sizes("dilations", rank, 1)?;
        let given = sizes("pads", 2 * rank, 0)?;
        let same = text(node, "auto_pad").unwrap_or("NOTSET");
        if kernel.len() != rank || [&strides, &dilations].iter().any(|s| s.contains(&0)) {
            return None;
        }
        let up = int(node, "ceil_mode", 0) != 0;
        let (mut pads, mut outputs) = (Vec::new(), Vec::new());
        for d in 0..rank {
            let (size, stride) = (*inputs.get(d)?, *strides.get(d)?);
            let reach = (kernel.get(d)?.checked_sub(1)?).checked_mul(*dilations.get(d)?)? + 1;
            let (begin, end) = match same {
                "NOTSET" => (*given.get(d)?, *given.get(d + rank)?),
                "VALID" => (0, 0),
                "SAME_UPPER" | "SAME_LOWER" => {
                    let count = size.div_ceil(stride);
                    let all = (count.checked_sub(1)? * stride + reach).saturating_sub(size);
                    let less = all / 2;
                    if same == "SAME_UPPER" { (less, all - less) } else { (all - less, less) }
                }
                _ => return None,
            };
            let room = (size + begin + end).checked_sub(reach)?;
            let mut count = if up { room.div_ceil(stride) } else { room / stride } + 1;
            // A window that would begin in the padding behind the input is none.
            if up && (count - 1) * stride >= size + begin {
                count -= 1;
            }
            pads.push(begin);
            outputs.push(count);
        }
        Some(Self {
            inputs: inputs.to_vec(),
            kernel: kernel.to_vec(),
            strides,
            pads,
            dilations,
            outputs,
        })
    }

    /// Places in a window.
    pub(super) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Returns whether each window is the element at its place, in order.
    pub(super) fn is_identity(&self) -> bool {
        self.taps() == 1 && self.inputs == self.outputs && self.strides.iter().all(|s| *s == 1)
    }

    /// For each of `count` samples, window and place in it, in this order: the row of the input there.
    pub(super) fn rows(&self, count: usize) -> Vec<u32> {
        let one: Vec<Option<usize>> = self.of_one();
        let size: usize = self.inputs.iter().product();
        let row = |sample: usize, at: &Option<usize>| {
            at.and_then(|at| u32::try_from(sample * size + at).ok()).unwrap_or(OUTSIDE)
        };
        (0..count).flat_map(|s| one.iter().map(move |at| row(s, at))).collect()
    }

    /// The same of one place in the window only.
    pub(super) fn rows_of_tap(&self, count: usize, tap: usize) -> Vec<u32> {
        self.rows(count).into_iter().skip(tap).step_by(self.taps().max(1)).collect()
    }

    /// Places of each window that are inside of the input.
    pub(super) fn inside(&self) -> Vec<f32> {
        let one = self.of_one();
        one.chunks(self.taps().max(1)).map(|w| w.iter().flatten().count() as f32).collect()
    }

    fn of_one(&self) -> Vec<Option<usize>> {
        let windows: usize = self.outputs.iter().product();
        (0..windows)
            .flat_map(|window| (0..self.taps()).map(move |tap| (window, tap)))
            .map(|(window, tap)| self.place(window, tap))
            .collect()
    }

    fn place(&self, mut window: usize, mut tap: usize) -> Option<usize> {
        let (mut at, mut factor) = (0, 1);
        let dims = self.inputs.iter().zip(&self.kernel).zip(&self.outputs);
        let steps = self.strides.iter().zip(&self.dilations).zip(&self.pads);
        for (((size, kernel), outputs), ((stride, dilation), pad)) in dims.zip(steps).rev() {
            let padded = window % outputs * stride + tap % kernel * dilation;
            let inside = padded.checked_sub(*pad).filter(|p| p < size)?;
            (at, factor) = (at + inside * factor, factor * size);
            (window, tap) = (window / outputs, tap / kernel);
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use deepring_onnx::proto::AttributeProto;

    use super::*;

    fn node(attributes: &[(&str, &[i64])]) -> NodeProto {
        let attribute = attributes.iter().map(|(name, ints)| AttributeProto {
            name: Some((*name).to_owned()),
            ints: ints.to_vec(),
            ..AttributeProto::default()
        });
        NodeProto { attribute: attribute.collect(), ..NodeProto::default() }
    }

    #[test]
    fn windows_are_laid_as_onnx_says() {
        let w = Windows::of(&node(&[("pads", &[1, 1]), ("strides", &[2])]), &[5], &[3]).unwrap();
        let n = OUTSIDE;
        assert_eq!(w.rows(2), [n, 0, 1, 1, 2, 3, 3, 4, n, n, 5, 6, 6, 7, 8, 8, 9, n]);
        assert_eq!(w.rows_of_tap(1, 2), [1, 3, n]);
        assert_eq!(w.inside(), [2.0, 3.0, 2.0]);
        let w = Windows::of(&node(&[("dilations", &[2, 1])]), &[3, 2], &[2, 2]).unwrap();
        assert_eq!((w.outputs.as_slice(), w.rows(1)), (&[1, 1][..], vec![0, 1, 4, 5]));
        assert!(Windows::of(&node(&[]), &[2], &[3]).is_none());
        assert!(Windows::of(&node(&[("strides", &[0])]), &[2], &[1]).is_none());
    }
}
