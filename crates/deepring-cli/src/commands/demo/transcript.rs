//! The demo in words, on stdout, while it happens.

use std::path::Path;

use deepring::Finding;
use deepring_attack::Predictions;

use super::attacks::RHO;
use super::certificate::DemoCertificate;
use super::comparison::Comparison;
use super::fixture::{BACKUP, Fixture, MODEL, RING};
use super::outcome::{DemoReport, HOSTS, count, list, number, place};
use super::runs::{AttackRun, Memory, PlainOutcome, StoredRun};
use crate::error::CliError;
use crate::output::{note, size, text as line};

pub(super) fn begin(out: &Path) -> Result<(), CliError> {
    line(format_args!("DeepRing demo, in {}\n", out.display()))
}

pub(super) fn sealed(fixture: &Fixture) -> Result<(), CliError> {
    let layers = fixture.ring.layers();
    line("1  Seal")?;
    line(format_args!(
        "   {MODEL}: {} parameters, sealed into a ring of {} blocks and Genesis",
        count(fixture.sealed.parameter_bytes / 4),
        layers.len(),
    ))?;
    line(format_args!(
        "   ring {}, version {}",
        fixture.ring.ring_id(),
        fixture.ring.model_version()
    ))?;
    for header in layers {
        let host = fixture.host_of(header.index).and_then(|h| HOSTS.get(h)).unwrap_or(&"");
        line(format_args!(
            "   block {}  {:<14} {:>9}  {host}",
            header.index,
            header.name,
            size(header.parameter_bytes()),
        ))?;
    }
    line("   verified: every byte is as the owner signed it\n")
}

pub(super) fn compared(c: &Comparison) -> Result<(), CliError> {
    let images = c.plain.labels().len();
    line(format_args!(
        "2  Ask: {images} test images, plain and as a ring, every parameter checked before each use"
    ))?;
    line("                     accuracy   ms an image: in a batch    alone")?;
    for (name, answers, time) in
        [("plain network", &c.plain, c.plain_time), ("ring, --check run", &c.ring, c.ring_time)]
    {
        line(format_args!(
            "   {name:<17}  {}{:>25.3}{:>9.3}",
            percent(answers),
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
        ms(c.timings.engine),
        ms(c.timings.check),
        ms(c.timings.receipt)
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

pub(super) fn attacked(run: &AttackRun, c: &Comparison) -> Result<(), CliError> {
    let tampering = &run.tampering;
    line(format_args!("   {}", tampering.title.to_uppercase()))?;
    line(format_args!("   {}", tampering.what))?;
    let changed = &tampering.differences.tensors;
    if let Some((tensor, first)) = changed.iter().find_map(|t| Some((t, t.elements.first()?))) {
        line(format_args!(
            "   {} of {} values change; the first: {} {}, {} -> {}",
            count(tampering.differences.values()),
            count(tampering.values()),
            tensor.tensor,
            place(tensor, first.index),
            number(first.before.value()),
            number(first.after.value())
        ))?;
    }
    plain(&run.plain, c)?;
    stored(&run.stored, c)?;
    match &run.memory {
        Some(m) => memory(m, c)?,
        None => line("     ring, memory   skipped")?,
    }
    line("")
}

fn plain(outcome: &PlainOutcome, c: &Comparison) -> Result<(), CliError> {
    match outcome {
        PlainOutcome::Answered(answers) => {
            let same = answers.right() >= c.exported.right();
            let remark = if same { "no loss on these images; " } else { "" };
            line(format_args!(
                "     plain network  {} -> {}; {remark}no error, nothing notices",
                percent(&c.exported).trim(),
                percent(answers).trim(),
            ))
        }
        PlainOutcome::Objected(e) => line(format_args!("     plain network  noticed: {e}")),
    }
}

fn stored(s: &StoredRun, c: &Comparison) -> Result<(), CliError> {
    findings("     ring, file     verify refuses: ", &s.verify)?;
    findings("                    a run refuses: ", &s.run)?;
    line(format_args!(
        "                    repaired {} from {BACKUP} ({}); {}",
        blocks(&s.repaired),
        size(s.bytes),
        restored(&s.answers, c),
    ))
}

fn memory(m: &Memory, c: &Comparison) -> Result<(), CliError> {
    line(format_args!(
        "     ring, memory   --check none: {}, nothing notices (the certificate says: check {})",
        percent(&m.unchecked).trim(),
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
fn short(finding: &Finding) -> String {
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

fn restored(answers: &Predictions, c: &Comparison) -> String {
    match answers.is_identical(&c.ring) {
        true => "every answer is as before, bit for bit".to_owned(),
        false => format!("{} answers are as before", answers.agreeing(&c.ring)),
    }
}

fn blocks(indices: &[u32]) -> String {
    format!("block{} {}", if indices.len() == 1 { "" } else { "s" }, list(indices))
}

pub(super) fn certified(c: &DemoCertificate) -> Result<(), CliError> {
    let d = &c.decision;
    line(
        "4  Certificate of the last answers, read back from its file and verified against the ring",
    )?;
    line(format_args!("   decision {}", d.id()))?;
    line(format_args!(
        "   about {} images, model version {}, parameters checked: {}",
        d.items().len(),
        d.model_version(),
        d.check()
    ))?;
    for receipt in d.chain().receipts() {
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
fn percent(answers: &Predictions) -> String {
    format!("{:>6.2} %", 100.0 * answers.accuracy())
}

/// The table at the end, the files that are left, and what to try with them.
pub(super) fn end(report: &DemoReport) -> Result<(), CliError> {
    table(report)?;
    files(report)?;
    line(format_args!("took {:.1} s", report.took.as_secs_f64()))?;
    // Kept out of the data: a remark about where to look first.
    note(format_args!("open {} in a browser", report.folder.path("report.html").display()));
    Ok(())
}

fn table(report: &DemoReport) -> Result<(), CliError> {
    line("5  In one table (block and first tensor that the refusal named)")?;
    let head = ["attack", "plain network", "noticed", "ring, file", "ring, memory", "repaired"];
    let rows: Vec<[String; 6]> = report.runs.iter().map(|run| row(report, run)).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
        cells.chain(head.get(column).map(|h| h.len())).max().unwrap_or(0)
    };
    let print = |cells: [&str; 6]| {
        let padded = cells.iter().enumerate().map(|(i, c)| format!("{c:<w$}", w = width(i)));
        line(format_args!("   {}", padded.collect::<Vec<_>>().join("  ").trim_end()))
    };
    print(head)?;
    for row in &rows {
        print(row.each_ref().map(String::as_str))?;
    }
    line("")
}

fn row(report: &DemoReport, run: &AttackRun) -> [String; 6] {
    let (plain, noticed) = match &run.plain {
        PlainOutcome::Answered(answers) => {
            let before = 100.0 * report.comparison.exported.accuracy();
            (format!("{before:.2} -> {}", percent(answers).trim()), "no".to_owned())
        }
        PlainOutcome::Objected(_) => ("no answer".to_owned(), "yes".to_owned()),
    };
    [
        run.tampering.title.to_owned(),
        plain,
        noticed,
        refusal(&run.stored.verify),
        run.memory.as_ref().map_or("skipped".to_owned(), |m| refusal(&m.findings)),
        percent(run.restored()).trim().to_owned(),
    ]
}

/// `refused: 5 logits.weight`, or the blocks where there are several.
fn refusal(findings: &[Finding]) -> String {
    let mut blocks: Vec<u32> = findings.iter().filter_map(|f| f.block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    match (findings, blocks.as_slice()) {
        ([], _) => "NOT REFUSED".to_owned(),
        ([first, ..], []) => format!("refused: {}", short(first)),
        ([first, ..], blocks) => {
            format!("refused: {} {}", list(blocks), first.tensor.as_deref().unwrap_or_default())
        }
    }
}

fn files(report: &DemoReport) -> Result<(), CliError> {
    let path = |name: &str| quoted(&report.folder.path(name).display().to_string());
    let command = quoted(&std::env::args().next().unwrap_or_else(|| "deepring".to_owned()));
    let (ring, owner) = (path(RING), path("keys/owner/owner.pub"));
    line("6  Left behind, to try it yourself")?;
    line(format_args!("   {}  the report", path("report.html")))?;
    line(format_args!("   {ring}  the ring; {} is its intact copy", path(BACKUP)))?;
    line(format_args!("   {}  a ring with the first attack in it", path("tampered.ring")))?;
    line(format_args!("   {}  the attacked plain networks", path("attacked-*.onnx")))?;
    line("")?;
    line(format_args!(
        "   export DEEPRING_TRUST={}   # keeps your own trust store out of it",
        path("trust.json")
    ))?;
    let tries = [
        format!("verify {} --owner {owner}", path("tampered.ring")),
        format!("repair {} --from {} --owner {owner}", path("tampered.ring"), path(BACKUP)),
        format!(
            "run {ring} --owner {owner} --key {} --key {} --input {}",
            path("keys/host-a/host.key"),
            path("keys/host-b/host.key"),
            path("first.npy")
        ),
        format!(
            "receipt verify {} --ring {ring} --owner {owner} --ledger {}",
            path("decision.receipt"),
            path("ledger")
        ),
        format!("ledger show --ledger {}", path("ledger")),
    ];
    for arguments in tries {
        line(format_args!("   {command} {arguments}"))?;
    }
    line("")
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/._-*:+,@".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_quoted_text_back() {
        assert_eq!(quoted("target/release/deepring"), "target/release/deepring");
        assert_eq!(quoted("my demo"), "'my demo'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
