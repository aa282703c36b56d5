//! Arguments of the command, and nothing else.

mod arbitrate;
#[cfg(feature = "attacks")]
mod attack;
mod audit;
mod bench;
mod certificate;
mod deal;
#[cfg(feature = "attacks")]
mod evaluate;
mod key;
mod ledger;
mod ledger_owners;
mod pin;
mod query;
mod revoke;
mod run;
mod trust;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use arbitrate::ArbitrateArgs;
#[cfg(feature = "attacks")]
pub(crate) use attack::{Attack, AttackOptions, DataOptions, Quantise};
pub(crate) use audit::AuditArgs;
pub(crate) use bench::{
    Bench, BenchGrowth, BenchOutput, BenchPart, BenchProducts, BenchQueries, BenchRest, BenchStep,
    Bytes, StepKind,
};
pub(crate) use certificate::{CertificateCommand, CertificateMake, CertificateVerify};
pub(crate) use deal::{CopiesArg, CopiesArgs, DealArgs, RequireArg};
#[cfg(feature = "attacks")]
pub(crate) use evaluate::Evaluate;
pub(crate) use key::{KeyCommand, KeyPassphrase, PassphraseArg};
pub(crate) use ledger::{
    EntryTo, KindArg, LedgerArgs, LedgerCommand, LedgerInit, LedgerPage, LedgerProve,
    LedgerRegister, LedgerShow, LedgerTiles, LedgerVerify, LedgerWitness,
};
pub(crate) use ledger_owners::{LedgerRotateOwner, LedgerValidatorSet};
pub(crate) use pin::RingPin;
pub(crate) use query::QueryArgs;
pub(crate) use revoke::{RevokeCommand, RevokeHost, RevokeKey, RevokeLift, RevokeRing};
pub(crate) use run::{EngineName, MAX_THREADS, RunArgs};
pub(crate) use trust::{OwnerArg, TrustAdd, TrustBind, TrustCommand, TrustList, TrustRemove};

/// Seals trained networks into rings of verified blocks, runs them, and checks what they decided.
#[derive(Debug, Parser)]
#[command(name = "deepring", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// File that remembers trusted owners, the newest version seen of each ring, and which ring and ledger lie where
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "DEEPRING_TRUST",
        hide_env_values = true
    )]
    pub(crate) trust: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  could not do it (I/O, no such file, unsupported operator)
  2  wrong usage
  3  tampering found: a ring, receipt or ledger that does not verify
  4  not trusted: unknown owner, another ring or ledger than was known here, no key for this host
  5  stale: rollback, downgrade, mixed versions";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Keygen(Keygen),
    /// Change a secret key file
    #[command(subcommand)]
    Key(KeyCommand),
    Seal(SealArgs),
    Inspect(Inspect),
    Verify(Verify),
    Run(RunArgs),
    Query(QueryArgs),
    /// Check a decision's receipts
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Make and check a certificate: a decision that convinces offline
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Make, read and check a ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
    #[command(subcommand)]
    Revoke(RevokeCommand),
    Repair(Repair),
    Grant(Grant),
    Deal(DealArgs),
    Audit(AuditArgs),
    Arbitrate(ArbitrateArgs),
    #[command(subcommand)]
    Trust(TrustCommand),
    Export(Export),
    #[cfg(feature = "attacks")]
    Attack(Attack),
    #[cfg(feature = "attacks")]
    Quantise(Quantise),
    #[cfg(feature = "attacks")]
    Demo(Demo),
    Bench(Bench),
    #[cfg(feature = "attacks")]
    Evaluate(Evaluate),
    Completions(Completions),
}

impl Command {
    /// Returns whether it is to print JSON, however it ends.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Inspect(args) => args.json,
            Self::Verify(args) => args.json,
            Self::Run(args) => args.json,
            Self::Query(args) => args.json,
            Self::Receipt(ReceiptCommand::Verify(args)) => args.json,
            Self::Certificate(CertificateCommand::Verify(args)) => args.json,
            Self::Ledger(args) => args.json(),
            Self::Revoke(args) => args.json(),
            Self::Repair(args) => args.json,
            Self::Audit(args) => args.json,
            Self::Arbitrate(args) => args.json,
            Self::Trust(TrustCommand::List(args)) => args.json,
            #[cfg(feature = "attacks")]
            Self::Attack(args) => args.json,
            Self::Bench(args) => args.json(),
            _ => false,
        }
    }
}

/// Make an owner's and a host's key pair: owner.key owner.pub host.key host.pub
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring keygen --out keys
  deepring keygen --out keys --passphrase
  deepring keygen --node --out keys")]
pub(crate) struct Keygen {
    /// Folder for the files; secrets get mode 0600, nothing is overwritten
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Make the key pair of a node that keeps a ledger instead: node.key node.pub
    #[arg(long)]
    pub(crate) node: bool,
    /// Encrypt the secret key files with a passphrase, which the terminal is asked for
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// Descriptor whose first line is that passphrase, instead of the terminal
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
}

/// Seal an ONNX network into a ring
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring seal model.onnx --owner keys/owner.key --host keys/host.pub -o model.ring
  deepring seal model.onnx --owner keys/owner.key --host 1-4=a.pub --host 5-9=b.pub -o model.ring
  deepring seal model.onnx --owner keys/owner.key --leg 1-2=a.pub --leg 3-5=b.pub --copies 2 -o model.ring
  deepring seal new.onnx --owner keys/owner.key --host keys/host.pub --previous model.ring -o new.ring")]
pub(crate) struct SealArgs {
    /// The network
    pub(crate) model: PathBuf,
    /// Secret key of the owner, who signs the ring
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Host that may run all blocks, or those named (`1-4,7=host.pub`); repeat for more
    #[arg(long, required_unless_present = "leg", value_name = "[BLOCKS=]host.pub")]
    pub(crate) host: Vec<OsString>,
    /// Consecutive blocks and the host that runs them: seals the ring dealt, as `deal` would; repeat for each leg, in order
    #[arg(long, conflicts_with = "host", value_name = "BLOCKS=host.pub")]
    pub(crate) leg: Vec<OsString>,
    #[command(flatten)]
    pub(crate) copies: CopiesArgs,
    /// Class labels, one a line, sealed in Genesis
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Version of the model [default: 1, or one more than the previous ring's]
    #[arg(long, value_name = "N")]
    pub(crate) model_version: Option<u64>,
    /// Ring that this one replaces: same ring id, and the closure names its predecessor; hosts, labels and
    /// recipe are given anew
    #[arg(long, value_name = "OLD.ring")]
    pub(crate) previous: Option<PathBuf>,
    /// Ledger that says that the previous ring's owner rotated to this key (`ledger rotate-owner`)
    #[arg(long, requires = "previous", value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, requires = "ledger", value_name = "log.pub")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// How pictures become inputs, sealed in Genesis: resize=, crop=, color=, scale=, mean=, std=, layout=
    #[arg(long, value_name = "SPEC")]
    pub(crate) preprocess: Option<deepring_infer::inputs::Preprocess>,
    /// Where to cut: `auto`, `op` (before every linear operator) or a number of blocks
    #[arg(long, default_value = "auto", value_name = "auto|op|N")]
    pub(crate) cut: deepring_infer::CutPolicy,
    /// The ring file; replaced whole or not at all
    #[arg(short, long, value_name = "MODEL.ring")]
    pub(crate) output: PathBuf,
}

/// Show what a ring says of itself; trusts nobody
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  deepring inspect model.ring --json")]
pub(crate) struct Inspect {
    /// The ring
    pub(crate) ring: PathBuf,
    /// Write the record of the ring's deal here, as `deal` did
    #[arg(long, value_name = "MODEL.deal")]
    pub(crate) deal: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check every byte of a ring; with a key, its opened content too
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring verify model.ring --owner keys/owner.pub
  deepring verify model.ring --owner keys/owner.pub --key keys/host.key --json
  deepring verify model.ring --owner keys/owner.pub --svr attest.pem -o model.svr.json")]
pub(crate) struct Verify {
    /// The ring
    pub(crate) ring: PathBuf,
    #[command(flatten)]
    pub(crate) owner: OwnerArg,
    /// Secret key of a host or of the owner: opens what it can and checks the content
    #[arg(long, value_name = "host.key")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Attest a verification that found nothing: an in-toto SVR, signed by this ECDSA P-256 key (PKCS#8, PEM), in a Sigstore bundle
    #[arg(long, value_name = "KEY.pem", requires = "output")]
    pub(crate) svr: Option<PathBuf>,
    /// Who attests, for the reader of the SVR; without it the key's own name
    #[arg(long, value_name = "URI", requires = "svr")]
    pub(crate) verifier_id: Option<String>,
    /// The SVR
    #[arg(short, long, value_name = "FILE.json", requires = "svr")]
    pub(crate) output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    Verify(ReceiptVerify),
}

/// Check a receipt against its ring and, if given, that a ledger holds it
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("recorded").args(["ledger", "proof"])))]
#[command(after_help = "\
Examples:
  deepring receipt verify x.receipt --ring model.ring --owner keys/owner.pub
  deepring receipt verify x.receipt --ring model.ring --owner keys/owner.pub --ledger ledger
  deepring receipt verify x.receipt --ring model.ring --owner keys/owner.pub --input x.npy --output out/logits.npy
  deepring receipt verify x.receipt --ring model.ring --proof x.tlog-proof --ledger-key ledger/log.pub")]
pub(crate) struct ReceiptVerify {
    /// The receipt, from `run --receipt`
    pub(crate) receipt: PathBuf,
    /// The ring that decided
    #[arg(long, value_name = "MODEL.ring")]
    pub(crate) ring: PathBuf,
    #[command(flatten)]
    pub(crate) owner: OwnerArg,
    /// Inputs that the decision must be about, from `run --save-inputs` where they were pictures; repeat as for `run`
    #[arg(long, value_name = "[NAME=]X.npy")]
    pub(crate) input: Vec<OsString>,
    /// Outputs that the decision must have given for these inputs (or at all), from `run --output-dir`
    #[arg(long, value_name = "[NAME=]Y.npy")]
    pub(crate) output: Vec<OsString>,
    /// Validation that each leg must have, by other hosts than the one that signed its receipt
    #[arg(long, value_enum, default_value_t = RequireArg::AsDealt, value_name = "WHAT")]
    pub(crate) require: RequireArg,
    /// The nonce that the decision must answer to, as it was given to `run`
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<String>,
    /// Ledger that must hold the decision
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Proof that a ledger holds the decision, from `ledger prove`
    #[arg(long, value_name = "FILE")]
    pub(crate) proof: Option<PathBuf>,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub", requires = "recorded")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Witnesses that must have cosigned the ledger's checkpoint, as a c2sp.org/tlog-policy file
    #[arg(long, value_name = "FILE", requires = "recorded")]
    pub(crate) witness_policy: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Restore a damaged ring from an intact copy, chunk by chunk
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring repair model.ring --from backup.ring --owner keys/owner.pub
  deepring repair model.ring --from backup.ring --owner keys/owner.pub --ledger ledger --key keys/host.key
  deepring repair of-a.ring --from of-b.ring --owner owner.pub --ledger ledger --key a.key --countersign b.key")]
pub(crate) struct Repair {
    /// The damaged ring; only what differs is written
    pub(crate) ring: PathBuf,
    /// The intact copy
    #[arg(long, value_name = "COPY.ring")]
    pub(crate) from: PathBuf,
    #[command(flatten)]
    pub(crate) owner: OwnerArg,
    /// Record the repair in this ledger, which knows the ring by `ledger register`
    #[arg(long, value_name = "DIR", requires = "key")]
    pub(crate) ledger: Option<PathBuf>,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub", requires = "ledger")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Secret key of the host whose copy this is, and who signs what goes on the ledger
    #[arg(long, value_name = "host.key", requires = "ledger")]
    pub(crate) key: Option<PathBuf>,
    /// Secret key of another host of the blocks, whose copy `--from` is: it compares both and signs that they are equal
    #[arg(long, value_name = "other.key", requires = "key")]
    pub(crate) countersign: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Let another host open blocks; no body is re-encrypted and receipts stay valid
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring grant model.ring --owner-key keys/owner.key --host new.pub
  deepring grant model.ring --owner-key keys/owner.key --host 1-3=new.pub -o for-new.ring")]
pub(crate) struct Grant {
    /// The ring; replaced whole or not at all
    pub(crate) ring: PathBuf,
    /// Secret key of the ring's owner
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// The new host, for all blocks or those named
    #[arg(long, value_name = "[BLOCKS=]new.pub")]
    pub(crate) host: OsString,
    /// Ledger that the ring is registered in: refuses a ring, owner or host that is revoked there
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub", requires = "ledger")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Write here instead of replacing the ring
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Write a plain ONNX file that computes the same; it is protected no more
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  deepring export model.ring --key keys/owner.key --owner keys/owner.pub -o model.onnx"
)]
pub(crate) struct Export {
    /// The ring
    pub(crate) ring: PathBuf,
    /// Secret key of the owner, or of a host of every block
    #[arg(long, value_name = "owner.key")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    #[command(flatten)]
    pub(crate) owner: OwnerArg,
    /// The ONNX file
    #[arg(short, long, value_name = "MODEL.onnx")]
    pub(crate) output: PathBuf,
}

#[cfg(feature = "attacks")]
/// Show it all in a minute: seal, run, attack, refuse, repair, and a report to look at
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  deepring demo --out demo-out")]
pub(crate) struct Demo {
    /// Folder for the ring, the receipt, the ledger and report.html
    #[arg(long, default_value = "deepring-demo", value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Print shell completions
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  deepring completions bash > deepring.bash")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
