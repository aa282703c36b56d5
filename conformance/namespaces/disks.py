"""A disk that was wiped, and one that is full."""

import os
import shutil
import time

from fabric import NODES, in_memory, unmount
from killing import agree
from splitting import SETTLED, heights

GAVE_UP = 6
LOST = "what it voted is gone"


def wiped(network, clients, seen):
    """The data folder of a node is gone: it says so, follows, and votes no more with its key."""
    lost, also = NODES[1], NODES[2]
    network.start()
    network.until_certified(2)
    clients.several(seen, network.gateways, 2, "each gateway answers")
    network.until_level(*NODES)
    network.stop(lost)
    shutil.rmtree(network.node(lost) / "data")
    network.start(lost)
    code, said = network.ended(lost), network.log(lost).splitlines()[-1]
    seen.must(code == 1 and "--forget-signed-receipts" in said, "a node whose disk was wiped does not start by itself: its host signed receipts that it knows no more")

    since = len(network.log(lost))
    network.start(lost, flags=["--forget-signed-receipts"])
    network.until_certified(2 + len(clients.acknowledged), *NODES)
    seen.must(LOST in network.log(lost)[since:], f"told to, it starts, says that `{LOST}`, and catches up")
    state = network.state(lost)
    seen.equal((state["votes"], state["votes_lost"]), (False, True), "its state says that it does not vote, as its votes are lost")
    clients.several(seen, network.gateways, 1, "each gateway answers, with a host that follows")
    network.until_level(*NODES)

    network.stop(also)
    left = [n for n in NODES if n != also]
    time.sleep(SETTLED)
    before = heights(network, *left)
    answer = clients.ask(next(n for n in network.gateways if n != also), timeout=6)
    seen.equal((answer, heights(network, *left)), (None, before), "without another one there is no quorum of those that vote: no new height, no answer")
    network.start(also)
    network.until("heights go on", lambda: min(heights(network, *left)) > max(before) + 1)
    clients.several(seen, network.gateways, 1, "with it again, each gateway answers")
    agree(network, clients, seen, 2 + len(clients.acknowledged))


class SmallDisk:
    """A node's data folder in memory, of a bounded size."""

    def __init__(self, network, n, megabytes):
        self.folder = network.node(n) / "data"
        self.folder.mkdir(mode=0o700)
        in_memory(self.folder, megabytes)

    def fill(self):
        with open(self.folder / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 12))
            except OSError:
                pass
            return os.fstat(file.fileno()).st_size

    def free(self):
        (self.folder / "filler").unlink()

    def end(self):
        unmount(self.folder)


def full(network, clients, seen):
    """A node's disk is full: it ends and says why, the three others go on, and with room again it comes back."""
    lost, others = NODES[-1], NODES[:-1]
    asked = tuple(n for n in network.gateways if n != lost)
    disk = SmallDisk(network, lost, 24)
    try:
        network.start()
        network.until_certified(2)
        clients.several(seen, network.gateways, 1, "each gateway answers")
        seen.must(disk.fill() > 0, f"the disk of node {lost} is full")
        while network.running[lost].poll() is None and len(clients.acknowledged) < 60:
            clients.ask(asked[0])
        code, said = network.ended(lost), network.log(lost).splitlines()[-1]
        seen.equal(code, GAVE_UP, f"node {lost} ends with exit code {GAVE_UP}")
        seen.must(str(disk.folder) in said, f"and its last line names the folder: {said.replace(str(network.folder), '...')[:160]}")
        clients.several(seen, asked, 2, "the three others answer")
        since = len(network.log(lost))
        network.start(lost)
        seen.must(network.ended(lost) != 0, f"started again on the full disk it ends again: {network.log(lost)[since:].splitlines()[-1][-100:]}")
        disk.free()
        network.start(lost)
        network.until_certified(2 + len(clients.acknowledged), *NODES)
        seen.equal(network.state(lost)["votes"], True, "with room again it comes back, catches up and votes")
        clients.several(seen, network.gateways, 1, "each gateway answers")
        agree(network, clients, seen, 2 + len(clients.acknowledged))
    finally:
        network.end()
        disk.end()
