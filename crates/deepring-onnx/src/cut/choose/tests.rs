use super::*;

fn boundaries(parts: &[(usize, u64)]) -> Vec<Boundary> {
    let mut bytes = 0;
    let mut all = Vec::new();
    for (i, (live, more)) in parts.iter().enumerate() {
        bytes += more;
        all.push(Boundary { position: i + 1, live: *live, bytes });
    }
    all
}

fn positions(chosen: &[Boundary]) -> Vec<usize> {
    chosen.iter().map(|b| b.position).collect()
}

#[test]
fn blocks_get_similar_shares() {
    let all = boundaries(&[(1, 10); 11]);
    assert_eq!(positions(&spread(&all, 120, 4)), [3, 6, 9]);
    assert_eq!(positions(&spread(&all, 120, 12)), (1..12).collect::<Vec<_>>());
}

#[test]
fn a_nearby_boundary_that_less_crosses_is_preferred() {
    let all = boundaries(&[(3, 10), (1, 10), (3, 10), (3, 10), (3, 10)]);
    assert_eq!(positions(&spread(&all, 60, 2)), [2]);
}

#[test]
fn every_number_of_blocks_is_reached() {
    let all = boundaries(&[(1, 1000), (2, 0), (1, 0), (5, 3), (1, 0), (1, 0)]);
    for blocks in 1..=7 {
        let chosen = positions(&spread(&all, 1003, blocks));
        assert_eq!(chosen.len(), blocks - 1);
        assert!(chosen.is_sorted_by(|a, b| a < b), "{chosen:?}");
    }
}

#[test]
fn automatic_cuts_where_one_tensor_crosses() {
    let all = boundaries(&[(1, 5), (2, 5), (1, 5), (3, 5), (1, 5)]);
    assert_eq!(positions(&automatic(&all, 30)), [1, 3, 5]);
    let many = boundaries(&[(1, 7); 100]);
    assert_eq!(automatic(&many, 707).len(), BLOCKS - 1);
    assert!(automatic(&[], 0).is_empty());
    // A large network is cut finer: 100 boundaries, 6400 MiB, blocks of 64 MiB.
    let large = boundaries(&[(1, 64 << 20); 100]);
    assert_eq!(automatic(&large, 6400 << 20).len(), 99);
}

#[test]
fn a_block_with_most_parameters_is_split_all_the_same() {
    let all = boundaries(&[(1, 1), (2, 50), (2, 50), (3, 50), (2, 50), (1, 50)]);
    let chosen = positions(&automatic(&all, 252));
    assert!(chosen.contains(&1) && chosen.contains(&6) && chosen.len() > 2, "{chosen:?}");
}
