//! A projection that the owner draws and a neighbour uses: what of it is sealed, and back.

use zeroize::Zeroizing;

use super::{LinearForm, Projection, ProjectionData, Shape};

impl Projection<'_> {
    /// How many numbers are sealed for an operator. `None` if they do not fit.
    pub(crate) fn sealed_len(form: &LinearForm) -> Option<usize> {
        let Shape { outputs, inputs, taps, inner } = Shape::of(form)?;
        let of_inputs = taps.checked_add(1)?.checked_mul(inputs)?;
        let len = outputs.checked_add(of_inputs)?.checked_add(2)?;
        // What is added up later, too.
        len.checked_add(outputs)?.checked_add(inner)?.checked_add(taps)?;
        Some(len)
    }

    /// r, r·W, Σ r²W² of each input, Σ r·b, Σ r²b².
    ///
    /// The sums of squares serve the bound alone. They are rounded up to powers of two: that makes the bound
    /// wider by less than 3/2 and keeps what they say about the parameters small.
    pub(crate) fn to_seal(&self) -> Zeroizing<Vec<f32>> {
        let Shape { outputs, inputs, taps, .. } = self.shape;
        let planes = taps * inputs;
        let ((r, _), (rw, squares)) = (self.for_outputs(), self.for_inputs());
        let constant = self.part(2 * outputs + planes + inputs, 2);
        let mut out = Zeroizing::new(Vec::with_capacity(outputs + planes + inputs + 2));
        out.extend_from_slice(r);
        out.extend_from_slice(rw);
        out.extend(squares.iter().copied().map(power_of_two));
        out.extend(constant.first());
        out.extend(constant.get(1).copied().map(power_of_two));
        out
    }

    /// The projection of an operator of this form from what was sealed. `None` if that has another length.
    pub(crate) fn from_sealed(form: &LinearForm, sealed: &[f32]) -> Option<Projection<'static>> {
        if Self::sealed_len(form)? != sealed.len() {
            return None;
        }
        let shape = Shape::of(form)?;
        let (r, rest) = sealed.split_at_checked(shape.outputs)?;
        let mut numbers = Zeroizing::new(Vec::with_capacity(sealed.len() + shape.outputs));
        numbers.extend_from_slice(r);
        numbers.extend(r.iter().map(|r| r * r));
        numbers.extend_from_slice(rest);
        Some(Projection { numbers: ProjectionData::Owned(numbers), shape })
    }
}

/// The smallest power of two that is not below a number that is not negative; infinite for what is larger than
/// any, and never below the smallest normal number but for 0.
fn power_of_two(v: f32) -> f32 {
    const FRACTION: u32 = 0x007f_ffff;
    let bits = v.to_bits();
    if bits & FRACTION == 0 || !v.is_finite() {
        return v;
    }
    f32::from_bits((bits & !FRACTION) + FRACTION + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_rounded_up_to_powers_of_two_and_never_down() {
        for (v, wanted) in
            [(0.0, 0.0), (1.0, 1.0), (1.5, 2.0), (0.3, 0.5), (1e-40, f32::MIN_POSITIVE)]
        {
            assert_eq!(power_of_two(v), wanted, "{v}");
        }
        assert_eq!(power_of_two(f32::MAX), f32::INFINITY);
        assert_eq!(power_of_two(f32::INFINITY), f32::INFINITY);
        assert!(power_of_two(f32::NAN).is_nan());
    }

    fn drawn(outputs: usize, group: usize, weights: &[f32]) -> (LinearForm, Zeroizing<Vec<f32>>) {
        let mut node = deepring_onnx::proto::NodeProto::default();
        node.attribute.push(deepring_onnx::proto::AttributeProto {
            name: Some("group".into()),
            i: Some(group as i64),
            ..Default::default()
        });
        let dims = [outputs, weights.len() / outputs / 9, 3, 3];
        let form = LinearForm::Conv(crate::checks::Window::of(&node, &dims).unwrap());
        let x = crate::checks::Source { value: "x".into(), relu: false };
        let arithmetic = crate::checks::Arithmetic::unscaled();
        let (y, form_of) = ("y".into(), form.clone());
        let linear =
            crate::checks::Linear { x, y, weight: 0, bias: None, form: form_of, arithmetic };
        let sealed = Projection::draw(&linear, weights, None).unwrap().to_seal();
        (form, sealed)
    }

    #[test]
    fn what_is_sealed_comes_back_and_nothing_of_another_length_does() {
        let weights: Vec<f32> = (0..36).map(|i| i as f32 / 7.0 - 2.0).collect();
        let (form, sealed) = drawn(4, 1, &weights);
        assert_eq!(Some(sealed.len()), Projection::sealed_len(&form));
        let back = Projection::from_sealed(&form, &sealed).unwrap();
        assert_eq!(back.to_seal(), sealed);
        assert!(Projection::from_sealed(&form, &sealed[1..]).is_none());
    }

    /// One vector is one equation for the weights that a group's outputs have at one place. A group of one output
    /// has one such weight, so who may read the vector reads the weights.
    #[test]
    fn one_vector_gives_away_a_depthwise_kernel_and_of_others_one_sum() {
        let weights: Vec<f32> = (0..36).map(|i| i as f32 / 7.0 - 2.0).collect();
        let solved = |group: usize| -> Vec<f32> {
            let (form, sealed) = drawn(4, group, &weights);
            let LinearForm::Conv(window) = &form else { panic!("a convolution") };
            let (r, planes) = (&sealed[..4], &sealed[4..4 + 9 * window.inputs()]);
            (0..4)
                .flat_map(|c| (0..9).map(move |tap| (c, tap)))
                .map(|(c, tap)| planes[tap * window.inputs() + c % window.inputs()] / r[c])
                .collect()
        };
        let near = |found: &[f32]| found.iter().zip(&weights).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(&solved(4)), "depthwise");
        assert!(!near(&solved(1)));
    }
}
