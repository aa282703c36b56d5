"""The vectors of vectors/: its indices, and what this reader says of each."""

import json
import os

from kinds import Given, verify_file
from keys import key_bytes, read_secret
from log import read_log_key, read_validators
from rules import Refused
from trust import parse_trust

FOLDERS = ["", "records", "ledger", "weights"]

def vectors_of(folder):
    """Of each vector the folder of its files, and what its index says."""
    for part in FOLDERS:
        within = os.path.join(folder, part)
        with open(os.path.join(within, "index.json"), "rb") as file:
            index = json.load(file)
        if index["format"] != 1:
            raise Refused(f"an index of format {index['format']}")
        for vector in index["vectors"]:
            yield within, vector

def given_of(within, vector):
    def path(member):
        return os.path.join(within, vector[member]) if vector.get(member) else None

    owner, store, nonce, log_key = map(vector.get, ["owner", "store", "nonce", "log_key"])
    return Given(
        owner=key_bytes(owner, "drowner") if owner else None,
        trust=parse_trust(json.dumps(store).encode()) if store else None,
        key=read_secret(path("open_with")) if path("open_with") else None,
        ring=path("ring"), outline=path("outline"), require=vector.get("require"),
        nonce=bytes.fromhex(nonce) if nonce else None,
        log_key=read_log_key(log_key) if log_key else None,
        checkpoint=vector.get("checkpoint"),
        validators=validators_at(path("validators")) if path("validators") else None)

def validators_at(path):
    with open(path, "rb") as file:
        return read_validators(file.read(65536))

def place(finding):
    return (finding.block, finding.part, finding.tensor) if finding else (None, None, None)

def due(vector):
    return vector["verdict"], vector["block"], vector["part"], vector["tensor"]

def found(within, vector):
    """Verdict, and block, part and tensor of the first finding."""
    verdict, findings = verify_file(vector["kind"], os.path.join(within, vector["file"]), given_of(within, vector))
    return verdict, *place(findings[0] if findings else None)

def run_vectors(folder):
    """One line for each vector. Returns the exit status."""
    passed = failed = 0
    for within, vector in vectors_of(folder):
        try:
            said = found(within, vector)
        except (OSError, Refused) as error:
            said = (f"error: {error}", None, None, None)
        fits = said == due(vector)
        passed, failed = passed + fits, failed + (not fits)
        print("ok  " if fits else "FAIL", f"{os.path.join(os.path.basename(within), vector['file'])} "
              f"({vector['defect']}):", *said, *([] if fits else [f"and not {due(vector)}"]))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
