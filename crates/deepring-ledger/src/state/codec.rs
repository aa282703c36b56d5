//! Canonical bytes of a state: what is stored and signed beside the tree. `docs/LEDGER.md`,
//! "The state, kept", is the same table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deepring::codec::{DecodeError, Reader, Writer};
use deepring::outline::Outline;
use deepring::{Digest, RingId};

use super::{Cause, KeyBytes, KeyRotation, Ring, State, Version};
use crate::entry::{MAX_ENTRY_BYTES, ValidatorSet};

const MAGIC: [u8; 8] = *b"DLEDGERS";
const FORMAT_VERSION: u16 = 2;
/// Most items of a list; memory is taken for what is there and not for what is claimed.
const MAX_ITEMS: usize = u32::MAX as usize;

impl State {
    /// The canonical bytes; equal states of whatever size have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&MAGIC).u16(FORMAT_VERSION).string(&self.origin);
        w.count(self.rings.len());
        for (id, ring) in &self.rings {
            w.raw(&id.0).raw(&ring.owner);
            index(ring.revoked, &mut w);
            w.count(ring.versions.len());
            for version in &ring.versions {
                index(version.revoked, &mut w);
                w.count(version.outlines.len());
                for (entry, outline) in &version.outlines {
                    w.u64(*entry).bytes(&outline.as_outline().encode());
                }
            }
        }
        w.count(self.rotations.len());
        for (old, rotation) in &self.rotations {
            w.raw(old).raw(&rotation.to).u64(rotation.entry);
        }
        w.count(self.revoked_keys.len());
        for ((role, key), entry) in &self.revoked_keys {
            w.u8(*role).raw(key).u64(*entry);
        }
        w.count(self.revoked_hosts.len());
        for ((owner, ring, host), entry) in &self.revoked_hosts {
            w.raw(owner).u8(u8::from(ring.is_some()));
            ring.iter().for_each(|ring| _ = w.raw(&ring.0));
            w.raw(host).u64(*entry);
        }
        w.u8(u8::from(self.validators.is_some()));
        if let Some((entry, set)) = &self.validators {
            w.u64(*entry);
            set.encode(&mut w);
        }
        w.count(self.quarantines.len());
        for ((digest, host, block), (cause, entry)) in &self.quarantines {
            w.raw(&digest.0).raw(host).u32(*block);
            w.u8(u8::from(*cause == Cause::Evidence)).u64(*entry);
        }
        w.count(self.faults.len());
        for ((digest, host, query, first), entry) in &self.faults {
            w.raw(&digest.0).raw(host).raw(&query.0).u32(*first).u64(*entry);
        }
        w.count(self.sequences.len());
        for ((role, key), newest) in &self.sequences {
            w.u8(*role).raw(key).u64(*newest);
        }
        w.count(self.accusations.len());
        for ((digest, accused, author), (count, newest)) in &self.accusations {
            w.raw(&digest.0).raw(accused).raw(author).u64(*count).u64(*newest);
        }
        w.finish()
    }

    /// Reads what [`encode`](Self::encode) writes, as the state after `size` entries. That it is
    /// one is for a signature to say; outlines are verified here, as they are when an entry brings
    /// them.
    pub(crate) fn decode(bytes: &[u8], size: u64) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        r.header(&MAGIC, FORMAT_VERSION)?;
        let mut state = Self::new(&r.string("origin")?);
        state.size = size;
        state.rings = map(&mut r, "rings", 92, read_ring)?;
        state.rotations = map(&mut r, "rotations", 136, |r| {
            let old = r.array("old key")?;
            Ok((old, KeyRotation { to: r.array("new key")?, entry: r.u64("entry")? }))
        })?;
        state.revoked_keys = map(&mut r, "revoked keys", 73, |r| {
            Ok(((r.u8("role")?, r.array("key")?), r.u64("entry")?))
        })?;
        state.revoked_hosts = map(&mut r, "revoked hosts", 137, |r| {
            let owner = r.array("owner")?;
            let ring = r.bool("ring id")?.then(|| r.array("ring id").map(RingId)).transpose()?;
            Ok(((owner, ring, r.array("host")?), r.u64("entry")?))
        })?;
        if r.bool("validators")? {
            state.validators = Some((r.u64("entry")?, ValidatorSet::decode(&mut r)?));
        }
        state.quarantines = map(&mut r, "quarantines", 109, |r| {
            let place = (Digest(r.array("ring digest")?), r.array("host")?, r.u32("block")?);
            let cause = if r.bool("cause")? { Cause::Evidence } else { Cause::OwnAlarm };
            Ok((place, (cause, r.u64("entry")?)))
        })?;
        state.faults = map(&mut r, "faults", 140, |r| {
            let (digest, host) = (Digest(r.array("ring digest")?), r.array("host")?);
            let place = (digest, host, Digest(r.array("query")?), r.u32("block")?);
            Ok((place, r.u64("entry")?))
        })?;
        state.sequences = map(&mut r, "sequences", 73, |r| {
            Ok(((r.u8("role")?, r.array("key")?), r.u64("sequence")?))
        })?;
        state.accusations = map(&mut r, "accusations", 176, |r| {
            let digest = Digest(r.array("ring digest")?);
            let who: (KeyBytes, KeyBytes) = (r.array("accused")?, r.array("author")?);
            Ok(((digest, who.0, who.1), (r.u64("count")?, r.u64("newest")?)))
        })?;
        r.finish()?;
        state.derive()?;
        Ok(state)
    }

    /// Restores what follows from the rest, and is not stored: rings by digest, first keys by later ones.
    ///
    /// Each key is rotated to once, and not after it was rotated away, as entries have it; else
    /// [`State::present`] would not end.
    fn derive(&mut self) -> Result<(), DecodeError> {
        for (id, ring) in &self.rings {
            self.digests.extend(ring.versions.iter().map(|version| (version.digest(), *id)));
        }
        let by_time = |(old, r): (&KeyBytes, &KeyRotation)| (r.entry, *old, r.to);
        let mut rotations: Vec<_> = self.rotations.iter().map(by_time).collect();
        rotations.sort_unstable();
        let mut seen = BTreeSet::new();
        for (entry, old, new) in rotations {
            seen.insert(old);
            if !seen.insert(new) {
                return Err(DecodeError::BadValue { field: "rotations", found: entry });
            }
            self.roots.insert(new, self.root(&old));
        }
        Ok(())
    }
}

fn read_ring(r: &mut Reader<'_>) -> Result<(RingId, Ring), DecodeError> {
    let id = RingId(r.array("ring id")?);
    let owner = r.array("owner")?;
    let revoked = read_index(r)?;
    let versions = list(r, "versions", 9, |r| {
        let revoked = read_index(r)?;
        let outlines = list(r, "outlines", 12, |r| {
            let entry = r.u64("entry")?;
            let outline = Outline::decode(r.bytes("outline", MAX_ENTRY_BYTES)?)?;
            let bad = |_| DecodeError::Contradiction { field: "outline", with: "signature" };
            Ok((entry, Arc::new(outline.verify_consistent().map_err(bad)?)))
        })?;
        Ok(Version { outlines, revoked })
    })?;
    Ok((id, Ring { owner, versions, revoked }))
}

fn index(entry: Option<u64>, w: &mut Writer) {
    w.u8(u8::from(entry.is_some()));
    entry.iter().for_each(|entry| _ = w.u64(*entry));
}

fn read_index(r: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    r.bool("revoked")?.then(|| r.u64("entry")).transpose()
}

/// A list that is not empty.
fn list<T>(
    r: &mut Reader<'_>,
    field: &'static str,
    min_item: usize,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    match r.count(field, MAX_ITEMS, min_item)? {
        0 => Err(DecodeError::BadValue { field, found: 0 }),
        count => (0..count).map(|_| read(r)).collect(),
    }
}

/// A map, by strictly ascending keys.
fn map<'a, K: Ord, V>(
    r: &mut Reader<'a>,
    field: &'static str,
    min_item: usize,
    read: impl Fn(&mut Reader<'a>) -> Result<(K, V), DecodeError>,
) -> Result<BTreeMap<K, V>, DecodeError> {
    let mut map = BTreeMap::new();
    for place in 0..r.count(field, MAX_ITEMS, min_item)? {
        let (key, value) = read(r)?;
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(DecodeError::BadValue { field, found: place as u64 });
        }
        map.insert(key, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use deepring::PublicKey;
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = KeyBytes> {
        any::<u8>().prop_map(|n| [n; 64])
    }

    /// States of everything but rings, whose outlines only an owner can make.
    fn states() -> impl Strategy<Value = State> {
        use proptest::collection::btree_map;
        let digest = || any::<u8>().prop_map(|n| Digest([n; 32]));
        let host = (key(), proptest::option::of(any::<[u8; 16]>().prop_map(RingId)), key());
        let cause = prop_oneof![Just(Cause::OwnAlarm), Just(Cause::Evidence)];
        (
            "[a-z./]{1,20}",
            btree_map((0..3_u8, key()), any::<u64>(), 0..4),
            btree_map(host, any::<u64>(), 0..4),
            btree_map((digest(), key(), any::<u32>()), (cause, any::<u64>()), 0..4),
            btree_map((digest(), key(), key()), any::<(u64, u64)>(), 0..4),
            (btree_map((0..3_u8, key()), any::<u64>(), 0..4), any::<(bool, u64, u8)>()),
        )
            .prop_map(
                |(origin, keys, hosts, quarantines, accusations, (sequences, more))| {
                    let (some, entry, rotated) = more;
                    let mut state = State::new(&origin);
                    state.faults = quarantines
                        .keys()
                        .map(|(digest, host, block)| ((*digest, *host, *digest, *block), entry))
                        .collect();
                    state.sequences = sequences;
                    (state.revoked_keys, state.revoked_hosts) = (keys, hosts);
                    (state.quarantines, state.accusations) = (quarantines, accusations);
                    let (owners, nodes) = (
                        vec![PublicKey::from_bytes([1; 64])],
                        vec![PublicKey::from_bytes([2; 64])],
                    );
                    let set = ValidatorSet { epoch: entry, origin, owners, nodes };
                    state.validators = some.then_some((entry, set));
                    for n in 0..rotated % 5 {
                        let rotation = KeyRotation { to: [n + 1; 64], entry: u64::from(n) };
                        state.rotations.insert([n; 64], rotation);
                    }
                    state.derive().unwrap();
                    state
                },
            )
    }

    proptest! {
        #[test]
        fn what_was_encoded_reads_back(state in states()) {
            prop_assert_eq!(State::decode(&state.encode(), 0), Ok(state));
        }

        #[test]
        fn what_is_decoded_has_one_form(
            state in states(), at in any::<prop::sample::Index>(), flip in 1_u8..
        ) {
            let mut bytes = state.encode();
            let position = at.index(bytes.len());
            bytes[position] ^= flip;
            if let Ok(other) = State::decode(&bytes, 0) {
                prop_assert_eq!(other.encode(), bytes);
            }
        }

        #[test]
        fn every_prefix_and_every_extension_is_refused(state in states()) {
            let mut bytes = state.encode();
            for cut in 0..bytes.len() {
                prop_assert!(State::decode(&bytes[..cut], 0).is_err());
            }
            bytes.push(0);
            prop_assert!(State::decode(&bytes, 0).is_err());
        }
    }

    #[test]
    fn rotations_that_go_around_are_refused() {
        for round in
            [vec![(1, 2), (2, 1)], vec![(1, 1)], vec![(1, 2), (3, 2)], vec![(2, 3), (1, 2)]]
        {
            let mut state = State::new("log");
            for (entry, (old, to)) in (0..).zip(&round) {
                state.rotations.insert([*old; 64], KeyRotation { to: [*to; 64], entry });
            }
            assert!(State::decode(&state.encode(), 0).is_err(), "{round:?}");
        }
    }

    #[test]
    fn an_outline_that_nobody_signed_is_refused() {
        let mut w = Writer::new();
        w.raw(&MAGIC).u16(FORMAT_VERSION).string("log").count(1).raw(&[1; 16]).raw(&[2; 64]);
        w.u8(0).count(1).u8(0).count(1).u64(0).bytes(b"no outline");
        [0; 7].iter().for_each(|n| _ = w.u32(*n));
        assert!(State::decode(&w.finish(), 0).is_err());
    }
}
