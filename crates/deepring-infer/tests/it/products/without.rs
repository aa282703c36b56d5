//! Parameters without a product: their bytes are compared.

use deepring::receipt::Require;
use deepring::{Check, Coverage, TensorValue};

use super::{coverage, group, is_product, place_of, positive, sealed};
use crate::graphs::{self, BOOL, FLOAT, INT64, Net};
use crate::live_memory::flip;
use crate::zoo::Sealed;

/// A plane of the input's size for each tap would be gigabytes.
#[test]
fn a_window_of_very_many_taps_over_many_channels_is_on_bytes() {
    let mut net = Net::new(3);
    net.input("x", FLOAT, &["1", "12", "45", "45"]).output("y", FLOAT);
    let w = net.param("w", &[12, 1, 40, 40]);
    group(net.node("Conv", &["x", &w], "y"), 12);
    let session = sealed(&net).session(Check::Compute);
    let had = coverage(&session, &positive("x", &[1, 12, 45, 45], 1));
    assert!(had.iter().any(|(t, c)| t == "w" && *c == Coverage::Bytes), "{had:?}");
}

/// Next to a bias of 10^10 an edit of the weight does not show, so its operator has no product; and then the other
/// operator's product says nothing of what this one read.
#[test]
fn a_weight_that_one_operator_reads_without_a_product_is_on_bytes() {
    for (bias, on_bytes) in [(0.5, false), (-1e10, true)] {
        let mut net = Net::new(44);
        net.input("x", FLOAT, &["2", "8"]).input("z", FLOAT, &["2", "8"]);
        net.output("p", FLOAT).output("y", FLOAT);
        let w = net.param("w", &[8, 6]);
        let b = net.floats("b", &[6], &[bias; 6]);
        net.node("MatMul", &["x", &w], "p");
        net.node("Gemm", &["z", &w, &b], "y");
        let folder = tempfile::tempdir().unwrap();
        let path = net.save(folder.path());
        let ring = Sealed::new(&path, "1".parse().unwrap());
        let session = ring.session(Check::Compute);
        let inputs = || vec![positive("x", &[2, 8], 1), positive("z", &[2, 8], 2)];
        let outcome = session.run(inputs()).unwrap();
        let decision = outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
        let (block, start, _) = place_of(&session, "w");
        let place = session.ring().layers().iter().position(|h| h.index == block).unwrap();
        let part = session.ring().layers()[place].parts.iter().position(|p| p.label() == "w");
        let had = decision.chain().legs()[0].receipt().coverage[place][part.unwrap()];
        let wanted = if on_bytes { had == Coverage::Bytes } else { is_product(had) };
        assert!(wanted, "bias {bias}: {had}");
        if on_bytes {
            // The lowest bit there is, at the first use.
            flip(session.live_bytes(block).unwrap(), start, 0x01);
            let error = session.run(inputs()).unwrap_err();
            let found = error.finding().unwrap_or_else(|| panic!("{error}"));
            assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some("w")));
        }
    }
}

/// A parameter that the network gives out is read there too, and neither its rows nor a product say what was given out.
#[test]
fn a_parameter_that_is_given_out_is_on_bytes() {
    let mut net = Net::new(45);
    net.input("ids", INT64, &["1", "n"]).input("x", FLOAT, &["2", "48"]);
    net.output("y", FLOAT).output("z", FLOAT).output("table", FLOAT).output("w", FLOAT);
    let (table, w) = (net.param("table", &[500, 48]), net.param("w", &[48, 6]));
    net.node("Gather", &[&table, "ids"], "y");
    net.node("MatMul", &["x", &w], "z");
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), "1".parse().unwrap());
    let inputs = || {
        let ids = [3i64, 7].iter().flat_map(|i| i.to_le_bytes()).collect();
        let ids = TensorValue::new("ids", deepring::DType::I64, vec![1, 2], ids).unwrap();
        vec![ids, positive("x", &[2, 48], 1)]
    };
    for check in [Check::Compute, Check::Auto] {
        for tensor in ["table", "w"] {
            let session = ring.session(check);
            let outcome = session.run(inputs()).unwrap();
            let decision =
                outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
            let (block, start, _) = place_of(&session, tensor);
            let header = session.ring().layers().iter().find(|h| h.index == block).unwrap();
            let part = header.parts.iter().position(|p| p.label() == tensor).unwrap();
            let had = decision.chain().legs()[0].receipt().coverage[0][part];
            assert_eq!(had, Coverage::Bytes, "{check} {tensor}");
            // A row that is not gathered, the lowest bit.
            flip(session.live_bytes(block).unwrap(), start + 4 * 48, 0x01);
            let error = session.run(inputs()).unwrap_err();
            let found = error.finding().unwrap_or_else(|| panic!("{check} {tensor}: {error}"));
            assert_eq!((found.block, found.tensor.as_deref()), (Some(block), Some(tensor)));
        }
    }
}

/// Branches may read anything, however many there are.
#[test]
fn beside_branches_every_parameter_is_on_bytes() {
    for branches in [1, 3, 4, 5, 8] {
        let mut net = Net::new(46);
        net.input("ids", INT64, &["1", "n"]).input("flag", BOOL, &[]).output("y", FLOAT);
        let table = net.param("table", &[500, 48]);
        net.node("Gather", &[&table, "ids"], "v0");
        for i in 0..branches {
            let branch = |seed, op: &str| {
                let mut branch = Net::new(seed);
                branch.output("b", FLOAT);
                branch.node(op, &[&format!("v{i}")], "b");
                branch.graph
            };
            let (then, other) = (branch(1, "Relu"), branch(2, "Neg"));
            net.node("If", &["flag"], &format!("v{}", i + 1)).attribute =
                vec![graphs::graph("then_branch", then), graphs::graph("else_branch", other)];
        }
        // As many readers as once made the count come out right again.
        let mut sum = format!("v{branches}");
        for i in 0..branches {
            net.node("ReduceMax", &[&table], &format!("m{i}"));
            net.node("Add", &[&sum, &format!("m{i}")], &format!("s{i}"));
            sum = format!("s{i}");
        }
        net.node("Identity", &[&sum], "y");
        let folder = tempfile::tempdir().unwrap();
        let ring = Sealed::new(&net.save(folder.path()), "1".parse().unwrap());
        let session = ring.session(Check::Compute);
        let ids = [3i64, 7].iter().flat_map(|i| i.to_le_bytes()).collect();
        let ids = TensorValue::new("ids", deepring::DType::I64, vec![1, 2], ids).unwrap();
        let flag = TensorValue::new("flag", deepring::DType::Bool, vec![], vec![1]).unwrap();
        let inputs = || vec![ids.clone(), flag.clone()];
        let outcome = session.run(inputs()).unwrap();
        let decision = outcome.decision.verify(session.ring().outline(), Require::AsDealt).unwrap();
        let coverage = decision.chain().legs()[0].receipt().coverage[0].clone();
        assert!(coverage.iter().all(|c| *c == Coverage::Bytes || *c == Coverage::Recomputed));
        let (block, start, _) = place_of(&session, "table");
        flip(session.live_bytes(block).unwrap(), start + 4 * 48 * 100, 0x01);
        let error = session.run(inputs()).unwrap_err();
        assert_eq!(error.finding().unwrap().tensor.as_deref(), Some("table"), "{branches}");
    }
}
