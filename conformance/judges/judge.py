"""Has tools that nobody here wrote judge the ledger, through the command: a witness (witness-log) that cosigns its checkpoints and refuses
what it must, and a reader (tlog-scales) of its checkpoints, proofs and tiles.

    python judge.py DEEPRING [--entries N]

Prints a line for each verdict and fails at the first that is not the one due.
"""

import argparse
import base64
import json
import shutil
import tempfile

from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import MLDSA44CosignatureSigner, Vkey, VkeySet
from tlog_scales.tiles import leaf_hash
from tlog_scales.tlog import (
    Checkpoint,
    ConsistencyProof,
    ConsistencyProofInvalid,
    InclusionProof,
    InclusionProofInvalid,
)
from witness_log import WitnessService
from workspace import Served, Workspace, due, parts, size


def witness(run, service, log_vkey):
    """The witness of witness-log: all that it must take and refuse."""
    served, key = Served(service.handle_add_checkpoint_http), service.vkey()
    ask = ("ledger", "witness", served.url, "--ledger", "ledger", "--witness-key", key)
    origin = log_vkey.split("+", 2)[0]
    run(*ask, code=1)
    due("witness-log: 404, the log is not known", service.log_count(), 0)
    due("witness-log: takes our log's key", service.add_log(origin, log_vkey), True)
    run(*ask)
    due("witness-log: 200, the first checkpoint", service.log_count(), 1)
    known = json.loads(run("ledger", "checkpoint", "--ledger", "ledger", "--json"))
    shutil.copytree(run.folder / "ledger", run.folder / "older")
    run.append("ledger", 3)
    run(*ask)
    due("witness-log: 409 and 200, an extension of it", known["size"] + 3, size(run))
    run(*ask)
    due("witness-log: 200, the same checkpoint again", known["size"] + 3, size(run))

    prove = lambda since: run("ledger", "prove", "--ledger", "ledger", "--since", str(since))
    run.append("ledger", 1)
    good = prove(known["size"] + 3)
    due("witness-log: 409, a proof from another size", served.post(prove(known["size"])), 409)
    forged = good.replace(f"\n{known['size'] + 4}\n", f"\n{known['size'] + 5}\n")
    due("witness-log: 403, a size that nobody signed", served.post(forged), 403)
    head, note = good.split("\n\n", 1)
    due("witness-log: 422, no proof", served.post(f"{head.splitlines()[0]}\n\n{note}"), 422)
    due("witness-log: 200, the very text of `ledger prove --since`", served.post(good), 200)

    # The same key's ledger as it was, and then with other entries: each with a trust store that knows nothing.
    ask = ("ledger", "witness", served.url, "--ledger", "older", "--witness-key", key)
    run(*ask, code=5, DEEPRING_TRUST="none.json")
    due("witness-log: a ledger that was rolled back is noticed", True, True)
    run.environment["DEEPRING_TRUST"] = "none.json"
    run.append("older", 4)
    run(*ask, code=3)
    run.append("older", 1)
    run(*ask, code=3)
    run.environment["DEEPRING_TRUST"] = "trust.json"
    due("witness-log: 409 and 422, two histories of one key are told as such", True, True)
    run("ledger", "witness", served.url, "--ledger", "ledger", "--witness-key", key)


def reader(run, log_vkey, witness_vkey):
    """tlog-scales: checkpoints, cosignatures, proofs."""
    log = Vkey.from_string(log_vkey)
    checkpoint = Checkpoint.from_text(run("ledger", "checkpoint", "--ledger", "ledger"))
    keys = VkeySet(log, Vkey.from_string(witness_vkey))
    due("tlog-scales: signatures of log and witness", len(keys.verify(checkpoint.signatures, checkpoint)), 2)
    entry, index, path, shown = parts(run("ledger", "prove", "--ledger", "ledger", "--entry", "1"))
    shown = Checkpoint.from_text(shown)
    shown.verify(log)
    due("tlog-scales: both on the proof's checkpoint", len(keys.verify(shown.signatures, shown)), 2)
    proof = InclusionProof(index, shown.size, path)
    proof.check(leaf_hash(entry), shown.root_hash)
    due("tlog-scales: the proof of an entry", True, True)
    try:
        proof.check(leaf_hash(entry[:-1] + bytes([entry[-1] ^ 1])), shown.root_hash)
        due("tlog-scales: a changed entry", "taken", "refused")
    except InclusionProofInvalid:
        due("tlog-scales: a changed entry is refused", True, True)


def post_quantum(run, witness_vkey):
    """A witness with an ML-DSA-44 key, signing by tlog-scales; and policies that ask for both witnesses."""
    signer = MLDSA44CosignatureSigner("pq.example/w", bytes(range(32)))
    def answer(body):
        checkpoint = Checkpoint.from_text(body.split("\n\n", 1)[1])
        return 200, "text/plain", signer.sign(checkpoint).serialize() + "\n"
    key = signer.vkey.serialize()
    ask = ("ledger", "witness", Served(answer).url, "--ledger", "ledger", "--witness-key")
    other = MLDSA44CosignatureSigner("pq.example/w", bytes(range(1, 33))).vkey.serialize()
    run(*ask, other, code=4)
    due("tlog-scales: an ML-DSA-44 cosignature by another key is not taken", True, True)
    policy = run.folder / "two.policy"
    policy.write_text(f"witness A {witness_vkey}\nwitness B {key}\ngroup both all A B\nquorum both\n")
    verify = ("ledger", "verify", "--ledger", "ledger", "--witness-policy", "two.policy")
    run(*verify, code=4)
    run(*ask, key)
    found = json.loads(run(*verify, "--json"))["witnesses"]
    due("tlog-scales: an ML-DSA-44 cosignature is, beside the other", len(found), 2)
    checkpoint = Checkpoint.from_text(run("ledger", "checkpoint", "--ledger", "ledger"))
    keys = VkeySet(Vkey.from_string(witness_vkey), signer.vkey)
    due("tlog-scales: finds both where we keep them", len(keys.verify(checkpoint.signatures, checkpoint)), 2)


def tiles(run, log_vkey, entries):
    """tlog-scales: the tiles, and the proofs that it makes of them, which must be ours."""
    run("ledger", "tiles", "--ledger", "ledger", "-o", "public")
    run.append("ledger", max(0, entries - size(run)))
    run("ledger", "tiles", "--ledger", "ledger", "-o", "public")
    tiles = TilesReader(LocalBackend(run.folder / "public"))
    checkpoint = tiles.get_checkpoint()
    checkpoint.verify(Vkey.from_string(log_vkey))
    due(f"tlog-scales: the root of the tiles of {checkpoint.size} entries", tiles.calculate_root_hash(), checkpoint.root_hash)
    for index in sorted({0, 1, checkpoint.size // 2, checkpoint.size - 1}):
        entry, _, path, _ = parts(run("ledger", "prove", "--ledger", "ledger", "--entry", str(index)))
        due(f"tlog-scales: entry {index} in its bundle", tiles.get_entry(index), entry)
        due(f"tlog-scales: its proof is ours", tiles.get_inclusion_proof(index, checkpoint.size).node_hashes, path)
    old = checkpoint.size // 2 + 1
    head = run("ledger", "prove", "--ledger", "ledger", "--since", str(old)).split("\n\n", 1)[0]
    path = [base64.b64decode(h) for h in head.split("\n")[1:]]
    due(f"tlog-scales: our extension proof since {old}", tiles.get_consistency_proof(old, checkpoint.size).node_hashes, path)
    proof = ConsistencyProof(old, checkpoint.size, path)
    proof.check(tiles.mth(0, old), checkpoint.root_hash)
    try:
        proof.check(tiles.mth(0, old - 1), checkpoint.root_hash)
        due("tlog-scales: of another beginning", "taken", "refused")
    except ConsistencyProofInvalid:
        due("tlog-scales: of another beginning it is refused", True, True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deepring")
    parser.add_argument("--entries", type=int, default=258, help="entries of the log whose tiles are read")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Workspace(args.deepring, folder)
        log_vkey = run("ledger", "init", "ledger").splitlines()[1]
        run.append("ledger", 4)
        service = WitnessService.new("witness.example/judge", bytes(range(32)))
        witness(run, service, log_vkey)
        reader(run, log_vkey, service.vkey())
        post_quantum(run, service.vkey())
        tiles(run, log_vkey, args.entries)


if __name__ == "__main__":
    main()
