"""The trust store: FORMAT.md, section 18."""

import json
import os
import re
from collections import namedtuple

from findings import STALE, UNTRUSTED
from keys import key_bytes
from rules import Refused, holds

# rings: (owner, id) → (version, digest, deal); paths: name → (owner, id); after: (owner, id) → the owner's next key
Trust = namedtuple("Trust", "owners rings paths after")

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
    added = {"rotations": {}} if check(store, dict).get("format") == 4 else {}                   # left out where no owner rotated
    members({**added, **store}, "format", "owners", "rings", *added, "paths", "ledgers", "ledger_paths")
    check(store["format"], int, store["format"] in (2, 3, 4))
    later = {"earlier_deals": {}, "deals_since": 0} if store["format"] > 2 else {}
    for head in check(store["ledgers"], dict).values():              # ledgers have no part in a verdict
        members(head, "size", "checkpoint")
        check(head["checkpoint"], str, type(head["size"]) is int)
    owners = [owner_key(owner) for owner in check(store["owners"], list)]
    rings = {}
    for owner, seen_rings in check(store["rings"], dict).items():
        for ring_id, seen in check(seen_rings, dict).items():
            members({"deal": 1, **later, **seen}, "model_version", "digest", "ledgers", "deal", *later)    # left out where none was seen
            version = check(seen["model_version"], int)
            since = check(seen.get("deals_since", 0), int, 0 <= seen.get("deals_since", 0) <= version)
            earlier = check(seen.get("earlier_deals", {}), dict, len(seen.get("earlier_deals", {})) <= 64)
            for before, deal in earlier.items():                     # they are for who looks back, and have no part in a verdict
                check(before, str, "0|[1-9][0-9]{0,19}")
                check(deal, int, since <= int(before) < version and 0 < deal < 2 ** 32)
            rings[owner_key(owner), hexadecimal(ring_id, 32)] = (
                check(version, int, 0 <= version < 2 ** 64), hexadecimal(seen["digest"], 64),
                check(seen.get("deal", 0), int, 0 <= seen.get("deal", 0) < 2 ** 32))
            check(seen["ledgers"], list, all(key in store["ledgers"] for key in seen["ledgers"]))
    paths = {}
    for name, bound in check(store["paths"], dict).items():
        members(bound, "owner", "ring")
        paths[name] = owner_key(bound["owner"]), hexadecimal(bound["ring"], 32)
    after = {}
    for ring_id, keys in check(store.get("rotations", {}), dict).items():
        check(keys, dict, len(keys) > 0)
        next_key = {owner_key(old): owner_key(new) for old, new in keys.items()}
        for key in next_key:
            way = []
            while key in next_key:
                way.append(key)
                key = next_key[check(key, bytes, key not in way[:-1])]
        after.update({(old, hexadecimal(ring_id, 32)): new for old, new in next_key.items()})
    check(store["ledger_paths"], dict, all(key in store["ledgers"] for key in store["ledger_paths"].values()))
    return Trust(owners, rings, paths, after)

def read_trust(path):
    try:
        with open(path, "rb") as file:
            data = file.read(2 ** 26 + 1)
    except FileNotFoundError:
        return Trust([], {}, {}, {})
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
    later, key = [], trust.after.get(named)
    while key:                                                       # under the keys to which this one was rotated
        later += [trust.rings[key, ring_id]] if (key, ring_id) in trust.rings else []
        key = trust.after.get((key, ring_id))
    own = [trust.rings[named]] if named in trust.rings else []
    if not holds("no newer version was seen under a later key", all(version >= seen for seen, _, _ in later)):
        return STALE, "a newer version was seen under a later key"
    if any(version < seen for seen, _, _ in own):
        return STALE, "a newer version was seen before"
    if not holds("no version was seen under a later key", not later):
        return UNTRUSTED, "a version was seen under a key to which this one was rotated"
    if any(version == seen and digest != seen_digest for seen, seen_digest, _ in own):
        return STALE, "another ring of this version was seen before"
    return None

def refuse_deal_number(owner, ring_id, version, number, trust):
    """§18: a later deal of this version was seen. Verdict and reason, or None."""
    seen, _, deal = trust.rings.get((owner, ring_id), (None, None, 0)) if trust else (None, None, 0)
    if not holds("no later deal of a version was seen", seen != version or number >= deal):
        return STALE, f"deal {deal} was seen before"
    return None
