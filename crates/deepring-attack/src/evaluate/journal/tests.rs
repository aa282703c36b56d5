use proptest::prelude::*;

use super::*;
use crate::evaluate::configuration::Strength;
use crate::evaluate::made;
use crate::evaluate::record::{LayerLine, Measured, Outcome};

fn row(key: &str) -> Line {
    Line::Cell(Box::new(Row {
        key: key.to_owned(),
        model: "m".to_owned(),
        attack: "zero".to_owned(),
        atlas: "AML.T0031".to_owned(),
        layer: None,
        strength: Default::default(),
        seed: 0,
        outcome: Outcome::NotApplicable("<none>".to_owned()),
    }))
}

fn keys(results: &Results) -> Vec<&str> {
    results.rows.iter().map(|r| r.key.as_str()).collect()
}

#[test]
fn a_torn_last_line_is_dropped_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let (mut journal, empty) = Journal::open(&path).unwrap();
    assert_eq!(empty, Results::default());
    journal.add(&row("a")).unwrap();
    journal.add(&row("b")).unwrap();
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();

    let (mut journal, found) = Journal::open(&path).unwrap();
    assert_eq!(keys(&found), ["a"]);
    journal.add(&row("c")).unwrap();
    drop(journal);
    assert_eq!(keys(&Results::read(&path).unwrap()), ["a", "c"]);
}

#[test]
fn a_line_before_the_last_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    std::fs::write(&path, "{\"line\":\"run\"}\n{}\n").unwrap();
    let refused = Journal::open(&path).unwrap_err();
    assert!(matches!(refused, JournalError::Malformed { line: 1, .. }));
}

#[test]
fn one_process_writes_at_a_time_and_a_key_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let (mut journal, _) = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Busy { .. })));
    journal.add(&row("a")).unwrap();
    journal.add(&row("a")).unwrap();
    assert_eq!(keys(&Results::read(&path).unwrap()), ["a"]);
}

#[test]
fn nothing_is_appended_to_a_file_with_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let other = folder.path().join("writer.lock");
    std::fs::write(&other, "").unwrap();
    std::fs::hard_link(&other, &path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Io { .. })));
    std::fs::remove_file(&other).unwrap();
    Journal::open(&path).unwrap();
}

/// A journal in a new folder with these lines; the folder lasts as long as it is held.
fn written(lines: &[Line]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let (mut journal, _) = Journal::open(&path).unwrap();
    lines.iter().for_each(|line| journal.add(line).unwrap());
    (folder, path)
}

/// Whatever the moment at which the process died.
#[test]
fn a_journal_goes_on_from_a_cut_at_every_byte() {
    let lines = [Line::Model(made::model(3)), row("ä"), row("b"), row("c|\u{202e}")];
    let (_folder, path) = written(&lines);
    let whole = std::fs::read(&path).unwrap();
    let all = Results::read(&path).unwrap();
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let ended = whole[..cut].iter().filter(|b| **b == b'\n').count();
        // Who only reads sees the same, and leaves the torn line where it is.
        let read = Results::read(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), cut);
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert_eq!(found, read, "{cut}");
        assert_eq!(found.models.len(), ended.min(1), "{cut}");
        assert_eq!(found.rows, all.rows[..ended.saturating_sub(1)], "{cut}");
        for line in &lines[ended..] {
            journal.add(line).unwrap();
        }
        drop(journal);
        assert_eq!(std::fs::read(&path).unwrap(), whole, "{cut}");
    }
}

#[test]
fn a_line_that_is_none_is_named_by_its_number_and_nothing_is_cut_off() {
    let (_folder, path) = written(&[row("a")]);
    let first = std::fs::read_to_string(&path).unwrap();
    // Empty lines are counted, and are no lines of ours.
    let text = format!("{first}\n\n{{\"line\":\"cell\"}}\n{first}torn");
    std::fs::write(&path, &text).unwrap();
    for refused in [Journal::open(&path).map(drop), Results::read(&path).map(drop)] {
        match refused {
            Err(JournalError::Malformed { line: 4, reason, path: named }) => {
                assert!(reason.contains("key") && named == path, "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    std::fs::write(&path, [b'{', 0xff, b'\n']).unwrap();
    assert!(matches!(Results::read(&path), Err(JournalError::Malformed { line: 1, .. })));
    assert!(matches!(Results::read(path.parent().unwrap()), Err(JournalError::Io { .. })));
}

#[test]
fn a_network_is_known_once_under_its_settings() {
    let model = made::model(3);
    let other = Model { settings: "s1".to_owned(), ..model.clone() };
    let renamed = Model { name: "another name".to_owned(), ..model.clone() };
    let mut results = Results::default();
    for line in [&model, &other, &renamed, &model] {
        results.take(Line::Model(line.clone()));
    }
    assert_eq!(results.models, [model, other]);
    results.take(row("a"));
    results.take(row("b"));
    assert_eq!(results.keys(), HashSet::from(["a".to_owned(), "b".to_owned()]));
}

/// Networks as they were first met, attacks as the catalogue has them, layers as the network has them, then numbers.
#[test]
fn the_order_of_results_is_not_that_in_which_cells_ended() {
    let layers = ["second", "first"].map(|name| LayerLine {
        name: name.to_owned(),
        weights: 1,
        dense: true,
    });
    let models = vec![
        Model { sha256: "m1".to_owned(), ..made::model(3) },
        Model { layers: layers.into(), ..made::model(3) },
    ];
    let cell = |model: &str, attack: &str, layer: Option<&str>, strength: Strength, seed| Row {
        model: model.to_owned(),
        layer: layer.map(str::to_owned),
        strength,
        ..made::row(attack, None, seed, 0.5, true)
    };
    let none = Strength::default();
    let rho = |rho| Strength { rho: Some(rho), ..none };
    let flips = |flips| Strength { flips: Some(flips), ..none };
    let due = vec![
        cell("m1", "zero", None, none, 0),
        cell("m0", "noise-all", None, rho(0.5), 1),
        cell("m0", "noise-all", None, rho(2.0), 0),
        cell("m0", "noise-all", None, rho(10.0), 0),
        cell("m0", "noise-layer", Some("second"), rho(1.0), 0),
        cell("m0", "noise-layer", Some("first"), rho(1.0), 0),
        cell("m0", "zero", None, none, 0),
        cell("m0", "zero", None, none, 2),
        cell("m0", "zero", None, none, 10),
        cell("m0", "sign-random", None, flips(9), 5),
        cell("m0", "sign-random", None, flips(10), 0),
    ];
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20 {
        let mut rows = due.clone();
        random.shuffle(&mut rows);
        let mut results = Results { runs: vec![], models: models.clone(), rows };
        results.sort();
        assert_eq!(results.rows, due);
    }
}

/// Of at most fifteen digits: one of more may come back as its neighbour.
fn number() -> impl Strategy<Value = f64> {
    (-1_000_000_000i64..1_000_000_000, 0u32..7).prop_map(|(n, e)| n as f64 / 10f64.powi(e as i32))
}

prop_compose! {
    fn a_measurement()(
        what in any::<String>(),
        numbers in prop::array::uniform3(number()),
        recovered in prop::option::of(number()),
        reached: Option<bool>,
        counts: (usize, u64),
        trace in prop::collection::vec((any::<usize>(), number()), 0..4),
    ) -> Measured {
        let mut row = made::row("zero", None, 0, numbers[1], true);
        let measured = made::measured(&mut row);
        (measured.clean, measured.seconds) = (numbers[0], numbers[2]);
        (measured.what, measured.recovered, measured.reached) = (what, recovered, reached);
        (measured.values, measured.bits, measured.trace) = (counts.0, counts.1, trace);
        measured.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever a cell says, its line is one line, and is read back as it was written.
    #[test]
    fn what_is_written_is_read_back(
        key in any::<String>(),
        layer in prop::option::of(any::<String>()),
        rho in prop::option::of(number()),
        measured in a_measurement(),
    ) {
        let strength = Strength { rho, flips: Some(usize::MAX), ..Strength::default() };
        let outcome = Outcome::Measured(Box::new(measured));
        let row = Row { key, layer, strength, outcome, ..made::row("zero", None, u64::MAX, 0.0, true) };
        let (_folder, path) = written(&[Line::Cell(Box::new(row.clone()))]);
        let bytes = std::fs::read(&path).unwrap();
        prop_assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 1);
        prop_assert_eq!(Results::read(&path).unwrap().rows, [row]);
    }
}
