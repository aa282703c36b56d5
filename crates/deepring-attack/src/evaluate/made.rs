//! Made-up results for tests of what is made of them.

use super::configuration::Strength;
use super::journal::Results;
use super::record::{BaselineResult, Measured, Model, Outcome, RingResult, Row};

pub(super) fn model(test: usize) -> Model {
    Model {
        settings: "s0".to_owned(),
        name: "a|b<c>".to_owned(),
        sha256: "m0".to_owned(),
        quantised: false,
        parameters: 10,
        layers: Vec::new(),
        classes: 2,
        accuracy: 0.9,
        search_accuracy: 0.95,
        test,
        search: 10,
        shared_samples: false,
        defences: Vec::new(),
        ring: None,
        no_ring: None,
    }
}

pub(super) fn row(attack: &str, rho: Option<f64>, seed: u64, attacked: f64, seen: bool) -> Row {
    let ring_result = BaselineResult {
        defence: "crc32".to_owned(),
        at_rest: seen,
        live: seen,
        located: seen.then_some(true),
        ms: 1.0,
        recovered: None,
    };
    Row {
        key: format!("m0|{attack}|{rho:?}|{seed}|s0"),
        model: "m0".to_owned(),
        attack: attack.to_owned(),
        atlas: "AML.T0031".to_owned(),
        layer: None,
        strength: Strength { rho, ..Strength::default() },
        seed,
        outcome: Outcome::Measured(Box::new(Measured {
            what: String::new(),
            clean: 0.9,
            attacked,
            recovered: None,
            success: None,
            values: 3,
            bits: 7,
            tensors: 1,
            graph: 0,
            seconds: 0.0,
            reached: None,
            trace: Vec::new(),
            defences: vec![ring_result],
            ring: None,
        })),
    }
}

pub(super) fn results() -> Results {
    let rows = vec![
        row("noise-all", Some(1.0), 0, 0.5, true),
        row("noise-all", Some(1.0), 1, 0.7, true),
        row("label-swap", None, 0, 0.05, false),
    ];
    Results { runs: Vec::new(), models: vec![model(100)], rows }
}

/// The measurement of a row, to be edited.
pub(super) fn measured(row: &mut Row) -> &mut Measured {
    match &mut row.outcome {
        Outcome::Measured(m) => m,
        other => panic!("{other:?}"),
    }
}

/// The row with this result of the ring.
pub(super) fn with_ring(mut row: Row, detected: bool, tensor: Option<bool>) -> Row {
    measured(&mut row).ring = Some(RingResult {
        detected,
        block: tensor,
        tensor,
        recovered: Some(true),
        answers: 0,
        ms: 1.0,
        how: String::new(),
    });
    row
}

/// The row with another outcome.
pub(super) fn with(row: Row, outcome: Outcome) -> Row {
    Row { outcome, ..row }
}
