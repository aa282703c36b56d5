//! One card an attack: what was changed, what refused it, how it was repaired.

use deepring::Finding;

use super::drawing;
use super::markup::esc;
use crate::commands::demo::memory::Memory;
use crate::commands::demo::plain::PlainOutcome;
use crate::commands::demo::setting::BACKUP;
use crate::commands::demo::show::{Played, Show, count, list, number};
use crate::commands::demo::stored::Stored;
use crate::output::size;

/// Changed values that a card shows.
const SHOWN: usize = 3;
/// Findings that a card shows without being asked.
const FINDINGS: usize = 2;

pub(super) fn cards(show: &Show) -> String {
    let cards: String = show.played.iter().map(|p| card(show, p)).collect();
    format!(
        "<section>\n<h2>Attack by attack</h2>\n<p>The attacker of the ring's file has no key: bits are flipped in the \
         ciphertext where the tensor lies, which would make just this edit if nothing were authenticated. The attacker of \
         memory writes to the running process.</p>\n<div class=\"cards\">\n{cards}</div>\n</section>\n"
    )
}

fn card(show: &Show, p: &Played) -> String {
    let before = show.comparison.exported.accuracy(&show.sample.truth);
    let plain = match &p.plain {
        PlainOutcome::Answered(answers) => {
            let after = answers.accuracy(&show.sample.truth);
            let word = if after < before {
                "No error, no warning."
            } else {
                "No loss on these images; no error."
            };
            format!("<b class=\"bad\">{before:.2} % → {after:.2} %</b> {word}")
        }
        PlainOutcome::Objected(e) => format!("Noticed: {}", esc(e)),
    };
    let memory = match &p.memory {
        Some(m) => in_memory(show, m),
        None => "<dt>Ring, in memory</dt><dd>Skipped on this system.</dd>\n".to_owned(),
    };
    format!(
        "<article class=\"card\">\n<h3>{}</h3>\n<p>{}</p>\n<div class=\"split card-top\">\n<figure>{}</figure>\n<div>\n{}</div>\n</div>\n\
         <dl>\n<dt>Plain network</dt><dd>{plain}</dd>\n{}{memory}</dl>\n</article>\n",
        esc(&capital(p.attack.title)),
        esc(&(capital(&p.attack.what) + ".")),
        drawing::small(&show.blocks, &p.attack.blocks()),
        changes(p),
        in_file(show, &p.stored),
    )
}

/// The first values that an attack changed, before and after.
fn changes(p: &Played) -> String {
    let mut rows = String::new();
    // Of several tensors one value each, of one tensor the first few.
    let each = if p.attack.edits.len() > 1 { 1 } else { SHOWN };
    let first = p.attack.edits.iter().flat_map(|e| e.changes().take(each).map(move |c| (e, c)));
    for (edit, change) in first.take(SHOWN) {
        rows += &format!(
            "<tr><td>{} <span class=\"fine\">{}</span></td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>\n",
            esc(&edit.tensor),
            esc(&edit.place(change.element)),
            number(change.before),
            number(change.after)
        );
    }
    let tensors = p.attack.edits.len();
    format!(
        "<table class=\"small\"><thead><tr><th>weight</th><th class=\"num\">before</th><th class=\"num\">after</th></tr></thead>\n\
         <tbody>\n{rows}</tbody></table>\n<p class=\"fine\">{} {} changed in {} of block{} {}.</p>\n",
        count(p.attack.changed()),
        if p.attack.changed() == 1 { "value" } else { "values" },
        if tensors == 1 { "one tensor".to_owned() } else { format!("{tensors} tensors") },
        if p.attack.blocks().len() == 1 { "" } else { "s" },
        list(&p.attack.blocks()),
    )
}

fn in_file(show: &Show, s: &Stored) -> String {
    let run = match s.run.is_empty() {
        true => "<b class=\"bad\">A run answered.</b>",
        false => "A run is refused too, before anything is decided.",
    };
    format!(
        "<dt>Ring, in the file</dt><dd>{} {run}{}<p class=\"repair\">Block{} {} repaired from <code>{}</code>, {}; {}</p></dd>\n",
        refused("<code>verify</code>", &s.verify),
        findings(&s.verify),
        if s.repaired.len() == 1 { "" } else { "s" },
        list(&s.repaired),
        esc(BACKUP),
        size(s.bytes),
        right_again(
            s.answers.equal(&show.comparison.ring),
            s.answers.accuracy(&show.sample.truth),
            s.repair
        ),
    )
}

fn in_memory(show: &Show, m: &Memory) -> String {
    format!(
        "<dt>Ring, in memory</dt><dd>{}{}<p class=\"repair\">Block{} {} opened anew from the file; {}</p>\
         <p class=\"fine\">With <code>--check none</code> the edit takes effect: {:.2} %, and nothing notices; its certificate says \
         “check {}”.</p></dd>\n",
        refused("the next query", &m.findings),
        findings(&m.findings),
        if m.reloaded.len() == 1 { "" } else { "s" },
        list(&m.reloaded),
        right_again(
            m.answers.equal(&show.comparison.ring),
            m.answers.accuracy(&show.sample.truth),
            m.repair
        ),
        m.unchecked.accuracy(&show.sample.truth),
        esc(m.certified.name()),
    )
}

fn refused(who: &str, findings: &[Finding]) -> String {
    match findings.is_empty() {
        true => format!("<b class=\"bad\">Not refused by {who}.</b>"),
        false => format!("<b class=\"good\">Refused</b> by {who}."),
    }
}

fn right_again(equal: bool, accuracy: f64, entry: u64) -> String {
    match equal {
        true => format!(
            "every answer is as before, bit for bit: <b class=\"good\">{accuracy:.2} %</b> (ledger entry {entry})."
        ),
        false => {
            format!("<b class=\"bad\">answers differ: {accuracy:.2} %</b> (ledger entry {entry}).")
        }
    }
}

/// The findings, all but the first ones folded away.
fn findings(findings: &[Finding]) -> String {
    let list = |findings: &[Finding]| -> String {
        findings.iter().map(|f| format!("<li>{}</li>\n", esc(&f.to_string()))).collect()
    };
    let (first, rest) = findings.split_at(findings.len().min(FINDINGS));
    let mut out = format!("<ul class=\"findings\">\n{}</ul>\n", list(first));
    if !rest.is_empty() {
        out += &format!(
            "<details><summary>{} more</summary><ul class=\"findings\">\n{}</ul></details>\n",
            rest.len(),
            list(rest)
        );
    }
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::markup::assert_well_formed;
    use super::*;
    use deepring::PartName;

    #[test]
    fn findings_are_escaped_and_folded() {
        let finding = Finding::tampered(PartName::Body, "<script>").in_block(1, Some("a&b"));
        let markup = findings(&[finding.clone(), finding.clone(), finding]);
        assert_well_formed(&markup);
        assert!(markup.contains("&lt;script&gt;") && markup.contains("a&amp;b"));
        assert!(markup.contains("1 more"));
    }
}
