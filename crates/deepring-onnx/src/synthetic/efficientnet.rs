//! EfficientNet-B0 (Tan and Le 2019) with BatchNorm folded.

use super::builder::{Builder, FLOAT, Kernel, gain};

/// Expansion, kernel size, stride of the first block, output channels and blocks of each stage.
const STAGES: [(u32, u32, u32, u32, u32); 7] = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
];
/// Share that a block adds to the mean square of what goes round it.
const BRANCH: f32 = 0.2;
/// Gates are near one half, which takes three quarters of the mean square.
const GATED: f32 = 4.0;

pub(super) fn build(net: &mut Builder) {
    net.input("image", FLOAT, &[1, 3, 224, 224]);
    let x = net.conv("image", "stem", (3, 32), Kernel::new(3, 2), gain::LINEAR);
    let mut x = net.silu(&x, "stem.silu");
    let mut from = 32;
    // The first block reads what SiLU gave; each later one reads a projection.
    let mut gain = gain::SILU;
    for (stage, (expansion, size, stride, to, blocks)) in (1..).zip(STAGES) {
        for block in 0..blocks {
            let name = format!("stage{stage}.{block}");
            let stride = if block == 0 { stride } else { 1 };
            x = block_of(net, &x, &name, (from, from * expansion, to), (size, stride), gain);
            from = to;
            gain = gain::LINEAR;
        }
    }
    let x = net.conv(&x, "head", (from, 1280), Kernel::new(1, 1), gain::LINEAR);
    let x = net.silu(&x, "head.silu");
    let x = net.pool(&x, "pool");
    net.gemm(&x, "logits", (1280, 1000), gain::SILU);
    net.output("logits");
}

/// An inverted residual with squeeze and excitation.
fn block_of(
    net: &mut Builder,
    x: &str,
    name: &str,
    (from, inside, to): (u32, u32, u32),
    (size, stride): (u32, u32),
    gain: f32,
) -> String {
    let at = |part: &str| format!("{name}.{part}");
    let (mut y, mut before) = (x.to_owned(), gain);
    if inside != from {
        y = net.conv(&y, &at("expand"), (from, inside), Kernel::new(1, 1), before);
        y = net.silu(&y, &at("expand.silu"));
        before = gain::SILU;
    }
    let depthwise = Kernel { groups: inside, ..Kernel::new(size, stride) };
    y = net.conv(&y, &at("depthwise"), (inside, inside), depthwise, before);
    y = net.silu(&y, &at("depthwise.silu"));

    let squeezed = from / 4;
    let mean = net.apply("GlobalAveragePool", &[&y], &at("se.mean"));
    let s = net.conv(&mean, &at("se.reduce"), (inside, squeezed), Kernel::new(1, 1), gain::LINEAR);
    let s = net.silu(&s, &at("se.silu"));
    let s = net.conv(&s, &at("se.expand"), (squeezed, inside), Kernel::new(1, 1), gain::LINEAR);
    let gate = net.apply("Sigmoid", &[&s], &at("se.gate"));
    y = net.apply("Mul", &[&y, &gate], &at("se"));

    let round = from == to && stride == 1;
    let share = if round { BRANCH } else { 1.0 };
    let project = gain::SILU * GATED * share;
    y = net.conv(&y, &at("project"), (inside, to), Kernel::new(1, 1), project);
    if round {
        y = net.apply("Add", &[&y, x], &at("sum"));
    }
    y
}
