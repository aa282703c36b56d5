//! Arguments of `deepring ledger`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use deepring::{Digest, RingId};

use super::{LedgerRotateOwner, LedgerValidatorSet, PassphraseArg};

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    Init(LedgerInit),
    Register(LedgerRegister),
    Show(LedgerShow),
    /// Recompute the whole tree and check signature, links and indices
    Verify(LedgerVerify),
    /// Print the signed checkpoint
    #[command(
        after_help = "Example:\n  deepring ledger checkpoint --ledger ledger > kept.checkpoint"
    )]
    Checkpoint(LedgerArgs),
    /// Print a proof that an entry is in the ledger, or that the ledger extends an earlier state of itself
    Prove(LedgerProve),
    RotateOwner(LedgerRotateOwner),
    ValidatorSet(LedgerValidatorSet),
    Tiles(LedgerTiles),
    Witness(LedgerWitness),
    Report(LedgerPage),
}

impl LedgerCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Init(_) | Self::Report(_) => false,
            Self::Register(args) => args.json,
            Self::RotateOwner(LedgerRotateOwner { to, .. })
            | Self::ValidatorSet(LedgerValidatorSet { to, .. }) => to.args.json,
            Self::Verify(args) => args.json,
            Self::Checkpoint(args)
            | Self::Show(LedgerShow { args, .. })
            | Self::Prove(LedgerProve { args, .. })
            | Self::Tiles(LedgerTiles { args, .. })
            | Self::Witness(LedgerWitness { args, .. }) => args.json,
        }
    }
}

/// Make a new, empty ledger with a key of its own
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  deepring ledger init ledger")]
pub(crate) struct LedgerInit {
    /// Folder of the ledger
    pub(crate) dir: PathBuf,
    /// Name of the log, such as example.org/log: entries are signed for it, so it must be no other log's [default: a random one]
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Put a ring, its upgrade, or its newer revision with other hosts on a ledger; until then nothing about it is recorded
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger register model.ring --owner-key keys/owner.key --ledger ledger
  deepring ledger register model.ring --owner-key keys/owner.key --ledger ledger --new-ledger")]
pub(crate) struct LedgerRegister {
    /// The ring; every byte of it is checked
    pub(crate) ring: PathBuf,
    /// Secret key of the ring's owner, who signs the entry
    #[arg(long, value_name = "owner.key")]
    pub(crate) owner_key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: PathBuf,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Make the ledger first, where there is none and none was known
    #[arg(long, conflicts_with = "ledger_key")]
    pub(crate) new_ledger: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the entries, or those that the options select
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger show --ledger ledger
  deepring ledger show --ledger ledger --kind alarm --since-entry 100")]
pub(crate) struct LedgerShow {
    #[command(flatten)]
    pub(crate) args: LedgerArgs,
    /// Only entries about this ring
    #[arg(long, value_name = "RING_ID", value_parser = ring_id)]
    pub(crate) ring: Option<RingId>,
    /// Only entries by this host or about it; its public key, as a file or as its text
    #[arg(long, value_name = "host.pub|drhost1...")]
    pub(crate) host: Option<OsString>,
    /// Only the entries of this decision
    #[arg(long, value_name = "DECISION_ID", value_parser = decision_id)]
    pub(crate) decision: Option<Digest>,
    /// Only entries of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<KindArg>,
    /// Only entries from this index on
    #[arg(long, value_name = "N")]
    pub(crate) since_entry: Option<u64>,
}

/// The kinds of entries, as `--json` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum KindArg {
    RingRegistered,
    RingUpgraded,
    RingRevoked,
    Decisions,
    Alarm,
    Repair,
    KeyRevoked,
    Deal,
    ValidatorSet,
    HostRevoked,
    OwnerRotated,
    QuarantineLifted,
}

pub(super) fn ring_id(text: &str) -> Result<RingId, String> {
    RingId::from_hex(text).ok_or_else(|| "a ring id is 32 hexadecimal digits".to_owned())
}

fn decision_id(text: &str) -> Result<Digest, String> {
    Digest::from_hex(text).ok_or_else(|| "a decision's id is 64 hexadecimal digits".to_owned())
}

/// The ledger that an entry goes to, and what opens the keys that sign it.
#[derive(Debug, Args)]
pub(crate) struct EntryTo {
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArg,
    #[command(flatten)]
    pub(crate) args: LedgerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: PathBuf,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger verify --ledger ledger
  deepring ledger verify --ledger ledger --against kept.checkpoint
  deepring ledger verify --against kept.checkpoint --extension F.extension --ledger-key log.pub
  deepring ledger verify --ledger ledger --witness-policy witnesses.policy")]
pub(crate) struct LedgerVerify {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR", required_unless_present = "extension")]
    pub(crate) ledger: Option<PathBuf>,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// A checkpoint kept elsewhere, which the ledger must extend
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// Proof from `ledger prove --since` that the kept checkpoint is extended; checked instead of the ledger itself
    #[arg(long, value_name = "FILE", requires_all = ["against", "ledger_key"], conflicts_with = "ledger")]
    pub(crate) extension: Option<PathBuf>,
    /// Witnesses that must have cosigned the newest checkpoint, as a c2sp.org/tlog-policy file
    #[arg(long, value_name = "FILE")]
    pub(crate) witness_policy: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger prove --ledger ledger > newest.tlog-proof
  deepring ledger prove --ledger ledger --entry 3 -o 3.tlog-proof
  deepring ledger prove --ledger ledger --receipt x.receipt -o x.tlog-proof
  deepring ledger prove --ledger ledger --since 120 -o since-120.extension")]
pub(crate) struct LedgerProve {
    #[command(flatten)]
    pub(crate) args: LedgerArgs,
    /// Index of the entry [default: the newest]
    #[arg(long, value_name = "N", conflicts_with = "receipt")]
    pub(crate) entry: Option<u64>,
    /// Prove the entry of this receipt's decision
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// Prove that the ledger extends its first N entries
    #[arg(long, value_name = "N", conflicts_with_all = ["entry", "receipt"])]
    pub(crate) since: Option<u64>,
    /// Write the proof here instead of printing it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Export the log as static files that anybody can serve and mirror (c2sp.org/tlog-tiles)
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  deepring ledger tiles --ledger ledger -o public/log")]
pub(crate) struct LedgerTiles {
    #[command(flatten)]
    pub(crate) args: LedgerArgs,
    /// Folder of the export; one of this ledger that is there is extended
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
}

/// Have the newest checkpoint cosigned by witnesses (c2sp.org/tlog-witness), and keep what they sign
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring ledger witness https://witness.example/w1 --ledger ledger --witness-key w1.pub
  deepring ledger witness https://witness.intern/w2 --ca-cert ca.pem --ledger ledger --witness-key w2.pub")]
pub(crate) struct LedgerWitness {
    /// Submission prefix of a witness; `/add-checkpoint` is appended
    #[arg(required = true, value_name = "URL")]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) args: LedgerArgs,
    /// Key of a witness, as a file or as its text (NAME+HASH+KEY); repeat for more. Only what these keys signed is kept
    #[arg(long, required = true, value_name = "VKEY")]
    pub(crate) witness_key: Vec<OsString>,
    /// Certificates (PEM) of the authorities that may have issued a witness's certificate, in place of the public ones; their keys are
    /// trusted, whatever dates they have
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
}

/// Write a page for an auditor: versions, revocations, alarms, repairs and decisions, each with its proof
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  deepring ledger report --ledger ledger -o ledger.html")]
pub(crate) struct LedgerPage {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: PathBuf,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Witnesses that must have cosigned the newest checkpoint, as a c2sp.org/tlog-policy file
    #[arg(long, value_name = "FILE")]
    pub(crate) witness_policy: Option<PathBuf>,
    /// How many of the newest decisions of each version are listed one by one
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) decisions: usize,
    /// The page, one HTML file that loads nothing
    #[arg(short, long, value_name = "PAGE.html")]
    pub(crate) output: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
