//! Which of two chains of one query comes first.

use std::cmp::Ordering;

use deepring::deal::Deal;
use deepring::receipt::{Chain, ChainLeg};

/// Orders two verified chains of one opening: by the first leg in which their standing receipts differ, the one whose receipt is of
/// a copy earlier in the deal's order comes first. Where one copy signed both, the receipt of the smaller digest does, so
/// that all hosts choose alike. One that goes on where the other ends comes behind it.
pub(super) fn order(one: &Chain, other: &Chain, deal: &Deal) -> Ordering {
    for ((a, b), dealt) in one.legs().iter().zip(other.legs()).zip(&deal.legs) {
        let key = |leg: &ChainLeg| {
            let receipt = leg.receipt();
            (dealt.place_of(&receipt.host), receipt.digest())
        };
        let found = key(a).cmp(&key(b));
        if found != Ordering::Equal {
            return found;
        }
    }
    one.legs().len().cmp(&other.legs().len())
}
