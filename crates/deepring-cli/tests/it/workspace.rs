//! A folder of its own for each test, and the built command run in it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use deepring::{AuthenticRing, DType, Owner, PublicKey, TensorValue, Trust, UnverifiedRing};
use deepring_infer::inputs::write_npy;
use serde_json::Value;
use tempfile::TempDir;

/// Labels, network and inputs lie in the folder; rings and keys come as a test asks for them.
pub(crate) struct Workspace {
    folder: TempDir,
}

impl Workspace {
    /// `net.onnx` (LeNet), `labels.txt`, `x.npy` (one image), `batch.npy` (eight).
    pub(crate) fn new() -> Self {
        let workspace = Self { folder: tempfile::tempdir().unwrap() };
        fs::copy(zoo("fashion-lenet5.onnx"), workspace.path("net.onnx")).unwrap();
        fs::copy(zoo("labels.txt"), workspace.path("labels.txt")).unwrap();
        write_npy(&workspace.path("x.npy"), &images(0, 1)).unwrap();
        write_npy(&workspace.path("batch.npy"), &images(0, 8)).unwrap();
        workspace
    }

    /// And two key pairs in `keys`.
    pub(crate) fn with_keys() -> Self {
        let workspace = Self::new();
        workspace.run("keygen --out keys").succeeds();
        workspace
    }

    /// And `net.ring`, sealed for the host of `keys`.
    pub(crate) fn with_ring() -> Self {
        let workspace = Self::with_keys();
        workspace.seal("net.ring", "");
        workspace
    }

    /// The same, and the owner of `keys` is trusted from then on.
    pub(crate) fn with_trusted_ring() -> Self {
        let workspace = Self::with_ring();
        workspace.run("trust add keys/owner.pub").succeeds();
        workspace
    }

    pub(crate) fn seal(&self, ring: &str, more: &str) {
        let fixed = "seal net.onnx --owner keys/owner.key --host keys/host.pub --labels labels.txt";
        self.run(&format!("{fixed} {more} -o {ring}")).succeeds();
    }

    /// Puts a ring of `keys` on a ledger, which is made where there is none.
    pub(crate) fn register(&self, ring: &str, ledger: &str) {
        self.register_with(ring, ledger, "");
    }

    /// The same, with more arguments.
    pub(crate) fn register_with(&self, ring: &str, ledger: &str, more: &str) {
        let new = if self.path(ledger).exists() { "" } else { "--new-ledger" };
        let fixed = "--owner-key keys/owner.key";
        self.run(&format!("ledger register {ring} {fixed} --ledger {ledger} {new} {more}"))
            .succeeds();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with these words as arguments.
    pub(crate) fn command(&self, words: &str) -> Command {
        self.command_of(words.split_whitespace())
    }

    pub(crate) fn command_of(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deepring"));
        command.args(words).current_dir(self.folder.path()).stdin(Stdio::null());
        self.surround(&mut command);
        command
    }

    /// The environment of every command here: a trust store of its own, nothing of the user's.
    pub(crate) fn surround(&self, command: &mut Command) {
        command.env("DEEPRING_TRUST", self.path("trust.json"));
        for name in ["DEEPRING_LOG", "NO_COLOR", "CLICOLOR_FORCE", "HOME", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        // A witness of a test is on this machine.
        for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
    }

    pub(crate) fn run(&self, words: &str) -> Ran {
        Ran::of(words, self.command(words).output().unwrap())
    }

    /// The ring in this file, for a look inside.
    pub(crate) fn ring(&self, name: &str) -> AuthenticRing {
        let owner = PublicKey::<Owner>::read(&self.path("keys/owner.pub")).unwrap();
        let ring = UnverifiedRing::open(&self.path(name)).unwrap();
        ring.authenticate(&Trust::owner(owner)).unwrap()
    }

    /// Changes one byte of a file.
    pub(crate) fn flip(&self, name: &str, at: usize) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        bytes[at] ^= 1;
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Entries that a ledger's own checkpoint file says are on disk.
    pub(crate) fn acknowledged(&self, ledger: &str) -> u64 {
        let text = fs::read_to_string(self.path(ledger).join("checkpoint")).unwrap_or_default();
        text.lines().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Names of the files in the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|f| f.unwrap().file_name());
        let mut names: Vec<_> = names.map(|n| n.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A command that ran, and what it did.
pub(crate) struct Ran {
    words: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(words: &str, output: Output) -> Self {
        Self {
            words: words.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Expects exit code 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Expects this exit code, an error text for each but 0, and no panic.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        let said = format!("$ deepring {}\n{}{}", self.words, self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{said}");
        assert!(!self.stderr.contains("panicked"), "{said}");
        assert_eq!(self.stderr.contains("error: "), code != 0, "{said}");
        self
    }

    /// Expects these words on stderr.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in: {}", self.stderr);
        self
    }

    /// Standard output, which must be one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(e) => panic!("$ deepring {}: {e}\n{}{}", self.words, self.stdout, self.stderr),
        }
    }
}

pub(crate) fn zoo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo").join(name)
}

/// Images of the sample as one tensor.
pub(crate) fn images(from: usize, to: usize) -> TensorValue {
    let bytes = fs::read(zoo("fashion-sample/images-idx3-ubyte")).unwrap();
    let pixels = &bytes[16 + from * 784..16 + to * 784];
    let data = pixels.iter().flat_map(|p| (f32::from(*p) / 255.0).to_le_bytes()).collect();
    TensorValue::new("image", DType::F32, vec![(to - from) as u64, 1, 28, 28], data).unwrap()
}
