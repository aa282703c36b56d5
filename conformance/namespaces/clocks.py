"""Clocks that are wrong: by a little, by a day, and from one moment to the next."""

import time
from pathlib import Path

from fabric import NODES
from killing import agree
from splitting import SETTLED, heights

LIBRARY = "/usr/lib/{}/faketime/libfaketimeMT.so.1"
DAY = 86400


def library():
    """The library that other clocks come from; None where it is not installed."""
    for machine in ("x86_64-linux-gnu", "aarch64-linux-gnu"):
        if Path(LIBRARY.format(machine)).exists():
            return LIBRARY.format(machine)
    return None


def shifted(file):
    """What a process is started with whose clock goes as a file says; the monotonic one goes as it does."""
    return {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


class Clock:
    """One node's clock."""

    def __init__(self, network, n, shift=0):
        self.network, self.n, self.file = network, n, network.folder / f"clock-{n}"
        self.set(shift)

    def set(self, shift):
        self.file.write_text(f"{shift:+d}\n")

    def start(self):
        self.network.start(self.n, **shifted(self.file))

    def ahead(self):
        """By how many seconds the node's own word is ahead of this machine's."""
        return self.network.state(self.n)["at"] / 1000 - time.time()

    def obeyed(self, shift):
        """Waits until the node writes that time into its state, as it does every ten seconds at least."""
        near = lambda: self.network.state(self.n) and abs(self.ahead() - shift) < 12
        self.network.until(f"the clock of node {self.n} goes {shift:+d} s", near, (self.n,), 30)


def a_little(network, clients, seen):
    """Two seconds ahead and two behind, which handshakes bear."""
    network.start(1, 4)
    for n, shift in ((2, 2), (3, -2)):
        Clock(network, n, shift).start()
    network.until_certified(2)
    seen.must(all("the node takes part" in network.log(n) for n in NODES), "with one clock two seconds ahead and one two behind, all four take part")
    clients.several(seen, network.gateways, 2, "each gateway answers")
    agree(network, clients, seen, 2 + len(clients.acknowledged))


def a_step(network, clients, seen):
    """Clocks of two nodes jump while they run: one a day ahead, one a day back."""
    ahead, back = Clock(network, 2), Clock(network, 3)
    network.start(1, 4)
    ahead.start()
    back.start()
    network.until_certified(2)
    clients.several(seen, network.gateways, 1, "at the right time, each gateway answers")

    before = max(heights(network, *NODES))
    ahead.set(DAY)
    ahead.obeyed(DAY)
    clients.several(seen, network.gateways, 2, f"the clock of node {ahead.n} jumped a day ahead, and each gateway answers")
    network.until("heights go on", lambda: min(heights(network, *NODES)) > before + 2)
    seen.must(True, "all four have new heights")

    back.set(-DAY)
    back.obeyed(-DAY)
    others = tuple(n for n in network.gateways if n != back.n)
    clients.several(seen, others, 1, f"the clock of node {back.n} jumped a day back, and the others answer")
    behind = lambda: network.state(others[0])["height"] - network.state(back.n)["height"]
    seen.told(f"node {back.n} is {behind()} heights behind")
    back.set(0)
    time.sleep(SETTLED)
    # Its networks count what a peer may send by this clock, and what they once began to wait for is as far away as the step was.
    seen.told(f"{SETTLED} s after its clock was set right, {behind()}")
    network.stop(back.n)
    network.start(back.n)
    network.until_certified(2 + len(clients.acknowledged), 1, back.n, 4)
    seen.must(True, "started again at the right time, it caught up")
    clients.several(seen, network.gateways, 1, "each gateway answers")
    agree(network, clients, seen, 2 + len(clients.acknowledged))


def a_day(network, clients, seen):
    """A node is started a day ahead: handshakes refuse it, the three go on, and with the right time it catches up."""
    wrong, others = NODES[-1], NODES[:-1]
    for shift in (DAY, -DAY):
        clock = Clock(network, wrong, shift)
        if shift == DAY:
            network.start(*others)
        clock.start()
        network.until_certified(2 + len(clients.acknowledged), *others)
        clock.obeyed(shift)
        # What it had is in its state by then.
        time.sleep(SETTLED)
        before = (network.state(wrong)["height"], network.state(wrong)["size"])
        asked = tuple(n for n in network.gateways if n != wrong)
        clients.several(seen, asked, 1, f"with node {wrong} started {shift:+d} s off, the three others answer")
        after = (network.state(wrong)["height"], network.state(wrong)["size"])
        ahead = network.state(others[0])["height"] - after[0]
        seen.must(after == before and ahead > 2, f"it is not let in: it has no new height and no new entry ({before}, {after}), and is {ahead} heights behind")
        network.stop(wrong)
        network.start(wrong)
        network.until_certified(2 + len(clients.acknowledged), *NODES)
        seen.must(True, "started at the right time, it caught up")
        network.stop(wrong)
    network.start(wrong)
    network.until_certified(2 + len(clients.acknowledged), *NODES)
    clients.several(seen, network.gateways, 1, "and each gateway answers")
    agree(network, clients, seen, 2 + len(clients.acknowledged))
