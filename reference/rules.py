"""What this reader asks of bytes and records, by name. selftest.py breaks one rule after the other, and some vector must
then get another verdict: a rule that no vector needs is no rule that vectors hold a reader to."""

seen, said_no = set(), set()         # all rules that were asked, and those that were not kept
broken = None                        # the rule that is not looked at

class Refused(ValueError):
    """These bytes are not what the encoder would have written."""

def holds(rule, fits):
    seen.add(rule)
    if not fits:
        said_no.add(rule)
    return bool(fits) or rule == broken

def require(rule, fits):
    if not holds(rule, fits):
        raise Refused(rule)
