"""The trust store: FORMAT.md, section 18."""

import json
import os
import re
from collections import namedtuple

from findings import STALE, UNTRUSTED
from keys import key_bytes
from rules import Refused, holds

# rings: (owner, id) → (version, digest, deal); paths: name → (owner, id); after: (owner, id), or for all rings (owner, None) → the keys
# that some word puts right after the owner's; last: (owner, id) → (version, digest, deal), or None, of the newest by a key that was given
# up; earlier: (owner, id) → the deals of versions before, and the first version of which they are known
Trust = namedtuple("Trust", "owners rings paths after last earlier")
NO_STORE = Trust([], {}, {}, {}, {}, {})

def parse_trust(data):
    def check(value, kind, good=True):
        if type(value) is not kind or not (good if type(good) is bool else re.fullmatch(good, value)):
            raise Refused("the trust store has another form")
        return value

    def members(value, *names):
        return check(value, dict, set(check(value, dict)) == set(names))

    def unique(pairs):
        return check(dict(pairs), dict, len(dict(pairs)) == len(pairs))

    def owner_key(text):
        return key_bytes(check(text, str), "drowner")

    def hexadecimal(text, digits):
        return bytes.fromhex(check(text, str, f"[0-9a-f]{{{digits}}}"))

    try:
        store = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the trust store: {error}") from None
    added = {4: {"rotations": {}}, 5: {"successors": {}, "given_up": {}}}.get(check(store, dict).get("format"), {})
    members({**added, **store}, "format", "owners", "rings", *added, "paths", "ledgers", "ledger_paths")   # left out where empty
    check(store["format"], int, store["format"] in (2, 3, 4, 5))
    later = {"earlier_deals": {}, "deals_since": 0} if store["format"] > 2 else {}
    for head in check(store["ledgers"], dict).values():              # ledgers have no part in a verdict
        members({"pinned": True, **head} if store["format"] == 5 else head, "size", "checkpoint", *["pinned"] * (store["format"] == 5))
        check(head.get("pinned", True), bool)
        check(head["checkpoint"], str, type(head["size"]) is int)
    owners = [owner_key(owner) for owner in check(store["owners"], list)]
    rings, deals = {}, {}
    for owner, seen_rings in check(store["rings"], dict).items():
        for ring_id, seen in check(seen_rings, dict).items():
            members({"deal": 1, **later, **seen}, "model_version", "digest", "ledgers", "deal", *later)    # left out where none was seen
            version = check(seen["model_version"], int)
            since = check(seen.get("deals_since", 0), int, 0 <= seen.get("deals_since", 0) <= version)
            earlier = check(seen.get("earlier_deals", {}), dict, len(seen.get("earlier_deals", {})) <= 64)
            for before, deal in earlier.items():                     # for who looks back, and under a key that was given up
                check(before, str, "0|[1-9][0-9]{0,19}")
                check(deal, int, since <= int(before) < version and 0 < deal < 2 ** 32)
            deals[owner_key(owner), hexadecimal(ring_id, 32)] = {int(before): deal for before, deal in earlier.items()}, since
            rings[owner_key(owner), hexadecimal(ring_id, 32)] = (
                check(version, int, 0 <= version < 2 ** 64), hexadecimal(seen["digest"], 64),
                check(seen.get("deal", 0), int, 0 <= seen.get("deal", 0) < 2 ** 32))
            check(seen["ledgers"], list, all(key in store["ledgers"] for key in seen["ledgers"]))
    paths = {}
    for name, bound in check(store["paths"], dict).items():
        members(bound, "owner", "ring")
        paths[name] = owner_key(bound["owner"]), hexadecimal(bound["ring"], 32)
    after, last = {}, {}
    for ring_id, keys in check(store.get("rotations", {}), dict).items():                  # format 4: nobody knows by whose word
        check(keys, dict, len(keys) > 0)
        hexadecimal(ring_id, 32)
        for old, new in keys.items():
            after.setdefault((owner_key(old), bytes.fromhex(ring_id)), set()).add(owner_key(new))
    for old, new in check(store.get("successors", {}), dict).items():
        after.setdefault((owner_key(old), None), set()).add(owner_key(new))
    for ledger, spoken_of in check(store.get("given_up", {}), dict).items():
        check(spoken_of, dict, len(spoken_of) > 0 and ledger in store["ledgers"])
        for ring_id, keys in spoken_of.items():
            check(keys, dict, len(keys) > 0)
            for old, given in keys.items():
                members({"last": None, **check(given, dict)}, "next", "last")
                named, version = (owner_key(old), hexadecimal(ring_id, 32)), None
                after.setdefault(named, set()).add(owner_key(given["next"]))
                if "last" in given:
                    members({"deal": 0, **check(given["last"], dict)}, "model_version", "digest", "deal")
                    deal = check(given["last"].get("deal", 0), int, 0 <= given["last"].get("deal", 0) < 2 ** 32)
                    number = check(given["last"]["model_version"], int, 0 <= given["last"]["model_version"] < 2 ** 64)
                    version = number, hexadecimal(given["last"]["digest"], 64), deal
                newer = rank(version) >= rank(last.get(named))
                if store["ledgers"][ledger].get("pinned") and newer:
                    last[named] = version
    for ring_id in {None} | {ring_id for _, ring_id in after}:
        for key in {key for key, about in after if about in (None, ring_id)}:
            following = after_key(after, key, ring_id)
            right_after = next_keys(after, key, ring_id)
            check(following, set, key not in following and all(
                one == two or one in after_key(after, two, ring_id) or two in after_key(after, one, ring_id)
                for one in right_after for two in right_after))
    check(store["ledger_paths"], dict, all(key in store["ledgers"] for key in store["ledger_paths"].values()))
    return Trust(owners, rings, paths, after, last, deals)

def rank(last):
    return (last[0], last[2]) if last else (-1, 0)

def next_keys(after, key, ring_id):
    return after.get((key, ring_id), set()) | after.get((key, None), set())

def after_key(after, key, ring_id):
    """All keys after this one of a ring's owner, by however many others."""
    found, due = set(), [key]
    while due:
        new = next_keys(after, due.pop(), ring_id) - found
        found |= new
        due += new
    return found

def read_trust(path):
    try:
        with open(path, "rb") as file:
            data = file.read(2 ** 26 + 1)
    except FileNotFoundError:
        return NO_STORE
    if len(data) > 2 ** 26:
        raise Refused("a trust store of more than 64 MiB")
    return parse_trust(data)

def path_name(path):
    """A path without `.` and repeated slashes, but with its links and `..`; or `bytes:` where it is no text."""
    path = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    try:
        path.encode()
        return path
    except UnicodeEncodeError:
        return "bytes:" + os.fsencode(path).hex()

def refuse_owner_and_version(owner, ring_id, version, digest, pinned, trust):
    """§12, checks 7 and 8, of a ring or its outline: verdict and reason, or None."""
    named = owner, ring_id
    if pinned is not None:
        trusted = owner == pinned
    else:
        trusted = owner in trust.owners and (
            named in trust.rings or not any(known == ring_id for _, known in trust.rings))
    if not trusted:
        return UNTRUSTED, "the owner is not trusted"
    if not trust:
        return None
    # Under the keys that came after this one.
    later = [trust.rings[key, ring_id] for key in after_key(trust.after, owner, ring_id) if (key, ring_id) in trust.rings]
    own = trust.rings.get(named)
    if named in trust.last:                                          # it was given up, and what is recorded counts, not what was seen
        own = trust.last[named]
    if not holds("no newer version was seen under a later key", all(version >= seen for seen, _, _ in later)):
        return STALE, "a newer version was seen under a later key"
    if own and version < own[0]:
        return STALE, "a newer version was seen before"
    if not holds("no version was seen under a later key", not later):
        return UNTRUSTED, "a version was seen under a key to which this one was rotated"
    if not holds("a version by a key that was given up is recorded", named not in trust.last or (own and version <= own[0])):
        return UNTRUSTED, "the ledger records no such version by the key that was given up"
    if own and version == own[0] and digest != own[1]:
        return STALE, "another ring of this version was seen before"
    return None

def refuse_deal_number(owner, ring_id, version, number, trust):
    """§18: a later deal of this version was seen. Verdict and reason, or None."""
    nothing, named = (None, None, 0), (owner, ring_id)
    seen, _, deal = trust.rings.get(named, nothing) if trust else nothing
    recorded, _, newest = (trust.last.get(named) or nothing) if trust else nothing
    if recorded == version:                                          # by a key that was given up: it may be older than one that was seen
        if seen != version:
            deals, since = trust.earlier.get(named, ({}, 0))
            seen, deal = version, deals.get(version, 0) if version >= since else newest
        deal = min(deal, newest)
        if not holds("a deal by a key that was given up is recorded", number <= newest):
            return UNTRUSTED, "the ledger records no such deal by the key that was given up"
    if not holds("no later deal of a version was seen", seen != version or number >= deal):
        return STALE, f"deal {deal} was seen before"
    return None
