//! Tampering in live memory that is put back before anybody looks, against each check.

use std::path::Path;

use deepring_attack::ring::{LiveRing, ToctouResult};
use deepring_attack::{Kind, Network, attack};
use serde_json::{Value, json};

use super::Data;
use crate::cli::Attack;
use crate::error::{CliError, Exit};
use crate::output;

/// Different samples that are asked, again and again.
const ASKED: usize = 100;

pub(super) fn race(args: &Attack, kind: Kind, model: &Path) -> Result<(), CliError> {
    let network = Network::read(model)?;
    let data = Data::open(&args.data)?.ok_or_else(|| {
        CliError::usage(format!("`{kind}` needs queries to ask")).hint("give them with `--data`")
    })?;
    let samples = data.test.samples().choose(ASKED, 0);
    let ring = LiveRing { network: &network, samples: &samples };
    let raced = attack(&ring, kind, &super::options(&args.how), None, &|_| ())
        .map_err(|e| CliError::new(Exit::Failed, e))?;
    if raced.is_empty() {
        return Err(CliError::new(Exit::Failed, "live memory cannot be written on this system"));
    }
    if args.json {
        let checks: Vec<Value> = raced.iter().map(document).collect();
        return output::json(&json!({
            "kind": kind.name(), "atlas": kind.atlas(), "checks": checks,
        }));
    }
    output::line(format_args!("{kind} [{}]", kind.atlas()))?;
    raced.iter().try_for_each(|r| output::line(format_args!("  {}", r.sentence())))
}

fn document(raced: &ToctouResult) -> Value {
    let mut value = serde_json::to_value(raced).unwrap_or(Value::Null);
    if let Some(map) = value.as_object_mut() {
        map.insert("mean_until_refused".to_owned(), json!(raced.mean_until_refused()));
        map.insert("what".to_owned(), json!(raced.sentence()));
    }
    value
}
