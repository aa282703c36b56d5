//! LeNet-5 (LeCun et al. 1998) as it is drawn today: 5x5 kernels, ReLU, max pooling.

use super::builder::{Builder, FLOAT, Kernel, gain, ints};

pub(super) fn build(net: &mut Builder) {
    net.input("image", FLOAT, &[1, 1, 28, 28]);
    let x = stage(net, "image", "conv1", (1, 6), Kernel::new(5, 1), gain::LINEAR);
    let narrow = Kernel { pad: 0, ..Kernel::new(5, 1) };
    let x = stage(net, &x, "conv2", (6, 16), narrow, gain::RELU);
    let mut x = net.apply("Flatten", &[&x], "flat");
    for (name, sizes) in [("fc1", (400, 120)), ("fc2", (120, 84))] {
        let y = net.gemm(&x, name, sizes, gain::RELU);
        x = net.apply("Relu", &[&y], &format!("{name}.relu"));
    }
    net.gemm(&x, "logits", (84, 10), gain::RELU);
    net.output("logits");
}

fn stage(
    net: &mut Builder,
    x: &str,
    name: &str,
    sizes: (u32, u32),
    kernel: Kernel,
    gain: f32,
) -> String {
    let y = net.conv(x, name, sizes, kernel, gain);
    let y = net.apply("Relu", &[&y], &format!("{name}.relu"));
    let window = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    net.node("MaxPool", &[&y], &format!("{name}.pool"), window)
}
