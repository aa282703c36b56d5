use super::*;
use crate::evaluate::made::{measured, row, with_ring};
use crate::evaluate::record::{BaselineResult, Outcome};

/// What was counted, defence by defence: attacks, seen in the file and in memory, with a tensor, and named rightly.
fn counts(rows: &[Row]) -> Vec<(String, [usize; 5])> {
    let tallies = tallies(&rows.iter().collect::<Vec<_>>()).into_iter();
    tallies.map(|t| (t.defence, [t.all, t.at_rest, t.live, t.placed, t.located])).collect()
}

fn baseline(name: &str, at_rest: bool, live: bool, located: Option<bool>) -> BaselineResult {
    BaselineResult { defence: name.to_owned(), at_rest, live, located, ms: 0.0, recovered: None }
}

fn cell(tensors: usize, graph: usize, defences: &[BaselineResult]) -> Row {
    let mut row = row("zero", None, 0, 0.5, true);
    let m = measured(&mut row);
    (m.tensors, m.graph, m.defences) = (tensors, graph, defences.to_vec());
    row
}

#[test]
fn each_defence_is_counted_by_itself_and_deepring_stands_last() {
    let rows = [
        with_ring(cell(1, 0, &[baseline("a", true, true, Some(true))]), true, Some(true)),
        with_ring(
            cell(
                2,
                0,
                &[baseline("b", true, false, Some(true)), baseline("a", false, false, None)],
            ),
            true,
            Some(false),
        ),
        cell(1, 0, &[baseline("a", false, true, Some(false))]),
    ];
    let found = counts(&rows);
    assert_eq!(found[0], ("a".to_owned(), [3, 1, 2, 3, 1]));
    // In the file alone nothing that runs is located.
    assert_eq!(found[1], ("b".to_owned(), [1, 1, 0, 1, 0]));
    assert_eq!(found[2], ("DeepRing".to_owned(), [2, 2, 2, 2, 1]));
    assert_eq!(found.len(), 3);
}

#[test]
fn an_attack_on_the_graph_alone_has_no_tensor_to_be_named() {
    let rows = [with_ring(cell(0, 1, &[baseline("a", true, true, Some(true))]), true, None)];
    let due = [1, 1, 1, 0, 0];
    assert_eq!(counts(&rows), [("a".to_owned(), due), ("DeepRing".to_owned(), due)]);
}

/// Of no defence: none could have seen it.
#[test]
fn what_changed_nothing_counts_for_nobody() {
    let unchanged = with_ring(cell(0, 0, &[baseline("a", false, false, None)]), false, None);
    assert_eq!(counts(&[unchanged]), []);
    let refused = Row { outcome: Outcome::Unusable(String::new()), ..cell(1, 0, &[]) };
    assert_eq!(counts(&[refused]), []);
}
