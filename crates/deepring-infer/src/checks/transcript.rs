//! A check as bytes: for a tag that is compared before each use.

use std::hash::Hasher;

/// Collects what [`Hash`](std::hash::Hash) feeds it. Every field of a type that derives `Hash` is in it, lengths included, so that a field
/// added later is covered too. The bytes mean something within this process only.
#[derive(Default)]
pub(crate) struct Transcript(Vec<u8>);

impl Transcript {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hash;

    fn of(parts: &[&dyn Fn(&mut Transcript)]) -> Vec<u8> {
        let mut transcript = Transcript::default();
        parts.iter().for_each(|part| part(&mut transcript));
        transcript.into_bytes()
    }

    #[test]
    fn what_differs_has_another_transcript() {
        let all = [
            of(&[&|t| vec!["a", "b"].hash(t), &|t| 1u64.hash(t)]),
            of(&[&|t| vec!["ab"].hash(t), &|t| 1u64.hash(t)]),
            of(&[&|t| vec!["a"].hash(t), &|t| "b".hash(t), &|t| 1u64.hash(t)]),
            of(&[&|t| vec!["a", "b"].hash(t), &|t| 2u64.hash(t)]),
            of(&[&|t| vec!["a", "b"].hash(t)]),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }
}
