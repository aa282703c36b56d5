"""Headers of blocks: FORMAT.md, sections 8 and 9."""

from collections import namedtuple

from crypto import derive, signed
from deal import read_deal
from encoding import ELEMENT_BYTES, Reader, string, u32, u64
from keys import HOST
from rules import Refused, require

CHUNK, TAG, ALIGN, SHARED_ALIGN = 65536, 16, 64, 65536
MANIFEST, GRAPH, PARAMETER, SHARED = 0, 1, 2, 4                      # kinds of parts

TensorSpec = namedtuple("TensorSpec", "name element dims")          # dims: numbers or names; None: rank unknown
Recipient = namedtuple("Recipient", "role public enc wrapped")

class Part(namedtuple("Part", "kind spec block offset length")):     # block: the shared one that holds it
    def name(self):
        return {MANIFEST: "manifest", GRAPH: "graph"}.get(self.kind) or self.spec.name

class Header(namedtuple("Header", "ring_id version index count name plaintext_length body content commitment previous "
                        "next inputs outputs parts recipients deal chunks digest signature")):
    """As §8 has it. deal: None if there is none. digest: of the header without its signature."""

    def signature_fits(self, owner):
        return signed(owner, "deepring v1 sign header", self.digest, self.signature)

    def is_shared(self):
        """Whether this is a shared block. Every other one but Genesis computes."""
        return all(p.kind == PARAMETER for p in self.parts)

    def own_parts(self):
        return [p for p in self.parts if p.kind != SHARED]

    def shared_parts(self):
        return [p for p in self.parts if p.kind == SHARED]

    def shared_blocks(self):
        """The blocks that the parts name, each once and in order."""
        return sorted({p.block for p in self.shared_parts()})

    def body_length(self):
        return sum(p.length for p in self.own_parts()) + TAG * len(self.chunks)

    def body_digest(self, bodies):
        """bodies: the closure's. None if the parts name a block that is not among them."""
        if any(block >= len(bodies) for block in self.shared_blocks()):
            return None
        shared = b"".join(u32(block) + bodies[block] for block in self.shared_blocks())
        return derive("deepring v1 body digest", self.ring_id + u32(self.index) + u64(self.plaintext_length)
                      + u32(len(self.chunks)) + b"".join(self.chunks) + shared)

    def each_chunk(self):
        """Of each chunk: number, part, offset in the body, length in the body."""
        number = at = 0
        for part in self.own_parts():
            for start in range(0, part.length, CHUNK):
                length = min(CHUNK, part.length - start) + TAG
                yield number, part, at, length
                number += 1
                at += length

    def hosts(self):
        return [r.public for r in self.recipients if r.role == HOST]

def read_spec(r):
    name, element, rank = r.string(), r.u8(), r.u8()
    require("an element type is known", element in ELEMENT_BYTES)
    if rank == 255:
        return TensorSpec(name, element, None)
    require("a rank is at most 32", rank <= 32)
    dims = []
    for _ in range(rank):
        kind = r.u8()
        require("a dimension is of two kinds", kind <= 1)
        dims.append(r.u64() if kind == 0 else r.string())
    return TensorSpec(name, element, dims)

def spec_bytes(spec):
    dims = [b"\1" + string(dim) if isinstance(dim, str) else b"\0" + u64(dim) for dim in spec.dims or []]
    rank = 255 if spec.dims is None else len(dims)
    return string(spec.name) + bytes([spec.element, rank]) + b"".join(dims)

def read_part(r):
    kind = r.u8()
    require("a part is of four kinds", kind in (MANIFEST, GRAPH, PARAMETER, SHARED))
    spec = read_spec(r) if kind in (PARAMETER, SHARED) else None
    block = r.u32() if kind == SHARED else None
    return Part(kind, spec, block, r.u64(), r.u64())

def read_recipient(r):
    role = r.u8()
    require("a recipient is owner or host", role <= 1)
    return Recipient(role, r.raw(64), r.raw(32), r.raw(48))

def check_parts(header):
    kinds = [p.kind for p in header.parts]
    parameters, shared = ([kind] * kinds.count(kind) for kind in (PARAMETER, SHARED))
    allowed = [parameters, parameters + [GRAPH] + shared] if header.index else [[MANIFEST]]
    require("a block has the parts of its kind", kinds and kinds in allowed)
    blocks = [p.block for p in header.shared_parts()]
    require("shared parameters stand in the order of their blocks", blocks == sorted(blocks))
    require("shared parameters are of blocks behind this one", all(header.index < b < header.count for b in blocks))
    end = chunks = 0
    before = None                                                    # the shared block of the part before
    for part in header.parts:
        align = SHARED_ALIGN if part.kind == SHARED and part.block != before else ALIGN
        require("a part has bytes", part.length >= 1)
        require("a part begins where it is due", part.offset == -(-end // align) * align)
        end = part.offset + part.length
        if end > header.plaintext_length:
            raise Refused("a part beyond the plaintext")
        if part.kind == SHARED:
            before = part.block
        else:
            chunks += -(-part.length // CHUNK)
        if part.kind in (PARAMETER, SHARED):
            size = ELEMENT_BYTES[part.spec.element]
            for dim in part.spec.dims if part.spec.dims is not None else ["unknown"]:
                require("a parameter has a fixed shape", not isinstance(dim, str))
                size *= dim
            require("a parameter has its shape's length", size == part.length)
    require("a plaintext ends with its last part", end == header.plaintext_length)
    require("a header has the own parts' chunks", chunks == len(header.chunks))

def read_header(data):
    r = Reader(data)
    fields = (r.raw(16), r.u64(), r.u32(), r.u32(), r.string(), r.u64(),
              r.raw(32), r.raw(32), r.raw(32), r.raw(32), r.raw(32),
              r.list(4096, 4, lambda: read_spec(r)),
              r.list(4096, 4, lambda: read_spec(r)),
              r.list(2 ** 20, 17, lambda: read_part(r)),
              r.list(4096, 145, lambda: read_recipient(r)), read_deal(r.bytes(65535)),
              r.list(2 ** 20, 32, lambda: r.raw(32)))
    header = Header(*fields, derive("deepring v1 header digest", data[:r.at]), r.raw(64))
    r.end()
    check_parts(header)
    require("a deal stands in Genesis", not header.deal or not header.index)
    return header
