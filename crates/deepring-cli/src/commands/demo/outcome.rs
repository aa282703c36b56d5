//! The results of the demo, for the text and the page, and its claims, compared with what happened.

use std::collections::BTreeSet;
use std::time::Duration;

use deepring::{AuthenticRing, Finding};
use deepring_attack::differences::TensorDifference;

use super::certificate::DemoCertificate;
use super::comparison::Comparison;
use super::fixture::{Fixture, Sample};
use super::folder::Folder;
use super::runs::AttackRun;
use crate::error::{CliError, Exit};

pub(super) struct DemoReport {
    pub(super) folder: Folder,
    pub(super) sample: Sample,
    pub(super) ring: AuthenticRing,
    /// Short forms of the hosts' keys.
    pub(super) hosts: [String; 2],
    pub(super) blocks: Vec<Block>,
    pub(super) parameter_bytes: u64,
    pub(super) comparison: Comparison,
    /// Why live memory was left alone, if it was.
    pub(super) obstacle: Option<&'static str>,
    pub(super) runs: Vec<AttackRun>,
    pub(super) certificate: DemoCertificate,
    pub(super) took: Duration,
}

/// A block as the page draws it.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) index: u32,
    pub(super) name: String,
    /// Host A (0) or B (1); `None` for Genesis.
    pub(super) host: Option<usize>,
    pub(super) parameter_bytes: u64,
    pub(super) body_digest: String,
}

pub(super) const HOSTS: [&str; 2] = ["host A", "host B"];

pub(super) fn blocks(fixture: &Fixture) -> Vec<Block> {
    let of = |header: &deepring::Header| Block {
        index: header.index,
        name: header.name.clone(),
        host: fixture.host_of(header.index),
        parameter_bytes: header.parameter_bytes(),
        body_digest: header.body_digest.to_hex(),
    };
    fixture.ring.headers().iter().map(of).collect()
}

/// Only if all of it held does the command succeed.
pub(super) fn check(report: &DemoReport) -> Result<(), CliError> {
    let missed = missed(report);
    if missed.is_empty() {
        return Ok(());
    }
    let list: String = missed.iter().map(|m| format!("\n  {m}")).collect();
    Err(CliError::new(Exit::Failed, format!("the demo did not go as it should:{list}"))
        .hint("this is a defect of DeepRing; please report it with the text above"))
}

fn missed(report: &DemoReport) -> Vec<String> {
    let images = report.sample.len();
    let c = &report.comparison;
    let mut missed = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            missed.push(what);
        }
    };
    expect(
        c.ring.agreeing(&c.plain) == images,
        "the ring answers otherwise than the plain network".into(),
    );
    expect(
        c.exported.agreeing(&c.plain) == images,
        "the exported network answers otherwise".into(),
    );
    for run in &report.runs {
        let title = run.tampering.title;
        let mut of = |holds: bool, what: &str| expect(holds, format!("{title}: {what}"));
        let tampered = tampered(run);
        let took_effect = run
            .plain
            .answers()
            .is_none_or(|answers| answers.classes_given() != c.plain.classes_given());
        let s = &run.stored;
        of(reported(&s.verify) == tampered, "`verify` does not name just the edited tensors");
        of(
            !s.run.is_empty() && reported(&s.run).is_subset(&tampered),
            "the run on the edited file is not refused",
        );
        of(
            s.repaired == run.tampering.blocks(),
            "the repair did not restore just the edited blocks",
        );
        of(s.answers.is_identical(&c.ring), "answers after the repair are not those before");
        let Some(m) = &run.memory else { continue };
        of(
            !took_effect || m.unchecked.classes_given() != c.ring.classes_given(),
            "the edit in memory had no effect without checks",
        );
        let blocks = |f: &[Finding]| f.iter().filter_map(|f| f.block).collect::<BTreeSet<_>>();
        of(
            blocks(&m.findings) == run.tampering.blocks().into_iter().collect()
                && reported(&m.findings).is_subset(&tampered),
            "the edit in memory is not refused in the edited blocks",
        );
        of(m.answers.is_identical(&c.ring), "answers after reloading are not those before");
    }
    expect(report.certificate.is_complete(), "the decision's certificate is not complete".into());
    expect(
        report.certificate.answers.is_identical(&c.ring),
        "the certified answers are not those before the attacks".into(),
    );
    missed
}

type Places = BTreeSet<(Option<u32>, Option<String>)>;

/// The tensors that an attack changed.
fn tampered(run: &AttackRun) -> Places {
    run.tampering.edits.iter().map(|e| (Some(e.block), Some(e.part.clone()))).collect()
}

fn reported(findings: &[Finding]) -> Places {
    findings.iter().map(|f| (f.block, f.tensor.clone())).collect()
}

/// `1-3, 5`: numbers in ascending order as people write them.
pub(super) fn list(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*n) => *last = *n,
            _ => runs.push((*n, *n)),
        }
    }
    let text = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    text.collect::<Vec<_>>().join(", ")
}

/// An element's place in its tensor: `[3, 17]`.
pub(super) fn place(tensor: &TensorDifference, index: usize) -> String {
    let place: Vec<String> = tensor.place(index).iter().map(ToString::to_string).collect();
    format!("[{}]", place.join(", "))
}

/// A weight's value: plain while that is short.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        a if a != 0.0 && !(1e-4..1e5).contains(&a) => format!("{value:.3e}"),
        _ => format!("{value:.4}"),
    }
}

/// `12345` as `12,345`.
pub(super) fn count(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(u64::MAX).to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(list(&[1, 2, 3, 5]), "1-3, 5");
        assert_eq!(list(&[]), "");
        assert_eq!(count(1_234_567_u64), "1,234,567");
        assert_eq!(count(999_u64), "999");
        assert_eq!(number(0.25), "0.2500");
        assert_eq!(number(-1.5e37), "-1.500e37");
        assert_eq!(number(0.0), "0.0000");
    }
}
