//! What a check is made of, as bytes: for a tag that is compared before each use.

use std::hash::{Hash, Hasher};

/// Collects what [`Hash`] feeds it. Every field of a type that derives `Hash` is in it, lengths included, so that a field
/// added later is covered too. The bytes mean something within this process only.
#[derive(Default)]
pub(crate) struct Transcript(Vec<u8>);

impl Transcript {
    pub(crate) fn of(parts: &[&dyn Feed]) -> Vec<u8> {
        let mut transcript = Self::default();
        parts.iter().for_each(|part| part.feed(&mut transcript));
        transcript.0
    }
}

impl Hasher for Transcript {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// [`Hash`] as a trait object.
pub(crate) trait Feed {
    fn feed(&self, transcript: &mut Transcript);
}

impl<T: Hash> Feed for T {
    fn feed(&self, transcript: &mut Transcript) {
        self.hash(transcript);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_has_another_transcript() {
        let all = [
            Transcript::of(&[&vec!["a", "b"], &1u64]),
            Transcript::of(&[&vec!["ab"], &1u64]),
            Transcript::of(&[&vec!["a"], &"b", &1u64]),
            Transcript::of(&[&vec!["a", "b"], &2u64]),
            Transcript::of(&[&vec!["a", "b"]]),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }
}
