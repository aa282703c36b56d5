//! A receipt's coverage of the parts of a block, in one line for people.

use deepring::Coverage;
use deepring::files::InLine;
use deepring::receipt::Receipt;

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

/// `product 3, bytes 4 (every byte compared within 16 uses)`
fn summary(parts: &[Coverage], rotation: u16) -> String {
    let count = |c: Coverage| parts.iter().filter(|p| **p == c).count();
    let counts: Vec<String> = Coverage::ALL
        .into_iter()
        .filter(|c| count(*c) > 0)
        .map(|c| format!("{c} {}", count(c)))
        .collect();
    let within = if parts.iter().any(|c| c.rotates()) {
        format!(
            " (every byte compared within {rotation} use{})",
            if rotation == 1 { "" } else { "s" }
        )
    } else {
        String::new()
    };
    counts.join(", ") + &within
}

/// A line for each word in these receipts that does not explain itself.
pub(super) fn legend<'a>(receipts: impl Iterator<Item = &'a Receipt>) -> Vec<String> {
    let said: Vec<Coverage> = receipts.flat_map(|r| r.coverage.iter().flatten().copied()).collect();
    explain(&said)
}

fn explain(said: &[Coverage]) -> Vec<String> {
    let line = |c: Coverage| {
        let meaning = match c {
            Coverage::Either => {
                "each query had its bytes compared or its product verified, not all queries the same"
            }
            Coverage::Both => "each query had every byte compared and its product verified",
            Coverage::Recomputed => {
                "each query had the graph's bytes compared, and a second program computed the same bits"
            }
            Coverage::Derived => {
                "each query had every byte compared that the engine made of the block when it loaded it; the sealed bytes had their digests then"
            }
            _ => return None,
        };
        said.contains(&c).then(|| format!("{c}: {meaning}"))
    };
    Coverage::ALL.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{explain, summary};
    use deepring::Coverage::{
        Both, Bytes, Derived, Either, Opened, Product, Recomputed, Rows, Unchecked,
    };

    #[test]
    fn each_kind_of_check_is_counted_in_the_order_of_the_codes() {
        for (parts, rotation, wanted) in [
            (&[Unchecked; 2][..], 0, "unchecked 2"),
            (&[Opened], 0, "opened 1"),
            (&[Bytes, Rows, Bytes], 0, "rows 1, bytes 2"),
            (
                &[Bytes, Product, Product],
                16,
                "product 2, bytes 1 (every byte compared within 16 uses)",
            ),
            (&[Product], 1, "product 1 (every byte compared within 1 use)"),
            (&[Either, Bytes], 64, "bytes 1, either 1 (every byte compared within 64 uses)"),
            // Every byte at each use.
            (&[Both, Recomputed], 0, "both 1, recomputed 1"),
            // Another block of the receipt has the product.
            (&[Bytes], 16, "bytes 1"),
            (&[Both, Recomputed], 16, "both 1, recomputed 1"),
            (&[Derived, Opened, Derived], 0, "opened 1, derived at loading 2"),
        ] {
            assert_eq!(summary(parts, rotation), wanted);
        }
    }

    #[test]
    fn words_that_do_not_explain_themselves_are_explained_once_and_only_where_they_occur() {
        assert_eq!(explain(&[Unchecked, Opened, Rows, Product, Bytes]), [""; 0]);
        let lines = explain(&[Both, Recomputed, Either, Bytes, Derived, Both]);
        let words: Vec<_> = lines.iter().map(|l| l.split(':').next().unwrap()).collect();
        assert_eq!(words, ["either", "both", "recomputed", "derived at loading"]);
        assert_eq!(explain(&[Bytes, Both]), lines[1..2]);
    }
}
