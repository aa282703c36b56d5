"""Checkpoints and proofs of a log: LEDGER.md, "Checkpoint" and "Proofs", after RFC 6962 and C2SP's signed-note,
tlog-checkpoint and tlog-proof."""

import base64
import binascii
import hashlib
from collections import namedtuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crypto import is_weak_or_no_point
from entries import decode_entry, log_digest, verify_entry
from rules import Refused, holds, require

class OtherLog(Refused):
    """A log that the reader does not trust: of a certificate, untrusted."""

LogKey = namedtuple("LogKey", "name id point")
Checkpoint = namedtuple("Checkpoint", "origin size root")
Inclusion = namedtuple("Inclusion", "index entry checkpoint")

def base64_of(text):
    """Bytes of base64 as it would have been written: with its padding, and no bit that says nothing."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("not base64") from None
    require("base64 is as it is written", base64.b64encode(data).decode() == text)
    return data

def number_of(text):
    """A decimal number without sign and leading zeroes."""
    if not (text.isascii() and text.isdigit()):
        raise Refused(f"no number: {text!r}")
    require("a number has no leading zeroes", str(int(text)) == text and int(text) < 2 ** 64)
    return int(text)

def lines_of(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("a text that is not UTF-8") from None

def name_is_valid(name):
    return name and not any(c.isspace() or c == "+" for c in name)

def read_log_key(text):
    """`name+hash+base64(1 ‖ Ed25519 public key)`"""
    name, _, rest = text.strip().partition("+")
    id_text, _, encoded = rest.partition("+")
    public = base64_of(encoded)
    if not name_is_valid(name) or len(public) != 33 or public[0] != 1:
        raise Refused("no key of a log")
    if id_text != key_id(name, public).hex():
        raise Refused("a key of a log that names another key")
    if is_weak_or_no_point(public[1:]):
        raise Refused("a key of a log under which one signature fits every message")
    return LogKey(name, key_id(name, public), public[1:])

def key_id(name, public):
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]

def open_note(text, key):
    """The text that the key signed. Signatures of others are left aside."""
    body, blank, signatures = text.rpartition("\n\n")
    if not blank or not signatures.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise Refused("no signed note")
    body += "\n"
    fits = []
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "\u2014" or not name_is_valid(name):
            raise Refused("no signature of a note")
        data = base64_of(encoded)
        if len(data) < 5:
            raise Refused("no signature of a note")
        if (name, data[:4]) == (key.name, key.id):
            fits.append(verifies(key.point, body.encode(), data[4:]))
    if not holds("a checkpoint is signed by the log's key", fits):
        raise OtherLog("a checkpoint of a log that nobody here was told to trust")
    require("a log's signature fits", all(fits))
    return body

def verifies(point, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(point).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False

EMPTY = hashlib.sha256(b"").digest()

def read_checkpoint(text, key):
    if len(text.encode()) > 65536:
        raise Refused("a checkpoint of more than 64 KiB")
    lines = open_note(text, key).split("\n")
    if len(lines) < 4:
        raise Refused("a checkpoint of fewer than three lines")
    origin, size, root = lines[0], number_of(lines[1]), base64_of(lines[2])
    if not holds("a checkpoint names the key's log", origin == key.name):
        raise OtherLog("a checkpoint of another log than the key's")
    require("a root has 32 bytes", len(root) == 32)
    require("a log has at most 2^60 entries", size <= 2 ** 60)
    require("the empty log has the root of nothing", size > 0 or root == EMPTY)
    return Checkpoint(origin, size, root)

def leaf(data): return hashlib.sha256(b"\0" + data).digest()
def node(left, right): return hashlib.sha256(b"\1" + left + right).digest()

def root_of(index, size, hash_, path):
    """The root that a leaf and its path come to (RFC 9162, section 2.1.3.2); None if the path is too long or short."""
    last = size - 1
    for sibling in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            hash_ = node(sibling, hash_)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            hash_ = node(hash_, sibling)
        index, last = index >> 1, last >> 1
    return hash_ if last == 0 else None

def extends(old, new, path):
    """Whether the log of `new` begins with that of `old` (RFC 9162, section 2.1.4.2)."""
    if old.size == 0:
        return not path
    if old.size > new.size:
        return False
    if old.size == new.size:
        return not path and old.root == new.root
    if old.size & (old.size - 1) == 0:
        path = [old.root] + path
    if not path:
        return False
    index, last = old.size - 1, new.size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            first, second = node(sibling, first), node(sibling, second)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            second = node(second, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and first == old.root and second == new.root

def split_proof(data):
    """Lines of the head, and the checkpoint's text."""
    if len(data) > 155_924:
        raise Refused("a proof that is too long")
    head, blank, checkpoint = lines_of(data).partition("\n\n")
    if not blank:
        raise Refused("no blank line before the checkpoint")
    return head.split("\n"), checkpoint

def path_of(lines):
    path = [base64_of(line) for line in lines[:65]]
    if len(path) > 64 or any(len(hash_) != 32 for hash_ in path):    # neither would come to the root
        raise Refused("no path of hashes")
    return path

def after(prefix, line):
    if not line.startswith(prefix):
        raise Refused(f"no line {prefix!r}")
    return line.removeprefix(prefix)

def read_proof(data):
    """Index, entry, path and checkpoint of a proof that carries its entry, which anybody may have written."""
    lines, text = split_proof(data)
    require("a proof is of version 1", lines.pop(0) == "c2sp.org/tlog-proof@v1")
    if not lines or not lines[0].startswith("extra "):
        raise Refused("the proof carries no entry")
    data = base64_of(after("extra ", lines.pop(0)))
    index = number_of(after("index ", lines.pop(0) if lines else ""))
    return index, decode_entry(data), path_of(lines), text

def verify_proof(data, key):
    index, entry, path, text = read_proof(data)
    checkpoint = read_checkpoint(text, key)
    root = root_of(index, checkpoint.size, leaf(entry.encoded), path) if index < checkpoint.size else None
    require("the entry is under the root", root == checkpoint.root)
    verify_entry(entry)
    require("a proof's entry is for its log", entry.log == log_digest(checkpoint.origin))
    return Inclusion(index, entry, checkpoint)

def verify_extension(data, old_text, key):
    old = read_checkpoint(old_text, key)
    lines, text = split_proof(data)
    size = number_of(after("old ", lines.pop(0)))
    path = path_of(lines)
    new = read_checkpoint(text, key)
    require("an extension begins with the size of the checkpoint before", size == old.size)
    require("the later log begins with the earlier one", extends(old, new, path))
    return old, new
