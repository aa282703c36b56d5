//! `deepring attack --list`.

use deepring_attack::{Family, Kind, Needs};
use serde_json::json;

use crate::error::CliError;
use crate::output;

pub(super) fn list(json: bool) -> Result<(), CliError> {
    if json {
        let kinds: Vec<_> = Kind::all()
            .iter()
            .map(|kind| {
                json!({
                    "kind": kind.name(), "family": heading(kind.family()), "what": kind.summary(),
                    "atlas": kind.atlas(), "needs": needs(kind.needs()),
                })
            })
            .collect();
        return output::json(&json!({ "attacks": kinds }));
    }
    let mut family = None;
    for kind in Kind::all() {
        if family != Some(kind.family()) {
            let gap = if family.is_some() { "\n" } else { "" };
            output::line(format_args!("{gap}{}", heading(kind.family())))?;
            family = Some(kind.family());
        }
        let needs = needs(kind.needs()).map(|what| format!("; needs {what}")).unwrap_or_default();
        output::line(format_args!("  {kind:16} {} [{}{needs}]", kind.summary(), kind.atlas()))?;
    }
    Ok(())
}

fn needs(needs: Needs) -> Option<&'static str> {
    match needs {
        Needs::Nothing => None,
        Needs::Samples => Some("--data"),
        Needs::Gradients => Some("a build with gradients"),
        Needs::SamplesAndGradients => Some("--data and a build with gradients"),
    }
}

fn heading(family: Family) -> &'static str {
    match family {
        Family::Weights => "values of parameters",
        Family::Bits => "single bits",
        Family::Search => "bits found by gradients, in networks quantised to 8 bits",
        Family::Graph => "the graph; no parameter changes",
        Family::Ring => "sealed rings, receipts, ledgers, live memory",
    }
}
