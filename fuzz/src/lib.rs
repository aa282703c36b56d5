//! What targets share: a file for each input, and the key of a ledger.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use deepring_ledger::VerifierKey;
use signed_note::{Note, StandardSigner};

static INPUT: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = root.join(format!("deepring-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for inputs");
    folder.join("input")
});

/// A file that holds `bytes`; one for all inputs of a process, alone in its folder.
pub fn file_of(bytes: &[u8]) -> &'static Path {
    std::fs::write(&*INPUT, bytes).expect("the input's file");
    &INPUT
}

/// The key of the ledger that the seeds are of. Its secret half is in Go's documentation of
/// `sumdb/note`, so it guards nothing.
pub static LEDGER_KEY: LazyLock<VerifierKey> = LazyLock::new(|| {
    let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    VerifierKey::parse(text).expect("the documented key")
});

static SIGNER: LazyLock<StandardSigner> = LazyLock::new(|| {
    let text = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    StandardSigner::new(text).expect("the documented key")
});

/// `text` as a note signed by [`LEDGER_KEY`]; a fuzzer cannot find the signature by itself.
pub fn signed(text: &str) -> Option<String> {
    let mut note = Note::new(text.as_bytes(), &[]).ok()?;
    note.add_sigs(&[&*SIGNER]).ok()?;
    String::from_utf8(note.to_bytes()).ok()
}
