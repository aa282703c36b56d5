//! The contents of the tables.

use std::str::FromStr as _;

use super::Table;
use crate::catalogue::Kind;
use crate::defence::{DefenceKind, Summary, false_alarm_bound, wilson};
use crate::evaluate::journal::Results;
use crate::evaluate::plot::accuracy;
use crate::evaluate::record::{Measured, Model, Outcome, Row};
use crate::evaluate::tally::tallies;

/// The tables of a network; those without a row are left out.
pub(in crate::evaluate) fn tables_of(results: &Results, model: &Model) -> Vec<Table> {
    let rows = results.of(model);
    let all = [
        paper(model, &rows),
        attacks(&rows),
        searches(model, &rows),
        harm(&rows),
        defences(model, &rows),
        costs(model),
        adaptive(model),
        ring_attacks(model),
        not_applicable(&rows),
    ];
    all.into_iter().filter(|t| !t.rows.is_empty()).collect()
}

/// `91.3 ± 0.4`; without a deviation where there is one value.
fn mean(values: &[f64], digits: usize) -> String {
    let s = Summary::of(values);
    match s.n {
        0 => "–".to_owned(),
        1 => format!("{:.digits$}", s.mean),
        _ => format!("{:.digits$} ± {:.digits$}", s.mean, s.sd),
    }
}

fn yes(hits: usize, all: usize) -> String {
    if all == 0 { "–".to_owned() } else { format!("{hits}/{all}") }
}

/// Rows that differ in nothing but the seed.
fn groups<'a>(rows: &[&'a Row]) -> Vec<Vec<&'a Row>> {
    let mut out: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let same = |g: &&mut Vec<&Row>| {
            g.first().is_some_and(|f| {
                (&f.attack, &f.layer, f.strength) == (&row.attack, &row.layer, row.strength)
            })
        };
        match out.iter_mut().find(same) {
            Some(group) => group.push(row),
            None => out.push(vec![row]),
        }
    }
    out
}

fn paper(model: &Model, rows: &[&Row]) -> Table {
    let kinds = [
        (Kind::LabelSwap, "0: label swap"),
        (Kind::NoiseDense, "1: noise, dense layers"),
        (Kind::NoiseAll, "2: noise, all layers"),
    ];
    let mut out = Vec::new();
    for (kind, name) in kinds {
        let own: Vec<&Row> = rows.iter().copied().filter(|r| r.attack == kind.name()).collect();
        for group in groups(&own) {
            let Some(after) = accuracy(group.iter().copied()) else { continue };
            let after = match after.n {
                1 => format!("{:.2}", after.mean),
                _ => format!("{:.2} ± {:.2}", after.mean, after.sd),
            };
            let n =
                group.iter().filter(|r| !matches!(r.outcome, Outcome::NotApplicable(_))).count();
            let strength = group.first().map(|r| r.strength.text()).unwrap_or_default();
            let clean = format!("{:.2}", 100.0 * model.accuracy);
            out.push(vec![name.to_owned(), strength, clean, after, n.to_string()]);
        }
    }
    Table {
        title: "The paper's three types".to_owned(),
        note: "Accuracy in per cent, mean ± standard deviation over n seeds".to_owned(),
        columns: vec!["type", "strength", "clean", "attacked", "n"],
        texts: 2,
        rows: out,
    }
}

/// How many flips searches took, and how many of them ended.
fn searches(model: &Model, rows: &[&Row]) -> Table {
    let mut out = Vec::new();
    for group in groups(rows) {
        let made: Vec<(&Measured, bool, usize)> = group
            .iter()
            .filter_map(|r| r.measured())
            .filter_map(|m| Some((m, m.reached?, m.trace.last()?.0)))
            .collect();
        let (Some(first), false) = (group.first(), made.is_empty()) else { continue };
        let ended = made.iter().filter(|(_, reached, _)| *reached).count();
        let counts: Vec<f64> = made.iter().map(|(.., flips)| *flips as f64).collect();
        let of = |flips: &usize, reached: bool| match reached {
            true => flips.to_string(),
            false => format!("≥ {flips}"),
        };
        // The mean of counts of which some were cut off is less than that of counts that were not.
        let least = if ended < made.len() { "≥ " } else { "" };
        let seconds: Vec<f64> = made.iter().map(|(m, ..)| m.seconds).collect();
        out.push(vec![
            first.attack.clone(),
            first.strength.text(),
            format!("{ended} of {}", made.len()),
            format!("{least}{}", mean(&counts, 1)),
            made.iter().map(|(_, r, flips)| of(flips, *r)).collect::<Vec<_>>().join(", "),
            mean(&seconds, 0),
        ]);
    }
    Table {
        title: "Flips until a search ends".to_owned(),
        note: format!(
            "By the published rules, on the {} test images: bfa at 1.1 times chance or less, tbfa-n-to-1 with more than 99.99 % of them at the target, the others with more than 99.99 % (tbfa-stealthy: 99.9 %) of the source's. A search that was cut off, or that no bit helps any more, has not ended: its count, and the mean, are lower bounds",
            model.test
        ),
        columns: vec!["search", "strength", "ended", "flips", "each", "seconds"],
        texts: 2,
        rows: out,
    }
}

/// Seeds from which on a share of them says something.
const MANY_SEEDS: usize = 30;

/// How many of an attack's draws do harm: what a mean over draws hides, where most do nothing and some everything.
fn harm(rows: &[&Row]) -> Table {
    let mut out = Vec::new();
    for group in groups(rows) {
        let made: Vec<&Measured> = group.iter().filter_map(|r| r.measured()).collect();
        let (Some(first), MANY_SEEDS..) = (group.first(), made.len()) else { continue };
        let share = |least: f64| {
            let falls = |m: &&&Measured| (m.clean - m.attacked) > least * m.clean;
            let hits = made.iter().filter(falls).count();
            let (low, high) = wilson(hits, made.len());
            let percent = 100.0 * hits as f64 / made.len() as f64;
            format!("{percent:.1} ({:.1} to {:.1})", 100.0 * low, 100.0 * high)
        };
        let (strength, n) = (first.strength.text(), made.len().to_string());
        out.push(vec![first.attack.clone(), strength, n, share(0.1), share(0.9)]);
    }
    Table {
        title: "Draws that do harm".to_owned(),
        note: "Share of draws, in per cent with its 95 % interval (Wilson), after which more than a tenth, or nine tenths, of the clean accuracy is lost".to_owned(),
        columns: vec!["attack", "strength", "n", "lose > 10 %", "lose > 90 %"],
        texts: 2,
        rows: out,
    }
}

fn attacks(rows: &[&Row]) -> Table {
    let mut out = Vec::new();
    for group in groups(rows) {
        let made: Vec<&Measured> = group.iter().filter_map(|r| r.measured()).collect();
        let refused = group.iter().filter(|r| matches!(r.outcome, Outcome::Unusable(_))).count();
        let Some(first) = group.first() else { continue };
        if made.is_empty() && refused == 0 {
            continue;
        }
        let of = |value: &dyn Fn(&Measured) -> Option<f64>, digits| {
            mean(&made.iter().filter_map(|m| value(m)).collect::<Vec<_>>(), digits)
        };
        let rings: Vec<_> = made.iter().filter_map(|m| m.ring.as_ref()).collect();
        let count = |hit: &dyn Fn(&crate::evaluate::record::RingResult) -> Option<bool>| {
            let seen: Vec<bool> = rings.iter().filter_map(|r| hit(r)).collect();
            yes(seen.iter().filter(|s| **s).count(), seen.len())
        };
        let attacked = accuracy(group.iter().copied());
        let attacked = attacked.map_or_else(String::new, |s| match s.n {
            1 => format!("{:.2}", s.mean),
            _ => format!("{:.2} ± {:.2}", s.mean, s.sd),
        });
        let n = made.len() + refused;
        let note = if refused > 0 {
            format!("{n} ({refused} refused by the engine)")
        } else {
            n.to_string()
        };
        out.push(vec![
            first.attack.clone(),
            first.layer.clone().unwrap_or_default(),
            first.strength.text(),
            first.atlas.clone(),
            note,
            of(&|m| Some(100.0 * m.clean), 2).split(' ').next().unwrap_or_default().to_owned(),
            attacked,
            of(&|m| m.recovered.map(|r| 100.0 * r), 2)
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
            of(&|m| m.success.map(|s| 100.0 * s), 1),
            of(&|m| Some(m.values as f64), 0),
            of(&|m| Some(m.bits as f64), 0),
            of(&|m| Some(m.graph as f64), 0),
            count(&|r| Some(r.detected)),
            count(&|r| r.block),
            count(&|r| r.tensor),
            count(&|r| r.recovered),
        ]);
    }
    Table {
        title: "Attacks".to_owned(),
        note: "Accuracies and success in per cent; success is the share of inputs that go where a targeted attack wants them (trigger: of stamped inputs). The last four columns are DeepRing's: of so many, refused, the block and the tensor named rightly, restored bit for bit".to_owned(),
        columns: vec![
            "attack", "layer", "strength", "ATLAS", "n", "clean", "attacked", "recovered", "success",
            "weights", "bits", "graph", "detected", "block", "tensor", "restored",
        ],
        texts: 4,
        rows: out,
    }
}

fn defences(model: &Model, rows: &[&Row]) -> Table {
    let line = |name: &str| model.defences.iter().find(|d| d.defence == name);
    let recovered = |name: &str| -> Vec<f64> {
        let of = rows.iter().filter_map(|r| r.measured()).flat_map(|m| &m.defences);
        of.filter(|s| s.defence == name).filter_map(|s| s.recovered.map(|r| 100.0 * r)).collect()
    };
    let out = tallies(rows).into_iter().map(|t| {
        let kind = DefenceKind::from_str(&t.defence).ok().map(|k| k.misses().to_owned());
        let misses = match line(&t.defence).map(|line| line.misses.clone()).or(kind) {
            Some(misses) => misses,
            None => "What is sealed by the owner to begin with; an edit in memory that is put back between two uses".to_owned(),
        };
        vec![
            t.defence.clone(),
            misses,
            yes(t.at_rest, t.all),
            yes(t.live, t.all),
            yes(t.located, t.placed),
            mean(&recovered(&t.defence), 2),
        ]
    });
    Table {
        title: "Defences".to_owned(),
        note: "Of the attacks above that changed the network: seen in the file, seen in memory after loading, and with every named tensor a changed one; accuracy in per cent after what the defence itself does about it".to_owned(),
        columns: vec!["defence", "what it misses", "in the file", "in memory", "located", "accuracy after"],
        texts: 2,
        rows: out.collect(),
    }
}

fn costs(model: &Model) -> Table {
    let row = |name: &str, bytes: usize, ms: f64, percent: Option<f64>, alarms: usize, n: usize| {
        vec![
            name.to_owned(),
            bytes.to_string(),
            format!("{ms:.3}"),
            percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1}")),
            yes(alarms, n),
            format!("{:.2}", 100.0 * false_alarm_bound(alarms, n)),
        ]
    };
    let mut out: Vec<Vec<String>> = model
        .defences
        .iter()
        .map(|d| row(&d.defence, d.stored_bytes, d.ms, d.percent, d.false_alarms, d.clean_checks))
        .collect();
    if let Some(r) = &model.ring {
        let percent = Some(r.percent);
        out.push(row("DeepRing", r.stored_bytes, r.ms, percent, r.false_alarms, r.clean_checks));
    }
    Table {
        title: "Cost and false alarms".to_owned(),
        note: "Stored bytes (DeepRing: the ring beyond the network). Time of a check, median, beside a plain query of one sample in turn with it; file-digest checks once, when the file is loaded. Alarms on the clean network, and what their rate is at most at 95 % (rule of three; Wilson)".to_owned(),
        columns: vec!["defence", "bytes", "ms", "% of a query", "false alarms", "rate at most %"],
        texts: 1,
        rows: out,
    }
}

fn adaptive(model: &Model) -> Table {
    let rows = model.defences.iter().filter_map(|d| {
        let a = d.adaptive.as_ref()?;
        let after: Vec<f64> = a.accuracy.iter().map(|v| 100.0 * v).collect();
        Some(vec![d.defence.clone(), a.what.clone(), yes(a.detected, a.tried), mean(&after, 2)])
    });
    let rings = model.ring.iter().flat_map(|r| &r.adaptive).map(|a| {
        let until = a.until_refused.map_or_else(String::new, |mean| {
            format!("; one is refused after {mean:.1} on average")
        });
        let what = format!(
            "{}: at each of {} queries; {} wrong answers{until}",
            a.attack, a.queries, a.wrong
        );
        let after: Vec<f64> = a.accuracy.iter().map(|v| 100.0 * v).collect();
        let defence = format!("DeepRing, {}", a.check);
        vec![defence, what, yes(a.refused, a.queries), mean(&after, 2)]
    });
    Table {
        title: "The attacker who knows the defence, not its keys".to_owned(),
        note: "Of so many tries detected; accuracy in per cent after them (DeepRing: of the answers given)".to_owned(),
        columns: vec!["defence", "attack", "detected", "attacked"],
        texts: 2,
        rows: rows.chain(rings).collect(),
    }
}

fn ring_attacks(model: &Model) -> Table {
    let word = |v: bool| if v { "yes" } else { "no" }.to_owned();
    let attacks = model.ring.iter().flat_map(|r| &r.attacks).map(|a| {
        let located = a.located.map_or_else(|| "–".to_owned(), word);
        let summary = Kind::from_str(&a.attack).map(|k| k.summary()).unwrap_or_default();
        vec![
            a.attack.clone(),
            summary.to_owned(),
            a.what.clone(),
            a.atlas.clone(),
            word(a.detected),
            located,
        ]
    });
    Table {
        title: "Attacks on the ring, its receipts and the ledger".to_owned(),
        note: "By one who knows DeepRing, and has no key of the owner".to_owned(),
        columns: vec![
            "attack",
            "what it does",
            "what was seen",
            "ATLAS",
            "detected",
            "block named",
        ],
        texts: 6,
        rows: attacks.collect(),
    }
}

fn not_applicable(rows: &[&Row]) -> Table {
    let mut out: Vec<Vec<String>> = Vec::new();
    for row in rows {
        if let Outcome::NotApplicable(reason) = &row.outcome {
            let line =
                vec![row.attack.clone(), row.layer.clone().unwrap_or_default(), reason.clone()];
            if !out.contains(&line) {
                out.push(line);
            }
        }
    }
    Table {
        title: "Not applicable".to_owned(),
        note: String::new(),
        columns: vec!["attack", "layer", "reason"],
        texts: 3,
        rows: out,
    }
}
