//! A ring, drawn: its blocks around a circle, links between neighbours, hosts coloured, hit blocks marked.

use std::f64::consts::TAU;

use svg::node::element::{Circle, Group, Path, Rectangle, SVG, Text};

use super::canvas::{drawing, label, round};

/// Measures of a drawing, in its own units.
struct Size {
    width: f64,
    height: f64,
    radius: f64,
    node: f64,
}

const LARGE: Size = Size { width: 560.0, height: 400.0, radius: 130.0, node: 27.0 };
const SMALL: Size = Size { width: 180.0, height: 180.0, radius: 68.0, node: 16.0 };

/// A block of a drawn ring.
#[derive(Debug, Clone)]
pub struct RingNode {
    /// Its number; Genesis is 0.
    pub index: u32,
    /// Its name, and what stands under it. A small drawing has neither.
    pub names: Option<[String; 2]>,
    /// Which host has it, 0 or 1; `None` for Genesis.
    pub host: Option<usize>,
    /// True if it was tampered with.
    pub hit: bool,
}

/// A ring to be drawn: in large if its blocks have names.
#[derive(Debug, Clone)]
pub struct RingDrawing<'a> {
    /// The blocks in their order, Genesis first.
    pub nodes: &'a [RingNode],
    /// Lines in its middle, each with its style class.
    pub centre: &'a [(&'a str, String)],
    /// A description for those who cannot see it.
    pub description: &'a str,
}

impl RingDrawing<'_> {
    /// The drawing.
    #[must_use]
    pub fn draw(&self) -> String {
        let named = self.nodes.iter().any(|n| n.names.is_some());
        let size = if named { &LARGE } else { &SMALL };
        let mut svg = drawing("ring", self.description)
            .set("viewBox", format!("0 0 {} {}", size.width, size.height));
        let count = self.nodes.len();
        let neighbours = self.nodes.iter().zip(self.nodes.iter().cycle().skip(1));
        for (i, (node, next)) in neighbours.enumerate() {
            svg = link(svg, size, (i, count), node, next);
        }
        for (i, node) in self.nodes.iter().enumerate() {
            svg = circle(svg, size, (i, count), node);
        }
        let (x, y) = (size.width / 2.0, size.height / 2.0);
        for (line, (class, content)) in self.centre.iter().enumerate() {
            let dy = (line as f64 - (self.centre.len() as f64 - 1.0) / 2.0) * 20.0;
            svg = svg.add(placed(label(&format!("mid {class}"), content), x, y + dy));
        }
        svg.to_string() + "\n"
    }
}

/// Where the circle is after so many steps of `count`, beginning at the top, clockwise.
fn point(size: &Size, step: f64, count: usize, radius: f64) -> (f64, f64) {
    let angle = TAU * (step / count.max(1) as f64 - 0.25);
    (size.width / 2.0 + radius * angle.cos(), size.height / 2.0 + radius * angle.sin())
}

fn placed(text: Text, x: f64, y: f64) -> Text {
    text.set("x", round(x)).set("y", round(y))
}

/// The link from one block to the next: an arc, with an arrow in the query's direction, or with a lock where
/// the host changes.
fn link(
    svg: SVG,
    size: &Size,
    (i, count): (usize, usize),
    node: &RingNode,
    next: &RingNode,
) -> SVG {
    // Arcs begin and end where the circles of the nodes do.
    let gap = (size.node + 3.0) / size.radius * count as f64 / TAU;
    let (x0, y0) = point(size, i as f64 + gap, count, size.radius);
    let (x1, y1) = point(size, (i + 1) as f64 - gap, count, size.radius);
    let class = if node.hit || next.hit { "link broken" } else { "link" };
    let r = size.radius;
    let arc = format!("M{x0:.1} {y0:.1}A{r} {r} 0 0 1 {x1:.1} {y1:.1}");
    let svg = svg.add(Path::new().set("class", class).set("d", arc));
    let (x, y) = point(size, i as f64 + 0.5, count, size.radius);
    let scale = size.node / LARGE.node;
    if node.host.is_some() && next.host.is_some() && node.host != next.host {
        let body = Rectangle::new().set("x", -6).set("y", -1).set("width", 12).set("height", 9);
        let lock = Group::new()
            .set("class", "lock")
            .set("transform", format!("translate({x:.1} {y:.1}) scale({scale:.2})"))
            .add(Circle::new().set("r", 15))
            .add(Path::new().set("d", "M-4 -1v-3a4 4 0 0 1 8 0v3"))
            .add(body.set("rx", 2));
        return svg.add(lock);
    }
    let turn = 360.0 * (i as f64 + 0.5) / count.max(1) as f64;
    let place = format!("translate({x:.1} {y:.1}) rotate({turn:.1}) scale({scale:.2})");
    let arrow = Path::new().set("class", "arrow").set("transform", place);
    svg.add(arrow.set("d", "M-5 -7L4 0L-5 7"))
}

fn circle(mut svg: SVG, size: &Size, (i, count): (usize, usize), node: &RingNode) -> SVG {
    let (x, y) = point(size, i as f64, count, size.radius);
    let around = |class: &str, radius: f64| {
        let circle = Circle::new().set("class", class).set("r", round(radius));
        circle.set("cx", round(x)).set("cy", round(y))
    };
    if node.hit {
        svg = svg.add(around("halo", size.node + 4.0));
    }
    let class = match (node.hit, node.host) {
        (true, _) => "node hit",
        (false, Some(0)) => "node a",
        (false, Some(_)) => "node b",
        (false, None) => "node g",
    };
    let number = if node.index == 0 { "G".to_owned() } else { node.index.to_string() };
    svg = svg.add(around(class, size.node)).add(placed(label("index", &number), x, y));
    let Some([name, under]) = &node.names else { return svg };
    // Names stand outside the circle, and read away from it.
    let (name_x, mut name_y) = point(size, i as f64, count, size.radius + size.node + 10.0);
    let anchor = match name_x - size.width / 2.0 {
        d if d > 20.0 => "start",
        d if d < -20.0 => "end",
        _ => "middle",
    };
    if anchor == "middle" {
        name_y += if name_y < size.height / 2.0 { -10.0 } else { 10.0 };
    }
    let line = |class, content: &str, y| {
        placed(label(class, content), name_x, y).set("text-anchor", anchor)
    };
    svg.add(line("name", name, name_y - 7.0)).add(line("sub", under, name_y + 8.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::is_well_formed;

    fn nodes(count: u32, hit: u32, named: bool) -> Vec<RingNode> {
        let node = |index| RingNode {
            index,
            names: named.then(|| [format!("<b{index}>"), "<&>".to_owned()]),
            host: u32::checked_sub(index, 1).map(|i| usize::from(i > 1)),
            hit: index == hit,
        };
        (0..count).map(node).collect()
    }

    #[test]
    fn a_drawing_is_well_formed_whatever_the_names() {
        for count in [2, 6, 40] {
            let (nodes, centre) = (nodes(count, 1, true), [("", "<&>".to_owned())]);
            let ring = RingDrawing { nodes: &nodes, centre: &centre, description: "\"x\"" };
            let svg = ring.draw();
            assert!(is_well_formed(&svg), "{svg}");
            assert!(svg.contains("&lt;b1&gt;") && !svg.contains("NaN"));
        }
    }

    #[test]
    fn each_hit_block_and_its_two_links_are_marked() {
        let nodes = nodes(6, 3, false);
        let svg = RingDrawing { nodes: &nodes, centre: &[], description: "" }.draw();
        assert!(is_well_formed(&svg));
        assert_eq!(svg.matches("node hit").count(), 1);
        assert_eq!(svg.matches("link broken").count(), 2);
        // Only where one host hands over to another.
        assert_eq!(svg.matches("class=\"lock\"").count(), 1);
    }

    #[test]
    fn blocks_stand_clockwise_from_the_top_and_are_numbered() {
        let nodes = nodes(4, 9, false);
        let svg = RingDrawing { nodes: &nodes, centre: &[], description: "" }.draw();
        let texts: Vec<&str> = svg.split("<text").skip(1).collect();
        // A square of 180 with a ring of 68 in its middle.
        let due = [("G", "90", "22"), ("1", "158", "90"), ("2", "90", "158"), ("3", "22", "90")];
        assert_eq!(texts.len(), due.len());
        for (text, (number, x, y)) in texts.iter().zip(due) {
            let placed =
                text.contains(&format!("x=\"{x}\"")) && text.contains(&format!("y=\"{y}\""));
            assert!(placed && text.contains(&format!("\n{number}\n")), "{text}");
        }
        let kinds = ["node g", "node a", "node b", "node hit"];
        assert_eq!(kinds.map(|k| svg.matches(k).count()), [1, 2, 1, 0]);
    }

    #[test]
    fn names_read_away_from_the_ring_and_lines_stand_in_its_middle() {
        let nodes = nodes(4, 9, true);
        let centre = [("big", "one".to_owned()), ("", "two".to_owned())];
        let svg = RingDrawing { nodes: &nodes, centre: &centre, description: "" }.draw();
        let anchors: Vec<&str> = ["start", "end", "middle"].into();
        let count = |a: &&str| svg.matches(&format!("text-anchor=\"{a}\"")).count();
        // Two lines a block: right and left of the ring, and two blocks above and below it.
        assert_eq!(anchors.iter().map(count).collect::<Vec<_>>(), [2, 2, 4]);
        for (content, y) in [("one", "190"), ("two", "210")] {
            let text = svg.split("<text").find(|t| t.contains(content)).unwrap();
            assert!(text.contains(&format!("y=\"{y}\"")) && text.contains("x=\"280\""), "{text}");
        }
    }
}
