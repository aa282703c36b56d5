"""Breaks the rules of this reader one after the other, and looks which vectors get another verdict."""

import rules
from vectors import due, found, vectors_of

# Rules of rings that the vectors break together with another one, which then refuses: nothing holds a reader to these alone.
TOGETHER = {
    "a block that computes in a ring of weights", "a parameter has a fixed shape", "a part is of four kinds",
    "a shared block with inputs or outputs", "behind a shared block, and not shared",
    "shared parameters are of blocks behind this one", "shared parameters stand in the order of their blocks",
    "shared, where the first that computes is due"}

def said(within, vector):
    """Verdict and place; a reader that a broken rule lets stumble has found nothing."""
    try:
        return found(within, vector)
    except Exception as error:                                       # whatever the broken rule led to
        return type(error).__name__

def run(folder):
    """How many rules some vector needs, and the names of those that none does."""
    refusing = {}                                                    # of each rule the vectors that did not keep it
    for within, vector in vectors_of(folder):
        rules.said_no.clear()
        if said(within, vector) != due(vector):
            raise SystemExit(f"selftest: {vector['file']} ({vector['defect']}) has another verdict")
        for rule in rules.said_no:
            refusing.setdefault(rule, []).append((within, vector))
    needed, unneeded = 0, set()
    for rule in sorted(rules.seen):
        rules.broken = rule
        if any(said(within, vector) != due(vector) for within, vector in refusing.get(rule, [])):
            needed += 1
            if rule in TOGETHER:
                raise SystemExit(f"selftest: a vector needs the rule: {rule}")
        elif rule not in TOGETHER:
            unneeded.add(rule)
    rules.broken = None
    return needed, unneeded
