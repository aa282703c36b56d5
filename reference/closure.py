"""Preamble and closure of a ring file: FORMAT.md, sections 6 and 7."""

import os
from collections import namedtuple

from crypto import derive, signed
from encoding import Reader
from rules import Refused
from trust import path_name

NETWORK, WEIGHTS = 0, 1                                              # kinds of rings

class RingFile:
    """A file read piece by piece. names: those of its path, as the trust store has them (§18)."""

    def __init__(self, file):
        self.file, self.size = file, os.fstat(file.fileno()).st_size
        folder, last = os.path.split(file.name)
        self.names = {path_name(os.path.join(os.getcwd(), file.name)), path_name(os.path.realpath(file.name)),
                      path_name(os.path.join(os.path.realpath(folder), last))}

    def read(self, start, length):
        if start + length > self.size:
            raise Refused("the file ends before")
        self.file.seek(start)
        data = self.file.read(length)
        if len(data) != length:
            raise OSError("the file changed while it was read")
        return data

def read_preamble(file):
    """The count and the file length that the preamble states."""
    r = Reader(file.read(0, 24))
    if r.raw(8) != b"DEEPRING":
        raise Refused("not a ring")
    if (r.u16(), r.u16()) != (4, 1):
        raise Refused("another format version or suite")
    count, length = r.u32(), r.u64()
    if not 2 <= count <= 65536:
        raise Refused(f"{count} blocks")
    return count, length

class Closure(namedtuple("Closure", "ring_id version count kind previous owner sealed_at bodies revision rows "
                         "outline_signature signature digest signed_bytes headers_at bodies_at file_length")):
    """As §7 has it. rows: (header length, body length, header digest); digest: of the ring; …_at: file offsets."""

    def signature_fits(self):
        return signed(self.owner, "deepring v1 sign closure", self.signed_bytes, self.signature)

def closure_length(count): return 266 + 76 * count

def read_closure(file, count):
    if not 2 <= count <= 65536:
        raise Refused(f"{count} blocks")
    data = file.read(24, closure_length(count))
    r = Reader(data)
    ring_id, version = r.raw(16), r.u64()
    if r.u32() != count:
        raise Refused("another count than the preamble's")
    kind = r.u16()
    if kind > WEIGHTS:
        raise Refused(f"a ring of kind {kind}")
    previous, owner, sealed_at = r.raw(32), r.raw(64), r.u64()
    bodies = [r.raw(32) for _ in range(count)]
    revision = r.u32()
    rows = []
    for _ in range(count):
        rows.append((r.u32(), r.u64(), r.raw(32)))
        if rows[-1][0] > 2 ** 26:
            raise Refused("a header of more than 64 MiB")
    outline_signature, signature = r.raw(64), r.raw(64)
    r.end()
    at, headers_at, bodies_at = 24 + closure_length(count), [], []
    for header_length, _, _ in rows:
        headers_at.append(at)
        at += header_length
    for _, body_length, _ in rows:
        bodies_at.append(at)
        at += body_length
    if at >= 2 ** 63:
        raise Refused("lengths that add up to 2^63 or more")
    statement = 134 + 32 * count
    digest = derive("deepring v1 ring digest", data[:statement])
    return Closure(ring_id, version, count, kind, previous, owner, sealed_at, bodies, revision, rows, outline_signature,
                   signature, digest, digest + data[statement:202 + 76 * count], headers_at, bodies_at, at)
