//! Networks that use one parameter in several blocks: stored once, in memory once, and each block's own in every check.

use deepring::{Check, PartKind};
use deepring_infer::CutPolicy;

use crate::graphs::{FLOAT, INT64, Net, ints};
use crate::live_memory::flip;
use crate::racing::{edit, raced};
use crate::zoo::{Sealed, answer, difference, plain, tensor};

/// Six times the same layer, between one of its own and another one.
fn repeated(folder: &std::path::Path) -> std::path::PathBuf {
    let mut net = Net::new(11);
    net.input("x", FLOAT, &["2", "64"]).output("y", FLOAT);
    let first = net.param("first.weight", &[64, 64]);
    let (w, b) = (net.param("layer.weight", &[64, 64]), net.param("layer.bias", &[64]));
    net.node("MatMul", &["x", &first], "h0");
    for i in 0..6 {
        let (from, to) = (format!("h{i}"), format!("h{}", i + 1));
        net.node("MatMul", &[&from, &w], &format!("m{i}"));
        net.node("Add", &[&format!("m{i}"), &b], &format!("a{i}"));
        net.node("Tanh", &[&format!("a{i}")], &to);
    }
    let last = net.param("last.weight", &[64, 10]);
    net.node("MatMul", &["h6", &last], "y");
    net.save(folder)
}

fn sealed(network: &std::path::Path) -> Sealed {
    Sealed::new(network, CutPolicy::Op)
}

fn input() -> deepring::TensorValue {
    let values: Vec<f32> = (0..128).map(|i| (i as f32 * 0.37).sin()).collect();
    tensor("x", &[2, 64], &values)
}

#[test]
fn a_weight_of_six_layers_is_stored_once_and_answers_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = repeated(folder.path());
    let ring = sealed(&path);
    let authentic = ring.ring();
    assert_eq!((authentic.layers().len(), authentic.shared().len()), (8, 1));
    let stored: u64 = authentic.headers().iter().map(deepring::Header::body_len).sum();
    // Bodies hold 3 weights of 16 KiB or less, and not 8.
    assert!(stored < 50_000, "{stored}");
    let using = |h: &&deepring::Header| h.shared_blocks().count() == 1;
    assert_eq!(authentic.layers().iter().filter(using).count(), 6);
    let wanted = plain(&path, &input());
    for check in [Check::None, Check::Load, Check::Run, Check::Auto, Check::Compute] {
        let session = ring.session(check);
        for _ in 0..3 {
            assert!(difference(&answer(&session, &input()), &wanted) < 1e-4, "{check}");
        }
    }
    // One page of it is every block's.
    let session = ring.session(Check::Run);
    let shared = |h: &deepring::Header| -> Option<*const u8> {
        let place = h.place_of_shared(h.shared_blocks().next()?);
        Some(session.live_bytes(h.index).unwrap()[place].as_ptr())
    };
    let places: Vec<*const u8> = authentic.layers().iter().filter_map(shared).collect();
    assert!(places.len() == 6 && places.windows(2).all(|p| p[0] != p[1]));
}

#[test]
fn an_edit_of_shared_bytes_is_refused_by_each_block_as_its_own_and_one_reload_heals_all() {
    let folder = tempfile::tempdir().unwrap();
    let ring = sealed(&repeated(folder.path()));
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let mut session = ring.session(check);
        let wanted = answer(&session, &input());
        let users: Vec<u32> = session.ring().layers().iter().map(|h| h.index).collect();
        for user in users {
            let header = session.ring().headers()[user as usize].clone();
            let Some(shared) = header.shared_blocks().next() else { continue };
            let at = header.place_of_shared(shared).start + 4 * 100 + 3;
            flip(session.live_bytes(user).unwrap(), at, 0x40);
            // Every block shows the same bytes: the first that runs finds it.
            let refused = session.run(vec![input()]).unwrap_err();
            let finding = refused.finding().unwrap_or_else(|| panic!("{refused}")).clone();
            assert_eq!(finding.tensor.as_deref(), Some("layer.weight"), "{check}");
            assert_eq!(finding.block, Some(2));
            let at = header.place_of_shared(shared).start as u64;
            assert!(finding.bytes.is_some_and(|[start, _]| start >= at), "{finding}");
            session.reload_block(2).unwrap();
            assert_eq!(answer(&session, &input()).data(), wanted.data(), "{check}");
        }
    }
}

#[test]
fn a_synchronised_writer_of_shared_bytes_is_detected_at_once_under_compute() {
    let folder = tempfile::tempdir().unwrap();
    let ring = sealed(&repeated(folder.path()));
    let (session, attacker) = raced(&ring, Check::Compute);
    session.run(vec![input()]).unwrap();
    edit(&session, &attacker, "layer.weight", |_, w| -w);
    let refused = session.run(vec![input()]).unwrap_err();
    let finding = refused.finding().unwrap_or_else(|| panic!("{refused}"));
    assert_eq!(finding.tensor.as_deref(), Some("layer.weight"));
}

/// A host of some blocks gets keys of what these share, and no more.
#[test]
fn hosts_of_parts_of_a_network_open_what_their_blocks_share() {
    let folder = tempfile::tempdir().unwrap();
    let path = repeated(folder.path());
    let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[("1-4", 1), ("5-8", 2)]);
    let session = ring.session_of(&[1, 2], Check::Compute, 2);
    assert!(difference(&answer(&session, &input()), &plain(&path, &input())) < 1e-4);
    for alone in [&[1][..], &[2]] {
        let keys: Vec<_> = alone.iter().map(|seed| crate::zoo::host(*seed)).collect();
        let refused = deepring_infer::Session::open(ring.ring(), &keys, Default::default());
        assert!(refused.is_err(), "{alone:?}");
    }
    for header in ring.ring().shared() {
        assert_eq!(header.hosts().count(), 2);
        assert!(header.parts.iter().all(|p| matches!(p.kind, PartKind::Parameter(_))));
    }
}

/// As exporters write it: a node for each use that transposes the same weight, and the first table transposed at the end.
fn transposed_each_time(folder: &std::path::Path, rows: &[&str]) -> std::path::PathBuf {
    let mut net = Net::new(12);
    net.input("ids", INT64, rows).output("y", FLOAT);
    let table = net.param("table", &[200, 32]);
    let w = net.param("w", &[32, 32]);
    net.node("Gather", &[&table, "ids"], "h0");
    for i in 0..4 {
        let (from, to) = (format!("h{i}"), format!("h{}", i + 1));
        net.node("Transpose", &[&w], &format!("t{i}")).attribute = vec![ints("perm", &[1, 0])];
        net.node("MatMul", &[&from, &format!("t{i}")], &format!("m{i}"));
        net.node("Tanh", &[&format!("m{i}")], &to);
    }
    net.node("Transpose", &[&table], "head").attribute = vec![ints("perm", &[1, 0])];
    net.node("MatMul", &["h4", "head"], "y");
    net.save(folder)
}

fn ids(dims: &[u64]) -> deepring::TensorValue {
    let n: u64 = dims.iter().product();
    let data = (0..n).flat_map(|i| ((i * 37 + 5) % 200).to_le_bytes()).collect();
    deepring::TensorValue::new("ids", deepring::DType::I64, dims.to_vec(), data).unwrap()
}

#[test]
fn transposes_of_one_weight_are_one_and_tied_embeddings_are_not_repeated() {
    for rows in [&["n"][..], &["b", "s"], &["7"], &["1", "s", "3"]] {
        let folder = tempfile::tempdir().unwrap();
        let path = transposed_each_time(folder.path(), rows);
        let ring = sealed(&path);
        let stored: u64 = ring.ring().headers().iter().map(deepring::Header::body_len).sum();
        let file = std::fs::metadata(&path).unwrap().len();
        // Graphs and headers of five small blocks are what is added.
        assert!(stored < file + 6_000, "{rows:?}: {stored} of {file}");
        let dims: Vec<u64> = rows.iter().map(|r| r.parse().unwrap_or(5)).collect();
        for check in [Check::Run, Check::Auto, Check::Compute] {
            let (session, input) = (ring.session(check), ids(&dims));
            let (found, wanted) = (answer(&session, &input), plain(&path, &input));
            assert_eq!(found.dims(), wanted.dims());
            assert!(difference(&found, &wanted) < 1e-4, "{rows:?} {check}");
        }
    }
}

/// As in the head of a detector: one convolution for each level, and a normalisation of each level's own behind it.
#[test]
fn a_weight_behind_which_several_normalisations_stand_is_not_repeated() {
    let mut net = Net::new(13);
    let kernel = net.param("kernel", &[24, 24, 3, 3]);
    let table = net.param("table", &[64, 64]);
    for i in 0..5 {
        let (x, c, n, y) = (format!("x{i}"), format!("c{i}"), format!("n{i}"), format!("y{i}"));
        net.input(&x, FLOAT, &["1", "24", "6", "6"]);
        net.conv_of(&x, &c, &[&kernel], 3, 1);
        net.batch_norm(&c, &n, 24);
        net.node("Relu", &[&n], &y);
        net.output(&y, FLOAT);
        let (x, m, n) = (format!("v{i}"), format!("m{i}"), format!("z{i}"));
        net.input(&x, FLOAT, &["2", "64"]);
        net.node("MatMul", &[&x, &table], &m);
        net.batch_norm(&m, &n, 64);
        net.output(&n, FLOAT);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let ring = Sealed::new(&path, CutPolicy::Auto);
    let stored: u64 = ring.ring().headers().iter().map(deepring::Header::body_len).sum();
    let file = std::fs::metadata(&path).unwrap().len();
    assert!(stored < file + 20_000, "{stored} of {file}");
    let inputs: Vec<_> = (0..5)
        .flat_map(|i| {
            let values =
                |n: usize| -> Vec<f32> { (0..n).map(|k| ((k + i) as f32 * 0.37).sin()).collect() };
            [
                tensor(&format!("x{i}"), &[1, 24, 6, 6], &values(864)),
                tensor(&format!("v{i}"), &[2, 64], &values(128)),
            ]
        })
        .collect();
    let wanted = {
        let model = deepring_infer::PlainModel::unaltered(&path, 2.try_into().ok()).unwrap();
        model.run(&inputs).unwrap()
    };
    for check in [Check::Run, Check::Auto, Check::Compute] {
        let found = ring.session(check).run(inputs.clone()).unwrap().outputs.remove(0);
        assert_eq!(found.len(), 10);
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!(difference(found, wanted) < 1e-4, "{check}");
        }
    }
}

/// Exporters write what a layer takes of a weight once for each layer, with constants of its own.
#[test]
fn what_is_made_of_a_weight_again_and_again_is_made_once() {
    type Operands = fn(&mut Net, &str) -> Vec<String>;
    let made: [(&str, Operands); 3] = [
        ("Slice", |net, i| {
            let mut list = |name: &str, n: i64| net.ints(&format!("{name}{i}"), &[n]);
            vec![list("from", 0), list("to", 64), list("axes", 0)]
        }),
        ("Mul", |net, i| vec![net.floats(&format!("by{i}"), &[], &[0.5])]),
        ("Gather", |net, i| {
            vec![net.ints(&format!("rows{i}"), &(0..64).rev().collect::<Vec<_>>())]
        }),
    ];
    for (op, operands) in made {
        let mut net = Net::new(14);
        net.input("x", FLOAT, &["2", "64"]).output("h6", FLOAT);
        let w = net.param("w", &[if op == "Mul" { 64 } else { 128 }, 64]);
        for i in 0..6 {
            let from = if i == 0 { "x".to_owned() } else { format!("h{i}") };
            let others = operands(&mut net, &i.to_string());
            let inputs: Vec<&str> =
                std::iter::once(w.as_str()).chain(others.iter().map(String::as_str)).collect();
            net.node(op, &inputs, &format!("t{i}"));
            net.node("MatMul", &[&from, &format!("t{i}")], &format!("h{}", i + 1));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = net.save(folder.path());
        let ring = sealed(&path);
        let stored: u64 = ring.ring().headers().iter().map(deepring::Header::body_len).sum();
        let file = std::fs::metadata(&path).unwrap().len();
        assert!(stored < file + 8_000, "{op}: {stored} of {file}");
        let found = answer(&ring.session(Check::Compute), &input());
        assert!(difference(&found, &plain(&path, &input())) < 1e-4, "{op}");
    }
}

/// Parameters made of one weight in several ways have a check in each, so they are sealed in each; sealing says how much that is.
#[test]
fn what_is_made_of_a_weight_in_several_ways_is_counted() {
    let sealing = |bytes: bool| {
        let mut net = Net::new(15);
        net.input("x", FLOAT, &["2", "64"]).output("h4", FLOAT);
        net.param("w", &[64, 64]);
        let mut q = crate::graphs::float_tensor("q", &[64, 64], &[]);
        (q.data_type, q.raw_data) = (Some(3), Some((0..4096).map(|i| (i * 37) as u8).collect()));
        net.graph.initializer.push(q);
        for i in 0..4 {
            let from = if i == 0 { "x".to_owned() } else { format!("h{i}") };
            let by = net.floats(&format!("by{i}"), &[], &[0.01 * (i + 1) as f32]);
            let (op, of) = if bytes { ("DequantizeLinear", "q") } else { ("Mul", "w") };
            net.node(op, &[of, &by], &format!("t{i}"));
            net.node("MatMul", &[&from, &format!("t{i}")], &format!("h{}", i + 1));
        }
        let folder = tempfile::tempdir().unwrap();
        let (path, owner) = (net.save(folder.path()), crate::zoo::owner(1));
        let host = crate::zoo::host(1).public();
        let seal = deepring_infer::Seal::new(&path, &owner)
            .host(deepring_infer::sealing::Blocks::All, host);
        let sealed = seal.write(&folder.path().join("net.ring"), &|_| ()).unwrap();
        (sealed.promoted, sealed.repeated)
    };
    let each = 64 * 64 * 4;
    let (promoted, repeated) = sealing(false);
    assert_eq!(promoted, deepring_infer::sealing::Promoted::default());
    // The file has the weight, and the bytes of the other kind.
    assert!((2 * each..3 * each).contains(&repeated), "{repeated}");
    let (promoted, repeated) = sealing(true);
    assert_eq!((promoted.file, promoted.ring), (64 * 64, 4 * each));
    assert_eq!(repeated, 0);
}
