"""The primitives: FORMAT.md, section 4. HPKE is here; BLAKE3, Ed25519, X25519 and AES-GCM are from two packages."""

import hmac

from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rules import Refused

def derive(label, data):
    return blake3(data, derive_key_context=label).digest()

# x = 0 means y = 1 or y = -1, so these cover "x = 0 with the sign bit", too.
SMALL_ORDER = [int.from_bytes(bytes.fromhex(y), "little") for y in [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"]]

def is_weak_or_no_point(point):
    y = int.from_bytes(point, "little") % 2 ** 255
    return y >= 2 ** 255 - 19 or y in SMALL_ORDER

P = 2 ** 255 - 19
D = -121665 * pow(121666, -1, P) % P

def is_on_curve(point):
    """Whether some x belongs to the y of an Ed25519 key (RFC 8032, 5.1.3)."""
    y = int.from_bytes(point, "little") % 2 ** 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    return square == 0 or pow(square, (P - 1) // 2, P) == 1

def signed(public_key, label, message, signature):
    """Ed25519 with the first half of a 64-byte public key."""
    if is_weak_or_no_point(public_key[:32]):                         # OpenSSL takes what §4 refuses
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
