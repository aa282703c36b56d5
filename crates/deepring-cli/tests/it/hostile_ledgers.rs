//! A ledger's database by somebody who knows redb: it takes no memory that it does not pay for, and what makes redb panic is
//! an error like any other.

use std::fs::OpenOptions;

use redb::{Database, TableDefinition, TypeName, Value};

use crate::workspace::Workspace;

const COMMANDS: [&str; 5] = [
    "ledger verify --ledger ledger",
    "ledger verify --ledger ledger --json",
    "ledger show --ledger ledger",
    "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger",
    "revoke ring net.ring --owner-key keys/owner.key --ledger ledger --reason test",
];

fn with_ledger() -> Workspace {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    workspace
}

/// redb's allocators follow the file's length, and a sparse file has any.
#[test]
fn a_database_that_is_long_and_holds_nothing_is_refused() {
    let workspace = with_ledger();
    let path = workspace.path("ledger/ledger.redb");
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let before = file.metadata().unwrap().len();
    file.set_len(17 << 30).unwrap();
    for words in COMMANDS {
        let ran = workspace.run(words).exits(3);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("a file of 18253611008 bytes, of which "), "{said}");
    }
    file.set_len(before).unwrap();
    workspace.run(COMMANDS[0]).succeeds();
}

/// A value that stands in a table of text, and is none.
#[derive(Debug)]
struct NoText;

impl Value for NoText {
    type SelfType<'a> = &'a [u8];
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        data
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a &'b [u8]) -> &'a [u8] {
        value
    }

    fn type_name() -> TypeName {
        <&str as Value>::type_name()
    }
}

/// redb panics over it; the test's own commands are held to saying nothing of a panic.
#[test]
fn a_panic_of_the_database_is_an_error_and_no_trace() {
    let workspace = with_ledger();
    let database = Database::open(workspace.path("ledger/ledger.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    let meta: TableDefinition<'_, &str, NoText> = TableDefinition::new("meta");
    txn.open_table(meta).unwrap().insert("checkpoint", &[0xff, 0xfe][..]).unwrap();
    txn.commit().unwrap();
    drop(database);
    for words in COMMANDS {
        let ran = workspace.run(words).exits(3);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("reading it failed: "), "{said}");
        assert!(!ran.stderr.contains("stack backtrace"), "{said}");
    }
}
