//! A transformer encoder of the size of MiniLM-L6 (Wang et al. 2020): 6 layers of 384, 12 heads.

use super::builder::{Builder, INT64, float, gain, int, ints};

const LAYERS: u32 = 6;
const WIDTH: u32 = 384;
const INSIDE: u32 = 1536;
const HEADS: u32 = 12;

pub(super) fn build(net: &mut Builder, sequence: u32, vocabulary: u32) {
    net.input("input_ids", INT64, &[1, sequence]);
    let table = net.param("embeddings.word", &[vocabulary, WIDTH], 0.5);
    let words = net.node("Gather", &[&table, "input_ids"], "words", vec![int("axis", 0)]);
    let place = net.param("embeddings.position", &[1, sequence, WIDTH], 0.5);
    let sum = net.apply("Add", &[&words, &place], "embedded");
    let mut x = norm(net, &sum, "embeddings.norm");

    let apart = [1, sequence.into(), HEADS.into(), (WIDTH / HEADS).into()];
    let shapes = Shapes {
        apart: net.shape("heads.apart", &apart),
        together: net.shape("heads.together", &[1, sequence.into(), WIDTH.into()]),
        scale: net.constant("heads.scale", &[], ((WIDTH / HEADS) as f32).sqrt()),
        root: net.constant("gelu.root", &[], std::f32::consts::SQRT_2),
        one: net.constant("gelu.one", &[], 1.0),
        half: net.constant("gelu.half", &[], 0.5),
    };
    for layer in 0..LAYERS {
        x = attention(net, &x, &format!("layer{layer}.attention"), &shapes);
        x = feed_forward(net, &x, &format!("layer{layer}.ffn"), &shapes);
    }
    net.apply("Identity", &[&x], "last_hidden_state");
    net.output("last_hidden_state");
}

/// Constants that all layers share.
struct Shapes {
    apart: String,
    together: String,
    scale: String,
    root: String,
    one: String,
    half: String,
}

fn attention(net: &mut Builder, x: &str, name: &str, shapes: &Shapes) -> String {
    let at = |part: &str| format!("{name}.{part}");
    let heads = |net: &mut Builder, part: &str, order: [i64; 4]| {
        let y = net.linear(x, &at(part), (WIDTH, WIDTH), gain::LINEAR);
        let y = net.apply("Reshape", &[&y, &shapes.apart], &at(&format!("{part}.apart")));
        net.node("Transpose", &[&y], &at(&format!("{part}.heads")), vec![ints("perm", &order)])
    };
    let query = heads(net, "query", [0, 2, 1, 3]);
    let key = heads(net, "key", [0, 2, 3, 1]);
    let scores = net.apply("MatMul", &[&query, &key], &at("scores"));
    let scores = net.apply("Div", &[&scores, &shapes.scale], &at("scaled"));
    let share = net.node("Softmax", &[&scores], &at("share"), vec![int("axis", -1)]);
    let value = heads(net, "value", [0, 2, 1, 3]);
    let y = net.apply("MatMul", &[&share, &value], &at("mixed"));
    let order = vec![ints("perm", &[0, 2, 1, 3])];
    let y = net.node("Transpose", &[&y], &at("rows"), order);
    let y = net.apply("Reshape", &[&y, &shapes.together], &at("together"));
    let y = net.linear(&y, &at("output"), (WIDTH, WIDTH), gain::LINEAR);
    let sum = net.apply("Add", &[&y, x], &at("sum"));
    norm(net, &sum, &at("norm"))
}

fn feed_forward(net: &mut Builder, x: &str, name: &str, shapes: &Shapes) -> String {
    let at = |part: &str| format!("{name}.{part}");
    let y = net.linear(x, &at("up"), (WIDTH, INSIDE), gain::LINEAR);
    let e = net.apply("Div", &[&y, &shapes.root], &at("gelu.divided"));
    let e = net.apply("Erf", &[&e], &at("gelu.erf"));
    let e = net.apply("Add", &[&e, &shapes.one], &at("gelu.raised"));
    let y = net.apply("Mul", &[&y, &e], &at("gelu.twice"));
    let y = net.apply("Mul", &[&y, &shapes.half], &at("gelu"));
    let y = net.linear(&y, &at("down"), (INSIDE, WIDTH), gain::RELU);
    let sum = net.apply("Add", &[&y, x], &at("sum"));
    norm(net, &sum, &at("norm"))
}

fn norm(net: &mut Builder, x: &str, y: &str) -> String {
    let scale = net.constant(&format!("{y}.scale"), &[WIDTH], 1.0);
    let bias = net.param(&format!("{y}.bias"), &[WIDTH], 1e-4);
    let attributes = vec![int("axis", -1), float("epsilon", 1e-12)];
    net.node("LayerNormalization", &[x, &scale, &bias], y, attributes)
}
