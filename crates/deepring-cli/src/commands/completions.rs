//! `deepring completions`: completions for a shell.

use clap::CommandFactory as _;

use crate::cli::{Cli, Completions};
use crate::error::CliError;
use crate::output;

pub(crate) fn completions(args: &Completions) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "deepring", &mut script);
    output::text(String::from_utf8_lossy(&script).trim_end())
}
