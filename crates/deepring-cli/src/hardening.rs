//! What keeps others out of this process, and what was obtained of it.

use std::sync::OnceLock;

use deepring_memory::{Hardening, harden_process};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

static OBTAINED: OnceLock<Hardening> = OnceLock::new();
static CONFINED: OnceLock<Sandbox> = OnceLock::new();

/// Closes the process to its own user. To be called first in `main`: before an argument is looked at, a key is
/// read or a thread exists.
pub(crate) fn harden() {
    OBTAINED.get_or_init(harden_process);
}

/// Remembers what was given up besides.
pub(crate) fn confined(sandbox: Sandbox) {
    CONFINED.get_or_init(|| sandbox);
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
    json!({ "not_dumpable": not_dumpable, "no_core_files": no_core, "sandbox": sandbox })
}

/// The same for people.
pub(crate) fn text() -> String {
    let Hardening { not_dumpable, no_core } = obtained();
    let not = |obtained: bool| if obtained { "" } else { "NOT " };
    let sandbox = CONFINED.get().map_or_else(
        || "no sandbox".to_owned(),
        |s| {
            format!(
                "a sandbox (files of this run only by Landlock {}, no network, no programs, {} system calls denied)",
                s.landlock, s.denied
            )
        },
    );
    format!(
        "process: {}closed to its own user (ptrace, /proc/PID/mem, process_vm_*), {}without core files, {sandbox}",
        not(not_dumpable),
        not(no_core)
    )
}
