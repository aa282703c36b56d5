"""Entries of a ledger: LEDGER.md, "Entries"."""

from collections import namedtuple

from crypto import derive, signed
from encoding import Reader
from evidence import read_evidence
from outline import read_outline
from rules import require

LONGEST = 65535
OWNER, HOST, NODE = range(3)                                         # roles of authors
(REGISTERED, UPGRADED, REVOKED, DECISIONS, ALARM, REPAIR, KEY_REVOKED, DEALT, VALIDATORS, HOST_REVOKED, ROTATED,
 LIFTED) = range(1, 13)

Entry = namedtuple("Entry", "kind at log sequence role author fields encoded")      # fields: by their names

def option(r, read):
    flag = r.u8()
    require("an option's flag is 0 or 1", flag < 2)
    return read() if flag else None

def ascending(r, size, read, what):
    items = r.list(LONGEST // size, size, read)
    require(f"a list of {what} has items", items)
    require(f"a list of {what} ascends strictly", items == sorted(set(items)))
    return items

def outline(r):
    data = r.bytes(LONGEST)
    return {"outline": read_outline(data)}

def alarm(r):
    fields = {"ring": r.raw(16), "digest": r.raw(32), "accused": r.raw(64), "block": option(r, r.u32),
              "name": r.string(), "part": r.string(), "tensor": option(r, r.string),
              "bytes": option(r, lambda: (r.u64(), r.u64())), "reason": r.string()}
    evidence = r.bytes(LONGEST)
    return {**fields, "evidence": read_evidence(evidence) if evidence else None}

def blocks(r):
    return ascending(r, 4, r.u32, "blocks")

def keys(r, what):
    return ascending(r, 64, lambda: r.raw(64), what)

def nodes(r):
    found = keys(r, "nodes")
    require("a validator set has at most 100 nodes", len(found) <= 100)
    return found

FIELDS = {                                                           # members are read in their order
    REGISTERED: outline,
    UPGRADED: outline,
    REVOKED: lambda r: {"ring": r.raw(16), "digest": option(r, lambda: r.raw(32)), "reason": r.string()},
    DECISIONS: lambda r: {"digest": r.raw(32), "decision": r.raw(32), "count": r.u32(), "dealt": r.u32()},
    ALARM: alarm,
    REPAIR: lambda r: {"ring": r.raw(16), "digest": r.raw(32), "blocks": blocks(r), "source": r.string(),
                       "nonce": r.raw(32), "audit": r.raw(32),
                       "countersignature": option(r, lambda: (r.raw(64), r.raw(64)))},
    KEY_REVOKED: lambda r: {"reason": r.string()},
    DEALT: outline,
    VALIDATORS: lambda r: {"epoch": r.u64(), "origin": r.string(), "owners": keys(r, "owners"),
                           "nodes": nodes(r)},
    HOST_REVOKED: lambda r: {"host": r.raw(64), "ring": option(r, lambda: r.raw(16)), "reason": r.string()},
    ROTATED: lambda r: {"owner": r.raw(64), "signature": r.raw(64)},
    LIFTED: lambda r: {"ring": r.raw(16), "digest": r.raw(32), "host": r.raw(64), "blocks": blocks(r),
                       "reason": r.string()},
}

def log_digest(origin):
    """The name of a log, as entries are bound to it."""
    return derive("deepring v1 log", origin.encode())

def decode_entry(data):
    """The entry of these bytes, which anybody may have written."""
    require("an entry is not too long", len(data) <= LONGEST)
    r = Reader(data)
    require("an entry is of version 3", r.u8() == 3)
    kind, at, log, sequence, role, author = r.u8(), r.u64(), r.raw(32), r.u64(), r.u8(), r.raw(64)
    require("an entry is of a known kind", kind in FIELDS)
    require("an author is owner, host or node", role <= NODE)
    require("decisions have no number, all else has one", (kind == DECISIONS) == (sequence == 0))
    fields = FIELDS[kind](r)
    r.raw(64)
    r.end()
    return Entry(kind, at, log, sequence, role, author, fields, data)

def verify_entry(entry):
    """The same entry, which its author signed."""
    said, signature = entry.encoded[:-64], entry.encoded[-64:]
    digest = derive("deepring v1 entry digest", said)
    require("an entry is signed by its author", signed(entry.author, "deepring v1 sign entry", digest, signature))
    return entry

def read_entry(data):
    return verify_entry(decode_entry(data))
