//! The demo in words, on stdout, while it happens.

use std::path::Path;

use deepring::Finding;

use super::answers::Answers;
use super::attacks::RHO;
use super::certificate::Certificate;
use super::compare::Comparison;
use super::data::Sample;
use super::memory::Memory;
use super::plain::PlainOutcome;
use super::setting::{BACKUP, MODEL, Setting};
use super::show::{HOSTS, Played, count, list, number};
use super::stored::Stored;
use crate::error::CliError;
use crate::output::{size, text as line};

mod ending;

pub(super) use ending::end;

pub(super) fn begin(out: &Path) -> Result<(), CliError> {
    line(format_args!("DeepRing demo, in {}\n", out.display()))
}

pub(super) fn sealed(setting: &Setting) -> Result<(), CliError> {
    let layers = setting.ring.layers();
    line("1  Seal")?;
    line(format_args!(
        "   {MODEL}: {} parameters, sealed into a ring of {} blocks and Genesis",
        count(setting.sealed.parameter_bytes / 4),
        layers.len(),
    ))?;
    line(format_args!(
        "   ring {}, version {}",
        setting.ring.ring_id(),
        setting.ring.model_version()
    ))?;
    for header in layers {
        let host = setting.host_of(header.index).and_then(|h| HOSTS.get(h)).unwrap_or(&"");
        line(format_args!(
            "   block {}  {:<14} {:>9}  {host}",
            header.index,
            header.name,
            size(header.parameter_bytes()),
        ))?;
    }
    line("   verified: every byte is as the owner signed it\n")
}

pub(super) fn compared(c: &Comparison, sample: &Sample) -> Result<(), CliError> {
    let images = sample.len();
    line(format_args!(
        "2  Ask: {images} test images, plain and as a ring, every parameter checked before each use"
    ))?;
    line("                     accuracy   ms an image: in a batch    alone")?;
    for (name, answers, time) in
        [("plain network", &c.plain, c.plain_time), ("ring, --check run", &c.ring, c.ring_time)]
    {
        line(format_args!(
            "   {name:<17}  {}{:>25.3}{:>9.3}",
            percent(answers, sample),
            time.batch,
            time.alone
        ))?;
    }
    line(format_args!(
        "   same answer for {} of {images} images; scores differ by {:.1e} at most",
        c.ring.agreeing(&c.plain),
        c.ring.max_difference(&c.plain),
    ))?;
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    line(format_args!(
        "   the ring's time in a batch: engine {:.3}, checks {:.3}, receipts and the hop from host to host {:.3}\n",
        ms(c.split.engine),
        ms(c.split.check),
        ms(c.split.receipt)
    ))
}

pub(super) fn attacks_begin(obstacle: Option<&str>) -> Result<(), CliError> {
    line(
        "3  Attack: the same edits on the plain network, on the ring's file and on the ring in memory",
    )?;
    line(
        "   The plain network under attack is the ring exported again (`deepring export`): BatchNormalization",
    )?;
    line("   is folded in both, so that the tensors are the same, bit for bit.")?;
    line(format_args!(
        "   Noise has a strength of {RHO} standard deviations of the tensor it is added to."
    ))?;
    if let Some(reason) = obstacle {
        line(format_args!(
            "   Live memory cannot be written here, so that part is skipped ({reason})."
        ))?;
    }
    line("")
}

pub(super) fn played(p: &Played, c: &Comparison, sample: &Sample) -> Result<(), CliError> {
    line(format_args!("   {}", p.attack.title.to_uppercase()))?;
    line(format_args!("   {}", p.attack.what))?;
    let first = p.attack.edits.iter().find_map(|e| Some((e, e.changes().next()?)));
    if let Some((edit, change)) = first {
        line(format_args!(
            "   {} of {} values change; the first: {} {}, {} -> {}",
            count(p.attack.changed()),
            count(p.attack.edits.iter().map(|e| e.before.len()).sum::<usize>()),
            edit.tensor,
            edit.place(change.element),
            number(change.before),
            number(change.after)
        ))?;
    }
    plain(&p.plain, c, sample)?;
    stored(&p.stored, c)?;
    match &p.memory {
        Some(m) => memory(m, c, sample)?,
        None => line("     ring, memory   skipped")?,
    }
    line("")
}

fn plain(outcome: &PlainOutcome, c: &Comparison, sample: &Sample) -> Result<(), CliError> {
    match outcome {
        PlainOutcome::Answered(answers) => {
            let same = answers.right(&sample.truth) >= c.exported.right(&sample.truth);
            let remark = if same { "no loss on these images; " } else { "" };
            line(format_args!(
                "     plain network  {} -> {}; {remark}no error, nothing notices",
                percent(&c.exported, sample).trim(),
                percent(answers, sample).trim(),
            ))
        }
        PlainOutcome::Objected(e) => line(format_args!("     plain network  noticed: {e}")),
    }
}

fn stored(s: &Stored, c: &Comparison) -> Result<(), CliError> {
    findings("     ring, file     verify refuses: ", &s.verify)?;
    findings("                    a run refuses: ", &s.run)?;
    line(format_args!(
        "                    repaired {} from {BACKUP} ({}); {}",
        blocks(&s.repaired),
        size(s.bytes),
        restored(&s.answers, c),
    ))
}

fn memory(m: &Memory, c: &Comparison, sample: &Sample) -> Result<(), CliError> {
    line(format_args!(
        "     ring, memory   --check none: {}, nothing notices (the certificate says: check {})",
        percent(&m.unchecked, sample).trim(),
        m.certified.name()
    ))?;
    findings("                    --check run refuses: ", &m.findings)?;
    line(format_args!(
        "                    {} opened anew from the file; {}",
        blocks(&m.reloaded),
        restored(&m.answers, c)
    ))
}

/// The first finding, and how many more there are.
fn findings(head: &str, findings: &[Finding]) -> Result<(), CliError> {
    match findings {
        [] => line(format_args!("{head}NO")),
        [first] => line(format_args!("{head}{}", short(first))),
        [first, rest @ ..] => {
            line(format_args!("{head}{} (and {} more)", short(first), rest.len()))
        }
    }
}

/// A finding without its reason.
pub(super) fn short(finding: &Finding) -> String {
    let mut text = match (finding.block, &finding.name) {
        (Some(block), Some(name)) => format!("block {block} ({name})"),
        (Some(block), None) => format!("block {block}"),
        (None, _) => finding.part.name().to_owned(),
    };
    if let Some(tensor) = &finding.tensor {
        text += &format!(", tensor {tensor}");
    }
    if let Some([start, end]) = finding.bytes {
        text += &format!(", bytes {start}..{end}");
    }
    text
}

fn restored(answers: &Answers, c: &Comparison) -> String {
    match answers.equal(&c.ring) {
        true => "every answer is as before, bit for bit".to_owned(),
        false => format!("{} answers are as before", answers.agreeing(&c.ring)),
    }
}

fn blocks(indices: &[u32]) -> String {
    format!("block{} {}", if indices.len() == 1 { "" } else { "s" }, list(indices))
}

pub(super) fn certified(c: &Certificate) -> Result<(), CliError> {
    let d = &c.decision;
    line(
        "4  Certificate of the last answers, read back from its file and verified against the ring",
    )?;
    line(format_args!("   decision {}", d.id))?;
    line(format_args!(
        "   about {} images, model version {}, parameters checked: {}",
        d.items.len(),
        d.model_version,
        d.check
    ))?;
    for receipt in d.chain.receipts() {
        let indices: Vec<u32> = (receipt.first_block..receipt.end_block()).collect();
        line(format_args!("   {} signed by host {}", blocks(&indices), receipt.host.short()))?;
    }
    line(format_args!(
        "   on the ledger as entry {} (of 0 to {}); inclusion proof verified with the ledger's public key",
        c.entry,
        c.entries.len().saturating_sub(1)
    ))?;
    match c.ledger_findings.as_slice() {
        [] => line("   ledger recomputed from its entries: intact\n"),
        found => line(format_args!("   LEDGER DAMAGED: {}\n", found.join("; "))),
    }
}

/// `93.25 %`, right-aligned.
pub(super) fn percent(answers: &Answers, sample: &Sample) -> String {
    format!("{:>6.2} %", answers.accuracy(&sample.truth))
}
