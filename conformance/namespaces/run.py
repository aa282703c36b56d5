"""Four real nodes in four network namespaces, killed, split, with wrong clocks, wiped and full disks, and listened to.

    python3 conformance/namespaces/run.py DEEPRING DEEPRINGD [--only NAME] [--keep] [--list]

Needs root, iproute2, nftables and libfaketime; says what is lacking and exits with 77 where something is. Prints a line for each thing that
was seen; exits with 1 at the first that is not as it must be, of any scenario. All that was started and made is ended and removed."""

import argparse
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import clocks
import disks
import killing
import splitting
import wire
from asking import NETWORK, Clients, Pictures
from fabric import Fabric, in_memory, lacking, unmount
from nodes import Network
from seen import NotSo, Seen

# What is audited every second is found while somebody looks.
OFTEN = 1
SCENARIOS = {
    "kills": (killing.kills, {}),
    "kill-in-repair": (killing.kill_in_repair, {"audit_seconds": OFTEN}),
    "halves": (splitting.halves, {}),
    "one-alone": (splitting.one_alone, {}),
    "loss": (splitting.loss, {}),
    "clock-a-little": (clocks.a_little, {}),
    "clock-a-step": (clocks.a_step, {}),
    "clock-a-day": (clocks.a_day, {}),
    "wiped-disk": (disks.wiped, {}),
    "full-disk": (disks.full, {}),
    "wire": (wire.searched, {"audit_seconds": OFTEN}),
}
SKIPPED = 77
MEGABYTES = 1024


def sealed(network, folder):
    """A sealed LeNet and its owner's keys, of which each scenario makes a network of its own."""
    keys, ring = folder / "keys", folder / "model.ring"
    network.command(network.deepring, "keygen", "--out", keys)
    words = ("--owner", keys / "owner.key", "--host", keys / "host.pub", "--cut", "op", "-o", ring)
    network.command(network.deepring, "seal", NETWORK, *words)
    return ring, keys / "owner.key"


def play(name, fabric, programs, folder, seen):
    """One scenario, on a network of its own."""
    scenario, options = SCENARIOS[name]
    place = folder / name
    place.mkdir()
    network = Network(fabric, programs, place, seen)
    try:
        network.set_up(folder / "model.ring", folder / "keys/owner.key", **options)
        pictures = Pictures(network, place / "pictures")
        scenario(network, Clients(network, pictures, place / "clients"), seen)
    except BaseException:
        for n in network.running:
            print(f"-- node {n}\n{network.log(n)[-1500:]}", file=sys.stderr)
        raise
    finally:
        network.end()
        fabric.heal()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deepring", type=Path, nargs="?")
    parser.add_argument("deepringd", type=Path, nargs="?")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="one scenario; repeat for more")
    parser.add_argument("--keep", action="store_true", help="leave the nodes' folders where a scenario failed")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    args = parser.parse_args()
    if args.list:
        for name, (scenario, _) in SCENARIOS.items():
            print(f"{name}: {scenario.__doc__.splitlines()[0]}")
        return 0
    if not (args.deepring and args.deepringd):
        parser.error("name the two programs")
    why = lacking() or (None if clocks.library() else "libfaketime is not installed")
    if why:
        print(f"skipped: {why}")
        return SKIPPED

    # Told to stop, this ends as by Ctrl-C: with everything removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    seen, fabric, failed = Seen(), Fabric(), []
    folder = Path(tempfile.mkdtemp(prefix="deepring-namespaces-"))
    # Who is killed leaves what it wrote to the system, on a disk or not; what a loss of power leaves is not seen here.
    in_memory(folder, MEGABYTES)
    programs = (args.deepring.resolve(), args.deepringd.resolve())
    try:
        fabric.make()
        sealed(Network(fabric, programs, folder, seen), folder)
        for name in args.only or SCENARIOS:
            print(f"== {name}", flush=True)
            began = seen.seconds()
            try:
                play(name, fabric, programs, folder, seen)
            except Exception as error:
                if not isinstance(error, NotSo):
                    traceback.print_exc()
                print(f"NOT SO: {error}", flush=True)
                failed.append(name)
            print(f"      {seen.seconds() - began:.0f} s", flush=True)
    finally:
        fabric.end()
        if args.keep and failed:
            print(f"kept, in memory: {folder}")
        else:
            unmount(folder)
            folder.rmdir()
    scenarios = len(args.only or SCENARIOS)
    counts = ", ".join(f"{number} {what}" for what, number in seen.counts.items())
    verdict = f"FAILED: {', '.join(failed)}" if failed else "all as they must be"
    print(f"{scenarios} scenarios, {seen.things} things seen, {counts}, {seen.seconds():.0f} s: {verdict}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped: everything is removed")
        sys.exit(130)
