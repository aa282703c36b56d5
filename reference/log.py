"""Checkpoints and proofs of a log: LEDGER.md, "Checkpoint" and "Proofs", after RFC 6962 and C2SP's signed-note,
tlog-checkpoint and tlog-proof."""

import base64
import binascii
import hashlib
from collections import namedtuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crypto import is_on_curve, is_weak_or_no_point
from entries import VALIDATORS, decode_entry, log_digest, read_entry, verify_entry
from keys import bech32m_encode
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

def parts_of_note(text):
    """The text that is signed, and of each signature its name, the key's id and the signature."""
    body, blank, signatures = text.rpartition("\n\n")
    if not blank or not signatures.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise Refused("no signed note")
    body += "\n"
    require("a note has at most 100 signatures", signatures.count("\n") <= 100)
    signed = []
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "\u2014" or not name_is_valid(name):
            raise Refused("no signature of a note")
        data = base64_of(encoded)
        if len(data) < 5:
            raise Refused("no signature of a note")
        signed.append((name, data[:4], data[4:]))
    return body, signed

def open_note(text, key):
    """The text that the key signed. Signatures of others are left aside."""
    body, signed = parts_of_note(text)
    fits = [verifies(key.point, body.encode(), signature)
            for name, id_, signature in signed if (name, id_) == (key.name, key.id)]
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

def cosigners_of(fields):
    """Name, id and point of each node's cosigning key: the second half of the node's key, under the node's name."""
    cosigners = []
    for node_key in fields["nodes"]:
        point, name = node_key[32:], bech32m_encode("drnode", node_key)
        if is_weak_or_no_point(point) or not is_on_curve(point):
            raise OtherLog("a validator set with a node that cannot cosign")
        cosigners.append((name, key_id(name, b"\4" + point), point))
    if not holds("nodes whose cosignatures count have no half of a key in common", counts_each_once(fields["nodes"])):
        raise OtherLog("a validator set in which one party counts twice")
    return cosigners

def counts_each_once(nodes):
    """Whether no half of a node's key stands in another place, of its own or another node's."""
    halves = [half for key in nodes for half in (key[:32], key[32:])]
    return len(set(halves)) == len(halves)

def cosigned_note(text, fields):
    """The text that enough nodes of a validator set cosigned (LEDGER.md, "Certificates")."""
    body, signed = parts_of_note(text)
    cosigners, counted = cosigners_of(fields), set()
    for name, id_, payload in signed:
        for point in [p for n, i, p in cosigners if (n, i) == (name, id_)]:
            time, signature = int.from_bytes(payload[:8], "big"), payload[8:]
            require("a node's cosignature has a time", 0 < time < 2 ** 63 and len(signature) == 64)
            message = f"cosignature/v1\ntime {time}\n{body}".encode()
            require("a node's cosignature fits", verifies(point, message, signature))
            counted.add(name)
    nodes = len(cosigners)
    if not holds("a quorum of the validator set cosigned", nodes > 0 and len(counted) >= nodes - (nodes - 1) // 3):
        raise OtherLog("a checkpoint that too few nodes of the validator set cosigned")
    return body

def read_checkpoint(text, key):
    """key: of the log, or the fields of a validator set."""
    if len(text.encode()) > 65536:
        raise Refused("a checkpoint of more than 64 KiB")
    by_set = not isinstance(key, LogKey)
    # Of a validator set the name comes first, as its nodes cosign nothing of other logs.
    lines = (parts_of_note(text)[0] if by_set else open_note(text, key)).split("\n")
    if len(lines) < 4:
        raise Refused("a checkpoint of fewer than three lines")
    origin, size, root = lines[0], number_of(lines[1]), base64_of(lines[2])
    if not holds("a checkpoint names the key's log", origin == (key["origin"] if by_set else key.name)):
        raise OtherLog("a checkpoint of another log than the key's")
    if by_set:
        cosigned_note(text, key)
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

def read_validators(data):
    """The fields of the set that an owner's entry names, to be trusted in place of a log's key."""
    entry = read_entry(data)
    if entry.kind != VALIDATORS or entry.log != log_digest(entry.fields["origin"]):
        raise Refused("no validator set")
    return entry.fields

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
