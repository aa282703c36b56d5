//! The neighbour's check: a host shows that what it sends is what the sealed parameters give, to one who does
//! not hold them.
//!
//! When sealing, [`Vectors`] draws for each block secret projections of its linear operators and puts them,
//! with the block's graph without any parameter (the *rest*), into the block that follows: only whoever may
//! open that one reads them. When running, a host adds to what it sends a *witness* of its last block
//! ([`witness_names`]): what goes in, what each linear operator gives, and what operators give whose parameters
//! cannot be checked so. The next host computes the rest anew and holds all of it against the projections
//! ([`Neighbour`]).

mod check_encoding;
mod compare;
mod public_subgraph;
mod vectors;
mod verify;

pub(crate) use vectors::Vectors;
pub(crate) use verify::{LoadError, Neighbour, Query, VerifyError};

use deepring::block::checked_by;
use deepring::{Header, Part, PartKind};

/// The block that carries the check of block `index`; `None` if there is no such neighbour.
pub(crate) fn carrier(index: u32, count: u32) -> Option<u32> {
    let next = index.checked_add(1).filter(|next| *next < count).unwrap_or(1);
    (checked_by(next, count) == Some(index)).then_some(next)
}

/// The place of the check among a block's parts, and the block that it is of.
pub(crate) fn carried(header: &Header) -> Option<(usize, u32)> {
    header.parts.iter().enumerate().find_map(|(i, part)| match part.kind {
        PartKind::Check(of) => Some((i, of)),
        _ => None,
    })
}

/// The values that a block's host shows besides its inputs.
pub(crate) fn witness_names(graph: &[u8], parts: &[Part], header: &Header) -> Option<Vec<String>> {
    let subgraph =
        public_subgraph::PublicSubgraph::of(graph, parts, &header.inputs, &header.outputs)?;
    Some(subgraph.witness().map(ToOwned::to_owned).collect())
}
