//! Forms of operators that are refused by name.

use std::path::Path;

use deepring_onnx::{ImportError, OperatorFault, canonicalise, read_onnx};

use super::{net, text};
use crate::graphs::{BOOL, FLOAT, INT64, Net, float, graph, int, ints};

fn fault(path: &Path) -> OperatorFault {
    match canonicalise(read_onnx(path).unwrap()).unwrap_err() {
        ImportError::Operator { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_not_computed_as_onnx_says_is_refused_by_name() {
    let boxes: &[(&str, i32, &[&str])] =
        &[("b", FLOAT, &["1", "4", "4"]), ("s", FLOAT, &["1", "1", "4"])];
    let picture: &[(&str, i32, &[&str])] =
        &[("x", FLOAT, &["1", "1", "4", "4"]), ("r", FLOAT, &["0"]), ("s", FLOAT, &["4"])];
    let lengths: &[(&str, i32, &[&str])] = &[
        ("x", FLOAT, &["5", "2", "3"]),
        ("w", FLOAT, &["1", "16", "3"]),
        ("r", FLOAT, &["1", "16", "4"]),
        ("b", FLOAT, &["1", "32"]),
        ("l", 6, &["2"]),
    ];
    let x: &[(&str, i32, &[&str])] = &[("x", FLOAT, &["2"])];
    let cases = [
        ("suppression of overlapping boxes", net("NonMaxSuppression", boxes, vec![], INT64)),
        ("lengths of sequences", net("LSTM", lengths, vec![int("hidden_size", 4)], FLOAT)),
        (
            "cubic interpolation of open sizes, or of this form",
            net("Resize", picture, vec![text("mode", "cubic")], FLOAT),
        ),
        ("random numbers", net("RandomNormalLike", x, vec![float("seed", 1.0)], FLOAT)),
        ("random numbers", net("RandomUniformLike", x, vec![], FLOAT)),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (wanted, net) in cases {
        let found = fault(&net.save(folder.path()));
        assert!(matches!(found, OperatorFault::Differs { what, .. } if what == wanted), "{found}");
    }
    let mut leaky = net("LeakyRelu", x, vec![int("alpha", 1)], FLOAT);
    let wrong = fault(&leaky.save(folder.path()));
    assert!(
        matches!(wrong, OperatorFault::Attribute { ref name, .. } if name == "alpha"),
        "{wrong}"
    );
    // And in a branch.
    let mut then = Net::new(1);
    then.node("RandomUniformLike", &["x"], "t");
    then.output("t", FLOAT);
    let mut other = Net::new(1);
    other.node("Relu", &["x"], "t");
    other.output("t", FLOAT);
    leaky.graph.node.clear();
    leaky.input("flag", BOOL, &[]);
    leaky.node("If", &["flag"], "y").attribute =
        vec![graph("then_branch", then.graph), graph("else_branch", other.graph)];
    let found = fault(&leaky.save(folder.path()));
    assert!(matches!(found, OperatorFault::Differs { what: "random numbers", .. }), "{found}");
}

/// The forms that are refused besides, each by its own words.
#[test]
fn forms_that_the_engine_does_not_look_at_are_refused_by_name() {
    let of = |what, op, rank: usize, inputs: &[usize], attributes, opset| {
        (what, op, rank, inputs.to_vec(), attributes, opset)
    };
    let cases = [
        of("peepholes", "LSTM", 3, &[0, 1, 2, 7], vec![int("hidden_size", 4)], 17),
        of("a reset before the product", "GRU", 3, &[0, 1, 2], vec![int("hidden_size", 2)], 17),
        of(
            "dilations or added outputs in one dimension",
            "ConvTranspose",
            3,
            &[0, 1],
            vec![ints("dilations", &[2])],
            17,
        ),
        of("training mode", "Dropout", 2, &[0, 1, 2], vec![], 17),
        of(
            "training mode",
            "BatchNormalization",
            2,
            &[0, 1, 2, 3, 4],
            vec![int("training_mode", 1)],
            17,
        ),
        of(
            "a scale for each group",
            "GroupNormalization",
            3,
            &[0, 1, 2],
            vec![int("num_groups", 1)],
            18,
        ),
        of(
            "another output type",
            "DequantizeLinear",
            2,
            &[0, 1],
            vec![int("output_dtype", 10)],
            23,
        ),
        of("another precision", "QuantizeLinear", 0, &[0, 1], vec![int("precision", 10)], 23),
        of("another precision", "Range", 0, &[0, 1, 2], vec![int("stash_type", 10)], 27),
        of(
            "another order of depth",
            "SpaceToDepth",
            4,
            &[0],
            vec![int("blocksize", 2), text("mode", "CRD")],
            28,
        ),
        of("a transform that precise", "DFT", 3, &[0], vec![], 20),
        of("lengths of keys", "Attention", 4, &[0, 1, 2, 6], vec![], 24),
        of(
            "bits of a type that is held in another form",
            "BitCast",
            2,
            &[0],
            vec![int("to", 7)],
            26,
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (wanted, op, rank, inputs, attributes, opset) in cases {
        let mut net = Net::new(7);
        net.opset = opset;
        let dims = ["2", "2", "2", "2"];
        let mut names = vec![String::new(); inputs.iter().max().unwrap() + 1];
        for input in inputs {
            names[input] = format!("x{input}");
            net.input(&names[input], FLOAT, &dims[..rank]);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        net.node(op, &names, "y").attribute = attributes;
        net.output("y", FLOAT);
        let found = fault(&net.save(folder.path()));
        assert!(
            matches!(found, OperatorFault::Differs { what, .. } if what == wanted),
            "{op}: {found}"
        );
    }
}
