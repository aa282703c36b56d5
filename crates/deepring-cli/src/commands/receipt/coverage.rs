//! What a receipt says about the parts of a block, in one line for people.

use deepring::{Coverage, InLine, Receipt};

/// A line for each block of the receipt: its name, and how many of its parts had which check.
/// `names` are those of all blocks of the ring.
pub(super) fn lines(receipt: &Receipt, names: &[String]) -> Vec<String> {
    let first = receipt.first_block as usize;
    let names: Vec<String> = (first..)
        .zip(&receipt.coverage)
        .map(|(i, _)| names.get(i).map_or("", String::as_str))
        .map(|name| InLine(name).to_string())
        .collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let line = |(name, parts): (&String, &Vec<Coverage>)| {
        format!("  {name:width$}  {}", summary(parts, receipt.rotation))
    };
    names.iter().zip(&receipt.coverage).map(line).collect()
}

/// `product 3, bytes 4 (bit by bit within 16 uses)`
fn summary(parts: &[Coverage], rotation: u16) -> String {
    let count = |c: Coverage| parts.iter().filter(|p| **p == c).count();
    let counts: Vec<String> = Coverage::ALL
        .into_iter()
        .filter(|c| count(*c) > 0)
        .map(|c| format!("{c} {}", count(c)))
        .collect();
    let within = match count(Coverage::Product) {
        0 => String::new(),
        _ => format!(" (bit by bit within {rotation} use{})", if rotation == 1 { "" } else { "s" }),
    };
    counts.join(", ") + &within
}

#[cfg(test)]
mod tests {
    use super::summary;
    use deepring::Coverage::{Bytes, Opened, Product, Rows, Unchecked};

    #[test]
    fn each_kind_of_check_is_counted_from_the_weakest_on() {
        for (parts, rotation, wanted) in [
            (&[Unchecked; 2][..], 0, "unchecked 2"),
            (&[Opened], 0, "opened 1"),
            (&[Bytes, Rows, Bytes], 0, "rows 1, bytes 2"),
            (&[Bytes, Product, Product], 16, "product 2, bytes 1 (bit by bit within 16 uses)"),
            (&[Product], 1, "product 1 (bit by bit within 1 use)"),
            // Another block of the receipt has the product.
            (&[Bytes], 16, "bytes 1"),
        ] {
            assert_eq!(summary(parts, rotation), wanted);
        }
    }
}
