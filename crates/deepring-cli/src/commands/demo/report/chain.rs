//! The certificate: the decision, its chain of receipts, and where the ledger has it.

use std::time::Duration;

use deepring::Receipt;

use super::drawing::class_of;
use super::markup::esc;
use crate::commands::demo::show::{HOSTS, Show, list};
use crate::output::date;

pub(super) fn certificate(show: &Show) -> String {
    let c = &show.certificate;
    let d = &c.decision;
    let opening = d.chain.opening();
    let mut steps = step(
        "g",
        "Genesis opens the query",
        &format!(
            "commits to the {} inputs, signed by {}",
            d.items.len(),
            host(show, &opening.host.short())
        ),
        &format!("query {}", opening.query),
    );
    for receipt in d.chain.receipts() {
        steps += &receipt_step(show, receipt);
    }
    steps += &step(
        "g",
        "Genesis closes the decision",
        "the last output has come back; the whole chain is signed",
        &format!("decision {}", d.id),
    );
    steps += &step(
        "l",
        &format!("Ledger entry {}", c.entry),
        &format!(
            "one of {}; the inclusion proof was verified with the ledger's public key",
            c.entries.len()
        ),
        &format!("root {}", deepring::Digest(c.root)),
    );
    let ledger = match c.ledger_findings.as_slice() {
        [] => "<b class=\"good\">intact</b>".to_owned(),
        found => format!("<b class=\"bad\">{}</b>", esc(&found.join("; "))),
    };
    let entries: String = c.entries.iter().map(|e| format!("<li>{}</li>\n", esc(e))).collect();
    format!(
        "<section>\n<h2>The certificate</h2>\n<p>After the last repair all {} images were asked once more. The receipt was read \
         back from its file and verified against the ring: model version {}, {}, parameters checked: <b>{}</b>.</p>\n\
         <ol class=\"chain\">\n{steps}</ol>\n<div class=\"split even\">\n<div>\n<h3>Checkpoint of the ledger</h3>\n\
         <pre>{}</pre>\n<p class=\"fine\">Recomputed from its entries: {ledger}.</p>\n</div>\n<div>\n<h3>What the ledger holds</h3>\n\
         <details><summary>{} entries: registration, decisions, alarms, repairs</summary>\n\
         <ol class=\"entries\" start=\"0\">\n{entries}</ol>\n</details>\n</div>\n</div>\n</section>\n",
        d.items.len(),
        d.model_version,
        date(Duration::from_millis(d.opened_at)),
        esc(&d.check.to_string()),
        esc(c.checkpoint.trim_end()),
        c.entries.len(),
    )
}

fn receipt_step(show: &Show, receipt: &Receipt) -> String {
    let indices: Vec<u32> = (receipt.first_block..receipt.end_block()).collect();
    let by = show.hosts.iter().position(|h| *h == receipt.host.short());
    step(
        class_of(by.or(Some(0))),
        &format!("Blocks {}", list(&indices)),
        &format!(
            "computed and signed by {}; check {}; digests of {} blocks inside",
            host(show, &receipt.host.short()),
            receipt.check,
            receipt.blocks.len()
        ),
        &format!("outputs {}", receipt.outputs),
    )
}

fn host(show: &Show, short: &str) -> String {
    let name = show.hosts.iter().position(|h| h == short).and_then(|h| HOSTS.get(h));
    format!("{} ({short})", name.copied().unwrap_or("another host"))
}

fn step(class: &str, title: &str, what: &str, digest: &str) -> String {
    format!(
        "<li class=\"{class}\"><b>{}</b><span>{}</span><code>{}</code></li>\n",
        esc(title),
        esc(what),
        esc(digest)
    )
}
