"""Nodes are killed at any moment, one and all at once: nothing that was acknowledged is lost, and they go on."""

import json
import random
import time

from asking import Load
from fabric import HOSTS, NODES

# What a node's log says when the ledger has its alarm about itself, and when it has its repair.
ALARM, REPAIR = "alarm about itself is on the ledger", "a repair of this host's copy is recorded"
DAMAGED = 3


def kills(network, clients, seen):
    """`kill -9` of one node, and of all four, while clients ask without end."""
    draw = random.Random(1)
    network.start()
    network.until_certified(2)
    clients.several(seen, network.gateways, 1, "at rest, each gateway answers")

    for killed in (NODES[-1], network.gateways[0]):
        others = tuple(n for n in NODES if n != killed)
        with Load(clients, network.gateways) as load:
            wait_until_under_way(network, load, draw)
            network.kill(killed)
            before = len(clients.acknowledged)
            network.until(f"three answer without node {killed}", lambda: len(clients.acknowledged) >= before + 4, others)
            network.start(killed)
            network.until_certified(network.state(others[0])["size"], *NODES)
        seen.must(True, f"node {killed} was killed in the middle of a query; {len(clients.acknowledged) - before} answers were certified since, and it caught up")

    cut, times = 0, 0
    while times < 3 or (cut == 0 and times < 8):
        times += 1
        with Load(clients, network.gateways) as load:
            wait_until_under_way(network, load, draw)
            before = clients.cut()
            network.kill(*NODES)
            acknowledged = len(clients.acknowledged)
            time.sleep(1)
            cut += clients.cut() - before
            network.start()
            network.until("queries are answered again", lambda: len(clients.acknowledged) > acknowledged + 1)
    seen.must(cut > 0, f"all four were killed at once, {times} times, with {cut} questions cut off in the middle, and answered again")
    clients.several(seen, network.gateways, 1, "at rest, each gateway answers")
    agree(network, clients, seen, 2 + len(clients.acknowledged))


def agree(network, clients, seen, least):
    """Stops all nodes at the same entries, and compares everything."""
    network.until_level(*NODES, least=least)
    network.stop()
    entries = network.equal_ledgers(*NODES)
    clients.verify_all(seen, entries)
    # What was recorded, and killed before its client had it.
    seen.told(f"decisions in the ledger that no client was given: {sum(entry['kind'] == 'decisions' for entry in entries) - len(clients.acknowledged)}")
    told = {reason: count for reason, count in clients.refused.most_common(4)}
    seen.told(f"{clients.asked} questions, {len(clients.acknowledged)} acknowledged, {len(entries)} entries; not answered: {told}")
    return entries


def wait_until_under_way(network, load, draw):
    network.until("a query is under way", lambda: load.under_way, ())
    # Anywhere in it: at its legs, at its record, at its cosignatures.
    time.sleep(draw.uniform(0.2, 0.8))
    network.until("a query is under way", lambda: load.under_way, ())


def damage(network, n):
    """Changes a byte in the middle of a node's ring file, where there are parameters; the file as it was."""
    path = network.ring(n)
    sealed = path.read_bytes()
    with open(path, "r+b") as file:
        file.seek(len(sealed) // 2)
        file.write(bytes([sealed[len(sealed) // 2] ^ 0x40]))
    return sealed


def wait_for_log(network, n, words, since, seconds=90):
    """Waits until a node says something in its log, looking often."""
    began = time.monotonic()
    while words not in network.log(n)[since:]:
        if time.monotonic() - began > seconds or network.running[n].poll() is not None:
            network.until(f"node {n} says `{words}`", lambda: False, (n,), 0)
        time.sleep(0.01)


def start_mended(network, n, other, sealed, seen):
    """Starts a node whose file may be damaged: it refuses such a file by its exit code, and its operator mends it offline."""
    mended = network.ring(n).read_bytes() != sealed
    if mended:
        network.start(n)
        seen.equal(network.ended(n), DAMAGED, f"with a damaged file node {n} does not start")
        network.command(network.deepring, "repair", network.ring(n), "--from", network.ring(other), "--owner", network.owner)
        seen.must(network.ring(n).read_bytes() == sealed, f"and is mended offline: all {seen.count('bytes of repaired copies', len(sealed))} bytes are as they were sealed")
    network.start(n)
    return mended


def kill_in_repair(network, clients, seen):
    """`kill -9` of a node between its alarm about a damaged copy and its repair."""
    hurt, other = NODES[-1], NODES[0]
    network.start()
    network.until_certified(2)

    # Others are asked for chunks and countersignatures in vain, so that the repair is under way for certain.
    network.fabric.close(hurt, HOSTS)
    since = len(network.log(hurt))
    sealed = damage(network, hurt)
    wait_for_log(network, hurt, ALARM, since)
    time.sleep(1)
    network.kill(hurt)
    seen.must(REPAIR not in network.log(hurt)[since:], f"node {hurt} was killed between its alarm and its repair")
    seen.must(network.fabric.dropped(hurt) > 0, "while it asked others in vain")
    network.fabric.heal(hurt)
    since = len(network.log(hurt))
    start_mended(network, hurt, other, sealed, seen)
    wait_for_log(network, hurt, REPAIR, since)
    network.until("its blocks are in use", lambda: network.state(hurt).get("blocks_open"))
    seen.must(True, "started again, it has its repair recorded, and its blocks are in use")

    # And in a repair that nothing holds up: before the file is mended, and as soon as it is.
    for moment in ("mended", "alarmed"):
        since = len(network.log(hurt))
        damage(network, hurt)
        wait_for_log(network, hurt, ALARM, since)
        while moment == "mended" and network.ring(hurt).read_bytes() != sealed:
            wait_for_log(network, hurt, "", since)
            time.sleep(0.002)
        network.kill(hurt)
        is_over = REPAIR in network.log(hurt)[since:]
        since = len(network.log(hurt))
        offline = start_mended(network, hurt, other, sealed, seen)
        if not is_over:
            wait_for_log(network, hurt, REPAIR, since)
        network.until("its blocks are in use", lambda: network.state(hurt).get("blocks_open"))
        when = "after its alarm" if moment == "alarmed" else f"when its file was whole again{', its repair recorded' if is_over else ''}"
        seen.must(not (offline and moment == "mended"), f"killed {when}, it is started again, and its blocks are in use")
    seen.must(network.ring(hurt).read_bytes() == sealed, f"its file is as it was sealed: {seen.count('bytes of repaired copies', len(sealed))} bytes")
    clients.several(seen, network.gateways, 1, "each gateway answers")
    entries = agree(network, clients, seen, 2 + len(clients.acknowledged) + 6)
    mine = [entry for entry in entries if network.host(hurt) in json.dumps(entry["author"])]
    kinds = [entry["kind"] for entry in mine if entry["kind"] in ("alarm", "repair")]
    seen.equal(kinds, ["alarm", "repair"] * 3, "the ledger has each alarm of it and each repair, in this order")
