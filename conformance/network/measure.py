"""Measures a network of four nodes, all of them processes of this machine: `python3 measure.py DEEPRING DEEPRINGD [WHAT...] [--json FILE]`.

WHAT, of which all are measured by default:

    latency     a certified decision of one LeNet query, of two and of three copies, and where its time went
    decisions   certified decisions a second, of batches
    hop         what two legs more cost
    killed      time of an answer while a host is killed
    catch-up    time of a node that was away for 1000 heights
    memory      resident memory of each node, started, and after questions
    growth      bytes of the data folders of a network that nobody asks

Each prints a line of Markdown for each row, with the load of the machine. Only builds that are optimised mean anything.
"""

import argparse
import http.client
import json
import random
import re
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from four_nodes import NODES, Network, Refused, folder_bytes, load, question

STEPS = ("arriving", "deciding", "recording", "certifying")
# No bound of a gateway is what is measured.
SECTIONS = {"gateway": {"requests_a_second": 1 << 20, "requests": 256, "requests_per_client": 256}}


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, round(part * (len(values) - 1)))]


def both(values, digits=1):
    """Median and 95th percentile."""
    return f"{percentile(values, 0.5):.{digits}f} / {percentile(values, 0.95):.{digits}f}"


class Bench:
    """What all measurements share."""

    def __init__(self, args, folder):
        self.args, self.folder, self.port = args, folder, args.first_port
        self.rng, self.told = random.Random(args.seed), {}

    @contextmanager
    def network(self, name, started=True, **options):
        options["sections"] = SECTIONS | options.get("sections", {})
        network = Network(self.args.deepring, self.args.deepringd, self.folder / name, self.port, **options)
        self.port += 20
        try:
            if started:
                network.start_all()
            yield network
        finally:
            network.stop_all()

    def say(self, what, row):
        self.told.setdefault(what, []).append(row)
        print(f"{what}: " + ", ".join(f"{key} {value}" for key, value in row.items()) + f" (load {load():.1f})", flush=True)


def ask(client, queries=1, rng=random):
    """Milliseconds of one answer as its client sees it, and its steps as the gateway tells them."""
    asked = question(queries, rng)
    newest = client.get("/v1/network?walk=4294967295")["newest_walk"]
    began = time.perf_counter()
    answer = client.decide(asked)
    took = 1e3 * (time.perf_counter() - began)
    walks = [w for w in client.get(f"/v1/network?walk={newest}")["walks"] if w["decision"] == answer["decision"]]
    return took, walks[0]["took"], answer


def engine(clients):
    """How many of its own proposals each engine saw final by when, since it was started: seconds and counts, of all nodes that tell."""
    counts = Counter()
    for client in clients:
        for line in client.text("/metrics").splitlines():
            if found := re.match(r'\S*voter_finalization_latency_bucket\{.*le="([^"]+)".*\} (\S+)$', line):
                counts[float(found.group(1).replace("+Inf", "inf"))] += int(float(found.group(2)))
    return counts


def quantile(counts, part):
    """Milliseconds, from the counts of a histogram, within the bucket in proportion."""
    due, below, before = part * max(counts.values()), 0.0, 0
    for edge in sorted(counts):
        if counts[edge] >= due:
            return 1e3 * (below + (edge - below) * (due - before) / max(1, counts[edge] - before))
        below, before = edge, counts[edge]
    return float("inf")


def latency(bench):
    """By turns of a network of two copies and one of three."""
    with bench.network("two", copies=2) as two, bench.network("three", copies=3) as three:
        networks = {2: two, 3: three}
        clients = {copies: network.client(network.gateways[0]) for copies, network in networks.items()}
        found = {copies: {"seen": [], "heights": []} | {step: [] for step in STEPS} for copies in networks}
        medians = {copies: [] for copies in networks}
        engines = {copies: [network.client(n) for n in network.gateways] for copies, network in networks.items()}
        final = {copies: Counter() for copies in networks}
        for round in range(bench.args.rounds + 1):
            for copies, client in clients.items():
                before, seen, proposed = client.get("/v1/ledger")["height"], [], engine(engines[copies])
                for _ in range(bench.args.queries):
                    took, steps, _ = ask(client, rng=bench.rng)
                    seen.append(took)
                    if round:
                        found[copies]["seen"].append(took)
                        for step in STEPS:
                            found[copies][step].append(steps[step])
                if round:
                    medians[copies].append(statistics.median(seen))
                    found[copies]["heights"].append((client.get("/v1/ledger")["height"] - before) / bench.args.queries)
                    more = engine(engines[copies])
                    # A term that ended took its counts with it: such a round is left out.
                    if all(more[edge] >= proposed[edge] for edge in proposed):
                        for edge in more:
                            final[copies][edge] += more[edge] - proposed[edge]
        for copies, of in found.items():
            bench.say("latency", {
                "copies": copies, "batch": 1, "answers": len(of["seen"]), "certified, ms p50 / p95": both(of["seen"]),
                "medians of rounds": f"{min(medians[copies]):.1f} to {max(medians[copies]):.1f}",
                **{f"{step}, ms": both(of[step]) for step in STEPS},
                "entry final, ms": both(of["recording"]), "heights an answer": f"{statistics.mean(of['heights']):.1f}",
            })  # fmt: skip
        for copies, counts in final.items():
            if counts:
                bench.say("latency", {
                    "copies": copies, "the engine's own, proposed to final on the leader, ms p50 / p95":
                    f"{quantile(counts, 0.5):.0f} / {quantile(counts, 0.95):.0f}", "heights": max(counts.values()),
                })  # fmt: skip


def decisions(bench):
    """So many clients at a time, each with a batch, for some seconds."""
    with bench.network("batches", copies=3, sections={"host": {"batch": 256, "queries": 256}}) as network:
        n = network.gateways[0]
        for batch, clients in bench.args.batches:
            asked = [question(batch, bench.rng) for _ in range(4)]
            answers, faults, rates = [0], [], []
            for round in range(bench.args.rounds + 1):
                until, answers[0], lock = time.monotonic() + bench.args.seconds, 0, threading.Lock()

                def client(number):
                    mine = network.client(n)
                    while time.monotonic() < until:
                        # Another nonce each time.
                        body = re.sub(rb'"nonce":"[0-9a-f]{16}', b'"nonce":"%016x' % random.getrandbits(64), asked[number % 4], count=1)
                        try:
                            mine.decide(body)
                        except (Refused, OSError, http.client.HTTPException) as e:
                            faults.append(str(e))
                            return
                        with lock:
                            answers[0] += 1

                began = time.monotonic()
                threads = [threading.Thread(target=client, args=(k,)) for k in range(clients)]
                [t.start() for t in threads]
                [t.join() for t in threads]
                if round:
                    rates.append(batch * answers[0] / (time.monotonic() - began))
            bench.say("decisions", {
                "copies": 3, "batch": batch, "clients": clients, "queries a second, median of rounds": f"{statistics.median(rates):.0f}",
                "least to most": f"{min(rates):.0f} to {max(rates):.0f}", "decisions a second": f"{statistics.median(rates) / batch:.1f}",
                "refused": len(faults), "why": faults[0] if faults else "-",
            })  # fmt: skip
        bench.say("decisions", {"resident, MB": ", ".join(f"{network.memory(k)[0]:.0f}" for k in NODES)})


def hop(bench):
    """Two legs beside four, by turns. Of two copies: two legs of three would need more hosts around the ring than they find."""
    with bench.network("legs-2", copies=2, cut="2") as two, bench.network("legs-4", copies=2, cut="4") as four:
        clients = {legs: network.client(network.gateways[0]) for legs, network in ((2, two), (4, four))}
        told = {legs: len(client.get("/v1/ring")["legs"]) for legs, client in clients.items()}
        rounds = {legs: [] for legs in clients}
        for round in range(bench.args.rounds + 1):
            for legs, client in clients.items():
                deciding = [ask(client, rng=bench.rng)[1]["deciding"] for _ in range(bench.args.queries)]
                if round:
                    rounds[legs].append(statistics.median(deciding))
        each = [(b - a) / (told[4] - told[2]) for a, b in zip(rounds[2], rounds[4])]
        bench.say("hop", {
            "copies": 2, "legs": f"{told[2]} and {told[4]}", "deciding, ms, median of rounds":
            f"{statistics.median(rounds[2]):.2f} and {statistics.median(rounds[4]):.2f}",
            "a leg more, ms": f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})",
        })  # fmt: skip


def killed(bench):
    """Each time another node, at another moment of a query; it is started again in between."""
    with bench.network("killed", copies=3, sections={"validator": {"heartbeat_ms": bench.args.heartbeat}}) as network:
        asked_of = network.gateways[0]
        others = [n for n in NODES if n != asked_of]
        client = network.client(asked_of)
        usual = statistics.median(ask(client, rng=bench.rng)[0] for _ in range(20))
        times, steps, named, late, failed, down = [], [], 0, 0, [], []
        for number in range(bench.args.kills):
            victim, asked, dead = others[number % len(others)], question(1, bench.rng), []

            def kill():
                network.kill(victim)
                dead.append(time.perf_counter())

            # Before the time by which most are answered.
            killer = threading.Timer(bench.rng.uniform(0, usual) / 1e3, kill)
            began = time.perf_counter()
            killer.start()
            try:
                answer = client.decide(asked)
                answered = time.perf_counter()
                killer.join()
                if answered < dead[0]:
                    late += 1
                else:
                    times.append(answered - began)
                    walks = client.get("/v1/network")["walks"]
                    steps.append(next(w["took"] for w in walks if w["decision"] == answer["decision"]))
                    named += bool(answer["named"])
            except (Refused, OSError, http.client.HTTPException) as e:
                killer.join()
                failed.append(f"{e} after {time.perf_counter() - began:.2f} s")
            # One more, which begins while it is down.
            began = time.perf_counter()
            client.decide(question(1, bench.rng))
            down.append(time.perf_counter() - began)
            network.start(victim)
            whole(network, client, bench.rng)
        bench.say("killed", {
            "copies": 3, "heartbeat, ms": bench.args.heartbeat, "usual, ms": f"{usual:.0f}", "killed before the answer": len(times), "answer, s, median": f"{statistics.median(times):.2f}",
            "most": f"{max(times):.2f}", "over 2 s": sum(t > 2 for t in times), "with the host named": named, "answered before the kill": late,
            "no answer": len(failed), "why": failed[0] if failed else "-",
            **{f"{step}, s, median / most": f"{statistics.median(s[step] for s in steps) / 1e3:.2f} / {max(s[step] for s in steps) / 1e3:.2f}"
               for step in STEPS[1:]},
        })  # fmt: skip
        bench.say("killed", {
            "asked with a node down": len(down), "answer, s, median": f"{statistics.median(down):.2f}", "most": f"{max(down):.2f}",
            "over 2 s": sum(t > 2 for t in down),
        })  # fmt: skip


def whole(network, client, rng, seconds=60):
    """Until all nodes are as far, and an answer names nobody: connections between hosts come back by themselves."""
    network.wait_until_together()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not client.decide(question(1, rng))["named"]:
            return
        time.sleep(0.2)
    raise RuntimeError(f"a host that was started again is still named after {seconds} s")


def catch_up(bench):
    """A node is stopped, and started again when the others are 1000 heights on."""
    with bench.network("away", copies=3, sections={"validator": {"heartbeat_ms": 100}}) as network:
        asked_of, away = network.gateways[:2]
        stays = network.client(asked_of)
        took = []
        for _ in range(bench.args.catch_ups):
            network.kill(away)
            began, left = time.monotonic(), stays.get("/v1/ledger")["height"]
            while (there := stays.get("/v1/ledger")["height"]) < left + 1000:
                time.sleep(0.2)
            rate = (there - left) / (time.monotonic() - began)
            began = time.perf_counter()
            network.start(away)
            comes = network.client(away, timeout=5)
            while True:
                try:
                    if comes.get("/v1/ledger")["height"] >= stays.get("/v1/ledger")["height"] - 1:
                        break
                except (OSError, http.client.HTTPException, Refused):
                    pass
                time.sleep(0.02)
            took.append(time.perf_counter() - began)
            bench.say("catch-up", {"heights behind": there - left, "seconds": f"{took[-1]:.2f}", "heights a second meanwhile": f"{rate:.1f}"})
        bench.say("catch-up", {"tries": len(took), "median, s": f"{statistics.median(took):.2f}", "most": f"{max(took):.2f}"})


def memory(bench):
    """After a start, after so many questions, and after as many batches."""
    with bench.network("memory", copies=3) as network:
        client = network.client(network.gateways[0])
        ring = (network.node(1) / "model.ring").stat().st_size / 1e6

        def tell(when):
            each = [network.memory(n) for n in NODES]
            bench.say("memory", {
                "when": when, "resident of each node, MB": ", ".join(f"{a:.0f}" for a, _ in each),
                "of which anonymous": ", ".join(f"{b:.0f}" for _, b in each), "ring's file, MB": f"{ring:.2f}",
            })  # fmt: skip

        tell("ready")
        for done in (200, 1000):
            for _ in range(done if done == 200 else 800):
                client.decide(question(1, bench.rng))
            tell(f"after {done} questions")
        for _ in range(100):
            client.decide(question(32, bench.rng))
        tell("after 100 batches of 32 more")


def growth(bench):
    """The folders of an idle network, every minute."""
    with bench.network("idle", copies=3) as network:
        client = network.client(network.gateways[0])
        time.sleep(20)
        parts = ("ledger", "engine", "")
        samples = []
        for minute in range(bench.args.minutes + 1):
            height = client.get("/v1/ledger")["height"]
            sizes = {part: [folder_bytes(network.node(n) / "data" / part) for n in NODES] for part in parts}
            samples.append((time.monotonic(), height, sizes))
            if minute < bench.args.minutes:
                time.sleep(60)
        (t0, h0, s0), (t1, h1, s1) = samples[0], samples[-1]
        for part in parts:
            for which, word in ((0, "bytes"), (1, "on disk")):
                grown = [b[which] - a[which] for a, b in zip(s0[part], s1[part])]
                day = [g * 86400 / (t1 - t0) / 1e6 for g in grown]
                bench.say("growth", {
                    "folder": f"data/{part}", "what": word, "minutes": f"{(t1 - t0) / 60:.0f}", "heights": h1 - h0,
                    "at the begin, MB": f"{statistics.median(x[which] for x in s0[part]) / 1e6:.2f}",
                    "bytes a height": f"{statistics.median(grown) / (h1 - h0):.0f}",
                    "MB a day, extrapolated, each node": ", ".join(f"{d:.1f}" for d in day),
                })  # fmt: skip


MEASUREMENTS = {
    "latency": latency, "decisions": decisions, "hop": hop, "killed": killed, "catch-up": catch_up, "memory": memory, "growth": growth,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deepring", type=Path)
    parser.add_argument("deepringd", type=Path)
    parser.add_argument("what", nargs="*", metavar="WHAT")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--queries", type=int, default=40, help="queries of a round")
    parser.add_argument("--seconds", type=float, default=10, help="of a round of decisions")
    parser.add_argument("--batches", default="32x1,32x2,32x4,128x2", help="queries of a batch x clients at a time")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--heartbeat", type=int, default=1000, help="milliseconds, where a node is killed")
    parser.add_argument("--catch-ups", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=10, help="of growth")
    parser.add_argument("--first-port", type=int, default=31000, help="below those that the system draws, or a node that is down loses one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows here, too")
    args = parser.parse_args()
    args.batches = [tuple(map(int, one.split("x"))) for one in args.batches.split(",")]
    if wrong := [what for what in args.what if what not in MEASUREMENTS]:
        parser.error(f"{', '.join(wrong)}: not one of {', '.join(MEASUREMENTS)}")
    # It stays where a measurement fails, with what the nodes wrote.
    folder = Path(tempfile.mkdtemp(prefix="deepring-numbers-"))
    bench = Bench(args, folder)
    for what in args.what or MEASUREMENTS:
        MEASUREMENTS[what](bench)
    if args.json:
        args.json.write_text(json.dumps(bench.told, indent=1) + "\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
