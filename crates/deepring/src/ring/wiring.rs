//! Checks of a ring's headers against each other: shared blocks and their users, and the tensors that blocks read and give.

use std::collections::HashMap;

use crate::block::{Header, Part, SHARED_ALIGNMENT, own};
use crate::finding::{Finding, Section};
use crate::ring_id::RingKind;
use crate::tensor::TensorSpec;

/// Checks that there is a block that computes (in a ring of weights, that there is none), that shared blocks stand behind all of these and
/// have neither inputs nor outputs, and that the shared parameters of each block are those of the
/// shared blocks that it names.
pub(crate) fn verify_sharing(kind: RingKind, headers: &[&Header]) -> Vec<Finding> {
    let mut found = Vec::new();
    let first = headers.iter().position(|h| h.is_shared()).unwrap_or(headers.len());
    let mut check = |ok: bool, header: &Header, reason: &str| {
        if !ok {
            let finding = Finding::tampered(Section::Header, reason);
            found.push(finding.in_block(header.index, Some(&header.name)));
        }
    };
    for (i, header) in headers.iter().enumerate() {
        if i >= first {
            check(
                i > 1 || kind == RingKind::Weights,
                header,
                "a shared block stands where one that computes is due",
            );
            let shared = header.is_shared();
            check(shared, header, "a block that computes stands behind a shared one");
            let still = header.inputs.is_empty() && header.outputs.is_empty();
            check(still, header, "a shared block reads or gives tensors");
        } else {
            let network = kind == RingKind::Network;
            check(i == 0 || network, header, "a ring of weights has a block that computes");
            let still = header.inputs.is_empty() && header.outputs.is_empty();
            check(i != 0 || network || still, header, "a ring of weights reads or gives tensors");
        }
        let fits = has_what_it_shares(header, headers, first);
        check(fits, header, "shared parameters are not those of the block that holds them");
    }
    found
}

/// One walk of the header's own parts, so that the work is bounded by the header's size in the
/// file.
fn has_what_it_shares(header: &Header, headers: &[&Header], first_shared: usize) -> bool {
    let (mut parts, mut end) = (header.parts.as_slice(), header.own_len());
    parts = parts.get(own(&header.parts).len()..).unwrap_or_default();
    while let Some(block) = parts.first().and_then(|p| p.shared) {
        let run = parts.iter().take_while(|p| p.shared == Some(block)).count();
        let (mine, rest) = parts.split_at(run);
        let at = block as usize;
        let Some(shared) = headers.get(at).filter(|_| at >= first_shared) else { return false };
        let Some(base) = end.checked_next_multiple_of(SHARED_ALIGNMENT) else { return false };
        let moved = |(mine, held): (&Part, &Part)| {
            base.checked_add(held.offset) == Some(mine.offset)
                && (mine.len, &mine.kind) == (held.len, &held.kind)
        };
        if run != shared.parts.len() || !mine.iter().zip(&shared.parts).all(moved) {
            return false;
        }
        end = mine.last().map_or(end, Part::end);
        parts = rest;
    }
    parts.is_empty()
}

/// Checks that each block reads only outputs of earlier ones, with one spec for each name, and that
/// every tensor that returns to Genesis is among them.
pub(super) fn verify_wiring(headers: &[&Header]) -> Vec<Finding> {
    let mut given: HashMap<&str, &TensorSpec> = HashMap::new();
    let mut found = Vec::new();
    let computing = headers.iter().skip(1).filter(|h| !h.is_shared());
    let genesis_last = computing.chain(headers.first());
    if let Some(genesis) = headers.first() {
        given.extend(genesis.outputs.iter().map(|t| (t.name.as_str(), t)));
    }
    for header in genesis_last {
        for input in &header.inputs {
            if given.get(input.name.as_str()).is_none_or(|spec| spec.dtype != input.dtype) {
                let reason =
                    format!("reads tensor `{}`, which no block before it gives", input.name);
                found.push(
                    Finding::tampered(Section::Header, reason)
                        .in_block(header.index, Some(&header.name)),
                );
            }
        }
        if header.index != 0 {
            given.extend(header.outputs.iter().map(|t| (t.name.as_str(), t)));
        }
    }
    found
}
