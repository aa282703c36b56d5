//! When two values count as the same.

use crate::engine::{Elements, View};

/// How far what is computed anew may be from what was sent, as a share of the tensor's largest element.
///
/// Both sides compute the same few operators without parameters from the same inputs. On the same machine
/// they agree to the bit; kernels of other machines sum in another order and have other approximations of
/// exponentials: some units in the last place (6·10⁻⁸) for each of some hundred roundings, and no more. A
/// decision that turns on such differences is one that the machines alone decide.
const SHARE: f32 = 1e-4;

/// To the bit.
pub(super) fn same(a: &View<'_>, b: &View<'_>) -> bool {
    let bits = |a: &[f32], b: &[f32]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    };
    a.dims == b.dims
        && match (&a.elements, &b.elements) {
            (Elements::F32(a), Elements::F32(b)) => bits(a, b),
            (a, b) => a == b,
        }
}

/// Floats as near as rounding explains, all else to the bit.
pub(super) fn near(sent: &View<'_>, computed: &View<'_>) -> bool {
    let (Elements::F32(a), Elements::F32(b)) = (&sent.elements, &computed.elements) else {
        return same(sent, computed);
    };
    let peak = b.iter().filter(|v| v.is_finite()).fold(0f32, |m, v| m.max(v.abs()));
    let bound = peak * SHARE;
    // Written so that a NaN on one side alone fails.
    let fits =
        |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a == b || (a - b).abs() <= bound;
    sent.dims == computed.dims && a.len() == b.len() && a.iter().zip(b.iter()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(values: &[f32]) -> View<'_> {
        View { dims: vec![values.len()], elements: Elements::F32(values.into()) }
    }

    #[test]
    fn floats_are_near_within_a_share_of_the_largest() {
        let computed = [1000.0, 0.0, -3.0];
        assert!(near(&view(&[1000.05, 0.05, -3.05]), &view(&computed)));
        for wrong in [[1000.2, 0.0, -3.0], [1000.0, f32::NAN, -3.0], [1000.0, f32::INFINITY, -3.0]]
        {
            assert!(!near(&view(&wrong), &view(&computed)), "{wrong:?}");
        }
        assert!(!near(&view(&[1000.0, 0.0]), &view(&computed)));
        assert!(!same(&view(&[1000.0, 1e-9, -3.0]), &view(&computed)));
        assert!(same(&view(&computed), &view(&computed)));
    }

    #[test]
    fn integers_are_the_same_or_not() {
        let of =
            |v: &'static [i32]| View { dims: vec![v.len()], elements: Elements::I32(v.into()) };
        assert!(near(&of(&[100_000, 5]), &of(&[100_000, 5])));
        assert!(!near(&of(&[100_000, 5]), &of(&[100_000, 4])));
        assert!(!near(&of(&[1]), &view(&[1.0])));
    }
}
