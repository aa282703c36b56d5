#!/usr/bin/env python3
"""Makes an ONNX network of a published checkpoint of ResNet-20 on CIFAR-10: checkpoint.py tbfa|radar FILE OUT.onnx

    tbfa     models/Resnet20_8_0.pkl of the repository T-BFA     step 2 max|W| / 127, inputs normalised by their numbers
    radar    quan_resnet20_cifar10.pth.tar of radar_check        step 1/127 in every layer

The files are their authors', and are neither here nor fetched by anything here: T-BFA states no licence, radar_check has
Apache-2.0. Weights become 8-bit integers behind DequantizeLinear, as `deepring quantise` writes them; the
normalisation of the inputs becomes two nodes, so that the network takes byte / 255 as those of the zoo do.
Needs numpy and onnx. PyTorch is not needed: its older file is a row of pickles, and only what a state of tensors is made of
is allowed in them (nothing in the file is run). Files of PyTorch 1.6 and later (zip) are read too.
"""

import collections
import pickle
import sys
import zipfile

MAGIC = 0x1950A86A20F9469CFC6C
FORMS = {
    # Mean and deviation of the inputs, in bytes, and the step of a layer with these weights.
    "tbfa": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4), lambda w: 2 * abs(w).max() / 127),
    "radar": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7), lambda w: 1 / 127),
}
WIDTHS = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8", "IntStorage": "<i4"}
BLOCKS = [(f"stage_{s}.{b}", 2 if s > 1 and b == 0 else 1) for s in (1, 2, 3) for b in range(3)]


class Failure(Exception):
    pass


class Ignored:
    """An object that is not read: recorders and settings that a checkpoint also holds."""

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, _):
        pass


class Reader(pickle.Unpickler):
    """Reads tensors as (storage key, offset, shape, strides), and makes no object of the file's own choice."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return lambda storage, offset, shape, strides, *_: ("tensor", storage, offset, shape, strides)
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, *_: tensor
        return type(name, (Ignored,), {})

    def persistent_load(self, reference):
        _, kind, key, *_ = reference
        return key, kind.__name__


def read(path):
    """The state: name -> array."""
    import numpy as np

    def array(tensor, storages):
        _, (key, kind), offset, shape, strides = tensor
        raw = storages[key]
        flat = np.frombuffer(raw, WIDTHS[kind])
        width = flat.itemsize
        reach = offset + sum((n - 1) * s for n, s in zip(shape, strides))
        if min((offset, *shape, *strides), default=0) < 0 or reach >= max(flat.size, 1):
            raise Failure("a tensor reaches beyond its storage")
        view = np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * width for s in strides], writeable=False)
        return np.array(view)

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            top = next((n for n in archive.namelist() if n.endswith("data.pkl")), None)
            if top is None:
                raise Failure("no checkpoint of PyTorch")
            top = top.removesuffix("data.pkl")
            content = Reader(archive.open(f"{top}data.pkl")).load()
            start = f"{top}data/"
            storages = {n.removeprefix(start): archive.read(n) for n in archive.namelist() if n.startswith(start)}
    else:
        with open(path, "rb") as file:
            if Reader(file).load() != MAGIC:
                raise Failure("no checkpoint of PyTorch")
            Reader(file).load(), Reader(file).load()  # version of the protocol; the system that wrote it
            content = Reader(file).load()
            kinds = {}
            collect(content, kinds)
            storages = {}
            for key in Reader(file).load():
                count = int.from_bytes(file.read(8), "little")
                # Of a storage that no tensor of the state uses the width is not known; it follows those that are.
                if key not in kinds:
                    raise Failure(f"storage {key} has no type")
                storages[key] = file.read(count * np.dtype(WIDTHS[kinds[key]]).itemsize)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise Failure("no state of a network")
    tensors = {k.removeprefix("module."): v for k, v in state.items() if isinstance(v, tuple) and v[:1] == ("tensor",)}
    return {name: array(tensor, storages) for name, tensor in tensors.items()}


def collect(found, kinds):
    """The types of all storages, in whatever holds their tensors."""
    if isinstance(found, tuple) and found[:1] == ("tensor",):
        kinds[found[1][0]] = found[1][1]
    elif isinstance(found, dict):
        for value in found.values():
            collect(value, kinds)
    elif isinstance(found, (list, tuple)):
        for value in found:
            collect(value, kinds)


def network(form, state):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    mean, deviation, step_of = FORMS[form]
    nodes, constants = [], []

    def constant(name, values):
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], name=output.replace("/", "_"), **attributes))
        return output

    def floats(name):
        if name not in state:
            raise Failure(f"the checkpoint has no tensor `{name}`")
        return state[name].astype(np.float32)

    def weight(name):
        values = floats(f"{name}.weight")
        step = np.float32(step_of(values))
        steps = np.clip(np.rint(values / step), -127, 127).astype(np.int8)
        parts = [constant(f"{name}.weight_quantised", steps), constant(f"{name}.weight_scale", step)]
        return node("DequantizeLinear", parts, f"{name}.weight")

    def conv(x, name, norm, stride):
        x = node("Conv", [x, weight(name)], f"{name}/out", strides=[stride] * 2, pads=[1] * 4, kernel_shape=[3, 3])
        parts = [constant(f"{norm}.{p}", floats(f"{norm}.{p}")) for p in ("weight", "bias", "running_mean", "running_var")]
        return node("BatchNormalization", [x, *parts], f"{norm}/out", epsilon=1e-5)

    as_input = lambda name, bytes_: constant(name, (np.array(bytes_) / 255).astype(np.float32).reshape(1, 3, 1, 1))
    x = node("Sub", ["image", as_input("mean", mean)], "centred")
    x = node("Div", [x, as_input("deviation", deviation)], "normalised")
    x = node("Relu", [conv(x, "conv_1_3x3", "bn_1", 1)], "stem")
    for name, stride in BLOCKS:
        short = x
        x = node("Relu", [conv(x, f"{name}.conv_a", f"{name}.bn_a", stride)], f"{name}/between")
        x = conv(x, f"{name}.conv_b", f"{name}.bn_b", 1)
        if stride == 2:
            # Every other pixel, and as many channels of zeros as there are.
            channels = len(state[f"{name}.conv_a.weight"][0])
            short = node("AveragePool", [short], f"{name}/every_other", kernel_shape=[1, 1], strides=[2, 2])
            pads = constant(f"{name}/pads", np.array([0, 0, 0, 0, 0, channels, 0, 0], np.int64))
            short = node("Pad", [short, pads], f"{name}/short")
        x = node("Relu", [node("Add", [x, short], f"{name}/sum")], f"{name}/out")
    x = node("Flatten", [node("GlobalAveragePool", [x], "pooled")], "features")
    node("Gemm", [x, weight("classifier"), constant("classifier.bias", floats("classifier.bias"))], "logits", transB=1)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *d]) for n, d in (("image", [3, 32, 32]), ("logits", [10]))]
    graph = helper.make_graph(nodes, f"{form}-resnet20", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main(form, path, out):
    import onnx

    onnx.save(network(form, read(path)), out)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in FORMS:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (Failure, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
        sys.exit(f"error: {error}")
