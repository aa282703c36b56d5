//! Words of which key came after which, by whomever, and where they contradict each other.

use std::collections::{BTreeMap, BTreeSet};

/// By key: those that some word puts right after it. Two words may say the same in more or fewer steps.
#[derive(Debug, Default)]
pub(super) struct Words<'a> {
    next: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Words<'a> {
    /// One word more.
    pub(super) fn say(&mut self, old: &'a str, new: &'a str) {
        self.next.entry(old).or_default().insert(new);
    }

    /// All keys after this one, by however many others; itself where it leads back.
    pub(super) fn after(&self, key: &str) -> BTreeSet<&'a str> {
        let mut after = BTreeSet::new();
        let mut due: Vec<&str> = self.next.get(key).into_iter().flatten().copied().collect();
        while let Some(key) = due.pop() {
            if after.insert(key) {
                due.extend(self.next.get(key).into_iter().flatten());
            }
        }
        after
    }

    /// Another key that is said to come right after one, and neither leads to the other.
    pub(super) fn other_next(&self, key: &str, next: &str) -> Option<&'a str> {
        let mut others = self.next.get(key)?.iter().copied().filter(|other| *other != next);
        others.find(|other| !self.after(other).contains(next) && !self.after(next).contains(other))
    }

    /// A key at which these words contradict each other: two keys come after it and neither after the other, or it comes after
    /// itself.
    pub(super) fn contradiction(&self) -> Option<&'a str> {
        let parting = |(key, next): (&&'a str, &BTreeSet<&'a str>)| {
            let parts =
                next.len() > 1 && next.iter().any(|one| self.other_next(key, one).is_some());
            parts.then_some(*key)
        };
        self.leading_back().or_else(|| self.next.iter().find_map(parting))
    }

    /// A key that comes after itself, or after one that does.
    fn leading_back(&self) -> Option<&'a str> {
        // What nothing is left before is taken away, until all is that does not follow from a circle.
        let mut before: BTreeMap<&'a str, usize> = BTreeMap::new();
        for next in self.next.values().flatten() {
            *before.entry(next).or_default() += 1;
        }
        let mut free: Vec<&str> =
            self.next.keys().copied().filter(|key| !before.contains_key(key)).collect();
        while let Some(key) = free.pop() {
            for next in self.next.get(key).into_iter().flatten() {
                if let Some(left) = before.get_mut(next) {
                    *left -= 1;
                    if *left == 0 {
                        before.remove(next);
                        free.push(next);
                    }
                }
            }
        }
        before.into_keys().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(pairs: &[(&'a str, &'a str)]) -> Words<'a> {
        let mut words = Words::default();
        pairs.iter().for_each(|(old, new)| words.say(old, new));
        words
    }

    #[test]
    fn words_contradict_where_keys_part_or_lead_back() {
        for fits in [
            &[("a", "b"), ("b", "c")][..],
            &[("a", "z"), ("b", "z"), ("z", "y")],
            // The same, in fewer steps.
            &[("a", "b"), ("b", "c"), ("a", "c")],
            &[],
        ] {
            assert_eq!(words(fits).contradiction(), None, "{fits:?}");
        }
        for (at, parts) in [
            ("a", &[("a", "b"), ("a", "c")][..]),
            ("a", &[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]),
            ("a", &[("a", "a")]),
            ("c", &[("a", "c"), ("c", "d"), ("d", "c")]),
        ] {
            assert_eq!(words(parts).contradiction(), Some(at), "{parts:?}");
        }
        let all = words(&[("a", "b"), ("b", "c"), ("a", "c"), ("x", "a")]);
        assert_eq!(all.after("x").into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(all.after("c").is_empty());
    }
}
