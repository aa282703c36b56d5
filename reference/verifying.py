"""Verifying a ring: FORMAT.md, section 12."""

from blake3 import blake3

from blocks import is_for, open_block
from closure import WEIGHTS, closure_length, read_closure, read_preamble
from crypto import derive
from findings import STALE, TAMPERED, UNTRUSTED, Finding, in_order, worst
from header import read_header
from outline import outline_of, refuse_deal, signature_fits
from rules import Refused, holds
from trust import refuse_deal_number, refuse_owner_and_version
from weights import LONGEST_MANIFEST, check_manifest

class Ring:
    def __init__(self, file):
        self.file, self.findings, self.closure, self.strange_key = file, [], None, False
        self.headers = []                                            # None where a header did not pass 9 … 13

    def add(self, verdict, block, part, reason, tensor=None, span=None):
        header = self.headers[block] if block is not None and block < len(self.headers) else None
        self.findings.append(Finding(verdict, block, header and header.name, part, tensor, span, reason))

    def outline(self):
        return outline_of(self.closure, self.headers)

    def verdict(self):
        return UNTRUSTED if self.strange_key else worst(self.findings)

def verify_ring(file, owner=None, trust=None, key=None, bodies=True):
    """Checks 1 … 17, and those of §20 after 14; without `bodies` none after these."""
    ring = Ring(file)
    if read_ring(ring, owner, trust):
        if None not in ring.headers:
            check_shared(ring)
            check_wiring(ring)
            check_outline(ring)
        if bodies:
            for index, header in enumerate(ring.headers):
                if header:
                    check_chunks(ring, index, header)
            if key and not ring.findings:
                check_key(ring, key)
        if trust and not ring.findings and not ring.strange_key:
            check_deal_number(ring, trust)
    ring.findings = in_order(ring.findings)
    return ring

def read_ring(ring, owner, trust):
    """Checks 1 … 13. False: stop."""
    file = ring.file

    def closure_span(count):
        return 24, min(24 + closure_length(count), file.size)

    try:                                                             # check 1
        count, length = read_preamble(file)
    except Refused as e:
        ring.add(TAMPERED, None, "file", f"the preamble: {e}", span=(0, min(24, file.size)))
        return False

    if file.size >= 52:                                              # check 2
        own = int.from_bytes(file.read(48, 4), "little")
        if own != count:
            try:
                fits = read_closure(file, own).signature_fits()
            except Refused:
                fits = False
            if not fits:
                ring.add(TAMPERED, None, "closure", "another count than the preamble's", span=closure_span(count))
                return False
            ring.add(TAMPERED, None, "file", "the preamble's count is not the closure's", span=(12, 16))
            count = own
    try:                                                             # check 3
        closure = read_closure(file, count)
    except Refused as e:
        ring.add(TAMPERED, None, "closure", f"the closure: {e}", span=closure_span(count))
        return False
    if not holds("a closure is signed", closure.signature_fits()):   # check 4
        ring.add(TAMPERED, None, "closure", "the owner's signature does not fit", span=closure_span(count))
        return False
    ring.closure = closure
    if not holds("a preamble has the file's length", length == closure.file_length):       # check 5
        ring.add(TAMPERED, None, "file", "the preamble's file length is not the closure's", span=(16, 24))
    if file.size > closure.file_length:                              # check 6
        ring.add(TAMPERED, None, "file", "bytes after the end", span=(closure.file_length, file.size))
    elif file.size < closure.file_length:
        ring.add(TAMPERED, None, "file", "the file is cut short", span=(file.size, closure.file_length))

    named = closure.owner, closure.ring_id
    if trust and any(trust.paths.get(name, named) != named for name in file.names):          # check 7
        ring.add(UNTRUSTED, None, "closure", "the path is bound to another ring")
        return False
    refused = refuse_owner_and_version(*named, closure.version, closure.digest, owner, trust)      # and check 8
    if refused:
        ring.add(refused[0], None, "closure", refused[1])
        if refused[0] == UNTRUSTED:
            return False

    for index in range(count):                                       # checks 9 … 13
        ring.headers.append(None)
        start, length = closure.headers_at[index], closure.rows[index][0]
        try:
            header, problems = check_header(closure, index, file.read(start, length))
        except Refused as e:
            header, problems = None, [(TAMPERED, "header", str(e))]
        ring.headers[index] = header                                 # for its name
        for verdict, part, reason in problems:
            ring.add(verdict, index, part, reason, span=(start, start + length))
        if problems:
            ring.headers[index] = None
    return True

def check_header(closure, index, data):
    """Checks 10 … 13. Returns the header (None if 10 or 11 fails) and a list of (verdict, part, reason)."""
    header, refusal = None, None
    try:
        header = read_header(data)
    except Refused as e:
        refusal = str(e)
    if not holds("a header has its row's digest", derive("deepring v1 header digest", data) == closure.rows[index][2]):
        verdict, reason = TAMPERED, "the header's digest is not the closure's"
        if header and header.ring_id == closure.ring_id and header.signature_fits(closure.owner):
            if header.version != closure.version:
                verdict, reason = STALE, f"a block of version {header.version}"
            elif header.index != index:
                reason = f"block {header.index} in another's place"
            else:
                verdict, reason = STALE, "a header of another sealing or granting"
        return None, [(verdict, "header", reason)]
    if refusal:
        return None, [(TAMPERED, "header", f"the header: {refusal}")]
    problems = [(TAMPERED, "header", f"does not fit: {what}") for fits, what in [
        ((header.ring_id, header.version, header.index, header.count)
         == (closure.ring_id, closure.version, index, closure.count), "ring id, model version, index or count"),
        (header.body == closure.bodies[index], "body digest"),
        (header.body_length() == closure.rows[index][1], "body length"),
        (header.body == header.body_digest(closure.bodies), "list of chunk digests, or what it shares"),
        (header.signature_fits(closure.owner), "signature")] if not holds(f"a header fits its closure: {what}", fits)]
    if not holds("a block links to the one before", header.previous == closure.bodies[(index - 1) % closure.count]):
        problems.append((TAMPERED, "link", "previous body is not the block before"))
    if not holds("a block links to the one after", header.next == closure.bodies[(index + 1) % closure.count]):
        problems.append((TAMPERED, "link", "next body is not the block after"))
    return header, problems

def check_shared(ring):
    """Check 14a: one finding for each block."""
    weights = ring.closure.kind == WEIGHTS
    shared = [index for index, header in enumerate(ring.headers) if header.is_shared()]
    for index, header in enumerate(ring.headers):
        for fits, reason in [
                (index != 1 or weights or not header.is_shared(), "shared, where the first that computes is due"),
                (index == 0 or not weights or header.is_shared(), "a block that computes in a ring of weights"),
                (header.is_shared() or not shared or index < shared[0], "behind a shared block, and not shared"),
                (not header.is_shared() or not header.inputs + header.outputs, "a shared block with inputs or outputs"),
                (index or not weights or not header.inputs + header.outputs, "weights with inputs or outputs"),
                (all(shares_all_of(header, block, ring.headers[block]) for block in header.shared_blocks()),
                 "shares what the shared block does not hold")]:
            if not holds(reason, fits):
                ring.add(TAMPERED, index, "header", reason)
                break

def shares_all_of(header, block, holder):
    """Whether what a header says of a shared block is what that block's own header says."""
    parts = [p for p in header.shared_parts() if p.block == block]
    return holder.is_shared() and ([(p.spec, p.length, p.offset - parts[0].offset) for p in parts]
                                   == [(p.spec, p.length, p.offset) for p in holder.parts])

def check_wiring(ring):
    """Check 14."""
    genesis = ring.headers[0]
    given = {spec.name: spec.element for spec in genesis.outputs}
    for index in list(range(1, len(ring.headers))) + [0]:
        header = ring.headers[index]
        if header.is_shared():
            continue
        for spec in header.inputs:
            if not holds("a block reads what is given", given.get(spec.name) == spec.element):
                ring.add(TAMPERED, index, "header", f"nothing before gives {spec.name!r}")
        if index:
            given.update({spec.name: spec.element for spec in header.outputs})

def check_outline(ring):
    """§20: a deal in Genesis' header, and the outline signature."""
    outline = ring.outline()
    reason = refuse_deal(outline)
    if reason:
        ring.add(TAMPERED, 0, "header", f"not kept: {reason}")
    if not holds("the outline that a ring makes is signed", signature_fits(outline)):
        ring.add(TAMPERED, None, "closure", "the outline signature does not fit")

def check_deal_number(ring, trust):
    """§18: of a ring of which nothing was found."""
    outline = ring.outline()
    refused = refuse_deal_number(outline.owner, outline.ring_id, outline.version, outline.deal_number(), trust)
    if refused:
        ring.add(refused[0], None, "closure", refused[1])

def check_chunks(ring, index, header):
    """Check 15."""
    body = ring.closure.bodies_at[index]
    for number, part, at, length in header.each_chunk():
        start = body + at
        try:
            if blake3(ring.file.read(start, length)).digest() != header.chunks[number]:
                raise Refused("damaged")
        except Refused as e:
            ring.add(TAMPERED, index, "body", str(e), part.name(), (start, start + length))

def check_key(ring, key):
    """Checks 16 and 17."""
    ring.strange_key = True
    manifest = None
    for index, header in enumerate(ring.headers):
        if is_for(ring, header, key):
            ring.strange_key = False
            kept = bytearray() if index == 0 and ring.closure.kind == WEIGHTS else None
            if kept is not None and header.plaintext_length > LONGEST_MANIFEST:
                ring.add(TAMPERED, 0, "body", "a manifest of more than 2^28 bytes", "manifest")
            elif open_block(ring, index, key, index, kept):
                manifest = manifest or kept
    if manifest is not None and not ring.findings:
        try:
            check_manifest(manifest, ring.headers)
        except Refused as e:
            ring.add(TAMPERED, 0, "body", str(e), "manifest")
