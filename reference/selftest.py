#!/usr/bin/env python3
"""Known answers for what this reader does not take from a library: HPKE, Bech32m, reading, keys, trust stores, trees;
dealt rings and validated receipts, which are made here and signed with the test keys of vectors/; and that the vectors
need each rule that this reader has by name: broken one after the other, each gives some vector another verdict.

    python3 reference/selftest.py
"""

import json
import os
import struct
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import log
import mutants
from closure import NETWORK, WEIGHTS
from crypto import SMALL_ORDER, derive, hpke_open, signed
from deal import read_deal
from decision import stands_for, verify_receipt
from encoding import Reader, listed, string, u16, u32, u64
from findings import STALE, TAMPERED, UNTRUSTED
from header import GRAPH, PARAMETER, Recipient, spec_bytes
from kinds import Given, ring_at
from keys import HOST, bech32m_decode, bech32m_encode, key_line, read_secret
from outline import outline_of
from records import NONE, read_agreement, read_check, read_computed_with
from ring import check_word
from rules import Refused
from tensors import batch_digest, read_tensor, salt_commitment, tensors_digest
from trust import NO_STORE, parse_trust, path_name, read_trust
from vectors import vectors_of

passed = 0

def check(what, good):
    global passed
    if not good:
        raise SystemExit(f"selftest: {what}")
    passed += 1

def refused(what, call, *args):
    try:
        call(*args)
    except Refused:
        return check(what, True)
    check(f"{what}: taken", False)

# HPKE: the test vector that belongs to RFC 9180 for mode 0, KEM 0x0020, KDF 0x0001, AEAD 0x0002; encryption 0.
secret = bytes.fromhex("497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d")
enc = bytes.fromhex("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256")
info = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
aad = bytes.fromhex("436f756e742d30")
ciphertext = bytes.fromhex("e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a")
plaintext = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
check("HPKE", hpke_open(secret, enc, info, aad, ciphertext) == plaintext)
refused("HPKE, other info", hpke_open, secret, enc, info + b"\0", aad, ciphertext)
refused("HPKE, other aad", hpke_open, secret, enc, info, b"", ciphertext)
refused("HPKE, zero point", hpke_open, secret, bytes(32), info, aad, ciphertext)
refused("HPKE, ciphertext without a tag", hpke_open, secret, enc, info, aad, b"")

# Bech32m: BIP 350. Those that do not fill bytes are about checksum and case only.
for text in ["A1LQFN3A", "a1lqfn3a", "?1v759aa"]:
    check(text, bech32m_decode(text) == (text[0].lower(), b""))
check("Bech32m", bech32m_decode("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx")[1].hex()
      == "ffbbcdeb38bdab49ca307b9ac5a928398a418820")
for text in ["A12UEL5L", "a1lqfn3A", "a1lqfn3q", "1lqfn3a", "lqfn3a", "", "1", "a1", "qyrz8wqd2c9m", "in1muywd",
             "mm1crxm3i", "au1s5cgom", "M1VUXWEZ", "16plkw9", "1p2gdwpf", "\u20ac1lqfn3a", "\u212a1LQFN3A"]:
    refused(f"Bech32m: {text!r}", bech32m_decode, text)

# Strings and lists: §3.
def read_string(data):
    return Reader(u16(len(data)) + data).string()

check("string", read_string("ä\U0010ffff".encode()) == "ä\U0010ffff")
check("string of 4096 bytes", len(read_string(b"x" * 4096)) == 4096)
for data in [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\xe2\x82", b"x" * 4097]:
    refused(f"string: {data[:4]!r}", read_string, data)
refused("list above its limit", Reader(b"\x03\0\0\0" + bytes(99)).list, 2, 1, None)
refused("list above what is left", Reader(b"\xff\xff\xff\xff" + bytes(99)).list, 2 ** 32, 1, None)

# Tensors: §13. Digests depend on the salt, and not on the order given.
def tensor(name, dims, data):
    return string(name) + b"\x02" + listed([u64(d) for d in dims]) + u32(len(data)) + data

a, b = (read_tensor(Reader(t)) for t in [tensor("a", [2, 2], b"1234"), tensor("b", [], b"5")])
SALT = bytes(range(1, 33))
check("order of tensors", tensors_digest(SALT, [a, b]) == tensors_digest(SALT, [b, a]))
check("salt", tensors_digest(SALT, [a, b]) != tensors_digest(SALT[::-1], [a, b]))
refused("tensor", read_tensor, Reader(tensor("a", [2, 2], b"123")))
refused("tensor, dimensions that overflow", read_tensor, Reader(tensor("a", [2 ** 63, 2], b"")))

# What a receipt says about checks: §14. Code, share, rotation, and the codes of each block's parts.
def check_bytes(code, share, rotation, *coverage):
    return (bytes([code]) + u32(share) + u16(rotation)
            + listed([listed([bytes([part]) for part in parts]) for parts in coverage]))

allowed = {0: {0}, 1: set(range(1, 9)), 2: {1, 4}, 3: {4}, 4: set(range(2, 8)), 5: set(range(2, 8))}
for code in range(7):
    for part in range(10):
        data = Reader(check_bytes(code, int(code == 2), 16 * int(part in (3, 5)), [part]))
        what = f"check {code}, coverage {part}"
        if part in allowed.get(code, ()):
            check(what, read_check(data) == ((code, int(code == 2)), 16 * int(part in (3, 5)), [bytes([part])]))
        else:
            refused(what, read_check, data)
check("spot, block by block", read_check(Reader(check_bytes(2, 1, 0, [1, 1], [4, 4], []))))
for what, args in {"spot in part": (2, 1, 0, [4, 1]), "spot with share 0": (2, 0, 0, [4]),
                   "spot with share 1": (2, 10 ** 6, 0, [4]), "run with a share": (3, 1, 0, [4]),
                   "product without rotation": (5, 0, 0, [4], [3]), "rotation without product": (5, 0, 1, [4]),
                   "either without rotation": (4, 0, 0, [4], [5]), "both with a rotation": (5, 0, 1, [6])}.items():
    refused(what, read_check, Reader(check_bytes(*args)))
for kind, codes in {PARAMETER: (*range(7), 8), GRAPH: (0, 1, 4, 7, 8)}.items():
    check(f"coverage of kind {kind}", [c for c in range(9) if stands_for(c, kind)] == list(codes))
for check_of, word in {(0, 0): "none", (2, 100_000): "spot:0.1", (2, 1): "spot:0.000001", (5, 0): "compute"}.items():
    check(word, check_word(check_of) == word)

# What it computed with, and how outputs agree: §14.
def computed_with(engine="rten 0", processor="x86_64 avx512", threads=1):
    return string(engine) + bytes(32) + string(processor) + u16(threads)

def agreement(code, largest, bound):
    return bytes([code]) + struct.pack("<ff", largest, bound)

check("computed with", read_computed_with(Reader(computed_with("~ " * 32)))[0] == "~ " * 32)
for change in [{"engine": ""}, {"engine": "x" * 65}, {"processor": ""}, {"processor": "a\n"}, {"processor": "\x7f"},
               {"engine": "ä"}, {"threads": 0}]:
    refused(f"computed with: {change}", read_computed_with, Reader(computed_with(**change)))
INF, NAN = float("inf"), float("nan")
for taken in [(0, 0, 0), (1, 1, 1), (1, 1, 2), (2, 2, 1), (2, INF, 1), (2, INF, 0), (2, 1, 0)]:
    check(f"agreement {taken}", read_agreement(Reader(agreement(*taken))) == taken)
for wrong in [(0, -0.0, 0), (0, 0, -0.0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 2, 1), (1, -1, 1), (1, 1, INF),
              (1, INF, INF), (1, NAN, 1), (1, 1, NAN), (2, 0, 0), (2, 1, 1), (2, 1, 2), (2, INF, INF), (2, 1, -1),
              (2, 1, -0.0), (2, NAN, 0), (2, 1, NAN), (3, 0, 0)]:
    refused(f"agreement {wrong}", read_agreement, Reader(agreement(*wrong)))

# Ed25519: keys that §4 refuses, with a signature that fits every message under the identity.
P, D = 2 ** 255 - 19, -121665 * pow(121666, -1, 2 ** 255 - 19)
any_message = bytes.fromhex("58" + "66" * 31) + (1).to_bytes(32, "little")
for key in ["01" + "00" * 31, "01" + "00" * 30 + "80", "ee" + "ff" * 30 + "7f", "02" + "00" * 31]:
    check(f"key {key}", not signed(bytes.fromhex(key), "x", b"y", any_message))
for y in SMALL_ORDER:                                           # doubled three times: 8P
    for _ in range(3):
        x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        y = (y * y + x2) * pow(1 - D * x2 * y * y, -1, P) % P
    check("small order", y == 1)

# Merkle trees: the root of leaves 0 … n-1, by the definition (RFC 6962, section 2.1), with every path and every extension.
def tree(leaves):
    if len(leaves) < 2:
        return log.leaf(leaves[0]) if leaves else log.EMPTY
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return log.node(tree(leaves[:split]), tree(leaves[split:]))

def path(index, leaves):
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return path(index, leaves[:split]) + [tree(leaves[split:])]
    return path(index - split, leaves[split:]) + [tree(leaves[:split])]

def extension(size, leaves, whole=True):
    if size == len(leaves):
        return [] if whole else [tree(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if size <= split:
        return extension(size, leaves[:split], whole) + [tree(leaves[split:])]
    return extension(size - split, leaves[split:], False) + [tree(leaves[:split])]

# The first eight leaves of the test tree of Certificate Transparency, and its root.
LEAVES = [bytes.fromhex(text) for text in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                                           "606162636465666768696a6b6c6d6e6f"]]
check("a known root", tree(LEAVES).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
for size in range(1, 9):
    some, new = LEAVES[:size], log.Checkpoint("", size, tree(LEAVES[:size]))
    for index in range(size):
        leaf, way = log.leaf(some[index]), path(index, some)
        check(f"leaf {index} of {size}", log.root_of(index, size, leaf, way) == new.root)
        check("another leaf", log.root_of(index, size, log.leaf(b"x"), way) != new.root)
        check("a hash more", log.root_of(index, size, leaf, way + [leaf]) != new.root)
        check("a hash less", not way or log.root_of(index, size, leaf, way[:-1]) != new.root)
    for before in range(size + 1):
        old, way = log.Checkpoint("", before, tree(LEAVES[:before])), extension(before, some) if before else []
        check(f"{before} to {size}", log.extends(old, new, way))
        check("a hash more", not log.extends(old, new, way + [bytes(32)]))
        check("a hash less", not way or not log.extends(old, new, way[:-1]))
        check("another root", not before or not log.extends(old._replace(root=bytes(32)), new, way))
        check("from a larger one", before in (0, size) or not log.extends(new, old, way))

# Trust stores: §18.
good = {"format": 5, "owners": [], "rings": {}, "paths": {}, "ledgers": {}, "ledger_paths": {}}
check("trust store", parse_trust(json.dumps(good).encode()) == NO_STORE)
for earlier in [2, 3, 4]:
    check(f"trust store of format {earlier}", parse_trust(json.dumps({**good, "format": earlier}).encode()) == NO_STORE)
one, two, three = [bech32m_encode("drowner", bytes([n]) * 64) for n in (1, 2, 3)]
here, k_and_l = "00" * 16, {"ledgers": {"k": {"size": 1, "checkpoint": "", "pinned": True}, "l": {"size": 1, "checkpoint": ""}}}
def given_up(*said):
    return {**k_and_l, "given_up": {ledger: {here: {old: {"next": new} for old, new in pairs}} for ledger, *pairs in said}}
for agreed in [{"successors": {one: two, two: three}}, {"format": 4, "rotations": {here: {one: two}}},
               given_up(("k", (one, two)), ("l", (one, three), (three, two))), {"successors": {two: three}, **given_up(("l", (one, two)))}]:
    parse_trust(json.dumps({**good, **agreed}).encode())
for change in [{"format": 1}, {"format": 6}, {"format": True}, {"format": 5.0}, {"format": 3, "rotations": {}}, {"rotations": {}},
               {"format": 4, "rotations": []}, {"format": 4, "rotations": {here: {}}}, {"format": 4, "rotations": {here: {"me": "you"}}},
               {"format": 4, "rotations": {here: {one: two, two: one}}}, {"format": 4, "successors": {one: two}}, {"format": 4, **k_and_l},
               {"successors": {one: two, two: one}}, {"successors": {one: one}}, {"successors": {one: "x"}},
               given_up(("k", (one, two)), ("l", (one, three))), given_up(("k", (one, two)), ("l", (two, one))), given_up(("m", (one, two))),
               {"successors": {one: three}, **given_up(("l", (one, two)))}, given_up(("k",)), {"given_up": {"k": {}}, **k_and_l},
               {"given_up": {"k": {here: {one: {"next": two, "last": None}}}}, **k_and_l},
               {"owners": {}}, {"owners": ["x"]}, {"rings": []},
               {"other": 1}, {"rings": {"00": {"00": {}}}}, {"paths": {"/a": {}}}, {"ledgers": {"k": {}}},
               {"ledgers": {"k": {"size": "1", "checkpoint": ""}}}, {"ledger_paths": {"/a": "unknown"}}]:
    refused(f"trust store: {change}", parse_trust, json.dumps({**good, **change}).encode())
for text in [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 99999,
             json.dumps(good).encode().replace(b'"owners": []', b'"owners": [], "owners": []')]:
    refused(f"trust store: {text[:9]!r}", parse_trust, text)
check("no trust store", read_trust(os.path.join(tempfile.gettempdir(), "there", "is", "none")) == NO_STORE)
check("path", path_name("/a//./b/../c") == "/a/b/../c")
check("path that is no text", path_name("/a/\udcff") == "bytes:2f612fff")

# Deals and outlines: §20, §21. A ring of vectors/, sealed again with other headers.
VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors")

class Signer:
    def __init__(self, name):
        path = os.path.join(VECTORS, "keys", name + ".key")
        self.public = read_secret(path).public
        secret = bech32m_decode(key_line(path))[1]
        self.key = Ed25519PrivateKey.from_private_bytes(secret[:32])

    def sign(self, label, message):
        return self.key.sign(label.encode() + b"\0" + message)

    def record(self, version, kind, data):
        """The record with its signer and signature, and its digest."""
        digest = derive(f"deepring {version} {kind} digest", data + self.public)
        return data + self.public + self.sign(f"deepring {version} sign {kind}", digest), digest

owner, stranger, a, b, c = map(Signer, ["owner", "owner-stranger", "host-a", "host-b", "host-c"])

def vector(name):
    path = os.path.join(VECTORS, name)
    with open(path, "rb") as file:
        return ring_at(path, Given(owner=owner.public)), file.read()

def part_bytes(part):
    return (bytes([part.kind]) + (spec_bytes(part.spec) if part.spec else b"")
            + (b"" if part.block is None else u32(part.block)) + u64(part.offset) + u64(part.length))

def header_bytes(header):
    """Without its signature."""
    deal = header.deal.encoded if header.deal else b""
    return (header.ring_id + u64(header.version) + u32(header.index) + u32(header.count) + string(header.name)
            + u64(header.plaintext_length) + header.body + header.content + header.commitment + header.previous
            + header.next + listed(list(map(spec_bytes, header.inputs)))
            + listed(list(map(spec_bytes, header.outputs))) + listed(list(map(part_bytes, header.parts)))
            + listed([bytes([r.role]) + r.public + r.enc + r.wrapped for r in header.recipients])
            + u32(len(deal)) + deal + listed(header.chunks))

def sealed(old, headers, bodies, kind=NETWORK, outline_by=owner):
    """The verified ring of these headers and bodies, with the rest of the closure of `old` and revision 1."""
    count = len(headers)
    headers = [header._replace(index=i, count=count) for i, header in enumerate(headers)]
    digests = [header.body_digest(old.closure.bodies) for header in headers]
    headers = [header._replace(body=digests[i], previous=digests[i - 1], next=digests[(i + 1) % count])
               for i, header in enumerate(headers)]
    with_signatures = [data + owner.sign("deepring v1 sign header", derive("deepring v1 header digest", data))
              for data in map(header_bytes, headers)]
    statement = (old.closure.ring_id + u64(old.closure.version) + u32(count) + u16(kind) + old.closure.previous
                 + owner.public + u64(old.closure.sealed_at) + b"".join(digests))
    closure = old.closure._replace(kind=kind, revision=1, digest=derive("deepring v1 ring digest", statement))
    outline = outline_of(closure, headers).digest
    rows = [u32(len(data)) + u64(len(body)) + derive("deepring v1 header digest", data)
            for data, body in zip(with_signatures, bodies)]
    rest = u32(1) + b"".join(rows) + outline_by.sign("deepring v1 sign outline", outline)
    rest += owner.sign("deepring v1 sign closure", closure.digest + rest)
    data = statement + rest + b"".join(with_signatures + bodies)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"DEEPRING" + u16(4) + u16(1) + u32(count) + u64(24 + len(data)) + data)
        file.flush()
        return ring_at(file.name, Given(owner=owner.public))

def found(findings):
    """Verdict, block and part of the first finding."""
    return tuple(findings[0])[:2] + (findings[0].part,) if findings else None

def opened_by(header, *hosts):
    return header._replace(recipients=header.recipients[:1] + [
        Recipient(HOST, host.public, bytes(32), bytes(48)) for host in hosts])

plain, plain_bytes = vector("intact.ring")
starts = plain.closure.bodies_at + [len(plain_bytes)]
bodies = [plain_bytes[start:end] for start, end in zip(starts, starts[1:])]
for at, length, header in zip(plain.closure.headers_at, [row[0] for row in plain.closure.rows], plain.headers):
    check(f"header {header.index}", header_bytes(header) == plain_bytes[at:at + length - 64])

def deal_bytes(genesis=(a, b), legs=((1, 2, a, b), (2, 4, b, c)), by=owner, ring_id=plain.closure.ring_id,
               digest=plain.closure.digest, revision=1, eager=0, signer=None, head=b"RINGDEAL\1\0"):
    def keys(hosts):
        return listed([host.public for host in hosts])

    data = (head + ring_id + digest + u32(revision) + u64(0) + bytes([eager]) + keys(genesis)
            + listed([u32(first) + u32(end) + keys(hosts) for first, end, *hosts in legs]) + by.public)
    return data + (signer or by).sign("deepring v1 sign deal", derive("deepring v1 deal digest", data))

three = ((1, 2, a, b, c), (2, 4, b, c, a))
check("no deal", read_deal(b"") is None)
for what in [{}, {"legs": three}, {"legs": three, "eager": 1}, {"genesis": (c,)}, {"legs": ((1, 9, a, b),)}]:
    check(f"deal: {what}", read_deal(deal_bytes(**what)).copies() == len(what.get("legs", [[0] * 4])[0]) - 2)
for what in [{"head": b"RINGDEAL\2\0"}, {"head": b"RINGDEAD\1\0"}, {"eager": 1}, {"legs": three, "eager": 2},
             {"genesis": ()}, {"genesis": (a, a)}, {"legs": ()}, {"legs": ((2, 4, a, b),)}, {"legs": ((0, 4, a, b),)},
             {"legs": ((1, 2, a, b), (3, 4, a, b))}, {"legs": ((1, 3, a, b), (2, 4, a, b))},
             {"legs": ((1, 1, a, b), (1, 4, a, b))}, {"legs": ((1, 4, a),)}, {"legs": ((1, 4, a, b, c, owner),)},
             {"legs": ((1, 2, a, b), (2, 4, a, b, c))}, {"legs": ((1, 4, a, a),)}]:
    refused(f"deal: {what}", read_deal, deal_bytes(**what))
refused("deal, a byte after it", read_deal, deal_bytes() + b"\0")

def dealt(hosts=(a, b, c), outline_by=owner, at=0, **what):
    headers = [opened_by(header, *hosts) for header in plain.headers]
    headers[at] = headers[at]._replace(deal=read_deal(deal_bytes(**what)))
    return sealed(plain, headers, bodies, outline_by=outline_by)

tampered = TAMPERED
for due, what in [
        (None, {}), (None, {"legs": three, "eager": 1}), (None, {"revision": 0}),
        ((tampered, None, "closure"), {"outline_by": stranger}),
        ((tampered, 1, "header"), {"at": 1}),
        ((tampered, 0, "header"), {"by": stranger}), ((tampered, 0, "header"), {"signer": stranger}),
        ((tampered, 0, "header"), {"ring_id": bytes(16)}), ((tampered, 0, "header"), {"digest": bytes(32)}),
        ((tampered, 0, "header"), {"revision": 2}),
        ((tampered, 0, "header"), {"legs": ((1, 3, a, b),)}), ((tampered, 0, "header"), {"legs": ((1, 5, a, b),)}),
        ((tampered, 0, "header"), {"hosts": (a, b)}), ((tampered, 0, "header"), {"hosts": (b, c)})]:
    check(f"dealt ring: {what}", found(dealt(**what).findings) == due)

# Rings of weights: §7, §8. Genesis, and the shared blocks of another ring.
old, data = vector("intact_with_shared.ring")
genesis, computing, shared = old.headers[0], old.headers[1], old.headers[-1]
chosen = [data[old.closure.bodies_at[h.index]:][:old.closure.rows[h.index][1]] for h in (genesis, shared, computing)]
nothing = genesis._replace(inputs=[], outputs=[])
for kind, due in enumerate([(tampered, 1, "header"), None, (tampered, None, "closure")]):
    check(f"ring of kind {kind}", found(sealed(old, [nothing, shared], chosen[:2], kind).findings) == due)
both = [nothing, computing._replace(parts=computing.own_parts(), plaintext_length=0)]
both[1] = both[1]._replace(plaintext_length=both[1].parts[-1].offset + both[1].parts[-1].length)
check("weights that compute", found(sealed(old, both, chosen[::2], WEIGHTS).findings) == (tampered, 1, "header"))

# Receipts under a deal: §15.
INPUTS, OUTPUTS, OTHER = (batch_digest([bytes([i]) * 32]) for i in (1, 2, 3))
QUERY = bytes([7]) * 32

def checked(headers, code=1):
    return check_bytes(1, 0, 16 * int(code == 3), *([code] * len(header.parts) for header in headers)) + computed_with()

def receipt_file(into, opened_by=a, closed_by=b, deal=None, salt=SALT, signers=(a, b), ends=(2, 4),
                 validators=((b,), (c,)), agrees=agreement(0, 0, 0), outputs=None, query=QUERY, about=None, first=None,
                 code=1, label="validation"):
    """Legs that end with `ends`, each with its signer and validators; from `agrees` on it is what validations say."""
    opening, before = opened_by.record("v2", "opening", (
        QUERY + into.closure.ring_id + into.closure.digest + u64(into.closure.version) + into.headers[0].content
        + (into.headers[0].deal.digest if deal is None else deal) + bytes(32) + salt_commitment(SALT) + INPUTS + u64(0)))
    start, legs = 1, []
    for signer, end, others in zip(signers, ends, validators):
        ran = into.headers[start:end]
        passed_on, given = INPUTS if start == 1 else OTHER, OUTPUTS if end == 4 else OTHER
        contents = listed([header.content for header in ran])
        receipt, before = signer.record("v4", "receipt", (
            QUERY + into.closure.digest + u32(start) + contents + checked(ran) + passed_on + given + before))
        validations = [other.record("v1", label, (
            query + (about or before) + u32(first or start) + contents + checked(ran, code) + passed_on
            + (outputs or given) + agrees))[0] for other in others]
        legs.append(receipt + listed(validations))
        start = end
    data = opening + listed(legs) + listed([bytes([1]) * 32 + bytes([2]) * 32]) + closed_by.public
    return (b"DRECEIPT" + u16(4) + data
            + closed_by.sign("deepring v2 sign decision", derive("deepring v2 decision digest", data)) + salt)

two_copies, three_copies = dealt(), dealt(legs=three)
b_and_c = sorted((b, c), key=lambda host: host.public)
for due, what in [
        (None, {}), (None, {"salt": bytes(32)}), (None, {"closed_by": a}), (None, {"opened_by": b}),
        ((tampered, None, "closure"), {"salt": bytes(31) + b"\1"}), ((tampered, None, "closure"), {"closed_by": c}),
        ((STALE, None, "file"), {"deal": OTHER}), ((tampered, 0, "file"), {"opened_by": c}),
        ((UNTRUSTED, 1, "file"), {"deal": NONE, "validators": ((), ()), "closed_by": a}),
        ((tampered, None, "closure"), {"deal": NONE, "validators": ((), ())}),
        ((tampered, 1, "file"), {"deal": NONE}),
        ((tampered, 2, "file"), {"deal": NONE, "validators": ((), (c,))}),
        ((tampered, 1, "file"), {"signers": (c, b)}), ((tampered, 2, "file"), {"signers": (a, a)}),
        ((tampered, 1, "file"), {"ends": (3, 4)}), ((tampered, None, "closure"), {"ends": (2,)}),
        ((tampered, 1, "file"), {"validators": ((), (c,))}), ((tampered, 2, "file"), {"validators": ((b,), ())}),
        ((tampered, 2, "file"), {"validators": ((b,), (b,))}), ((tampered, 1, "file"), {"validators": ((c,), (c,))}),
        ((tampered, None, "file"), {"validators": ((b, b), (c,))}),
        ((tampered, 1, "file"), {"agrees": agreement(2, INF, 0)}),
        ((tampered, 1, "file"), {"agrees": agreement(2, INF, 0), "outputs": INPUTS}),
        ((tampered, 1, "file"), {"agrees": agreement(1, 1, 1)}),
        ((tampered, 1, "file"), {"agrees": agreement(1, 1, 1), "outputs": INPUTS}), ((tampered, 1, "file"), {"outputs": INPUTS}),
        ((tampered, 1, "file"), {"query": OTHER}), ((tampered, 1, "file"), {"about": OTHER}),
        ((tampered, 1, "file"), {"first": 3}), ((tampered, 1, "file"), {"label": "receipt"}),
        ((tampered, 1, "body"), {"code": 3}),
        (None, {"into": three_copies, "validators": (b_and_c, (c,))}),
        ((tampered, None, "file"), {"into": three_copies, "validators": (b_and_c[::-1], (c,))}),
        ((STALE, None, "file"), {"into": three_copies, "deal": two_copies.headers[0].deal.digest})]:
    into = what.pop("into", two_copies)
    check(f"receipt: {what}", found(verify_receipt(receipt_file(into, **what), into.outline())[1]) == due)

# The grader: a command that finds everything intact, or tries nothing, does not pass.
def graded(*command):
    return subprocess.run([sys.executable, GRADE, "--kind", "deal", sys.executable, "-c", *command],
                          stdout=subprocess.PIPE, check=False)

GRADE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grade.py")
intact, tampered_too = (sum(vector["kind"] == "deal" and (vector["verdict"] == "intact") == fine
                            for _, vector in vectors_of(VECTORS)) for fine in (True, False))
for command, words in {"": [intact, tampered_too, 0], "exit(64)": [0, 0, intact + tampered_too],
                       "exit('x')": [0, intact + tampered_too, 0]}.items():
    ran = graded(command)
    line = "{} right, {} wrong, {} not tried".format(*words)
    check(f"grade {command}", ran.returncode == 1 and ran.stdout.decode().strip().split("\n")[-1] == line)

# Each rule has a vector that needs it.
needed, unneeded = mutants.run(VECTORS)
check(f"rules that no vector needs: {sorted(unneeded)}", not unneeded)
passed += needed
print(f"{passed} checks passed, of which {needed} are rules that were broken")
