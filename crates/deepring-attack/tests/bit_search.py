#!/usr/bin/env python3
"""A second bit search, which shares nothing with the one in Rust but the papers: writes the flips that its test expects.

    python3 crates/deepring-attack/tests/bit_search.py > crates/deepring-attack/tests/bit_search.json

Needs numpy and onnx. In double precision; quantises the networks of the zoo itself; gradients by its own backward
passes, checked against differences. Searches on the first 64 pictures of zoo/fashion-sample.

BFA: gradients of the mean cross-entropy against the clean network's answers; each layer offers the bit whose flip moves its
weight most along the gradient; the layer whose flip raises the loss most is taken (two's complement, bit 7 is -128 steps).
N-to-1: the same with all labels the target, and the loss lowered. Where no layer's bit helps, this program stops.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper

ZOO = pathlib.Path(__file__).parents[3] / "zoo"
PICTURES = 64


def samples():
    folder = ZOO / "fashion-sample"
    pixels = np.frombuffer((folder / "images-idx3-ubyte").read_bytes()[16:], np.uint8)
    return pixels.reshape(-1, 1, 28, 28)[:PICTURES] / 255


class Network:
    def __init__(self, name):
        graph = onnx.load(ZOO / f"{name}.onnx").graph
        self.nodes = [(n, {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}) for n in graph.node]
        self.constants = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in graph.initializer}
        self.layers = [n.input[1] for n, _ in self.nodes if n.op_type in ("Conv", "Gemm")]
        self.steps, self.scale = {}, {}
        for name in self.layers:
            weight = self.constants[name].astype(np.float32)
            scale = np.float32(np.abs(weight).max() / np.float32(127))
            self.scale[name] = float(scale)
            # Halves away from zero; there are none but by chance.
            self.steps[name] = (np.sign(weight) * np.floor(np.abs(weight / scale) + 0.5)).astype(int)
            self.dequantise(name)

    def dequantise(self, name):
        self.constants[name] = self.steps[name] * self.scale[name]

    def run(self, images, backward=None):
        """The scores; with `backward` (scores -> gradient of the loss) the gradients of the layers' weights instead."""
        values, undo = {"image": images}, []
        get = lambda name: values.get(name, self.constants.get(name))
        for node, attributes in self.nodes:
            inputs = [get(name) for name in node.input]
            out, back = OPERATORS[node.op_type](attributes, *inputs)
            values[node.output[0]] = out
            undo.append((node, back))
        scores = values[self.nodes[-1][0].output[0]]
        if backward is None:
            return scores
        slopes = {self.nodes[-1][0].output[0]: backward(scores)}
        for node, back in reversed(undo):
            for name, slope in zip(node.input, back(slopes[node.output[0]])):
                slopes[name] = slopes.get(name, 0) + slope
        return {name: slopes[name] for name in self.layers}


# ------------------------------------------------------------------ operators: (attributes, inputs) -> output, backward


def conv(attributes, x, w, b=None):
    (top, left, bottom, right), (step, _) = attributes["pads"], attributes["strides"]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    k = w.shape[2]
    rows = (padded.shape[2] - k) // step + 1
    spots = [(i, j) for i in range(k) for j in range(k)]
    at = lambda a, i, j: a[:, :, i : i + step * (rows - 1) + 1 : step, j : j + step * (rows - 1) + 1 : step]
    out = sum(np.einsum("nchw,oc->nohw", at(padded, i, j), w[:, :, i, j], optimize=True) for i, j in spots)

    def back(slope):
        of_x, of_w = np.zeros_like(padded), np.zeros_like(w)
        for i, j in spots:
            at(of_x, i, j)[...] += np.einsum("nohw,oc->nchw", slope, w[:, :, i, j], optimize=True)
            of_w[:, :, i, j] = np.einsum("nohw,nchw->oc", slope, at(padded, i, j), optimize=True)
        height, width = x.shape[2:]
        return of_x[:, :, top : top + height, left : left + width], of_w

    return out + (0 if b is None else b[:, None, None]), back


def gemm(_, x, w, b):
    return x @ w.T + b, lambda slope: (slope @ w, slope.T @ x)


def norm(attributes, x, gain, shift, mean, variance):
    factor = (gain / np.sqrt(variance + attributes["epsilon"]))[:, None, None]
    return (x - mean[:, None, None]) * factor + shift[:, None, None], lambda slope: (slope * factor,)


def max_pool(_, x):
    n, c, h, w = x.shape
    tiles = x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4).reshape(n, c, h // 2, w // 2, 4)
    best = tiles.argmax(-1)[..., None]

    def back(slope):
        spread = np.zeros_like(tiles)
        np.put_along_axis(spread, best, slope[..., None], -1)
        return (spread.reshape(n, c, h // 2, w // 2, 2, 2).swapaxes(3, 4).reshape(x.shape),)

    return tiles.max(-1), back


OPERATORS = {
    "Conv": conv,
    "Gemm": gemm,
    "BatchNormalization": norm,
    "MaxPool": max_pool,
    "Relu": lambda _, x: (np.maximum(x, 0), lambda slope: (slope * (x > 0),)),
    "Add": lambda _, a, b: (a + b, lambda slope: (slope, slope)),
    "Flatten": lambda _, x: (x.reshape(len(x), -1), lambda slope: (slope.reshape(x.shape),)),
    "GlobalAveragePool": lambda _, x: (
        x.mean((2, 3), keepdims=True),
        lambda slope: (np.broadcast_to(slope / (x.shape[2] * x.shape[3]), x.shape),),
    ),
}


# ------------------------------------------------------------------ the search


def cross_entropy(scores, targets):
    above = scores - scores.max(1, keepdims=True)
    logs = above - np.log(np.exp(above).sum(1, keepdims=True))
    rows = np.arange(len(scores))
    slope = np.exp(logs)
    slope[rows, targets] -= 1
    return -logs[rows, targets].mean(), slope / len(scores)


def flipped(step, bit):
    byte = (step & 255) ^ (1 << bit)
    return byte - 256 if byte > 127 else byte


def best_bit(network, name, slope, sign):
    steps = network.steps[name].ravel()
    gains = [(np.vectorize(lambda s: flipped(s, bit))(steps) - steps) * slope.ravel() * sign for bit in range(8)]
    bit, index = np.unravel_index(np.argmax(gains), (8, steps.size))
    return (int(index), int(bit)) if gains[bit][index] > 0 else None


def flip(network, name, index, bit):
    steps = network.steps[name].ravel()
    steps[index] = flipped(int(steps[index]), bit)
    network.steps[name] = steps.reshape(network.steps[name].shape)
    network.dequantise(name)


def search(name, target, count):
    network, images = Network(name), samples()
    answers = network.run(images).argmax(1)
    targets, sign = (answers, 1) if target is None else (np.full(PICTURES, target), -1)
    loss_of = lambda: cross_entropy(network.run(images), targets)[0]
    check(network, images, targets)
    loss, flips = loss_of(), []
    while len(flips) < count:
        slopes = network.run(images, lambda scores: cross_entropy(scores, targets)[1])
        tried = []
        for layer in network.layers:
            bit = best_bit(network, layer, slopes[layer], sign)
            if bit is not None:
                flip(network, layer, *bit)
                tried.append((loss_of(), layer, bit))
                flip(network, layer, *bit)
        after, layer, bit = max(tried, key=lambda t: sign * t[0])
        if sign * (after - loss) <= 0:
            break
        flip(network, layer, *bit)
        loss = after
        flips.append({"tensor": f"{layer}_quantised", "index": bit[0], "bit": bit[1], "loss": float(f"{loss:.7g}")})
    return {"network": name, "target": target, "pictures": PICTURES, "flips": flips}


def check(network, images, targets):
    """The largest gradient of each layer is the slope of the loss."""
    slopes = network.run(images, lambda scores: cross_entropy(scores, targets)[1])
    for name in network.layers:
        at = np.unravel_index(np.abs(slopes[name]).argmax(), slopes[name].shape)
        weight, losses = network.constants[name].copy(), []
        for by in (1e-6, -1e-6):
            network.constants[name] = weight.copy()
            network.constants[name][at] += by
            losses.append(cross_entropy(network.run(images), targets)[0])
        network.constants[name] = weight
        slope = (losses[0] - losses[1]) / 2e-6
        assert abs(slope - slopes[name][at]) <= 1e-3 * abs(slope), (name, slope, slopes[name][at])


if __name__ == "__main__":
    found = [search(name, target, 8) for name in ("fashion-lenet5", "fashion-resnet8") for target in (None, 4)]
    json.dump(found, sys.stdout, indent=1)
    print()
