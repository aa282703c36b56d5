"""Random small ONNX graphs, grown operator by operator around values that are known.

A graph begins with nothing. Each step draws an operator, gives it values that are there or new ones, and keeps it if onnxruntime computes
it. Numbers are multiples of an eighth and small, so that sums of products are exact and what compares or rounds them has no ties to decide
by the last bit."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F, D = np.float32, np.float64
I64, I32, I8, U8, B = np.int64, np.int32, np.int8, np.uint8, np.bool_
OPSETS = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22]
DOMAINS = [helper.make_opsetid("", 0)]


def session(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def elem(array):
    return helper.np_dtype_to_tensor_dtype(array.dtype)


class Graph:
    """A graph that grows. `values` holds what each name is on the sample; `inputs` and `constants` are subsets of its names."""

    def __init__(self, rng, prefix=""):
        self.rng, self.prefix = rng, prefix
        self.opset = int(rng.choice(OPSETS))
        self.values, self.inputs, self.constants, self.nodes, self.used = {}, [], [], [], set()
        self.count = 0

    # -- what templates draw

    def name(self, stem="v"):
        self.count += 1
        return f"{self.prefix}{stem}{self.count}"

    def flip(self, p=0.5):
        return self.rng.random() < p

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def dims(self, low=1, high=4, most=5, least=1):
        return [self.int(least, most) for _ in range(self.int(low, high))]

    def numbers(self, dims, dtype=F, low=None, high=None):
        if dtype == B:
            return self.rng.integers(0, 2, dims).astype(B)
        if np.issubdtype(dtype, np.floating):
            low, high = (-16 if low is None else low * 8), (16 if high is None else high * 8)
            return (self.rng.integers(low, high + 1, dims) / 8).astype(dtype)
        span = {I8: (-128, 127), U8: (0, 255)}.get(dtype, (-9, 9))
        return self.rng.integers(span[0] if low is None else low, (span[1] if high is None else high) + 1, dims).astype(dtype)

    def new(self, array, constant=None):
        """A new input or constant that holds this."""
        name = self.name("x")
        self.values[name] = np.asarray(array)
        (self.constants if (self.flip(0.35) if constant is None else constant) else self.inputs).append(name)
        return name

    def const(self, array):
        return self.new(array, constant=True)

    def value(self, dtype=F, fits=lambda v: True, dims=None, **numbers):
        """A value of this type that is there and fits, else a new one."""
        there = [n for n, v in self.values.items() if v.dtype == dtype and v.size <= 4096 and fits(v) and dims is None and n not in self.constants]
        if there and self.flip(0.7):
            return self.pick(there)
        for _ in range(20):
            array = self.numbers(self.dims() if dims is None else dims, dtype, **numbers)
            if fits(array):
                return self.new(array)
        raise Retry

    def rank(self, dtype=F, low=1, high=5):
        return self.value(dtype, lambda v: low <= v.ndim <= high)

    def axis(self, array):
        axis = self.int(0, array.ndim - 1)
        return axis - array.ndim if self.flip(0.3) and self.opset >= 11 else axis

    # -- growing

    def add(self, op, inputs, outputs=1, **attributes):
        """Keeps the node if onnxruntime computes it; gives the names of its outputs."""
        names = [self.name() for _ in range(outputs)]
        node = helper.make_node(op, inputs, names, **attributes)
        given = {n: self.values[n] for n in inputs if n}
        for graph in [a.g for a in node.attribute if a.HasField("g")]:
            for inner in graph.node:
                given.update({n: self.values[n] for n in inner.input if n in self.values})
        ins = [helper.make_tensor_value_info(n, elem(v), v.shape) for n, v in given.items()]
        outs = [onnx.ValueInfoProto(name=n) for n in names]
        model = helper.make_model(helper.make_graph([node], "g", ins, outs), opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        try:
            found = session(model.SerializeToString()).run(names, given)
        except Exception as e:
            raise Retry from e
        if any(not isinstance(v, np.ndarray) or v.size > 1 << 14 for v in found):
            raise Retry
        self.nodes.append(node)
        self.used.update(given)
        self.values.update(zip(names, found))
        return names

    def grow(self, steps):
        done = 0
        for _ in range(steps * 6):
            if done == steps:
                break
            kept = (dict(self.values), list(self.inputs), list(self.constants), list(self.nodes), set(self.used))
            try:
                self.pick(TEMPLATES)(self)
                done += 1
            except (Retry, ValueError, IndexError):
                self.values, self.inputs, self.constants, self.nodes, self.used = kept
        return self

    def outputs(self):
        made = [o for node in self.nodes for o in node.output]
        return [o for o in made if o not in self.used] or made[-1:]

    def parts(self):
        """Nodes, inputs (some dimensions open), outputs, initializers."""
        ins = []
        for name in self.inputs:
            array, open_dims = self.values[name], self.flip(0.3)
            dims = [f"{name}_d{i}" if open_dims and self.flip() else n for i, n in enumerate(array.shape)]
            ins.append(helper.make_tensor_value_info(name, elem(array), dims))
        outs = [helper.make_tensor_value_info(n, elem(self.values[n]), None) for n in self.outputs()]
        return self.nodes, ins, outs, [numpy_helper.from_array(self.values[n], n) for n in self.constants]

    def due(self):
        return {n: self.values[n] for n in self.outputs()}


class Retry(Exception):
    """This step came to nothing."""


def model_of(graphs):
    nodes, ins, outs, consts = [sum(parts, []) for parts in zip(*(map(list, g.parts()) for g in graphs))]
    graph = helper.make_graph(nodes, "graphs", ins, outs, consts)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", graphs[0].opset)], ir_version=8)


# -- templates: each adds one operator, with whatever goes before it

NUMBERS = [F, F, F, F, I64, I32]


def unary(op, dtypes=(F,), since=1, keeps=None, **drawn):
    def template(g):
        if g.opset < since:
            raise Retry
        x = g.value(g.pick(list(dtypes)), keeps or (lambda v: True))
        attributes = {k: v(g) for k, v in drawn.items() if g.flip(0.7)}
        g.add(op, [x], **{k: v for k, v in attributes.items() if v is not None})
    return template


def eighth(low, high):
    return lambda g: float(g.int(low * 8, high * 8)) / 8


def broadcast(g, x):
    """Dimensions that broadcast with those of `x`."""
    dims = [1 if g.flip(0.3) else n for n in g.values[x].shape]
    cut = g.int(0, len(dims)) if g.flip(0.4) else 0
    dims = dims[cut:]
    return [g.int(1, 3)] + dims if g.flip(0.1) and len(dims) == g.values[x].ndim < 4 else dims


def binary(op, dtypes=NUMBERS, since=1, **numbers):
    def template(g):
        if g.opset < since:
            raise Retry
        dtype = g.pick(list(dtypes))
        x = g.value(dtype)
        y = g.new(g.numbers(broadcast(g, x), dtype, **numbers))
        g.add(op, [x, y] if g.flip(0.7) or numbers else [y, x])
    return template


def divide(g):
    dtype = g.pick([F, F, I32, I64])
    x = g.value(dtype)
    divisor = g.numbers(broadcast(g, x), dtype)
    divisor = np.where(divisor == 0, dtype(2), divisor) if dtype != F else F(2) ** g.rng.integers(-3, 4, divisor.shape).astype(F)
    g.add("Div", [x, g.new(divisor.astype(dtype))])


def modulo(g):
    dtype = g.pick([F, I32, I64])
    x = g.value(dtype)
    y = g.numbers(broadcast(g, x), dtype)
    y = np.where(y == 0, dtype(3), y).astype(dtype)
    g.add("Mod", [x, g.new(y)], fmod=1 if dtype == F or g.flip() else 0)


def power(g):
    x = g.value(F, lambda v: v.size and np.all(np.abs(v) <= 4))
    if g.flip() and g.opset >= 12:
        g.add("Pow", [x, g.new(g.numbers(broadcast(g, x) if g.flip() else [], I64 if g.flip() else I32, low=0, high=3))])
    else:
        g.add("Pow", [x, g.new(np.asarray(g.pick([0.0, 1.0, 2.0, 3.0]), F))])


def prelu(g):
    x = g.value(F)
    # One way only: the slope fits the input.
    g.add("PRelu", [x, g.new(g.numbers([1 if g.flip(0.3) else n for n in g.values[x].shape][g.int(0, g.values[x].ndim) if g.flip(0.3) else 0:]))])


def variadic(op):
    def template(g):
        dtype = g.pick([F, F, F, I64, I32] if op in ("Min", "Max") else [F])
        x = g.value(dtype)
        g.add(op, [x] + [g.new(g.numbers(broadcast(g, x), dtype)) for _ in range(g.int(0, 2))])
    return template


def compare(op):
    def template(g):
        dtype = g.pick([F, I64, I32] + ([B] if op == "Equal" else []))
        x = g.value(dtype)
        g.add(op, [x, g.new(g.numbers(broadcast(g, x), dtype))])
    return template


def where(g):
    x = g.value(g.pick(NUMBERS))
    dtype = g.values[x].dtype.type
    g.add("Where", [g.new(g.numbers(broadcast(g, x), B)), x, g.new(g.numbers(broadcast(g, x), dtype))])


def cast(g):
    x = g.value(g.pick([F, F, I64, I32, B, U8, I8]), lambda v: v.size == 0 or np.all(np.abs(v.astype(D)) < 120))
    to = g.pick([F, I64, I32, B, U8, I8])
    if to == U8 and np.any(g.values[x].astype(D) < 0):
        raise Retry
    g.add("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))


def halve(g):
    """Rounded to half precision and back; what lies between operators in it is held in single (docs/adr/0020)."""
    x = g.value(F, lambda v: v.size)
    third = g.add("Mul", [x, g.const(F(g.pick([1 / 3, 0.7, 3000.7, 1e-5, 30000])))])[0]
    half = g.add("Cast", [third], to=TensorProto.FLOAT16)[0]
    g.add("Cast", [half], to=TensorProto.FLOAT)
    del g.values[half]


def no_number(g):
    """Whether what is no number is still none behind a bound; operators that pick among several differ about it."""
    x = g.value(F, lambda v: v.size)
    log = g.add("Log", [x])[0]
    bounds = [g.const(F(-1)), g.const(F(1))] if g.flip() else []
    kept = g.add("Clip", [log, *bounds])[0] if bounds and g.opset >= 11 else g.add("Relu", [log])[0]
    g.add("IsNaN", [kept])
    del g.values[log], g.values[kept]


def clip(g):
    x = g.value(g.pick([F, F, F, I64, I32]) if g.opset >= 12 else F)
    dtype = g.values[x].dtype.type
    low, high = sorted(g.numbers([2], dtype))
    ends = [g.new(np.asarray(low, dtype)) if g.flip(0.8) else "", g.new(np.asarray(high, dtype)) if g.flip(0.8) else ""]
    g.add("Clip", [x] + ends)


def reshape(g):
    x = g.value(g.pick(NUMBERS + [B]), lambda v: v.size)
    v = g.values[x]
    if g.flip(0.3) and v.ndim >= 1:
        dims = [0] + [-1] if v.ndim > 1 or g.flip() else [-1]
    else:
        factors, left = [], v.size
        for n in (2, 3, 4, 5, 2):
            if left % n == 0 and g.flip():
                factors.append(n)
                left //= n
        dims = factors + [left] + [1] * g.int(0, 1)
        g.rng.shuffle(dims)
        if g.flip(0.4):
            dims[g.int(0, len(dims) - 1)] = -1
    g.add("Reshape", [x, g.new(np.asarray(dims, I64), constant=g.flip(0.8))])


def transpose(g):
    x = g.value(g.pick(NUMBERS + [B, U8]))
    rank = g.values[x].ndim
    g.add("Transpose", [x], **({"perm": [int(p) for p in g.rng.permutation(rank)]} if g.flip(0.8) else {}))


def axes(g, op, x, chosen, since=13, **attributes):
    if g.opset >= since:
        g.add(op, [x] + ([g.const(np.asarray(chosen, I64))] if chosen is not None else []), **attributes)
    else:
        g.add(op, [x], **({"axes": [int(a) for a in chosen]} if chosen is not None else {}), **attributes)


def squeeze(g):
    x = g.value(g.pick(NUMBERS), lambda v: 1 in v.shape)
    ones = [i for i, n in enumerate(g.values[x].shape) if n == 1]
    some = [i - g.values[x].ndim if g.flip(0.3) else i for i in ones if g.flip()] or ones[:1]
    axes(g, "Squeeze", x, some if g.flip(0.8) else None)


def unsqueeze(g):
    x = g.value(g.pick(NUMBERS), lambda v: v.ndim <= 3)
    rank = g.values[x].ndim
    some = sorted(int(a) for a in g.rng.choice(rank + 2, g.int(1, 2), replace=False) if a < rank + 1) or [0]
    axes(g, "Unsqueeze", x, [some[0] - (rank + len(some))] + some[1:] if g.flip(0.2) else some)


def concat(g):
    x = g.rank(g.pick(NUMBERS + [B]))
    v = g.values[x]
    axis = g.axis(v)
    others = []
    for _ in range(g.int(0, 2)):
        dims = list(v.shape)
        dims[axis] = g.int(0 if g.flip(0.1) else 1, 3)
        others.append(g.new(g.numbers(dims, v.dtype.type)))
    g.add("Concat", [x] + others, axis=axis)


def split(g):
    x = g.value(g.pick(NUMBERS), lambda v: v.ndim and max(v.shape) > 1)
    v = g.values[x]
    axis = g.axis(v)
    size = v.shape[axis]
    first = g.int(0 if g.flip(0.1) else 1, max(size - 1, 1))
    sizes = [first, size - first]
    if g.flip(0.3) and size % 2 == 0:
        g.add("Split", [x], 2, axis=axis, **({"num_outputs": 2} if g.opset >= 18 else {}))
    elif g.opset >= 13:
        g.add("Split", [x, g.const(np.asarray(sizes, I64))], 2, axis=axis)
    else:
        g.add("Split", [x], 2, axis=axis, split=sizes)


def slice_(g):
    x = g.rank(g.pick(NUMBERS))
    v = g.values[x]
    chosen = [i for i in range(v.ndim) if g.flip(0.6)] or [0]
    starts, ends, steps = [], [], []
    for i in chosen:
        n = v.shape[i]
        step = g.pick([1, 1, 1, 2, -1, -2])
        far = g.pick([n, n + 3, 2**31 - 1, 2**63 - 1]) if step > 0 else g.pick([-n - 1, -n - 4, -(2**31), -(2**63)])
        starts.append(g.pick([n + 3, -n - 2, 2**40, -(2**40)]) if g.flip(0.15) else g.int(-n, n - 1) if n else 0)
        ends.append(far if g.flip(0.4) else g.int(-n, n))
        steps.append(step)
    form = g.int(0, 2)
    inputs = [x, g.const(np.asarray(starts, I64)), g.const(np.asarray(ends, I64)), g.const(np.asarray(chosen, I64)), g.const(np.asarray(steps, I64))]
    if form == 0 and chosen == list(range(len(chosen))) and all(s > 0 for s in steps):
        inputs = inputs[:3]
    g.add("Slice", inputs)


def gather(g):
    x = g.value(g.pick(NUMBERS), lambda v: v.ndim and v.size)
    v = g.values[x]
    axis = g.axis(v)
    n = v.shape[axis]
    dtype = g.pick([I64, I32])
    g.add("Gather", [x, g.new(g.numbers(g.dims(0, 2, 3), dtype, low=-n, high=n - 1))], **({"axis": axis} if g.flip(0.8) or axis else {}))


def gather_elements(g):
    x = g.value(g.pick([F, I64]), lambda v: v.ndim and v.size)
    v = g.values[x]
    axis = g.axis(v)
    dims = [g.int(1, n) for n in v.shape]
    dims[axis] = g.int(1, 4)
    g.add("GatherElements", [x, g.new(g.numbers(dims, I64, low=-v.shape[axis], high=v.shape[axis] - 1))], axis=axis)


def gather_nd(g):
    x = g.value(F, lambda v: v.ndim and v.size)
    v = g.values[x]
    depth = g.int(1, v.ndim)
    rows = g.int(1, 3)
    index = np.stack([g.rng.integers(0, n, rows) for n in v.shape[:depth]], -1)
    g.add("GatherND", [x, g.new(index.astype(I64))])


def scatter_elements(g):
    x = g.value(F, lambda v: v.ndim and v.size)
    v = g.values[x]
    axis = g.axis(v)
    n = v.shape[axis]
    dims = [g.int(1, m) for m in v.shape]
    order = np.argsort(g.rng.random(dims[:axis % v.ndim] + [n] + dims[axis % v.ndim + 1:]), axis=axis)
    index = np.take(order, range(dims[axis]), axis=axis).astype(I64)
    if g.flip(0.3):
        index = index - n
    kind = {"reduction": g.pick(["none", "add", "mul"] + (["max", "min"] if g.opset >= 18 else []))} if g.opset >= 16 and g.flip() else {}
    g.add("ScatterElements", [x, g.new(index), g.new(g.numbers(index.shape))], axis=axis, **kind)


def scatter_nd(g):
    x = g.value(F, lambda v: v.ndim and v.size)
    v = g.values[x]
    rows = g.int(1, v.shape[0])
    index = g.rng.permutation(v.shape[0])[:rows].reshape(rows, 1).astype(I64)
    kind = {"reduction": g.pick(["none", "add", "mul"] + (["max", "min"] if g.opset >= 18 else []))} if g.opset >= 16 and g.flip() else {}
    g.add("ScatterND", [x, g.new(index), g.new(g.numbers([rows, *v.shape[1:]]))], **kind)


def expand(g):
    x = g.value(g.pick(NUMBERS), lambda v: v.ndim <= 3)
    dims = [g.int(1, 3) if n == 1 else g.pick([1, n]) for n in g.values[x].shape]
    g.add("Expand", [x, g.const(np.asarray([2] + dims if g.flip(0.3) else dims, I64))])


def tile(g):
    x = g.rank(g.pick(NUMBERS), high=3)
    g.add("Tile", [x, g.const(g.numbers([g.values[x].ndim], I64, low=0 if g.flip(0.1) else 1, high=3))])


def pad(g):
    x = g.value(F, lambda v: v.ndim and v.size)
    v = g.values[x]
    mode = g.pick(["constant", "constant", "reflect", "edge"] + (["wrap"] if g.opset >= 19 else []))
    room = [n - 1 if mode == "reflect" else 2 for n in v.shape]
    amounts = [g.int(-1 if mode == "constant" and g.flip(0.2) else 0, min(r, 2)) for r in room + room]
    inputs = [x, g.const(np.asarray(amounts, I64))]
    if mode == "constant" and g.flip():
        inputs.append(g.new(g.numbers([])))
    g.add("Pad", inputs, mode=mode)


def rearranged(op):
    def template(g):
        n = g.int(1, 2)
        dims = [g.int(1, 2), 4 * g.int(1, 2), n * 2, n * 2]
        x = g.value(F, lambda v: v.ndim == 4 and v.shape[1] % 4 == 0 and v.shape[2] % 2 == 0 and v.shape[3] % 2 == 0, dims=None if g.flip(0.3) else dims)
        g.add(op, [x], blocksize=2, **({"mode": g.pick(["DCR", "CRD"])} if op == "DepthToSpace" else {}))
    return template


def reduce_(op):
    since = 13 if op == "ReduceSum" else 18
    def template(g):
        x = g.value(g.pick([F, F, F, I32, I64]) if op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceMean") else F, lambda v: v.size and v.ndim)
        if g.values[x].dtype != F and op == "ReduceMean":
            raise Retry
        v = g.values[x]
        some = [i - v.ndim if g.flip(0.3) else i for i in range(v.ndim) if g.flip()]
        attributes = {"keepdims": g.int(0, 1)} if g.flip(0.7) else {}
        if g.opset >= since and g.flip(0.2):
            attributes["noop_with_empty_axes"] = g.int(0, 1)
        axes(g, op, x, some if some or (g.flip(0.3) and g.opset >= since) else None, since, **attributes)
    return template


def extreme(op):
    def template(g):
        x = g.value(g.pick([F, F, I32]), lambda v: v.size and v.ndim)
        attributes = {"select_last_index": g.int(0, 1)} if g.flip(0.3) and g.opset >= 12 else {}
        g.add(op, [x], axis=g.axis(g.values[x]), keepdims=g.int(0, 1), **attributes)
    return template


def along_axis(op, since=1):
    def template(g):
        if g.opset < since:
            raise Retry
        x = g.value(F, lambda v: v.ndim and v.size)
        g.add(op, [x], **({"axis": g.axis(g.values[x])} if g.flip(0.8) else {}))
    return template


def matmul(g):
    m, k, n = g.int(1, 4), g.int(1, 5), g.int(1, 4)
    batch = g.dims(0, 2, 3) if g.flip(0.6) else []
    a = ([k] if g.flip(0.2) else batch + [m, k]) if g.flip(0.8) else [m, k]
    b = [k] if g.flip(0.2) else ([1 if g.flip(0.3) else d for d in batch] if g.flip() else []) + [k, n]
    x = g.value(F, lambda v: list(v.shape) == a) if g.flip(0.3) else g.new(g.numbers(a), constant=False)
    g.add("MatMul", [x, g.new(g.numbers(b), constant=g.flip(0.7))])


def gemm(g):
    m, k, n = g.int(1, 4), g.int(1, 5), g.int(1, 4)
    ta, tb = g.int(0, 1), g.int(0, 1)
    inputs = [g.new(g.numbers([k, m] if ta else [m, k]), constant=False), g.new(g.numbers([n, k] if tb else [k, n]), constant=g.flip(0.7))]
    if g.flip(0.7):
        inputs.append(g.new(g.numbers(g.pick([[n], [1, n], [m, n], [m, 1], []]))))
    g.add("Gemm", inputs, transA=ta, transB=tb, **({"alpha": eighth(-2, 2)(g), "beta": eighth(-2, 2)(g)} if g.flip(0.4) else {}))


def image(g, channels=None, rank=None, least=3):
    rank = rank or g.pick([1, 2, 2, 2])
    return [g.int(1, 2), channels or g.int(1, 4)] + [g.int(least, 7) for _ in range(rank)]


def window(g, rank, size, dilated=True):
    out = {}
    if g.flip():
        out["strides"] = [g.int(1, 3) for _ in range(rank)]
    if dilated and g.flip(0.3):
        out["dilations"] = [g.int(1, 2) for _ in range(rank)]
    if g.flip(0.3):
        out["auto_pad"] = g.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif g.flip():
        out["pads"] = [g.int(0, size - 1) for _ in range(2 * rank)]
    return out


def conv(g):
    groups, rank, size = g.pick([1, 1, 2]), g.pick([1, 2, 2]), g.int(1, 3)
    channels, maps = groups * g.int(1, 2), groups * g.int(1, 3)
    x = g.new(g.numbers(image(g, channels, rank, 4)), constant=False)
    inputs = [x, g.new(g.numbers([maps, channels // groups] + [size] * rank), constant=g.flip(0.8))]
    if g.flip():
        inputs.append(g.new(g.numbers([maps])))
    attributes = window(g, rank, size)
    if g.flip():
        attributes["kernel_shape"] = [size] * rank
    g.add("Conv", inputs, group=groups, **attributes)


def conv_transpose(g):
    groups, rank, size = g.pick([1, 1, 2]), g.pick([1, 2, 2]), g.int(1, 3)
    channels, maps = groups * g.int(1, 2), g.int(1, 2)
    inputs = [g.new(g.numbers(image(g, channels, rank)), constant=False), g.new(g.numbers([channels, maps] + [size] * rank), constant=g.flip(0.8))]
    if g.flip():
        inputs.append(g.new(g.numbers([maps * groups])))
    attributes = window(g, rank, size)
    if attributes.get("strides") and g.flip(0.3):
        attributes["output_padding"] = [g.int(0, s - 1) for s in attributes["strides"]]
    g.add("ConvTranspose", inputs, group=groups, **attributes)


def pool(op):
    def template(g):
        rank, size = g.pick([1, 2, 2]), g.int(1, 3)
        x = g.value(F, lambda v: v.ndim == rank + 2 and min(v.shape[2:]) >= size, dims=None if g.flip(0.3) else image(g, rank=rank))
        attributes = window(g, rank, size, dilated=op == "MaxPool" or g.opset >= 19)
        if op != "LpPool" and g.flip(0.3):
            attributes["ceil_mode"] = g.int(0, 1)
        if op == "AveragePool" and g.flip():
            attributes["count_include_pad"] = g.int(0, 1)
        g.add(op, [x], kernel_shape=[size] * rank, **attributes)
    return template


def global_pool(op):
    return lambda g: g.add(op, [g.value(F, lambda v: v.ndim >= 3 and v.size, dims=None if g.flip(0.3) else image(g))])


def batch_norm(g):
    x = g.value(F, lambda v: v.ndim >= 2, dims=None if g.flip(0.3) else image(g))
    channels = g.values[x].shape[1]
    parts = [g.const(g.numbers([channels])) for _ in range(3)] + [g.const(g.numbers([channels], low=1, high=2))]
    g.add("BatchNormalization", [x] + parts, **({"epsilon": 0.0078125} if g.flip() else {}))


def instance_norm(g):
    x = g.new(g.numbers(image(g)), constant=False)
    channels = g.values[x].shape[1]
    g.add("InstanceNormalization", [x, g.const(g.numbers([channels])), g.const(g.numbers([channels]))])


def layer_norm(g):
    if g.opset < 17:
        raise Retry
    x = g.rank(F, 2, 4)
    v = g.values[x]
    axis = g.int(1, v.ndim - 1)
    inputs = [x, g.const(g.numbers(v.shape[axis:]))] + ([g.const(g.numbers(v.shape[axis:]))] if g.flip() else [])
    g.add("LayerNormalization", inputs, axis=axis - v.ndim if g.flip() else axis)


def top_k(g):
    x = g.value(F, lambda v: v.ndim and v.size)
    # Values that differ: which of equal ones comes first is nobody's promise where `sorted` is 0.
    v = g.values[x]
    x = g.new(g.rng.permutation(v.size).reshape(v.shape).astype(F), constant=False)
    axis = g.axis(v)
    k = g.int(1, v.shape[axis])
    g.add("TopK", [x, g.const(np.asarray([k], I64))], 2, axis=axis, largest=g.int(0, 1))


def cum_sum(g):
    x = g.value(g.pick([F, I32, I64]), lambda v: v.ndim and v.size)
    axis = np.asarray(g.axis(g.values[x]), g.pick([I64, I32]))
    g.add("CumSum", [x, g.const(axis)], exclusive=g.int(0, 1), reverse=g.int(0, 1))


def trilu(g):
    if g.opset < 14:
        raise Retry
    x = g.rank(g.pick([F, I64]), 2)
    g.add("Trilu", [x] + ([g.const(np.asarray(g.int(-2, 2), I64))] if g.flip() else []), upper=g.int(0, 1))


def one_hot(g):
    depth = g.int(1, 4)
    index = g.new(g.numbers(g.dims(0, 2, 3), g.pick([I64, I32]), low=-depth - 1, high=depth), constant=False)
    g.add("OneHot", [index, g.const(np.asarray(depth, I64)), g.const(g.numbers([2], g.pick([F, I64])))], axis=g.pick([-1, -1, 0]))


def shape_of(g):
    x = g.value(g.pick(NUMBERS))
    attributes = {"start": g.int(-2, 1)} if g.opset >= 15 and g.flip(0.4) else {}
    g.add(g.pick(["Shape", "Shape", "Size"]), [x], **(attributes if g.flip() else {}))


def constant_of_shape(g):
    value = numpy_helper.from_array(g.numbers([1], g.pick([F, I64, I32, B])))
    g.add("ConstantOfShape", [g.new(g.numbers([g.int(0, 3)], I64, low=0 if g.flip(0.2) else 1, high=3), constant=g.flip())], **({"value": value} if g.flip(0.8) else {}))


def range_(g):
    dtype = g.pick([F, I64, I32])
    step = g.pick([1, 2, -1, 3])
    start = g.int(-4, 4)
    ends = [np.asarray(v, dtype) for v in (start, start + step * g.int(0, 5), step)]
    g.add("Range", [g.new(v, constant=g.flip(0.6)) for v in ends])


def non_zero(g):
    g.add("NonZero", [g.rank(g.pick([F, I64, B]))])


def quantise(g):
    x = g.value(F, lambda v: v.ndim and v.size)
    v = g.values[x]
    dtype = g.pick([U8, I8])
    axis = g.int(0, v.ndim - 1)
    dims = [v.shape[axis]] if g.flip(0.4) and g.opset >= 13 else []
    # Powers of two, so that the quotient is exact and ties are ties.
    scale = g.new((F(2) ** g.rng.integers(-4, 1, dims)).astype(F), constant=True)
    zero = g.new(g.numbers(dims, dtype), constant=True)
    attributes = {"axis": axis} if dims else {}
    whole = g.flip(0.8)
    made = g.add("QuantizeLinear", [x, scale] + ([zero] if whole else []), **attributes)
    if g.flip(0.6):
        g.add("DequantizeLinear", [made[0], scale] + ([zero] if whole else []), **attributes)


def quantise_dynamically(g):
    g.add("DynamicQuantizeLinear", [g.value(F, lambda v: v.size > 1 and np.ptp(v) > 0)], 3)


def matmul_integer(g):
    m, k, n = g.int(1, 3), g.int(1, 5), g.int(1, 3)
    a, b = g.pick([U8, I8]), g.pick([U8, I8])
    inputs = [g.new(g.numbers([m, k], a), constant=False), g.new(g.numbers([k, n], b), constant=g.flip(0.8))]
    if g.flip():
        inputs += [g.const(g.numbers([], a)), g.const(g.numbers([n] if g.flip(0.3) else [], b))]
    g.add("MatMulInteger", inputs)


def resize(g):
    x = g.new(g.numbers(image(g, rank=2)), constant=False)
    v = g.values[x]
    mode = g.pick(["nearest", "linear"])
    attributes = {"mode": mode, "coordinate_transformation_mode": g.pick(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])}
    if mode == "nearest":
        attributes["nearest_mode"] = g.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    sizes = [v.shape[0], v.shape[1], g.int(1, 9), g.int(1, 9)]
    scales = np.asarray([1, 1, g.pick([0.5, 1.5, 2, 3]), g.pick([0.5, 1.5, 2, 3])], F)
    none = g.const(np.asarray([], F)) if g.opset < 13 else ""
    g.add("Resize", [x, none, g.const(scales)] if g.flip() else [x, none, none, g.const(np.asarray(sizes, I64))] if g.opset >= 13 else [x, none, g.const(np.asarray([], F)), g.const(np.asarray(sizes, I64))], **attributes)


def recurrent(op, gates):
    def template(g):
        steps, batch, width, hidden = g.int(1, 3), g.int(1, 2), g.int(1, 3), g.int(1, 3)
        direction = g.pick(["forward", "reverse", "bidirectional"])
        ways = 2 if direction == "bidirectional" else 1
        small = lambda dims: g.const(g.numbers(dims, low=-1, high=1))
        inputs = [g.new(g.numbers([steps, batch, width]), constant=False), small([ways, gates * hidden, width]), small([ways, gates * hidden, hidden])]
        if g.flip(0.7):
            inputs.append(small([ways, 2 * gates * hidden]))
            if g.flip(0.5):
                inputs += ["", g.new(g.numbers([ways, batch, hidden], low=-1, high=1))]
                if op == "LSTM" and g.flip():
                    inputs.append(g.new(g.numbers([ways, batch, hidden], low=-1, high=1)))
        attributes = {"linear_before_reset": g.int(0, 1)} if op == "GRU" and g.flip() else {}
        g.add(op, inputs, g.int(1, 3 if op == "LSTM" else 2), hidden_size=hidden, direction=direction, **attributes)
    return template


def einsum(g):
    if g.opset < 12:
        raise Retry
    form = g.pick(["ij,jk->ik", "bij,bjk->bik", "ij->ji", "ij->i", "ij,kj->ik", "i,j->ij", "bhqd,bhkd->bhqk", "ij,ij->", "ijk->kij"])
    sizes = {c: g.int(1, 4) for c in "bhijkqd"}
    g.add("Einsum", [g.new(g.numbers([sizes[c] for c in term])) for term in form.split("->")[0].split(",")], equation=form)


def if_(g):
    dtype = g.pick([F, F, I64])
    x = g.value(dtype)
    condition = g.new(np.asarray(g.flip(), B))
    branches = []
    for op in (g.pick(["Neg", "Abs"]), g.pick(["Identity", "Neg", "Abs"])):
        y = g.name("b")
        node = helper.make_node(op, [x], [y])
        branches.append(helper.make_graph([node], op, [], [helper.make_tensor_value_info(y, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)]))
    g.add("If", [condition], then_branch=branches[0], else_branch=branches[1])


def loop(g):
    dtype = g.pick([F, F, I64])
    x = g.value(dtype, lambda v: v.size)
    kind, dims, lists = helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), g.values[x].shape, g.flip()
    i, keep, acc, out, keeps, each = (g.name("l") for _ in range(6))
    outs = [helper.make_tensor_value_info(keeps, TensorProto.BOOL, []), helper.make_tensor_value_info(out, kind, dims)]
    body = helper.make_graph(
        [helper.make_node("Add", [acc, x], [out]), helper.make_node("Identity", [keep], [keeps]), helper.make_node("Neg", [out], [each])],
        "body",
        [helper.make_tensor_value_info(i, TensorProto.INT64, []), helper.make_tensor_value_info(keep, TensorProto.BOOL, []), helper.make_tensor_value_info(acc, kind, dims)],
        outs + ([helper.make_tensor_value_info(each, kind, dims)] if lists else []),
    )
    g.add("Loop", [g.new(np.asarray(g.int(0, 4), I64)), "", g.new(g.numbers(dims, dtype))], 1 + lists, body=body)


def normalise(g):
    x = g.value(F, lambda v: v.ndim and v.size)
    g.add("LpNormalization", [x], axis=g.axis(g.values[x]), p=g.int(1, 2))


def is_small(v):
    return v.size == 0 or bool(np.all(np.isfinite(v)) and np.all(np.abs(v) <= 8))


def is_positive(v):
    return v.size == 0 or bool(np.all(v > 0))


TEMPLATES = [
    *(unary(op) for op in ("Relu", "Sigmoid", "Tanh", "Floor", "Ceil", "Round", "Erf", "Softplus", "Softsign", "IsNaN", "Identity", "HardSwish") if op != "HardSwish"),
    unary("HardSwish", since=14),
    unary("Mish", since=18),
    unary("Gelu", since=20, approximate=lambda g: g.pick(["none", "tanh"])),
    *(unary(op, [F, I32, I64]) for op in ("Abs", "Neg", "Sign")),
    unary("Not", [B]),
    *(unary(op, keeps=is_small) for op in ("Exp", "Sin", "Cos", "Atan", "Sinh", "Cosh")),
    *(unary(op, keeps=is_positive) for op in ("Log", "Sqrt", "Reciprocal")),
    unary("LeakyRelu", alpha=eighth(-1, 1)),
    unary("Elu", alpha=eighth(0, 2)),
    unary("Celu", since=12, alpha=eighth(1, 2)),
    unary("Selu", alpha=eighth(1, 2), gamma=eighth(1, 2)),
    unary("ThresholdedRelu", alpha=eighth(-1, 1)),
    unary("HardSigmoid", alpha=eighth(0, 1), beta=eighth(0, 1)),
    unary("Shrink", lambd=eighth(0, 1), bias=eighth(-1, 1)),
    unary("IsInf"),
    unary("Flatten", [F, I64], keeps=lambda v: v.ndim >= 1, axis=lambda g: g.int(0, 1)),
    *(binary(op) for op in ("Add", "Sub", "Mul", "Add", "Mul")),
    prelu,
    *(binary(op, [B]) for op in ("And", "Or", "Xor")),
    divide, modulo, power,
    *(variadic(op) for op in ("Min", "Max", "Sum", "Mean")),
    *(compare(op) for op in ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")),
    where, cast, cast, halve, no_number, clip, clip, reshape, reshape, transpose, transpose, squeeze, unsqueeze, concat, concat, split, slice_, slice_,
    gather, gather, gather_elements, gather_nd, scatter_elements, scatter_nd, expand, tile, pad, pad,
    rearranged("DepthToSpace"), rearranged("SpaceToDepth"),
    *(reduce_(op) for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceSum", "ReduceMean", "ReduceLogSumExp")),
    extreme("ArgMax"), extreme("ArgMin"),
    along_axis("Softmax"), along_axis("LogSoftmax"), along_axis("Hardmax"), normalise,
    matmul, matmul, gemm, gemm, conv, conv, conv, conv_transpose, pool("MaxPool"), pool("AveragePool"), pool("LpPool"),
    global_pool("GlobalAveragePool"), global_pool("GlobalMaxPool"), batch_norm, instance_norm, layer_norm,
    top_k, cum_sum, trilu, one_hot, shape_of, constant_of_shape, range_, non_zero,
    quantise, quantise, quantise_dynamically, matmul_integer, resize, resize,
    recurrent("LSTM", 4), recurrent("GRU", 3), recurrent("RNN", 1), einsum, if_, loop,
]
