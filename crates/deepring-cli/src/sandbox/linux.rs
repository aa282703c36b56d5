//! The sandbox as Linux has it: Landlock for files and the network, seccomp for system calls.

mod denied;

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use self::denied::{NEVER, TERMINAL};
#[cfg(target_arch = "x86_64")]
use self::denied::{X32, X32_IOCTL, X32_OWN};
use super::{Needs, Sandbox};

/// Rights on files that a kernel must know (Linux 6.2): without the right to truncate, a file that may only be read
/// could be emptied.
const FILES: ABI = ABI::V3;

/// Both halves hold for the calling thread and for those that it starts, so there must be no other yet.
pub(super) fn only_thread() -> Result<(), String> {
    let status = deepring::files::read_plain_text(Path::new("/proc/self/status"), 1 << 16)
        .unwrap_or_default();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    match threads.map(str::trim) {
        Some("1") => Ok(()),
        Some(threads) => Err(format!("this process has {threads} threads already")),
        None => Err("/proc/self/status does not say how many threads there are".to_owned()),
    }
}

/// Confines the calling thread and all that it will start.
pub(super) fn restrict(needs: &Needs) -> Result<Sandbox, String> {
    let filter = filter(needs.code).map_err(|e| format!("seccomp: {e}"))?;
    let landlock = files(needs).map_err(|e| format!("Landlock: {e}"))?;
    let (program, denied) = filter;
    seccompiler::apply_filter(&program).map_err(|e| format!("seccomp: {e}"))?;
    Ok(Sandbox { denied, landlock })
}

/// Limits files to what is needed, and TCP, signals and abstract sockets to nothing; returns the Landlock version.
fn files(needs: &Needs) -> Result<u32, String> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let change: BitFlags<AccessFs> = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile;
    let begun = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(FILES))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?
            .handle_access(AccessNet::from_all(ABI::V4))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?
            .add_rules(path_beneath_rules(&needs.read, read))?
            .add_rules(path_beneath_rules(&needs.change, change))?
            .restrict_self()
    };
    let status = begun().map_err(|e: landlock::RulesetError| e.to_string())?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => Err("not enforced".to_owned()),
        (_, LandlockStatus::Available { effective_abi, .. }) if status.no_new_privs => {
            Ok(effective_abi as u32)
        }
        _ => Err("new privileges are not ruled out".to_owned()),
    }
}

/// The filter, and how many system calls it denies altogether.
fn filter(code: bool) -> Result<(BpfProgram, usize), seccompiler::Error> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};

    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in NEVER {
        rules.insert(*call, Vec::new());
    }
    let denied = rules.len();
    // Whoever has taken the process over cannot open it to others again.
    rules.insert(libc::SYS_prctl, vec![when(0, Eq, libc::PR_SET_DUMPABLE.unsigned_abs())?]);
    let typing = TERMINAL.map(|request| when(1, Eq, request));
    let typing = typing.into_iter().collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_ioctl, typing.clone());
    // Its own limits a library may ask for, and lower; other processes' are their own.
    rules.insert(libc::SYS_prlimit64, vec![when(0, Ne, 0)?]);
    if !code {
        // No page becomes code that was not when the process began.
        let exec = libc::PROT_EXEC.unsigned_abs();
        for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
            rules.insert(call, vec![when(2, MaskedEq(u64::from(exec)), exec)?]);
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        let x32: Vec<_> = rules.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
        rules.extend(x32);
        rules.extend(X32_OWN.map(|call| (call | X32, Vec::new())));
        rules.insert(X32_IOCTL | X32, typing);
    }
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?;
    Ok((filter.try_into()?, denied))
}

/// Where the lower half of an argument compares so: that half is all that the kernel reads of those that are asked about.
fn when(
    argument: u8,
    compares: SeccompCmpOp,
    value: u32,
) -> Result<SeccompRule, seccompiler::BackendError> {
    let value = u64::from(value);
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compares, value)?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests;
