use super::*;
use crate::evaluate::configuration::Strength;
use crate::evaluate::made::{measured, model, row, with};
use crate::evaluate::record::{LayerLine, Outcome};
use crate::report::is_well_formed;

fn on_layer(attack: &str, layer: &str, rho: Option<f64>, attacked: f64) -> Row {
    Row { layer: Some(layer.to_owned()), ..row(attack, rho, 0, attacked, true) }
}

fn flipped(attack: &str, flips: usize, seed: u64, attacked: f64) -> Row {
    let strength = Strength { flips: Some(flips), ..Strength::default() };
    Row { strength, ..row(attack, None, seed, attacked, true) }
}

fn traced(attack: &str, trace: &[(usize, f64)]) -> Row {
    let mut row = row(attack, None, 0, 0.1, true);
    measured(&mut row).trace = trace.to_vec();
    row
}

fn layered(names: &[&str]) -> Model {
    let line = |name: &&str| LayerLine { name: (*name).to_owned(), weights: 1, dense: true };
    Model { layers: names.iter().map(line).collect(), ..model(100) }
}

/// The texts of a drawing, in their order.
fn texts(svg: &str) -> Vec<String> {
    assert!(is_well_formed(svg) && !svg.contains("NaN"), "{svg}");
    let parts = svg.split("<text").skip(1).filter_map(|t| t.split_once('>'));
    parts.filter_map(|(_, t)| Some(t.split_once("</text>")?.0.trim().to_owned())).collect()
}

/// Of a heat map, what stands in the cells of a row: behind its name.
fn line(svg: &str, name: &str, columns: usize) -> Vec<String> {
    let all = texts(svg);
    let at = all.iter().position(|t| t == name).unwrap_or_else(|| panic!("{name} in {all:?}"));
    all[at + 1..=at + columns].to_vec()
}

#[test]
fn noise_is_drawn_by_layer_and_strength_and_absent_pairs_are_dashes() {
    let model = layered(&["one", "two", "none"]);
    let all = [
        on_layer("noise-layer", "two", Some(10.0), 0.25),
        on_layer("noise-layer", "one", Some(2.0), 0.8),
        // Another seed of it: the mean is drawn.
        Row { seed: 1, ..on_layer("noise-layer", "one", Some(2.0), 0.6) },
        row("noise-all", Some(10.0), 0, 0.125, true),
        // Of another attack, and not drawn.
        on_layer("noise-filter", "two", Some(2.0), 0.5),
    ];
    let svg = noise(&model, &all.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(line(&svg, "one", 2), ["70.0", "–"]);
    assert_eq!(line(&svg, "two", 2), ["–", "25.0"]);
    assert_eq!(line(&svg, "every layer", 2), ["–", "12.5"]);
    let texts = texts(&svg);
    // By number, and not by letter.
    assert_eq!(texts[..3], ["rho", "2", "10"]);
    assert!(!texts.iter().any(|t| t == "none" || t == "every dense layer"));
    assert_eq!(noise(&model, &[]), None);
}

#[test]
fn attacks_on_one_layer_are_drawn_at_their_strongest() {
    let model = layered(&["one", "two"]);
    let all = [
        on_layer("noise-layer", "one", Some(0.5), 0.9),
        on_layer("noise-layer", "one", Some(3.0), 0.3),
        on_layer("zero", "two", None, 0.1),
    ];
    let all: Vec<&Row> = all.iter().collect();
    let svg = one_layer(&model, &all).unwrap();
    assert_eq!(texts(&svg)[..2], ["noise-layer 3", "zero"]);
    assert_eq!(line(&svg, "one", 2), ["30.0", "–"]);
    assert_eq!(line(&svg, "two", 2), ["–", "10.0"]);
    // One attack has nothing to be compared with.
    assert_eq!(one_layer(&model, &all[..2]), None);
}

#[test]
fn a_search_that_ended_stays_where_it_ended() {
    let traces = [vec![(1, 0.8), (4, 0.1)], vec![(2, 0.6), (9, 0.2)]];
    assert_eq!(reached(&traces, 2), [80.0, 60.0]);
    assert_eq!(reached(&traces, 4), [10.0, 60.0]);
    assert_eq!(reached(&traces, 8), [10.0, 60.0]);
    assert_eq!(reached(&traces, 9), [10.0, 20.0]);
    assert!(reached(&[vec![]], 3).is_empty());
}

#[test]
fn each_attack_by_flips_is_a_line_and_others_are_none() {
    let model = model(100);
    let all = [
        flipped("sign-random", 10, 0, 0.5),
        flipped("sign-random", 10, 1, 0.7),
        flipped("sign-random", 1, 0, 0.9),
        traced("bfa", &[(1, 0.4), (3, 0.1)]),
        row("zero", None, 0, 0.0, true),
        with(flipped("int8-random", 5, 0, 0.0), Outcome::NotApplicable(String::new())),
    ];
    let all: Vec<&Row> = all.iter().collect();
    let svg = flips(&model, &all).unwrap();
    let texts = texts(&svg);
    for (name, drawn) in [("sign-random", 1), ("bfa", 1), ("zero", 0), ("int8-random", 0)] {
        assert_eq!(texts.iter().filter(|t| *t == name).count(), drawn, "{name}");
    }
    // From no flip on: the clean network, then 1 and 10 flips, and 1 and 3.
    let lines: Vec<usize> = svg
        .split("<polyline")
        .skip(1)
        .map(|l| l.split("points=\"").nth(1).unwrap().split('"').next().unwrap().split(' ').count())
        .collect();
    assert_eq!(lines, [3, 3]);
    // At the right end, ten flips of sign-random are 60 % on the mean: y = 12 + 240 * 0.4.
    assert!(svg.contains("484,108"), "{svg}");
    assert_eq!(flips(&model, &[]), None);
}

#[test]
fn accuracy_is_none_where_nothing_was_made_and_zero_where_nothing_answers() {
    let refused = with(row("zero", None, 0, 0.9, true), Outcome::Unusable(String::new()));
    let absent = with(row("zero", None, 0, 0.9, true), Outcome::NotApplicable(String::new()));
    let made = row("zero", None, 0, 0.5, true);
    let of = |rows: &[&Row]| accuracy(rows.iter().copied()).map(|s| (s.mean, s.n));
    assert_eq!(of(&[&made, &refused, &absent]), Some((25.0, 2)));
    assert_eq!(of(&[&refused]), Some((0.0, 1)));
    assert_eq!(of(&[&absent]), None);
}

#[test]
fn files_of_plots_have_plain_names_that_are_one_of_a_kind() {
    let name = |name: &str| Model { name: name.to_owned(), ..model(10) };
    let models = vec![name("../A b/ü"), name("../A b/é"), name(&"x".repeat(200))];
    let results = Results { models, rows: vec![row("zero", None, 0, 0.5, true)], runs: vec![] };
    let mut names: Vec<String> = plots(&results).into_iter().map(|p| p.name).collect();
    assert_eq!(names[0], "01----a-b---defences");
    assert!(names.iter().all(|n| n.len() < 80 && !n.contains(['/', '.', ' '])), "{names:?}");
    names.dedup();
    assert_eq!(names.len(), 3);
}

#[test]
fn values_are_in_the_order_of_numbers_and_each_once() {
    assert_eq!(distinct([10.0, 2.0, 0.5, 2.0, 10.0].into_iter()), [0.5, 2.0, 10.0]);
}
