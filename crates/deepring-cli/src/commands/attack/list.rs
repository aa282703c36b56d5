//! `deepring attack --list`.

use deepring_attack::{Family, Kind, Needs};

use crate::error::CliError;
use crate::output;

pub(super) fn list() -> Result<(), CliError> {
    let mut family = None;
    for kind in Kind::all() {
        if family != Some(kind.family()) {
            let gap = if family.is_some() { "\n" } else { "" };
            output::line(format_args!("{gap}{}", heading(kind.family())))?;
            family = Some(kind.family());
        }
        let needs = match kind.needs() {
            Needs::Nothing => "",
            Needs::Samples => "; needs --data",
            Needs::Gradients => "; needs a build with gradients",
            Needs::SamplesAndGradients => "; needs --data and a build with gradients",
        };
        output::line(format_args!("  {kind:16} {} [{}{needs}]", kind.summary(), kind.atlas()))?;
    }
    Ok(())
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
