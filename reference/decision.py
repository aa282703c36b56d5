"""Verifying a receipt against what a ring's outline says: FORMAT.md, section 15."""

from crypto import signed
from deal import Leg
from findings import STALE, TAMPERED, UNTRUSTED, Finding
from header import GRAPH, PARAMETER
from records import BOTH, DERIVED, DIFFERS, EITHER, NEAR, NONE, PRODUCT, RECOMPUTED, ROWS, SAME, read_decision
from rules import Refused, holds
from tensors import batch_digest, salt_commitment

def verify_receipt(data, outline, require=None, nonce=None):
    """Returns the decision (None if it does not decode) and findings: none or one. require: what the reader wants of
    each leg: validated, majority, none, or None for what the ring's deal promises."""
    try:                                                             # check 1
        decision = read_decision(data)
    except Refused as e:
        return None, [Finding(TAMPERED, None, None, "file", None, None, f"the receipt: {e}")]
    problem = check_decision(decision, outline, require, nonce)
    if not problem:
        return decision, []
    verdict, block, part, reason = problem
    block = block if block is not None and block < outline.end_of_computing() else None
    name = None if block is None else outline.blocks[block].name
    return decision, [Finding(verdict, block, name, part, None, None, reason)]

def check_decision(decision, outline, require, nonce):
    """Checks 2 … 21: the first problem, or None."""
    opening, legs, items = decision.opening, decision.legs, decision.items
    problem, ended = check_chain(opening, legs, outline)             # checks 2 … 14b
    if problem:
        return problem
    deal = outline.deal if opening.deal != NONE else None
    for fits, reason in [
            (ended == outline.end_of_computing(), "not all blocks ran"),  # checks 15 … 19
            (items, "there is no item"),
            (batch_digest([i for i, _ in items]) == opening.inputs, "other inputs than the opening's"),
            (legs and batch_digest([o for _, o in items]) == legs[-1][0].outputs,
             "other outputs than the last receipt's"),
            (decision.salt == NONE or salt_commitment(decision.salt) == opening.salt,
             "another salt than the opening commits to"),
            (decision.host in (deal.genesis if deal else [opening.host]), "closed by a host that is not due"),
            (signed(decision.host, "deepring v2 sign decision", decision.digest, decision.signature),
             "the closing signature does not fit")]:
        if not holds(reason, fits):
            return TAMPERED, None, "closure", reason
    due = require or {None: "none", 2: "validated", 3: "majority"}[outline.deal and outline.deal.copies()]
    for receipt, validations in legs:                                # check 20, also of a query under no deal
        validated = deal is not None and len(validations) > 0
        for fits, reason in [
                (due == "none" or validated, "a leg is validated as is required"),
                (due != "majority" or not validated or deal.copies() == 3, "a majority is of three copies")]:
            if not holds(reason, fits):
                return UNTRUSTED, receipt.first, "file", reason
    if not holds("the nonce is the reader's", nonce is None or opening.nonce == nonce):            # check 21
        return STALE, None, "file", "another nonce than the reader's, or none"
    return None

def stands_for(code, kind):
    """Whether a part of this kind can have had this coverage."""
    if code in (ROWS, PRODUCT, EITHER, BOTH):
        return kind == PARAMETER
    if code == DERIVED:
        return kind in (PARAMETER, GRAPH)
    return code != RECOMPUTED or kind == GRAPH

def check_chain(opening, legs, outline):
    """Checks 2 … 14b. Returns the first problem (or None) and one past the last block that ran."""
    deal, dealt = outline.deal, opening.deal != NONE
    older = opening.ring_id == outline.ring_id and opening.version != outline.version
    genesis = outline.blocks[0]
    for fits, verdict, block, reason in [
            (signed(opening.host, "deepring v2 sign opening", opening.digest, opening.signature),
             TAMPERED, 0, "the opening's signature does not fit"),
            (opening.ring == outline.ring, STALE if older else TAMPERED, None, "a receipt of another ring"),
            ((opening.ring_id, opening.version) == (outline.ring_id, outline.version),
             TAMPERED, 0, "another ring id or model version"),
            (opening.host in genesis.hosts, STALE, 0, "this revision names no such host of Genesis"),
            (opening.genesis == genesis.content, TAMPERED, 0, "another Genesis"),
            (not dealt or deal and deal.digest == opening.deal, STALE, None, "this revision has no such deal"),
            (not dealt or deal and opening.host in deal.genesis, TAMPERED, 0, "the deal names others for Genesis")]:
        if not holds(reason, fits):
            return (verdict, block, "file", reason), 1
    b, before, passed_on = 1, opening, opening.inputs
    for receipt, validations in legs:
        end = receipt.first + len(receipt.contents)
        leg = next((leg for leg in deal.legs if leg.first == b), Leg(0, 0, [])) if dealt else None
        for fits, reason in [
                (signed(receipt.host, "deepring v4 sign receipt", receipt.digest, receipt.signature),
                 "the receipt's signature does not fit"),
                ((receipt.query, receipt.ring) == (opening.query, opening.ring), "a receipt of another query"),
                (receipt.previous == before.digest, "previous is not the record before"),
                (receipt.inputs == passed_on, "other inputs than what was passed on"),
                (receipt.first == b and receipt.contents, "blocks left out, twice or none"),
                (len(receipt.coverage) == len(receipt.contents), "coverage of other blocks than ran"),
                (end <= outline.end_of_computing(), "more blocks than compute"),
                (not dealt or (receipt.first, end) == (leg.first, leg.end), "other blocks than a leg of the deal"),
                (not dealt or receipt.host in leg.hosts, "signed by a host that is no copy of the leg")]:
            if not holds(reason, fits):
                return (TAMPERED, b, "file", reason), b
        problem = check_blocks(receipt, outline) or check_validations(validations, receipt, leg, outline)
        if problem:
            return problem, b
        b, before, passed_on = end, receipt, receipt.outputs
    return None, b

def check_blocks(record, outline):
    """Check 14 of a receipt or a validation: the first problem, or None."""
    for index, (content, coverage) in enumerate(zip(record.contents, record.coverage), record.first):
        block = outline.blocks[index]
        for fits, verdict, reason in [
                (content == block.content, TAMPERED, "other content ran than the ring's"),
                (record.host in block.hosts, STALE, "this revision names no such host of the block"),
                (len(coverage) == len(block.parts), TAMPERED, "coverage of other parts than the block has"),
                (all(stands_for(c, part) for part, c in zip(block.parts, coverage)),
                 TAMPERED, "coverage that a part of that kind cannot have")]:
            if not holds(reason, fits):
                return verdict, index, "body", reason
    return None

def refuse_record(v, receipt):
    """Why a validation or an objection is none of this receipt, or None: what §15 (14a) and §23 ask of it."""
    for fits, reason in [
            (v.query == receipt.query, "a validation of another query"),
            (v.receipt == receipt.digest, "a validation of another receipt"),
            (v.first == receipt.first, "a validation that begins with another block"),
            (v.contents == receipt.contents, "a validation of other content"),
            (v.inputs == receipt.inputs, "a validation of other inputs"),
            (v.host != receipt.host, "a host validates its own receipt"),
            (v.agreement[0] != SAME or v.outputs == receipt.outputs, "the same, of other outputs"),
            (v.agreement[0] == SAME or v.outputs != receipt.outputs, "near or differs, of the same outputs")]:
        if not holds(reason, fits):
            return reason
    return None

def record_is_signed(v):
    return signed(v.host, "deepring v1 sign validation", v.digest, v.signature)

def check_validations(validations, receipt, leg, outline):
    """Checks 14a and 14b; leg: the deal's, None for a query under no deal. The first problem, or None."""
    if leg is None:
        fits = holds("a query under no deal has no validation", not validations)
        return None if fits else (TAMPERED, receipt.first, "file", "validations, and no deal")
    if not holds("a dealt leg is validated", validations):
        return TAMPERED, receipt.first, "file", "no other copy of the leg validated the receipt"
    for v in validations:
        reason = None
        if not holds("an objection is no validation", v.agreement[0] != DIFFERS):
            reason = "an objection in the place of a validation"
        elif not holds("near is of copies that compute with other things",
                       v.agreement[0] != NEAR or v.computed_with != receipt.computed_with):
            reason = "near, of copies that compute with the same"
        elif not holds("a validation is signed by its host", record_is_signed(v)):
            reason = "the validation's signature does not fit"
        reason = reason or refuse_record(v, receipt)
        for fits, rule in [
                (v.host in leg.hosts, "validated by a copy of the leg"),
                (len(v.coverage) == len(v.contents), "a validation covers its blocks")]:
            if not reason and not holds(rule, fits):
                reason = f"not kept: {rule}"
        if reason:
            return TAMPERED, receipt.first, "file", reason
        problem = check_blocks(v, outline)
        if problem:
            return problem
    return None
