"""One verification for each kind of file: the verdict on it and the findings. What has no place in a file, such as an
entry, is tampered without a finding's block and part."""

from collections import namedtuple

from authority import read_history
from certificate import verify_certificate
from closure import RingFile
from deal import read_deal
from decision import verify_receipt
from entries import read_entry
from evidence import read_evidence, refuse_evidence
from findings import INTACT, TAMPERED, UNTRUSTED, Finding, worst
from log import OtherLog, read_checkpoint, lines_of, verify_extension, verify_proof
from outline import read_outline, verify_outline
from rules import Refused
from verifying import verify_ring

# owner, trust: whom the reader trusts; key: a secret key; ring, outline: paths; require, nonce, log_key; checkpoint: text
Given = namedtuple("Given", "owner trust key ring outline require nonce log_key checkpoint validators",
                   defaults=[None] * 10)

LONGEST = 2 ** 27

def read(path):
    with open(path, "rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise Refused("a file of more than 128 MiB")
    return data

def ring_at(path, given, bodies=True):
    with open(path, "rb") as file:
        return verify_ring(RingFile(file), given.owner, given.trust, given.key, bodies)

def outline_for(given):
    """The outline that a record is held against, and findings about it or its ring."""
    if given.outline:
        outline = read_outline(read(given.outline))
        finding = verify_outline(outline, given.owner, given.trust)
        return outline, [finding] if finding else []
    ring = ring_at(given.ring, given, bodies=False)
    return None if ring.findings else ring.outline(), ring.findings

def refused(reason):
    return [Finding(TAMPERED, None, None, None, None, None, reason)]

def about_outline(path, given):
    finding = verify_outline(read_outline(read(path)), given.owner, given.trust)
    return [finding] if finding else []

def about_receipt(path, given):
    outline, findings = outline_for(given)
    return findings or verify_receipt(read(path), outline, given.require, given.nonce)[1]

def about_evidence(path, given):
    outline, findings = outline_for(given)
    if findings:
        return findings
    reason = refuse_evidence(read_evidence(read(path)), outline)
    return refused(reason) if reason else []

def about_deal(path, _given):
    return [] if read_deal(read(path)) else refused("no byte at all")

def about_certificate(path, given):
    try:
        log = given.validators or given.log_key
        finding = verify_certificate(read(path), given.owner, log, given.require, given.nonce)
    except OtherLog as error:
        return [Finding(UNTRUSTED, None, None, None, None, None, str(error))]
    return [finding] if finding else []

def about(reads):
    """Of a kind of which a file is what it says or is not."""
    def verified(path, given):
        reads(read(path), given)
        return []
    return verified

KINDS = {
    "deal": about_deal,
    "outline": about_outline,
    "receipt": about_receipt,
    "evidence": about_evidence,
    "entry": about(lambda data, _given: read_entry(data)),
    "history": about(lambda data, given: read_history(data, given.log_key.name)),
    "checkpoint": about(lambda data, given: read_checkpoint(lines_of(data), given.log_key)),
    "proof": about(lambda data, given: verify_proof(data, given.log_key)),
    "extension": about(lambda data, given: verify_extension(data, given.checkpoint, given.log_key)),
    "certificate": about_certificate,
}

def verify_file(kind, path, given):
    """Verdict and findings."""
    if kind == "ring":
        ring = ring_at(path, given)
        return ring.verdict(), ring.findings
    try:
        findings = KINDS[kind](path, given)
    except Refused as error:
        findings = refused(str(error))
    return worst(findings) if findings else INTACT, findings
