//! All that the demo saw, for the text and the page.

use std::time::Duration;

use deepring::AuthenticRing;

use super::attacks::Attack;
use super::certificate::Certificate;
use super::compare::Comparison;
use super::data::Sample;
use super::folder::Folder;
use super::memory::Memory;
use super::plain::PlainOutcome;
use super::setting::Setting;
use super::stored::Stored;

pub(super) struct Show {
    pub(super) folder: Folder,
    pub(super) sample: Sample,
    pub(super) ring: AuthenticRing,
    /// Short forms of the hosts' keys.
    pub(super) hosts: [String; 2],
    pub(super) blocks: Vec<Block>,
    pub(super) parameter_bytes: u64,
    pub(super) comparison: Comparison,
    /// Why live memory was left alone, if it was.
    pub(super) obstacle: Option<&'static str>,
    pub(super) played: Vec<Played>,
    pub(super) certificate: Certificate,
    pub(super) took: Duration,
}

/// One attack, on the plain network, on the ring's file and on the ring in memory.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) attack: Attack,
    pub(super) plain: PlainOutcome,
    pub(super) stored: Stored,
    pub(super) memory: Option<Memory>,
}

/// A block as the page draws it.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) index: u32,
    pub(super) name: String,
    /// Host A (0) or B (1); `None` for Genesis.
    pub(super) host: Option<usize>,
    pub(super) parameter_bytes: u64,
    pub(super) body_digest: String,
}

pub(super) const HOSTS: [&str; 2] = ["host A", "host B"];

pub(super) fn blocks(setting: &Setting) -> Vec<Block> {
    let of = |header: &deepring::Header| Block {
        index: header.index,
        name: header.name.clone(),
        host: setting.host_of(header.index),
        parameter_bytes: header.parameter_bytes(),
        body_digest: header.body_digest.to_hex(),
    };
    setting.ring.headers().iter().map(of).collect()
}

/// `1-3, 5`: numbers in ascending order as people write them.
pub(super) fn list(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*n) => *last = *n,
            _ => runs.push((*n, *n)),
        }
    }
    let text = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    text.collect::<Vec<_>>().join(", ")
}

/// A weight's value: plain while that is short.
pub(super) fn number(value: f32) -> String {
    match value.abs() {
        a if a != 0.0 && !(1e-4..1e5).contains(&a) => format!("{value:.3e}"),
        _ => format!("{value:.4}"),
    }
}

/// `12345` as `12,345`.
pub(super) fn count(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(u64::MAX).to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(list(&[1, 2, 3, 5]), "1-3, 5");
        assert_eq!(list(&[]), "");
        assert_eq!(count(1_234_567_u64), "1,234,567");
        assert_eq!(count(999_u64), "999");
        assert_eq!(number(0.25), "0.2500");
        assert_eq!(number(-1.5e37), "-1.500e37");
        assert_eq!(number(0.0), "0.0000");
    }
}
