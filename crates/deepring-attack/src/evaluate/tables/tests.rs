use super::content::tables_of;
use super::*;
use crate::evaluate::configuration::Strength;
use crate::evaluate::made::{measured, model, results, row, with, with_ring};
use crate::evaluate::record::{
    Adaptive, BaselineResult, DefenceLine, Outcome, RingAdaptive, RingAttack, RingLine, Row,
};

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

fn table(results: &Results, title: &str) -> Option<Table> {
    tables_of(results, &results.models[0]).into_iter().find(|t| t.title.starts_with(title))
}

fn rows(rows: Vec<Row>) -> Results {
    Results { runs: Vec::new(), models: vec![model(100)], rows }
}

/// A search that ended after so many flips, or was cut off there.
fn searched(attack: &str, seed: u64, flips: usize, reached: bool) -> Row {
    let mut row = row(attack, None, seed, 0.1, true);
    let m = measured(&mut row);
    (m.reached, m.trace, m.seconds) = (Some(reached), vec![(1, 0.8), (flips, 0.1)], 2.0);
    row
}

#[test]
fn a_search_that_was_cut_off_makes_counts_lower_bounds() {
    let all = [("bfa", 0, 7, true), ("bfa", 1, 9, true), ("tbfa-n-to-1", 0, 4, true)];
    let mut all: Vec<Row> = all.map(|(a, s, n, r)| searched(a, s, n, r)).into();
    all.push(searched("tbfa-n-to-1", 1, 60, false));
    // What was not searched for has no count.
    all.push(row("noise-all", Some(1.0), 0, 0.5, true));
    let found = table(&rows(all), "Flips until a search ends").unwrap().rows;
    assert_eq!(found[0], ["bfa", "", "2 of 2", "8.0 ± 1.4", "7, 9", "2 ± 0"]);
    assert_eq!(found[1], ["tbfa-n-to-1", "", "1 of 2", "≥ 32.0 ± 39.6", "4, ≥ 60", "2 ± 0"]);
    assert_eq!(found.len(), 2);
    assert!(table(&results(), "Flips until a search ends").is_none());
}

#[test]
fn the_share_of_draws_that_do_harm_counts_losses_of_a_tenth_and_of_nine() {
    // Of 0.9: 0.82 loses less than a tenth, 0.8 more, and 0.08 more than nine of them.
    let after = |seed| match seed {
        0..10 => 0.08,
        10..16 => 0.8,
        _ => 0.82,
    };
    let draws = |n: u64| rows((0..n).map(|s| row("zero", None, s, after(s), true)).collect());
    let found = table(&draws(32), "Draws that do harm").unwrap().rows;
    assert_eq!(found[0][..3], ["zero", "", "32"]);
    // Wilson by hand: 16 of 32 and 10 of 32.
    assert_eq!(found[0][3..], ["50.0 (33.6 to 66.4)", "31.2 (18.0 to 48.6)"]);
    assert!(table(&draws(29), "Draws that do harm").is_none());
    assert!(table(&draws(30), "Draws that do harm").is_some());
}

#[test]
fn what_the_engine_refuses_counts_as_no_accuracy_and_what_does_not_apply_not_at_all() {
    let refused = Outcome::Unusable("no engine takes it".to_owned());
    let none = Outcome::NotApplicable("no such layer".to_owned());
    let results = rows(vec![
        row("zero", None, 0, 0.6, true),
        with(row("zero", None, 1, 0.0, true), refused),
        with(row("zero", None, 2, 0.0, true), none.clone()),
        with(row("zero", None, 3, 0.0, true), none.clone()),
        with(row("reinit", None, 0, 0.0, true), none),
    ]);
    let found = table(&results, "Attacks").unwrap().rows;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0][4], "2 (1 refused by the engine)");
    // (60 + 0) / 2, and sqrt(2 * 30²).
    assert_eq!(found[0][5..8], ["90.00", "30.00 ± 42.43", "–"]);
    let told = table(&results, "Not applicable").unwrap().rows;
    assert_eq!(told, [["zero", "", "no such layer"], ["reinit", "", "no such layer"]]);
}

#[test]
fn rows_that_differ_in_more_than_the_seed_stand_apart() {
    let mut on_layer = row("zero", None, 0, 0.5, true);
    on_layer.layer = Some("fc1".to_owned());
    let mut flips = row("zero", None, 0, 0.4, true);
    flips.strength = Strength { flips: Some(3), bit: Some(30), ..Strength::default() };
    let mut to = row("zero", None, 0, 0.3, true);
    to.strength = Strength { source: Some(1), target: Some(2), ..Strength::default() };
    let all = rows(vec![row("zero", None, 0, 0.6, true), on_layer, flips, to]);
    let found = table(&all, "Attacks").unwrap().rows;
    let told: Vec<[&str; 3]> = found.iter().map(|r| [&*r[1], &*r[2], &*r[6]]).collect();
    let due = [
        ["", "", "60.00"],
        ["fc1", "", "50.00"],
        ["", "3 flips, bit 30", "40.00"],
        ["", "from class 1, to class 2", "30.00"],
    ];
    assert_eq!(told, due);
}

#[test]
fn the_columns_of_deepring_count_of_those_that_say_something() {
    let mut healed = with_ring(row("zero", None, 0, 0.5, true), true, Some(true));
    let m = measured(&mut healed);
    (m.recovered, m.success, m.graph) = (Some(0.9), Some(0.25), 2);
    let mut missed = with_ring(row("zero", None, 1, 0.5, true), false, Some(false));
    measured(&mut missed).ring.as_mut().unwrap().recovered = Some(false);
    let results = rows(vec![
        healed,
        missed,
        with_ring(row("zero", None, 2, 0.5, true), true, None),
        row("zero", None, 3, 0.5, true),
    ]);
    let found = &table(&results, "Attacks").unwrap().rows[0];
    assert_eq!(found[4..9], ["4", "90.00", "50.00 ± 0.00", "90.00", "25.0"]);
    assert_eq!(found[9..12], ["3 ± 0", "7 ± 0", "0 ± 1"]);
    assert_eq!(found[12..], ["2/3", "1/2", "1/2", "2/3"]);
}

#[test]
fn a_defence_is_told_with_what_it_misses_and_what_it_restores() {
    let mut one = row("zero", None, 0, 0.5, true);
    measured(&mut one).defences[0].recovered = Some(0.7);
    let mut two = with_ring(row("zero", None, 1, 0.5, true), true, Some(true));
    let unknown =
        BaselineResult { defence: "other".to_owned(), ..measured(&mut two).defences[0].clone() };
    measured(&mut two).defences.push(unknown);
    // An edit of the graph has no tensor that could be named.
    let mut graph = row("block-drop", None, 0, 0.5, true);
    (measured(&mut graph).tensors, measured(&mut graph).graph) = (0, 1);
    let mut results = rows(vec![one, two, graph]);
    let found = table(&results, "Defences").unwrap().rows;
    assert_eq!(found[0][2..], ["3/3", "3/3", "2/2", "70.00"]);
    assert!(found[0][1].starts_with("An edit that restores the CRC"));
    assert_eq!(found[1][0], "other");
    assert_eq!((found[2][0].as_str(), found[2][5].as_str()), ("DeepRing", "–"));
    assert!(found[2][1].contains("put back between two uses"));
    results.models[0].defences = vec![defence(Some(1.0))];
    let found = table(&results, "Defences").unwrap().rows;
    assert_eq!(found[0][1], "something <else>");
}

fn defence(percent: Option<f64>) -> DefenceLine {
    DefenceLine {
        defence: "crc32".to_owned(),
        misses: "something <else>".to_owned(),
        stored_bytes: 40,
        ms: 0.5,
        percent,
        clean_checks: 100,
        false_alarms: 0,
        false_alarm_bound: 0.03,
        adaptive: Some(Adaptive {
            what: "a forged sum".to_owned(),
            tried: 2,
            detected: 1,
            accuracy: vec![0.1, 0.3],
        }),
    }
}

fn ring() -> RingLine {
    let raced = |until_refused, accuracy| RingAdaptive {
        attack: "live-memory-sync".to_owned(),
        check: "auto".to_owned(),
        queries: 200,
        refused: 150,
        wrong: 5,
        until_refused,
        accuracy,
    };
    let attack = |attack: &str, located, detected| RingAttack {
        attack: attack.to_owned(),
        atlas: "AML.T0010.003".to_owned(),
        detected,
        located,
        what: "one | bit".to_owned(),
    };
    RingLine {
        blocks: 6,
        stored_bytes: 4096,
        ms: 0.25,
        percent: 12.34,
        clean_checks: 104,
        false_alarms: 1,
        false_alarm_bound: 0.05,
        attacks: vec![attack("ring-flip", Some(true), true), attack("made-up", None, false)],
        adaptive: vec![raced(Some(1.33), Some(0.9)), raced(None, None)],
    }
}

#[test]
fn costs_and_those_who_know_a_defence_are_told_of_each() {
    let mut results = results();
    results.models[0].defences = vec![defence(Some(12.34)), defence(None)];
    results.models[0].ring = Some(ring());
    let found = table(&results, "Cost and false alarms").unwrap().rows;
    // Wilson: 1.96² / (100 + 1.96²); a rate that was not seen at 95 %.
    assert_eq!(found[0], ["crc32", "40", "0.500", "12.3", "0/100", "3.00"]);
    assert_eq!(found[1][3], "–");
    assert_eq!(found[2][..5], ["DeepRing", "4096", "0.250", "12.3", "1/104"]);
    let found = table(&results, "The attacker who knows").unwrap().rows;
    assert_eq!(found[0], ["crc32", "a forged sum", "1/2", "20.00 ± 14.14"]);
    assert_eq!(found[2][0], "DeepRing, auto");
    let told = "live-memory-sync: at each of 200 queries; 5 wrong answers";
    assert_eq!(found[2][1], format!("{told}; one is refused after 1.3 on average"));
    assert_eq!(found[2][2..], ["150/200", "90.00"]);
    assert_eq!((found[3][1].as_str(), found[3][3].as_str()), (told, "–"));
    let found = table(&results, "Attacks on the ring").unwrap().rows;
    assert_eq!((found[0][4].as_str(), found[0][5].as_str()), ("yes", "yes"));
    assert!(found[0][1].starts_with("Flips bits of a sealed block"));
    assert_eq!((found[1][1].as_str(), found[1][4].as_str(), found[1][5].as_str()), ("", "no", "–"));
}

#[test]
fn cells_of_other_settings_and_networks_are_in_no_table() {
    let mut results = results();
    results.models[0].settings = "0123456789abcdef and more".to_owned();
    assert!(table(&results, "Attacks").is_none());
    for row in &mut results.rows {
        row.key = format!("{}|0123456789abcdef", row.attack);
    }
    assert_eq!(table(&results, "Attacks").unwrap().rows.len(), 2);
    results.rows[2].model = "m1".to_owned();
    assert_eq!(table(&results, "Attacks").unwrap().rows.len(), 1);
}
