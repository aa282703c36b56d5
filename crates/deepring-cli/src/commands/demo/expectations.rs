//! What the demo claims, held against what happened; only if all of it held does the command succeed.

use std::collections::BTreeSet;

use deepring::Finding;

use super::show::{Played, Show};
use crate::error::{CliError, Exit};

pub(super) fn check(show: &Show) -> Result<(), CliError> {
    let missed = missed(show);
    if missed.is_empty() {
        return Ok(());
    }
    let list: String = missed.iter().map(|m| format!("\n  {m}")).collect();
    Err(CliError::new(Exit::Failed, format!("the demo did not go as it should:{list}"))
        .hint("this is a defect of DeepRing; please report it with the text above"))
}

fn missed(show: &Show) -> Vec<String> {
    let images = show.sample.len();
    let c = &show.comparison;
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
    for played in &show.played {
        let title = &played.attack.title;
        let mut of = |holds: bool, what: &str| expect(holds, format!("{title}: {what}"));
        let touched = touched(played);
        let took_effect =
            played.plain.answers().is_none_or(|answers| answers.classes() != c.plain.classes());
        let s = &played.stored;
        of(named(&s.verify) == touched, "`verify` does not name just the edited tensors");
        of(
            !s.run.is_empty() && named(&s.run).is_subset(&touched),
            "the run on the edited file is not refused",
        );
        of(
            s.repaired == played.attack.blocks(),
            "the repair did not restore just the edited blocks",
        );
        of(s.answers.equal(&c.ring), "answers after the repair are not those before");
        let Some(m) = &played.memory else { continue };
        of(
            !took_effect || m.unchecked.classes() != c.ring.classes(),
            "the edit in memory had no effect without checks",
        );
        let blocks = |f: &[Finding]| f.iter().filter_map(|f| f.block).collect::<BTreeSet<_>>();
        of(
            blocks(&m.findings) == played.attack.blocks().into_iter().collect()
                && named(&m.findings).is_subset(&touched),
            "the edit in memory is not refused in the edited blocks",
        );
        of(m.answers.equal(&c.ring), "answers after reloading are not those before");
    }
    expect(show.certificate.is_complete(), "the decision's certificate is not complete".into());
    expect(
        show.certificate.answers.equal(&c.ring),
        "the certified answers are not those before the attacks".into(),
    );
    missed
}

type Places = BTreeSet<(Option<u32>, Option<String>)>;

fn touched(played: &Played) -> Places {
    let edits = played.attack.edits.iter().filter(|e| e.changes().next().is_some());
    edits.map(|e| (Some(e.block), Some(e.tensor.clone()))).collect()
}

fn named(findings: &[Finding]) -> Places {
    findings.iter().map(|f| (f.block, f.tensor.clone())).collect()
}
