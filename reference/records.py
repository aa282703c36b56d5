"""The signed records of a query: FORMAT.md, section 14."""

import re
import struct
from collections import namedtuple

from crypto import derive
from encoding import Reader
from rules import Refused, require

CHECKS = ["none", "load", "spot", "run", "auto", "compute"]
UNCHECKED, OPENED, ROWS, PRODUCT, BYTES, EITHER, BOTH, RECOMPUTED, DERIVED = range(9)      # coverage of a part
SAME, NEAR, DIFFERS = range(3)                                       # agreement of a validation
NONE = bytes(32)                                                     # a digest or a salt that is left out

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
    allowed = {"none": (UNCHECKED,), "load": range(OPENED, DERIVED + 1), "run": (BYTES,),
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
        require("coverage is what the check claims", claims(code, parts))      # which is of known codes alone
    if any(PRODUCT in parts or EITHER in parts for parts in coverage) != (rotation > 0):
        raise Refused(f"a rotation of {rotation} contradicts the coverage")
    return (code, share), rotation, coverage

def read_computed_with(r):
    """Engine, library, processor and threads."""
    engine, library, processor, threads = r.string(), r.raw(32), r.string(), r.u16()
    for name in engine, processor:
        if not re.fullmatch("[ -~]{1,64}", name):
            raise Refused("a name of 0 or of more than 64 bytes, or that is not printable")
    require("computed with a thread", threads)
    return engine, library, processor, threads

def read_agreement(r):
    """The code, the largest difference and its bound."""
    code, numbers = r.u8(), r.raw(8)
    largest, bound = struct.unpack("<ff", numbers)                   # what is no number compares as false
    finite = 0 < bound < float("inf")
    require("an agreement is same, near or differs", code <= DIFFERS)
    require("same is without numbers", code != SAME or numbers == bytes(8))
    require("near has a finite bound", code != NEAR or finite)
    require("near is within its bound", code != NEAR or 0 < largest <= bound)
    require("differs has a finite bound, or 0", code != DIFFERS or finite or numbers[4:] == bytes(4))
    require("differs is beyond its bound", code != DIFFERS or largest > bound)
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
    require("validations stand in the order of their hosts", hosts == sorted(hosts))
    require("a host validates a leg once", len(hosts) == len(set(hosts)))
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
