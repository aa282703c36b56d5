#!/usr/bin/env python3
"""Trains the networks of this folder, writes them as ONNX and measures them.

    python3 train.py fashion-lenet5    # fashion-lenet5.onnx; likewise the other networks
    python3 train.py sample            # fashion-sample/ (400 test images)
    python3 train.py check             # accuracy, size, SHA-256 and layers of the files, in onnxruntime

The data comes from `fetch.py fashion-mnist mnist cifar10`. Made with the versions in requirements.txt, on Python 3.11.
Each network is written once, as a function of a backend: `TensorFlowNet` runs and trains it, `OnnxNet`
writes it down node by node, so BatchNormalization stays in the file, with its running statistics.
Initial weights, shuffling and augmentation come from NumPy generators seeded with --seed. The weights of
the last epoch are kept: the test set chooses nothing. Use --holdout to tune.
"""

import argparse
import gzip
import hashlib
import math
import os
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
BN_EPSILON = 1e-5
BN_MOMENTUM = 0.9
SGD_MOMENTUM = 0.9
SAMPLE_PER_CLASS = 40
OPSET = 13
IR_VERSION = 7


class DataSet:
    """Where a data set lies, and how its images are augmented in training."""

    def __init__(self, folder, shape, labels, shift, mirror, load):
        self.folder = folder  # below data/
        self.shape = shape  # channels, height, width
        self.labels = labels
        self.shift = shift  # by up to so many pixels each way
        self.mirror = mirror  # whether a mirror image shows the same thing
        self.load = load  # (folder, "train" or "t10k") -> images [n, height, width, channels], labels


# ---------------------------------------------------------------- the networks


def lenet5(net, x):
    x = net.pool(net.relu(net.conv(x, "conv1", 12, kernel=5, pad=2, bias=True)))
    x = net.pool(net.relu(net.conv(x, "conv2", 32, kernel=5, pad=0, bias=True)))
    x = net.flatten(x)
    x = net.relu(net.dense(x, "fc1", 96))
    x = net.relu(net.dense(x, "fc2", 64))
    return net.dense(x, "logits", len(LABELS))


def resnet8(net, x):
    """A stem, three residual blocks of two convolutions, and one dense layer: eight layers deep."""
    x = net.relu(net.norm(net.conv(x, "stem.conv", 24, kernel=3, pad=1), "stem.bn"))
    for number, (channels, stride) in enumerate([(24, 1), (48, 2), (96, 2)], start=1):
        block = f"block{number}"
        y = net.conv(x, f"{block}.conv1", channels, kernel=3, pad=1, stride=stride)
        y = net.relu(net.norm(y, f"{block}.bn1"))
        y = net.norm(net.conv(y, f"{block}.conv2", channels, kernel=3, pad=1), f"{block}.bn2")
        if stride != 1:
            x = net.norm(net.conv(x, f"{block}.short", channels, kernel=1, pad=0, stride=stride), f"{block}.short_bn")
        x = net.relu(net.add(x, y))
    return net.dense(net.flatten(net.average(x)), "logits", len(LABELS))


def resnet20(net, x):
    """He et al. 2016, section 4.2, n = 3; the shortcut of a stage is a 1x1 convolution."""
    x = net.relu(net.norm(net.conv(x, "stem.conv", 16, kernel=3, pad=1), "stem.bn"))
    for stage, channels in enumerate([16, 32, 64], start=1):
        for number in range(1, 4):
            block, stride = f"stage{stage}.block{number}", 2 if stage > 1 and number == 1 else 1
            y = net.conv(x, f"{block}.conv1", channels, kernel=3, pad=1, stride=stride)
            y = net.relu(net.norm(y, f"{block}.bn1"))
            y = net.norm(net.conv(y, f"{block}.conv2", channels, kernel=3, pad=1), f"{block}.bn2")
            if stride != 1:
                x = net.conv(x, f"{block}.short", channels, kernel=1, pad=0, stride=stride)
                x = net.norm(x, f"{block}.short_bn")
            x = net.relu(net.add(x, y))
    return net.dense(net.flatten(net.average(x)), "logits", 10)


def vgg11(net, x):
    """The eight convolutions of VGG-11 with BatchNormalization, at about a third of its width, and one dense layer."""
    plan = [24, "pool", 48, "pool", 96, 96, "pool", 176, 176, "pool", 176, 176, "pool"]
    number = 0
    for channels in plan:
        if channels == "pool":
            x = net.pool(x)
            continue
        number += 1
        x = net.conv(x, f"conv{number}", channels, kernel=3, pad=1)
        x = net.relu(net.norm(x, f"bn{number}"))
    return net.dense(net.flatten(x), "logits", 10)


class TensorFlowNet:
    """Runs a network in TensorFlow (NHWC inside) and holds its parameters by name."""

    def __init__(self, tf, rng):
        self.tf = tf
        self.rng = rng
        self.weights = {}  # decayed
        self.others = {}  # biases, BatchNormalization scale and shift
        self.running = {}  # BatchNormalization mean and variance: not trained by gradients
        self.training = False

    def _get(self, group, name, make):
        if name not in group:
            group[name] = self.tf.Variable(make().astype(np.float32), trainable=group is not self.running)
        return group[name]

    def _he(self, shape, fan_in):
        return lambda: self.rng.normal(0.0, math.sqrt(2.0 / fan_in), shape)

    def conv(self, x, name, channels, kernel, pad, stride=1, bias=False):
        tf, width = self.tf, x.shape[-1]
        shape = (kernel, kernel, width, channels)
        w = self._get(self.weights, f"{name}.weight", self._he(shape, kernel * kernel * width))
        if stride == 1 and 2 * pad == kernel - 1:
            x = tf.nn.conv2d(x, w, 1, "SAME")
        else:
            x = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]]) if pad else x
            x = tf.nn.conv2d(x, w, stride, "VALID")
        if bias:
            x = tf.nn.bias_add(x, self._get(self.others, f"{name}.bias", lambda: np.zeros(channels)))
        return x

    def norm(self, x, name):
        width = x.shape[-1]
        scale = self._get(self.others, f"{name}.scale", lambda: np.ones(width))
        shift = self._get(self.others, f"{name}.shift", lambda: np.zeros(width))
        mean = self._get(self.running, f"{name}.mean", lambda: np.zeros(width))
        var = self._get(self.running, f"{name}.var", lambda: np.ones(width))
        fused = self.tf.compat.v1.nn.fused_batch_norm
        if not self.training:
            return fused(x, scale, shift, mean, var, epsilon=BN_EPSILON, is_training=False)[0]
        x, batch_mean, batch_var = fused(x, scale, shift, epsilon=BN_EPSILON, is_training=True)
        mean.assign(BN_MOMENTUM * mean + (1 - BN_MOMENTUM) * batch_mean)
        var.assign(BN_MOMENTUM * var + (1 - BN_MOMENTUM) * batch_var)
        return x

    def relu(self, x):
        return self.tf.nn.relu(x)

    def add(self, x, y):
        return x + y

    def pool(self, x):
        return self.tf.nn.max_pool2d(x, 2, 2, "VALID")

    def average(self, x):
        return self.tf.reduce_mean(x, [1, 2], keepdims=True)

    def flatten(self, x):
        x = self.tf.transpose(x, [0, 3, 1, 2])  # the order of ONNX
        return self.tf.reshape(x, [-1, math.prod(x.shape[1:])])

    def dense(self, x, name, channels):
        width = x.shape[-1]
        w = self._get(self.weights, f"{name}.weight", self._he((width, channels), width))
        return self.tf.matmul(x, w) + self._get(self.others, f"{name}.bias", lambda: np.zeros(channels))

    def arrays(self):
        """All parameters in the layout of ONNX: OIHW for convolutions, [out, in] for dense layers."""
        found = {name: v.numpy() for group in (self.weights, self.others, self.running) for name, v in group.items()}
        for name, a in found.items():
            found[name] = np.ascontiguousarray(a.transpose(3, 2, 0, 1) if a.ndim == 4 else a.T)
        return found


class OnnxNet:
    """Writes a network as an ONNX graph; values are passed on by name."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.nodes = []
        self.initialisers = []

    def _node(self, kind, name, inputs, **attributes):
        from onnx import helper

        out = f"{name}.out" if name != "logits" else "logits"
        self.nodes.append(helper.make_node(kind, inputs, [out], name=name, **attributes))
        return out

    def _plain(self, kind, inputs, **attributes):
        return self._node(kind, f"{kind.lower()}{sum(n.op_type == kind for n in self.nodes) + 1}", inputs, **attributes)

    def _parameter(self, name):
        from onnx import numpy_helper

        self.initialisers.append(numpy_helper.from_array(self.arrays[name], name))
        return name

    def conv(self, x, name, channels, kernel, pad, stride=1, bias=False):
        inputs = [x] + [self._parameter(f"{name}.{p}") for p in (["weight", "bias"] if bias else ["weight"])]
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "dilations": [1, 1]}
        return self._node("Conv", name, inputs, group=1, **shape)

    def norm(self, x, name):
        inputs = [x] + [self._parameter(f"{name}.{p}") for p in ("scale", "shift", "mean", "var")]
        return self._node("BatchNormalization", name, inputs, epsilon=BN_EPSILON, momentum=BN_MOMENTUM)

    def relu(self, x):
        return self._plain("Relu", [x])

    def add(self, x, y):
        return self._plain("Add", [x, y])

    def pool(self, x):
        return self._plain("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])

    def average(self, x):
        return self._plain("GlobalAveragePool", [x])

    def flatten(self, x):
        return self._plain("Flatten", [x], axis=1)

    def dense(self, x, name, channels):
        inputs = [x, self._parameter(f"{name}.weight"), self._parameter(f"{name}.bias")]
        return self._node("Gemm", name, inputs, alpha=1.0, beta=1.0, transB=1)

    def model(self, title, shape, x, y):
        import onnx
        from onnx import TensorProto, helper

        graph = helper.make_graph(
            self.nodes,
            title,
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["batch", 10])],
            self.initialisers,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="deepring-zoo")
        onnx.checker.check_model(model, full_check=True)
        return model


# ---------------------------------------------------------------- data


def read_idx(folder, name):
    """Reads `name` or `name.gz` in the idx format (unsigned bytes)."""
    path = Path(folder) / name
    if path.exists():
        raw = path.read_bytes()
    elif (packed := path.with_name(name + ".gz")).exists():
        raw = gzip.decompress(packed.read_bytes())
    else:
        sys.exit(f"{path}(.gz) not found: run `fetch.py` or give --data")
    if raw[:3] != b"\0\0\x08":
        sys.exit(f"{path}: not an idx file of unsigned bytes")
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def load_idx(folder, part):
    images = read_idx(folder, f"{part}-images-idx3-ubyte")
    return images[..., np.newaxis], read_idx(folder, f"{part}-labels-idx1-ubyte")


def load_cifar(folder, part):
    """Reads the binary format of CIFAR-10: a label byte, then 1,024 red, green and blue bytes each."""
    names = [f"data_batch_{n}.bin" for n in range(1, 6)] if part == "train" else ["test_batch.bin"]
    if not (Path(folder) / names[0]).exists():
        sys.exit(f"{Path(folder) / names[0]} not found: run `python3 fetch.py cifar10` or give --data")
    records = np.concatenate([np.fromfile(Path(folder) / n, np.uint8).reshape(-1, 3073) for n in names])
    return np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), records[:, 0]


def batches(images, labels, size, rng, shift, mirror):
    """One epoch of shuffled, shifted and perhaps mirrored batches; the last partial batch is left out."""
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, images.shape[1:3], axis=(1, 2))
    order = rng.permutation(len(images))
    for start in range(0, len(order) - size + 1, size):
        pick = order[start : start + size]
        dy, dx = rng.integers(0, 2 * shift + 1, (2, size))
        batch = windows[pick, dy, dx].transpose(0, 2, 3, 1)
        if mirror:
            turned = rng.random(size) < 0.5
            batch[turned] = batch[turned, :, ::-1]
        yield batch, labels[pick].astype(np.int32)


CIFAR_LABELS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FASHION = DataSet("fashion-mnist", (1, 28, 28), LABELS, 2, True, load_idx)
MNIST = DataSet("mnist", (1, 28, 28), [str(digit) for digit in range(10)], 2, False, load_idx)
CIFAR = DataSet("cifar10", (3, 32, 32), CIFAR_LABELS, 4, True, load_cifar)

# Network, data set, and the defaults that made the files.
NETWORKS = {
    "fashion-lenet5": (lenet5, FASHION, {"epochs": 40, "rate": 0.05, "decay": 5e-4, "batch": 128, "seed": 1}),
    "fashion-resnet8": (resnet8, FASHION, {"epochs": 20, "rate": 0.1, "decay": 5e-4, "batch": 128, "seed": 1}),
    "mnist-lenet5": (lenet5, MNIST, {"epochs": 10, "rate": 0.05, "decay": 5e-4, "batch": 128, "seed": 1}),
    "cifar-resnet20": (resnet20, CIFAR, {"epochs": 28, "rate": 0.1, "decay": 5e-4, "batch": 128, "seed": 1}),
    "cifar-vgg11": (vgg11, CIFAR, {"epochs": 32, "rate": 0.1, "decay": 5e-4, "batch": 128, "seed": 1}),
}


# ---------------------------------------------------------------- commands


def train(args):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import onnx
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()

    network, data, _ = NETWORKS[args.command]
    folder = args.data / data.folder
    images, labels = data.load(folder, "train")
    held = None
    if args.holdout:
        order = np.random.default_rng([args.seed, 2]).permutation(len(images))
        out, kept = order[: args.holdout], order[args.holdout :]
        held, images, labels = (images[out], labels[out]), images[kept], labels[kept]

    net = TensorFlowNet(tf, np.random.default_rng([args.seed, 0]))

    def scaled(batch):
        return tf.cast(batch, tf.float32) / 255.0

    network(net, scaled(images[:1]))  # makes the parameters
    trained = list(net.weights.values()) + list(net.others.values())
    decays = [args.decay] * len(net.weights) + [0.0] * len(net.others)
    speeds = [tf.Variable(tf.zeros_like(v), trainable=False) for v in trained]
    count = sum(v.shape.num_elements() for v in trained)
    print(f"{args.command}: {count} trained parameters, {len(images)} images, seed {args.seed}", flush=True)

    @tf.function
    def step(batch, target, rate):
        with tf.GradientTape() as tape:
            net.training = True
            logits = network(net, scaled(batch))
            net.training = False
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits))
        gradients = tape.gradient(loss, trained)
        for value, gradient, speed, decay in zip(trained, gradients, speeds, decays, strict=True):
            gradient += decay * value
            speed.assign(SGD_MOMENTUM * speed + gradient)
            value.assign_sub(rate * (gradient + SGD_MOMENTUM * speed))  # Nesterov
        return loss, tf.reduce_sum(tf.cast(tf.argmax(logits, 1, tf.int32) == target, tf.int32))

    def export():
        writer = OnnxNet(net.arrays())
        title = args.command
        model = writer.model(title, data.shape, "image", network(writer, "image"))
        path = args.out / f"{title}.onnx"
        part = path.with_suffix(".part")
        onnx.save(model, part)
        part.replace(path)
        return path

    rng = np.random.default_rng([args.seed, 1])
    steps = len(images) // args.batch
    total, warm = steps * args.epochs, steps
    done, begun = 0, time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    for epoch in range(1, args.epochs + 1):
        losses = right = 0.0
        for batch, target in batches(images, labels, args.batch, rng, data.shift, data.mirror):
            done += 1
            rate = args.rate * (
                done / warm if done <= warm else 0.5 + 0.5 * math.cos(math.pi * (done - warm) / (total - warm))
            )
            loss, hits = step(tf.constant(batch), tf.constant(target), tf.constant(rate, tf.float32))
            losses, right = losses + float(loss), right + int(hits)
        path = export()
        line = f"epoch {epoch}/{args.epochs}: loss {losses / steps:.4f}, train {right / (steps * args.batch):.4f}"
        if held:
            line += f", held out {accuracy(path, *held)[0]:.4f}"
        print(f"{line}, {time.monotonic() - begun:.0f} s", flush=True)
    images, labels = data.load(folder, "t10k")
    print(f"{path.name}: test accuracy {accuracy(path, images, labels)[0]:.4f}, SHA-256 {digest(path)}")


def accuracy(path, images, labels):
    """The share of right answers in onnxruntime, and the answers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    answers = []
    for start in range(0, len(images), 500):
        batch = images[start : start + 500].transpose(0, 3, 1, 2).astype(np.float32) / 255
        answers.append(session.run(["logits"], {"image": batch})[0].argmax(1))
    answers = np.concatenate(answers)
    return float((answers == labels).mean()), answers


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def sample(args):
    """Draws SAMPLE_PER_CLASS test images of each class, kept in the order of the test set."""
    images, labels = FASHION.load(args.data / FASHION.folder, "t10k")
    rng = np.random.default_rng(args.seed)
    pick = [rng.choice(np.flatnonzero(labels == c), SAMPLE_PER_CLASS, replace=False) for c in range(len(LABELS))]
    pick = np.sort(np.concatenate(pick))
    folder = args.out / "fashion-sample"
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in [("images-idx3-ubyte", images[pick, :, :, 0]), ("labels-idx1-ubyte", labels[pick])]:
        write_idx(folder / name, array)
        print(f"{digest(folder / name)}  {name}  {(folder / name).stat().st_size}")
    (args.out / "labels.txt").write_text("\n".join(LABELS) + "\n")


def check(args):
    import onnx
    from onnx import shape_inference

    for command, (_, data, _) in NETWORKS.items():
        path = args.out / f"{command}.onnx"
        if not path.exists():
            print(f"\n{path.name}: not here; `train.py {command}` makes it")
            continue
        full = data.load(args.data / data.folder, "t10k")
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        share, answers = accuracy(path, *full)
        print(f"\n{path.name}: {path.stat().st_size} bytes, SHA-256 {digest(path)}")
        print(f"test {share:.4f} ({round(share * 10000)} of 10000)")
        if data is FASHION:
            few = [read_idx(args.out / "fashion-sample", n) for n in ("images-idx3-ubyte", "labels-idx1-ubyte")]
            small, _ = accuracy(path, few[0][..., np.newaxis], few[1])
            print(f"sample {small:.4f} ({round(small * 400)} of 400)")
        for c, label in enumerate(data.labels):
            print(f"  {label}: {(answers[full[1] == c] == c).mean():.3f}")
        sizes = {t.name: (list(t.dims), math.prod(t.dims)) for t in model.graph.initializer}
        known = shape_inference.infer_shapes(model).graph
        shapes = {
            v.name: [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim]
            for v in [*known.value_info, *known.output]
        }
        print("| node | operator | output | parameters |\n|---|---|---|---|")
        for node in model.graph.node:
            shape = "x".join(map(str, shapes[node.output[0]][1:]))
            print(
                f"| {node.name} | {node.op_type} | {shape} | {sum(sizes[i][1] for i in node.input if i in sizes) or ''} |"
            )
        print(f"all parameters: {sum(n for _, n in sizes.values())}")


def main():
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    for name in [*NETWORKS, "sample", "check"]:
        command = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.add_argument("--data", type=Path, default=HERE / "data", help="where fetch.py put the sets")
        command.add_argument("--out", type=Path, default=HERE, help="folder to write to (check: to read)")
        if name == "sample":
            command.add_argument("--seed", type=int, default=1)
        if name in NETWORKS:
            for key, value in NETWORKS[name][2].items():
                command.add_argument(f"--{key}", type=type(value), default=value)
            command.add_argument("--threads", type=int, default=2, help="another number may change the last bits")
            command.add_argument("--holdout", type=int, default=0, help="keep so many training images out, to tune by")
    args = top.parse_args()
    {"sample": sample, "check": check}.get(args.command, train)(args)


if __name__ == "__main__":
    main()
