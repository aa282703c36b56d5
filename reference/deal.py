"""The deal: FORMAT.md, section 20."""

from collections import namedtuple

from crypto import derive, signed
from encoding import Reader
from rules import require

Leg = namedtuple("Leg", "first end hosts")

class Deal(namedtuple("Deal", "ring_id ring revision dealt_at eager genesis legs owner signature digest encoded")):
    """ring, digest: of the ring, of the deal without its signature."""

    def copies(self):
        return len(self.legs[0].hosts)

    def signature_fits(self):
        return signed(self.owner, "deepring v1 sign deal", self.digest, self.signature)

def read_deal(data):
    """None for no bytes."""
    if not data:
        return None
    r = Reader(data)
    require("a deal's magic", r.raw(8) == b"RINGDEAL")
    require("a deal's format version", r.u16() == 1)
    fields = r.raw(16), r.raw(32), r.u32(), r.u64(), r.u8()
    genesis = read_hosts(r, 4096)
    legs = r.list(65536, 12, lambda: Leg(r.u32(), r.u32(), read_hosts(r, 3)))
    deal = Deal(*fields, genesis, legs, r.raw(64), r.raw(64), derive("deepring v1 deal digest", data[:-64]), data)
    r.end()
    require("a deal has hosts of Genesis", genesis)
    require("a deal has legs", legs)
    begins = [1] + [leg.end for leg in legs]
    require("a leg begins where the one before ends", all(leg.first == b for leg, b in zip(legs, begins)))
    require("a leg has blocks", all(leg.end > leg.first for leg in legs))
    require("a leg ends within 65536 blocks", legs[-1].end <= 65536)
    require("a leg has two or three hosts", deal.copies() >= 2)
    require("legs have the same number of hosts", all(len(leg.hosts) == deal.copies() for leg in legs))
    require("eager is 0 or 1", deal.eager < 2)
    require("an eager deal has three copies", deal.eager == 0 or deal.copies() == 3)
    return deal

def read_hosts(r, limit):
    hosts = r.list(limit, 64, lambda: r.raw(64))
    signers = [host[:32] for host in hosts]                          # one who signs for two would validate himself
    require("a list of hosts in a deal has each signer once", len(set(signers)) == len(signers))
    return hosts
