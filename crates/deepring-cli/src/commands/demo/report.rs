//! The page `report.html`: what happened, the ring, the comparison, the attacks, the certificate.

mod cards;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deepring::Digest;
use deepring::receipt::Receipt;
use deepring_attack::Predictions;
use deepring_attack::report::{
    Bar, BarGroup, Page, RingDrawing, RingNode, escape, grouped_bars, stacked_bars, table, tiles,
};

use super::attacks::RHO;
use super::comparison::{ALONE, ROUNDS, Times};
use super::fixture::MODEL;
use super::outcome::{Block, DemoReport, HOSTS, count, list};
use super::runs::{AttackRun, PlainOutcome};
use crate::output::{date, size};

pub(super) fn page(report: &DemoReport) -> String {
    let body = [
        opening(report),
        ring(report),
        comparison(report),
        attacks(report),
        cards::cards(report),
        cards::gallery(report),
        certificate(report),
    ];
    let footer = format!(
        "Written by <code>deepring demo</code>, version {}. Every number on this page was measured in that run.",
        env!("CARGO_PKG_VERSION")
    );
    let title = "DeepRing demo report";
    Page { title, body: &body.concat(), footer: &footer, wide: false }.html()
}

/// The summary, in a sentence and four numbers.
fn opening(report: &DemoReport) -> String {
    let attacks = report.runs.len();
    let unnoticed =
        report.runs.iter().filter(|p| matches!(p.plain, PlainOutcome::Answered(_))).count();
    let tries: Vec<bool> = report
        .runs
        .iter()
        .flat_map(|p| {
            let memory = p.memory.as_ref().map(|m| !m.findings.is_empty());
            [Some(!p.stored.verify.is_empty() && !p.stored.run.is_empty()), memory]
        })
        .flatten()
        .collect();
    let refused = tries.iter().filter(|t| **t).count();
    let c = &report.comparison;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!(
        "<header>\n<p class=\"kicker\">DeepRing demo · {}</p>\n\
         <h1>A network was sealed, asked and attacked</h1>\n\
         <p class=\"lead\">{} images of clothing were classified by <code>{}</code>, once as a plain file and once as a ring of \
         {} sealed blocks held by two hosts. Then its weights were edited in {attacks} ways. The plain network noticed {}. \
         The ring refused {refused} of {} edits, named the blocks, and was repaired.</p>\n\
         {}</header>\n",
        date(now),
        report.sample.len(),
        escape(MODEL),
        report.blocks.len().saturating_sub(1),
        match attacks - unnoticed {
            0 => "none of it".to_owned(),
            n => format!("{n} of them"),
        },
        tries.len(),
        tiles(&[
            (
                format!("{} of {}", c.ring.agreeing(&c.plain), report.sample.len()),
                "answers the same, plain and ring",
                ""
            ),
            (format!("{refused} of {}", tries.len()), "edits of the ring refused", "good"),
            (format!("{unnoticed} of {attacks}"), "edits of the plain network unnoticed", "bad"),
            (
                format!("{:+.2} ms", c.ring_time.batch - c.plain_time.batch),
                "for each image in the ring, all checks on",
                ""
            ),
        ]),
    )
}

fn ring(report: &DemoReport) -> String {
    let mut rows = String::new();
    for block in &report.blocks {
        let (class, host) = match block.host {
            Some(h) => (class_of(Some(h)), HOSTS.get(h).copied().unwrap_or_default()),
            None => (class_of(None), "both hosts"),
        };
        let bytes = match block.parameter_bytes {
            0 => "manifest".to_owned(),
            n => size(n),
        };
        rows += &format!(
            "<tr><td class=\"num\">{}</td><td>{}</td><td><i class=\"dot {class}\"></i>{host}</td>\
             <td class=\"num\">{bytes}</td><td class=\"wide\"><code>{}…</code></td></tr>\n",
            block.index,
            escape(&block.name),
            escape(block.body_digest.get(..8).unwrap_or_default()),
        );
    }
    let [a, b] = &report.hosts;
    format!(
        "<section>\n<h2>The ring</h2>\n<div class=\"split\">\n<figure>{}</figure>\n<div>\n\
         <p>{} parameters in {} blocks. Each block is encrypted for its host and the owner alone and names the digests of \
         both neighbours; the last one names Genesis, and the owner's signature closes the ring. From host A to host B, what \
         passes on is sealed for host B (the lock).</p>\n\
         <div class=\"scroll\"><table>\n<thead><tr><th class=\"num\">#</th><th>block</th><th>opened by</th>\
         <th class=\"num\">parameters</th><th class=\"wide\">body digest</th></tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n\
         <p class=\"fine\">Ring <code>{}</code>, version {}. Host A is <code>{}</code>, host B <code>{}</code>.</p>\n\
         </div>\n</div>\n</section>\n",
        large_drawing(report),
        count(report.parameter_bytes / 4),
        report.blocks.len().saturating_sub(1),
        report.ring.ring_id(),
        report.ring.model_version(),
        escape(a),
        escape(b),
    )
}

fn comparison(report: &DemoReport) -> String {
    let c = &report.comparison;
    let row = |name: &str, answers: &Predictions, times: Times| {
        vec![
            name.to_owned(),
            format!("{:.2} %", 100.0 * answers.accuracy()),
            format!("{:.3} ms", times.batch),
            format!("{:.3} ms", times.alone),
        ]
    };
    let rows = [
        row("plain network", &c.plain, c.plain_time),
        row("ring, every use checked", &c.ring, c.ring_time),
    ];
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let spent = [ms(c.timings.engine), ms(c.timings.check), ms(c.timings.receipt)];
    format!(
        "<section>\n<h2>The same answers, side by side</h2>\n<div class=\"split even\">\n<div>\n\
         {}\
         <p class=\"fine\">{} of {} answers are the same; no score differs by more than <span class=\"nb\">{:.1e}</span>. The ring checked every parameter \
         byte in memory before each use. Times are for one image: in a batch of all {} images with one chain of receipts (the fastest of {ROUNDS} rounds, in turn), and alone, each with a chain of its own (median of {ALONE}).</p>\n\
         </div>\n<figure>\n<figcaption>Milliseconds an image, in a batch</figcaption>\n{}</figure>\n</div>\n</section>\n",
        table(&["", "accuracy", "in a batch", "alone"], 1, &rows),
        c.ring.agreeing(&c.plain),
        report.sample.len(),
        c.ring.max_difference(&c.plain),
        report.sample.len(),
        times(c.plain_time.batch, c.ring_time.batch, spent),
    )
}

fn attacks(report: &DemoReport) -> String {
    let skipped = match &report.obstacle {
        Some(reason) => format!(
            "<p class=\"fine\">Live memory cannot be written on this system ({}), so that part was skipped.</p>\n",
            escape(reason)
        ),
        None => String::new(),
    };
    format!(
        "<section>\n<h2>What each attack does</h2>\n\
         <p>The same edit of the same tensors, three times: in the plain network's file, in the ring's file, and in the \
         ring's live memory. The plain network is the ring exported again, so that the tensors agree bit for bit. Noise has a \
         strength of {RHO} standard deviations of the tensor it is added to.</p>\n{skipped}<figure>\n\
         <figcaption>Right answers of {} images</figcaption>\n{}</figure>\n</section>\n",
        report.sample.len(),
        accuracies(report)
    )
}

/// The style class of a host's blocks; of Genesis, for `None`.
fn class_of(host: Option<usize>) -> &'static str {
    match host {
        Some(0) => "a",
        Some(_) => "b",
        None => "g",
    }
}

/// The intact ring with names.
fn large_drawing(report: &DemoReport) -> String {
    let node = |block: &Block| {
        let host = block.host.and_then(|h| HOSTS.get(h)).copied().unwrap_or("begins and ends");
        let names = Some([block.name.clone(), host.to_owned()]);
        RingNode { index: block.index, names, host: block.host, hit: false }
    };
    let nodes: Vec<RingNode> = report.blocks.iter().map(node).collect();
    let id = report.ring.ring_id().to_string();
    let centre = [
        ("strong", format!("ring {}…", id.get(..8).unwrap_or_default())),
        ("", format!("model version {}", report.ring.model_version())),
        ("", "closed by its owner".to_owned()),
    ];
    let description = "The ring with its blocks and hosts";
    RingDrawing { nodes: &nodes, centre: &centre, description }.draw()
}

/// Right answers before and after each attack.
fn accuracies(report: &DemoReport) -> String {
    let bar = |class, answers: &Predictions| {
        let percent = 100.0 * answers.accuracy();
        Bar { class, percent, text: format!("{percent:.2} %") }
    };
    let group = |run: &AttackRun| {
        let none = || Bar { class: "bad", percent: 0.0, text: "no answer".to_owned() };
        let mut bars = vec![run.plain.answers().map_or_else(none, |answers| bar("bad", answers))];
        bars.extend(run.memory.iter().map(|m| bar("warn", &m.unchecked)));
        bars.push(bar("good", run.restored()));
        BarGroup { title: run.tampering.title.to_owned(), bars }
    };
    let groups: Vec<BarGroup> = report.runs.iter().map(group).collect();
    let before = 100.0 * report.comparison.exported.accuracy();
    let svg = grouped_bars("Accuracy before and after each attack", &groups, before);
    format!(
        "{svg}<p class=\"key\"><span><i class=\"dash\"></i>before: {before:.2} %</span> <span><i class=\"dot bad\"></i>plain network, attacked</span> \
         <span><i class=\"dot warn\"></i>ring in memory, attacked, check none</span> \
         <span><i class=\"dot good\"></i>ring, refused and repaired</span></p>\n"
    )
}

/// Milliseconds of an image, plain and in the ring; the second in its parts: engine, checks, receipts.
fn times(plain: f64, ring: f64, [engine, check, receipt]: [f64; 3]) -> String {
    let parts = [("a", engine), ("warn", check), ("b", receipt)];
    let description = "Time of an image, plain and ring";
    let svg = stacked_bars(description, ("plain network", plain), ("ring", &parts), ring);
    format!(
        "{svg}<p class=\"key\"><span><i class=\"dot a\"></i>engine {engine:.3}</span> <span><i class=\"dot warn\"></i>checks {check:.3}</span> \
         <span><i class=\"dot b\"></i>receipts, digests and the sealed hop {receipt:.3}</span></p>\n"
    )
}

/// The decision, its chain of receipts, and where the ledger has it.
fn certificate(report: &DemoReport) -> String {
    let c = &report.certificate;
    let d = &c.decision;
    let opening = d.chain().opening();
    let mut steps = step(
        "g",
        "Genesis opens the query",
        &format!(
            "commits to the {} inputs, signed by {}",
            d.items().len(),
            host(report, &opening.host.short())
        ),
        &format!("query {}", opening.query),
    );
    for receipt in d.chain().receipts() {
        steps += &receipt_step(report, receipt);
    }
    steps += &step(
        "g",
        "Genesis closes the decision",
        "the last output has come back; the whole chain is signed",
        &format!("decision {}", d.id()),
    );
    steps += &step(
        "l",
        &format!("Ledger entry {}", c.entry),
        &format!(
            "one of {}; the inclusion proof was verified with the ledger's public key",
            c.entries.len()
        ),
        &format!("root {}", Digest(c.root)),
    );
    let ledger = match c.ledger_findings.as_slice() {
        [] => "<b class=\"good\">intact</b>".to_owned(),
        found => format!("<b class=\"bad\">{}</b>", escape(&found.join("; "))),
    };
    let entries: String = c.entries.iter().map(|e| format!("<li>{}</li>\n", escape(e))).collect();
    format!(
        "<section>\n<h2>The certificate</h2>\n<p>After the last repair all {} images were asked once more. The receipt was read \
         back from its file and verified against the ring: model version {}, {}, parameters checked: <b>{}</b>.</p>\n\
         <ol class=\"chain\">\n{steps}</ol>\n<div class=\"split even\">\n<div>\n<h3>Checkpoint of the ledger</h3>\n\
         <pre>{}</pre>\n<p class=\"fine\">Recomputed from its entries: {ledger}.</p>\n</div>\n<div>\n<h3>What the ledger holds</h3>\n\
         <details><summary>{} entries: registration, decisions, alarms, repairs</summary>\n\
         <ol class=\"entries\" start=\"0\">\n{entries}</ol>\n</details>\n</div>\n</div>\n</section>\n",
        d.items().len(),
        d.model_version(),
        date(Duration::from_millis(d.opened_at())),
        escape(&d.check().to_string()),
        escape(c.checkpoint.trim_end()),
        c.entries.len(),
    )
}

fn receipt_step(report: &DemoReport, receipt: &Receipt) -> String {
    let indices: Vec<u32> = (receipt.first_block..receipt.end_block()).collect();
    let by = report.hosts.iter().position(|h| *h == receipt.host.short());
    step(
        class_of(by.or(Some(0))),
        &format!("Blocks {}", list(&indices)),
        &format!(
            "computed and signed by {}; check {}; digests of {} blocks inside",
            host(report, &receipt.host.short()),
            receipt.check,
            receipt.blocks.len()
        ),
        &format!("outputs {}", receipt.outputs),
    )
}

fn host(report: &DemoReport, short: &str) -> String {
    let name = report.hosts.iter().position(|h| h == short).and_then(|h| HOSTS.get(h));
    format!("{} ({short})", name.copied().unwrap_or("another host"))
}

fn step(class: &str, title: &str, what: &str, digest: &str) -> String {
    format!(
        "<li class=\"{class}\"><b>{}</b><span>{}</span><code>{}</code></li>\n",
        escape(title),
        escape(what),
        escape(digest)
    )
}
