"""The models that come with the `onnx` package, as cases of `node_tests.py --models`: written out from PyTorch, small ones, and nine
well-known networks ("light"), which come without weights: their graphs make them, all equal.

All classes are then equally likely, and of numbers up to 1e31 the last bit decides what a Softmax makes of it. So the weights are
drawn here, seeded, and onnxruntime says what is due."""

import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.loader import DATA_DIR, load_model_tests

KINDS = ("pytorch-converted", "pytorch-operator", "simple", "real")


def value(path, kind):
    """A stored value; `None` if it is no tensor."""
    if not kind.HasField("tensor_type"):
        return None
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def values(folder, prefix, infos):
    return [value(folder / f"{prefix}_{i}.pb", info.type) for i, info in enumerate(infos)]


def asked(model):
    constants = {t.name for t in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in constants]


def ramp(info):
    """What the package's own runner gives a light model."""
    shape = [d.dim_value if d.HasField("dim_value") else 1 for d in info.type.tensor_type.shape.dim]
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)


def stored(case):
    folder = pathlib.Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    sets = [
        (values(data, "input", asked(model)), values(data, "output", model.graph.output))
        for data in sorted(folder.glob("test_data_set_*"))
    ]
    return model, sets


def drawn(model):
    """The network with kernels and matrices drawn in place of the nodes that make equal ones; vectors stay."""
    rng, graph = np.random.default_rng(1), model.graph
    sizes = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT64}
    kept = []
    for node in graph.node:
        shape = sizes.get(node.input[0]) if node.op_type == "ConstantOfShape" else None
        if shape is None or len(shape) < 2:
            kept.append(node)
            continue
        weights = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(weights, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    return model


def light(case):
    model = drawn(onnx.load(pathlib.Path(DATA_DIR) / "light" / pathlib.Path(case.url).name))
    given = [ramp(info) for info in asked(model)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return model, [(given, session.run(None, {info.name: v for info, v in zip(asked(model), given)}))]


def cases():
    """Name, network, inputs and outputs, relative and absolute tolerance of each."""
    for kind in KINDS:
        for case in sorted(load_model_tests(kind=kind), key=lambda case: case.name):
            is_light = case.model_dir is None
            model, sets = light(case) if is_light else stored(case)
            # Of probabilities, what is nearly nothing is off by more of itself.
            yield f"{kind}/{case.name}", model.SerializeToString(), sets, case.rtol, 1e-6 if is_light else case.atol
