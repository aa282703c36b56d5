//! After an owner's key was rotated, what was known of its rings still holds.

use std::fs;
use std::process::{Child, Stdio};

use crate::workspace::{Ran, Workspace};

/// `net.ring` of `keys`, which gave it over to `new` on `ledger`; `more` and `stranger` are other keys.
fn rotated() -> Workspace {
    let workspace = Workspace::with_ring();
    for name in ["new", "more", "stranger"] {
        workspace.run(&format!("keygen --out {name}")).succeeds();
    }
    workspace.register("net.ring", "ledger");
    let rotate = "ledger rotate-owner --owner-key keys/owner.key --new-owner-key new/owner.key";
    workspace.run(&format!("{rotate} --ledger ledger")).succeeds().says("trust remove");
    workspace
}

/// Seals the version behind `net.ring`.
fn seal(workspace: &Workspace, by: &str, more: &str) -> Ran {
    workspace.run(&seal_words(by, more))
}

fn seal_words(by: &str, more: &str) -> String {
    format!("seal net.onnx --owner {by}/owner.key --host keys/host.pub --previous net.ring {more}")
}

const RUN: &str = "run net.ring --owner keys/owner.pub --key keys/host.key --input x.npy";

#[test]
fn what_another_key_of_the_owner_signed_is_not_written_over_by_what_is_not_newer() {
    let workspace = rotated();
    let after = "--ledger ledger -o seven.ring";
    seal(&workspace, "new", &format!("{after} --model-version 7")).succeeds();
    let grant = "grant seven.ring --owner-key new/owner.key --host more/host.pub --trust else.json";
    workspace.run(grant).succeeds();
    let before = fs::read(workspace.path("seven.ring")).unwrap();
    let by_old = "grant net.ring --owner-key keys/owner.key --host more/host.pub -o seven.ring";
    for refused in [
        seal(&workspace, "new", after),
        seal(&workspace, "new", &format!("{after} --model-version 7")),
        // Who has no ledger cannot tell whose the other key is.
        seal(&workspace, "keys", "-o seven.ring --trust none.json"),
        workspace.run(&format!("{by_old} --trust none.json")),
    ] {
        refused.exits(5).says("holds version 7, revision 1 of this ring");
        assert_eq!(fs::read(workspace.path("seven.ring")).unwrap(), before);
    }
    // What is older gives way, whoever signed it.
    seal(&workspace, "new", &format!("{after} --model-version 8")).succeeds();
    fs::copy(workspace.path("net.ring"), workspace.path("place.ring")).unwrap();
    seal(&workspace, "new", "--ledger ledger -o place.ring").succeeds();
}

#[test]
fn of_two_next_versions_at_once_in_one_place_one_is_refused() {
    let workspace = rotated();
    fs::copy(workspace.path("net.ring"), workspace.path("place.ring")).unwrap();
    let start = |_| -> Child {
        let words = seal_words("new", "--ledger ledger -o place.ring");
        let mut command = workspace.command(&words);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..3).map(start).collect();
    let codes = children.into_iter().map(|mut child| child.wait().unwrap().code());
    let mut codes: Vec<_> = codes.collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(5), Some(5)]);
}

#[test]
fn a_version_from_before_the_rotation_is_old_where_the_rotation_is_known() {
    let workspace = rotated();
    let reader = |words: &str| workspace.run(&format!("{words} --trust reader.json"));
    reader("trust add keys/owner.pub new/owner.pub").succeeds();
    reader(&format!("{RUN} --ledger ledger --receipt one.receipt")).succeeds();
    let listed = reader("trust list --json").succeeds().json();
    assert_eq!(listed["rotations"].as_array().unwrap().len(), 1, "{listed}");
    let receipt = "receipt verify one.receipt --ring net.ring --owner keys/owner.pub --json";
    assert!(reader(receipt).succeeds().json()["newer_version"].is_null());
    seal(&workspace, "new", "--ledger ledger -o two.ring").succeeds();
    reader("verify two.ring --owner new/owner.pub").succeeds();

    reader("verify net.ring").exits(5).says("version 1 is older than version 2");
    reader(RUN).exits(5);
    assert_eq!(reader(receipt).succeeds().json()["newer_version"], 2);
    // Whoever stole the key that was given up makes no newer version with it.
    seal(&workspace, "keys", "-o stolen.ring --model-version 9 --trust thief.json").succeeds();
    reader("verify stolen.ring").exits(4).says("gave up");
    reader("verify stolen.ring --owner keys/owner.pub").exits(4).says("gave up");
    reader("verify two.ring").succeeds();
    // Nor decisions that are believed: by a receipt, or by a certificate of a ledger of theirs.
    let thief = |words: &str| workspace.run(&format!("{words} --trust thief.json"));
    let of = "--ring stolen.ring --owner keys/owner.pub";
    let run = RUN.replace("net.ring", "stolen.ring");
    thief("ledger register stolen.ring --owner-key keys/owner.key --ledger theirs --new-ledger")
        .succeeds();
    thief(&format!("{run} --receipt nine.receipt --ledger theirs")).succeeds();
    thief("certificate make --receipt nine.receipt --ledger theirs -o nine.certificate").succeeds();
    let certificate =
        "certificate verify nine.certificate --owner keys/owner.pub --ledger-key theirs/log.pub";
    for stolen in [format!("receipt verify nine.receipt {of}"), certificate.to_owned()] {
        thief(&stolen).succeeds();
        reader(&stolen).exits(4).says("gave up");
        reader(&format!("{stolen} --require none")).exits(4).says("gave up");
    }
}

#[test]
fn who_was_told_of_a_rotation_without_a_ledger_refuses_what_came_before_it() {
    let workspace = rotated();
    seal(&workspace, "new", "--ledger ledger -o two.ring").succeeds();
    let add = "trust add new/owner.pub --successor-of keys/owner.pub";
    // Whether or not anything was seen before.
    for (n, seen) in [true, false].into_iter().enumerate() {
        let reader = |words: &str| workspace.run(&format!("{words} --trust {n}.json"));
        reader("trust add keys/owner.pub").succeeds();
        if seen {
            reader("verify net.ring").succeeds();
        }
        reader(&add.replace("new/owner.pub", "new/owner.pub more/owner.pub")).exits(2);
        reader(add).succeeds().says("trusted still");
        reader("verify net.ring").succeeds();
        reader("verify two.ring --owner new/owner.pub").succeeds();
        reader("verify net.ring --owner keys/owner.pub").exits(5);
    }
}

/// `thief`, the ledger of whoever holds the key that was given up: there it was given up for another key.
fn with_thief() -> Workspace {
    let workspace = rotated();
    let thief = "--ledger thief --trust thief.json";
    let register = "ledger register net.ring --owner-key keys/owner.key --new-ledger";
    workspace.run(&format!("{register} {thief}")).succeeds();
    let rotate =
        "ledger rotate-owner --owner-key keys/owner.key --new-owner-key stranger/owner.key";
    workspace.run(&format!("{rotate} {thief}")).succeeds();
    let stolen = "-o stolen.ring --model-version 9 --trust thief.json";
    seal(&workspace, "keys", stolen).succeeds();
    seal(&workspace, "new", "--ledger ledger -o two.ring").succeeds();
    let register = "ledger register two.ring --owner-key new/owner.key --ledger ledger";
    workspace.run(register).succeeds();
    workspace
}

const RUN_TWO: &str = "run two.ring --owner new/owner.pub --key keys/host.key --input x.npy \
                       --ledger ledger --ledger-key ledger/log.pub";

#[test]
fn the_thiefs_ledger_decides_no_rotation_and_is_forgotten_with_all_that_it_said() {
    let workspace = with_thief();
    for (n, pin) in ["", "--ledger-key thief/log.pub"].into_iter().enumerate() {
        let reader = |words: &str| workspace.run(&format!("{words} --trust {n}.json"));
        reader("trust add keys/owner.pub").succeeds();
        reader(&format!("{RUN} --ledger thief {pin}")).succeeds();
        let listed = reader("trust list --json").succeeds().json();
        let origin = listed["rotations"][0]["ledger"].as_str().unwrap().to_owned();
        assert_eq!(listed["ledgers"][0]["origin"], origin.as_str(), "{listed}");

        // The other way round too: whoever comes second is not believed, and not passed over in silence.
        let refused = reader(RUN_TWO).exits(4).says(&origin).says("trust remove --ledger");
        refused.says("trust add NEW.pub --successor-of");
        reader(&format!("trust remove --ledger {origin}")).succeeds();
        let listed = reader("trust list --json").succeeds().json();
        assert_eq!(listed["rotations"].as_array().unwrap().len(), 0, "{listed}");

        reader(RUN_TWO).succeeds();
        reader("verify net.ring").exits(5);
        reader("verify stolen.ring").exits(4).says("gave up");
        reader(&format!("{RUN} --ledger thief {pin}")).exits(5);
        let run = format!("{RUN_TWO} --trust {n}.json");
        let by_thief =
            run.replace("ledger/log", "thief/log").replace("--ledger ledger", "--ledger thief");
        workspace.run(&by_thief).exits(4).says("by ledger");
    }
}

#[test]
fn the_readers_word_is_one_and_stands_above_ledgers_until_it_is_taken_back() {
    let workspace = with_thief();
    let reader = |words: &str| workspace.run(&format!("{words} --trust reader.json"));
    reader("trust add keys/owner.pub").succeeds();
    reader(&format!("{RUN} --ledger thief")).succeeds();
    let add =
        |new: &str| reader(&format!("trust add {new}/owner.pub --successor-of keys/owner.pub"));
    add("new").succeeds().says("your word stands above what ledger");
    reader(&format!("{RUN} --ledger thief")).exits(4).says("your own word");
    reader(RUN_TWO).succeeds();
    reader("verify net.ring").exits(5);
    reader("verify stolen.ring").exits(4).says("gave up");

    let before = reader("trust list").succeeds().stdout;
    add("stranger").exits(4).says("trust remove --successor-of");
    add("keys").exits(2);
    reader("trust add keys/owner.pub --successor-of new/owner.pub").exits(4);
    assert_eq!(reader("trust list").succeeds().stdout, before);
    reader("trust remove --successor-of keys/owner.pub").succeeds();
    reader("trust remove --successor-of keys/owner.pub").exits(1);
    // The ledger said so too, and says so still.
    reader("verify net.ring").exits(5);
    add("stranger").succeeds().says("your word stands above what ledger");
    reader("trust remove --successor-of keys/owner.pub").succeeds();
    reader("verify net.ring").succeeds();

    // Of several at once, one is believed.
    let start = |new: &&str| -> Child {
        let words =
            format!("trust add {new}/owner.pub --successor-of keys/owner.pub --trust once.json");
        let mut command = workspace.command(&words);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<Child> = ["new", "more", "stranger"].iter().map(start).collect();
    let codes = children.into_iter().map(|mut child| child.wait().unwrap().code());
    let mut codes: Vec<_> = codes.collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(4), Some(4)]);
}

#[test]
fn a_thiefs_version_that_was_seen_locks_nobody_out() {
    let workspace = rotated();
    seal(&workspace, "keys", "-o stolen.ring --model-version 9 --trust thief.json").succeeds();
    let next = |more: &str| seal(&workspace, "new", &format!("--ledger ledger -o x.ring {more}"));
    let pin = "--ledger-key ledger/log.pub";
    for (store, known) in [("owner.json", true), ("told.json", false)] {
        let of = |words: &str| workspace.run(&format!("{words} --trust {store}"));
        of("trust add keys/owner.pub").succeeds();
        of("verify stolen.ring").succeeds();
        of("verify net.ring").exits(5);
        match known {
            true => drop(of(&format!("{RUN} --ledger ledger {pin}")).succeeds()),
            false => drop(of("trust add new/owner.pub --successor-of keys/owner.pub").succeeds()),
        }
        next(&format!("{pin} --trust {store}")).succeeds();
        fs::remove_file(workspace.path("x.ring")).unwrap();
        of("verify net.ring").succeeds();
        of("verify stolen.ring").exits(4).says("has no version 9 by it");
        let from_stolen =
            seal_words("new", &format!("--ledger ledger {pin} -o x.ring --trust {store}"));
        workspace.run(&from_stolen.replace("net.ring", "stolen.ring")).exits(4);
        // From here on the key is known, and need not be given again.
        next(&format!("--trust {store}")).succeeds();
        fs::remove_file(workspace.path("x.ring")).unwrap();
    }
    // A ledger that nobody vouches for, such as one of earlier entries, takes nothing back.
    let of = |words: &str| workspace.run(&format!("{words} --trust unvouched.json"));
    of("trust add keys/owner.pub").succeeds();
    of("verify stolen.ring").succeeds();
    next("--trust unvouched.json").exits(5);
    of(&format!("{RUN} --ledger ledger")).exits(5);
}

#[test]
fn a_ring_stays_its_ledgers_under_the_owners_next_key() {
    let workspace = rotated();
    let of_reader = "--trust reader.json";
    workspace.run(&format!("{RUN} --ledger ledger {of_reader}")).succeeds();
    seal(&workspace, "new", "--ledger ledger -o two.ring").succeeds();
    let register = "ledger register two.ring --owner-key new/owner.key --ledger";
    // The owner's own store has seen the ring under the earlier key alone, then under this one.
    let second = format!("{register} second --new-ledger");
    workspace.run(&second).exits(4).says("a ring of this id").says("is recorded in another");
    workspace.run(&format!("{register} ledger")).succeeds();
    workspace.run(&second).exits(4).says("is recorded in another ledger");
    assert!(!workspace.path("second").exists());
    let revoke = "revoke ring two.ring --owner-key new/owner.key --ledger ledger --reason bad";
    workspace.run(revoke).succeeds();
    // A ledger that hides the revocation.
    workspace.run(&format!("{register} other --new-ledger --trust nothing.json")).succeeds();

    let run = RUN.replace("net.ring", "two.ring").replace("keys/owner", "new/owner");
    workspace.run(&format!("{run} {of_reader} --ledger other")).exits(4).says("another ledger");
    workspace.run(&format!("{run} {of_reader} --ledger ledger")).exits(4).says("is revoked");
    workspace.run(&format!("{run} {of_reader}")).succeeds().says("this ring is recorded in");
    // The reader decides by name.
    let pinned = format!("{run} {of_reader} --ledger other --ledger-key other/log.pub");
    workspace.run(&pinned).succeeds();
}

#[test]
fn no_next_version_is_sealed_that_the_ledger_would_refuse() {
    let workspace = rotated();
    let by = "--owner-key new/owner.key --ledger ledger --reason gone";
    let next = |more: &str| seal(&workspace, "new", &format!("--ledger ledger -o x.ring {more}"));
    workspace.run(&format!("revoke host more/host.pub {by}")).succeeds();
    next("--host 1=more/host.pub").exits(4).says("a host's key is revoked by entry 2");
    let dealt = "seal net.onnx --owner new/owner.key --previous net.ring --ledger ledger -o x.ring \
                 --leg 1-2=keys/host.pub --leg 3-5=more/host.pub";
    workspace.run(dealt).exits(4).says("a host's key is revoked");
    let genesis = dealt.replace("3-5=more", "3-5=keys") + " --genesis more/host.pub";
    workspace.run(&genesis).exits(4).says("a host's key is revoked");

    // A version that is revoked may be followed, a ring that is may not.
    workspace.run(&format!("revoke ring net.ring {by}")).succeeds();
    next("").succeeds();
    fs::remove_file(workspace.path("x.ring")).unwrap();
    workspace.run(&format!("revoke ring net.ring --all-versions {by}")).succeeds();
    next("").exits(4).says("this ring is revoked by entry 4");
    assert!(!workspace.path("x.ring").exists());

    let workspace = rotated();
    let revoke = "revoke key --key new/owner.key --ledger ledger --reason lost";
    workspace.run(revoke).succeeds();
    seal(&workspace, "new", "--ledger ledger -o x.ring")
        .exits(4)
        .says("the owner's key is revoked by entry 2");

    let workspace = rotated();
    workspace.run("keygen --node --out node").succeeds();
    let set = |owner: &str| {
        format!(
            "ledger validator-set --owner-key new/owner.key --owner {owner}/owner.pub --node node/node.pub --ledger ledger"
        )
    };
    workspace.run(&set("new")).succeeds();
    workspace.run(&set("stranger")).succeeds();
    seal(&workspace, "new", "--ledger ledger -o x.ring").exits(4).says("validator set");
}

#[test]
fn it_is_said_that_nobody_vouches_for_a_ledger() {
    let workspace = rotated();
    seal(&workspace, "new", "--ledger ledger -o two.ring").succeeds();
    let register = "ledger register two.ring --owner-key new/owner.key --ledger ledger";
    workspace.run(register).succeeds();
    fs::copy(workspace.path("two.ring"), workspace.path("copy.ring")).unwrap();
    let of_new = "--owner-key new/owner.key";
    for (n, words) in [
        "seal net.onnx --owner new/owner.key --host keys/host.pub --previous two.ring -o 3.ring",
        &format!("grant two.ring {of_new} --host more/host.pub -o granted.ring"),
        &format!(
            "deal copy.ring {of_new} --leg 1-2=keys/host.pub --leg 3-5=more/host.pub -o x.deal"
        ),
        "repair two.ring --from two.ring --owner new/owner.pub --key keys/host.key",
        "run two.ring --owner new/owner.pub --key keys/host.key --input x.npy",
    ]
    .iter()
    .enumerate()
    {
        let words = format!("{words} --ledger ledger --trust {n}.json");
        workspace.run(&words).succeeds().says("nobody vouches for this ledger's key");
        for name in ["3.ring", "granted.ring", "x.deal"] {
            let _ = fs::remove_file(workspace.path(name));
        }
    }
    let run =
        "run two.ring --owner new/owner.pub --key keys/host.key --input x.npy --ledger ledger";
    let pinned = workspace.run(&format!("{run} --ledger-key ledger/log.pub --trust pinned.json"));
    assert!(!pinned.succeeds().stderr.contains("nobody vouches"));
}

#[test]
fn no_file_is_put_where_the_trust_store_belongs() {
    let workspace = Workspace::with_ring();
    workspace.run("keygen --out more").succeeds();
    workspace.register_with("net.ring", "ledger", "--trust owner.json");
    for words in [
        "seal net.onnx --owner keys/owner.key --host keys/host.pub -o",
        "grant net.ring --owner-key keys/owner.key --host more/host.pub -o",
        "deal net.ring --owner-key keys/owner.key --leg 1-2=keys/host.pub --leg 3-5=more/host.pub -o",
        &format!("{RUN} --receipt"),
        &format!("{RUN} --ledger ledger --receipt"),
        "export net.ring --owner keys/owner.pub --key keys/host.key -o",
        "ledger prove --ledger ledger --entry 0 -o",
        "ledger report --ledger ledger -o",
        "ledger tiles --ledger ledger -o",
    ] {
        for name in ["store", "store.lock"] {
            let run = workspace.run(&format!("{words} {name} --trust store"));
            run.exits(2).says("would be overwritten");
            assert!(!workspace.path(name).exists(), "{words} {name}");
        }
    }
    // Of names that the commands give themselves.
    let mut own = vec![
        ("keygen --out made", "made/host.pub", 2),
        ("ledger init made", "made/ledger.redb", 2),
        ("ledger tiles --ledger ledger -o tiles", "tiles/checkpoint", 2),
        ("ledger tiles --ledger ledger -o tiles", "tiles/tile/0/000.p/1", 2),
        ("bench rest -o made", "made/bench-rest.md", 2),
    ];
    if cfg!(feature = "attacks") {
        own.extend([
            ("attack ledger --kind ledger-fork -o forked", "forked/a/log.pub", 2),
            ("attack ledger --kind ledger-fork -o forked", "forked/b/x", 2),
            ("evaluate --report-only --output made", "made/results.jsonl", 2),
            ("evaluate --report-only --output made", "made/a.svg", 2),
            ("demo --out made", "made/trust.json", 1),
            ("demo --out made", "made/keys/owner/owner.pub", 1),
        ]);
    }
    for (words, store, exit) in own {
        let run = workspace.run(&format!("{words} --trust {store}"));
        run.exits(exit).says(if store.contains("000.p") {
            "as a tile"
        } else {
            "would be overwritten"
        });
        let made = words.split(' ').next_back().unwrap();
        assert!(!workspace.path(made).exists(), "{words} {store}");
        // Nor where the user's own store would be made, by a link.
        #[cfg(unix)]
        {
            let (home, config) = (workspace.path("home"), workspace.path("home/.config/deepring"));
            fs::create_dir_all(&config).unwrap();
            std::os::unix::fs::symlink(workspace.path(store), config.join("trust.json")).unwrap();
            let mut command = workspace.command(words);
            command.env_remove("DEEPRING_TRUST").env("HOME", &home);
            Ran::of(words, command.output().unwrap()).exits(exit);
            assert!(!workspace.path(made).exists(), "{words} {store}, by a link");
            fs::remove_dir_all(home).unwrap();
        }
    }
}
