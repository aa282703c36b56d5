//! An evaluation of a small network: what is computed, what is known already, and what is written.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deepring::Check;
use deepring_attack::defence::DefenceKind;
use deepring_attack::evaluate::record::{Outcome, Row, Run};
use deepring_attack::evaluate::{
    EvaluateError, Evaluated, Grid, Observer, Plan, evaluate, rewrite_report,
};

#[derive(Default)]
struct Count(AtomicUsize);

impl Observer for Count {
    fn cells(&self, _: usize) {}

    fn done(&self, _: &Row) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn plan(folder: &std::path::Path, items: &[&str]) -> Plan {
    Plan {
        models: vec![super::zoo().join("fashion-lenet5.onnx")],
        data: super::zoo().join("fashion-sample"),
        recipe: None,
        items: items.iter().map(|i| i.parse().unwrap()).collect(),
        grid: Grid { layers: Vec::new(), rhos: vec![2.0], flips: vec![1], seeds: 2 },
        limit: 40,
        search: 20,
        defences: vec![DefenceKind::None, DefenceKind::Crc32],
        check: Check::Run,
        beside: true,
        budget: None,
        folder: folder.to_owned(),
        run: Run {
            command: "test".to_owned(),
            version: "0".to_owned(),
            date: "2026-01-01".to_owned(),
            cpu: "<cpu>".to_owned(),
            cores: 2,
            optimised: false,
            seeds: 2,
            check: "run".to_owned(),
            settings: String::new(),
        },
    }
}

fn outcomes(done: &Evaluated) -> Vec<(String, f64, u64, bool)> {
    let of = |r: &Row| match &r.outcome {
        Outcome::Measured(m) => {
            let crc = m.defences.iter().find(|d| d.defence == "crc32").unwrap();
            Some((r.key.clone(), m.attacked, m.bits, crc.live))
        }
        _ => None,
    };
    done.results.rows.iter().filter_map(of).collect()
}

#[test]
fn a_stopped_evaluation_goes_on_and_ends_as_one_that_was_not() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let items = ["label-swap", "zero", "noise-all", "residual-cut"];
    let observer = Count::default();
    let at_once = evaluate(&plan(whole.path(), &items), &observer).unwrap();
    // label-swap once, zero on each of the layers, noise with two seeds; what does not apply is a row too.
    let applied = outcomes(&at_once);
    assert_eq!(at_once.computed, observer.0.into_inner());
    assert!(applied.len() > 5 && applied.len() < at_once.computed);
    let refused = |r: &&Row| matches!(r.outcome, Outcome::NotApplicable(_));
    assert!(at_once.results.rows.iter().filter(refused).all(|r| r.attack == "residual-cut"));

    let none = Plan { budget: Some(Duration::ZERO), ..plan(parts.path(), &items) };
    let nothing = evaluate(&none, &Count::default()).unwrap();
    assert_eq!((nothing.computed, nothing.left), (0, at_once.computed));
    evaluate(&plan(parts.path(), &items[..2]), &Count::default()).unwrap();
    // The process died while it wrote its last line.
    let path = parts.path().join("results.jsonl");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = pool.install(|| evaluate(&plan(parts.path(), &items), &Count::default())).unwrap();
    assert!(again.known > 0 && again.computed > 0);
    assert_eq!(outcomes(&again), applied);
    for (key, _, bits, seen) in &applied {
        assert!(*bits > 0 && *seen, "{key}");
    }
    for row in &again.results.rows {
        if let Some(ring) = row.measured().and_then(|m| m.ring.as_ref()) {
            assert!(ring.detected && ring.recovered == Some(true), "{}: {}", row.key, ring.how);
        }
    }

    let page = std::fs::read_to_string(parts.path().join("report.html")).unwrap();
    assert!(page.contains("&lt;cpu&gt;") && page.contains("<svg") && !page.contains("<script"));
    // From the results alone, the same files.
    let names = ["tables.md", "report.html"];
    let read = || names.map(|name| std::fs::read(parts.path().join(name)).unwrap());
    let before = read();
    names.iter().for_each(|name| std::fs::remove_file(parts.path().join(name)).unwrap());
    let written = rewrite_report(parts.path()).unwrap();
    assert!(read() == before && written.iter().any(|f| f.extension().is_some_and(|e| e == "svg")));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(rewrite_report(empty.path()), Err(EvaluateError::Journal(_))));
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn a_layer_that_no_network_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = evaluate(&plan(folder.path(), &["zero:layer=none"]), &Count::default());
    assert!(matches!(refused, Err(EvaluateError::NoLayer { there, .. }) if !there.is_empty()));
}
