"""Who may say what on a ledger: LEDGER.md, "Authority". A history is the entries of a ledger from its first on."""

from collections import namedtuple

from crypto import derive, signed
from encoding import Reader, listed, u32, u64
from entries import (ALARM, DEALT, DECISIONS, HOST, HOST_REVOKED, KEY_REVOKED, LIFTED, NODE, OWNER, REGISTERED, REPAIR,
                     REVOKED, ROTATED, UPGRADED, VALIDATORS, log_digest, read_entry)
from evidence import accused, is_proof, refuse_evidence, rests_on
from log import counts_each_once
from outline import verify_outline
from rules import require

BY_ALARM, BY_EVIDENCE = range(2)                                     # causes of a quarantine
Key = namedtuple("Key", "role key")

class Version:
    def __init__(self, outline):
        self.outlines, self.revoked = [outline], False

    def newest(self):
        return self.outlines[-1]

class Ring:
    def __init__(self, owner):
        self.owner, self.versions, self.revoked = owner, [], False   # owner: the first key of whom it belongs to

class State:
    """What the entries so far come to. Revocations hold from their entry on, so a plain set of them is enough."""

    def __init__(self, origin):
        self.origin, self.rings, self.validators = origin, {}, None
        self.rotated, self.first_keys = set(), {}                    # keys given up; of a new key the first one
        self.revoked_keys, self.revoked_hosts = set(), set()         # hosts: (first key of the owner, ring or None, host)
        self.quarantines = {}                                        # (ring digest, host, block) → cause
        self.faults, self.numbers = set(), {}                        # proven ones; of each author the newest number

    def first_key(self, owner):
        return self.first_keys.get(owner, owner)

    def ring_of(self, owner, ring_id):
        ring = self.rings.get(ring_id)
        require("an entry is of a registered ring", ring)
        require("an entry about a ring is by its owner", ring.owner == self.first_key(owner))
        return ring

    def version_of(self, ring_id, digest):
        """A registered version that is not revoked, nor its ring."""
        ring = self.rings.get(ring_id)
        version = ring and next((v for v in ring.versions if v.newest().ring == digest), None)
        require("an entry is of a registered version", version)
        require("nothing is said about what is revoked", not ring.revoked and not version.revoked)
        return version

    def all_versions(self):
        return [(ring_id, v) for ring_id, ring in self.rings.items() for v in ring.versions]

    def host_is_revoked(self, ring_id, host):
        owner = self.rings[ring_id].owner
        return (Key(HOST, host) in self.revoked_keys or (owner, ring_id, host) in self.revoked_hosts
                or (owner, None, host) in self.revoked_hosts)

    def admits(self, validators, owner):
        return self.first_key(owner) in map(self.first_key, validators["owners"])

    def is_known(self, owner):
        first = self.first_key(owner)
        return any(ring.owner == first for ring in self.rings.values()) or (
            self.validators is not None and self.admits(self.validators, owner))

    def take(self, entry):
        """Takes the next entry, or refuses it."""
        author = Key(entry.role, entry.author)
        require("an entry is for this log", entry.log == log_digest(self.origin))
        counted, newest = entry.kind not in (DECISIONS, KEY_REVOKED), self.numbers.get(author, 0)
        require("an author's numbers rise", not counted or entry.sequence > newest)
        require("an author's numbers do not jump", not counted or entry.sequence - newest <= 1 << 20)
        require("nothing is said by a revoked key", author not in self.revoked_keys)
        require("nothing is said by a key that was given up", entry.role != OWNER or entry.author not in self.rotated)
        role = {DECISIONS: HOST, ALARM: HOST, REPAIR: HOST, KEY_REVOKED: entry.role}.get(entry.kind, OWNER)
        require("an entry is by the role that its kind asks for", entry.role == role)
        if entry.kind == KEY_REVOKED:
            self.revoked_keys.add(author)
        else:
            bound = {"bound": entry.log + u64(entry.sequence)} if entry.kind == REPAIR else {}
            TAKES[entry.kind](self, entry.author, **entry.fields, **bound)
        if counted:
            self.numbers[author] = entry.sequence

    def new_version(self, owner, outline):
        require("a ring digest is new", all(v.newest().ring != outline.ring for _, v in self.all_versions()))
        require("the validator set names who registers", self.validators is None or self.admits(self.validators, owner))
        self.rings.setdefault(outline.ring_id, Ring(self.first_key(owner))).versions.append(Version(outline))

    def registered(self, author, outline):
        authentic_of(author, outline)
        require("a ring id is registered once", outline.ring_id not in self.rings)
        self.new_version(author, outline)

    def upgraded(self, author, outline):
        authentic_of(author, outline)
        ring = self.ring_of(author, outline.ring_id)
        require("a revoked ring is not upgraded", not ring.revoked)
        newest = ring.versions[-1].newest()
        require("an upgrade has a higher version", outline.version > newest.version)
        require("an upgrade names the newest version", outline.previous == newest.ring)
        require("an upgrade is of its ring's kind", outline.kind == newest.kind)
        self.new_version(author, outline)

    def dealt(self, author, outline):
        authentic(outline)
        self.ring_of(author, outline.ring_id)
        version = self.version_of(outline.ring_id, outline.ring)
        newest = version.newest()
        require("a revision is the same but for hosts and deal", same_ring(newest, outline))
        require("a revision is higher", outline.revision > newest.revision)
        version.outlines.append(outline)

    def revoke_ring(self, author, ring, digest, reason):
        of = self.ring_of(author, ring)
        version = next((v for v in of.versions if v.newest().ring == digest), None)
        require("a version that is revoked is registered", digest is None or version)
        (version or of).revoked = True

    def decided(self, author, digest, decision, count, dealt):
        found = next(((ring_id, v) for ring_id, v in self.all_versions() if v.newest().ring == digest), None)
        require("decisions are of a registered version", found)
        ring_id, version = found
        self.version_of(ring_id, digest)
        require("decisions are under the newest deal", dealt == version.newest().deal_number())
        require("decisions are by a host of Genesis", author in version.newest().blocks[0].hosts)
        require("decisions are by a host that is not revoked", not self.host_is_revoked(ring_id, author))

    def host_of(self, ring_id, outline, host):
        require("an entry is by a host of the ring", any(host in block.hosts for block in outline.blocks))
        require("an entry is by a host that is not revoked", not self.host_is_revoked(ring_id, host))

    def alarm(self, author, ring, digest, accused, block, evidence, **_for_people):
        version = self.version_of(ring, digest)
        outline = version.newest()
        self.host_of(ring, outline, author)
        blocks = outline.blocks if block is None else outline.blocks[block:block + 1]
        require("the accused is a host of the block", any(accused in each.hosts for each in blocks))
        blocks, cause = [] if block is None or author != accused else [block], BY_ALARM
        if evidence:
            verify_evidence(evidence, version, accused, block)
            first = evidence.receipt.first
            fault = digest, accused, evidence.receipt.query, first
            blocks, cause = [], BY_EVIDENCE
            revoked = any(self.host_is_revoked(ring, host) for host in rests_on(evidence))
            # Told again, it has no effect again.
            if is_proof(evidence) and fault not in self.faults and not revoked:
                self.faults.add(fault)
                blocks = range(first, first + len(evidence.receipt.contents))
        for each in blocks:
            place = digest, accused, each
            self.quarantines[place] = max(cause, self.quarantines.get(place, cause))

    def repair(self, author, ring, digest, blocks, source, nonce, audit, countersignature, bound):
        outline = self.version_of(ring, digest).newest()
        self.host_of(ring, outline, author)
        require("a repair is of blocks", all(block < len(outline.blocks) for block in blocks))
        hosts = [outline.blocks[block].hosts for block in blocks]
        require("a repair is by a host of its blocks", all(author in of for of in hosts))
        if countersignature is None:
            others = [host for of in hosts for host in of if host != author]
            require("a repair is countersigned where there is another host",
                    all(self.host_is_revoked(ring, host) for host in others))
        else:
            host, signature = countersignature
            require("a host does not countersign its own repair", host != author)
            require("a countersigner is a host of the blocks", all(host in of for of in hosts))
            require("a countersigner is not revoked", not self.host_is_revoked(ring, host))
            require("a countersigner's copies are not quarantined",
                    not any((digest, host, block) in self.quarantines for block in blocks))
            statement = bound + digest + nonce + audit + author + listed([u32(block) for block in blocks])
            require("a countersignature is over the audit", signed(
                host, "deepring v1 sign audit", derive("deepring v1 audit digest", statement), signature))
        for place in [(digest, author, block) for block in blocks]:
            if self.quarantines.get(place) == BY_ALARM:
                del self.quarantines[place]

    def revoke_host(self, author, host, ring, reason):
        if ring is None:
            require("a host is revoked by a known owner", self.is_known(author))
        else:
            self.ring_of(author, ring)
        self.revoked_hosts.add((self.first_key(author), ring, host))

    def rotate(self, author, owner, signature):
        require("a key is rotated by a known owner", self.is_known(author))
        used = {ring.owner for ring in self.rings.values()} | {key for key, _, _ in self.revoked_hosts}
        require("a new key was no owner's", owner != author and owner not in used and owner not in self.first_keys
                and owner not in self.rotated and Key(OWNER, owner) not in self.revoked_keys)
        require("a new key is of no owner of the validator set",
                self.validators is None or owner not in self.validators["owners"])
        require("a new key signs the rotation", signed(owner, "deepring v1 sign key rotation", author, signature))
        self.first_keys[owner] = self.first_key(author)
        self.rotated.add(author)

    def set_validators(self, author, **validators):
        require("a validator set is of this log", validators["origin"] == self.origin)
        require("a validator set counts each party once", counts_each_once(validators["nodes"]))
        require("a validator set names no node that revoked its key",
                not any(Key(NODE, node) in self.revoked_keys for node in validators["nodes"]))
        before = self.validators
        require("a validator set is by an owner of the one before", self.admits(before or validators, author))
        owners = {ring.owner for ring in self.rings.values()} if before is None else set()
        require("the first set is by an owner of a registered ring, and names all of them", not owners or (
            self.first_key(author) in owners and owners <= set(map(self.first_key, validators["owners"]))))
        require("a validator set follows the one before", before is None or validators["epoch"] == before["epoch"] + 1)
        require("a first validator set leaves epochs to follow", before or validators["epoch"] < 2**32)
        self.validators = validators

    def lift(self, author, ring, digest, host, blocks, reason):
        self.ring_of(author, ring)
        self.version_of(ring, digest)
        places = [(digest, host, block) for block in blocks]
        require("what is lifted is quarantined", all(place in self.quarantines for place in places))
        for place in places:
            del self.quarantines[place]

def authentic(outline):
    require("an entry's outline is accepted", verify_outline(outline, owner=outline.owner) is None)

def authentic_of(author, outline):
    authentic(outline)
    require("a version is recorded by the owner whom its outline names", outline.owner == author)

def same_ring(one, other):
    """Whether two outlines of one ring digest differ in hosts and deal alone."""
    def told(outline):
        return (outline.kind, outline.version, outline.previous, outline.owner, outline.inputs, outline.outputs,
                [(block.name, block.content, block.parts) for block in outline.blocks])
    return told(one) == told(other)

def verify_evidence(evidence, version, host, block):
    require("an alarm's evidence is accepted under a revision",
            any(refuse_evidence(evidence, outline) is None for outline in version.outlines))
    first = evidence.receipt.first
    require("an alarm's evidence names the accused", host in accused(evidence))
    require("an alarm's evidence is of the named block",
            block is None or first <= block < first + len(evidence.receipt.contents))

TAKES = {REGISTERED: State.registered, UPGRADED: State.upgraded, REVOKED: State.revoke_ring, DECISIONS: State.decided,
         ALARM: State.alarm, REPAIR: State.repair, DEALT: State.dealt, VALIDATORS: State.set_validators,
         HOST_REVOKED: State.revoke_host, ROTATED: State.rotate, LIFTED: State.lift}

def read_history(data, origin):
    """The state of a ledger of this name after these entries; refused where one of them has no authority."""
    r = Reader(data)
    entries = r.list(4096, 4, lambda: r.bytes(65535))
    r.end()
    state = State(origin)
    for entry in entries:
        state.take(read_entry(entry))
    return state
