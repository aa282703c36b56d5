//! The arguments.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs one node of a network of hosts and validators, and sets such networks up.
///
/// Exit codes: 0 done; 1 something failed; 2 wrong usage; 3 tampering
/// was detected; 4 the ring's owner is not trusted, or a copied ledger not certified;
/// 5 the ring is stale;
/// 6 the node gave up: what it keeps could not be written or read.
#[derive(Debug, Parser)]
#[command(name = "deepringd", version, max_term_width = 100)]
pub(crate) struct NodeCli {
    #[command(subcommand)]
    pub(crate) command: NodeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Run a node until it is told to stop (SIGTERM, SIGINT)
    Run(NodeRunArgs),
    /// Read and check a node's file, and print what it says with every default
    Check(CheckArgs),
    /// Approve, as this node's operator, the next validator set
    Approve(ApproveArgs),
    /// Make a node's keys and the request by which it joins a network
    Init(InitArgs),
    /// Set up a network of nodes, and run those of this machine
    #[command(subcommand)]
    Cluster(ClusterCommand),
}

/// The node may run meanwhile. Without an approval by all but a third of the present set's nodes no set follows, whoever signed it.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The node's file (TOML)
    pub(crate) config: PathBuf,
    /// The entry that names the set, as `deepring ledger validator-set --output` writes it
    #[arg(required_unless_present = "withdraw")]
    pub(crate) entry: Option<PathBuf>,
    /// Approve nothing any more
    #[arg(long, conflicts_with = "entry")]
    pub(crate) withdraw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NodeRunArgs {
    /// The node's file (TOML)
    pub(crate) config: PathBuf,
    /// Begin the journal of signed receipts anew where it is gone: only once every query that this host took part in has ended
    #[arg(long)]
    pub(crate) forget_signed_receipts: bool,
    /// Stop when stdin is closed, as by the end of the process that started this one
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The node's file (TOML)
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// New folder for the keys (which never leave it) and `join.toml`
    pub(crate) folder: PathBuf,
    /// Address at which other validators reach this node
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) validator: SocketAddr,
    /// Address at which other hosts reach it
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) hosting: SocketAddr,
    /// Address at which clients are to reach it
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) gateway: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Make everything for a network of nodes on this machine, to try it
    Init(ClusterInitArgs),
    /// Make each node's files from the requests of several parties
    Assemble(AssembleArgs),
    /// Run the nodes of a folder, and show how they do; they end with this command
    Up(UpArgs),
    /// Show how the nodes of a folder do
    Status(StatusArgs),
    /// Stop the nodes of a folder
    Down(DownArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum NodeCopies {
    #[value(name = "2")]
    Two,
    #[value(name = "3")]
    Three,
}

#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// The ring; it stays as it is, nodes get dealt copies of it
    #[arg(long)]
    pub(crate) ring: PathBuf,
    /// Secret key of the ring's owner
    #[arg(long, value_name = "FILE")]
    pub(crate) owner_key: PathBuf,
    /// Copies of each leg: with 3 a liar is named and a lost host passed over, with 2 nothing is decided then
    #[arg(long, default_value = "3")]
    pub(crate) copies: NodeCopies,
    /// Have all three copies compute each query
    #[arg(long)]
    pub(crate) eager: bool,
    /// Name of the log, as in a checkpoint; a new one by default
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// Public key of a host that rules where two copies contradict each other (`deepring arbitrate`): it is granted every block, and nodes keep what entered a disputed leg, sealed for it
    #[arg(long, value_name = "host.pub")]
    pub(crate) arbiter: Option<PathBuf>,
    /// New folder for what is made
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterInitArgs {
    /// Number of nodes
    #[arg(long, default_value_t = 4)]
    pub(crate) nodes: usize,
    /// First of the three ports of the first node; the others follow
    #[arg(long, default_value_t = 4100)]
    pub(crate) first_port: u16,
    #[command(flatten)]
    pub(crate) deal: NetworkArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AssembleArgs {
    /// The nodes' requests (`join.toml`), in the order in which legs are dealt
    #[arg(required = true)]
    pub(crate) requests: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) deal: NetworkArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Folder that `cluster init` made
    pub(crate) folder: PathBuf,
    /// End once all nodes are ready, and leave them running until this command's stdin closes: for scripts
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Folder that `cluster init` made
    pub(crate) folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Folder that `cluster init` made
    pub(crate) folder: PathBuf,
}
