//! Shapes of an operator's tensors: as pictures of channels, and whether input and output belong together.

use crate::checks::operators::{Linear, LinearForm};

/// Pictures, channels, height and width of a convolution's tensor, `[picture][channel][row][column]` or without rows.
pub(in super::super) fn picture(dims: &[usize]) -> Option<(usize, usize, [usize; 2])> {
    match *dims {
        [n, c, w] => Some((n, c, [1, w])),
        [n, c, h, w] => Some((n, c, [h, w])),
        _ => None,
    }
}

/// A tensor `[..][channel]` as [`picture`] gives one: a single picture of height 1, whose columns are the tensor's rows.
pub(in super::super) fn matrix(dims: &[usize]) -> Option<(usize, usize, [usize; 2])> {
    let (last, outer) = dims.split_last()?;
    Some((1, *last, [1, outer.iter().product()]))
}

/// Returns whether an operator gives an output of this shape for an input of that: a part of a picture has the right
/// sums too, and is another picture.
pub(crate) fn fits_shape(linear: &Linear, x: &[usize], y: &[usize]) -> bool {
    match &linear.form {
        LinearForm::Rows { inner, outer, .. } => match (x.split_last(), y.split_last()) {
            (Some((i, before)), Some((o, after))) => i == inner && o == outer && before == after,
            _ => false,
        },
        LinearForm::Conv(window) => match (x, y) {
            (&[n, c, w], &[m, o, v]) => {
                n == m
                    && c == window.inputs()
                    && o == window.outputs
                    && window.output([1, w]) == Some([1, v])
            }
            (&[n, c, h, w], &[m, o, u, v]) => {
                n == m
                    && c == window.inputs()
                    && o == window.outputs
                    && window.output([h, w]) == Some([u, v])
            }
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::operators::{Arithmetic, Source};
    use crate::checks::window::Window;
    use deepring_onnx::proto::{AttributeProto, NodeProto};

    fn linear(form: LinearForm) -> Linear {
        let x = Source { value: "x".into(), relu: false };
        Linear { x, y: "y".into(), weight: 0, bias: None, form, arithmetic: Arithmetic::unscaled() }
    }

    fn conv(attributes: &[(&str, &[i64])], auto_pad: Option<&str>, dims: &[usize]) -> Linear {
        let mut node = NodeProto::default();
        for (name, values) in attributes {
            node.attribute.push(AttributeProto {
                name: Some((*name).into()),
                ints: values.to_vec(),
                ..AttributeProto::default()
            });
        }
        if let Some(pad) = auto_pad {
            node.attribute.push(AttributeProto {
                name: Some("auto_pad".into()),
                s: Some(pad.as_bytes().to_vec()),
                ..AttributeProto::default()
            });
        }
        linear(LinearForm::Conv(Window::of(&node, dims).unwrap()))
    }

    #[test]
    fn only_the_shape_that_an_operator_gives_is_believed() {
        let rows = linear(LinearForm::Rows { inner: 3, outer: 5, transposed: false });
        assert!(fits_shape(&rows, &[2, 7, 3], &[2, 7, 5]));
        assert!(fits_shape(&rows, &[3], &[5]));
        for (x, y) in [
            (&[2, 7, 3][..], &[7, 2, 5][..]),
            (&[2, 7, 3], &[14, 5]),
            (&[2, 7, 3], &[2, 6, 5]),
            (&[2, 7, 4], &[2, 7, 5]),
            (&[], &[]),
        ] {
            assert!(!fits_shape(&rows, x, y), "{x:?} {y:?}");
        }
        let w = &[4, 2, 3, 3];
        // ONNX's definition: floor((size + pads - reach) / stride) + 1.
        let cases: [(Linear, [usize; 2]); 6] = [
            (conv(&[], None, w), [8, 7]),
            (conv(&[("pads", &[1, 1, 1, 1])], None, w), [10, 9]),
            (conv(&[("pads", &[0, 0, 1, 1]), ("strides", &[2, 2])], None, w), [5, 4]),
            (conv(&[("dilations", &[2, 3])], None, w), [6, 3]),
            (conv(&[("strides", &[2, 2])], Some("SAME_UPPER"), w), [5, 5]),
            (conv(&[("strides", &[3, 1])], Some("VALID"), w), [3, 7]),
        ];
        for (linear, [h, v]) in cases {
            let x = [6, 2, 10, 9];
            assert!(fits_shape(&linear, &x, &[6, 4, h, v]), "{h} {v}");
            for wrong in [[6, 4, h - 1, v], [6, 4, h, v + 1], [5, 4, h, v], [6, 3, h, v]] {
                assert!(!fits_shape(&linear, &x, &wrong), "{wrong:?}");
            }
        }
        let small = conv(&[], None, w);
        assert!(!fits_shape(&small, &[1, 2, 2, 2], &[1, 4, 1, 1]), "the kernel does not fit in");
    }
}
