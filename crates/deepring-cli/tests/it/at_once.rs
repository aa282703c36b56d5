//! Several commands on one file at the same time: what ended well is there.

use std::process::{Child, Stdio};

use crate::desk::Desk;

fn start(desk: &Desk, words: &str) -> Child {
    desk.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn of_grants_at_once_none_that_ended_well_is_lost() {
    let desk = Desk::with_ring();
    let hosts: Vec<String> = (0..6).map(|n| format!("host{n}")).collect();
    for host in &hosts {
        desk.run(&format!("keygen --out {host}")).succeeds();
    }
    let grant = |host: &String| {
        let words = format!("grant net.ring --owner-key keys/owner.key --host {host}/host.pub");
        start(&desk, &words)
    };
    let children: Vec<Child> = hosts.iter().map(grant).collect();
    for (host, mut child) in hosts.iter().zip(children) {
        assert!(child.wait().unwrap().success(), "{host}");
    }
    for host in &hosts {
        let verify = format!("verify net.ring --owner keys/owner.pub --key {host}/host.key");
        desk.run(&verify).succeeds();
    }
    assert_eq!(desk.ring("net.ring").revision(), u32::try_from(hosts.len()).unwrap());
    assert!(desk.files().iter().all(|name| !name.starts_with('.')), "{:?}", desk.files());
}

#[test]
fn of_upgrades_at_once_each_has_a_version_of_its_own() {
    let desk = Desk::with_ring();
    let seal =
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --previous net.ring -o net.ring";
    let children: Vec<Child> = (0..4).map(|_| start(&desk, seal)).collect();
    let done = children.into_iter().map(|mut c| c.wait().unwrap().success());
    let done = done.filter(|well| *well).count() as u64;
    assert!(done > 0);
    assert_eq!(desk.ring("net.ring").model_version(), 1 + done);
}
