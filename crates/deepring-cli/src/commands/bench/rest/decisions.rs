//! How many decisions one core verifies, from a receipt's bytes, with the ring at hand and no secret.

use deepring::receipt::Require;
use deepring::{Check, Decision};
use deepring_infer::CutPolicy;
use deepring_measure::Quantiles;
use deepring_onnx::synthetic::SyntheticNetwork;
use serde::Serialize;

use super::super::fixture::BenchFixture;
use super::super::{WARM_UP, timed};
use crate::error::CliError;

/// Decisions verified in one sample.
const DECISIONS: u32 = 100;

/// Decisions about one query each, decoded and verified one after the other on one core.
#[derive(Debug, Serialize)]
pub(super) struct Decisions {
    what: &'static str,
    pub(super) network: &'static str,
    pub(super) blocks: usize,
    pub(super) bytes: usize,
    samples: usize,
    pub(super) per_second: f64,
    pub(super) per_second_p10: f64,
    pub(super) per_second_p90: f64,
}

pub(super) fn decisions(repeat: usize) -> Result<Decisions, CliError> {
    let fixture = BenchFixture::open(None)?;
    let subject = fixture.network(SyntheticNetwork::ResNet50, CutPolicy::Auto, 1)?;
    let session = fixture.session(&subject.ring, Check::Auto, None, false)?;
    let bytes = session.run_batch(subject.batch.clone())?.decision.encode();
    let ring = fixture.authenticate(&subject.ring)?;
    let verify = || {
        for _ in 0..DECISIONS {
            let decision = Decision::decode(std::hint::black_box(&bytes));
            let decision = decision.map_err(deepring::receipt::ReceiptError::from)?;
            std::hint::black_box(decision.verify(ring.outline(), Require::AsDealt)?);
        }
        Ok(())
    };
    let mut rates = Vec::with_capacity(repeat);
    for sample in 0..repeat.saturating_add(WARM_UP) {
        let (took, ()) = timed(verify)?;
        if sample >= WARM_UP {
            rates.push(f64::from(DECISIONS) / took.as_secs_f64().max(1e-9));
        }
    }
    let rates = Quantiles::new(rates);
    Ok(Decisions {
        what: "decisions verified offline, one core",
        network: SyntheticNetwork::ResNet50.name(),
        blocks: subject.blocks,
        bytes: bytes.len(),
        samples: repeat,
        per_second: rates.median(),
        per_second_p10: rates.at(0.1),
        per_second_p90: rates.at(0.9),
    })
}
