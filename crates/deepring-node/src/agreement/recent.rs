//! The newest of some things, and no more of them than a bound.

use std::collections::{BTreeSet, VecDeque};

/// A set that forgets its oldest member for each that is beyond its bound.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    set: BTreeSet<T>,
    order: VecDeque<T>,
    bound: usize,
}

impl<T: Ord + Clone> Recent<T> {
    pub(crate) fn new(bound: usize) -> Self {
        Self { set: BTreeSet::new(), order: VecDeque::new(), bound }
    }

    pub(crate) fn contains(&self, item: &T) -> bool {
        self.set.contains(item)
    }

    /// Whether it was not there.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        if !self.set.insert(item.clone()) {
            return false;
        }
        self.order.push_back(item);
        while self.order.len() > self.bound {
            if let Some(oldest) = self.order.pop_front() {
                self.set.remove(&oldest);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_nothing_is_held_twice() {
        let mut recent = Recent::new(2);
        assert!(recent.insert(1) && recent.insert(2) && !recent.insert(1));
        assert!(recent.insert(3));
        assert_eq!([1, 2, 3].map(|n| recent.contains(&n)), [false, true, true]);
    }
}
