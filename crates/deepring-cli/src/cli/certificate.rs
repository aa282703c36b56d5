//! Arguments of `deepring certificate`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{RequireArg, RingPin};

#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    Make(CertificateMake),
    Verify(CertificateVerify),
}

/// Make one file from which a decision is verified offline, without ring, ledger or trust store
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  deepring certificate make --receipt x.receipt --ledger ledger -o x.certificate"
)]
pub(crate) struct CertificateMake {
    /// The receipt, from `run --receipt`
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: PathBuf,
    /// Ledger that holds the decision
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: PathBuf,
    /// Public key of the ledger; without it, the key that the trust store remembers
    #[arg(long, value_name = "log.pub")]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Validation that each leg must have
    #[arg(long, value_enum, default_value_t = RequireArg::AsDealt, value_name = "WHAT")]
    pub(crate) require: RequireArg,
    /// Leave out the salt of the digests: a reader can then neither confirm a guess of inputs and outputs nor compare
    /// tensors
    #[arg(long)]
    pub(crate) without_salt: bool,
    /// The certificate
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check a certificate with the owner's public key and the ledger's, or the set of nodes that keep it; a later deal that the trust store saw refuses it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring certificate verify x.certificate --owner owner.pub --ledger-key log.pub
  deepring certificate verify x.certificate --owner owner.pub --ledger-key log.pub --require majority --nonce HEX
  deepring certificate verify x.certificate --owner owner.pub --ledger-key log.pub --input x.npy --output out/logits.npy
  deepring certificate verify x.certificate --owner owner.pub --validators validators.entry")]
pub(crate) struct CertificateVerify {
    /// The certificate
    pub(crate) certificate: PathBuf,
    /// Public key of the ring's owner
    #[arg(long, value_name = "owner.pub")]
    pub(crate) owner: PathBuf,
    /// Public key of the ledger
    #[arg(
        long,
        value_name = "log.pub",
        conflicts_with = "validators",
        required_unless_present = "validators"
    )]
    pub(crate) ledger_key: Option<PathBuf>,
    /// Nodes that keep the ledger: all but a third of them must have cosigned its checkpoint. The file, from `ledger
    /// validator-set`, is trusted as a key is: get it from somebody whom you trust
    #[arg(long, value_name = "SET")]
    pub(crate) validators: Option<PathBuf>,
    /// Witnesses that must have cosigned the ledger's checkpoint, as a c2sp.org/tlog-policy file
    #[arg(long, value_name = "FILE")]
    pub(crate) witness_policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pin: RingPin,
    /// Validation that each leg must have, by other hosts than the one that signed its receipt
    #[arg(long, value_enum, default_value_t = RequireArg::AsDealt, value_name = "WHAT")]
    pub(crate) require: RequireArg,
    /// The nonce that the decision must answer to
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<String>,
    /// Inputs that the decision must be about; repeat as for `run`
    #[arg(long, value_name = "[NAME=]X.npy")]
    pub(crate) input: Vec<OsString>,
    /// Outputs that the decision must have given for these inputs (or at all)
    #[arg(long, value_name = "[NAME=]Y.npy")]
    pub(crate) output: Vec<OsString>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
