//! The page `report.html`: one file, no script, nothing loaded from anywhere, fit for print.

mod cards;
mod chain;
mod drawing;
mod gallery;
mod markup;
mod plot;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::attacks::RHO;
use super::compare::{ALONE, ROUNDS};
use super::plain::PlainOutcome;
use super::setting::MODEL;
use super::show::{HOSTS, Show, count};
use crate::output::{date, size};
use markup::esc;

const STYLE: &str = include_str!("report/style.css");

pub(super) fn page(show: &Show) -> String {
    let body = [
        opening(show),
        ring(show),
        comparison(show),
        attacks(show),
        cards::cards(show),
        gallery::gallery(show),
        chain::certificate(show),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>DeepRing demo report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n\
         <footer>Written by <code>deepring demo</code>, version {}. Every number on this page was measured in \
         that run.</footer>\n</body>\n</html>\n",
        body.concat(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// What happened, in a sentence and four numbers.
fn opening(show: &Show) -> String {
    let attacks = show.played.len();
    let unnoticed =
        show.played.iter().filter(|p| matches!(p.plain, PlainOutcome::Answered(_))).count();
    let tries: Vec<bool> = show
        .played
        .iter()
        .flat_map(|p| {
            let memory = p.memory.as_ref().map(|m| !m.findings.is_empty());
            [Some(!p.stored.verify.is_empty() && !p.stored.run.is_empty()), memory]
        })
        .flatten()
        .collect();
    let refused = tries.iter().filter(|t| **t).count();
    let c = &show.comparison;
    let tile = |value: String, what: &str, class: &str| {
        format!(
            "<div class=\"tile {class}\"><b>{}</b><span>{}</span></div>\n",
            esc(&value),
            esc(what)
        )
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!(
        "<header>\n<p class=\"kicker\">DeepRing demo · {}</p>\n\
         <h1>A network was sealed, asked and attacked</h1>\n\
         <p class=\"lead\">{} images of clothing were classified by <code>{}</code>, once as a plain file and once as a ring of \
         {} sealed blocks held by two hosts. Then its weights were edited in {attacks} ways. The plain network noticed {}. \
         The ring refused {refused} of {} edits, named the blocks, and was repaired.</p>\n\
         <div class=\"tiles\">\n{}{}{}{}</div>\n</header>\n",
        date(now),
        show.sample.len(),
        esc(MODEL),
        show.blocks.len().saturating_sub(1),
        match attacks - unnoticed {
            0 => "none of it".to_owned(),
            n => format!("{n} of them"),
        },
        tries.len(),
        tile(
            format!("{} of {}", c.ring.agreeing(&c.plain), show.sample.len()),
            "answers the same, plain and ring",
            ""
        ),
        tile(format!("{refused} of {}", tries.len()), "edits of the ring refused", "good"),
        tile(format!("{unnoticed} of {attacks}"), "edits of the plain network unnoticed", "bad"),
        tile(
            format!("{:+.2} ms", c.ring_time.batch - c.plain_time.batch),
            "for each image in the ring, all checks on",
            ""
        ),
    )
}

fn ring(show: &Show) -> String {
    let mut rows = String::new();
    for block in &show.blocks {
        let (class, host) = match block.host {
            Some(h) => (drawing::class_of(Some(h)), HOSTS.get(h).copied().unwrap_or_default()),
            None => (drawing::class_of(None), "both hosts"),
        };
        let bytes = match block.parameter_bytes {
            0 => "manifest".to_owned(),
            n => size(n),
        };
        rows += &format!(
            "<tr><td class=\"num\">{}</td><td>{}</td><td><i class=\"dot {class}\"></i>{host}</td>\
             <td class=\"num\">{bytes}</td><td class=\"wide\"><code>{}…</code></td></tr>\n",
            block.index,
            esc(&block.name),
            esc(block.body_digest.get(..8).unwrap_or_default()),
        );
    }
    let [a, b] = &show.hosts;
    format!(
        "<section>\n<h2>The ring</h2>\n<div class=\"split\">\n<figure>{}</figure>\n<div>\n\
         <p>{} parameters in {} blocks. Each block is encrypted for its host and the owner alone and names the digests of \
         both neighbours; the last one names Genesis, and the owner's signature closes the ring. From host A to host B, what \
         passes on is sealed for host B (the lock).</p>\n\
         <div class=\"scroll\"><table>\n<thead><tr><th class=\"num\">#</th><th>block</th><th>opened by</th>\
         <th class=\"num\">parameters</th><th class=\"wide\">body digest</th></tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n\
         <p class=\"fine\">Ring <code>{}</code>, version {}. Host A is <code>{}</code>, host B <code>{}</code>.</p>\n\
         </div>\n</div>\n</section>\n",
        drawing::large(show),
        count(show.parameter_bytes / 4),
        show.blocks.len().saturating_sub(1),
        show.ring.ring_id(),
        show.ring.model_version(),
        esc(a),
        esc(b),
    )
}

fn comparison(show: &Show) -> String {
    let c = &show.comparison;
    let row = |name: &str, answers: &super::answers::Answers, times: super::compare::Times| {
        format!(
            "<tr><td>{name}</td><td class=\"num\">{:.2} %</td><td class=\"num\">{:.3} ms</td>\
             <td class=\"num\">{:.3} ms</td></tr>\n",
            answers.accuracy(&show.sample.truth),
            times.batch,
            times.alone
        )
    };
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let spent = [ms(c.split.engine), ms(c.split.check), ms(c.split.receipt)];
    format!(
        "<section>\n<h2>The same answers, side by side</h2>\n<div class=\"split even\">\n<div>\n\
         <div class=\"scroll\"><table>\n<thead><tr><th></th><th class=\"num\">accuracy</th><th class=\"num\">in a batch</th>\
         <th class=\"num\">alone</th></tr></thead>\n<tbody>\n{}{}</tbody></table></div>\n\
         <p class=\"fine\">{} of {} answers are the same; no score differs by more than <span class=\"nb\">{:.1e}</span>. The ring checked every parameter \
         byte in memory before each use. Times are for one image: in a batch of all {} images with one chain of receipts (the fastest of {ROUNDS} rounds, in turn), and alone, each with a chain of its own (median of {ALONE}).</p>\n\
         </div>\n<figure>\n<figcaption>Milliseconds an image, in a batch</figcaption>\n{}</figure>\n</div>\n</section>\n",
        row("plain network", &c.plain, c.plain_time),
        row("ring, every use checked", &c.ring, c.ring_time),
        c.ring.agreeing(&c.plain),
        show.sample.len(),
        c.ring.max_difference(&c.plain),
        show.sample.len(),
        plot::times(c.plain_time.batch, c.ring_time.batch, spent),
    )
}

fn attacks(show: &Show) -> String {
    let skipped = match &show.obstacle {
        Some(reason) => format!(
            "<p class=\"fine\">Live memory cannot be written on this system ({}), so that part was skipped.</p>\n",
            esc(reason)
        ),
        None => String::new(),
    };
    format!(
        "<section>\n<h2>What each attack does</h2>\n\
         <p>The same edit of the same tensors, three times: in the plain network's file, in the ring's file, and in the \
         ring's live memory. The plain network is the ring exported again, so that the tensors agree bit for bit. Noise has a \
         strength of {RHO} standard deviations of the tensor it is added to.</p>\n{skipped}<figure>\n\
         <figcaption>Right answers of {} images</figcaption>\n{}</figure>\n</section>\n",
        show.sample.len(),
        plot::accuracies(show)
    )
}
