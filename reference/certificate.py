"""Certificates: LEDGER.md, "Certificates"."""

from decision import verify_receipt
from encoding import Reader
from entries import DECISIONS, HOST, VALIDATORS, read_entry
from log import verify_proof
from outline import read_outline, verify_outline
from records import read_decision
from rules import require

def read_certificate(data):
    """The bytes of its parts."""
    r = Reader(data)
    require("a certificate's magic", r.raw(8) == b"DCERTIFY")
    require("a certificate's format version", r.u16() == 1)
    parts = r.bytes(65535), r.bytes(2 ** 24), r.bytes(155_924), r.bytes(65535)
    r.end()
    return parts

def verify_certificate(data, owner, log, needed=None, nonce=None):
    """The finding, or None. log: its key, or the fields of a validator set; needed, nonce: what the reader requires of each
    leg, and sent."""
    outline_data, decision_data, proof, set_data = read_certificate(data)
    outline = read_outline(outline_data)
    read_decision(decision_data)
    finding = verify_outline(outline, owner)
    if finding:
        return finding
    decision, findings = verify_receipt(decision_data, outline, needed, nonce)
    if findings:
        return findings[0]
    inclusion = verify_proof(proof, log)
    entry, fields = inclusion.entry, inclusion.entry.fields
    require("a certificate's entry is of decisions", entry.kind == DECISIONS)
    require("a certificate's entry is of the outline's ring", fields["digest"] == outline.ring)
    require("a certificate's entry is of its decision", fields["decision"] == decision.digest)
    require("a certificate's entry counts its queries", fields["count"] == len(decision.items))
    require("a certificate's entry is of the outline's deal", fields["dealt"] == outline.deal_number())
    require("a certificate's entry is by a host", entry.role == HOST)
    require("a certificate's entry is by a host of Genesis", entry.author in outline.blocks[0].hosts)
    if set_data:
        validators = read_entry(set_data)
        require("a certificate's validator set is one", validators.kind == VALIDATORS)
        origin = validators.fields["origin"]
        require("a certificate's validator set is of the same log", origin == inclusion.checkpoint.origin)
        require("a certificate's validator set is for its log", validators.log == entry.log)
    return None
