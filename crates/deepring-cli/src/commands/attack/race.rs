//! `live-memory`: tampering that is put back before anybody looks, against each check.

use std::path::Path;

use deepring_attack::{Besieged, Kind, Network};
use serde_json::json;

use super::Data;
use crate::cli::Attack;
use crate::error::{CliError, Exit};
use crate::output;

pub(super) fn race(args: &Attack, model: &Path) -> Result<(), CliError> {
    let network = Network::read(model)?;
    let data = Data::open(&args.data)?;
    let data = data.ok_or_else(|| {
        CliError::usage("`live-memory` needs queries to ask").hint("give them with `--data`")
    })?;
    let raced: Vec<Besieged> = race_with(&network, &data)?;
    if raced.is_empty() {
        return Err(CliError::new(Exit::Failed, "live memory cannot be written on this system"));
    }
    if args.json {
        let lines: Vec<_> =
            raced.iter().map(|r| json!({"no_wrong_answer": r.detected, "what": r.what})).collect();
        return output::json(&json!({
            "kind": Kind::LiveMemory.name(), "atlas": Kind::LiveMemory.atlas(), "checks": lines,
        }));
    }
    output::line(format_args!("{} [{}]", Kind::LiveMemory, Kind::LiveMemory.atlas()))?;
    raced.iter().try_for_each(|r| output::line(format_args!("  {}", r.what)))
}

fn race_with(network: &Network, data: &Data) -> Result<Vec<Besieged>, CliError> {
    let samples = data.test.samples().choose(8, 0);
    deepring_attack::race(network, &samples).map_err(|e| CliError::new(Exit::Failed, e))
}
