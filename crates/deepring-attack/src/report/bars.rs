//! Horizontal bars: shares beside each other, in groups, or one of parts.
//!
//! [`grouped_bars`] and [`stacked_bars`] stretch with the page, and their text does not: places are in per cent of the
//! width, heights in pixels.

use svg::node::element::{Line, Rectangle, SVG, Text};

use super::canvas::{canvas, drawing, label, nameless, round, text, width_of};

/// Width of a share of one in [`share_bars`], in pixels.
const WIDTH: f64 = 260.0;
/// Height of a bar, and of a bar with its gap, in [`grouped_bars`].
const BAR: usize = 14;
const STEP: usize = 19;

/// A bar over an axis in per cent.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Style class, that of its colour: `good`, `bad`, `warn`, `a`, `b` or `plain`.
    pub class: &'static str,
    /// Length, 0 to 100.
    pub percent: f64,
    /// The text after it.
    pub text: String,
}

/// Bars under a title.
#[derive(Debug, Clone)]
pub struct BarGroup {
    /// The title.
    pub title: String,
    /// The bars.
    pub bars: Vec<Bar>,
}

/// For each name three shares, each as hits of all, in the colours of the legend; `None` if there is no name.
#[must_use]
pub fn share_bars(
    description: &str,
    rows: &[(String, [(usize, usize); 3])],
    legend: [&str; 3],
) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let left = rows.iter().map(|(name, _)| width_of(name)).fold(60.0, f64::max) + 10.0;
    let height = 58.0 * rows.len() as f64 + 40.0;
    let mut svg = canvas(left + WIDTH + 124.0, height, description);
    let colours = ["s0", "s5", "s2"];
    for (at, (name, shares)) in rows.iter().enumerate() {
        let y = 4.0 + 58.0 * at as f64;
        svg = svg.add(text(left - 8.0, y + 26.0, "end", name));
        for (row, ((hits, all), colour)) in shares.iter().zip(colours).enumerate() {
            let share = *hits as f64 / (*all).max(1) as f64;
            let y = y + 16.0 * row as f64;
            let bar = Rectangle::new()
                .set("class", format!("bar {colour}"))
                .set("x", round(left))
                .set("y", round(y))
                .set("width", round((WIDTH * share).max(1.5)))
                .set("height", 13)
                .set("rx", 2);
            let value = match all {
                0 => "–".to_owned(),
                _ => format!("{:.0} % ({hits}/{all})", 100.0 * share),
            };
            svg = svg.add(bar).add(text(left + WIDTH * share + 7.0, y + 11.0, "soft", &value));
        }
    }
    let mut x = 6.0;
    for (name, colour) in legend.into_iter().zip(colours) {
        let y = height - 22.0;
        let dot = Rectangle::new().set("class", format!("bar {colour}"));
        svg = svg
            .add(dot.set("x", x).set("y", y).set("width", 11).set("height", 11).set("rx", 2))
            .add(text(x + 16.0, y + 10.0, "", name));
        x += width_of(name) + 34.0;
    }
    Some(svg.to_string())
}

/// Bars in titled groups over an axis from 0 to 100 %, with a dashed line at `mark`.
#[must_use]
pub fn grouped_bars(description: &str, groups: &[BarGroup], mark: f64) -> String {
    let group_height = |group: &BarGroup| 24 + group.bars.len() * STEP + 12;
    let plot_height: usize = groups.iter().map(group_height).sum();
    let mut svg = nameless(SVG::new())
        .set("x", 6)
        .set("width", "80%")
        .set("height", plot_height + 24)
        .set("overflow", "visible");
    for tick in [0, 25, 50, 75, 100] {
        let name = label("tick", &format!("{tick} %"));
        svg = svg
            .add(upright("grid", f64::from(tick), plot_height))
            .add(name.set("x", percent(f64::from(tick))).set("y", plot_height + 18));
    }
    let mut y = 0;
    for group in groups {
        svg = svg.add(label("title", &group.title).set("x", 0).set("y", y + 15));
        for (i, bar) in group.bars.iter().enumerate() {
            svg = one(svg, bar, y + 24 + i * STEP, mark);
        }
        y += group_height(group);
    }
    let svg = svg.add(upright("mark", mark, plot_height));
    stretching(description, plot_height + 24, svg)
}

/// A bar; its text stands after the line at `mark` where it would be crossed by it.
fn one(svg: SVG, bar: &Bar, y: usize, mark: f64) -> SVG {
    let share = bar.percent.clamp(0.0, 100.0);
    let text_at = if share > mark - 22.0 { share.max(mark) } else { share };
    svg.add(rectangle(bar.class, 0.0, share.max(0.4), y).set("height", BAR).set("rx", 2))
        .add(value(&bar.text, text_at, y + BAR - 3))
}

/// Two bars of one unit, the second of which is made of parts: style class and length of each.
#[must_use]
pub fn stacked_bars(
    description: &str,
    whole: (&str, f64),
    (name, parts): (&str, &[(&str, f64)]),
    total: f64,
) -> String {
    let sum: f64 = parts.iter().map(|(_, length)| length).sum();
    let longest = whole.1.max(total).max(sum).max(f64::MIN_POSITIVE);
    let share = |length: f64| 100.0 * length / longest;
    let mut svg = nameless(SVG::new())
        .set("x", 1)
        .set("width", "82%")
        .set("height", 112)
        .set("overflow", "visible")
        .add(rectangle("plain", 0.0, share(whole.1), 20).set("height", 18));
    let mut from = 0.0;
    for (class, length) in parts {
        svg = svg.add(rectangle(class, share(from), share(*length), 76).set("height", 18));
        from += length;
    }
    for (name, length, y) in [(whole.0, whole.1, 20), (name, total, 76)] {
        svg = svg.add(label("title", name).set("x", 0).set("y", y - 6)).add(value(
            &format!("{length:.3}"),
            share(length),
            y + 14,
        ));
    }
    stretching(description, 112, svg)
}

/// A drawing as wide as its place, with another one in it that leaves room for text after the bars.
fn stretching(description: &str, height: usize, inner: SVG) -> String {
    drawing("bars", description).set("width", "100%").set("height", height).add(inner).to_string()
        + "\n"
}

fn upright(class: &str, at: f64, height: usize) -> Line {
    let line = Line::new().set("class", class).set("x1", percent(at)).set("x2", percent(at));
    line.set("y1", 0).set("y2", height)
}

fn rectangle(class: &str, from: f64, length: f64, y: usize) -> Rectangle {
    let bar = Rectangle::new().set("class", format!("bar {class}"));
    bar.set("x", percent(from)).set("y", y).set("width", percent(length))
}

fn value(content: &str, at: f64, y: usize) -> Text {
    label("value", content).set("x", percent(at)).set("dx", 7).set("y", y)
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::is_well_formed;

    #[test]
    fn bars_are_well_formed_whatever_their_names_and_numbers() {
        let bar = |percent| Bar { class: "bad", percent, text: "<1> & 2".to_owned() };
        let bars = vec![bar(-1.0), bar(f64::NAN)];
        let svg = grouped_bars("x", &[BarGroup { title: "a <b>".to_owned(), bars }], 93.0);
        assert!(is_well_formed(&svg) && svg.contains("&lt;1&gt;") && svg.contains("a &lt;b&gt;"));
        let none = stacked_bars("x", ("<a>", 0.0), ("b", &[("a", 0.0), ("b", 0.0)]), 0.0);
        assert!(is_well_formed(&none) && !none.contains("NaN"));
        let rows = [("<d>".to_owned(), [(1, 2), (0, 0), (3, 3)])];
        let shares = share_bars("x", &rows, ["<l>", "m", "n"]).unwrap();
        assert!(
            is_well_formed(&shares) && shares.contains("50 % (1/2)") && !shares.contains("<d>")
        );
        assert_eq!(share_bars("x", &[], ["l", "m", "n"]), None);
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let bar = Bar { class: "", percent: 10.25, text: String::new() };
        let svg = one(SVG::new(), &bar, 0, 93.0).to_string();
        assert!(svg.contains("width=\"10.25%\""), "{svg}");
    }

    fn attribute(element: &str, name: &str) -> String {
        let at = format!(" {name}=\"");
        let rest = element.split_once(&at).unwrap_or_else(|| panic!("{name} in {element}")).1;
        rest.split_once('"').unwrap().0.to_owned()
    }

    #[test]
    fn shares_are_drawn_in_the_order_and_colours_of_the_legend() {
        let rows = [("a".to_owned(), [(1, 4), (4, 4), (0, 9)]), ("b".to_owned(), [(0, 0); 3])];
        let svg = share_bars("x", &rows, ["one", "two", "three"]).unwrap();
        let bars: Vec<[String; 3]> = svg
            .split("<rect")
            .filter(|r| r.contains("height=\"13\""))
            .map(|r| ["class", "width", "y"].map(|name| attribute(r, name)))
            .collect();
        let due = [["bar s0", "65", "4"], ["bar s5", "260", "20"], ["bar s2", "1.5", "36"]];
        assert_eq!(bars[..3], due.map(|bar| bar.map(str::to_owned)));
        assert_eq!(bars[3..].iter().map(|b| &*b[2]).collect::<Vec<_>>(), ["62", "78", "94"]);
        for text in ["25 % (1/4)", "100 % (4/4)", "0 % (0/9)"] {
            assert_eq!(svg.matches(text).count(), 1, "{text}");
        }
        // Of nothing there is no share.
        assert_eq!(svg.matches('–').count(), 3);
        let legend: Vec<&str> =
            svg.split("<rect").filter(|r| r.contains("height=\"11\"")).collect();
        for (part, (colour, name)) in
            legend.iter().zip([("s0", "one"), ("s5", "two"), ("s2", "three")])
        {
            assert!(part.contains(colour) && part.contains(name), "{part}");
        }
    }

    #[test]
    fn a_text_stands_behind_its_bar_or_behind_the_mark() {
        let at = |percent: f64| {
            let bar = Bar { class: "a", percent, text: "t".to_owned() };
            let svg = one(SVG::new(), &bar, 0, 93.0).to_string();
            let text = svg.split("<text").nth(1).unwrap().to_owned();
            let rect = svg.split("<rect").nth(1).unwrap().to_owned();
            (attribute(&rect, "width"), attribute(&text, "x"))
        };
        let told = |width: &str, x: &str| (width.to_owned(), x.to_owned());
        assert_eq!(at(50.0), told("50.00%", "50.00%"));
        assert_eq!(at(72.0), told("72.00%", "93.00%"));
        assert_eq!(at(97.0), told("97.00%", "97.00%"));
        // What is hardly anything is still seen, and more than everything is everything.
        assert_eq!(at(0.0), told("0.40%", "0.00%"));
        assert_eq!(at(250.0), told("100.00%", "100.00%"));
    }

    #[test]
    fn groups_stand_below_each_other() {
        let bar = || Bar { class: "a", percent: 10.0, text: String::new() };
        let group = |title: &str, count| BarGroup {
            title: title.to_owned(),
            bars: (0..count).map(|_| bar()).collect(),
        };
        let svg = grouped_bars("x", &[group("first", 2), group("second", 1)], 50.0);
        let tops: Vec<String> = svg.split("<rect").skip(1).map(|r| attribute(r, "y")).collect();
        // A title of 24, two bars of 19, and 12 below each group.
        assert_eq!(tops, ["24", "43", "98"]);
        let mark = svg.split("<line").find(|l| l.contains("class=\"mark\"")).unwrap();
        assert_eq!((attribute(mark, "x1"), attribute(mark, "y2")), ("50.00%".into(), "129".into()));
    }

    #[test]
    fn parts_follow_each_other_and_the_longest_bar_fills_the_width() {
        let parts = [("a", 1.0), ("b", 3.0)];
        let svg = stacked_bars("x", ("plain", 2.0), ("ring", &parts), 4.0);
        let bars: Vec<[String; 2]> =
            svg.split("<rect").skip(1).map(|r| ["x", "width"].map(|n| attribute(r, n))).collect();
        let due = [["0.00%", "50.00%"], ["0.00%", "25.00%"], ["25.00%", "75.00%"]];
        assert_eq!(bars, due.map(|bar| bar.map(str::to_owned)));
        assert!(svg.contains("2.000") && svg.contains("4.000"));
    }
}
