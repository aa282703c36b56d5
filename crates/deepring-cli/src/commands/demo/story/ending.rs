//! The table at the end, the files that are left, and what to try with them.

use super::{percent, short};
use crate::commands::demo::plain::PlainOutcome;
use crate::commands::demo::setting::{BACKUP, RING};
use crate::commands::demo::show::{Played, Show, list};
use crate::error::CliError;
use crate::output::{note, text as line};
use deepring::Finding;

pub(in crate::commands::demo) fn end(show: &Show) -> Result<(), CliError> {
    table(show)?;
    files(show)?;
    line(format_args!("took {:.1} s", show.took.as_secs_f64()))?;
    // Kept out of the data: a remark about where to look first.
    note(format_args!("open {} in a browser", show.folder.path("report.html").display()));
    Ok(())
}

fn table(show: &Show) -> Result<(), CliError> {
    line("5  In one table (block and first tensor that the refusal named)")?;
    let head = ["attack", "plain network", "noticed", "ring, file", "ring, memory", "repaired"];
    let rows: Vec<[String; 6]> = show.played.iter().map(|p| row(show, p)).collect();
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

fn row(show: &Show, p: &Played) -> [String; 6] {
    let sample = &show.sample;
    let (plain, noticed) = match &p.plain {
        PlainOutcome::Answered(answers) => {
            let before = show.comparison.exported.accuracy(&sample.truth);
            (format!("{before:.2} -> {}", percent(answers, sample).trim()), "no".to_owned())
        }
        PlainOutcome::Objected(_) => ("no answer".to_owned(), "yes".to_owned()),
    };
    [
        p.attack.title.to_owned(),
        plain,
        noticed,
        refusal(&p.stored.verify),
        p.memory.as_ref().map_or("skipped".to_owned(), |m| refusal(&m.findings)),
        percent(p.memory.as_ref().map_or(&p.stored.answers, |m| &m.answers), sample)
            .trim()
            .to_owned(),
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

fn files(show: &Show) -> Result<(), CliError> {
    let path = |name: &str| quoted(&show.folder.path(name).display().to_string());
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
