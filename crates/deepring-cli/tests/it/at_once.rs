//! Several commands on one file at the same time: what ended well is there.

use std::process::{Child, Stdio};

use crate::workspace::Workspace;

fn start(workspace: &Workspace, words: &str) -> Child {
    workspace.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn of_grants_at_once_none_that_ended_well_is_lost() {
    let workspace = Workspace::with_ring();
    let hosts: Vec<String> = (0..6).map(|n| format!("host{n}")).collect();
    for host in &hosts {
        workspace.run(&format!("keygen --out {host}")).succeeds();
    }
    let grant = |host: &String| {
        let words = format!("grant net.ring --owner-key keys/owner.key --host {host}/host.pub");
        start(&workspace, &words)
    };
    let children: Vec<Child> = hosts.iter().map(grant).collect();
    for (host, mut child) in hosts.iter().zip(children) {
        assert!(child.wait().unwrap().success(), "{host}");
    }
    for host in &hosts {
        let verify = format!("verify net.ring --owner keys/owner.pub --key {host}/host.key");
        workspace.run(&verify).succeeds();
    }
    assert_eq!(workspace.ring("net.ring").revision(), u32::try_from(hosts.len()).unwrap());
    assert!(workspace.files().iter().all(|name| !name.starts_with('.')), "{:?}", workspace.files());
}

#[test]
fn of_grants_into_one_file_each_is_in_it_or_refused() {
    let workspace = Workspace::with_ring();
    let hosts: Vec<String> = (0..4).map(|n| format!("host{n}")).collect();
    for host in &hosts {
        workspace.run(&format!("keygen --out {host}")).succeeds();
    }
    let grant = |from: &str, host: &String| {
        format!("grant {from} --owner-key keys/owner.key --host {host}/host.pub -o out.ring")
    };
    let children: Vec<Child> =
        hosts.iter().map(|host| start(&workspace, &grant("net.ring", host))).collect();
    let mut granted = 0;
    for (host, mut child) in hosts.iter().zip(children) {
        let verify = format!("verify out.ring --owner keys/owner.pub --key {host}/host.key");
        if child.wait().unwrap().success() {
            workspace.run(&verify).succeeds();
            granted += 1;
        }
    }
    assert_eq!(granted, 1, "from one revision one grant can be the next");
    // Of two rings at once on a path where none was, one is put there, and the other command says that it was not.
    let seal =
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --previous net.ring -o new.ring";
    let children: Vec<Child> = (0..3).map(|_| start(&workspace, seal)).collect();
    let done = children.into_iter().map(|mut c| c.wait().unwrap().success());
    assert_eq!(done.filter(|well| *well).count(), 1);
    for host in &hosts {
        // Of the file that is there, one after the other.
        let grant = format!("grant out.ring --owner-key keys/owner.key --host {host}/host.pub");
        workspace.run(&grant).succeeds();
    }
    workspace.run(&grant("net.ring", &hosts[0])).exits(5).says("holds version 1, revision 4");
    // Nor is a newer version written over.
    workspace.seal("out.ring", "--previous net.ring --model-version 7");
    workspace.run(&grant("net.ring", &hosts[0])).exits(5).says("version 7");
    let older = "seal net.onnx --owner keys/owner.key --host keys/host.pub --previous net.ring";
    workspace.run(&format!("{older} -o out.ring")).exits(5).says("version 7");
}

/// From two copies of one ring: neither's turn is the other's, and of what is put where nothing was one stays.
#[test]
fn of_grants_from_copies_into_one_absent_file_none_that_ended_well_is_lost() {
    let workspace = Workspace::with_ring();
    let hosts: Vec<String> = (0..4).map(|n| format!("host{n}")).collect();
    for (n, host) in hosts.iter().enumerate() {
        workspace.run(&format!("keygen --out {host}")).succeeds();
        std::fs::copy(workspace.path("net.ring"), workspace.path(&format!("copy{n}.ring")))
            .unwrap();
    }
    for round in 0..5 {
        let grant = |(n, host): (usize, &String)| {
            let words =
                format!("grant copy{n}.ring --owner-key keys/owner.key --host {host}/host.pub");
            start(&workspace, &format!("{words} -o out{round}.ring"))
        };
        let children: Vec<Child> = hosts.iter().enumerate().map(grant).collect();
        let mut granted = 0;
        for (host, mut child) in hosts.iter().zip(children) {
            if child.wait().unwrap().success() {
                let verify = format!("verify out{round}.ring --owner keys/owner.pub");
                workspace.run(&format!("{verify} --key {host}/host.key")).succeeds();
                granted += 1;
            }
        }
        assert_eq!(granted, 1, "{round}");
    }
}

/// Whichever comes first: the ring is granted, or what came before says why not.
#[test]
fn a_grant_that_ended_well_is_not_taken_back_by_what_is_no_ring() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    workspace.register("net.ring", "ledger");
    workspace
        .run(
            "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger",
        )
        .succeeds();
    std::fs::copy(workspace.path("net.ring"), workspace.path("kept.ring")).unwrap();
    let grant = "grant net.ring --owner-key keys/owner.key --host more/host.pub";
    let others = [
        "export kept.ring --owner keys/owner.pub --key keys/host.key -o net.ring",
        "run kept.ring --owner keys/owner.pub --key keys/host.key --input x.npy --receipt net.ring",
        "ledger prove --ledger ledger -o net.ring",
        #[cfg(feature = "attacks")]
        "quantise net.onnx -o net.ring",
        #[cfg(feature = "attacks")]
        "attack net.onnx --kind zero -o net.ring",
    ];
    for round in 0..5 {
        for other in others {
            let _ = std::fs::remove_file(workspace.path("trust.json"));
            std::fs::copy(workspace.path("kept.ring"), workspace.path("net.ring")).unwrap();
            let mut one = start(&workspace, grant);
            std::thread::sleep(std::time::Duration::from_millis(10 * round));
            let mut two = start(&workspace, other);
            let [granted, written] = [&mut one, &mut two].map(|c| c.wait().unwrap().success());
            let verify =
                workspace.run("verify net.ring --owner keys/owner.pub --key more/host.key");
            assert_eq!(verify.code == Some(0), granted, "{other}: {written}");
            assert!(granted != written, "{other}: {granted}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_ring_behind_a_link_is_granted_where_it_lies() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out other").succeeds();
    std::os::unix::fs::symlink("net.ring", workspace.path("link.ring")).unwrap();
    workspace.run("grant link.ring --owner-key keys/owner.key --host other/host.pub").succeeds();
    assert!(workspace.path("link.ring").is_symlink());
    workspace.run("verify net.ring --owner keys/owner.pub --key other/host.key").succeeds();
    let intact = std::fs::read(workspace.path("net.ring")).unwrap();
    std::fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    workspace.flip("net.ring", intact.len() - 100);
    workspace.run("repair link.ring --from copy.ring --owner keys/owner.pub").succeeds();
    assert!(workspace.path("link.ring").is_symlink());
    assert!(std::fs::read(workspace.path("net.ring")).unwrap() == intact);
}

/// The same file by another name is no other file to wait for.
#[test]
fn a_grant_into_a_hard_link_of_its_ring_does_not_wait_for_itself() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out other").succeeds();
    std::fs::hard_link(workspace.path("net.ring"), workspace.path("hard.ring")).unwrap();
    let began = std::time::Instant::now();
    workspace
        .run("grant net.ring --owner-key keys/owner.key --host other/host.pub -o hard.ring")
        .succeeds();
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
    workspace.run("verify hard.ring --owner keys/owner.pub --key other/host.key").succeeds();
    assert_eq!(workspace.ring("net.ring").revision(), 0);
}

#[test]
fn of_upgrades_at_once_each_has_a_version_of_its_own() {
    let workspace = Workspace::with_ring();
    let seal =
        "seal net.onnx --owner keys/owner.key --host keys/host.pub --previous net.ring -o net.ring";
    let children: Vec<Child> = (0..4).map(|_| start(&workspace, seal)).collect();
    let done = children.into_iter().map(|mut c| c.wait().unwrap().success());
    let done = done.filter(|well| *well).count() as u64;
    assert!(done > 0);
    assert_eq!(workspace.ring("net.ring").model_version(), 1 + done);
}
