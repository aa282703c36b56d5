//! Attack by attack, a card each: what was changed, what refused it, how it was repaired; and what a caller sees of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deepring::Finding;
use deepring_attack::Predictions;
use deepring_attack::report::{RingDrawing, RingNode, escape};

use crate::commands::demo::fixture::BACKUP;
use crate::commands::demo::outcome::{Block, DemoReport, count, list, number, place};
use crate::commands::demo::runs::{AttackRun, Memory, PlainOutcome, StoredRun};
use crate::output::size;

/// Pixels in a row and in a column of an image.
const SIDE: usize = 28;
/// Changed values that a card shows.
const SHOWN: usize = 3;
/// Findings that a card shows without being asked.
const FINDINGS: usize = 2;

pub(super) fn cards(report: &DemoReport) -> String {
    let cards: String = report.runs.iter().map(|run| card(report, run)).collect();
    format!(
        "<section>\n<h2>Attack by attack</h2>\n<p>The attacker of the ring's file has no key: bits are flipped in the \
         ciphertext where the tensor lies, which would make just this edit if nothing were authenticated. The attacker of \
         memory writes to the running process.</p>\n<div class=\"cards\">\n{cards}</div>\n</section>\n"
    )
}

fn card(report: &DemoReport, run: &AttackRun) -> String {
    let before = 100.0 * report.comparison.exported.accuracy();
    let plain = match &run.plain {
        PlainOutcome::Answered(answers) => {
            let after = 100.0 * answers.accuracy();
            let word = if after < before {
                "No error, no warning."
            } else {
                "No loss on these images; no error."
            };
            format!("<b class=\"bad\">{before:.2} % → {after:.2} %</b> {word}")
        }
        PlainOutcome::Objected(e) => format!("Noticed: {}", escape(e)),
    };
    let memory = match &run.memory {
        Some(m) => in_memory(report, m),
        None => "<dt>Ring, in memory</dt><dd>Skipped on this system.</dd>\n".to_owned(),
    };
    format!(
        "<article class=\"card\">\n<h3>{}</h3>\n<p>{}</p>\n<div class=\"split card-top\">\n<figure>{}</figure>\n<div>\n{}</div>\n</div>\n\
         <dl>\n<dt>Plain network</dt><dd>{plain}</dd>\n{}{memory}</dl>\n</article>\n",
        escape(&capital(run.tampering.title)),
        escape(&(capital(&run.tampering.what) + ".")),
        small_drawing(&report.blocks, &run.tampering.blocks()),
        changes(run),
        in_file(report, &run.stored),
    )
}

/// The first values that an attack changed, before and after.
fn changes(run: &AttackRun) -> String {
    let tampering = &run.tampering;
    let tensors = &tampering.differences.tensors;
    let mut rows = String::new();
    // Of several tensors one value each, of one tensor the first few.
    let each = if tensors.len() > 1 { 1 } else { SHOWN };
    let first = tensors.iter().flat_map(|t| t.elements.iter().take(each).map(move |e| (t, e)));
    for (tensor, element) in first.take(SHOWN) {
        rows += &format!(
            "<tr><td>{} <span class=\"fine\">{}</span></td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>\n",
            escape(&tensor.tensor),
            escape(&place(tensor, element.index)),
            number(element.before.value()),
            number(element.after.value())
        );
    }
    let (changed, blocks) = (tampering.differences.values(), tampering.blocks());
    format!(
        "<table class=\"small\"><thead><tr><th>weight</th><th class=\"num\">before</th><th class=\"num\">after</th></tr></thead>\n\
         <tbody>\n{rows}</tbody></table>\n<p class=\"fine\">{} {} changed in {} of block{} {}.</p>\n",
        count(changed),
        if changed == 1 { "value" } else { "values" },
        match tensors.len() {
            1 => "one tensor".to_owned(),
            n => format!("{n} tensors"),
        },
        if blocks.len() == 1 { "" } else { "s" },
        list(&blocks),
    )
}

/// A small ring with the hit blocks marked.
fn small_drawing(blocks: &[Block], hit: &[u32]) -> String {
    let node = |block: &Block| {
        let hit = hit.contains(&block.index);
        RingNode { index: block.index, names: None, host: block.host, hit }
    };
    let nodes: Vec<RingNode> = blocks.iter().map(node).collect();
    let centre = match hit.len() {
        0 => ("", "intact".to_owned()),
        1 => ("red", "1 block".to_owned()),
        n => ("red", format!("{n} blocks")),
    };
    let description = "The ring with the hit blocks marked";
    RingDrawing { nodes: &nodes, centre: &[centre], description }.draw()
}

fn in_file(report: &DemoReport, s: &StoredRun) -> String {
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
        escape(BACKUP),
        size(s.bytes),
        right_again(
            s.answers.is_identical(&report.comparison.ring),
            100.0 * s.answers.accuracy(),
            s.repair
        ),
    )
}

fn in_memory(report: &DemoReport, m: &Memory) -> String {
    format!(
        "<dt>Ring, in memory</dt><dd>{}{}<p class=\"repair\">Block{} {} opened anew from the file; {}</p>\
         <p class=\"fine\">With <code>--check none</code> the edit takes effect: {:.2} %, and nothing notices; its certificate says \
         “check {}”.</p></dd>\n",
        refused("the next query", &m.findings),
        findings(&m.findings),
        if m.reloaded.len() == 1 { "" } else { "s" },
        list(&m.reloaded),
        right_again(
            m.answers.is_identical(&report.comparison.ring),
            100.0 * m.answers.accuracy(),
            m.repair
        ),
        100.0 * m.unchecked.accuracy(),
        escape(m.certified.name()),
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
        findings.iter().map(|f| format!("<li>{}</li>\n", escape(&f.to_string()))).collect()
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

/// Test images with the right answer, the attacked answers and the restored one.
pub(super) fn gallery(report: &DemoReport) -> String {
    let sample = &report.sample;
    // The first image of each class, whatever any network makes of it.
    let first = (0..sample.labels.len())
        .filter_map(|class| sample.truth().iter().position(|t| *t == class));
    let tiles: String = first.map(|image| tile(report, image)).collect();
    format!(
        "<section>\n<h2>What a caller sees</h2>\n<p>The first test image of each class, and the answers of the plain network, \
         intact and after each attack. The last line is the ring's answer after all attacks and repairs.</p>\n\
         <div class=\"gallery\">\n{tiles}</div>\n</section>\n"
    )
}

fn tile(report: &DemoReport, image: usize) -> String {
    let sample = &report.sample;
    let truth = sample.truth().get(image).copied().unwrap_or(0);
    let line = |what: &str, answers: Option<&Predictions>| {
        let class = answers.and_then(|a| a.classes_given().get(image).copied().flatten());
        let (mark, style) = if class == Some(truth) { ("✓", "good") } else { ("✗", "bad") };
        let label = class.map_or("no answer", |class| sample.label(class));
        format!(
            "<tr><td>{}</td><td class=\"{style}\">{} {mark}</td></tr>\n",
            escape(what),
            escape(label)
        )
    };
    let mut rows = line("plain", Some(&report.comparison.plain));
    for run in &report.runs {
        rows += &line(run.tampering.short, run.plain.answers());
    }
    rows += &line("ring", Some(&report.certificate.answers));
    // The samples are grey bytes divided by 255.
    let values = sample.images.values(image..image + 1);
    let pixels: Vec<u8> = values.iter().map(|v| (v * 255.0).round() as u8).collect();
    let name = sample.label(truth);
    format!(
        "<div class=\"pic\"><div class=\"pic-head\"><img alt=\"{}\" width=\"56\" height=\"56\" src=\"data:image/bmp;base64,{}\"><b>{}</b></div>\n\
         <table class=\"small\"><tbody>\n{rows}</tbody></table></div>\n",
        escape(name),
        STANDARD.encode(bitmap(&pixels)),
        escape(name),
    )
}

/// A grey picture as a Windows bitmap: header, a palette of 256 greys, the rows from the bottom up. A row of
/// 28 bytes needs no padding to a multiple of four.
fn bitmap(pixels: &[u8]) -> Vec<u8> {
    const HEAD: u32 = 14 + 40 + 4 * 256;
    let side = u32::try_from(SIDE).unwrap_or(0);
    let mut out = b"BM".to_vec();
    let numbers = |out: &mut Vec<u8>, list: &[u32]| {
        list.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    };
    // File: length, reserved, where the pixels are. Picture: header length, width, height, one plane of
    // 8 bits, no compression, its length, no resolution, 256 colours.
    numbers(
        &mut out,
        &[HEAD + side * side, 0, HEAD, 40, side, side, 1 | 8 << 16, 0, side * side, 0, 0, 256, 0],
    );
    out.extend((0..=255u8).flat_map(|grey| [grey, grey, grey, 0]));
    pixels.chunks(SIDE).rev().for_each(|row| out.extend_from_slice(row));
    out
}

#[cfg(test)]
mod tests {
    use deepring::Section;
    use deepring_attack::report::is_well_formed;

    use super::*;

    #[test]
    fn findings_are_escaped_and_folded() {
        let finding = Finding::tampered(Section::Body, "<script>").in_block(1, Some("a&b"));
        let markup = findings(&[finding.clone(), finding.clone(), finding]);
        assert!(is_well_formed(&markup), "{markup}");
        assert!(markup.contains("&lt;script&gt;") && markup.contains("a&amp;b"));
        assert!(markup.contains("1 more"));
    }

    #[test]
    fn a_bitmap_says_its_own_length() {
        let pixels: Vec<u8> = (0..SIDE * SIDE).map(|i| (i % 256) as u8).collect();
        let bmp = bitmap(&pixels);
        assert_eq!(bmp[2..6], u32::try_from(bmp.len()).unwrap().to_le_bytes());
        assert_eq!(bmp.len(), 14 + 40 + 1024 + SIDE * SIDE);
        // The last row in the file is the first of the picture.
        assert_eq!(bmp[bmp.len() - SIDE..], pixels[..SIDE]);
    }
}
