"""A network that is split, and one that loses packets: nothing wrong is certified, and after healing all go on."""

import time

from fabric import NODES
from killing import agree

# By then what was under way at the split is over.
SETTLED = 3
LOST_PERCENT = 20


def heights(network, *nodes):
    return [network.state(n)["height"] for n in nodes]


def halves(network, clients, seen):
    """Two and two: neither side has a quorum, or the copies of each leg."""
    network.start()
    network.until_certified(2)
    clients.several(seen, network.gateways, 1, "before, each gateway answers")
    sides = (NODES[:2], NODES[2:])
    network.fabric.split(*sides)
    time.sleep(SETTLED)
    before = heights(network, *NODES)
    kept = lambda: [(network.state(n)["size"], network.state(n)["certified"]) for n in NODES]
    sizes = kept()
    answers = clients.ask_at_once(network.gateways, timeout=6)
    seen.equal(answers, [None] * len(network.gateways), f"split two and two, none of {len(answers)} gateways on both sides gives an answer")
    seen.equal(heights(network, *NODES), before, "no node has a new height")
    seen.equal(kept(), sizes, "and none a new entry, or more of them certified")
    seen.must(network.fabric.dropped() > 0, f"{network.fabric.dropped()} packets were dropped between the sides")
    network.fabric.heal()
    took = network.until("heights go on", lambda: min(heights(network, *NODES)) > max(before) + 1)
    seen.must(True, f"healed, all four go on, after {took:.0f} s")
    answered_again(network, clients)
    clients.several(seen, network.gateways, 2, "and each gateway answers")
    agree(network, clients, seen, 2 + len(clients.acknowledged))


def answered_again(network, clients):
    """What was lost on a connection is sent again when its time comes; until then a query may still be in vain."""
    for gateway in network.gateways:
        network.until(f"node {gateway} answers again", lambda: clients.ask(gateway, timeout=20))


def one_alone(network, clients, seen):
    """One and three: the three go on, and the one catches up."""
    network.start()
    network.until_certified(2)
    alone, others = NODES[-1], NODES[:-1]
    asked = tuple(n for n in network.gateways if n != alone)
    network.fabric.split((alone,), others)
    time.sleep(SETTLED)
    size, (height,) = network.state(alone)["size"], heights(network, alone)
    clients.several(seen, asked, 1, "split one and three, the three answer")
    seen.equal((network.state(alone)["size"], heights(network, alone)), (size, [height]), "the one has neither a new entry nor a new height")
    seen.must(network.fabric.dropped() > 0, f"{network.fabric.dropped()} packets were dropped between the sides")
    network.until_certified(2 + len(clients.acknowledged), *others)
    network.fabric.heal()
    took = network.until_certified(2 + len(clients.acknowledged), *NODES)
    seen.must(True, f"healed, the one caught up, after {took:.0f} s")
    answered_again(network, clients)
    clients.several(seen, network.gateways, 1, "and each gateway answers")
    agree(network, clients, seen, 2 + len(clients.acknowledged))


def loss(network, clients, seen):
    """Of what reaches a node, a share is lost: answers come late or not at all, and are right."""
    network.start()
    network.until_certified(2)
    network.fabric.lose(LOST_PERCENT)
    before = clients.asked
    began = time.monotonic()
    while time.monotonic() - began < 10:
        for gateway in network.gateways:
            clients.ask(gateway, timeout=25)
    asked, answered = clients.asked - before, len(clients.acknowledged)
    dropped = network.fabric.dropped()
    seen.must(dropped > 0 and answered > 0, f"with {LOST_PERCENT} of 100 packets lost ({dropped} of them), {answered} of {asked} questions were answered, all of them rightly")
    network.fabric.heal()
    answered_again(network, clients)
    clients.several(seen, network.gateways, 1, "healed, each gateway answers")
    agree(network, clients, seen, 2 + len(clients.acknowledged))
