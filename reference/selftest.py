#!/usr/bin/env python3
"""Known answers for what ring.py does not take from a library: HPKE, Bech32m, reading, keys, trust stores.

    python3 reference/selftest.py
"""

import json
import os
import tempfile

import ring
from ring import Reader, Refused

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
check("HPKE", ring.hpke_open(secret, enc, info, aad, ciphertext) == plaintext)
refused("HPKE, other info", ring.hpke_open, secret, enc, info + b"\0", aad, ciphertext)
refused("HPKE, other aad", ring.hpke_open, secret, enc, info, b"", ciphertext)
refused("HPKE, zero point", ring.hpke_open, secret, bytes(32), info, aad, ciphertext)
refused("HPKE, ciphertext without a tag", ring.hpke_open, secret, enc, info, aad, b"")

# Bech32m: BIP 350. Those that do not fill bytes are about checksum and case only.
for text in ["A1LQFN3A", "a1lqfn3a", "?1v759aa"]:
    check(text, ring.bech32m_decode(text) == (text[0].lower(), b""))
check("Bech32m", ring.bech32m_decode("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx")[1].hex()
      == "ffbbcdeb38bdab49ca307b9ac5a928398a418820")
for text in ["A12UEL5L", "a1lqfn3A", "a1lqfn3q", "1lqfn3a", "lqfn3a", "", "1", "a1", "qyrz8wqd2c9m", "in1muywd",
             "mm1crxm3i", "au1s5cgom", "M1VUXWEZ", "16plkw9", "1p2gdwpf", "\u20ac1lqfn3a", "\u212a1LQFN3A"]:
    refused(f"Bech32m: {text!r}", ring.bech32m_decode, text)

# Strings and lists: §3.
def string(data):
    return Reader(len(data).to_bytes(2, "little") + data).string()

check("string", string("ä\U0010ffff".encode()) == "ä\U0010ffff")
check("string of 4096 bytes", len(string(b"x" * 4096)) == 4096)
for data in [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\xe2\x82", b"x" * 4097]:
    refused(f"string: {data[:4]!r}", string, data)
refused("list above its limit", Reader(b"\x03\0\0\0" + bytes(99)).list, 2, 1, None)
refused("list above what is left", Reader(b"\xff\xff\xff\xff" + bytes(99)).list, 2 ** 32, 1, None)

# Tensors: §13. Digests do not depend on the order given.
def tensor(name, dims, data):
    name = name.encode()
    return (len(name).to_bytes(2, "little") + name + b"\x02" + ring.u32(len(dims))
            + b"".join(ring.u64(d) for d in dims) + ring.u32(len(data)) + data)

a, b = (ring.read_tensor(Reader(t)) for t in [tensor("a", [2, 2], b"1234"), tensor("b", [], b"5")])
check("order of tensors", ring.tensors_digest([a, b]) == ring.tensors_digest([b, a]))
refused("tensor", ring.read_tensor, Reader(tensor("a", [2, 2], b"123")))
refused("tensor, dimensions that overflow", ring.read_tensor, Reader(tensor("a", [2 ** 63, 2], b"")))

# What a receipt says about checks: §14. Code, share, rotation, and the codes of each block's parts.
def check_bytes(code, share, rotation, *coverage):
    return (bytes([code]) + ring.u32(share) + rotation.to_bytes(2, "little") + ring.u32(len(coverage))
            + b"".join(ring.u32(len(parts)) + bytes(parts) for parts in coverage))

allowed = {0: {0}, 1: set(range(1, 8)), 2: {1, 4}, 3: {4}, 4: set(range(2, 8)), 5: set(range(2, 8))}
for code in range(7):
    for part in range(9):
        data = Reader(check_bytes(code, int(code == 2), 16 * int(part in (3, 5)), [part]))
        what = f"check {code}, coverage {part}"
        if part in allowed.get(code, ()):
            check(what, ring.read_check(data) == ((code, int(code == 2)), 16 * int(part in (3, 5)), [bytes([part])]))
        else:
            refused(what, ring.read_check, data)
check("spot, block by block", ring.read_check(Reader(check_bytes(2, 1, 0, [1, 1], [4, 4], []))))
for what, args in {"spot in part": (2, 1, 0, [4, 1]), "spot with share 0": (2, 0, 0, [4]),
                   "spot with share 1": (2, 10 ** 6, 0, [4]), "run with a share": (3, 1, 0, [4]),
                   "product without rotation": (5, 0, 0, [4], [3]), "rotation without product": (5, 0, 1, [4]),
                   "either without rotation": (4, 0, 0, [4], [5]), "both with a rotation": (5, 0, 1, [6])}.items():
    refused(what, ring.read_check, Reader(check_bytes(*args)))
for kind, codes in {ring.PARAMETER: range(7), ring.GRAPH: (0, 1, 4, 7), ring.CHECK: (0, 1, 4)}.items():
    check(f"coverage of kind {kind}", [c for c in range(8) if ring.stands_for(c, kind)] == list(codes))
for check_of, word in {(0, 0): "none", (2, 100_000): "spot:0.1", (2, 1): "spot:0.000001", (5, 0): "compute"}.items():
    check(word, ring.check_word(check_of) == word)

# Ed25519: keys that §4 refuses, with a signature that fits every message under the identity.
P, D = 2 ** 255 - 19, -121665 * pow(121666, -1, 2 ** 255 - 19)
any_message = bytes.fromhex("58" + "66" * 31) + (1).to_bytes(32, "little")
for key in ["01" + "00" * 31, "01" + "00" * 30 + "80", "ee" + "ff" * 30 + "7f", "02" + "00" * 31]:
    check(f"key {key}", not ring.signed(bytes.fromhex(key), "x", b"y", any_message))
for y in ring.SMALL_ORDER:                                           # doubled three times: 8P
    for _ in range(3):
        x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        y = (y * y + x2) * pow(1 - D * x2 * y * y, -1, P) % P
    check("small order", y == 1)

# Trust stores: §18.
good = {"format": 2, "owners": [], "rings": {}, "paths": {}, "ledgers": {}, "ledger_paths": {}}
check("trust store", ring.parse_trust(json.dumps(good).encode()) == ([], {}, {}))
for change in [{"format": 1}, {"format": 3}, {"format": True}, {"format": 2.0}, {"owners": {}}, {"owners": ["x"]}, {"rings": []},
               {"other": 1}, {"rings": {"00": {"00": {}}}}, {"paths": {"/a": {}}}, {"ledgers": {"k": {}}},
               {"ledgers": {"k": {"size": "1", "checkpoint": ""}}}, {"ledger_paths": {"/a": "unknown"}}]:
    refused(f"trust store: {change}", ring.parse_trust, json.dumps({**good, **change}).encode())
for text in [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 99999,
             json.dumps(good).encode().replace(b'"owners": []', b'"owners": [], "owners": []')]:
    refused(f"trust store: {text[:9]!r}", ring.parse_trust, text)
check("no trust store", ring.read_trust(os.path.join(tempfile.gettempdir(), "there", "is", "none")) == ([], {}, {}))
check("path", ring.path_name("/a//./b/../c") == "/a/b/../c")
check("path that is no text", ring.path_name("/a/\udcff") == "bytes:2f612fff")

print(f"{passed} checks passed")
