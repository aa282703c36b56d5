//! `deepring demo`: not written yet.

use crate::cli::Demo;
use crate::error::CliError;

pub(crate) fn demo(_: &Demo) -> Result<(), CliError> {
    Err(CliError::usage("the demo is not there yet"))
}
