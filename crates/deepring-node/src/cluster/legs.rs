//! Which blocks make a leg: consecutive ones, as many legs as there are hosts, of about as many bytes each.

use std::ops::Range;

/// Cuts blocks 1 to `sizes.len()` into at most `hosts` legs, none of them empty; `sizes` are their bytes. The largest leg is as
/// small as consecutive blocks allow.
pub(super) fn cut(sizes: &[u64], hosts: usize) -> Vec<Range<u32>> {
    let legs = hosts.min(sizes.len()).max(1);
    let (mut least, mut most) = (
        sizes.iter().copied().max().unwrap_or(0),
        sizes.iter().fold(0_u64, |sum, size| sum.saturating_add(*size)),
    );
    // The smallest bound that so many legs keep to.
    while least < most {
        let middle = least + (most - least) / 2;
        if needed(sizes, middle) <= legs {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    let mut cut = Vec::with_capacity(legs);
    let (mut first, mut sum) = (0, 0_u64);
    for (at, size) in sizes.iter().enumerate() {
        let left = legs - cut.len();
        // No later leg may go without a block.
        let must = sizes.len() - at < left;
        if at > first && (sum.saturating_add(*size) > least || must) && left > 1 {
            cut.push(first..at);
            (first, sum) = (at, 0);
        }
        sum = sum.saturating_add(*size);
    }
    cut.push(first..sizes.len());
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
    cut.into_iter().map(|leg| number(leg.start)..number(leg.end)).collect()
}

fn needed(sizes: &[u64], bound: u64) -> usize {
    let (mut legs, mut sum) = (1, 0_u64);
    for size in sizes {
        if sum.saturating_add(*size) > bound {
            (legs, sum) = (legs + 1, 0);
        }
        sum = sum.saturating_add(*size);
    }
    legs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_follow_each_other_hold_every_block_and_the_largest_is_as_small_as_it_can_be() {
        let mut numbers = fastrand::Rng::with_seed(1);
        for _ in 0..500 {
            let count = numbers.usize(1..9);
            let sizes: Vec<u64> = (0..count).map(|_| numbers.u64(0..50)).collect();
            for hosts in 1..=6 {
                let legs = cut(&sizes, hosts);
                assert_eq!(legs.len(), hosts.min(count), "{sizes:?} {hosts}");
                assert_eq!((legs[0].start, legs[legs.len() - 1].end), (1, count as u32 + 1));
                assert!(legs.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert!(legs.iter().all(|leg| !leg.is_empty()));
                let largest = |legs: &[Range<u32>]| {
                    let of = |leg: &Range<u32>| {
                        (leg.start..leg.end).map(|b| sizes[b as usize - 1]).sum::<u64>()
                    };
                    legs.iter().map(of).max().unwrap()
                };
                assert_eq!(largest(&legs), best(&sizes, legs.len()), "{sizes:?} {hosts} {legs:?}");
            }
        }
    }

    /// By trying all ways.
    fn best(sizes: &[u64], legs: usize) -> u64 {
        if legs == 1 {
            return sizes.iter().sum();
        }
        let ways = 1..=sizes.len() - (legs - 1);
        let way = |at: usize| sizes[..at].iter().sum::<u64>().max(best(&sizes[at..], legs - 1));
        ways.map(way).min().unwrap()
    }
}
