//! `deepring ledger`: init, register, show, verify, checkpoint, prove, tiles, witness, report.

mod owners;
mod prove;
mod register;
mod report;
mod show;
mod tiles;
mod verify;
mod witness;

use std::path::Path;

use deepring::TrustStore;
use deepring_ledger::Ledger;
use serde_json::json;

use crate::cli::{LedgerArgs, LedgerCommand, LedgerInit};
use crate::error::CliError;
use crate::ledgers::{VouchedLedger, Wanted, keep_ledger};
use crate::output;
use crate::rings::open_store;

#[cfg(feature = "attacks")]
pub(super) use show::describe;

pub(crate) fn ledger(args: &LedgerCommand, trust: Option<&Path>) -> Result<(), CliError> {
    match args {
        LedgerCommand::Init(args) => init(args, trust),
        LedgerCommand::Register(args) => register::register(args, trust),
        LedgerCommand::Show(args) => show::show(args, trust),
        LedgerCommand::Verify(args) => verify::verify(args, trust),
        LedgerCommand::Checkpoint(args) => checkpoint(args, trust),
        LedgerCommand::Prove(args) => prove::prove(args, trust),
        LedgerCommand::Tiles(args) => tiles::tiles(args, trust),
        LedgerCommand::Witness(args) => witness::witness(args, trust),
        LedgerCommand::Report(args) => report::report(args, trust),
        LedgerCommand::RotateOwner(args) => owners::rotate(args, trust),
        LedgerCommand::ValidatorSet(args) => owners::validators(args, trust),
    }
}

fn init(args: &LedgerInit, trust: Option<&Path>) -> Result<(), CliError> {
    let mut memory = LedgerMemory::open(trust)?;
    let vouched =
        Wanted { dir: &args.dir, key: None }.begin(memory.store(), None, args.origin.as_deref())?;
    memory.keep(&vouched, Some(&args.dir));
    let ledger = &vouched.ledger;
    let (origin, key) = (ledger.checkpoint().origin(), ledger.key().as_str());
    if args.json {
        output::json(&json!({ "origin": origin, "key": key }))?;
    } else {
        output::line(origin)?;
        output::line(key)?;
    }
    output::note(format_args!(
        "made {}; give the key above to those who verify, by another way than this machine's files",
        args.dir.display()
    ));
    Ok(())
}

/// The memory of ledgers; none where there is no trust store.
pub(super) struct LedgerMemory(Option<TrustStore>);

impl LedgerMemory {
    pub(super) fn open(trust: Option<&Path>) -> Result<Self, CliError> {
        let store = open_store(trust)?;
        if store.is_none() {
            output::note(
                "warning: no home folder, so no trust store: no ledger is remembered, and one that is gone, new or old is not noticed",
            );
        }
        Ok(Self(store))
    }

    pub(super) fn store(&self) -> Option<&TrustStore> {
        self.0.as_ref()
    }

    /// Opens a ledger that fits what is pinned or known, and remembers how far it has grown if it is known.
    fn read(&mut self, args: &LedgerArgs) -> Result<Ledger, CliError> {
        self.read_wanted(wanted(args))
    }

    fn read_wanted(&mut self, wanted: Wanted<'_>) -> Result<Ledger, CliError> {
        Ok(self.read_vouched(wanted)?.ledger)
    }

    /// The same, with who says that its key is the right one.
    fn read_vouched(&mut self, wanted: Wanted<'_>) -> Result<VouchedLedger, CliError> {
        let vouched = wanted.read(self.store())?;
        self.keep_growth(&vouched);
        Ok(vouched)
    }

    /// Opens a ledger that fits what is pinned or known, to append to it.
    pub(super) fn append(&self, args: &LedgerArgs) -> Result<VouchedLedger, CliError> {
        wanted(args).append(self.store())
    }

    /// Remembers how far a ledger has grown, if it is one that is remembered.
    pub(super) fn keep_growth(&mut self, vouched: &VouchedLedger) {
        let key = vouched.ledger.key().as_str();
        if self.store().is_some_and(|store| store.ledger(key).is_some()) {
            self.keep(vouched, None);
        }
    }

    fn keep(&mut self, ledger: &VouchedLedger, dir: Option<&Path>) {
        if let Some(store) = &mut self.0 {
            keep_ledger(store, ledger, dir, None);
        }
    }
}

pub(super) fn wanted(args: &LedgerArgs) -> Wanted<'_> {
    Wanted { dir: &args.ledger, key: args.ledger_key.as_deref() }
}

fn checkpoint(args: &LedgerArgs, trust: Option<&Path>) -> Result<(), CliError> {
    let ledger = LedgerMemory::open(trust)?.read(args)?;
    let checkpoint = ledger.checkpoint();
    if args.json {
        return output::json(&json!({
            "origin": checkpoint.origin(),
            "size": checkpoint.size(),
            "root": deepring::Digest(*checkpoint.root()),
            "key": ledger.key().to_string(),
            "checkpoint": checkpoint.as_str(),
        }));
    }
    output::text(checkpoint.as_str().trim_end_matches('\n'))
}
