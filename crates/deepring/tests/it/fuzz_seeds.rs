//! Writes `fuzz/corpus/` from `vectors/`: what each fuzz target starts from.

use std::path::Path;

use deepring::deal::Copies;
use deepring::receipt::Parcel;

use crate::dealt_ring::{dealt, opened, right};
use crate::driver::Driver;
use crate::forge::RawRing;
use crate::small_query::{batch_of, open_chain, salt, start, tensor};
use crate::small_ring::{Places, host_a, host_b, intact, manifest, owner};
use crate::vectors::folder;

/// Longer seeds only make the fuzzer slow.
const MAX_SEED: usize = 8192;

fn write(target: &str, name: &str, bytes: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(name), bytes).unwrap();
}

fn write_pieces(name: &str, bytes: &[u8]) {
    write("preamble", name, &bytes[..24]);
    write("closure", name, &bytes[Places::of(bytes).closure]);
    for (i, header) in RawRing::of(bytes).headers.iter().enumerate() {
        write("header", &format!("{name}-{i}"), header);
    }
}

#[test]
#[ignore = "writes fuzz/corpus/, which git ignores; run it before fuzzing"]
fn fuzz_seeds() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { continue };
        if bytes.len() > MAX_SEED {
            continue;
        }
        match path.extension().and_then(|e| e.to_str()) {
            Some("ring") => {
                write("ring_file", &name, &bytes);
                if name.contains("signed") || name.starts_with("intact") {
                    write_pieces(&name, &bytes);
                }
            }
            Some("receipt") => write("receipt", &name, &bytes),
            _ => {}
        }
    }
    for entry in std::fs::read_dir(folder().join("keys")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        write("key_text", &name, &std::fs::read(&path).unwrap());
    }
    #[cfg(feature = "passphrase")]
    {
        // The least work: the fuzzer's passphrase opens it many times a second.
        let mut recipient = age::scrypt::Recipient::new(String::from("fuzz").into());
        recipient.set_work_factor(1);
        let key = owner().to_secret_text();
        let text = age::encrypt_and_armor(&recipient, key.as_bytes()).unwrap();
        write("encrypted_key", "owner", text.as_bytes());
    }
    write("manifest", "manifest", &manifest().encode());
    weights();
    for vectors in ["", "records"] {
        let index = std::fs::read(folder().join(vectors).join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        for (i, vector) in index["vectors"].as_array().unwrap().iter().enumerate() {
            if !vector["store"].is_null() {
                let name = format!("{vectors}{i}");
                write("trust_store", &name, vector["store"].to_string().as_bytes());
            }
        }
    }
    let ring = intact(&std::fs::read(folder().join("intact.ring")).unwrap());
    assert_eq!(ring.owner(), owner().public());
    let chain = open_chain(&ring, &host_a(), batch_of("x0", &[1]));
    let parcel =
        Parcel::seal(chain, &salt(), &[vec![tensor("x0", 1)]], &[host_b().public()]).unwrap();
    write("parcel", "opening", &parcel.encode());
    // One query of one tensor: salt, count, count, name, type, dimensions, data.
    let mut batch = salt().as_bytes().to_vec();
    batch.extend([1u32.to_le_bytes(), 1u32.to_le_bytes()].concat());
    batch.extend(b"\x02\0x0\x01\x02\0\0\0\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x10\0\0\0");
    batch.extend([7; 16]);
    write("tensors", "one", &batch);
    records();
}

/// Rings of weights, and their manifests: of the whole folder, and of each file alone.
fn weights() {
    let files = crate::weights_folder::folder();
    write("weights_manifest", "folder", &crate::weights_folder::manifest_of(&files));
    for (number, file) in files.chunks(1).enumerate() {
        let manifest = crate::weights_folder::manifest_of(file);
        write("weights_manifest", &number.to_string(), &manifest);
    }
    let ring = crate::weights_folder::seal_files(&files);
    write("ring_file", "weights.ring", &ring);
    write_pieces("weights", &ring);
}

/// Deals and outlines, what copies of a leg send each other, and evidence.
fn records() {
    for (name, copies, eager) in [
        ("two", Copies::Two, false),
        ("three", Copies::Three, false),
        ("eager", Copies::Three, true),
    ] {
        let ring = dealt(copies, eager);
        let outline = ring.outline();
        write("outline", name, &outline.as_outline().encode());
        write("deal", name, &outline.deal().unwrap().encode());
        let chain = opened(&ring, &start(1));
        let verified = chain.verify(outline).unwrap();
        let run = Driver::new(&verified, right(&ring, 1), None, 7).run();
        for (number, (_, _, bytes)) in run.delivered.iter().enumerate() {
            write("message", &format!("{name}-{number}"), bytes);
        }
    }
    let undealt = intact(&std::fs::read(folder().join("intact.ring")).unwrap());
    write("outline", "undealt", &undealt.outline().as_outline().encode());
    for (number, (_, evidence)) in crate::evidence::all().into_iter().enumerate() {
        write("evidence", &number.to_string(), &evidence.to_bytes());
    }
    for (number, dispute) in crate::disputes::disputes().into_iter().enumerate() {
        write("dispute", &number.to_string(), &dispute.encode());
    }
}
