//! Accuracy against flipped bits: a line for each attack, with a band of one deviation.

use svg::Document;
use svg::node::element::{Circle, Line, Polygon, Polyline, Rectangle};

use super::canvas::{canvas, round, short, text};
use crate::defence::Summary;

const LEFT: f64 = 44.0;
const TOP: f64 = 12.0;
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 240.0;
/// Most characters of a name in the legend, which has two beside each other.
const NAME: usize = 28;

/// An attack's accuracy in per cent after so many flips.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name of the attack.
    pub name: String,
    /// Flips, and accuracy after them.
    pub points: Vec<(f64, Summary)>,
}

/// Lines over one axis.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The lines, at most eight of which can be told apart by colour.
    pub series: Vec<Series>,
    /// Accuracy before any flip, in per cent.
    pub clean: f64,
}

impl Lines {
    /// `None` if there is nothing to draw.
    #[must_use]
    pub fn draw(&self) -> Option<String> {
        let counts = self.series.iter().flat_map(|s| s.points.iter().map(|(n, _)| *n));
        let most = counts.clone().fold(0.0, f64::max);
        if most <= 0.0 {
            return None;
        }
        // So that one flip and a hundred are both seen.
        let x = |n: f64| LEFT + WIDTH * n.ln_1p() / most.ln_1p();
        let y = |v: f64| TOP + HEIGHT * (1.0 - v.clamp(0.0, 100.0) / 100.0);
        let legend = 20.0 * self.series.len().div_ceil(2) as f64;
        let height = TOP + HEIGHT + 56.0 + legend;
        let mut svg: Document =
            canvas(LEFT + WIDTH + 16.0, height, "Accuracy against flipped bits");
        for tick in [0.0, 25.0, 50.0, 75.0, 100.0] {
            svg = svg.add(line(LEFT, y(tick), LEFT + WIDTH, y(tick), "grid")).add(text(
                LEFT - 7.0,
                y(tick) + 4.0,
                "soft end",
                &format!("{tick}"),
            ));
        }
        let mut free = f64::NEG_INFINITY;
        for tick in [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0, 10_000.0, 100_000.0] {
            if tick <= most && x(tick) > free {
                let at = text(x(tick), TOP + HEIGHT + 17.0, "soft mid", &format!("{tick}"));
                svg = svg.add(at);
                free = x(tick) + 22.0;
            }
        }
        svg = svg
            .add(text(
                LEFT + WIDTH / 2.0,
                TOP + HEIGHT + 36.0,
                "soft mid",
                "flipped bits (logarithmic from 1)",
            ))
            .add(line(LEFT, y(self.clean), LEFT + WIDTH, y(self.clean), "clean"))
            .add(text(
                LEFT + WIDTH - 4.0,
                y(self.clean) - 5.0,
                "soft end",
                &format!("clean {:.1} %", self.clean),
            ));
        for (at, series) in self.series.iter().enumerate() {
            svg = self.one(svg, at, series, (&x, &y));
            let (column, row) = (at % 2, at / 2);
            let place = (LEFT + 220.0 * column as f64, TOP + HEIGHT + 60.0 + 20.0 * row as f64);
            svg = mark(svg, at, place.0 + 5.0, place.1 - 4.0);
            svg = svg.add(text(place.0 + 16.0, place.1, "", &short(&series.name, NAME)));
        }
        Some(svg.to_string())
    }

    fn one(
        &self,
        mut svg: Document,
        at: usize,
        series: &Series,
        (x, y): (&dyn Fn(f64) -> f64, &dyn Fn(f64) -> f64),
    ) -> Document {
        let start = (0.0, Summary { mean: self.clean, sd: 0.0, n: 1 });
        let points: Vec<(f64, Summary)> =
            std::iter::once(start).chain(series.points.iter().copied()).collect();
        let pairs = |of: &dyn Fn(&Summary) -> f64| -> Vec<String> {
            points.iter().map(|(n, s)| format!("{},{}", round(x(*n)), round(y(of(s))))).collect()
        };
        let mut band = pairs(&|s| s.mean + s.sd);
        band.extend(pairs(&|s| s.mean - s.sd).into_iter().rev());
        svg = svg
            .add(
                Polygon::new()
                    .set("class", format!("band s{}", at % 8))
                    .set("points", band.join(" ")),
            )
            .add(
                Polyline::new()
                    .set("class", format!("curve s{}", at % 8))
                    .set("points", pairs(&|s| s.mean).join(" ")),
            );
        for (n, summary) in &series.points {
            svg = mark(svg, at, x(*n), y(summary.mean));
        }
        svg
    }
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, class: &str) -> Line {
    Line::new()
        .set("x1", round(x1))
        .set("y1", round(y1))
        .set("x2", round(x2))
        .set("y2", round(y2))
        .set("class", class)
}

/// A mark of the line's own shape.
fn mark(svg: Document, at: usize, x: f64, y: f64) -> Document {
    let class = format!("mark s{}", at % 8);
    let shape = |points: &[(f64, f64)]| {
        let points: Vec<String> =
            points.iter().map(|(dx, dy)| format!("{},{}", round(x + dx), round(y + dy))).collect();
        Polygon::new().set("class", class.clone()).set("points", points.join(" "))
    };
    match at % 4 {
        0 => svg.add(
            Circle::new().set("cx", round(x)).set("cy", round(y)).set("r", 4.5).set("class", class),
        ),
        1 => {
            let square = Rectangle::new().set("x", round(x - 4.0)).set("y", round(y - 4.0));
            svg.add(square.set("width", 8).set("height", 8).set("class", class))
        }
        2 => svg.add(shape(&[(0.0, -5.5), (5.0, 4.0), (-5.0, 4.0)])),
        _ => svg.add(shape(&[(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::is_well_formed;

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|(n, mean)| (*n, Summary { mean: *mean, sd: 10.0, n: 3 }));
        Series { name: name.to_owned(), points: points.collect() }
    }

    fn points(svg: &str, element: &str) -> Vec<String> {
        let begin = format!("<{element}");
        let parts = svg.split(&begin).skip(1);
        parts
            .filter_map(|p| p.split("points=\"").nth(1))
            .map(|p| p.split('"').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_line_begins_at_the_clean_accuracy_and_has_a_band_of_one_deviation() {
        let lines = Lines { series: vec![series("a", &[(9.0, 40.0), (99.0, 5.0)])], clean: 90.0 };
        let svg = lines.draw().unwrap();
        // Flips by ln(1 + n): 9 is half way to 99, and 1 % is 2.4 pixels from the bottom at 252.
        assert_eq!(points(&svg, "polyline"), ["44,36 264,156 484,240"]);
        // No accuracy is below nothing.
        let band = "44,36 264,132 484,216 484,252 264,180 44,36";
        assert_eq!(points(&svg, "polygon"), [band]);
        assert!(svg.contains("clean 90.0 %") && is_well_formed(&svg));
    }

    #[test]
    fn marks_tell_neighbours_apart_and_ticks_stay_within_the_axis() {
        let names: Vec<String> = (0..5).map(|i| format!("attack {i}")).collect();
        let all = names.iter().map(|n| series(n, &[(3.0, 50.0)])).collect();
        let svg = Lines { series: all, clean: 90.0 }.draw().unwrap();
        // A point and the legend: circles, squares, triangles, diamonds, and circles again.
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("<rect").count(), 2);
        for (at, name) in names.iter().enumerate() {
            assert!(svg.contains(&format!("curve s{at}")) && svg.contains(name));
        }
        let tick = |n: &str| svg.contains(&format!("class=\"soft mid\" x=\"{n}"));
        assert!(tick("44") && !svg.contains(">\n5\n<") && !svg.contains(">\n10\n<"), "{svg}");
    }

    #[test]
    fn a_name_of_any_length_fits_and_is_escaped() {
        let name = "<name> & ".repeat(40);
        let svg = Lines { series: vec![series(&name, &[(1.0, 0.0)])], clean: 1.0 }.draw().unwrap();
        // Fourteen letters of its beginning, and thirteen of its end.
        let told = "&lt;name&gt; &amp; &lt;name…&gt; &amp; &lt;name&gt; &amp;";
        assert!(is_well_formed(&svg) && svg.contains(told), "{svg}");
    }

    #[test]
    fn without_a_flip_there_is_no_line() {
        assert_eq!(Lines { series: vec![], clean: 90.0 }.draw(), None);
        assert_eq!(Lines { series: vec![series("a", &[(0.0, 90.0)])], clean: 90.0 }.draw(), None);
    }
}
