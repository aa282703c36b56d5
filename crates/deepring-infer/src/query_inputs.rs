//! Checks a query's inputs against what the network declares.

use deepring::{DType, Dim, TensorSpec, TensorValue};

use crate::checks::LIMIT;
use crate::error::InputError;

/// Checks names, types and fixed dimensions. A named dimension is any length: exporters give one name to dimensions that
/// differ. Values are [`check_ranges`]'s.
pub(crate) fn check_inputs(
    declared: &[TensorSpec],
    given: &[TensorValue],
) -> Result<(), InputError> {
    for (i, value) in given.iter().enumerate() {
        if !declared.iter().any(|s| s.name == value.name()) {
            let name = value.name().to_owned();
            return Err(InputError::Unknown { name, expected: list(declared) });
        }
        if given.iter().take(i).any(|v| v.name() == value.name()) {
            return Err(InputError::Twice { name: value.name().to_owned() });
        }
    }
    for spec in declared {
        let value = given.iter().find(|v| v.name() == spec.name).ok_or_else(|| {
            InputError::Missing { name: spec.name.clone(), expected: list(declared) }
        })?;
        check_one(spec, value)?;
    }
    Ok(())
}

/// Checks that no value of these inputs is larger than what the operators that read them can be checked with.
pub(crate) fn check_ranges(ranged: &[String], given: &[TensorValue]) -> Result<(), InputError> {
    for value in
        given.iter().filter(|v| v.dtype() == DType::F32 && ranged.iter().any(|n| n == v.name()))
    {
        let mut floats = value.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
        let too_large = |v: f32| !v.is_finite() || v.abs() > LIMIT;
        if let Some(at) = floats.clone().position(too_large) {
            let (name, value) = (value.name().to_owned(), floats.nth(at).unwrap_or(f32::NAN));
            return Err(match value.is_nan() {
                true => InputError::NotANumber { name, at },
                false => InputError::TooLarge { name, at, value },
            });
        }
    }
    Ok(())
}

/// The declared inputs, for messages.
pub(crate) fn list(declared: &[TensorSpec]) -> String {
    declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn check_one(spec: &TensorSpec, value: &TensorValue) -> Result<(), InputError> {
    if spec.dtype != value.dtype() {
        return Err(InputError::DType {
            name: spec.name.clone(),
            found: value.dtype().name(),
            expected: spec.dtype.name(),
        });
    }
    if let Some(dims) = &spec.dims {
        let fits = dims.len() == value.dims().len()
            && dims.iter().zip(value.dims()).all(|(dim, found)| match dim {
                Dim::Fixed(n) => n == found,
                // A name is a name: exporters give one to dimensions that differ.
                Dim::Named(_) => true,
            });
        if !fits {
            return Err(InputError::Shape {
                name: spec.name.clone(),
                found: value.dims().to_vec(),
                expected: spec.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, dims: Vec<Dim>) -> TensorSpec {
        TensorSpec { name: name.to_owned(), dtype: DType::F32, dims: Some(dims) }
    }

    fn floats(name: &str, dims: Vec<u64>, values: &[f32]) -> TensorValue {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        TensorValue::new(name, DType::F32, dims, data).unwrap()
    }

    #[test]
    fn names_of_dimensions_are_no_promises_and_numbers_are() {
        let n = || Dim::Named("?".to_owned());
        let declared = [spec("a", vec![n()]), spec("b", vec![n(), Dim::Fixed(1)])];
        let a = floats("a", vec![2], &[1.0, 2.0]);
        let b = |dims| floats("b", dims, &[1.0]);
        assert_eq!(check_inputs(&declared, &[a.clone(), b(vec![1, 1])]), Ok(()));
        let long = floats("b", vec![1, 2], &[1.0, 2.0]);
        for other in [b(vec![1]), long] {
            let found = check_inputs(&declared, &[a.clone(), other]);
            assert!(matches!(found, Err(InputError::Shape { .. })));
        }
    }

    #[test]
    fn nan_is_refused_with_its_place_where_a_linear_operator_reads_it() {
        let a = [floats("a", vec![2], &[1.0, f32::NAN])];
        let found = check_ranges(&["a".to_owned()], &a);
        assert!(matches!(found, Err(InputError::NotANumber { at: 1, .. })));
        assert_eq!(check_ranges(&["b".to_owned()], &a), Ok(()));
    }

    #[test]
    fn unknown_missing_and_doubled_inputs_are_told_apart() {
        let declared = [spec("a", vec![Dim::Fixed(1)])];
        let (a, b) = (floats("a", vec![1], &[1.0]), floats("b", vec![1], &[1.0]));
        assert!(matches!(check_inputs(&declared, &[]), Err(InputError::Missing { .. })));
        let unknown = check_inputs(&declared, &[a.clone(), b]);
        assert!(matches!(unknown, Err(InputError::Unknown { .. })));
        assert!(matches!(check_inputs(&declared, &[a.clone(), a]), Err(InputError::Twice { .. })));
    }
}
