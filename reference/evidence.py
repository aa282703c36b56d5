"""Evidence: FORMAT.md, section 23."""

from collections import namedtuple

from crypto import signed
from decision import record_is_signed, refuse_record
from encoding import Reader
from records import DIFFERS, read_receipt, read_validation
from rules import holds, require

EQUIVOCATION, CONTRADICTION, MAJORITY, PERJURY = 1, 2, 3, 4
Evidence = namedtuple("Evidence", "kind receipt records")            # records: what follows the receipt

def read_evidence(data):
    r = Reader(data)
    kind = r.u8()
    require("evidence is of a known kind", EQUIVOCATION <= kind <= PERJURY)
    readers = {EQUIVOCATION: [read_receipt], CONTRADICTION: [read_validation],
               MAJORITY: [read_validation, read_validation], PERJURY: [read_validation, read_receipt]}[kind]
    evidence = Evidence(kind, read_receipt(r), [read(r) for read in readers])
    r.end()
    return evidence

def accused(evidence):
    """The hosts that it names."""
    return [evidence.receipt.host] + [v.host for v in evidence.records if evidence.kind == CONTRADICTION]

def rests_on(evidence):
    """The hosts whose word it is, besides what the named host signed itself."""
    return [v.host for v in evidence.records if evidence.kind in (CONTRADICTION, MAJORITY)]

def is_proof(evidence):
    """Whether it proves one host's fault. What computes with something else may come to other last bits."""
    stated = {EQUIVOCATION: evidence.records, CONTRADICTION: [], MAJORITY: evidence.records,
              PERJURY: evidence.records[:1]}[evidence.kind]
    return bool(stated) and all(record.computed_with == evidence.receipt.computed_with for record in stated)

def receipt_is_signed(receipt):
    return signed(receipt.host, "deepring v4 sign receipt", receipt.digest, receipt.signature)

def refuse_evidence(evidence, outline):
    """Why it proves nothing, or None."""
    receipt, deal = evidence.receipt, outline.deal
    blocks = receipt.first, receipt.first + len(receipt.contents)
    leg = next((leg for leg in deal.legs if (leg.first, leg.end) == blocks), None) if deal else None
    for fits, rule in [
            (deal, "evidence is of a dealt ring"),
            (not deal or leg, "evidence is of a leg of the deal"),
            (receipt.ring == outline.ring, "evidence is of the outline's ring"),
            (not leg or receipt.host in leg.hosts, "evidence is against a copy of the leg"),
            (receipt_is_signed(receipt), "evidence has a signed receipt")]:
        if not holds(rule, fits):
            return rule
    hosts = leg.hosts if leg else []
    if evidence.kind == EQUIVOCATION:
        return refuse_equivocation(receipt, evidence.records[0])
    if evidence.kind == PERJURY:
        return refuse_perjury(receipt, *evidence.records, hosts)
    for objection in evidence.records:
        reason = refuse_objection(objection, receipt, hosts)
        if reason:
            return reason
    if evidence.kind == MAJORITY:
        one, other = evidence.records
        for fits, rule in [
                (one.host != other.host, "a majority is of two hosts"),
                (one.outputs == other.outputs, "a majority names the same outputs")]:
            if not holds(rule, fits):
                return rule
    return None

def refuse_objection(objection, receipt, hosts):
    for fits, rule in [
            (objection.host in hosts, "an objection is by a copy of the leg"),
            (record_is_signed(objection), "an objection is signed by its host"),
            (objection.agreement[0] == DIFFERS, "an objection says that it differs")]:
        if not holds(rule, fits):
            return rule
    return refuse_record(objection, receipt)

def refuse_equivocation(first, second):
    for fits, rule in [
            (receipt_is_signed(second), "the second receipt of an equivocation is signed"),
            (first.host == second.host, "an equivocation is of one host"),
            (first.outputs != second.outputs, "an equivocation names two outputs")]:
        if not holds(rule, fits):
            return rule
    return refuse_same_leg(first, second)

def refuse_perjury(receipt, record, about, hosts):
    for fits, rule in [
            (record_is_signed(record), "the record of a perjury is signed"),
            (receipt_is_signed(about), "the receipt that a perjury is about is signed"),
            (about.host in hosts, "a perjury is about a copy's receipt"),
            (record.host == receipt.host, "a perjury is of one host"),
            (record.outputs != receipt.outputs, "a perjury names two outputs")]:
        if not holds(rule, fits):
            return rule
    return refuse_record(record, about) or refuse_same_leg(receipt, about)

def refuse_same_leg(first, second):
    for fits, rule in [
            (first.query == second.query, "two receipts of one leg are of one query"),
            (first.ring == second.ring, "two receipts of one leg are of one ring"),
            (first.first == second.first, "two receipts of one leg begin with one block"),
            (first.contents == second.contents, "two receipts of one leg are of one content"),
            (first.previous == second.previous, "two receipts of one leg continue one record"),
            (first.inputs == second.inputs, "two receipts of one leg have the same inputs")]:
        if not holds(rule, fits):
            return rule
    return None
