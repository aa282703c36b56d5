//! Queries of a batch whose inputs are at fault: the others are answered, and each of these is an error.

use std::ffi::OsString;

use deepring_infer::inputs::Rejected;
use serde_json::{Value, json};

use crate::error::{CliError, Exit};
use crate::output;

/// The numbers of the queries that were answered, of so many asked.
pub(super) fn answered(asked: usize, rejected: &[Rejected]) -> Vec<usize> {
    (0..asked).filter(|query| !rejected.iter().any(|r| r.query == *query)).collect()
}

pub(super) fn json(rejected: &[Rejected]) -> Vec<Value> {
    rejected.iter().map(|r| json!({ "query": r.query, "error": r.error.to_string() })).collect()
}

/// An error for each, the last of which is what the command ends with. `inputs` are as they were given: their names tell
/// the queries where there is one for each.
pub(super) fn fail(
    asked: usize,
    inputs: &[OsString],
    rejected: &[Rejected],
) -> Result<(), CliError> {
    let error = |r: &Rejected| {
        let name = inputs.get(r.query).filter(|_| inputs.len() == asked);
        let name = name.map_or_else(String::new, |name| format!(" ({})", name.display()));
        let message = format!("query {}{name} is not answered: {}", r.query, r.error);
        CliError::new(Exit::Failed, message)
    };
    let Some((last, before)) = rejected.split_last() else { return Ok(()) };
    before.iter().for_each(|r| output::complain(format_args!("{}", error(r).text())));
    Err(error(last))
}
