//! Plots: accuracy before and after each attack, and where the time goes. They stretch with the page;
//! their text does not.

use super::markup::esc;
use crate::commands::demo::show::Show;

/// Height of a bar and of a bar with its gap.
const BAR: usize = 14;
const STEP: usize = 19;

/// A horizontal bar: class, length in percent, and what stands after it.
struct Bar {
    class: &'static str,
    share: f64,
    text: String,
}

/// Bars in titled groups, over an axis in percent, with a line at `mark`.
pub(super) fn accuracies(show: &Show) -> String {
    let c = &show.comparison;
    let of =
        |answers: &crate::commands::demo::answers::Answers| answers.accuracy(&show.sample.truth);
    let bar = |class, share: f64| Bar { class, share, text: format!("{share:.2} %") };
    let groups: Vec<(String, Vec<Bar>)> = show
        .played
        .iter()
        .map(|p| {
            let mut bars = Vec::new();
            match p.plain.answers() {
                Some(answers) => bars.push(bar("bad", of(answers))),
                None => bars.push(Bar { class: "bad", share: 0.0, text: "no answer".to_owned() }),
            }
            if let Some(m) = &p.memory {
                bars.push(bar("warn", of(&m.unchecked)));
            }
            let repaired = p.memory.as_ref().map_or(&p.stored.answers, |m| &m.answers);
            bars.push(bar("good", of(repaired)));
            (p.attack.title.to_owned(), bars)
        })
        .collect();
    grouped(&groups, of(&c.exported))
}

fn grouped(groups: &[(String, Vec<Bar>)], mark: f64) -> String {
    let group_height = |bars: usize| 24 + bars * STEP + 12;
    let plot_height: usize = groups.iter().map(|(_, bars)| group_height(bars.len())).sum();
    let height = plot_height + 24;
    let mut out = format!(
        "<svg class=\"plot\" width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"Accuracy before and after each attack\">\n\
         <svg x=\"6\" width=\"80%\" height=\"{height}\" overflow=\"visible\">\n"
    );
    for tick in [0, 25, 50, 75, 100] {
        out += &format!(
            "<line class=\"grid\" x1=\"{tick}%\" x2=\"{tick}%\" y1=\"0\" y2=\"{plot_height}\"/>\n\
             <text class=\"tick\" x=\"{tick}%\" y=\"{}\">{tick} %</text>\n",
            plot_height + 18
        );
    }
    let mut y = 0;
    for (title, bars) in groups {
        out += &format!("<text class=\"title\" x=\"0\" y=\"{}\">{}</text>\n", y + 15, esc(title));
        for (i, bar) in bars.iter().enumerate() {
            out += &one(bar, y + 24 + i * STEP, mark);
        }
        y += group_height(bars.len());
    }
    out += &format!(
        "<line class=\"mark\" x1=\"{mark:.2}%\" x2=\"{mark:.2}%\" y1=\"0\" y2=\"{plot_height}\"/>\n"
    );
    out + "</svg>\n</svg>\n"
        + &format!(
            "<p class=\"key\"><span><i class=\"dash\"></i>before: {mark:.2} %</span> <span><i class=\"dot bad\"></i>plain network, attacked</span> \
             <span><i class=\"dot warn\"></i>ring in memory, attacked, check none</span> \
             <span><i class=\"dot good\"></i>ring, refused and repaired</span></p>\n"
        )
}

/// A bar; its text stands after the line at `mark` where it would be crossed by it.
fn one(bar: &Bar, y: usize, mark: f64) -> String {
    let share = bar.share.clamp(0.0, 100.0);
    let text_at = if share > mark - 22.0 { share.max(mark) } else { share };
    format!(
        "<rect class=\"bar {}\" x=\"0\" y=\"{y}\" width=\"{:.2}%\" height=\"{BAR}\" rx=\"2\"/>\n\
         <text class=\"value\" x=\"{text_at:.2}%\" dx=\"7\" y=\"{}\">{}</text>\n",
        bar.class,
        share.max(0.4),
        y + BAR - 3,
        esc(&bar.text)
    )
}

/// Two bars of milliseconds; the second in its parts: engine, checks, receipts.
pub(super) fn times(plain: f64, ring: f64, [engine, check, receipt]: [f64; 3]) -> String {
    let longest = plain.max(ring).max(engine + check + receipt).max(f64::MIN_POSITIVE);
    let share = |ms: f64| 100.0 * ms / longest;
    let mut out = "<svg class=\"plot\" width=\"100%\" height=\"112\" role=\"img\" aria-label=\"Time of an image, plain and ring\">\n\
                   <svg x=\"1\" width=\"82%\" height=\"112\" overflow=\"visible\">\n"
        .to_owned();
    let mut bar = |class: &str, from: f64, ms: f64, y: usize| {
        out += &format!(
            "<rect class=\"bar {class}\" x=\"{:.2}%\" y=\"{y}\" width=\"{:.2}%\" height=\"18\"/>\n",
            share(from),
            share(ms)
        );
    };
    bar("plain", 0.0, plain, 20);
    bar("a", 0.0, engine, 76);
    bar("warn", engine, check, 76);
    bar("b", engine + check, receipt, 76);
    for (name, ms, y) in [("plain network", plain, 20), ("ring", ring, 76)] {
        out += &format!(
            "<text class=\"title\" x=\"0\" y=\"{}\">{name}</text>\n\
             <text class=\"value\" x=\"{:.2}%\" dx=\"7\" y=\"{}\">{ms:.3}</text>\n",
            y - 6,
            share(ms),
            y + 14
        );
    }
    out + "</svg>\n</svg>\n"
        + &format!(
            "<p class=\"key\"><span><i class=\"dot a\"></i>engine {engine:.3}</span> <span><i class=\"dot warn\"></i>checks {check:.3}</span> \
             <span><i class=\"dot b\"></i>receipts, digests and the sealed hop {receipt:.3}</span></p>\n"
        )
}

#[cfg(test)]
mod tests {
    use super::super::markup::assert_well_formed;
    use super::*;

    #[test]
    fn plots_are_well_formed() {
        let bar = |share| Bar { class: "bad", share, text: "<1> & 2".to_owned() };
        let svg = grouped(&[("a <b>".to_owned(), vec![bar(-1.0), bar(f64::NAN)])], 93.0);
        assert_well_formed(&svg);
        assert!(svg.contains("&lt;1&gt;"));
        assert_well_formed(&times(0.0, 0.0, [0.0; 3]));
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert!(
            one(&Bar { class: "", share: 10.25, text: String::new() }, 0, 93.0)
                .contains("width=\"10.25%\"")
        );
    }
}
