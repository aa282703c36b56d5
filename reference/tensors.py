"""Tensors and their digests: FORMAT.md, section 13."""

from blake3 import blake3

from crypto import derive
from encoding import ELEMENT_BYTES, listed
from rules import Refused

def read_tensor(r):
    """Name and encoding of one tensor value."""
    start = r.at
    name, element, dims = r.string(), r.u8(), r.list(32, 8, r.u64)
    elements = r.bytes(2 ** 31)
    if element not in ELEMENT_BYTES:
        raise Refused(f"element type {element}")
    size = ELEMENT_BYTES[element]
    for dim in dims:
        size *= dim
    if size != len(elements):
        raise Refused("another number of elements than the shape's")
    return name, bytes(r.data[start:r.at])

def tensors_digest(salt, tensors):
    """Of one query: a list of (name, encoding)."""
    tensors = sorted(tensors, key=lambda t: t[0].encode())
    return blake3(listed([t[1] for t in tensors]), key=derive("deepring v2 tensor digest key", salt)).digest()

def salt_commitment(salt):
    return derive("deepring v1 salt commitment", salt)

def batch_digest(digests):
    return derive("deepring v1 batch digest", listed(digests))
