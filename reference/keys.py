"""Keys and their texts: FORMAT.md, section 17."""

from collections import namedtuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from rules import Refused

OWNER, HOST = 0, 1                                                   # roles

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

def polymod(hrp, data):
    """BIP 173's checksum over a human-readable part and its groups of five bits."""
    check = 1
    for v in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + data:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ v
        for i, g in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            check ^= g if top >> i & 1 else 0
    return check

def bech32m_encode(hrp, data):
    bits = 8 * len(data)
    value = int.from_bytes(data, "big") << (-bits % 5)
    groups = [value >> 5 * i & 31 for i in reversed(range(-(-bits // 5)))]
    check = polymod(hrp, groups + [0] * 6) ^ 0x2BC830A3
    return hrp + "1" + "".join(BECH32[v] for v in groups + [check >> 5 * i & 31 for i in reversed(range(6))])

def bech32m_decode(text):
    """BIP 350, without the limit of 90 characters. Returns the human-readable part and the bytes."""
    if any(not 33 <= ord(c) <= 126 for c in text) or text not in (text.lower(), text.upper()):
        raise Refused("mixed case or a character that Bech32m does not know")
    hrp, _, data = text.lower().rpartition("1")
    if not hrp or len(data) < 6 or any(c not in BECH32 for c in data):
        raise Refused("not Bech32m")
    data = [BECH32.index(c) for c in data]
    if polymod(hrp, data) != 0x2BC830A3:
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
