//! The commands, one file each.

mod arbitrate;
#[cfg(feature = "attacks")]
mod attack;
mod audit;
mod bench;
mod certificate;
mod completions;
mod deal;
#[cfg(feature = "attacks")]
mod demo;
#[cfg(feature = "attacks")]
mod evaluate;
mod export;
mod grant;
mod inspect;
mod key;
mod keygen;
mod ledger;
mod pinned;
#[cfg(feature = "attacks")]
mod quantise;
mod query;
mod receipt;
mod recording;
mod repair;
mod revoke;
mod run;
mod seal;
mod trust;
mod verify;

use crate::cli::{Cli, Command};
use crate::error::CliError;

pub(crate) fn dispatch(cli: Cli) -> Result<(), CliError> {
    let trust = cli.trust.as_deref();
    match cli.command {
        Command::Keygen(args) => keygen::keygen(&args, trust),
        Command::Key(args) => key::key(&args),
        Command::Seal(args) => seal::seal(&args, trust),
        Command::Inspect(args) => inspect::inspect(&args, trust),
        Command::Verify(args) => verify::verify(&args, trust),
        Command::Run(args) => run::run(&args, trust),
        Command::Query(args) => query::query(&args, trust),
        Command::Receipt(args) => receipt::receipt(&args, trust),
        Command::Certificate(args) => certificate::certificate(&args, trust),
        Command::Ledger(args) => ledger::ledger(&args, trust),
        Command::Revoke(args) => revoke::revoke(&args, trust),
        Command::Repair(args) => repair::repair(&args, trust),
        Command::Grant(args) => grant::grant(&args, trust),
        Command::Deal(args) => deal::deal(&args, trust),
        Command::Audit(args) => audit::audit(&args, trust),
        Command::Arbitrate(args) => arbitrate::arbitrate(&args, trust),
        Command::Trust(args) => trust::trust(&args, trust),
        Command::Export(args) => export::export(&args, trust),
        #[cfg(feature = "attacks")]
        Command::Attack(args) => attack::attack(&args, trust),
        #[cfg(feature = "attacks")]
        Command::Quantise(args) => quantise::quantise(&args, trust),
        #[cfg(feature = "attacks")]
        Command::Demo(args) => demo::demo(&args, trust),
        Command::Bench(args) => bench::bench(&args, trust),
        #[cfg(feature = "attacks")]
        Command::Evaluate(args) => evaluate::evaluate(&args, trust),
        Command::Completions(args) => completions::completions(&args),
    }
}
