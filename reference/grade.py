#!/usr/bin/env python3
"""Grades an implementation by the vectors: runs a command for each of them and compares its exit status.

    grade.py [--places] [--kind KIND …] COMMAND [ARGUMENT …]

vectors/README.md says what the command is given and what it must say. Last line: N right, N wrong, N not tried.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

STATUS = {"intact": 0, "tampered": 3, "untrusted": 4, "stale": 5}
NOT_TRIED = 64
FOLDERS = ["", "records", "ledger", "weights"]
VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors")

def vectors():
    for part in FOLDERS:
        within = os.path.normpath(os.path.join(VECTORS, part))
        with open(os.path.join(within, "index.json"), "rb") as file:
            for vector in json.load(file)["vectors"]:
                yield within, vector

def options(within, vector, folder):
    """The command's options; what stands in the index itself is put into files of `folder`."""
    out = []
    texts = {"owner": "owner.pub", "store": "trust.json", "log_key": "log.pub", "checkpoint": "checkpoint"}
    names = {"store": "--trust", "log_key": "--log-key", "open_with": "--key"}
    for member in ["owner", "store", "open_with", "ring", "outline", "require", "nonce", "log_key", "validators", "checkpoint"]:
        value = vector.get(member)
        if value is None:
            continue
        if member in texts:
            path = os.path.join(folder, texts[member])
            with open(path, "w", encoding="utf-8") as file:
                file.write(json.dumps(value) if member == "store" else value if member == "checkpoint" else value + "\n")
            os.chmod(path, 0o600)
            value = path
        elif member in ("open_with", "ring", "outline", "validators"):
            value = os.path.normpath(os.path.join(within, value))
        out += [names.get(member, "--" + member), value]
    return out

def graded(command, within, vector, places):
    """None where the vector is not tried, else what is wrong: nothing if it is empty."""
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [*command, vector["kind"], os.path.join(within, vector["file"]), *options(within, vector, folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    if ran.returncode == NOT_TRIED:
        return None
    if ran.returncode != STATUS[vector["verdict"]]:
        said = ran.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        return f"exit status {ran.returncode}, not {STATUS[vector['verdict']]} {said}"
    if not places or vector["verdict"] == "intact":
        return ""
    try:
        first = next(iter(json.loads(ran.stdout)["findings"]), {})
    except (ValueError, KeyError, TypeError):
        return "no findings in JSON"
    found, due = ([of.get(name) for name in ["block", "part", "tensor"]] for of in (first, vector))
    # A verdict that names no place in a file may name one of its own.
    return f"found at {found}, not {due}" if due != [None] * 3 and found != due else ""

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--places", action="store_true", help="compare the first finding in the command's JSON, too")
    parser.add_argument("--kind", action="append", help="vectors of this kind alone; may be repeated")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="command and its first arguments")
    args = parser.parse_args()
    if not args.command:
        parser.error("no command")
    tally = collections.defaultdict(collections.Counter)
    for within, vector in vectors():
        if args.kind and vector["kind"] not in args.kind:
            continue
        try:
            wrong = graded(args.command, within, vector, args.places)
        except subprocess.TimeoutExpired:
            wrong = "no answer within a minute"
        word = "not tried" if wrong is None else "wrong" if wrong else "right"
        tally[vector["kind"]][word] += 1
        if wrong:
            name = os.path.join(os.path.basename(within), vector["file"])
            print(f"{name} ({vector['defect']}): {wrong}")
    total = sum(tally.values(), collections.Counter())
    for kind, counted in tally.items():
        print(f"{kind}: " + ", ".join(f"{counted[word]} {word}" for word in ["right", "wrong", "not tried"]))
    print(", ".join(f"{total[word]} {word}" for word in ["right", "wrong", "not tried"]))
    return 1 if total["wrong"] or not total["right"] else 0

if __name__ == "__main__":
    sys.exit(main())
