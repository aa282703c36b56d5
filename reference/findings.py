"""Verdicts and findings: FORMAT.md, section 12."""

from collections import namedtuple

INTACT, STALE, UNTRUSTED, TAMPERED = "intact", "stale", "untrusted", "tampered"
VERDICTS = [INTACT, STALE, UNTRUSTED, TAMPERED]                      # from good to bad
EXIT = {INTACT: 0, TAMPERED: 3, UNTRUSTED: 4, STALE: 5}
PARTS = ["header", "body", "link", "closure", "file"]                # in the order of findings

# block: None if about no block; name: of the block; span: bytes of the file
Finding = namedtuple("Finding", "verdict block name part tensor span reason")

def in_order(findings):
    findings = sorted(findings, key=lambda f: (f.block is None, f.block or 0, PARTS.index(f.part)))
    joined = []
    for f in findings:
        last = joined[-1] if joined else None
        if (last and f.tensor is not None and f.span and last.span and last.span[1] == f.span[0]
                and (last.block, last.part, last.tensor) == (f.block, f.part, f.tensor)):
            joined[-1] = last._replace(span=(last.span[0], f.span[1]))
        else:
            joined.append(f)
    return joined

def worst(findings):
    return max([f.verdict for f in findings], key=VERDICTS.index, default=INTACT)
