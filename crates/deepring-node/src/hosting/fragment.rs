//! Messages in fragments: a network message has a bound far below a batch of activations, and votes of other
//! channels must not wait behind one.
//!
//! ```text
//! fragment: version u8 = 1 | bytes of the message u32 | offset u32 | 1 to 131,072 bytes of the message
//! ```
//!
//! A message of one fragment stands alone. Of longer ones a peer sends one at a time, its fragments in order; between them
//! messages of one fragment may come. Links lose messages and do not reorder them: a fragment that does not go on where the
//! one before it ended is of a message that is lost.

use thiserror::Error;

/// Most bytes of a message that one fragment carries.
pub(crate) const FRAGMENT: usize = 128 << 10;
/// `version 1 | message length 4 | offset 4`
const HEAD: usize = 9;
/// Most bytes of a fragment.
pub(crate) const MAX_FRAGMENT_BYTES: usize = HEAD + FRAGMENT;
const VERSION: u8 = 1;

/// A peer sent what no honest one sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BadFragment {
    #[error("not a fragment")]
    Malformed,
    #[error("a message of {found} bytes, where {limit} are the most")]
    TooLong { found: usize, limit: usize },
}

/// The fragment of a message at an offset, and the offset behind it. Nothing behind the end.
pub(crate) fn fragment(message: &[u8], offset: usize) -> Option<(Vec<u8>, usize)> {
    let end = message.len().min(offset.saturating_add(FRAGMENT));
    let part = message.get(offset..end).filter(|part| !part.is_empty())?;
    let mut bytes = Vec::with_capacity(HEAD + part.len());
    bytes.push(VERSION);
    bytes.extend(u32::try_from(message.len()).ok()?.to_le_bytes());
    bytes.extend(u32::try_from(offset).ok()?.to_le_bytes());
    bytes.extend(part);
    Some((bytes, end))
}

/// Reassembles one peer's messages from their fragments.
#[derive(Debug)]
pub(crate) struct Reassembly {
    limit: usize,
    /// Length of the message that is under way, and its bytes so far.
    begun: Option<(usize, Vec<u8>)>,
}

impl Reassembly {
    /// For messages of at most `limit` bytes. What is kept is never more than what came.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, begun: None }
    }

    /// Takes a fragment; returns the message that it completes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, BadFragment> {
        let (len, offset, part) = parse(bytes).ok_or(BadFragment::Malformed)?;
        if len > self.limit {
            return Err(BadFragment::TooLong { found: len, limit: self.limit });
        }
        if part.len() == len {
            return Ok(Some(part.to_vec()));
        }
        if offset == 0 {
            self.begun = Some((len, part.to_vec()));
            return Ok(None);
        }
        let follows = |(of, so_far): &(usize, Vec<u8>)| *of == len && so_far.len() == offset;
        let Some((_, mut message)) = self.begun.take().filter(follows) else { return Ok(None) };
        message.extend_from_slice(part);
        if message.len() == len {
            return Ok(Some(message));
        }
        self.begun = Some((len, message));
        Ok(None)
    }
}

/// Length of the message, offset, and the part: only as [`fragment`] makes them.
fn parse(bytes: &[u8]) -> Option<(usize, usize, &[u8])> {
    let (head, part) = bytes.split_at_checked(HEAD)?;
    let (version, numbers) = head.split_first()?;
    let (len, offset) = numbers.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    let offset = u32::from_le_bytes(*offset.first_chunk::<4>()?) as usize;
    let rest = len.checked_sub(offset)?;
    let whole = part.len() == rest.min(FRAGMENT) && !part.is_empty();
    (*version == VERSION && offset.is_multiple_of(FRAGMENT) && whole).then_some((len, offset, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    fn fragments(message: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut at = 0;
        while let Some((bytes, next)) = fragment(message, at) {
            all.push(bytes);
            at = next;
        }
        all
    }

    const LENGTHS: [usize; 7] =
        [1, 2, FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 3 * FRAGMENT, 3 * FRAGMENT + 7];

    #[test]
    fn a_message_comes_back_whole_also_with_short_ones_between_its_fragments() {
        for len in LENGTHS {
            let sent = message(len);
            let mut reassembly = Reassembly::new(len);
            let all = fragments(&sent);
            assert_eq!(all.len(), len.div_ceil(FRAGMENT));
            for (at, bytes) in all.iter().enumerate() {
                assert!(bytes.len() <= MAX_FRAGMENT_BYTES);
                let last = at + 1 == all.len();
                assert_eq!(reassembly.take(bytes), Ok(last.then(|| sent.clone())), "{len}, {at}");
                let short = fragment(b"x", 0).unwrap().0;
                assert_eq!(reassembly.take(&short), Ok(Some(b"x".to_vec())));
            }
        }
        assert_eq!(fragment(&[], 0), None);
    }

    #[test]
    fn of_a_message_that_lost_a_fragment_nothing_comes_and_the_next_one_does() {
        let sent = message(3 * FRAGMENT + 7);
        for lost in 0..4 {
            let mut reassembly = Reassembly::new(sent.len());
            for (at, bytes) in fragments(&sent).iter().enumerate() {
                if at != lost {
                    assert_eq!(reassembly.take(bytes), Ok(None));
                }
            }
            let mut came = None;
            for bytes in fragments(&sent) {
                came = reassembly.take(&bytes).unwrap();
            }
            assert_eq!(came, Some(sent.clone()), "{lost}");
        }
    }

    #[test]
    fn doubled_fragments_and_those_of_two_messages_make_none() {
        let [a, b] = [message(2 * FRAGMENT), message(2 * FRAGMENT + 1)].map(|m| fragments(&m));
        let mut reassembly = Reassembly::new(1 << 20);
        for bytes in [&a[0], &a[0], &b[1], &a[1], &b[0], &a[1], &b[2]] {
            assert_eq!(reassembly.take(bytes), Ok(None));
        }
    }

    #[test]
    fn what_no_peer_sends_is_refused() {
        let sent = message(FRAGMENT + 5);
        let [first, second] = <[Vec<u8>; 2]>::try_from(fragments(&sent)).unwrap();
        let mut bad: Vec<Vec<u8>> = (0..HEAD).map(|len| first[..len].to_vec()).collect();
        bad.push(first[..HEAD].to_vec());
        bad.push(first[..first.len() - 1].to_vec());
        bad.push([&first[..], &[0]].concat());
        bad.push([&second[..], &[0]].concat());
        // Another version, an offset that no fragment has, one behind the end.
        for (at, value) in [(0, 2), (5, 1), (5, 255)] {
            let mut bytes = second.clone();
            bytes[at] = value;
            bad.push(bytes);
        }
        for bytes in bad {
            let found = Reassembly::new(1 << 20).take(&bytes);
            assert_eq!(found, Err(BadFragment::Malformed), "{:?}", &bytes[..bytes.len().min(12)]);
        }
        let (found, limit) = (sent.len(), sent.len() - 1);
        assert_eq!(Reassembly::new(limit).take(&first), Err(BadFragment::TooLong { found, limit }));
    }
}
