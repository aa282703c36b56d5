//! Arguments of `deepring query`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{RequireArg, RingPin};

/// Ask a gateway, and print its answer only where the certificate that comes with it verifies
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deepring query https://gateway.example --input x.npy --owner owner.pub --validators set.entry --api-key-file key
  deepring query http://127.0.0.1:4300 --input x.npy --owner owner.pub --validators set.entry --certificate x.certificate
  deepring query http://127.0.0.1:4300 --input x.npy --owner owner.pub --validators set.entry --ring-id HEX --model-version 2")]
pub(crate) struct QueryArgs {
    /// The gateway, as https://HOST/PATH; http:// is taken on this machine
    pub(crate) url: String,
    /// An input; repeat for more inputs or queries, as for `run`
    #[arg(long, required = true, value_name = "[NAME=]X.npy")]
    pub(crate) input: Vec<OsString>,
    /// Public key of the ring's owner
    #[arg(long, value_name = "owner.pub")]
    pub(crate) owner: PathBuf,
    /// Nodes that keep the ledger: all but a third of them must have cosigned the checkpoint that the answer is recorded
    /// under. The file, from `ledger validator-set`, is trusted as a key is: get it from somebody whom you trust, and not from
    /// the gateway
    #[arg(long, value_name = "SET")]
    pub(crate) validators: PathBuf,
    #[command(flatten)]
    pub(crate) pin: RingPin,
    /// Validation that each leg must have, by other hosts than the one that signed its receipt
    #[arg(long, value_enum, default_value_t = RequireArg::AsDealt, value_name = "WHAT")]
    pub(crate) require: RequireArg,
    /// File with the key that the gateway knows you by
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Certificates (PEM) of authorities that are trusted to certify the gateway, in place of the public ones
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Certificates (PEM) to show to the gateway, your own first
    #[arg(long, value_name = "PEM", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Secret key (PEM) of your certificate
    #[arg(long, value_name = "PEM", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
    /// Ask over http:// on another machine too: whoever is on the way reads inputs, outputs and key
    #[arg(long)]
    pub(crate) insecure_http: bool,
    /// Time for the gateway to tell its inputs, and as much for its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// Write the certificate here, for `certificate verify`
    #[arg(long, value_name = "OUT")]
    pub(crate) certificate: Option<PathBuf>,
    /// Write each output as NAME.npy into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
    /// How many of the highest elements to show
    #[arg(long, default_value_t = 5, value_name = "K")]
    pub(crate) top: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
