"""Has a tool that nobody here wrote (schemathesis) judge the gateway by its OpenAPI document, with an API key, over four nodes.

    python judge.py DEEPRING DEEPRINGD [--seconds S] [--seed N] [--report DIR]

What it asks: no answer is the gateway's fault (5xx that is not documented), each status, type, header and body is as the document says, what the
document does not allow is refused, and nothing is answered without a key. Prints counts; fails at a fault.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from blake3 import blake3

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "network"))
from four_nodes import ROOT, Network, question  # noqa: E402

KEY = "the key of one client, which is let in"
# What a generated question is refused with, though the document allows it: the document does not know the network.
ACCEPTED = [200, 400, 401, 404, 415, 422]
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance", "missing_required_header",
    "unsupported_method", "allow_header_conformance", "ignored_auth",
]  # fmt: skip


def configuration(hooks, report, args):
    """schemathesis' own file."""
    return f"""
seed = {args.seed}
max-time = {args.seconds}
hooks = {json.dumps(str(hooks))}
request-timeout = 60
continue-on-failure = true
workers = 1
[auth.openapi.key]
bearer = {json.dumps(KEY)}
[generation]
database = "none"
[checks.positive_data_acceptance]
expected-statuses = {json.dumps(ACCEPTED)}
[reports.json]
path = {json.dumps(str(report))}
"""


def with_examples(document, examples):
    """The document with what this network takes: without it, no generated question would be answered."""
    content = document["paths"]["/v1/decisions"]["post"]["requestBody"]["content"]["application/json"]
    content["examples"] = {name: {"value": value} for name, value in examples["questions"].items()}
    for path, of_name in examples["parameters"].items():
        for parameter in document["paths"][path]["get"]["parameters"]:
            values = of_name.get(parameter["name"], [])
            parameter["examples"] = {f"example {n}": {"value": value} for n, value in enumerate(values)}
    return document


def main():
    args = argparse.ArgumentParser()
    args.add_argument("deepring", type=Path)
    args.add_argument("deepringd", type=Path)
    args.add_argument("--seconds", type=int, default=90)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--report", type=Path, help="folder for all that was sent and answered")
    args = args.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="deepring-openapi-"))
    gateway = {"api_keys": [blake3(KEY.encode()).hexdigest()], "requests_a_second": 1 << 20, "requests_per_client": 64}
    network = Network(args.deepring, args.deepringd, folder / "network", 30100, sections={"gateway": gateway})
    try:
        network.start_all(KEY)
        sys.exit(judged(network, folder, args))
    finally:
        network.stop_all()
        shutil.rmtree(folder)


def judged(network, folder, args):
    n = network.gateways[0]
    client = network.client(n, KEY)
    served = client.text("/openapi.json")
    if served != (ROOT / "docs/openapi.json").read_text():
        print("WRONG  the gateway serves another document than docs/openapi.json")
        return 1
    rng = random.Random(args.seed)
    one, batch = (json.loads(question(queries, rng)) for queries in (1, 2))
    answer = client.decide(json.dumps(one).encode())
    examples = {
        "questions": {"one": one, "batch": batch},
        "parameters": {
            "/v1/entries/{which}": {"which": ["0", str(answer["entry"]), answer["decision"], "999999"]},
            "/v1/entries": {"before": [1, 0], "count": [1, 64]},
            "/v1/network": {"walk": [0, 1]},
            "/ledger/{path}": {"path": ["checkpoint"]},
        },
    }
    document, config, report = folder / "openapi.json", folder / "schemathesis.toml", folder / "report.json"
    document.write_text(json.dumps(with_examples(json.loads(served), examples)))
    config.write_text(configuration(Path(__file__).with_name("bodies.py"), report, args))
    words = [sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", document, "--url", f"http://{network.address(n)}"]
    words += ["--checks", ",".join(CHECKS), "--no-color"]
    if args.report:
        words += ["--report", "ndjson,har", "--report-dir", args.report.resolve()]
    ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=2 * args.seconds + 120)
    if ran.returncode != 0:
        print(ran.stdout + ran.stderr)
    told = json.loads(report.read_text())
    cases, operations = told["test_cases"], told["operations"]
    print(f"{operations['tested']} of {operations['total']} operations, {cases['generated']} cases, seed {told['seed']}, "
          f"{told['running_time']:.0f} s: {cases['unique_failures']} faults, {len(told['errors'])} errors")  # fmt: skip
    for fault in told["failures"]:
        print(f"WRONG  {fault['title']}, {fault['count']} times: {', '.join(fault['operations'])}")
    if network.running[n].poll() is not None:
        print("WRONG  the node ended")
        return 1
    return ran.returncode


if __name__ == "__main__":
    main()
