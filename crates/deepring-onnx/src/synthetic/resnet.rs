//! ResNet-50 (He et al. 2016) with BatchNorm folded, the stride in the 3x3 convolution.

use super::builder::{Builder, FLOAT, Kernel, gain, ints};

/// Blocks, width inside and stride of each stage.
const STAGES: [(u32, u32, u32); 4] = [(3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)];
/// A block's output is so many times as wide as its inside.
const EXPANSION: u32 = 4;
/// Share that a block adds to the mean square of what goes round it: 16 blocks stay in range.
const BRANCH: f32 = 0.1;

pub(super) fn build(net: &mut Builder) {
    net.input("image", FLOAT, &[1, 3, 224, 224]);
    let x = net.conv("image", "stem", (3, 64), Kernel::new(7, 2), gain::LINEAR);
    let x = net.apply("Relu", &[&x], "stem.relu");
    let window =
        vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
    let mut x = net.node("MaxPool", &[&x], "stem.pool", window);
    let mut from = 64;
    for (stage, (blocks, width, stride)) in (1..).zip(STAGES) {
        for block in 0..blocks {
            let name = format!("layer{stage}.{block}");
            let stride = if block == 0 { stride } else { 1 };
            x = bottleneck(net, &x, &name, (from, width), stride);
            from = width * EXPANSION;
        }
    }
    let x = net.pool(&x, "pool");
    net.gemm(&x, "logits", (from, 1000), gain::RELU);
    net.output("logits");
}

fn bottleneck(
    net: &mut Builder,
    x: &str,
    name: &str,
    (from, width): (u32, u32),
    stride: u32,
) -> String {
    let to = width * EXPANSION;
    let at = |part: &str| format!("{name}.{part}");
    let y = net.conv(x, &at("conv1"), (from, width), Kernel::new(1, 1), gain::RELU);
    let y = net.apply("Relu", &[&y], &at("relu1"));
    let y = net.conv(&y, &at("conv2"), (width, width), Kernel::new(3, stride), gain::RELU);
    let y = net.apply("Relu", &[&y], &at("relu2"));
    let y = net.conv(&y, &at("conv3"), (width, to), Kernel::new(1, 1), gain::RELU * BRANCH);
    let shortcut = if from == to && stride == 1 {
        x.to_owned()
    } else {
        net.conv(x, &at("downsample"), (from, to), Kernel::new(1, stride), gain::RELU)
    };
    let sum = net.apply("Add", &[&y, &shortcut], &at("sum"));
    net.apply("Relu", &[&sum], &at("relu3"))
}
