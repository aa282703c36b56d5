//! The secrets of a block, drawn from its bytes: projections of its operators, tags of rows, and turns.

use deepring::Part;
use rayon::prelude::*;

use super::super::operators::Operators;
use super::super::projection::DrawError;
use super::super::rotation::Rotation;
use super::super::vault::{Draft, OpenVault, Vault, VaultLayout, VerifiedReader};
use super::super::{CheckFault, secret};
use crate::mac::Piece;

/// Tags rows and draws projections from verified copies. Operators that turn out to have no projection are taken out of
/// the operators: their bytes are compared.
pub(super) fn vault_of(
    operators: &mut Operators,
    draft: &Draft,
    parts: &[Part],
    reader: &VerifiedReader<'_>,
) -> Result<Vault, CheckFault> {
    operators.linears.retain(|l| secret::len_of(l, parts).is_some());
    operators.keep_covered();
    operators.tables.retain(|t| t.len().is_some());
    loop {
        let lens = operators.linears.iter().filter_map(|l| secret::len_of(l, parts));
        let rows = operators.tables.iter().map(|t| t.rows);
        let layout = VaultLayout::new(draft.pieces(), rows, lens).ok_or(CheckFault::NoMemory)?;
        let mut vault = OpenVault::of(draft, layout).ok_or(CheckFault::NoMemory)?;
        for (number, table) in operators.tables.iter().enumerate() {
            table.tag_rows(number, reader, &mut vault)?;
        }
        let unsuitable = draw_all(operators, parts, reader, &mut vault)?;
        if unsuitable.is_empty() {
            return vault.close(0).ok_or(CheckFault::NoMemory);
        }
        let mut numbers = 0..;
        operators.linears.retain(|_| numbers.next().is_some_and(|n| !unsuitable.contains(&n)));
        operators.keep_covered();
    }
}

/// Draws the projection of each linear operator; returns the numbers of those that have none.
pub(super) fn draw_all(
    operators: &Operators,
    parts: &[Part],
    reader: &VerifiedReader<'_>,
    vault: &mut OpenVault,
) -> Result<Vec<usize>, CheckFault> {
    let places = vault.projections_mut();
    let drawn: Vec<_> = operators
        .linears
        .par_iter()
        .zip(places)
        .map(|(linear, place)| secret::draw(linear, parts, reader, place))
        .collect();
    let mut unsuitable = Vec::new();
    for (number, drawn) in drawn.into_iter().enumerate() {
        match drawn {
            Ok(()) => {}
            Err(DrawError::Unsuitable) => unsuitable.push(number),
            Err(DrawError::NoRandomness) => return Err(CheckFault::NoRandomness),
            Err(DrawError::Read(e)) => return Err(e.into()),
        }
    }
    Ok(unsuitable)
}

pub(super) fn rotation_of(operators: &Operators, pieces: &[Piece]) -> Option<Rotation> {
    let due: Vec<u32> =
        (0u32..).zip(pieces).filter(|(_, p)| of_product(operators, p)).map(|(i, _)| i).collect();
    Rotation::new(&due)
}

pub(super) fn of_product(operators: &Operators, piece: &Piece) -> bool {
    operators.linears.iter().any(|l| l.weight == piece.part)
}
