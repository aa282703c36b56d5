//! A hardened process, as it says of itself.

use deepring_memory::harden_process;
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

use crate::child::{Role, role};

#[test]
fn a_hardened_process_is_not_dumpable_and_leaves_no_core() {
    if role().is_none() {
        let test = "hardened::a_hardened_process_is_not_dumpable_and_leaves_no_core";
        assert!(Role::start(test, "hardened", None).end().success());
        return;
    }
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
    let got = harden_process();
    assert!(got.not_dumpable && got.no_core);
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let core = getrlimit(Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    assert_eq!(harden_process(), got);
}
