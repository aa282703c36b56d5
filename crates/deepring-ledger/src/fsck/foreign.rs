//! Foreign content: a database holds nothing besides a ledger.

use redb::{MultimapTableHandle, ReadableTable, TableHandle};

use super::report::{Defect, LedgerReport};
use crate::error::{LedgerError, failure};
use crate::store::{
    DECISIONS, ENTRIES, HASHES, META, META_CHECKPOINT, META_FORMAT, META_HEIGHT, META_KEY,
    META_STATE, STATE, Snapshot,
};

/// Most characters of a name that are told.
const NAME: usize = 64;

/// Names every table, and every row of `meta` and `state`, that is none of a ledger's. Rows of the other
/// tables are counted, or each is compared, as the entries are gone through.
pub(super) fn check_foreign(
    snapshot: &Snapshot,
    report: &mut LedgerReport,
) -> Result<(), LedgerError> {
    let fail = |e| failure(&snapshot.path, e);
    let storage = |e: redb::StorageError| failure(&snapshot.path, e);
    let mut strange = |kind: &str, name: &str| {
        let name: String = name.chars().take(NAME).collect();
        report.add(None, Defect::NotALedgers { what: format!("{kind} {name:?}") });
    };
    let known = [META.name(), ENTRIES.name(), HASHES.name(), STATE.name()];
    for table in snapshot.transaction.list_tables().map_err(storage)? {
        if !known.contains(&table.name()) {
            strange("table", table.name());
        }
    }
    for table in snapshot.transaction.list_multimap_tables().map_err(storage)? {
        if table.name() != DECISIONS.name() {
            strange("table", table.name());
        }
    }
    let known = [META_FORMAT, META_KEY, META_CHECKPOINT, META_STATE, META_HEIGHT];
    for row in snapshot.meta.iter().map_err(fail)? {
        let (name, _) = row.map_err(fail)?;
        if !known.contains(&name.value()) {
            strange("row of `meta`", name.value());
        }
    }
    for row in snapshot.state.iter().map_err(fail)? {
        let (name, _) = row.map_err(fail)?;
        if name.value() != META_STATE {
            strange("row of `state`", name.value());
        }
    }
    Ok(())
}
