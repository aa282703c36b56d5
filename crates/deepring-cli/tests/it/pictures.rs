//! Pictures as inputs, by the recipe that is sealed in Genesis.

use std::fs;

use crate::workspace::{Workspace, zoo};

/// An image of the sample as an uncompressed 24-bit BMP file.
fn bitmap(index: usize) -> Vec<u8> {
    let bytes = fs::read(zoo("fashion-sample/images-idx3-ubyte")).unwrap();
    let pixels = &bytes[16 + index * 784..][..784];
    let mut out = b"BM".to_vec();
    let word = |n: u32| n.to_le_bytes();
    for n in [54 + 784 * 3, 0, 54, 40, 28, 28] {
        out.extend(word(n));
    }
    out.extend([1, 0, 24, 0]);
    for n in [0, 784 * 3, 0, 0, 0, 0] {
        out.extend(word(n));
    }
    // Rows from the bottom; 84 bytes each, so that none is padded.
    for row in pixels.chunks(28).rev() {
        row.iter().for_each(|p| out.extend([*p; 3]));
    }
    out
}

#[test]
fn a_picture_gives_the_answer_of_the_tensor_that_it_is() {
    let workspace = Workspace::with_keys();
    workspace.seal("net.ring", "--preprocess resize=28,color=gray,scale=1/255");
    fs::write(workspace.path("bag.bmp"), bitmap(0)).unwrap();
    let run = "run net.ring --owner keys/owner.pub --key keys/host.key --output-dir";
    workspace.run(&format!("{run} tensor --input x.npy")).succeeds();
    let ran = workspace.run(&format!("{run} picture --input bag.bmp")).succeeds();
    assert!(ran.stdout.contains("Bag"), "{}", ran.stdout);
    let logits = |dir: &str| fs::read(workspace.path(dir).join("logits.npy")).unwrap();
    assert_eq!(logits("tensor"), logits("picture"));
    let plain = "run net.onnx --plain --input bag.bmp --output-dir plain --preprocess";
    workspace.run(&format!("{plain} resize=28,color=gray,scale=1/255")).succeeds();
    assert_eq!(logits("plain"), logits("picture"));
}

#[test]
fn pictures_that_do_not_fit_are_refused() {
    let workspace = Workspace::with_keys();
    let good = bitmap(0);
    fs::write(workspace.path("bag.bmp"), &good).unwrap();
    fs::write(workspace.path("half.bmp"), &good[..900]).unwrap();
    let run = |ring: &str, picture: &str| {
        let keys = "--owner keys/owner.pub --key keys/host.key";
        workspace.run(&format!("run {ring} {keys} --input {picture}"))
    };
    workspace.seal("none.ring", "");
    run("none.ring", "bag.bmp").exits(1).says("--preprocess");
    // Three channels where the network takes one.
    workspace.seal("three.ring", "--preprocess resize=28,scale=1/255");
    run("three.ring", "bag.bmp").exits(1).says("[1, 3, 28, 28]");
    workspace.seal("net.ring", "--preprocess resize=28,color=gray,scale=1/255");
    run("net.ring", "half.bmp").exits(1).says("half.bmp");
    run("net.ring", "labels.txt").exits(1).says("labels.txt");
}

/// The recipe is sealed in Genesis, which an auditor cannot open: the host writes the tensors that it asked.
#[test]
fn a_picture_is_compared_with_a_receipt_by_the_tensor_that_the_host_saved() {
    let workspace = Workspace::with_keys();
    workspace.seal("net.ring", "--preprocess resize=28,color=gray,scale=1/255");
    fs::write(workspace.path("bag.bmp"), bitmap(0)).unwrap();
    fs::write(workspace.path("other.bmp"), bitmap(1)).unwrap();
    let keys = "--owner keys/owner.pub --key keys/host.key";
    let run = format!("run net.ring {keys} --receipt x.receipt --input bag.bmp --input other.bmp");
    workspace.run(&format!("{run} --output-dir out --save-inputs out")).succeeds();
    let mut written: Vec<_> =
        fs::read_dir(workspace.path("out")).unwrap().map(|f| f.unwrap().file_name()).collect();
    written.sort();
    assert_eq!(written, ["0-image.npy", "0-logits.npy", "1-image.npy", "1-logits.npy"]);

    let verify = "receipt verify x.receipt --ring net.ring --owner keys/owner.pub";
    workspace.run(&format!("{verify} --input bag.bmp")).exits(1).says("hint: have the host write");
    let pair = |input: u8, output: u8| {
        format!("{verify} --input out/{input}-image.npy --output out/{output}-logits.npy --json")
    };
    for query in [0, 1] {
        let held = workspace.run(&pair(query, query)).succeeds().json();
        assert_eq!(
            held["compared"],
            serde_json::json!({ "inputs": 1, "outputs": 1, "queries": 2 })
        );
    }
    workspace.run(&pair(0, 1)).exits(3).says("other inputs or outputs");
}
