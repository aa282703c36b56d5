//! Measures that keep others out of this process, and those that were obtained.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use deepring_infer::block::BlockProtection;
use deepring_memory::{Hardening, harden_process};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

static OBTAINED: OnceLock<Hardening> = OnceLock::new();
static CONFINED: OnceLock<Sandbox> = OnceLock::new();
static MEMORY: OnceLock<Memory> = OnceLock::new();

/// Blocks by what the pages of their parameters got, and by what those of their check's secrets did.
#[derive(Debug, Default)]
struct Memory {
    parameters: BTreeMap<&'static str, usize>,
    secrets: BTreeMap<&'static str, usize>,
}

/// Closes the process to its own user. To be called first in `main`: before an argument is looked at, a key is
/// read or a thread exists.
pub(crate) fn harden() {
    OBTAINED.get_or_init(harden_process);
}

/// Remembers what was given up besides.
pub(crate) fn confined(sandbox: Sandbox) {
    CONFINED.get_or_init(|| sandbox);
}

/// Remembers what the memory of an open ring's blocks got.
pub(crate) fn opened(blocks: impl Iterator<Item = (u32, BlockProtection)>) {
    let mut memory = Memory::default();
    for (_, block) in blocks {
        *memory.parameters.entry(block.parameters.name()).or_default() += 1;
        if let Some(secrets) = block.secrets {
            *memory.secrets.entry(secrets.name()).or_default() += 1;
        }
    }
    MEMORY.get_or_init(|| memory);
}

/// The memory of an open ring's blocks, for people.
pub(crate) fn memory_text() -> Option<String> {
    let memory = MEMORY.get()?;
    let list = |counts: &BTreeMap<&str, usize>| {
        let each = counts.iter().map(|(what, n)| format!("{n} {what}"));
        each.collect::<Vec<_>>().join(", ")
    };
    let secrets = match memory.secrets.is_empty() {
        true => "nothing is compared at a use".to_owned(),
        false => format!("keys, tags and secrets of checks: {}", list(&memory.secrets)),
    };
    Some(format!("memory: parameters of blocks: {}; {secrets}", list(&memory.parameters)))
}

fn obtained() -> Hardening {
    OBTAINED.get().copied().unwrap_or_default()
}

/// The `hardening` of a command's JSON.
pub(crate) fn json() -> Value {
    let Hardening { not_dumpable, no_core } = obtained();
    let sandbox = CONFINED
        .get()
        .map(|s| json!({ "denied_system_calls": s.denied, "landlock_version": s.landlock }));
    let memory =
        MEMORY.get().map(|m| json!({ "parameters": m.parameters, "check_secrets": m.secrets }));
    json!({
        "not_dumpable": not_dumpable,
        "no_core_files": no_core,
        "sandbox": sandbox,
        "memory": memory,
    })
}

/// The same for people.
pub(crate) fn text() -> String {
    let Hardening { not_dumpable, no_core } = obtained();
    let not = |obtained: bool| if obtained { "" } else { "NOT " };
    let sandbox = CONFINED.get().map_or_else(
        || "no sandbox".to_owned(),
        |s| {
            format!(
                "a sandbox (only files that it reads and folders that it writes to, by Landlock {}; no network, no programs, {} system calls denied)",
                s.landlock, s.denied
            )
        },
    );
    format!(
        "process: {}closed to its own user since main began, not to root (ptrace, /proc/PID/mem, process_vm_*), {}without core files, {sandbox}",
        not(not_dumpable),
        not(no_core)
    )
}
