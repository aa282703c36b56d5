//! Which machine measured, and its memory.

use std::path::Path;

use deepring::files::read_plain_text;
use serde::Serialize;

/// Most bytes of what the system says of itself.
const MAX_TEXT: u64 = 4 << 20;

/// The machine that the numbers of a report depend on.
#[derive(Debug, Clone, Serialize)]
pub(in crate::commands) struct Machine {
    pub(in crate::commands) cpu: String,
    pub(in crate::commands) cores: usize,
    pub(in crate::commands) memory_bytes: Option<u64>,
    pub(in crate::commands) system: String,
    /// Wherever a build is not optimised, its numbers say nothing.
    pub(in crate::commands) optimised: bool,
}

impl Machine {
    pub(in crate::commands) fn this() -> Self {
        let cpu = value_of("/proc/cpuinfo", "model name");
        let kernel =
            read_plain_text(Path::new("/proc/sys/kernel/osrelease"), MAX_TEXT).unwrap_or_default();
        let system = format!("{} {}", std::env::consts::OS, kernel.trim());
        Self {
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes("/proc/meminfo", "MemTotal"),
            system: system.trim().to_owned(),
            optimised: !cfg!(debug_assertions),
        }
    }
}

/// Memory that a new process could have without driving others out; `None` where the system does not say.
pub(super) fn available_memory() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemAvailable")
}

/// The most memory that this process had so far; `None` where the system does not say.
pub(super) fn peak_memory() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM")
}

fn kilobytes(file: &str, name: &str) -> Option<u64> {
    value_of(file, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The value of the first line `NAME: VALUE`.
fn value_of(file: &str, name: &str) -> Option<String> {
    let text = read_plain_text(Path::new(file), MAX_TEXT).ok()?;
    let mut values = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = values.find(|(found, _)| found.trim() == name)?;
    Some(value.trim().to_owned())
}
