#!/usr/bin/env python3
"""A second reader of DeepRing's format, written from docs/FORMAT.md.

    ring.py verify RING --owner owner.pub [--trust trust.json] [--key host.key] [--json]
    ring.py receipt RECEIPT --ring RING --owner owner.pub [--trust trust.json] [--json]
    ring.py vectors vectors/

Exit status: 0 intact, 3 tampered, 4 untrusted, 5 stale, 1 could not do, 2 wrong usage.
"§" in the comments is a section of FORMAT.md, "check" a row of the table in §12 or §15.
It reads; it does not seal, grant or run. Plain before fast.
"""

import argparse
import hmac
import json
import os
import re
import struct
import sys
from collections import namedtuple

from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

INTACT, STALE, UNTRUSTED, TAMPERED = "intact", "stale", "untrusted", "tampered"
VERDICTS = [INTACT, STALE, UNTRUSTED, TAMPERED]                      # from good to bad
EXIT = {INTACT: 0, TAMPERED: 3, UNTRUSTED: 4, STALE: 5}
PARTS = ["header", "body", "link", "closure", "file"]                # in the order of findings

CHUNK, TAG, ALIGN, SHARED_ALIGN = 65536, 16, 64, 65536
OWNER, HOST = 0, 1                                                   # roles
NETWORK, WEIGHTS = 0, 1                                              # kinds of rings
MANIFEST, GRAPH, PARAMETER, SHARED = 0, 1, 2, 4                      # kinds of parts
CHECKS = ["none", "load", "spot", "run", "auto", "compute"]
UNCHECKED, OPENED, ROWS, PRODUCT, BYTES, EITHER, BOTH, RECOMPUTED = range(8)      # coverage of a part, §14
SAME, NEAR, DIFFERS = range(3)                                       # agreement of a validation
NONE = bytes(32)                                                     # a digest or a salt that is left out
ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}

class Refused(ValueError):
    """These bytes are not what the encoder would have written."""

# §3 conventions -----------------------------------------------------------------------------------

class Reader:
    """Takes fields off bytes, never beyond their end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, n):
        if n > len(self.data) - self.at:
            raise Refused(f"ends inside a field of {n} bytes")
        self.at += n
        return bytes(self.data[self.at - n:self.at])

    def number(self, size):
        return int.from_bytes(self.raw(size), "little")

    def u8(self): return self.number(1)
    def u16(self): return self.number(2)
    def u32(self): return self.number(4)
    def u64(self): return self.number(8)

    def string(self):
        n = self.u16()
        if n > 4096:
            raise Refused(f"a string of {n} bytes")
        try:
            return self.raw(n).decode("utf-8")                       # strict: no overlong forms, no surrogates
        except UnicodeDecodeError:
            raise Refused("a string that is not UTF-8") from None

    def bytes(self, limit):
        n = self.u32()
        if n > limit:
            raise Refused(f"a field of {n} bytes")
        return self.raw(n)

    def list(self, limit, smallest, item):
        """`item` reads one element, which takes at least `smallest` bytes."""
        n = self.u32()
        if n > limit or n * smallest > len(self.data) - self.at:
            raise Refused(f"a list of {n}")
        return [item() for _ in range(n)]

    def end(self):
        if self.at != len(self.data):
            raise Refused("bytes too many")

def u16(n): return n.to_bytes(2, "little")
def u32(n): return n.to_bytes(4, "little")
def u64(n): return n.to_bytes(8, "little")
def string(text): return u16(len(text.encode())) + text.encode()
def listed(items): return u32(len(items)) + b"".join(items)

# §4 primitives ------------------------------------------------------------------------------------

def derive(label, data):
    return blake3(data, derive_key_context=label).digest()

# x = 0 means y = 1 or y = -1, so these cover "x = 0 with the sign bit", too.
SMALL_ORDER = [int.from_bytes(bytes.fromhex(y), "little") for y in [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"]]

def signed(public_key, label, message, signature):
    """Ed25519 with the first half of a 64-byte public key."""
    y = int.from_bytes(public_key[:32], "little") % 2 ** 255         # OpenSSL takes what §4 refuses
    if y >= 2 ** 255 - 19 or y in SMALL_ORDER:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key[:32])
        key.verify(signature, label.encode() + b"\0" + message)
        return True
    except (InvalidSignature, ValueError):
        return False

def gcm_open(key, nonce, aad, ciphertext):
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except (InvalidTag, ValueError):
        raise Refused("does not decrypt") from None

def hpke_open(secret, enc, info, aad, ciphertext):
    """RFC 9180 single-shot base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""
    kem_suite = b"KEM" + bytes.fromhex("0020")
    suite = b"HPKE" + bytes.fromhex("0020 0001 0002")

    def extract(suite, salt, label, ikm):
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(suite, prk, label, info, length):                     # length ≤ 32: one round of HKDF-Expand
        info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
        return hmac.digest(prk, info + b"\x01", "sha256")[:length]

    private = X25519PrivateKey.from_private_bytes(secret)
    try:
        dh = private.exchange(X25519PublicKey.from_public_bytes(enc))
    except ValueError:                                               # all-zero shared secret
        raise Refused("no valid encapsulated key") from None
    kem_context = enc + private.public_key().public_bytes_raw()
    shared = expand(kem_suite, extract(kem_suite, b"", b"eae_prk", dh), b"shared_secret", kem_context, 32)
    context = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    prk = extract(suite, shared, b"secret", b"")
    return gcm_open(expand(suite, prk, b"key", context, 32), expand(suite, prk, b"base_nonce", context, 12),
                    aad, ciphertext)

# §17 keys -----------------------------------------------------------------------------------------

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

def bech32m_decode(text):
    """BIP 350, without the limit of 90 characters. Returns the human-readable part and the bytes."""
    if any(not 33 <= ord(c) <= 126 for c in text) or text not in (text.lower(), text.upper()):
        raise Refused("mixed case or a character that Bech32m does not know")
    hrp, _, data = text.lower().rpartition("1")
    if not hrp or len(data) < 6 or any(c not in BECH32 for c in data):
        raise Refused("not Bech32m")
    data = [BECH32.index(c) for c in data]
    check = 1
    for v in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + data:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ v
        for i, g in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            check ^= g if top >> i & 1 else 0
    if check != 0x2BC830A3:
        raise Refused("wrong checksum")
    value = 0
    for v in data[:-6]:
        value = value << 5 | v
    bits = 5 * (len(data) - 6)
    padding = bits % 8
    if padding > 4 or value & ((1 << padding) - 1):
        raise Refused("padding that is not zero")
    return hrp, (value >> padding).to_bytes(bits // 8, "big")

def key_bytes(text, hrp):
    found, data = bech32m_decode(text)
    if found != hrp:
        raise Refused(f"a key of the kind '{found}' where '{hrp}' is due")
    if len(data) != 64:
        raise Refused("a key is 64 bytes")
    return data

def key_line(path):
    with open(path, "rb") as file:
        data = file.read(16385)
    if len(data) > 16384:
        raise Refused("a key file of more than 16 KiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("a key file that is not text") from None
    for line in map(str.strip, text.split("\n")):
        if line and not line.startswith("#"):
            return line
    raise Refused("a key file without a key")

def read_owner(path):
    return key_bytes(key_line(path), "drowner")

SecretKey = namedtuple("SecretKey", "role public x25519")

def read_secret(path):
    line = key_line(path)
    role = OWNER if line.lower().startswith("drowner") else HOST
    data = key_bytes(line, "drownersecret" if role == OWNER else "drhostsecret")
    public = (Ed25519PrivateKey.from_private_bytes(data[:32]).public_key().public_bytes_raw()
              + X25519PrivateKey.from_private_bytes(data[32:]).public_key().public_bytes_raw())
    return SecretKey(role, public, data[32:])

# §18 trust store ----------------------------------------------------------------------------------

Trust = namedtuple("Trust", "owners rings paths")      # rings: (owner, id) → (version, digest); paths: name → (owner, id)

def parse_trust(data):
    def check(value, kind, good=True):
        if type(value) is not kind or not (good if type(good) is bool else re.fullmatch(good, value)):
            raise Refused("the trust store has another form")
        return value

    def members(value, *names):
        return check(value, dict, set(check(value, dict)) == set(names))

    def unique(pairs):
        return check(dict(pairs), dict, len(dict(pairs)) == len(pairs))

    def owner_key(text):
        return key_bytes(check(text, str), "drowner")

    def hexadecimal(text, digits):
        return bytes.fromhex(check(text, str, f"[0-9a-f]{{{digits}}}"))

    try:
        store = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the trust store: {error}") from None
    members(store, "format", "owners", "rings", "paths", "ledgers", "ledger_paths")
    check(store["format"], int, store["format"] == 2)
    for head in check(store["ledgers"], dict).values():              # ledgers have no part in a verdict
        members(head, "size", "checkpoint")
        check(head["checkpoint"], str, type(head["size"]) is int)
    owners = [owner_key(owner) for owner in check(store["owners"], list)]
    rings = {}
    for owner, seen_rings in check(store["rings"], dict).items():
        for ring_id, seen in check(seen_rings, dict).items():
            members(seen, "model_version", "digest", "ledgers")
            version = check(seen["model_version"], int)
            rings[owner_key(owner), hexadecimal(ring_id, 32)] = (
                check(version, int, 0 <= version < 2 ** 64), hexadecimal(seen["digest"], 64))
            check(seen["ledgers"], list, all(key in store["ledgers"] for key in seen["ledgers"]))
    paths = {}
    for name, bound in check(store["paths"], dict).items():
        members(bound, "owner", "ring")
        paths[name] = owner_key(bound["owner"]), hexadecimal(bound["ring"], 32)
    check(store["ledger_paths"], dict, all(key in store["ledgers"] for key in store["ledger_paths"].values()))
    return Trust(owners, rings, paths)

def read_trust(path):
    try:
        with open(path, "rb") as file:
            data = file.read(2 ** 26 + 1)
    except FileNotFoundError:
        return Trust([], {}, {})
    if len(data) > 2 ** 26:
        raise Refused("a trust store of more than 64 MiB")
    return parse_trust(data)

def path_name(path):
    """A path without `.` and repeated slashes, but with its links and `..`; or `bytes:` where it is no text."""
    path = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    try:
        path.encode()
        return path
    except UnicodeEncodeError:
        return "bytes:" + os.fsencode(path).hex()

# §6 preamble, §7 closure --------------------------------------------------------------------------

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

# §8 header, §9 body -------------------------------------------------------------------------------

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
    if element not in ELEMENT_BYTES:
        raise Refused(f"element type {element}")
    if rank == 255:
        return TensorSpec(name, element, None)
    if rank > 32:
        raise Refused(f"rank {rank}")
    dims = []
    for _ in range(rank):
        kind = r.u8()
        if kind > 1:
            raise Refused(f"dimension of kind {kind}")
        dims.append(r.u64() if kind == 0 else r.string())
    return TensorSpec(name, element, dims)

def spec_bytes(spec):
    dims = [b"\1" + string(dim) if isinstance(dim, str) else b"\0" + u64(dim) for dim in spec.dims or []]
    rank = 255 if spec.dims is None else len(dims)
    return string(spec.name) + bytes([spec.element, rank]) + b"".join(dims)

def read_part(r):
    kind = r.u8()
    if kind not in (MANIFEST, GRAPH, PARAMETER, SHARED):
        raise Refused(f"part of kind {kind}")
    spec = read_spec(r) if kind in (PARAMETER, SHARED) else None
    block = r.u32() if kind == SHARED else None
    return Part(kind, spec, block, r.u64(), r.u64())

def read_recipient(r):
    role = r.u8()
    if role > 1:
        raise Refused(f"role {role}")
    return Recipient(role, r.raw(64), r.raw(32), r.raw(48))

def check_parts(header):
    kinds = [p.kind for p in header.parts]
    parameters, shared = ([kind] * kinds.count(kind) for kind in (PARAMETER, SHARED))
    allowed = [parameters, parameters + [GRAPH] + shared] if header.index else [[MANIFEST]]
    if not kinds or kinds not in allowed:
        raise Refused("parts that this block does not have")
    blocks = [p.block for p in header.shared_parts()]
    if blocks != sorted(blocks) or any(not header.index < block < header.count for block in blocks):
        raise Refused("shared parameters of blocks out of order, or of none behind this one")
    end = chunks = 0
    before = None                                                    # the shared block of the part before
    for part in header.parts:
        align = SHARED_ALIGN if part.kind == SHARED and part.block != before else ALIGN
        if part.length < 1 or part.offset != -(-end // align) * align:
            raise Refused("parts that do not follow each other")
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
                if isinstance(dim, str):
                    raise Refused("a parameter of no fixed shape")
                size *= dim
            if size != part.length:
                raise Refused("a parameter of another length than its shape's")
    if end != header.plaintext_length:
        raise Refused("another plaintext length than the parts'")
    if chunks != len(header.chunks):
        raise Refused("another number of chunks than the own parts'")

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
    if header.deal and header.index:
        raise Refused("a deal, and not Genesis")
    return header

# §20 deal -----------------------------------------------------------------------------------------

Leg = namedtuple("Leg", "first end hosts")

class Deal(namedtuple("Deal", "ring_id ring revision dealt_at eager genesis legs owner signature digest encoded")):
    """As §20 has it. ring, digest: of the ring, of the deal without its signature."""

    def copies(self):
        return len(self.legs[0].hosts)

def read_deal(data):
    """None for no bytes."""
    if not data:
        return None
    r = Reader(data)
    if r.raw(8) != b"RINGDEAL" or r.u16() != 1:
        raise Refused("not a deal of this format version")
    fields = r.raw(16), r.raw(32), r.u32(), r.u64(), r.u8()
    genesis = read_hosts(r, 4096)
    legs = r.list(65536, 12, lambda: Leg(r.u32(), r.u32(), read_hosts(r, 3)))
    deal = Deal(*fields, genesis, legs, r.raw(64), r.raw(64), derive("deepring v1 deal digest", data[:-64]), data)
    r.end()
    if not genesis or not legs:
        raise Refused("a deal without hosts of Genesis or without legs")
    begins = [1] + [leg.end for leg in legs]
    if any(leg.first != first or leg.end <= first for leg, first in zip(legs, begins)):
        raise Refused("legs that do not follow each other")
    if deal.copies() < 2 or any(len(leg.hosts) != deal.copies() for leg in legs):
        raise Refused("legs of one host, or of different numbers of them")
    if deal.eager > (deal.copies() == 3):
        raise Refused("another value of eager than the copies allow")
    return deal

def read_hosts(r, limit):
    hosts = r.list(limit, 64, lambda: r.raw(64))
    if len(set(hosts)) != len(hosts):
        raise Refused("one host twice")
    return hosts

# §21 outline --------------------------------------------------------------------------------------

def outline_bytes(closure, headers):
    """The outline that closure and headers make, without its signature."""
    genesis = headers[0]
    hosts = list(dict.fromkeys(host for header in headers for host in header.hosts()))     # by their first use
    if len(hosts) > 65536:
        raise Refused(f"{len(hosts)} hosts")
    places = {host: u16(place) for place, host in enumerate(hosts)}
    kinds = {MANIFEST: 0, GRAPH: 1, PARAMETER: 2, SHARED: 2}
    blocks = [string(header.name) + header.content + listed([places[host] for host in header.hosts()])
              + listed([bytes([kinds[part.kind]]) for part in header.parts]) for header in headers]
    deal = genesis.deal.encoded if genesis.deal else b""
    return (b"DOUTLINE" + u16(1) + u16(closure.kind) + closure.ring_id + u64(closure.version) + closure.digest
            + closure.previous + closure.owner + u64(closure.sealed_at) + u32(closure.revision)
            + listed([spec_bytes(spec) for spec in genesis.outputs])  # the network's inputs
            + listed([spec_bytes(spec) for spec in genesis.inputs])
            + listed(hosts) + listed(blocks) + u32(len(deal)) + deal)

# Findings -----------------------------------------------------------------------------------------

# block: None if about no block; name: of the block; span: bytes of the file
Finding = namedtuple("Finding", "verdict block name part tensor span reason")

def in_order(findings):
    findings = sorted(findings, key=lambda f: (f.block is None, f.block or 0, PARTS.index(f.part)))
    joined = []
    for f in findings:
        last = joined[-1] if joined else None
        if (last and f.tensor is not None and f.span and last.span and last.span[1] == f.span[0]
                and (last.block, last.part, last.tensor) == (f.block, f.part, f.tensor)):
            joined[-1] = last._replace(span=(last.span[0], f.span[1]))
        else:
            joined.append(f)
    return joined

def worst(findings):
    return max([f.verdict for f in findings], key=VERDICTS.index, default=INTACT)

# §12 verifying a ring -----------------------------------------------------------------------------

class Ring:
    def __init__(self, file):
        self.file, self.findings, self.closure, self.strange_key = file, [], None, False
        self.headers = []                                            # None where a header did not pass 9 … 13

    def add(self, verdict, block, part, reason, tensor=None, span=None):
        header = self.headers[block] if block is not None and block < len(self.headers) else None
        self.findings.append(Finding(verdict, block, header and header.name, part, tensor, span, reason))

    def end_of_computing(self):
        """One past the last block that computes: where the shared ones begin."""
        return next((i for i, header in enumerate(self.headers) if header.is_shared()), len(self.headers))

    def deal(self):
        return self.headers[0].deal

    def verdict(self):
        return UNTRUSTED if self.strange_key else worst(self.findings)

def verify_ring(file, owner=None, trust=None, key=None, bodies=True):
    """Checks 1 … 16, and those of §20 after 14; without `bodies` none after these."""
    ring = Ring(file)
    if read_ring(ring, owner, trust):
        if None not in ring.headers:
            check_shared(ring)
            check_wiring(ring)
            check_deal(ring)
            check_outline(ring)
        if bodies:
            for index, header in enumerate(ring.headers):
                if header:
                    check_chunks(ring, index, header)
            if key and not ring.findings:
                check_key(ring, key)
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
    if not closure.signature_fits():                                 # check 4
        ring.add(TAMPERED, None, "closure", "the owner's signature does not fit", span=closure_span(count))
        return False
    ring.closure = closure
    if length != closure.file_length:                                # check 5
        ring.add(TAMPERED, None, "file", "the preamble's file length is not the closure's", span=(16, 24))
    if file.size > closure.file_length:                              # check 6
        ring.add(TAMPERED, None, "file", "bytes after the end", span=(closure.file_length, file.size))
    elif file.size < closure.file_length:
        ring.add(TAMPERED, None, "file", "the file is cut short", span=(file.size, closure.file_length))

    named = closure.owner, closure.ring_id
    if trust and any(trust.paths.get(name, named) != named for name in file.names):          # check 7
        ring.add(UNTRUSTED, None, "closure", "the path is bound to another ring")
        return False
    if owner is not None:
        trusted = closure.owner == owner
    else:
        trusted = closure.owner in trust.owners and (
            named in trust.rings or not any(ring_id == closure.ring_id for _, ring_id in trust.rings))
    if not trusted:
        ring.add(UNTRUSTED, None, "closure", "the owner is not trusted")
        return False
    if trust and named in trust.rings:                               # check 8
        version, digest = trust.rings[named]
        if closure.version < version:
            ring.add(STALE, None, "closure", f"version {version} was seen before")
        elif closure.version == version and closure.digest != digest:
            ring.add(STALE, None, "closure", "another ring of this version was seen before")

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
    if derive("deepring v1 header digest", data) != closure.rows[index][2]:
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
        (header.signature_fits(closure.owner), "signature")] if not fits]
    if header.previous != closure.bodies[(index - 1) % closure.count]:
        problems.append((TAMPERED, "link", "previous body is not the block before"))
    if header.next != closure.bodies[(index + 1) % closure.count]:
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
                (all(shares_all_of(header, block, ring.headers[block]) for block in header.shared_blocks()),
                 "shares what the shared block does not hold")]:
            if not fits:
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
            if given.get(spec.name) != spec.element:
                ring.add(TAMPERED, index, "header", f"nothing before gives {spec.name!r}")
        if index:
            given.update({spec.name: spec.element for spec in header.outputs})

def check_deal(ring):
    """§20: a deal in Genesis' header; one finding."""
    deal, closure = ring.deal(), ring.closure
    if not deal:
        return
    granted = [(host, 0) for host in deal.genesis]
    ended = deal.legs[-1].end == ring.end_of_computing()
    if ended:
        granted += [(host, block) for leg in deal.legs for block in range(leg.first, leg.end) for host in leg.hosts]
    hosts = [set(header.hosts()) for header in ring.headers]
    for fits, reason in [
            (deal.owner == closure.owner and signed(deal.owner, "deepring v1 sign deal", deal.digest, deal.signature),
             "not signed by the ring's owner"),
            ((deal.ring_id, deal.ring) == (closure.ring_id, closure.digest), "of another ring"),
            (deal.revision <= closure.revision, "of a later revision"),
            (ended, "does not end with the last block that computes"),
            (all(host in hosts[block] for host, block in granted), "names a host for a block that it cannot open")]:
        if not fits:
            ring.add(TAMPERED, 0, "header", f"the deal: {reason}")
            break

def check_outline(ring):
    """§20: the outline signature."""
    closure = ring.closure
    try:
        digest = derive("deepring v1 outline digest", outline_bytes(closure, ring.headers))
        fits = signed(closure.owner, "deepring v1 sign outline", digest, closure.outline_signature)
    except Refused:
        fits = False
    if not fits:
        ring.add(TAMPERED, None, "closure", "the outline signature does not fit")

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
    """Check 16."""
    ring.strange_key = True
    for index, header in enumerate(ring.headers):
        if is_for(ring, header, key):
            ring.strange_key = False
            open_block(ring, index, key, index)

# §10 opening a block, §11 manifest ----------------------------------------------------------------

def recipients_of(header, key):
    return [r for r in header.recipients if (r.role, r.public) == (key.role, key.public)]

def is_for(ring, header, key):
    used = [ring.headers[block] for block in header.shared_blocks()]
    return all(recipients_of(h, key) for h in [header] + used)

def open_block(ring, index, key, about):
    """Opens a block; what is refused is a finding about block `about`: this one, or one that shares it. Whether it
    opened: it does not either if it is not for this key, which is no finding."""
    header = ring.headers[index]
    mine = recipients_of(header, key)                                # step 1
    if not mine:
        return False
    try:                                                             # step 2
        block_key = unwrap(header, mine[0], key)
    except Refused as e:
        ring.add(TAMPERED, about, "header", f"the block key: {e}")
        return False
    return open_body(ring, index, block_key, key, about)

def unwrap(header, recipient, key):
    info = b"deepring v1 wrap block key\0" + header.ring_id + u32(header.index)
    block_key = hpke_open(key.x25519, recipient.enc, info, key.public, recipient.wrapped)
    if derive("deepring v1 block key commitment", block_key) != header.commitment:
        raise Refused("is not the one that the header commits to")
    return block_key

def open_body(ring, index, block_key, key, about):
    """Steps 3 to 5 of §10, over chunks whose hashes fit. The plaintext goes through the digest, not into memory."""
    header = ring.headers[index]
    cipher_key = derive("deepring v1 chunk encryption key", block_key)
    content = blake3(key=derive("deepring v1 content digest key", block_key))
    aad = header.ring_id + u64(header.version) + u32(header.index) + bytes(4)
    body, done, part_before = ring.closure.bodies_at[index], 0, None
    for number, part, at, length in header.each_chunk():
        if part is not part_before:
            content.update(bytes(part.offset - done))                # the padding
            done, part_before = part.offset, part
        nonce = number.to_bytes(11, "big") + bytes([number == len(header.chunks) - 1])
        try:
            plaintext = gcm_open(cipher_key, nonce, aad, ring.file.read(body + at, length))
        except Refused as e:
            ring.add(TAMPERED, about, "body", str(e), part.name(), (body + at, body + at + length))
            return False
        content.update(plaintext)
        done += len(plaintext)
    for block in header.shared_blocks():
        if not open_block(ring, block, key, about):
            return False
        content.update(ring.headers[block].content)
    if content.digest() != header.content:
        ring.add(TAMPERED, about, "body", "the content digest does not fit")
        return False
    return True

def read_manifest(data):
    r = Reader(data)
    manifest = {"model": r.string(), "producer": r.string(), "opset": r.u64(), "preprocess": r.string(),
                "labels": r.list(2 ** 20, 2, r.string)}
    r.end()
    return manifest

# §13 tensors --------------------------------------------------------------------------------------

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

# §14 receipt file ---------------------------------------------------------------------------------

Opening = namedtuple("Opening", "query ring_id ring version genesis deal nonce salt inputs opened_at host signature "
                                "digest")                              # salt: the commitment to it
# check: (code, share); coverage: codes, a block
Receipt = namedtuple("Receipt", "query ring first contents check rotation coverage computed_with inputs outputs "
                                "previous host signature digest")
Validation = namedtuple("Validation", "query receipt first contents check rotation coverage computed_with inputs "
                                      "outputs agreement host signature digest")
# legs: (receipt, validations); items: (inputs, outputs)
Decision = namedtuple("Decision", "opening legs items host signature salt digest")

def read_opening(r):
    start = r.at
    fields = (r.raw(32), r.raw(16), r.raw(32), r.u64(), r.raw(32), r.raw(32), r.raw(32), r.raw(32), r.raw(32), r.u64(),
              r.raw(64))
    digest = derive("deepring v2 opening digest", r.data[start:r.at])
    return Opening(*fields, r.raw(64), digest)

def claims(check, parts):
    """Whether the parts of one block may have had this coverage, where a receipt states this check."""
    if CHECKS[check] == "spot":
        return all(c == OPENED for c in parts) or all(c == BYTES for c in parts)
    allowed = {"none": (UNCHECKED,), "load": range(OPENED, RECOMPUTED + 1), "run": (BYTES,),
               "auto": (ROWS, PRODUCT, BYTES, EITHER, BOTH, RECOMPUTED),
               "compute": (ROWS, PRODUCT, BYTES, EITHER, BOTH, RECOMPUTED)}[CHECKS[check]]
    return all(c in allowed for c in parts)

def read_check(r):
    """Check with its share, rotation and coverage, which must not contradict each other."""
    code, share = r.u8(), r.u32()
    if code >= len(CHECKS):
        raise Refused(f"check {code}")
    if not (1 <= share <= 999_999 if CHECKS[code] == "spot" else share == 0):
        raise Refused(f"{CHECKS[code]} with a share of {share} millionths")
    rotation = r.u16()
    coverage = r.list(65536, 4, lambda: r.bytes(2 ** 20))
    for parts in coverage:
        if any(c > RECOMPUTED for c in parts):
            raise Refused("an unknown coverage")
        if not claims(code, parts):
            raise Refused(f"coverage that {CHECKS[code]} does not claim")
    if any(PRODUCT in parts or EITHER in parts for parts in coverage) != (rotation > 0):
        raise Refused(f"a rotation of {rotation} contradicts the coverage")
    return (code, share), rotation, coverage

def read_computed_with(r):
    """Engine, library, processor and threads."""
    engine, library, processor, threads = r.string(), r.raw(32), r.string(), r.u16()
    for name in engine, processor:
        if not re.fullmatch("[ -~]{1,64}", name):
            raise Refused("a name of 0 or of more than 64 bytes, or that is not printable")
    if not threads:
        raise Refused("0 threads")
    return engine, library, processor, threads

def read_agreement(r):
    """The code, the largest difference and its bound."""
    code, numbers = r.u8(), r.raw(8)
    largest, bound = struct.unpack("<ff", numbers)                   # what is no number compares as false
    finite = 0 < bound < float("inf")
    if not {SAME: numbers == bytes(8), NEAR: finite and 0 < largest <= bound,
            DIFFERS: (finite or numbers[4:] == bytes(4)) and largest > bound}.get(code):
        raise Refused(f"agreement {code} with a difference of {largest} and a bound of {bound}")
    return code, largest, bound

def read_receipt(r):
    start = r.at
    fields = (r.raw(32), r.raw(32), r.u32(), r.list(65536, 32, lambda: r.raw(32)), *read_check(r),
              read_computed_with(r), r.raw(32), r.raw(32), r.raw(32), r.raw(64))
    digest = derive("deepring v4 receipt digest", r.data[start:r.at])
    return Receipt(*fields, r.raw(64), digest)

def read_validation(r):
    start = r.at
    fields = (r.raw(32), r.raw(32), r.u32(), r.list(65536, 32, lambda: r.raw(32)), *read_check(r),
              read_computed_with(r), r.raw(32), r.raw(32), read_agreement(r), r.raw(64))
    digest = derive("deepring v1 validation digest", r.data[start:r.at])
    return Validation(*fields, r.raw(64), digest)

def read_leg(r):
    receipt, validations = read_receipt(r), r.list(2, 324, lambda: read_validation(r))
    hosts = [validation.host for validation in validations]
    if hosts != sorted(set(hosts)):
        raise Refused("validations out of order, or two of one host")
    return receipt, validations

def read_decision(data):
    r = Reader(data)
    if r.raw(8) != b"DRECEIPT":
        raise Refused("not a receipt")
    if r.u16() != 4:
        raise Refused("another format version")
    opening = read_opening(r)
    legs = r.list(65536, 351, lambda: read_leg(r))
    items = r.list(2 ** 20, 64, lambda: (r.raw(32), r.raw(32)))
    decision = Decision(opening, legs, items, r.raw(64), r.raw(64), r.raw(32),
                        derive("deepring v2 decision digest", data[10:-96]))
    r.end()
    return decision

# §15 verifying a receipt --------------------------------------------------------------------------

def verify_receipt(data, ring):
    """Against a ring without findings. Returns the decision (None if it does not decode) and findings: none or one."""
    def failed(verdict, block, part, reason):
        block = block if block is not None and block < ring.end_of_computing() else None
        name = None if block is None else ring.headers[block].name
        return decision, [Finding(verdict, block, name, part, None, None, reason)]

    decision = None
    try:                                                             # check 1
        decision = read_decision(data)
    except Refused as e:
        return failed(TAMPERED, None, "file", f"the receipt: {e}")
    opening, legs, items = decision.opening, decision.legs, decision.items
    problem, ended = check_chain(opening, legs, ring)                # checks 2 … 14b
    if problem:
        return failed(*problem)
    deal = ring.deal() if opening.deal != NONE else None
    for fits, reason in [
            (ended == ring.end_of_computing(), "not all blocks ran"),  # checks 15 … 19
            (items, "there is no item"),
            (batch_digest([i for i, _ in items]) == opening.inputs, "other inputs than the opening's"),
            (legs and batch_digest([o for _, o in items]) == legs[-1][0].outputs,
             "other outputs than the last receipt's"),
            (decision.salt == NONE or salt_commitment(decision.salt) == opening.salt,
             "another salt than the opening commits to"),
            (decision.host in (deal.genesis if deal else [opening.host]), "closed by a host that is not due"),
            (signed(decision.host, "deepring v2 sign decision", decision.digest, decision.signature),
             "the closing signature does not fit")]:
        if not fits:
            return failed(TAMPERED, None, "closure", reason)
    for receipt, validations in legs:                                # check 20, also of a query under no deal
        if ring.deal() and not validations:
            return failed(UNTRUSTED, receipt.first, "file", "less validated than the ring's deal promises")
    return decision, []

def stands_for(code, kind):
    """Whether a part of this kind can have had this coverage."""
    if code in (ROWS, PRODUCT, EITHER, BOTH):
        return kind in (PARAMETER, SHARED)
    return code != RECOMPUTED or kind == GRAPH

def check_chain(opening, legs, ring):
    """Checks 2 … 14b. Returns the first problem (or None) and one past the last block that ran."""
    closure, deal, dealt = ring.closure, ring.deal(), opening.deal != NONE
    older = opening.ring_id == closure.ring_id and opening.version != closure.version
    for fits, verdict, block, reason in [
            (signed(opening.host, "deepring v2 sign opening", opening.digest, opening.signature),
             TAMPERED, 0, "the opening's signature does not fit"),
            (opening.ring == closure.digest, STALE if older else TAMPERED, None, "a receipt of another ring"),
            ((opening.ring_id, opening.version) == (closure.ring_id, closure.version),
             TAMPERED, 0, "another ring id or model version"),
            (opening.host in ring.headers[0].hosts(), STALE, 0, "this revision names no such host of Genesis"),
            (opening.genesis == ring.headers[0].content, TAMPERED, 0, "another Genesis"),
            (not dealt or deal and deal.digest == opening.deal, STALE, None, "this revision has no such deal"),
            (not dealt or deal and opening.host in deal.genesis, TAMPERED, 0, "the deal names others for Genesis")]:
        if not fits:
            return (verdict, block, "file", reason), 1
    b, before, passed_on = 1, opening, opening.inputs
    for receipt, validations in legs:
        end = receipt.first + len(receipt.contents)
        leg = next((leg for leg in deal.legs if leg.first == b), Leg(0, 0, [])) if dealt else None
        for fits, reason in [
                (signed(receipt.host, "deepring v4 sign receipt", receipt.digest, receipt.signature),
                 "the receipt's signature does not fit"),
                ((receipt.query, receipt.ring) == (opening.query, opening.ring), "a receipt of another query"),
                (receipt.previous == before.digest, "previous is not the record before"),
                (receipt.inputs == passed_on, "other inputs than what was passed on"),
                (receipt.first == b and receipt.contents, "blocks left out, twice or none"),
                (len(receipt.coverage) == len(receipt.contents), "coverage of other blocks than ran"),
                (end <= ring.end_of_computing(), "more blocks than compute"),
                (not dealt or (receipt.first, end) == (leg.first, leg.end), "other blocks than a leg of the deal"),
                (not dealt or receipt.host in leg.hosts, "signed by a host that is no copy of the leg")]:
            if not fits:
                return (TAMPERED, b, "file", reason), b
        problem = check_blocks(receipt, ring) or check_validations(validations, receipt, leg, ring)
        if problem:
            return problem, b
        b, before, passed_on = end, receipt, receipt.outputs
    return None, b

def check_blocks(record, ring):
    """Check 14 of a receipt or a validation: the first problem, or None."""
    for block, (content, coverage) in enumerate(zip(record.contents, record.coverage), record.first):
        header = ring.headers[block]
        for fits, verdict, reason in [
                (content == header.content, TAMPERED, "other content ran than the ring's"),
                (record.host in header.hosts(), STALE, "this revision names no such host of the block"),
                (len(coverage) == len(header.parts), TAMPERED, "coverage of other parts than the block has"),
                (all(stands_for(c, part.kind) for part, c in zip(header.parts, coverage)),
                 TAMPERED, "coverage that a part of that kind cannot have")]:
            if not fits:
                return verdict, block, "body", reason
    return None

def check_validations(validations, receipt, leg, ring):
    """Checks 14a and 14b; leg: the deal's, None for a query under no deal. The first problem, or None."""
    if leg is None:
        return (TAMPERED, receipt.first, "file", "validations, and no deal") if validations else None
    if not validations:
        return TAMPERED, receipt.first, "file", "no other copy of the leg validated the receipt"
    for v in validations:
        for fits, reason in [
                (v.agreement[0] != DIFFERS, "an objection in the place of a validation"),
                (signed(v.host, "deepring v1 sign validation", v.digest, v.signature),
                 "the validation's signature does not fit"),
                ((v.query, v.receipt) == (receipt.query, receipt.digest), "a validation of another receipt"),
                ((v.first, v.contents, v.inputs) == (receipt.first, receipt.contents, receipt.inputs),
                 "a validation of other blocks or inputs"),
                (v.host != receipt.host, "a host validates its own receipt"),
                ((v.agreement[0] == SAME) == (v.outputs == receipt.outputs), "agreement that the outputs contradict"),
                (v.host in leg.hosts, "validated by a host that is no copy of the leg"),
                (len(v.coverage) == len(v.contents), "coverage of other blocks than the validation's")]:
            if not fits:
                return TAMPERED, receipt.first, "file", reason
        problem = check_blocks(v, ring)
        if problem:
            return problem
    return None

# Commands -----------------------------------------------------------------------------------------

def verify_ring_at(path, owner, trust, key=None, bodies=True):
    with open(path, "rb") as file:
        return verify_ring(RingFile(file), owner, trust, key, bodies)

def verify_receipt_at(path, ring_path, owner, trust):
    """Findings about a receipt, or about its ring, whose checks without bodies come first; and the decision."""
    ring = verify_ring_at(ring_path, owner, trust, bodies=False)
    if ring.findings:
        return ring.findings, None
    with open(path, "rb") as file:
        data = file.read(2 ** 32)
    decision, findings = verify_receipt(data, ring)
    return findings, decision

def check_word(check):
    code, share = check
    return f"spot:0.{share:06}".rstrip("0") if CHECKS[code] == "spot" else CHECKS[code]

def read_keys(owner_path, trust_path, key_path=None):
    if owner_path is None and trust_path is None:
        raise Refused("neither an owner's key nor a trust store is given")
    return (owner_path and read_owner(owner_path), trust_path and read_trust(trust_path),
            key_path and read_secret(key_path))

def report(verdict, findings, as_json, more=None):
    if as_json:
        print(json.dumps({"verdict": verdict, "findings": [
            {"block": f.block, "name": f.name, "part": f.part, "tensor": f.tensor, "bytes": f.span, "reason": f.reason}
            for f in findings], **(more or {})}, indent=2))
        return EXIT[verdict]
    print(verdict)
    for f in findings:                                               # !r: names are others' text
        where = [f"block {f.block}" if f.block is not None else "", f"{f.name!r}" if f.name else "", f.part,
                 f"{f.tensor!r}" if f.tensor else "", "bytes {}..{}".format(*f.span) if f.span else ""]
        print(f"  {f.verdict}: {' '.join(w for w in where if w)}: {f.reason}")
    return EXIT[verdict]

def run_vectors(folder):
    """One line for each vector of index.json: its verdict, and block, part and tensor of its first finding."""
    with open(os.path.join(folder, "index.json"), "rb") as file:
        vectors = json.load(file)["vectors"]
    passed = 0
    for vector in vectors:
        path, key = (vector[k] and os.path.join(folder, vector[k]) for k in ["file", "open_with"])
        try:
            owner = vector["owner"] and key_bytes(vector["owner"], "drowner")
            trust = vector["store"] and parse_trust(json.dumps(vector["store"]).encode())
            if vector["kind"] == "ring":
                ring = verify_ring_at(path, owner, trust, key and read_secret(key))
                verdict, findings = ring.verdict(), ring.findings
            else:
                findings, _ = verify_receipt_at(path, os.path.join(folder, vector["ring"]), owner, trust)
                verdict = worst(findings)
            first = findings[0] if findings else None
            found = (verdict, first and first.block, first and first.part, first and first.tensor)
        except (OSError, Refused) as error:
            found = (f"error: {error}", None, None, None)
        due = (vector["verdict"], vector["block"], vector["part"], vector["tensor"])
        passed += found == due
        print("ok  " if found == due else "FAIL", f"{vector['file']} ({vector['defect']}):", *found,
              *([] if found == due else [f"and not {due}"]))
    print(f"{passed} passed, {len(vectors) - passed} failed")
    return 0 if passed == len(vectors) else 1

def main():
    parser = argparse.ArgumentParser(description="A second reader of DeepRing's format.")
    commands = parser.add_subparsers(dest="command", required=True)
    verify, receipt = commands.add_parser("verify"), commands.add_parser("receipt")
    verify.add_argument("file", metavar="RING")
    verify.add_argument("--key", help="secret key of a host or of the owner: blocks are opened, too")
    receipt.add_argument("file", metavar="RECEIPT")
    receipt.add_argument("--ring", required=True)
    for command in verify, receipt:
        command.add_argument("--owner", help="public key of the owner; without it the trust store decides")
        command.add_argument("--trust", help="trust store; read, never written")
        command.add_argument("--json", action="store_true")
    commands.add_parser("vectors").add_argument("folder")
    args = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if args.command == "vectors":
            return run_vectors(args.folder)
        owner, trust, key = read_keys(args.owner, args.trust, getattr(args, "key", None))
        if args.command == "verify":
            ring = verify_ring_at(args.file, owner, trust, key)
            return report(ring.verdict(), ring.findings, args.json)
        findings, decision = verify_receipt_at(args.file, args.ring, owner, trust)
        return report(worst(findings), findings, args.json, None if findings else
                      {"decision": decision.digest.hex(), "check": check_word(min(r.check for r, _ in decision.legs))})
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as error:      # the last three: index.json
        print(f"ring.py: {error}", file=sys.stderr)
        return 1

if __name__ == "__main__":
    sys.exit(main())
