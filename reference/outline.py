"""The outline: FORMAT.md, section 21."""

from collections import namedtuple

from crypto import derive, signed
from deal import read_deal
from encoding import Reader, listed, string, u16, u32, u64
from findings import TAMPERED, Finding
from header import GRAPH, MANIFEST, PARAMETER, SHARED, read_spec, spec_bytes
from closure import NETWORK, WEIGHTS
from rules import Refused, holds, require
from trust import refuse_deal_number, refuse_owner_and_version

Block = namedtuple("Block", "name content hosts parts")              # parts: manifest, graph or parameter

class Outline(namedtuple("Outline", "kind ring_id version ring previous owner sealed_at revision inputs outputs blocks "
                         "deal signature digest")):
    """ring, digest: of the ring, of the outline without its signature."""

    def end_of_computing(self):
        """One past the last block that computes: where those begin that do not."""
        return next((i for i, block in enumerate(self.blocks) if i and GRAPH not in block.parts), len(self.blocks))

    def deal_number(self):
        """One more than the revision that brought the deal; 0 for none."""
        return self.deal.revision + 1 if self.deal else 0

def host_table(blocks):
    """The hosts of blocks, each once, by their first use."""
    return list(dict.fromkeys(host for block in blocks for host in block.hosts))

def outline_bytes(closure, genesis, blocks):
    """The outline that a closure and what its headers say make, without its signature."""
    hosts = host_table(blocks)
    if len(hosts) > 65536:
        raise Refused(f"{len(hosts)} hosts")
    places = {host: u16(place) for place, host in enumerate(hosts)}
    each = [string(block.name) + block.content + listed([places[host] for host in block.hosts])
            + listed([bytes([part]) for part in block.parts]) for block in blocks]
    deal = genesis.deal.encoded if genesis.deal else b""
    return (b"DOUTLINE" + u16(1) + u16(closure.kind) + closure.ring_id + u64(closure.version) + closure.digest
            + closure.previous + closure.owner + u64(closure.sealed_at) + u32(closure.revision)
            + listed([spec_bytes(spec) for spec in genesis.outputs])  # the network's inputs
            + listed([spec_bytes(spec) for spec in genesis.inputs])
            + listed(hosts) + listed(each) + u32(len(deal)) + deal)

def outline_of(closure, headers):
    """The outline that stands in a ring. Its digest is None where it has no encoding."""
    kinds = {MANIFEST: MANIFEST, GRAPH: GRAPH, PARAMETER: PARAMETER, SHARED: PARAMETER}
    genesis = headers[0]
    blocks = [Block(h.name, h.content, h.hosts(), [kinds[p.kind] for p in h.parts]) for h in headers]
    try:
        digest = derive("deepring v1 outline digest", outline_bytes(closure, genesis, blocks))
    except Refused:
        digest = None
    return Outline(closure.kind, closure.ring_id, closure.version, closure.digest, closure.previous, closure.owner,
                   closure.sealed_at, closure.revision, genesis.outputs, genesis.inputs, blocks, genesis.deal,
                   closure.outline_signature, digest)

def read_outline(data):
    r = Reader(data)
    require("an outline's magic", r.raw(8) == b"DOUTLINE")
    require("an outline's format version", r.u16() == 1)
    kind = r.u16()
    require("an outline's kind is one of two", kind in (NETWORK, WEIGHTS))
    fields = (kind, r.raw(16), r.u64(), r.raw(32), r.raw(32), r.raw(64), r.u64(), r.u32(),
              r.list(4096, 4, lambda: read_spec(r)), r.list(4096, 4, lambda: read_spec(r)))
    hosts = r.list(65536, 64, lambda: r.raw(64))
    blocks = r.list(65536, 42, lambda: read_block(r, hosts))
    require("an outline has two blocks", len(blocks) >= 2)
    require("an outline's hosts are each used, in order, and there once", host_table(blocks) == hosts)
    deal = read_deal(r.bytes(65535))
    digest = derive("deepring v1 outline digest", data[:r.at])
    outline = Outline(*fields, blocks, deal, r.raw(64), digest)
    r.end()
    return outline

def read_block(r, hosts):
    name, content = r.string(), r.raw(32)
    places = r.list(4096, 2, r.u16)
    require("an outline's blocks name hosts of its list", all(place < len(hosts) for place in places))
    parts = list(r.bytes(2 ** 20))
    require("an outline's parts are of three kinds", all(part in (MANIFEST, GRAPH, PARAMETER) for part in parts))
    return Block(name, content, [hosts[place] for place in places if place < len(hosts)], parts)

def signature_fits(outline):
    return outline.digest is not None and signed(outline.owner, "deepring v1 sign outline", outline.digest,
                                                 outline.signature)

def refuse_blocks(outline):
    """Why the blocks make no ring, or None."""
    computes = [GRAPH in block.parts for block in outline.blocks[1:]]
    number = outline.end_of_computing() - 1
    for fits, rule in [
            (outline.blocks[0].parts == [MANIFEST], "block 0 of an outline has the manifest and nothing else"),
            (not any(MANIFEST in b.parts for b in outline.blocks[1:]), "no other block of an outline has a manifest"),
            (not any(computes[number:]), "no block that computes stands behind one that does not"),
            ((outline.kind == NETWORK) == (number > 0), "a network computes, and a ring of weights does not")]:
        if not holds(rule, fits):
            return rule
    return None

def refuse_deal(outline):
    """Why the deal is none of this ring's, or None. §20"""
    deal = outline.deal
    if not deal:
        return None
    granted = [(host, 0) for host in deal.genesis]
    ended = deal.legs[-1].end == outline.end_of_computing()
    if ended:
        granted += [(host, block) for leg in deal.legs for block in range(leg.first, leg.end) for host in leg.hosts]
    for fits, rule in [
            (deal.owner == outline.owner, "a deal names the ring's owner"),
            (deal.signature_fits(), "a deal is signed by its owner"),
            (deal.ring_id == outline.ring_id, "a deal is of the ring's id"),
            (deal.ring == outline.ring, "a deal is of the ring's digest"),
            (deal.revision <= outline.revision, "a deal is not of a later revision"),
            (ended, "a deal ends with the last block that computes"),
            (all(host in outline.blocks[block].hosts for host, block in granted), "a deal's hosts can open their blocks")]:
        if not holds(rule, fits):
            return rule
    return None

def verify_outline(outline, owner=None, trust=None):
    """The finding, or None."""
    reason = None
    if not holds("an outline is signed by its owner", signature_fits(outline)):
        reason = "the owner's signature does not fit the outline"
    reason = reason or refuse_blocks(outline) or refuse_deal(outline)
    if reason:
        return Finding(TAMPERED, None, None, "closure", None, None, reason)
    refused = refuse_owner_and_version(outline.owner, outline.ring_id, outline.version, outline.ring, owner, trust)
    refused = refused or refuse_deal_number(outline.owner, outline.ring_id, outline.version, outline.deal_number(), trust)
    return refused and Finding(refused[0], None, None, "closure", None, None, refused[1])
