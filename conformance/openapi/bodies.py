"""What schemathesis sends where a body is no JSON: read by it, and not run by itself."""

import struct
from pathlib import Path

import schemathesis
from hypothesis import strategies

SAMPLE = Path(__file__).resolve().parents[2] / "zoo/fashion-sample/example.png"


def npy(dims=(1, 1, 28, 28), descr="<f4", width=4):
    """An array of NumPy's format, version 1."""
    count = 1
    for dim in dims:
        count *= dim
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(dims)}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(width * count)


picture, array = SAMPLE.read_bytes(), npy()
# The right one, one of another shape or type, one that ends early, and no such thing.
schemathesis.openapi.media_type("image/png", strategies.sampled_from([picture, picture[:100], b"", b"GIF89a"]))
schemathesis.openapi.media_type("image/jpeg", strategies.sampled_from([picture, picture[:100], b"", b"\xff\xd8\xff"]))
schemathesis.openapi.media_type(
    "application/x-npy", strategies.sampled_from([array, npy((784,)), npy(descr="<f8", width=8), npy((2**40,), width=0), array[:-1], b""])
)
