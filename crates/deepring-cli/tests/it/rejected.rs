//! A batch in which some queries are at fault: the others are answered, and nobody is accused.

use deepring_infer::inputs::write_npy;

use crate::workspace::{Workspace, images};

/// `big.npy`: an image with one finite pixel that no check can bound.
fn workspace() -> Workspace {
    let workspace = Workspace::with_ring();
    let image = images(0, 1);
    let mut data = image.data().to_vec();
    data[400..404].copy_from_slice(&1e25f32.to_le_bytes());
    let dims = image.dims().to_vec();
    let big = deepring::TensorValue::new("image", deepring::DType::F32, dims, data).unwrap();
    write_npy(&workspace.path("big.npy"), &big).unwrap();
    write_npy(&workspace.path("y.npy"), &images(1, 2)).unwrap();
    workspace
}

const RUN: &str = "run net.ring --owner keys/owner.pub --key keys/host.key";

#[test]
fn the_other_queries_of_a_batch_are_answered_and_no_alarm_is_raised() {
    let workspace = workspace();
    let alone =
        workspace.run(&format!("{RUN} --input x.npy --input y.npy --json")).succeeds().json();
    assert_eq!(alone["rejected"], serde_json::json!([]));
    workspace.register("net.ring", "ledger");
    let batch = format!(
        "{RUN} --input x.npy --input big.npy --input y.npy --ledger ledger --receipt r \
         --output-dir out"
    );
    let ran = workspace.run(&format!("{batch} --json")).exits(1).says("query 1 (big.npy)").json();
    assert_eq!(ran["verdict"], "intact");
    let (outputs, wanted) = (&ran["outputs"], &alone["outputs"]);
    assert_eq!(outputs.as_array().unwrap().len(), 2);
    for (at, query) in [(0, 0), (1, 2)] {
        assert_eq!(outputs[at]["query"], query);
        assert_eq!(outputs[at]["top"], wanted[at]["top"]);
        assert!(workspace.path(&format!("out/{query}-logits.npy")).exists());
    }
    assert!(!workspace.path("out/1-logits.npy").exists());
    assert_eq!(ran["rejected"][0]["query"], 1);
    assert!(ran["rejected"][0]["error"].as_str().unwrap().contains("2^60"));
    let shown = workspace.run("ledger show --ledger ledger").succeeds().stdout;
    assert!(!shown.contains("ALARM"), "{shown}");
    let verify = "receipt verify r --ring net.ring --owner keys/owner.pub --ledger ledger";
    workspace.run(&format!("{verify} --input x.npy --input y.npy")).succeeds();
    workspace.run(&format!("{verify} --input big.npy")).exits(3);
}

#[test]
fn people_are_told_which_query_is_at_fault() {
    let workspace = workspace();
    let ran =
        workspace.run(&format!("{RUN} --input big.npy --input x.npy --input big.npy")).exits(1);
    assert!(ran.stdout.contains("x.npy\n") && !ran.stdout.contains("big.npy"), "{}", ran.stdout);
    assert!(ran.stdout.contains("decision "), "{}", ran.stdout);
    ran.says("query 0 (big.npy)").says("query 2 (big.npy)");
}

#[test]
fn a_query_alone_that_is_at_fault_is_refused() {
    let workspace = workspace();
    workspace.register("net.ring", "ledger");
    workspace.run(&format!("{RUN} --input big.npy --ledger ledger")).exits(1).says("2^60");
    let shown = workspace.run("ledger show --ledger ledger").succeeds().stdout;
    assert!(!shown.contains("ALARM"), "{shown}");
}
