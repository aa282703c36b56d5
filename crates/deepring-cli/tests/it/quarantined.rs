//! A host that says that its own copy is tampered with does not use it until it is repaired, or its owner lifts that.

use std::fs;

use crate::workspace::Workspace;

const RUN: &str =
    "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy --ledger ledger";
const REPAIR: &str = "repair net.ring --from copy.ring --owner keys/owner.pub --ledger ledger \
                      --key keys/host.key";
const LIFT: &str =
    "revoke lift net.ring --host keys/host.pub --ledger ledger --reason seen --owner-key";

/// `net.ring` on a ledger, with an intact copy, and a run that found block 3 tampered with.
fn alarmed(more: &str) -> Workspace {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    if !more.is_empty() {
        let grant = "grant net.ring --owner-key keys/owner.key --host";
        workspace.run(&format!("{grant} {more}")).succeeds();
    }
    workspace.register("net.ring", "ledger");
    fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    let at = workspace.ring("net.ring").stored_at(3, 5000).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    workspace.run(RUN).exits(3).says("block 3 (fc1)");
    workspace
}

#[test]
fn a_hosts_own_alarm_stops_it_until_its_repair_is_recorded() {
    let workspace = alarmed("");
    // The file put back by hand is no repair that anybody knows of.
    fs::copy(workspace.path("net.ring"), workspace.path("damaged.ring")).unwrap();
    fs::copy(workspace.path("copy.ring"), workspace.path("net.ring")).unwrap();
    workspace.run(RUN).exits(3).says("is quarantined by entry 1").says("hint: `deepring repair");
    fs::copy(workspace.path("damaged.ring"), workspace.path("net.ring")).unwrap();
    let repaired = workspace.run(&format!("{REPAIR} --json")).succeeds().json();
    assert_eq!((&repaired["repaired"], &repaired["entries"][0]), (&true.into(), &3.into()));
    workspace.run(RUN).succeeds();
    let shown = workspace.run("ledger show --ledger ledger --kind alarm").succeeds().stdout;
    // Of the run, and of what the repair found.
    assert_eq!(shown.lines().count(), 2, "{shown}");
}

#[test]
fn a_file_that_is_whole_already_is_repaired_by_being_compared() {
    let workspace = alarmed("");
    fs::copy(workspace.path("copy.ring"), workspace.path("net.ring")).unwrap();
    let repaired = workspace.run(REPAIR).succeeds();
    assert!(repaired.stdout.contains("nothing to repair"), "{}", repaired.stdout);
    workspace.run(RUN).succeeds();
    // Nothing is left to say.
    let entries = workspace.acknowledged("ledger");
    workspace.run(REPAIR).succeeds();
    assert_eq!(workspace.acknowledged("ledger"), entries);
}

#[test]
fn a_repair_of_a_shared_block_needs_the_other_host_or_the_owner() {
    let workspace = alarmed("more/host.pub");
    let repaired = workspace.run(REPAIR).succeeds().says("would have to countersign");
    assert!(repaired.stdout.contains("repaired block 3"), "{}", repaired.stdout);
    assert_eq!(
        fs::read(workspace.path("net.ring")).unwrap(),
        fs::read(workspace.path("copy.ring")).unwrap()
    );
    workspace.run(RUN).exits(3).says("is quarantined");
    // The other host's copy is its own; it is told of this one.
    let other = RUN.replace("keys/host.key", "more/host.key");
    workspace.run(&other).succeeds().says("note: block 3 of host drhost1");
    // With both keys this host's copy would be used, too.
    workspace.run(&format!("{RUN} --key more/host.key")).exits(3);

    workspace.run(&format!("{LIFT} more/owner.key")).exits(4).says("--owner-key");
    let lifted = workspace.run(&format!("{LIFT} keys/owner.key --blocks 3")).succeeds();
    assert!(lifted.stdout.starts_with("lifted by entry "), "{}", lifted.stdout);
    workspace.run(RUN).succeeds();
    workspace.run(&format!("{LIFT} keys/owner.key --blocks 3")).exits(4).says("not quarantined");
    workspace.run(&format!("{LIFT} keys/owner.key")).exits(1).says("no block of host");
}

#[test]
fn a_host_speaks_of_no_copy_but_its_own() {
    let workspace = Workspace::with_keys();
    workspace.run("keygen --out more").succeeds();
    workspace
        .run(
            "seal net.onnx --owner keys/owner.key --host 1-2=keys/host.pub --host 3-5=more/host.pub \
             --cut op -o net.ring",
        )
        .succeeds();
    workspace.register("net.ring", "ledger");
    fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    let at = workspace.ring("net.ring").stored_at(4, 8).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    // Both hosts' keys: the alarm is by the one whose block it is.
    workspace.run(&format!("{RUN} --key more/host.key")).exits(3);
    let alarms = |host: &str| {
        let words = format!("ledger show --ledger ledger --kind alarm --host {host}/host.pub");
        workspace.run(&words).succeeds().stdout.lines().count()
    };
    assert_eq!((alarms("keys"), alarms("more")), (0, 1));
    // A repair by the other key makes the file whole, and says nothing of a block that is not its own.
    workspace.run(REPAIR).succeeds().says("whose host this key is not");
    assert_eq!((alarms("keys"), alarms("more")), (1, 1));
    workspace.run(&format!("{RUN} --key more/host.key")).exits(3).says("is quarantined");
    workspace.run(&REPAIR.replace("keys/host.key", "more/host.key")).succeeds();
    workspace.run(&format!("{RUN} --key more/host.key")).succeeds();
}

#[test]
fn a_repair_that_another_host_of_the_block_countersigns_ends_the_quarantine() {
    let workspace = alarmed("more/host.pub");
    let with = |key: &str| format!("{REPAIR} --countersign {key}");
    // One file is no two copies, by whatever name.
    fs::hard_link(workspace.path("net.ring"), workspace.path("twin.ring")).unwrap();
    for copy in ["net.ring", "twin.ring"] {
        let itself = with("more/host.key").replace("copy.ring", copy);
        workspace.run(&itself).exits(2).says("the ring itself");
    }
    // Who repairs does not countersign for itself, and a host of no block of the ring has nothing to compare with.
    workspace.run("keygen --out third").succeeds();
    for key in ["keys/host.key", "third/host.key"] {
        workspace.run(&with(key)).succeeds().says("would have to countersign");
        workspace.run(RUN).exits(3).says("is quarantined");
    }
    let repaired = workspace.run(&format!("{} --json", with("more/host.key"))).succeeds().json();
    let [entry] = &repaired["entries"].as_array().unwrap()[..] else { panic!("{repaired}") };
    let shown = workspace.run("ledger show --ledger ledger --kind repair --json").succeeds().json();
    let [repair] = &shown["entries"].as_array().unwrap()[..] else { panic!("{shown}") };
    assert_eq!(&repair["index"], entry);
    let other = fs::read_to_string(workspace.path("more/host.pub")).unwrap();
    assert_eq!(repair["entry"]["countersignature"]["host"], other.trim(), "{repair}");
    workspace.run(RUN).succeeds();
    workspace.run("ledger verify --ledger ledger").succeeds();
}

/// Where the alarm cannot be recorded, the file stays damaged: whole again, nobody would learn that it was not.
#[test]
fn what_a_repair_found_is_recorded_before_the_file_is_whole() {
    let workspace = Workspace::with_ring();
    workspace.register("net.ring", "ledger");
    fs::copy(workspace.path("net.ring"), workspace.path("copy.ring")).unwrap();
    // The closure, which hides what is behind it, and a block.
    let at = workspace.ring("net.ring").stored_at(3, 5000).unwrap();
    workspace.flip("net.ring", usize::try_from(at).unwrap());
    workspace.flip("net.ring", 100);
    let damaged = fs::read(workspace.path("net.ring")).unwrap();
    fs::create_dir(workspace.path("kept")).unwrap();
    for file in ["ledger.redb", "checkpoint", "log.key", "log.pub"] {
        fs::copy(workspace.path("ledger").join(file), workspace.path("kept").join(file)).unwrap();
    }
    let revoke = "revoke host keys/host.pub --owner-key keys/owner.key --reason gone --ledger";
    // A reader who knows nothing of the other.
    let other = "kept --ledger-key kept/log.pub --trust other.json";
    workspace.run(&format!("{revoke} {other}")).succeeds();
    let elsewhere = REPAIR.replace("--ledger ledger", &format!("--ledger {other}"));
    workspace.run(&elsewhere).exits(4).says("revoked");
    assert_eq!(fs::read(workspace.path("net.ring")).unwrap(), damaged);

    workspace.run(REPAIR).succeeds();
    let shown = workspace.run("ledger show --ledger ledger --json").succeeds().json();
    let entries = shown["entries"].as_array().unwrap();
    let of = |kind: &str| entries.iter().filter(|e| e["entry"]["kind"] == kind).collect::<Vec<_>>();
    let [repair] = &of("repair")[..] else { panic!("{shown}") };
    let alarmed: Vec<_> = of("alarm").iter().map(|e| e["entry"]["block"].clone()).collect();
    for block in repair["entry"]["blocks"].as_array().unwrap() {
        assert!(
            alarmed.contains(block),
            "{block} was repaired, and of these is an alarm: {alarmed:?}"
        );
    }
    workspace.run(RUN).succeeds();
}
