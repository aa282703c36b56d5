#!/usr/bin/env python3
"""Tests checkpoint.py on made files of the authors' layouts: checkpoint_test.py [FOLDER]; skips without numpy and onnx.

The files are written by hand, since PyTorch is large: the older form (pickles in a row, then each storage), as both authors'
files have it, and the zip of later versions. Weights are random and the widths small; what the converted network answers is
compared with a forward pass of its own. Into FOLDER go the networks, inputs and answers, for others to compare with.
"""

import io
import pathlib
import pickle
import sys
import tempfile
import zipfile

try:
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

import checkpoint

MAGIC, WIDTHS = 0x1950A86A20F9469CFC6C, (4, 8, 16)


def state_of(random):
    """Names and shapes of both authors' ResNet-20."""
    state = {}

    def conv(name, norm, outputs, inputs):
        state[f"{name}.weight"] = random.normal(0, 0.3, (outputs, inputs, 3, 3))
        state[f"{norm}.weight"], state[f"{norm}.bias"] = random.uniform(0.5, 1, outputs), random.normal(0, 0.2, outputs)
        state[f"{norm}.running_mean"], state[f"{norm}.running_var"] = random.normal(0, 0.2, outputs), random.uniform(1, 2, outputs)
        state[f"{norm}.num_batches_tracked"] = np.array(7, np.int64)

    conv("conv_1_3x3", "bn_1", WIDTHS[0], 3)
    inputs = WIDTHS[0]
    for stage, width in enumerate(WIDTHS, 1):
        for block in range(3):
            conv(f"stage_{stage}.{block}.conv_a", f"stage_{stage}.{block}.bn_a", width, inputs)
            conv(f"stage_{stage}.{block}.conv_b", f"stage_{stage}.{block}.bn_b", width, width)
            inputs = width
    state["classifier.weight"], state["classifier.bias"] = random.normal(0, 0.3, (10, WIDTHS[2])), random.normal(0, 1, 10)
    return {k: v if v.dtype == np.int64 else v.astype(np.float32) for k, v in state.items()}


# ------------------------------------------------------------------ files as PyTorch writes them


class Named:
    """Something that is written as a name of a module that is not there."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Tensor:
    def __init__(self, key, array):
        self.key, self.array = key, array


class Storage:
    def __init__(self, tensor):
        self.tensor = tensor


class Writer(pickle._Pickler):
    """The pickler in Python, since that of C writes no names of modules that are not there."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_named(self, named):
        self.write(pickle.GLOBAL + f"{named.module}\n{named.name}\n".encode())

    def save_tensor(self, tensor):
        array = tensor.array
        strides = tuple(s // array.itemsize for s in array.strides)
        build = Named("torch._utils", "_rebuild_tensor_v2")
        self.save_reduce(build, (Storage(tensor), 0, array.shape, strides, False, {}))

    def save_reduce(self, func, args, **_):
        self.save(func)
        self.save(args)
        self.write(pickle.REDUCE)

    def save_storage(self, storage):
        tensor = storage.tensor
        kind = "LongStorage" if tensor.array.dtype == np.int64 else "FloatStorage"
        parts = ("storage", Named("torch", kind), tensor.key, "cuda:0", tensor.array.size)
        # The older form tells whether a storage is a view of another, the later does not.
        self.save(parts + (None,) * self.older)
        self.write(pickle.BINPERSID)

    dispatch[Named], dispatch[Tensor], dispatch[Storage] = save_named, save_tensor, save_storage


def pickled(content, older):
    buffer = io.BytesIO()
    writer = Writer(buffer, 2)
    writer.older = older
    writer.dump(content)
    return buffer.getvalue()


def made(path, state, form, older=True):
    tensors = {name: Tensor(str(1000 + at), np.ascontiguousarray(v)) for at, (name, v) in enumerate(state.items())}
    content = dict(tensors)
    if form == "radar":
        steps = Tensor("5", np.float32([1.0]))
        named = {f"module.{k}": v for k, v in tensors.items()} | {"module.classifier.step_size": steps}
        content = {"epoch": 198, "state_dict": named, "optimizer": {"state": [Tensor("6", np.float32([1.0, 2.0]))]}}
        tensors |= {"step": steps, "of the optimiser": content["optimizer"]["state"][0]}
    raw = lambda t: t.array.tobytes()
    if older:
        head = [MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}, content, [t.key for t in tensors.values()]]
        storages = b"".join(t.array.size.to_bytes(8, "little") + raw(t) for t in tensors.values())
        path.write_bytes(b"".join(pickled(part, True) for part in head) + storages)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("made/data.pkl", pickled(content, False))
            for tensor in tensors.values():
                archive.writestr(f"made/data/{tensor.key}", raw(tensor))


# ------------------------------------------------------------------ what such a network answers


def forward(form, state, images):
    mean, deviation, step = checkpoint.FORMS[form]
    channels = lambda v: np.array(v).reshape(1, -1, 1, 1)

    def weight(name):
        w = state[f"{name}.weight"]
        return np.clip(np.rint(w / np.float32(step(w))), -127, 127) * np.float32(step(w))

    def conv(x, name, norm, stride):
        w, size = weight(name), x.shape[2] // stride
        x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        spots = ((i, j, x[:, :, i : i + stride * size : stride, j : j + stride * size : stride]) for i in range(3) for j in range(3))
        out = sum(np.einsum("nchw,oc->nohw", part[:, :, :size, :size], w[:, :, i, j]) for i, j, part in spots)
        gain, shift, middle, spread = (channels(state[f"{norm}.{p}"]) for p in ("weight", "bias", "running_mean", "running_var"))
        return (out - middle) / np.sqrt(spread + 1e-5) * gain + shift

    x = (images * 255 - channels(mean)) / channels(deviation)
    x = np.maximum(conv(x, "conv_1_3x3", "bn_1", 1), 0)
    for stage in (1, 2, 3):
        for block in range(3):
            name, stride = f"stage_{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = np.maximum(conv(x, f"{name}.conv_a", f"{name}.bn_a", stride), 0)
            y = conv(y, f"{name}.conv_b", f"{name}.bn_b", 1)
            if stride == 2:
                x = np.concatenate([x[:, :, ::2, ::2], 0 * x[:, :, ::2, ::2]], 1)
            x = np.maximum(x + y, 0)
    return x.mean((2, 3)) @ weight("classifier").T + state["classifier.bias"]


def main(folder):
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (4, 3, 32, 32)).astype(np.float32) / 255
    images.tofile(folder / "inputs")
    for form in checkpoint.FORMS:
        state = state_of(random)
        due = forward(form, state, images)
        for older in (True, False):
            made(folder / "made", state, form, older)
            checkpoint.main(form, folder / "made", folder / f"{form}.onnx")
            model = onnx.load(folder / f"{form}.onnx")
            # ONNX's reference has no older DequantizeLinear; nothing else of this network differs.
            model.opset_import[0].version = 19
            got = ReferenceEvaluator(model).run(None, {"image": images})[0]
            assert np.allclose(got, due, rtol=1e-3, atol=1e-3), (form, older, np.abs(got - due).max())
        due.astype(np.float32).tofile(folder / f"{form}.answers")
        whole = (folder / "made").read_bytes()
        # What is no checkpoint is refused, and nothing in a file is called.
        for bad in (whole[:200], b"", pickle.dumps(7), b"cos\nsystem\n(S'true'\ntR."):
            (folder / "bad").write_bytes(bad)
            try:
                checkpoint.main(form, folder / "bad", folder / "bad.onnx")
            except (checkpoint.Failure, EOFError, pickle.UnpicklingError):
                continue
            raise AssertionError(f"accepted: {bad[:20]}")
    print("right: both layouts, both forms")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made_here:
            main(pathlib.Path(made_here))
