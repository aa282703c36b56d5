//! The page: no scripts, nothing loaded, fit for print.

use super::collect::{Collected, ToldEntry, ToldVersion};
use super::html::Html;
use crate::output;
use crate::witnesses::said;

/// Nothing is loaded or run, whatever a text in the page says.
const HEAD: &str = concat!(
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n",
    "<meta name=\"referrer\" content=\"no-referrer\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<meta name=\"color-scheme\" content=\"light dark\">\n<style>\n",
    include_str!("page.css"),
    "</style>\n<title>Ledger "
);

/// The whole file.
pub(super) fn page(of: &Collected) -> String {
    let mut html = Html::default();
    html.raw(HEAD).text(&of.origin).raw("</title>\n</head>\n<body>\n<main>\n");
    head(&mut html, of);
    versions(&mut html, &of.versions);
    html.raw("<section id=\"revocations\">\n<h2>Revocations</h2>\n");
    rows(&mut html, &of.revocations, "bad", "Nothing was revoked.");
    html.raw("</section>\n<section id=\"alarms\">\n<h2>Alarms</h2>\n");
    rows(&mut html, &of.alarms, "bad", "No alarm was recorded.");
    html.raw("</section>\n<section id=\"repairs\">\n<h2>Repairs, and quarantines that were lifted</h2>\n");
    rows(&mut html, &of.repairs, "good", "Nothing was repaired.");
    html.raw("</section>\n<section id=\"decisions\">\n<h2>Decisions</h2>\n");
    decisions(&mut html, of);
    html.raw("</section>\n");
    if !of.others.is_empty() {
        html.raw("<section id=\"others\">\n<h2>Hosts, keys and keepers</h2>\n");
        rows(&mut html, &of.others, "", "");
        html.raw("</section>\n");
    }
    checking(&mut html, of);
    html.raw("</main>\n</body>\n</html>\n");
    html.finish()
}

fn head(html: &mut Html, of: &Collected) {
    html.raw("<header>\n<p class=\"kicker\">Ledger report</p>\n<h1>")
        .text(&of.origin)
        .raw("</h1>\n");
    html.raw("<p class=\"lead\"><span class=\"badge good\">intact</span> ");
    html.text(output::count(count(of.size), "entry", "entries"));
    html.raw(" recomputed when this page was made: each is signed by its author, who had the authority to say it, and all of them are under one signed root.</p>\n");
    html.raw("<div class=\"tiles\">\n");
    let tile = |html: &mut Html,
                class: &'static str,
                number: u64,
                what: &'static str,
                to: &'static str| {
        html.raw("<a class=\"tile ")
            .raw(if number > 0 { class } else { "" })
            .raw("\" href=\"")
            .raw(to);
        html.raw("\"><b>").text(number).raw("</b><span>").raw(what).raw("</span></a>\n");
    };
    tile(html, "", of.versions.len() as u64, "versions", "#versions");
    tile(html, "", of.decisions, "decisions", "#decisions");
    tile(html, "bad", of.alarms.len() as u64, "alarms", "#alarms");
    tile(html, "good", of.repairs.len() as u64, "repairs", "#repairs");
    tile(html, "bad", of.revocations.len() as u64, "revocations", "#revocations");
    html.raw("</div>\n<dl>\n<dt>Root</dt><dd><code>").text(&of.root).raw("</code></dd>\n");
    html.raw("<dt>Key</dt><dd><code>").text(&of.key).raw("</code></dd>\n<dt>Witnesses</dt><dd>");
    match of.witnesses.cosignatures() {
        Some([]) => _ = html.raw("the policy asks for nobody"),
        Some(cosignatures) => {
            for (at, cosignature) in cosignatures.iter().enumerate() {
                html.raw(if at > 0 { "<br>" } else { "" }).text(said(cosignature));
            }
        }
        None if of.other_lines == 0 => _ = html.raw("nobody but the log signed the checkpoint"),
        None => {
            html.text(output::count(of.other_lines, "other signature", "other signatures"));
            html.raw(" on the checkpoint, not checked here: no policy was given");
        }
    }
    html.raw("</dd>\n</dl>\n</header>\n");
}

fn versions(html: &mut Html, versions: &[ToldVersion]) {
    html.raw("<section id=\"versions\">\n<h2>Versions</h2>\n");
    if versions.is_empty() {
        html.raw("<p class=\"none\">No ring was registered.</p>\n</section>\n");
        return;
    }
    for version in versions {
        html.raw("<article>\n<h3>Version ").text(version.version);
        if version.revision > 0 {
            html.raw(", revision ").text(version.revision);
        }
        match version.revoked {
            Some(entry) => {
                html.raw(" <span class=\"badge bad\">revoked by entry ").text(entry).raw("</span>")
            }
            None => html.raw(" <span class=\"badge good\">not revoked</span>"),
        };
        html.raw("</h3>\n<dl>\n<dt>Ring</dt><dd><code>").text(&version.ring);
        html.raw("</code></dd>\n<dt>Owner</dt><dd><code>").text(&version.owner);
        html.raw("</code></dd>\n<dt>Decided</dt><dd>");
        html.text(output::count(count(version.decided.queries), "query", "queries")).raw(" in ");
        html.text(output::count(count(version.decided.entries), "decision", "decisions"));
        html.raw("</dd>\n</dl>\n<ol class=\"rows\">\n");
        row(html, &version.row, "");
        html.raw("</ol>\n</article>\n");
    }
    html.raw("</section>\n");
}

fn decisions(html: &mut Html, of: &Collected) {
    if of.decisions == 0 {
        html.raw("<p class=\"none\">Nothing was decided.</p>\n");
        return;
    }
    html.raw("<p>A decision is told by its id; what was asked and answered is in its receipt, and on no ledger.</p>\n");
    for version in of.versions.iter().filter(|version| version.decided.entries > 0) {
        html.raw("<h3>Ring <code>").text(version.ring.get(..12).unwrap_or(&version.ring));
        html.raw("…</code>, version ").text(version.version).raw("</h3>\n");
        let left = version.decided.entries.saturating_sub(version.decided.newest.len() as u64);
        if left > 0 {
            html.raw("<p class=\"none\">").text(output::count(
                count(left),
                "earlier one",
                "earlier ones",
            ));
            html.raw(" left out here: <code>deepring ledger report --decisions N</code> tells more, <code>deepring ledger prove --entry INDEX</code> proves any.</p>\n");
        }
        rows(html, &version.decided.newest, "", "");
    }
}

fn rows(html: &mut Html, rows: &[ToldEntry], class: &'static str, none: &'static str) {
    if rows.is_empty() {
        html.raw("<p class=\"none\">").raw(none).raw("</p>\n");
        return;
    }
    html.raw("<ol class=\"rows\">\n");
    for entry in rows {
        row(html, entry, class);
    }
    html.raw("</ol>\n");
}

fn row(html: &mut Html, row: &ToldEntry, class: &'static str) {
    html.raw("<li id=\"e")
        .text(row.index)
        .raw("\"><a class=\"index ")
        .raw(class)
        .raw("\" href=\"#e")
        .text(row.index);
    html.raw("\">").text(row.index).raw("</a><div><p class=\"words\">").text(&row.words);
    html.raw("</p>\n<p class=\"at\">").text(&row.at).raw(" by its author's clock</p>\n");
    html.raw("<details><summary>inclusion proof</summary><pre class=\"copy\">").lines(&row.proof);
    html.raw("</pre></details></div></li>\n");
}

fn checking(html: &mut Html, of: &Collected) {
    html.raw("<section id=\"checking\">\n<h2>How to check this page</h2>\n");
    html.raw("<p>Do not believe it: whoever made the page could have written anything into it. Each proof is a <code>c2sp.org/tlog-proof@v1</code> text that carries its entry. Select one (a click selects it whole), save it, and check it offline with the log's public key, which you should have from elsewhere:</p>\n");
    html.raw("<pre class=\"copy\">deepring receipt verify x.receipt --ring model.ring --owner owner.pub \\\n    --proof x.tlog-proof --ledger-key log.pub</pre>\n");
    html.raw("<p>Any reader of C2SP proofs checks the others. Keep the checkpoint: it fixes all that is told here, and a later ledger of this key that does not extend it was rewritten (<code>deepring ledger verify --against</code>).</p>\n");
    html.raw("<pre class=\"copy\">").lines(&of.checkpoint).raw("</pre>\n");
    html.raw("<p>It does not show that an entry is true, only who said it and after what; nor when, but by the authors' clocks; nor that nothing is missing that nobody recorded.</p>\n</section>\n");
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
