#!/usr/bin/env python3
"""A second reader of DeepRing's formats, written from docs/FORMAT.md and docs/LEDGER.md.

    ring.py verify RING --owner owner.pub [--trust trust.json] [--key host.key] [--json]
    ring.py receipt RECEIPT --ring RING --owner owner.pub [--trust trust.json] [--json]
    ring.py verify-file KIND FILE [--owner owner.pub] [--trust trust.json] [--key host.key] [--ring RING | --outline OUTLINE]
                        [--require validated|majority|none] [--nonce HEX] [--log-key log.pub] [--checkpoint CHECKPOINT]
    ring.py vectors vectors/

Exit status: 0 intact, 3 tampered, 4 untrusted, 5 stale, 1 could not do, 2 wrong usage.
In all modules "§" is a section of FORMAT.md, "check" a row of the table in §12 or §15.
It reads; it does not seal, grant or run. Plain before fast.
"""

import argparse
import json
import sys

from decision import verify_receipt
from findings import EXIT, worst
from kinds import KINDS, Given, outline_for, read, verify_file
from keys import read_owner, read_secret
from log import read_log_key, read_validators
from records import CHECKS
from rules import Refused
from trust import read_trust
from vectors import run_vectors

def check_word(check):
    code, share = check
    return f"spot:0.{share:06}".rstrip("0") if CHECKS[code] == "spot" else CHECKS[code]

def given_by(args):
    owner, trust, key, nonce, log_key, checkpoint, validators = (
        getattr(args, name, None)
        for name in ["owner", "trust", "key", "nonce", "log_key", "checkpoint", "validators"])
    return Given(
        owner and read_owner(owner), trust and read_trust(trust), key and read_secret(key),
        getattr(args, "ring", None), getattr(args, "outline", None), getattr(args, "require", None),
        nonce and bytes.fromhex(nonce), log_key and read_log_key(read(log_key).decode()),
        checkpoint and read(checkpoint).decode(), validators and read_validators(read(validators)))

def who_is_trusted(given):
    if given.owner is None and given.trust is None:
        raise Refused("neither an owner's key nor a trust store is given")
    return given

def report(verdict, findings, as_json, more=None):
    if as_json:
        print(json.dumps({"verdict": verdict, "findings": [
            {"block": f.block, "name": f.name, "part": f.part, "tensor": f.tensor, "bytes": f.span, "reason": f.reason}
            for f in findings], **(more or {})}, indent=2))
        return EXIT[verdict]
    print(verdict)
    for f in findings:                                               # !r: names are others' text
        where = [f"block {f.block}" if f.block is not None else "", f"{f.name!r}" if f.name else "", f.part or "",
                 f"{f.tensor!r}" if f.tensor else "", "bytes {}..{}".format(*f.span) if f.span else ""]
        print(f"  {f.verdict}: {' '.join(w for w in where if w)}: {f.reason}")
    return EXIT[verdict]

def receipt(args):
    given = who_is_trusted(given_by(args))
    outline, findings = outline_for(given)
    if findings:
        return report(worst(findings), findings, args.json)
    decision, findings = verify_receipt(read(args.file), outline)
    return report(worst(findings), findings, args.json, None if findings else
                  {"decision": decision.digest.hex(), "check": check_word(min(r.check for r, _ in decision.legs))})

NEEDED = {"certificate": ["owner"], "history": ["log_key"], "checkpoint": ["log_key"], "proof": ["log_key"],
          "extension": ["log_key", "checkpoint"], "deal": [], "entry": []}

def file_of(kind, args):
    given = given_by(args)
    if kind not in NEEDED:
        who_is_trusted(given)
    for name in NEEDED.get(kind, []):
        if getattr(given, name) is None:
            raise Refused(f"--{name.replace('_', '-')} is not given")
    if kind == "certificate" and bool(given.log_key) == bool(given.validators):
        raise Refused("neither or both of --log-key and --validators are given")
    if kind in ("receipt", "evidence") and not (given.ring or given.outline):
        raise Refused("neither --ring nor --outline is given")
    return report(*verify_file(kind, args.file, given), args.json)

def arguments():
    parser = argparse.ArgumentParser(description="A second reader of DeepRing's formats.")
    commands = parser.add_subparsers(dest="command", required=True)
    verify, receipts, files = map(commands.add_parser, ["verify", "receipt", "verify-file"])
    files.add_argument("kind", choices=["ring", *KINDS])
    verify.add_argument("file", metavar="RING")
    receipts.add_argument("file", metavar="RECEIPT")
    files.add_argument("file", metavar="FILE")
    for command in verify, files:
        command.add_argument("--key", help="secret key of a host or of the owner: blocks are opened, too")
    receipts.add_argument("--ring", required=True)
    for command in verify, receipts, files:
        command.add_argument("--owner", help="public key of the owner; without it the trust store decides")
        command.add_argument("--trust", help="trust store; read, never written")
        command.add_argument("--json", action="store_true")
    for name, what in [("ring", "the ring that it is held against"), ("outline", "or its outline"),
                       ("nonce", "the nonce that the reader sent"), ("log-key", "public key of the log"),
                       ("validators", "or the entry of the validator set that keeps it"), ("checkpoint", "an earlier checkpoint of it")]:
        files.add_argument("--" + name, help=what)
    files.add_argument("--require", choices=["validated", "majority", "none"], help="instead of what the deal promises")
    commands.add_parser("vectors").add_argument("folder")
    return parser.parse_args()

def main():
    args = arguments()
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if args.command == "vectors":
            return run_vectors(args.folder)
        if args.command == "receipt":
            return receipt(args)
        return file_of("ring" if args.command == "verify" else args.kind, args)
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as error:      # the last three: an index
        print(f"ring.py: {error}", file=sys.stderr)
        return 1

if __name__ == "__main__":
    sys.exit(main())
