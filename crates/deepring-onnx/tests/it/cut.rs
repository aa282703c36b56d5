//! Cutting: blocks together compute what the network does, wherever it is cut.

use std::path::Path;

use deepring::{DType, Dim};
use deepring_onnx::{
    CutBlock, CutError, CutModel, CutPolicy, ExportError, JoinBlock, canonicalise, cut, export,
    read_onnx,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rten_tensor::Tensor;

use crate::graphs::{self, BOOL, FLOAT, INT64, Net};
use crate::import::{feed, whole};
use crate::running::{NamedValues, floats, run};

const POLICIES: [&str; 4] = ["auto", "op", "2", "3"];

fn cut_file(path: &Path, policy: &str) -> Result<CutModel, CutError> {
    cut(canonicalise(read_onnx(path).unwrap()).unwrap(), policy.parse().unwrap())
}

fn export_to(path: &Path, cut: &CutModel) -> Result<(), ExportError> {
    let regions: Vec<Vec<u8>> = cut
        .blocks
        .iter()
        .map(|b| {
            let mut region = vec![0xaa; b.params_len() as usize];
            b.read_params(&mut region).unwrap();
            region
        })
        .collect();
    let blocks: Vec<JoinBlock<'_>> = cut
        .blocks
        .iter()
        .zip(&regions)
        .map(|(b, region)| JoinBlock { graph: &b.graph, region, shared: region.len() })
        .collect();
    export(path, &cut.name, &blocks, &cut.inputs, &cut.outputs)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Cuts by every policy, runs, exports and runs again; the blocks of the finest cut.
fn check(mut net: Net, batch: usize, outputs: &[&str]) -> Vec<CutBlock> {
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let inputs: NamedValues = feed(&mut net, batch);
    for policy in POLICIES {
        let cut = match cut_file(&path, policy) {
            Ok(cut) => cut,
            Err(CutError::TooMany { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        let values = run(&cut.blocks, &inputs).unwrap();
        let exported = folder.path().join("exported.onnx");
        export_to(&exported, &cut).unwrap();
        for output in outputs {
            let expected = bits(&whole(&path, &inputs, output));
            assert_eq!(bits(&floats(&values[*output])), expected, "{policy} {output}");
            assert_eq!(bits(&whole(&exported, &inputs, output)), expected, "exported {policy}");
        }
        well_formed(&cut);
    }
    cut_file(&path, "op").unwrap().blocks
}

/// Asserts what every cut promises.
fn well_formed(cut: &CutModel) {
    let mut names: Vec<&str> = cut.blocks.iter().map(|b| b.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cut.blocks.len(), "a name for each block");
    let mut known: Vec<&str> = cut.inputs.iter().map(|s| s.name.as_str()).collect();
    for block in &cut.blocks {
        for input in &block.inputs {
            assert!(known.contains(&input.name.as_str()), "{}: {}", block.name, input.name);
        }
        known.extend(block.outputs.iter().map(|s| s.name.as_str()));
        let mut end = 0;
        for param in &block.params {
            assert!(param.offset % 64 == 0 && param.offset >= end && param.offset - end < 64);
            assert_eq!(param.len, param.spec.len().unwrap() * param.spec.dtype.size() as u64);
            end = param.offset + param.len;
        }
        assert_eq!(end, block.params_len());
        assert!(block.op_types.is_sorted());
    }
    for output in &cut.outputs {
        assert!(known.contains(&output.name.as_str()), "{}", output.name);
    }
}

#[test]
fn a_chain_becomes_one_block_per_linear_operator() {
    let blocks = check(graphs::lenet(1), 3, &["logits"]);
    let names: Vec<&str> = blocks.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["Conv c1", "Conv c2", "Gemm d1", "Gemm d2", "Gemm logits"]);
    assert_eq!(blocks[0].op_types, ["Conv", "MaxPool", "Relu"]);
    assert!(blocks.iter().all(|b| b.inputs.len() == 1 && b.outputs.len() == 1));
    let dims = [Dim::Named("batch".into()), Dim::Fixed(4), Dim::Fixed(6), Dim::Fixed(6)];
    assert_eq!(blocks[1].inputs[0].dims.as_deref(), Some(&dims[..]));
}

#[test]
fn a_residual_net_is_cut_where_one_tensor_crosses() {
    let mut net = graphs::residual(2);
    check(net.clone(), 2, &["y"]);
    let folder = tempfile::tempdir().unwrap();
    let auto = cut_file(&net.save(folder.path()), "auto").unwrap();
    assert!(auto.blocks.len() >= 4);
    assert!(auto.blocks.iter().all(|b| b.inputs.len() == 1), "{:?}", auto.blocks);
    let inputs = feed(&mut net, 1);
    assert!(run(&auto.blocks, &inputs).is_ok(), "another batch through the same blocks");
}

#[test]
fn as_many_blocks_as_asked_for_or_the_maximum_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = graphs::lenet(1).save(folder.path());
    for n in 1..=5 {
        assert_eq!(cut_file(&path, &n.to_string()).unwrap().blocks.len(), n);
    }
    let error = cut_file(&path, "6").unwrap_err();
    assert!(matches!(error, CutError::TooMany { requested: 6, maximum: 5 }));
    for text in ["0", "-1", "", "all", "auto "] {
        assert!(text.parse::<CutPolicy>().is_err(), "{text}");
    }
}

#[test]
fn several_inputs_and_outputs() {
    let mut net = Net::new(3);
    net.input("left", FLOAT, &["n", "6"]).input("right", FLOAT, &["n", "4"]);
    net.output("sum", FLOAT).output("early", FLOAT).output("best", INT64);
    net.dense("left", "l", 6, 5);
    net.node("Relu", &["l"], "early");
    net.dense("right", "r", 4, 5);
    net.node("Add", &["early", "r"], "both");
    net.dense("both", "sum", 5, 3);
    net.node("ArgMax", &["sum"], "best").attribute = vec![graphs::int("axis", 1)];
    let blocks = check(net, 2, &["sum", "early", "best"]);
    assert_eq!(blocks.len(), 3);
    assert_eq!(blocks[2].outputs[1].dtype, DType::I64);
}

/// Shape arithmetic that a later block needs: repeated there, and what it asks is carried.
#[test]
fn shape_arithmetic_is_repeated_and_never_crosses() {
    let mut net = Net::new(4);
    net.input("x", FLOAT, &["n", "3", "4", "4"]).output("y", FLOAT);
    net.node("Shape", &["x"], "shape");
    let first = net.ints("first", &[0]);
    net.node("Gather", &["shape", &first], "n");
    let minus = net.ints("minus", &[-1]);
    net.node("Concat", &["n", &minus], "target").attribute = vec![graphs::int("axis", 0)];
    net.conv("x", "c", 3, 4, 3, 1);
    net.conv("c", "d", 4, 2, 3, 1);
    net.node("Reshape", &["d", "target"], "flat");
    net.dense("flat", "y", 32, 3);
    let blocks = check(net, 2, &["y"]);
    for block in &blocks {
        for spec in block.inputs.iter().chain(&block.outputs) {
            assert_eq!(spec.dtype, DType::F32, "{spec}");
        }
    }
    assert!(blocks[1].op_types.contains(&"Shape".to_owned()));
    assert!(blocks[1].inputs.iter().any(|s| s.name == "x"));
}

#[test]
fn data_of_integers_crosses_as_it_is() {
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["2", "6"]).output("y", FLOAT);
    net.dense("x", "scores", 6, 6);
    net.node("ArgMax", &["scores"], "best").attribute =
        vec![graphs::int("axis", 1), graphs::int("keepdims", 0)];
    net.dense("scores", "h", 6, 4);
    let table = net.param("table", &[6, 4]);
    net.node("Gather", &[&table, "best"], "rows");
    net.node("Add", &["h", "rows"], "y");
    let blocks = check(net, 2, &["y"]);
    assert!(blocks[0].outputs.iter().any(|s| s.name == "best" && s.dtype == DType::I64));
}

#[test]
fn subgraphs_capture_over_a_cut() {
    let mut net = Net::new(6);
    net.input("x", FLOAT, &["2", "6"]).input("flag", BOOL, &[]).output("y", FLOAT);
    net.dense("x", "a", 6, 6);
    net.dense("a", "b", 6, 6);
    net.dense("b", "c", 6, 6);
    let mut then = Net::new(7);
    then.output("t", FLOAT);
    then.node("Add", &["a", "c"], "t");
    let mut other = Net::new(8);
    other.output("e", FLOAT);
    let k = other.param("k", &[6]);
    other.node("Constant", &[], "k2").attribute =
        vec![graphs::tensor("value", graphs::float_tensor("", &[6], &[0.5; 6]))];
    other.node("Mul", &["c", &k], "m");
    other.node("Mul", &["m", "k2"], "e");
    net.node("If", &["flag"], "y").attribute =
        vec![graphs::graph("then_branch", then.graph), graphs::graph("else_branch", other.graph)];
    let blocks = check(net.clone(), 2, &["y"]);
    let last = blocks.last().unwrap();
    assert!(last.inputs.iter().any(|s| s.name == "a"), "captured");
    assert!(last.params.iter().any(|p| p.spec.name.ends_with("/k2")), "{:?}", last.params);
    let folder = tempfile::tempdir().unwrap();
    let path = net.save(folder.path());
    let mut inputs = feed(&mut net, 2);
    let mut both = Vec::new();
    for flag in [0i32, 1] {
        inputs.insert("flag".into(), Tensor::from(flag).into());
        let values = run(&blocks, &inputs).unwrap();
        assert_eq!(bits(&floats(&values["y"])), bits(&whole(&path, &inputs, "y")), "{flag}");
        both.push(bits(&floats(&values["y"])));
    }
    assert_ne!(both[0], both[1], "each branch was taken");
}

#[test]
fn outputs_that_nothing_computes() {
    let mut net = Net::new(9);
    net.input("x", FLOAT, &["2", "6"]).output("x", FLOAT).output("k", FLOAT).output("y", FLOAT);
    net.floats("k", &[3], &[1.0, 2.0, 3.0]);
    net.dense("x", "h", 6, 6);
    net.dense("h", "y", 6, 2);
    check(net, 2, &["x", "k", "y"]);
}

#[test]
fn a_shape_may_be_an_output() {
    let mut net = Net::new(10);
    net.input("x", FLOAT, &["n", "6"]).output("shape", INT64).output("y", FLOAT);
    net.dense("x", "h", 6, 6);
    net.dense("h", "y", 6, 2);
    net.node("Shape", &["h"], "shape");
    check(net, 2, &["shape", "y"]);
}

#[test]
fn a_network_without_parameters_is_one_block() {
    let mut net = Net::new(11);
    net.input("x", FLOAT, &["n", "6"]).output("y", FLOAT);
    net.node("Sigmoid", &["x"], "y");
    let blocks = check(net, 2, &["y"]);
    assert_eq!((blocks.len(), blocks[0].params_len()), (1, 0));
}

#[test]
fn names_of_any_characters_survive() {
    let mut net = Net::new(12);
    let odd =
        ["a b", "\u{fc}/\u{3bb}", "\"quoted\"", "line\nbreak", "\u{1}", "\u{540d}", "params.data"];
    net.input(odd[0], FLOAT, &["n", "4"]).output(odd[6], FLOAT);
    for pair in odd.windows(2) {
        net.dense(pair[0], pair[1], 4, 4);
    }
    for node in &mut net.graph.node {
        node.name = Some("same".into());
    }
    let blocks = check(net, 2, &[odd[6]]);
    assert_eq!((blocks[0].name.as_str(), blocks[1].name.as_str()), ("same", "same_1"));
}

#[test]
fn a_parameter_of_two_blocks_is_in_both() {
    let mut net = Net::new(13);
    net.input("x", FLOAT, &["n", "4"]).output("y", FLOAT);
    let w = net.param("w", &[4, 4]);
    net.node("MatMul", &["x", &w], "a");
    net.node("Relu", &["a"], "b");
    net.node("MatMul", &["b", &w], "y");
    let blocks = check(net, 2, &["y"]);
    assert!(blocks.iter().all(|b| b.params.len() == 1 && b.params[0].spec.name == "w"));
}

#[test]
fn regions_of_another_length_are_refused_and_gaps_are_zero() {
    let folder = tempfile::tempdir().unwrap();
    let cut = cut_file(&graphs::lenet(1).save(folder.path()), "op").unwrap();
    let block = &cut.blocks[0];
    let len = block.params_len() as usize;
    assert!(block.read_params(&mut vec![0; len + 1]).is_err());
    let mut region = vec![0xff; len];
    block.read_params(&mut region).unwrap();
    let (first, second) = (&block.params[0], &block.params[1]);
    let gap = (first.offset + first.len) as usize..second.offset as usize;
    assert!(!gap.is_empty() && region[gap].iter().all(|&b| b == 0));
}

#[test]
fn blocks_that_do_not_fit_are_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out.onnx");
    std::fs::write(&target, b"what was there").unwrap();
    let mut cut = cut_file(&graphs::lenet(1).save(folder.path()), "op").unwrap();
    cut.blocks.remove(1);
    assert!(matches!(export_to(&target, &cut), Err(ExportError::Undefined { .. })));

    let other = cut_file(&graphs::lenet(2).save(folder.path()), "op").unwrap();
    let mut mixed = cut_file(&graphs::lenet(2).save(folder.path()), "op").unwrap();
    mixed.blocks.extend(other.blocks);
    assert!(export_to(&target, &mixed).is_ok(), "the same twice is the same");

    let block = JoinBlock { graph: &mixed.blocks[0].graph, region: &[0; 3], shared: 3 };
    let error = export(&target, "x", &[block], &mixed.inputs, &mixed.outputs).unwrap_err();
    assert!(matches!(error, ExportError::Parameter { .. }));
    let block = JoinBlock { graph: b"no model", region: &[], shared: 0 };
    let error = export(&target, "x", &[block], &mixed.inputs, &mixed.outputs).unwrap_err();
    assert!(matches!(error, ExportError::Decode(_)));
    let missing = folder.path().join("no/such/folder.onnx");
    assert!(matches!(export_to(&missing, &mixed), Err(ExportError::Io { .. })));
}

/// Runs where the file is: it is not part of the repository.
#[test]
fn efficientnet_cut_equals_whole() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/zoo/efficientnet-lite0.onnx");
    if !path.exists() {
        deepring_testkit::skip::skip("networks", format_args!("{} is absent", path.display()));
        return;
    }
    let mut image = Net::new(99);
    image.input("input", FLOAT, &["1", "3", "224", "224"]);
    let inputs = feed(&mut image, 1);
    let expected = whole(&path, &inputs, "logits");
    for policy in ["auto", "op"] {
        let cut = cut_file(&path, policy).unwrap();
        well_formed(&cut);
        let values = run(&cut.blocks, &inputs).unwrap();
        assert_eq!(bits(&floats(&values["logits"])), bits(&expected), "{policy}");
    }
}

/// One step of a random network.
#[derive(Debug, Clone)]
enum Step {
    Dense(usize),
    Conv(usize, bool),
    Relu(usize),
    Add(usize, usize),
    Mul(usize, usize),
    Scale(usize),
    Reshape(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0usize..64;
    prop_oneof![
        at().prop_map(Step::Dense),
        (at(), any::<bool>()).prop_map(|(a, n)| Step::Conv(a, n)),
        at().prop_map(Step::Relu),
        (at(), at()).prop_map(|(a, b)| Step::Add(a, b)),
        (at(), at()).prop_map(|(a, b)| Step::Mul(a, b)),
        at().prop_map(Step::Scale),
        (at(), at()).prop_map(|(a, b)| Step::Reshape(a, b)),
    ]
}

/// Values are all `[n, 4, 3, 3]`, so that any step applies to any of them.
fn random_net(seed: u64, steps: &[Step]) -> Net {
    let mut net = Net::new(seed);
    net.input("x", FLOAT, &["n", "4", "3", "3"]).input("z", FLOAT, &["n", "4", "3", "3"]);
    let mut values = vec!["x".to_owned(), "z".to_owned()];
    for (i, step) in steps.iter().enumerate() {
        let pick = |at: &usize| values[at % values.len()].clone();
        let y = format!("v{i}");
        match step {
            Step::Dense(a) => {
                let w = net.param(&format!("{y}.w"), &[3, 3]);
                net.node("MatMul", &[&pick(a), &w], &y);
            }
            Step::Conv(a, normalised) => {
                let raw = format!("{y}.raw");
                let to = if *normalised { &raw } else { &y };
                net.conv(&pick(a), to, 4, 4, 3, if a % 2 == 0 { 1 } else { 2 });
                if *normalised {
                    net.batch_norm(&raw, &y, 4);
                }
            }
            Step::Relu(a) => {
                net.node("Relu", &[&pick(a)], &y);
            }
            Step::Add(a, b) => {
                net.node("Add", &[&pick(a), &pick(b)], &y);
            }
            Step::Mul(a, b) => {
                net.node("Mul", &[&pick(a), &pick(b)], &y);
            }
            Step::Scale(a) => {
                let s = net.floats(&format!("{y}.s"), &[], &[0.7]);
                net.node("Mul", &[&pick(a), &s], &y);
            }
            Step::Reshape(a, b) => {
                let shape = format!("{y}.shape");
                net.node("Shape", &[&pick(b)], &shape);
                net.node("Reshape", &[&pick(a), &shape], &y);
            }
        }
        values.push(y);
    }
    let last = values.last().unwrap().clone();
    net.node("Tanh", &[&last], "y");
    let middle = values[values.len() / 2].clone();
    net.node("Sigmoid", &[&middle], "side");
    net.output("y", FLOAT).output("side", FLOAT);
    net
}

/// The engine fuses a scale with the product of matrices before or after it, and rounds otherwise then: a cut must not
/// part what it fuses.
#[test]
fn scales_stay_with_the_product_that_they_are_fused_with() {
    use Step::{Conv, Dense, Scale};
    let chains: [&[Step]; 6] = [
        &[Scale(0), Dense(2), Scale(3), Conv(4, false)],
        &[Scale(0), Dense(2), Scale(3), Dense(4), Scale(5)],
        &[Dense(0), Scale(2), Conv(3, false)],
        &[Conv(0, false), Scale(2), Dense(3)],
        &[Conv(0, false), Scale(2), Conv(3, true)],
        &[Conv(0, false), Scale(2), Scale(3), Dense(4)],
    ];
    for steps in chains {
        for seed in 0..8 {
            check(random_net(seed, steps), 2, &["y", "side"]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(20_261_128),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_network_cut_anywhere_is_the_same(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..14),
    ) {
        let mut net = random_net(seed, &steps);
        let folder = tempfile::tempdir().unwrap();
        let path = net.save(folder.path());
        let inputs = feed(&mut net, 2);
        // A scale whose result something else needs too crosses a cut, or is no longer needed once the network is
        // rewritten: then the engine fuses it in one and not in the other.
        let exact = !steps.iter().any(|step| matches!(step, Step::Scale(_)));
        for policy in ["op", "auto", "2", "3", "4"] {
            let cut = match cut_file(&path, policy) {
                Ok(cut) => cut,
                Err(CutError::TooMany { .. }) => continue,
                Err(error) => panic!("{error}"),
            };
            well_formed(&cut);
            let values = run(&cut.blocks, &inputs).unwrap();
            for output in ["y", "side"] {
                let (ours, whole) = (floats(&values[output]), whole(&path, &inputs, output));
                if exact {
                    prop_assert_eq!(bits(&ours), bits(&whole), "{}", policy);
                }
                prop_assert_eq!(ours.len(), whole.len());
                for (a, b) in ours.iter().zip(&whole) {
                    prop_assert!((a - b).abs() <= 1e-4, "{} {}: {} {}", policy, output, a, b);
                }
            }
        }
    }
}
