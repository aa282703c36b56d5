//! How far apart the outputs of two copies of a leg may be that compute with unlike engines.
//!
//! In which order an engine adds, and what it fuses, is its own affair, so that the last bits of right
//! outputs differ. How much a leg makes of that depends on its parameters and on the query. It is
//! measured for the query at hand by Monte Carlo arithmetic (Parker, *Monte Carlo Arithmetic*, 1997):
//! the leg runs again [`SAMPLES`] times, block by block, and each floating-point value that enters a
//! block has a relative error of its own, drawn evenly from ±[`ERROR`]. How far an element then strays
//! from what was computed without is its *spread*, and [`FACTOR`] times that is its tolerance.
//!
//! Values that every engine has exactly must get no error: of a mask of ones, which is used as `(1 - mask) * -1e9`,
//! it would make a network that looks unstable. See [`enter`].
//!
//! The attacker here is a copy that lies within the tolerance. `docs/REPLICATION.md` says how much
//! that is, and `benches/rounding.rs` measures it beside engines that do differ.

use std::ops::Range;

use deepring::receipt::Agreement;
use deepring::{DType, TensorValue};
use half::{bf16, f16};

use super::{RingHost, leg};
use crate::engine::{Engine, bytes, elements};
use crate::error::RunError;

/// Runs of a leg with errors.
const SAMPLES: usize = 6;
/// Largest relative error of a value that enters a block. A sum of n products in 32-bit floats, added in
/// lanes, errs by some √n/4 units in the last place of its root mean square term times √n; this is the
/// error of a sum of about four thousand.
const ERROR: f64 = 1.0 / (1u32 << 20) as f64;
/// Spreads by which an element may deviate.
const FACTOR: f64 = 8.0;
/// Share of its tensor's usual spread (the median of those that are not zero) that each element has at
/// least: six samples can miss what is rare, as an element that is zero in all of them. The median, since
/// one element that is vast must not lend its spread to the others.
const LEAST_SHARE: f64 = 0.5;
/// Units in the last place by which an element may deviate however little its leg makes of errors: what
/// the last operation alone rounds.
const LAST_PLACES: f64 = 4.0;

/// The queries of a batch, the tensors of each.
type Batch = [Vec<TensorValue>];

/// Compares what another copy got for a leg with what this host got. `inputs` entered the leg, `own` left
/// it here and `theirs` there; `seed` chooses the errors, and one seed gives one answer.
///
/// # Errors
/// As a run of the leg has them: this host could not compute it again.
pub(super) fn compare<E: Engine>(
    host: &RingHost<E>,
    inputs: &Batch,
    range: &Range<u32>,
    (own, theirs): (&Batch, &Batch),
    seed: u64,
) -> Result<Agreement, RunError> {
    if own.len() != inputs.len() || own.len() != theirs.len() {
        return Ok(Agreement::UNMEASURED);
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut worst = Worst::default();
    for ((inputs, own), theirs) in inputs.iter().zip(own).zip(theirs) {
        if own == theirs {
            continue;
        }
        if !comparable(own, theirs) {
            return Ok(Agreement::UNMEASURED);
        }
        let tolerances = tolerances(host, inputs, range, own, &mut random)?;
        for ((own, theirs), tolerances) in own.iter().zip(theirs).zip(&tolerances) {
            if !worst.see(own, theirs, tolerances) {
                return Ok(Agreement::UNMEASURED);
            }
        }
    }
    Ok(worst.agreement())
}

/// Returns whether two sets of tensors differ in floating-point elements alone: nothing else, as an
/// integer, has a tolerance.
fn comparable(own: &[TensorValue], theirs: &[TensorValue]) -> bool {
    let alike = |(own, theirs): (&TensorValue, &TensorValue)| {
        let (shape, other) = ((own.name(), own.dtype(), own.dims()), theirs);
        shape == (other.name(), other.dtype(), other.dims())
            && (own.data() == theirs.data() || floats(own).is_some())
    };
    own.len() == theirs.len() && own.iter().zip(theirs).all(alike)
}

/// The tolerance of each element of each tensor that leaves a leg for one query; none for tensors that are
/// no floats. Not finite where an element overflows in some of the runs: it has none.
pub(super) fn tolerances<E: Engine>(
    host: &RingHost<E>,
    inputs: &[TensorValue],
    range: &Range<u32>,
    own: &[TensorValue],
    random: &mut fastrand::Rng,
) -> Result<Vec<Vec<f64>>, RunError> {
    let right: Vec<Vec<f64>> = own.iter().map(|t| floats(t).unwrap_or_default()).collect();
    let mut squares: Vec<Vec<f64>> = right.iter().map(|t| vec![0.0; t.len()]).collect();
    for _ in 0..SAMPLES {
        let mut live = inputs.to_vec();
        for block in range.clone() {
            let erring = enter(&live, random);
            let ran = host.engine.within(|| leg::run(host, &[erring], block..block + 1))?;
            live = ran.outputs.into_iter().next().unwrap_or_default();
        }
        for ((squares, right), strayed) in squares.iter_mut().zip(&right).zip(&live) {
            let strayed = floats(strayed).unwrap_or_default();
            for ((square, right), strayed) in squares.iter_mut().zip(right).zip(strayed) {
                *square += (strayed - right) * (strayed - right) / SAMPLES as f64;
            }
        }
    }
    Ok(own.iter().zip(&squares).map(|(tensor, squares)| of_spreads(tensor, squares)).collect())
}

/// The tensors that enter a block in a run with errors.
///
/// A tensor of nothing but zeros and ones, of either sign, stays as it is where another tensor has errors:
/// it is a mask, which engines do not compute in different ways. Alone it is data, as a picture in black and
/// white, and the errors stand for what the block's sums over it round.
fn enter(live: &[TensorValue], random: &mut fastrand::Rng) -> Vec<TensorValue> {
    let is_mask = |t: &TensorValue| {
        floats(t).is_some_and(|values| values.iter().all(|v| [-1.0, 0.0, 1.0].contains(v)))
    };
    let beside = live.iter().any(|t| floats(t).is_some() && !is_mask(t));
    let erring = live.iter().map(|t| match beside && is_mask(t) {
        true => t.clone(),
        false => with_errors(t, random),
    });
    erring.collect()
}

/// The tolerance of each element, by the squares of their spreads.
fn of_spreads(own: &TensorValue, squares: &[f64]) -> Vec<f64> {
    // An infinite or undefined spread is of an element that overflows: it counts for no other.
    let strayed = squares.iter().filter(|s| s.is_finite() && **s > 0.0);
    let mut strayed: Vec<f64> = strayed.copied().collect();
    let middle = strayed.len() / 2;
    let least = match middle < strayed.len() {
        true => LEAST_SHARE * strayed.select_nth_unstable_by(middle, f64::total_cmp).1.sqrt(),
        false => 0.0,
    };
    let last_place = LAST_PLACES * unit(own.dtype());
    let values = floats(own).unwrap_or_default();
    let pairs = values.iter().zip(squares);
    pairs
        .map(|(value, square)| match square.is_finite() {
            true => f64::max(FACTOR * f64::max(square.sqrt(), least), last_place * value.abs()),
            false => f64::INFINITY,
        })
        .collect()
}

/// The element that deviates most, against its tolerance.
#[derive(Default)]
struct Worst {
    /// Its deviation by its tolerance; infinite where the tolerance is none.
    share: f64,
    deviation: f64,
    tolerance: f64,
}

impl Worst {
    /// Looks at a tensor. Returns `false` where an element that differs is not finite in one of the two, or has
    /// no tolerance.
    fn see(&mut self, own: &TensorValue, theirs: &TensorValue, tolerances: &[f64]) -> bool {
        if own.data() == theirs.data() {
            return true;
        }
        let (Some(values), Some(others)) = (floats(own), floats(theirs)) else { return false };
        if values.len() != tolerances.len() || values.len() != others.len() {
            return false;
        }
        for ((value, other), tolerance) in values.iter().zip(&others).zip(tolerances) {
            let same = value == other || value.is_nan() && other.is_nan();
            if same {
                continue;
            }
            let deviation = (value - other).abs();
            if !deviation.is_finite() || !tolerance.is_finite() {
                return false;
            }
            let share = deviation / tolerance;
            if share > self.share {
                *self = Self { share, deviation, tolerance: *tolerance };
            }
        }
        true
    }

    fn agreement(&self) -> Agreement {
        // Elements that differ in the sign of a zero, or in what a NaN carries, deviate by nothing; a record
        // says of that the least that it can.
        let least = f32::MIN_POSITIVE;
        let bound = (self.tolerance as f32).clamp(least, f32::MAX);
        let largest = (self.deviation as f32).max(least);
        match (self.share <= 1.0, self.tolerance > 0.0) {
            (true, _) => Agreement::Near { largest: largest.min(bound), bound },
            (false, true) => Agreement::Differs { largest: largest.max(bound.next_up()), bound },
            (false, false) => Agreement::Differs { largest, bound: 0.0 },
        }
    }
}

/// The relative unit in the last place of a floating-point type, as far as engines compute in it.
fn unit(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f64::from(f16::EPSILON),
        DType::Bf16 => f64::from(bf16::EPSILON),
        _ => f64::from(f32::EPSILON),
    }
}

/// The elements of a floating-point tensor; `None` for other types.
fn floats(tensor: &TensorValue) -> Option<Vec<f64>> {
    let data = tensor.data();
    Some(match tensor.dtype() {
        DType::F32 => elements(data, |b| f64::from(f32::from_le_bytes(b))),
        DType::F64 => elements(data, f64::from_le_bytes),
        DType::F16 => elements(data, |b| f16::from_le_bytes(b).to_f64()),
        DType::Bf16 => elements(data, |b| bf16::from_le_bytes(b).to_f64()),
        _ => return None,
    })
}

/// The tensor with a relative error in each element: of at most [`ERROR`], or of a unit in the last place
/// where that is more. What is no float stays.
fn with_errors(tensor: &TensorValue, random: &mut fastrand::Rng) -> TensorValue {
    let Some(values) = floats(tensor) else { return tensor.clone() };
    let most = f64::max(ERROR, unit(tensor.dtype()));
    let mut erring = values.into_iter().map(|v| v * (1.0 + most * (2.0 * random.f64() - 1.0)));
    let data = match tensor.dtype() {
        DType::F64 => bytes(&mut erring, f64::to_le_bytes),
        DType::F16 => bytes(erring.map(f16::from_f64), f16::to_le_bytes),
        DType::Bf16 => bytes(erring.map(bf16::from_f64), bf16::to_le_bytes),
        _ => bytes(erring.map(|v| v as f32), f32::to_le_bytes),
    };
    let (name, dims) = (tensor.name(), tensor.dims().to_vec());
    TensorValue::new(name, tensor.dtype(), dims, data).unwrap_or_else(|_| tensor.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> TensorValue {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        TensorValue::new("t", DType::F32, vec![values.len() as u64], data).unwrap()
    }

    /// How two tensors compare under these spreads; `None` where nothing can be said.
    fn seen(own: &[f32], theirs: &[f32], spread: &[f64]) -> Option<Agreement> {
        let mut worst = Worst::default();
        let squares: Vec<f64> = spread.iter().map(|s| s * s).collect();
        let tolerances = of_spreads(&tensor(own), &squares);
        worst.see(&tensor(own), &tensor(theirs), &tolerances).then(|| worst.agreement())
    }

    #[test]
    fn an_element_is_held_to_its_own_tolerance() {
        let spread = [1e-3, 1e-6, 0.0, 1e-6];
        let near = seen(&[1.0, 1.0, 1.0, 1.0], &[1.007, 1.0, 1.0, 1.0], &spread).unwrap();
        let Agreement::Near { largest, bound } = near else { panic!("{near:?}") };
        assert!((largest - 7e-3).abs() < 1e-5 && (bound - 8e-3).abs() < 1e-5, "{near:?}");
        let differs = seen(&[1.0, 1.0, 1.0, 1.0], &[1.0, 1.007, 1.0, 1.0], &spread).unwrap();
        let Agreement::Differs { largest, bound } = differs else { panic!("{differs:?}") };
        assert!((largest - 7e-3).abs() < 1e-5 && (bound - 8e-6).abs() < 1e-8, "{differs:?}");
        // One that did not stray has half of the usual spread: six samples can miss what is rare.
        let theirs = |v: f32| seen(&[1.0; 4], &[1.0, 1.0, v, 1.0], &spread).unwrap();
        assert!(matches!(theirs(1.000_003_5), Agreement::Near { .. }));
        assert!(matches!(theirs(1.000_005), Agreement::Differs { .. }));
    }

    /// A tensor with one element of a million: the others must not have its tolerance.
    #[test]
    fn a_vast_element_widens_no_other() {
        let mut own = [1.0; 10];
        own[4] = 1e6;
        let mut spread = [5.5e-7; 10];
        spread[4] = 0.55;
        let squares = spread.map(|s| s * s);
        let tolerances = of_spreads(&tensor(&own), &squares);
        assert!(tolerances[4] > 4.0, "{tolerances:?}");
        let others = tolerances.iter().enumerate().filter(|(n, _)| *n != 4);
        assert!(others.clone().all(|(_, t)| (4e-6..5e-6).contains(t)), "{tolerances:?}");
    }

    #[test]
    fn a_mask_beside_data_has_no_errors_and_alone_it_is_data() {
        let mut random = fastrand::Rng::with_seed(7);
        let mask = tensor(&[1.0, 0.0, -1.0, 1.0]);
        let data = tensor(&[0.5, 1.0, 0.0, 2.0]);
        let two = TensorValue::new("i", DType::I32, vec![1], vec![1, 0, 0, 0]).unwrap();
        let entered = enter(&[mask.clone(), data.clone(), two.clone()], &mut random);
        assert_eq!((&entered[0], &entered[2]), (&mask, &two));
        assert_ne!(entered[1], data);
        for alone in [vec![mask.clone()], vec![mask.clone(), two], vec![mask.clone(); 2]] {
            let entered = enter(&alone, &mut random);
            assert_ne!(entered[0], mask, "{}", alone.len());
        }
    }

    #[test]
    fn without_any_spread_the_last_places_alone_may_differ() {
        let ulp = f32::EPSILON;
        let near = seen(&[1.0], &[1.0 + 4.0 * ulp], &[0.0]).unwrap();
        assert!(matches!(near, Agreement::Near { .. }), "{near:?}");
        let differs = seen(&[1.0], &[1.0 + 5.0 * ulp], &[0.0]).unwrap();
        assert!(matches!(differs, Agreement::Differs { .. }), "{differs:?}");
        // Of a zero there are none.
        let differs = seen(&[0.0], &[1e-30], &[0.0]).unwrap();
        assert_eq!(differs, Agreement::Differs { largest: 1e-30, bound: 0.0 });
    }

    #[test]
    fn every_agreement_is_one_that_a_record_can_state() {
        let spreads = [0.0, 1e-9, 1e-30, 1e30];
        let numbers = [0.0, -0.0, 1.0, -1.0, f32::MIN_POSITIVE, 1e-45, 3.0e38, f32::NAN];
        for own in numbers {
            for theirs in numbers {
                for spread in spreads {
                    match seen(&[own], &[theirs], &[spread]) {
                        Some(Agreement::Near { largest, bound }) => {
                            assert!(0.0 < largest && largest <= bound && bound.is_finite());
                        }
                        Some(Agreement::Differs { largest, bound }) => {
                            assert!(largest > bound && bound >= 0.0, "{own} {theirs} {spread}");
                        }
                        Some(Agreement::Same) => panic!("{own} {theirs}"),
                        None => {}
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_infinite_or_no_number_on_one_side_alone_has_no_tolerance() {
        let inf = f32::INFINITY;
        for (own, theirs) in [(inf, 1.0), (1.0, inf), (inf, -inf), (f32::NAN, 1.0), (1.0, f32::NAN)]
        {
            assert_eq!(seen(&[own], &[theirs], &[1e30]), None, "{own} {theirs}");
        }
        // The same infinity beside an element that deviates hides nothing and adds nothing.
        let near = seen(&[inf, 1.0], &[inf, 1.0 + f32::EPSILON], &[f64::NAN, 0.0]).unwrap();
        assert!(matches!(near, Agreement::Near { .. }), "{near:?}");
        let differs = seen(&[inf, 1.0], &[inf, 1.1], &[f64::INFINITY, 1e-6]).unwrap();
        assert!(matches!(differs, Agreement::Differs { .. }), "{differs:?}");
        // An element that overflows in some runs has no spread to be held to.
        assert_eq!(seen(&[1.0], &[2.0], &[f64::INFINITY]), None);
    }

    #[test]
    fn integers_names_and_shapes_have_no_tolerance() {
        let one = |dtype, data: Vec<u8>, dims: Vec<u64>| {
            [TensorValue::new("t", dtype, dims, data).unwrap()]
        };
        let own = one(DType::I32, vec![1, 0, 0, 0], vec![1]);
        assert!(!comparable(&own, &one(DType::I32, vec![2, 0, 0, 0], vec![1])));
        assert!(comparable(&own, &own.clone()));
        let float = one(DType::F32, vec![0; 4], vec![1]);
        assert!(comparable(&float, &one(DType::F32, vec![1, 0, 0, 0], vec![1])));
        assert!(!comparable(&float, &one(DType::F32, vec![0; 4], vec![1, 1])));
        assert!(!comparable(&float, &own));
        assert!(!comparable(&float, &[]));
        let renamed = TensorValue::new("u", DType::F32, vec![1], vec![0; 4]).unwrap();
        assert!(!comparable(&float, &[renamed]));
    }

    #[test]
    fn errors_are_relative_and_of_the_type_that_they_are_in() {
        let mut random = fastrand::Rng::with_seed(7);
        let values = [0.0f32, 1.0, -3.0, 1e30, f32::INFINITY, f32::NAN];
        let erring = floats(&with_errors(&tensor(&values), &mut random)).unwrap();
        for (value, erring) in values.iter().zip(erring) {
            let value = f64::from(*value);
            match value.is_finite() {
                true => assert!((erring - value).abs() <= 1.1 * ERROR * value.abs(), "{value}"),
                false => assert!(erring == value || erring.is_nan()),
            }
        }
        let half = TensorValue::new("h", DType::F16, vec![1], f16::ONE.to_le_bytes().into());
        let half = half.unwrap();
        let moved = (0..64).filter(|_| with_errors(&half, &mut random) != half).count();
        assert!(moved > 8, "a half moves by its own last place: {moved} of 64");
    }
}
