//! The sandbox as Linux has it: Landlock for files and the network, seccomp for system calls.

use std::collections::BTreeMap;
use std::fs;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::{Needs, Sandbox};

/// Rights on files that a kernel must know (Linux 6.2): without the right to truncate, a file that may only be read
/// could be emptied.
const FILES: ABI = ABI::V3;

/// System calls that no run makes, and that reach into other processes, the kernel, or this one from outside the
/// language: each is an attacker's next step.
const NEVER: &[i64] = &[
    // Other processes' memory and descriptors, and this one's through the back door.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_userfaultfd,
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Files by other ways than their names.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    // The network; Landlock knows TCP alone.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // The kernel itself, where most of its faults were found.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_personality,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // What names mean.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
];

/// Numbers of the third kind of system call that a 64-bit x86 kernel may have: the same ones with this bit.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// And those that have a number of their own there: execve, ptrace, kexec_load, process_vm_readv,
/// process_vm_writev, execveat.
#[cfg(target_arch = "x86_64")]
const X32_OWN: [i64; 6] = [520, 521, 528, 539, 540, 545];

/// Both halves hold for the calling thread and for those that it starts, so there must be no other yet.
pub(super) fn only_thread() -> Result<(), String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
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
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in NEVER {
        rules.insert(*call, Vec::new());
    }
    let denied = rules.len();
    // Whoever has taken the process over cannot open it to others again.
    rules.insert(libc::SYS_prctl, vec![when_equal(0, libc::PR_SET_DUMPABLE)?]);
    if !code {
        // No page becomes code that was not when the process began.
        for call in [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect] {
            rules.insert(call, vec![when_set(2, libc::PROT_EXEC)?]);
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        let x32: Vec<_> = rules.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
        rules.extend(x32);
        rules.extend(X32_OWN.map(|call| (call | X32, Vec::new())));
    }
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?;
    Ok((filter.try_into()?, denied))
}

fn when_equal(argument: u8, value: i32) -> Result<SeccompRule, seccompiler::BackendError> {
    let value = u64::from(value.unsigned_abs());
    let equal = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?;
    SeccompRule::new(vec![equal])
}

fn when_set(argument: u8, bits: i32) -> Result<SeccompRule, seccompiler::BackendError> {
    let bits = u64::from(bits.unsigned_abs());
    let set = SeccompCmpOp::MaskedEq(bits);
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, set, bits)?])
}

#[cfg(test)]
mod tests;
