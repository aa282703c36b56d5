//! A ring of weights under every command that takes a ring: it is checked, granted, repaired, trusted and registered as any
//! other; what needs a graph refuses it by name.

use std::fs;
#[cfg(target_os = "linux")]
use std::process::Stdio;

use deepring::seal::{BlockPlan, RingPlan, RingSealer};
use deepring::weights::{
    FileKind, FilePath, PlannedExtent, PlannedFile, WeightsPlan, seal_weights,
};
use deepring::{DType, Dim, Host, Owner, PartKind, PublicKey, RingKind, SecretKey, TensorSpec};

use crate::workspace::{Workspace, zoo};

const NO_GRAPH: &str = "this ring holds weights and has no graph";

/// A file of two tensors behind a header, for the host in `keys`.
fn plan(workspace: &Workspace) -> WeightsPlan {
    let host = PublicKey::<Host>::read(&workspace.path("keys/host.pub")).unwrap();
    let spec = |name: &str, n: u64| TensorSpec {
        name: name.into(),
        dtype: DType::F32,
        dims: Some(vec![Dim::Fixed(n)]),
    };
    WeightsPlan {
        model_name: "tiny".into(),
        model_version: 1,
        previous: None,
        sealed_at: 1,
        files: vec![PlannedFile {
            path: FilePath::new("model.safetensors").unwrap(),
            kind: FileKind::Safetensors,
            extents: vec![
                PlannedExtent::Bytes(8),
                PlannedExtent::Tensor(spec("a", 50)),
                PlannedExtent::Tensor(spec("b", 50)),
            ],
        }],
        block_len: 256,
        hosts: vec![host],
    }
}

/// `w.ring`, of the keys in `keys`.
fn with_weights() -> Workspace {
    let workspace = Workspace::with_keys();
    let owner = SecretKey::<Owner>::read(&workspace.path("keys/owner.key")).unwrap();
    seal_weights(&workspace.path("w.ring"), &plan(&workspace), &owner, &mut |_, at, out| {
        out.iter_mut().zip(at..).for_each(|(byte, at)| *byte = at as u8);
        Ok(())
    })
    .unwrap();
    workspace
}

#[test]
fn it_is_verified_and_inspected_and_says_its_kind() {
    let workspace = with_weights();
    workspace.run("verify w.ring --owner keys/owner.pub").succeeds();
    for key in ["owner", "host"] {
        let words = format!("verify w.ring --owner keys/owner.pub --key keys/{key}.key");
        let said = workspace.run(&words).succeeds().stdout;
        assert!(said.contains("opened and checked the content of 3 of these 3"), "{said}");
    }
    let json = workspace.run("inspect w.ring --json").succeeds().json();
    assert_eq!(json["kind"], "weights");
    assert_eq!(json["blocks"][1]["parts"][1]["kind"]["parameter"]["name"], "a");
    let text = workspace.run("inspect w.ring").succeeds().stdout;
    assert!(text.contains("\nkind     weights: files, and no graph\n"), "{text}");
    assert!(!text.contains("inputs"), "{text}");
    workspace.seal("net.ring", "");
    let json = workspace.run("inspect net.ring --json").succeeds().json();
    assert_eq!(json["kind"], "network");
}

#[test]
fn what_needs_a_graph_refuses_it_by_name() {
    let workspace = with_weights();
    let before = fs::read(workspace.path("w.ring")).unwrap();
    let run = "run w.ring --owner keys/owner.pub --key keys/host.key --input x.npy";
    workspace.run(run).exits(1).says(NO_GRAPH);
    let export = "export w.ring --owner keys/owner.pub --key keys/owner.key -o out.onnx";
    workspace.run(export).exits(1).says(NO_GRAPH);
    assert!(!workspace.path("out.onnx").exists());
    workspace.run("keygen --out more").succeeds();
    let deal = "deal w.ring --owner-key keys/owner.key --leg 1-1=keys/host.pub \
                --leg 2-2=more/host.pub --copies 2 -o w.deal";
    workspace.run(deal).exits(2).says("no block of this ring computes");
    assert!(!workspace.path("w.deal").exists());
    for more in ["", "--block 1"] {
        let keys = "--key keys/host.key --key more/host.key";
        let audit = format!("audit w.ring --owner keys/owner.pub {keys} {more}");
        workspace.run(&audit).exits(1).says(NO_GRAPH);
    }
    assert!(fs::read(workspace.path("w.ring")).unwrap() == before);
}

/// A reader of the newer version must be able to do with it what he did with the one before.
#[test]
fn a_network_is_no_version_of_a_ring_of_weights_nor_the_reverse() {
    let workspace = with_weights();
    let network = zoo("fashion-lenet5.onnx").display().to_string();
    let seal = format!("seal {network} --owner keys/owner.key --host keys/host.pub");
    let words = format!("{seal} --previous w.ring -o next.ring");
    workspace.run(&words).exits(2).says("the previous ring holds weights and has no graph");
    assert!(!workspace.path("next.ring").exists());

    workspace.seal("net.ring", "");
    let network = workspace.ring("net.ring");
    let owner = SecretKey::<Owner>::read(&workspace.path("keys/owner.key")).unwrap();
    let plan = WeightsPlan { previous: Some((&network).into()), ..plan(&workspace) };
    let target = workspace.path("next.ring");
    let sealed = seal_weights(&target, &plan, &owner, &mut |_, _, _| Ok(()));
    let said = sealed.unwrap_err().to_string();
    assert!(said.starts_with("the previous ring holds a network, and a ring of weights"), "{said}");
    assert!(!target.exists());
}

/// An owner can state any length, in a file that takes no room.
#[cfg(target_os = "linux")]
#[test]
fn a_block_is_verified_in_the_memory_of_some_chunks() {
    const BLOCK: u64 = 192 << 20;
    let workspace = Workspace::with_keys();
    let owner = SecretKey::<Owner>::read(&workspace.path("keys/owner.key")).unwrap();
    let file = PlannedFile {
        path: FilePath::new("zeros").unwrap(),
        kind: FileKind::Other,
        extents: vec![PlannedExtent::Bytes(BLOCK)],
    };
    let plan = WeightsPlan { files: vec![file], block_len: BLOCK, ..plan(&workspace) };
    seal_weights(&workspace.path("w.ring"), &plan, &owner, &mut |_, _, _| Ok(())).unwrap();

    let words = "verify w.ring --owner keys/owner.pub --key keys/host.key";
    let mut child = workspace.command(words).stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = most.max(peak.unwrap_or(0));
    };
    assert!(ended.success());
    assert!((1..BLOCK / 2).contains(&(most << 10)), "{} MiB", most >> 10);
}

#[test]
fn some_of_its_blocks_are_granted() {
    let workspace = with_weights();
    workspace.run("keygen --out more").succeeds();
    let grant = "grant w.ring --owner-key keys/owner.key --host";
    workspace.run(&format!("{grant} 3=more/host.pub")).exits(2).says("blocks 1 to 2");
    workspace.run(&format!("{grant} 2=more/host.pub")).succeeds();
    let said = workspace.run("verify w.ring --owner keys/owner.pub --key more/host.key").succeeds();
    assert!(
        said.stdout.contains("opened and checked the content of 2 of these 3"),
        "{}",
        said.stdout
    );
}

#[test]
fn it_is_granted_repaired_trusted_and_registered_as_any_other() {
    let workspace = with_weights();
    workspace.run("keygen --out more").succeeds();
    workspace.run("grant w.ring --owner-key keys/owner.key --host more/host.pub").succeeds();
    workspace.run("verify w.ring --owner keys/owner.pub --key more/host.key").succeeds();

    fs::copy(workspace.path("w.ring"), workspace.path("copy.ring")).unwrap();
    let last = fs::metadata(workspace.path("w.ring")).unwrap().len() as usize - 1;
    workspace.flip("w.ring", last);
    workspace.run("verify w.ring --owner keys/owner.pub").exits(3).says("tensor b");
    workspace.run("repair w.ring --owner keys/owner.pub --from copy.ring").succeeds();
    let words = "verify w.ring --owner keys/owner.pub --key keys/owner.key";
    workspace.run(words).succeeds();

    workspace.run("trust add keys/owner.pub").succeeds();
    workspace.run("verify w.ring").succeeds();
    workspace.register("w.ring", "ledger");
    workspace.run("ledger verify --ledger ledger").succeeds();
    let host = "revoke ring w.ring --owner-key keys/owner.key --ledger ledger --reason test";
    workspace.run(host).succeeds();
}

#[test]
fn a_manifest_that_does_not_fit_is_found_by_whoever_can_open_it() {
    let workspace = Workspace::with_keys();
    let owner = SecretKey::<Owner>::read(&workspace.path("keys/owner.key")).unwrap();
    let block = |name: &str, part: (PartKind, u64)| BlockPlan {
        name: name.into(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        parts: vec![part],
        shared: Vec::new(),
        hosts: Vec::new(),
    };
    let spec = TensorSpec { name: "t".into(), dtype: DType::U8, dims: Some(vec![Dim::Fixed(1)]) };
    let plan = RingPlan {
        kind: RingKind::Weights,
        model_version: 1,
        previous: None,
        sealed_at: 1,
        blocks: vec![
            block("genesis", (PartKind::Manifest, 3)),
            block("weights-1", (PartKind::Parameter(spec), 1)),
        ],
        deal: None,
    };
    let mut sealer = RingSealer::create(&workspace.path("w.ring"), &plan, &owner).unwrap();
    while let Some(index) = sealer.next_block() {
        sealer.seal_block(if index == 0 { b"no " } else { b"t" }).unwrap();
    }
    sealer.finish().unwrap();
    workspace.run("verify w.ring --owner keys/owner.pub").succeeds();
    let words = "verify w.ring --owner keys/owner.pub --key keys/owner.key";
    workspace.run(words).exits(3).says("tensor manifest");
}
