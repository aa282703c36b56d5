//! Accuracy against flipped bits: a line for each attack, with a band of one deviation.

use svg::Document;
use svg::node::element::{Circle, Line, Polygon, Polyline, Rectangle};

use super::canvas::{canvas, round, text, width_of};
use crate::defence::Summary;

const LEFT: f64 = 44.0;
const TOP: f64 = 12.0;
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 240.0;

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
            svg = svg.add(text(place.0 + 16.0, place.1, "", &series.name));
            debug_assert!(width_of(&series.name) < 220.0);
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
