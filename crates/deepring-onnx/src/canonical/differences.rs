//! Where the engine computes a form of an operator otherwise than ONNX says, and what is done about each: it is written with
//! operators that the engine computes rightly, or refused when the network is sealed.
//!
//! The list is of one version of the engine. Another version is tested against all of it: each has a test in
//! `tests/it/differences.rs` or `tests/it/differences_found.rs`, and the official node tests (`conformance/`) are run besides.

use super::upgrade::Upgrade;
use super::{invalid, lacking, places, resample, rewrite};
use crate::proto::NodeProto;
use crate::read::ImportError;

/// The engine that the list is of.
pub(super) const ENGINE: &str = "rten 0.27";

/// One difference.
struct Difference {
    operators: &'static [&'static str],
    rule: Rule,
}

/// The node, perhaps changed; `None` where others took its place.
pub(super) type Rewritten = Result<Option<NodeProto>, ImportError>;

enum Rule {
    /// Writes the node with others.
    Rewrite(fn(&mut Upgrade<'_>, NodeProto) -> Rewritten),
    /// Says what is not computed as ONNX says; `None` where this node's form is.
    Refuse(fn(&Upgrade<'_>, &NodeProto) -> Option<&'static str>),
}
use Rule::{Refuse, Rewrite};

/// Refusals count wherever they stand; what is rewritten is rewritten in this order.
const DIFFERENCES: &[Difference] = &[
    // Of equal extremes the engine takes the last, ONNX the first.
    Difference { operators: &["ArgMax", "ArgMin"], rule: Rewrite(rewrite::first_extreme) },
    // A fraction becomes false: it is made an integer first.
    Difference { operators: &["Cast"], rule: Rewrite(rewrite::cast_to_bool) },
    // Fewer elements than the data has along other axes are taken for a stretch of it.
    Difference { operators: &["ScatterElements"], rule: Rewrite(places::scatter_elements) },
    // Of places from behind, one more than there are is counted.
    Difference { operators: &["SequenceInsert"], rule: Rewrite(places::sequence_insert) },
    Difference { operators: &["Slice"], rule: Rewrite(places::slice) },
    Difference { operators: &["Pad"], rule: Rewrite(places::pad_all_axes) },
    Difference { operators: &["Pad"], rule: Rewrite(places::pad) },
    // Channels are a dimension of what is averaged.
    Difference {
        operators: &["LRN"],
        rule: Refuse(|upgrade, node| {
            let channels = upgrade.shapes.of(node.arg(0)).and_then(|dims| dims.get(1));
            let known = matches!(channels, Some(deepring::Dim::Fixed(_)));
            (!known).then_some("normalisation across an open number of channels")
        }),
    },
    // Version 10, between Upsample and what it became.
    Difference { operators: &["Resize"], rule: Rewrite(resample::of_version_10) },
    // Of a far diagonal, the sum of it and a row wraps.
    Difference { operators: &["Trilu"], rule: Rewrite(places::trilu) },
    // By a single divisor the engine multiplies with the reciprocal.
    Difference { operators: &["Div"], rule: Rewrite(rewrite::divide) },
    Difference { operators: &["CastLike"], rule: Rewrite(rewrite::cast_like) },
    // Powers overflow where the result does not.
    Difference { operators: &["Softplus"], rule: Rewrite(rewrite::softplus) },
    Difference { operators: &["Asinh", "Acosh"], rule: Rewrite(rewrite::area_function) },
    // An axis that keeps its size is taken for one that is not scaled.
    Difference { operators: &["Resize", "Upsample"], rule: Refuse(rewrite::scale_without_effect) },
    // An operand of one dimension keeps a dimension of one where the other has three or more.
    Difference { operators: &["MatMul"], rule: Rewrite(rewrite::matrix_times_vector) },
    // Without strides, the engine has none instead of ones.
    Difference {
        operators: &["MaxPool", "AveragePool", "LpPool"],
        rule: Rewrite(rewrite::state_strides),
    },
    // The cosine of -x differs from that of x in the last bits, and what chooses the largest chooses another one.
    Difference { operators: &["Cos"], rule: Rewrite(rewrite::even_cosine) },
    // An integer exponent of a float is refused, and none of integers is exact beyond 2^24.
    Difference { operators: &["Pow"], rule: Rewrite(rewrite::power) },
    // The engine multiplies by the reciprocal of the scale, which is one off at ties; takes the last axis for the default
    // one; and knows no absent zero point.
    Difference { operators: &["QuantizeLinear"], rule: Rewrite(rewrite::quantise) },
    Difference {
        operators: &["DynamicQuantizeLinear"],
        rule: Rewrite(rewrite::quantise_dynamically),
    },
    // One scale and zero point in a list of one are taken for one of each channel.
    Difference { operators: &["DequantizeLinear"], rule: Rewrite(rewrite::single_scale) },
    // An empty list of axes that says to reduce nothing reduces all.
    Difference {
        operators: &[
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
            "ReduceSumSquare",
        ],
        rule: Rewrite(rewrite::reduce_nothing),
    },
    // Overlap is measured against the box around both, and boxes of all classes and pictures against each other.
    Difference {
        operators: &["NonMaxSuppression"],
        rule: Refuse(|_, _| Some("suppression of overlapping boxes")),
    },
    // Lengths of sequences and peepholes are not looked at.
    Difference {
        operators: &["LSTM", "GRU", "RNN"],
        rule: Refuse(|_, node| node.arg(4).map(|_| "lengths of sequences")),
    },
    Difference { operators: &["LSTM"], rule: Refuse(|_, node| node.arg(7).map(|_| "peepholes")) },
    // The reset gate comes after the product only.
    Difference {
        operators: &["GRU"],
        rule: Refuse(|_, node| {
            let after = node.attr_int("linear_before_reset").unwrap_or(0) != 0;
            (!after).then_some("a reset before the product")
        }),
    },
    // What ONNX does not have.
    Difference {
        operators: &[
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Mod",
            "Pow",
            "Neg",
            "Abs",
            "Sum",
            "Mean",
            "Min",
            "Max",
            "MatMul",
            "Gemm",
            "ReduceSum",
            "ReduceMean",
            "ReduceProd",
            "CumSum",
        ],
        rule: Refuse(invalid::of_truths),
    },
    Difference { operators: &["LSTM", "GRU", "RNN"], rule: Refuse(invalid::hidden_size) },
    Difference { operators: &["PRelu"], rule: Refuse(invalid::slope) },
    Difference {
        operators: &["Conv", "ConvInteger", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"],
        rule: Refuse(invalid::three_axes),
    },
    Difference {
        operators: &["Conv", "ConvInteger", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"],
        rule: Refuse(invalid::along_nothing),
    },
    Difference { operators: &["GridSample"], rule: Refuse(invalid::sampling) },
    // Statistics of no elements.
    Difference {
        operators: &["BatchNormalization", "InstanceNormalization", "GroupNormalization"],
        rule: Refuse(invalid::of_nothing),
    },
    // Dilations and added outputs of one dimension are taken for those of two.
    Difference {
        operators: &["ConvTranspose"],
        rule: Refuse(|_, node| {
            let is = |name: &str, nothing: i64| {
                node.attr_ints(name).is_some_and(|d| d.len() == 1 && d != [nothing])
            };
            (is("dilations", 1) || is("output_padding", 0))
                .then_some("dilations or added outputs in one dimension")
        }),
    },
    Difference { operators: &["ConvTranspose"], rule: Rewrite(rewrite::drop_nothing) },
    // Cubic interpolation is computed as linear.
    Difference { operators: &["Resize"], rule: Rewrite(resample::cubic) },
    // What is drawn is not defined by the standard, and two runs of one ring must give the same; who trains is not who answers.
    Difference {
        operators: &[
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
            "Bernoulli",
            "Multinomial",
        ],
        rule: Refuse(|_, _| Some("random numbers")),
    },
    Difference { operators: &["Dropout"], rule: Refuse(rewrite::trains) },
    Difference { operators: &["BatchNormalization"], rule: Refuse(rewrite::trains_or_tells) },
    // Scales of versions 18 to 20 are one for each group.
    Difference {
        operators: &["GroupNormalization"],
        rule: Refuse(|upgrade, _| (upgrade.opset() < 21).then_some("a scale for each group")),
    },
    // Attributes that later versions added, where they are not what they are without them.
    Difference {
        operators: &["DequantizeLinear"],
        rule: Refuse(|_, node| other_than(node, "output_dtype", &[0, 1], "another output type")),
    },
    Difference {
        operators: &["QuantizeLinear"],
        rule: Refuse(|_, node| other_than(node, "precision", &[0, 1], "another precision")),
    },
    Difference {
        operators: &["Range"],
        rule: Refuse(|_, node| other_than(node, "stash_type", &[0, 1], "another precision")),
    },
    Difference {
        operators: &["SpaceToDepth"],
        rule: Refuse(|_, node| {
            node.attr_str("mode").filter(|m| *m != "DCR").map(|_| "another order of depth")
        }),
    },
    // Floats only: of integers, sums and powers would have to be exact.
    Difference { operators: &["Relu"], rule: Rewrite(rewrite::relu_of_integers) },
    Difference {
        operators: &[
            "MatMul",
            "Gemm",
            "Einsum",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceMean",
            "PRelu",
            "Erf",
            "GridSample",
        ],
        rule: Refuse(rewrite::of_integers),
    },
    // Sums of sines and cosines are less exact than ONNX's own tests ask.
    Difference { operators: &["DFT"], rule: Refuse(|_, _| Some("a transform that precise")) },
    // Lengths of keys and values are not looked at.
    Difference {
        operators: &["Attention"],
        rule: Refuse(|_, node| node.arg(6).map(|_| "lengths of keys")),
    },
    // Bits of the numbers that the file means, not of those that the engine holds.
    Difference { operators: &["BitCast"], rule: Refuse(rewrite::held_otherwise) },
    // Axes are asked for in a list.
    Difference { operators: &["Squeeze", "Unsqueeze"], rule: Rewrite(rewrite::list_axes) },
    Difference { operators: &["MatMulInteger"], rule: Rewrite(rewrite::single_zeros) },
    // Zero points of a convolution are ignored.
    Difference { operators: &["ConvInteger"], rule: Rewrite(rewrite::convolve) },
    // Zero is taken for positive.
    Difference { operators: &["Sign"], rule: Rewrite(rewrite::sign) },
    // Pools and reductions of floats only.
    Difference { operators: &["MaxPool"], rule: Rewrite(rewrite::pool_of_floats) },
    Difference { operators: &["ReduceMax", "ReduceMin"], rule: Rewrite(rewrite::reduce_truths) },
    // What the engine lacks.
    Difference { operators: &["Selu"], rule: Rewrite(lacking::selu) },
    Difference { operators: &["LRN"], rule: Rewrite(lacking::lrn) },
    Difference { operators: &["Celu"], rule: Rewrite(lacking::celu) },
    Difference { operators: &["Mish"], rule: Rewrite(lacking::mish) },
    Difference { operators: &["ThresholdedRelu"], rule: Rewrite(lacking::thresholded_relu) },
    Difference { operators: &["Shrink"], rule: Rewrite(lacking::shrink) },
    Difference { operators: &["Hardmax"], rule: Rewrite(lacking::hardmax) },
    Difference { operators: &["SpaceToDepth"], rule: Rewrite(lacking::space_to_depth) },
    Difference { operators: &["LpPool"], rule: Rewrite(lacking::lp_pool) },
    Difference { operators: &["LayerNormalization"], rule: Rewrite(lacking::layer_normalisation) },
    Difference { operators: &["GroupNormalization"], rule: Rewrite(lacking::group_normalisation) },
    Difference { operators: &["NegativeLogLikelihoodLoss"], rule: Rewrite(lacking::nll_loss) },
    Difference { operators: &["SoftmaxCrossEntropyLoss"], rule: Rewrite(lacking::cross_entropy) },
    Difference { operators: &["IsInf"], rule: Rewrite(lacking::is_inf) },
    Difference {
        operators: &["HannWindow", "HammingWindow", "BlackmanWindow"],
        rule: Rewrite(lacking::window),
    },
    Difference { operators: &["OneHot"], rule: Rewrite(lacking::one_hot) },
];

fn other_than(
    node: &NodeProto,
    name: &str,
    known: &[i64],
    what: &'static str,
) -> Option<&'static str> {
    node.attr_int(name).filter(|v| !known.contains(v)).map(|_| what)
}

/// Applies every rule to a node. Refusals come first: what is written in a node's place may no longer say for what the node
/// is refused.
pub(super) fn apply(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let of = |node: &NodeProto| {
        let op = node.op().to_owned();
        DIFFERENCES.iter().filter(move |d| d.operators.contains(&op.as_str()))
    };
    for difference in of(&node) {
        if let Refuse(refuse) = difference.rule
            && let Some(what) = refuse(upgrade, &node)
        {
            return Err(upgrade.differs(&node, what));
        }
    }
    let op = node.op().to_owned();
    for difference in of(&node) {
        if let Rewrite(rewrite) = difference.rule {
            match rewrite(upgrade, node)? {
                Some(left) if left.op() != op => return apply(upgrade, left),
                Some(left) => node = left,
                None => return Ok(None),
            }
        }
    }
    Ok(Some(node))
}
