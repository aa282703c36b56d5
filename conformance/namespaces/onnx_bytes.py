"""Bytes of an ONNX file: its tensors as they lie there, and the same network with every value between its nodes as an output.

Protocol buffers are read as far as this needs it, so that no package is needed (https://onnx.ai/onnx/repo-docs/IR.html)."""

GRAPH, NODE, INITIALIZER, OUTPUT = 7, 1, 5, 12
NODE_OUTPUT, ATTRIBUTE, ATTRIBUTE_TENSOR = 2, 5, 5
DIMS, DATA_TYPE, FLOAT_DATA, TENSOR_NAME, RAW_DATA = 1, 2, 4, 8, 9
VALUE_NAME, FLOAT = 1, 1


def varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def fields(data):
    """Number and value of each field: bytes, or a number."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size, at = {1: (8, at), 5: (4, at)}.get(kind) or varint(data, at)
            value, at = data[at : at + size], at + size
        yield number, value


def field(number, value):
    """A field of bytes, as it is written."""
    return written((number << 3) | 2) + written(len(value)) + value


def written(number):
    out = bytearray()
    while number >= 0x80:
        out.append((number & 0x7F) | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def only(data, number):
    return [value for n, value in fields(data) if n == number]


def tensor(data):
    """Name, shape and bytes of a tensor of single precision; None of another."""
    dims = []
    for value in only(data, DIMS):
        dims += [value] if isinstance(value, int) else packed(value)
    if only(data, DATA_TYPE) != [FLOAT]:
        return None
    name = b"".join(only(data, TENSOR_NAME)).decode()
    raw = b"".join(only(data, RAW_DATA)) or b"".join(only(data, FLOAT_DATA))
    return name, dims, raw


def packed(data):
    numbers, at = [], 0
    while at < len(data):
        number, at = varint(data, at)
        numbers.append(number)
    return numbers


def tensors(path):
    """All tensors of single precision that a network has: its parameters, as initializers and in nodes."""
    (graph,) = only(path.read_bytes(), GRAPH)
    found = only(graph, INITIALIZER)
    for node in only(graph, NODE):
        for attribute in only(node, ATTRIBUTE):
            found += only(attribute, ATTRIBUTE_TENSOR)
    return [read for read in map(tensor, found) if read]


def with_all_values(path, to):
    """Writes the network with the output of each node as an output of its own; their names."""
    model = path.read_bytes()
    (graph,) = only(model, GRAPH)
    known = {only(output, VALUE_NAME)[0] for output in only(graph, OUTPUT)}
    names = [name for node in only(graph, NODE) for name in only(node, NODE_OUTPUT)]
    # The type alone: single precision, of any shape.
    single = field(2, field(1, written(1 << 3) + written(FLOAT)))
    added = b"".join(field(OUTPUT, field(VALUE_NAME, name) + single) for name in names if name not in known)
    out = b""
    for number, value in fields(model):
        out += written(number << 3) + written(value) if isinstance(value, int) else field(number, value + added if number == GRAPH else value)
    to.write_bytes(out)
    return [name.decode() for name in names]


def transposed(dims, raw):
    """The bytes of a matrix by columns; a kernel counts as a matrix of its outputs."""
    rows = dims[0] if len(dims) > 1 else 1
    numbers = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    columns = len(numbers) // rows if rows else 0
    return b"".join(numbers[row * columns + column] for column in range(columns) for row in range(rows))
