//! Maps of which no key stands twice in the text: of two records of one ring, a reader that takes the
//! last and one that takes the first would refuse different rings.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A map, refused where a key stands in it twice.
struct Unique<K, V>(BTreeMap<K, V>);

/// Reads a map; for `deserialize_with`.
pub(super) fn map<'de, D, K, V>(from: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    Ok(Unique::deserialize(from)?.0)
}

/// Reads a map of maps.
pub(super) fn map_of_maps<'de, D, K, L, V>(from: D) -> Result<BTreeMap<K, BTreeMap<L, V>>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    L: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    let outer: BTreeMap<K, Unique<L, V>> = map(from)?;
    Ok(outer.into_iter().map(|(key, inner)| (key, inner.0)).collect())
}

type MapOfMapsOfMaps<K, L, M, V> = BTreeMap<K, BTreeMap<L, BTreeMap<M, V>>>;

/// Reads a map of maps of maps.
pub(super) fn map_of_maps_of_maps<'de, D, K, L, M, V>(
    from: D,
) -> Result<MapOfMapsOfMaps<K, L, M, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    L: Deserialize<'de> + Ord,
    M: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    let outer: BTreeMap<K, BTreeMap<L, Unique<M, V>>> = map_of_maps(from)?;
    let bare = |of: BTreeMap<L, Unique<M, V>>| of.into_iter().map(|(key, inner)| (key, inner.0));
    Ok(outer.into_iter().map(|(key, inner)| (key, bare(inner).collect())).collect())
}

impl<'de, K, V> Deserialize<'de> for Unique<K, V>
where
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Keys(PhantomData)).map(Self)
    }
}

struct Keys<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for Keys<K, V>
where
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map whose keys differ")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut read = BTreeMap::new();
        while let Some((key, value)) = from.next_entry()? {
            if read.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice in a map"));
            }
        }
        Ok(read)
    }
}
