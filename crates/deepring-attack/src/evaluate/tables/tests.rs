use super::content::tables_of;
use super::*;
use crate::evaluate::configuration::Strength;
use crate::evaluate::record::{BaselineResult, Measured, Outcome, Row};

fn model(test: usize) -> Model {
    Model {
        settings: "s0".to_owned(),
        name: "a|b<c>".to_owned(),
        sha256: "m0".to_owned(),
        quantised: false,
        parameters: 10,
        layers: Vec::new(),
        classes: 2,
        accuracy: 0.9,
        search_accuracy: 0.95,
        test,
        search: 10,
        shared_samples: false,
        defences: Vec::new(),
        ring: None,
        no_ring: None,
    }
}

fn row(attack: &str, rho: Option<f64>, seed: u64, attacked: f64, seen: bool) -> Row {
    let ring_result = BaselineResult {
        defence: "crc32".to_owned(),
        at_rest: seen,
        live: seen,
        located: seen.then_some(true),
        ms: 1.0,
        recovered: None,
    };
    Row {
        key: format!("m0|{attack}|{rho:?}|{seed}|s0"),
        model: "m0".to_owned(),
        attack: attack.to_owned(),
        atlas: "AML.T0031".to_owned(),
        layer: None,
        strength: Strength { rho, ..Strength::default() },
        seed,
        outcome: Outcome::Measured(Box::new(Measured {
            what: String::new(),
            clean: 0.9,
            attacked,
            recovered: None,
            success: None,
            values: 3,
            bits: 7,
            tensors: 1,
            graph: 0,
            seconds: 0.0,
            reached: None,
            trace: Vec::new(),
            defences: vec![ring_result],
            ring: None,
        })),
    }
}

fn results() -> Results {
    let rows = vec![
        row("noise-all", Some(1.0), 0, 0.5, true),
        row("noise-all", Some(1.0), 1, 0.7, true),
        row("label-swap", None, 0, 0.05, false),
    ];
    Results { runs: Vec::new(), models: vec![model(100)], rows }
}

#[test]
fn means_and_deviations_are_those_computed_by_hand() {
    let results = results();
    let all = tables_of(&results, &results.models[0]);
    let of = |title: &str| all.iter().find(|t| t.title.starts_with(title)).unwrap();
    // (50 + 70) / 2 = 60; sqrt((10² + 10²) / 1) = 14.14.
    let paper = &of("The paper").rows;
    assert_eq!(paper[0], ["0: label swap", "", "90.00", "5.00", "1"]);
    assert_eq!(paper[1], ["2: noise, all layers", "rho 1", "90.00", "60.00 ± 14.14", "2"]);
    let defences = &of("Defences").rows;
    assert_eq!(defences[0][2..5], ["2/3", "2/3", "2/3"]);
    assert_eq!(of("Attacks").rows.len(), 2);
}

#[test]
fn a_small_sample_is_said_to_be_one() {
    // sqrt(0.9 * 0.1 / 100) = 3.0 points; sqrt(0.25 / 100) = 5.0.
    let said = remarks(&model(100)).join("");
    assert!(said.contains("3.0 points") && said.contains("5.0 points"), "{said}");
    assert!(remarks(&model(1000)).is_empty());
}

#[test]
fn what_files_say_stays_text() {
    let text = tables(&results());
    assert!(text.contains("## a\\|b\\<c\\>"));
    let columns = |l: &str| l.replace("\\|", "").matches('|').count();
    for table in text.split("\n\n").filter(|t| t.starts_with('|')) {
        let mut lines = table.lines().map(columns);
        let first = lines.next().unwrap();
        assert!(lines.all(|n| n == first), "{table}");
    }
}

/// Of a network's name, an attack's and a processor's, in the page, its drawings and the tables.
#[test]
fn what_files_say_stays_in_its_line_and_turns_none_round() {
    let mut results = results();
    results.models[0].name = "a\u{202e}b\u{ffff}\u{85}c".to_owned();
    results.models[0].no_ring = Some("x\u{2066}\u{fdd0}\nz".to_owned());
    let plots = crate::evaluate::plot::plots(&results);
    let page = crate::evaluate::page::page(&results, &plots);
    let drawn = plots.iter().map(|plot| plot.svg.as_str());
    for text in [page.as_str(), &tables(&results)].into_iter().chain(drawn) {
        let disturbing = text.chars().find(|c| *c != '\n' && deepring::files::disturbs_line(*c));
        assert_eq!(disturbing, None, "{text}");
    }
    assert!(
        page.contains("a\u{fffd}b\u{fffd}\u{fffd}c") && page.contains("x\u{fffd}\u{fffd}\u{fffd}z")
    );
}

#[test]
fn the_page_loads_nothing_and_escapes_names() {
    let results = results();
    let plots = crate::evaluate::plot::plots(&results);
    assert!(!plots.is_empty());
    let page = crate::evaluate::page::page(&results, &plots);
    for outside in ["http", "src=", "<script", "@import", "url(", "<link", "NaN", "a|b<c>"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("a|b&lt;c&gt;") && page.contains("60.00 ± 14.14"));
}
