//! The ring, drawn: Genesis and the blocks, links between neighbours, hosts coloured, hit blocks marked.

use std::f64::consts::TAU;

use super::markup::esc;
use crate::commands::demo::show::{Block, HOSTS, Show};

/// Measures of a drawing, in its own units.
struct Size {
    width: f64,
    height: f64,
    radius: f64,
    node: f64,
}

const LARGE: Size = Size { width: 560.0, height: 400.0, radius: 130.0, node: 27.0 };
const SMALL: Size = Size { width: 180.0, height: 180.0, radius: 68.0, node: 16.0 };

/// The style class of a host's blocks; of Genesis, for `None`.
pub(super) fn class_of(host: Option<usize>) -> &'static str {
    match host {
        Some(0) => "a",
        Some(_) => "b",
        None => "g",
    }
}

/// The intact ring with names.
pub(super) fn large(show: &Show) -> String {
    let id = show.ring.ring_id().to_string();
    let centre = [
        ("strong", format!("ring {}…", id.get(..8).unwrap_or_default())),
        ("", format!("model version {}", show.ring.model_version())),
        ("", "closed by its owner".to_owned()),
    ];
    draw(&LARGE, &show.blocks, &[], &centre, "The ring with its blocks and hosts")
}

/// A small ring with the hit blocks marked.
pub(super) fn small(blocks: &[Block], hit: &[u32]) -> String {
    let centre = match hit.len() {
        0 => [("", "intact".to_owned())],
        1 => [("red", "1 block".to_owned())],
        n => [("red", format!("{n} blocks"))],
    };
    draw(&SMALL, blocks, hit, &centre, "The ring with the hit blocks marked")
}

fn draw(
    size: &Size,
    blocks: &[Block],
    hit: &[u32],
    centre: &[(&str, String)],
    label: &str,
) -> String {
    let mut out = format!(
        "<svg class=\"ring\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
        size.width,
        size.height,
        esc(label)
    );
    let around = blocks.iter().zip(blocks.iter().cycle().skip(1)).enumerate();
    for (i, (block, next)) in around {
        out += &link(size, i, blocks.len(), block, next, hit);
    }
    for (i, block) in blocks.iter().enumerate() {
        out += &node(size, i, blocks.len(), block, hit.contains(&block.index));
    }
    let (x, y) = (size.width / 2.0, size.height / 2.0);
    for (line, (class, text)) in centre.iter().enumerate() {
        let dy = (line as f64 - (centre.len() as f64 - 1.0) / 2.0) * 20.0;
        out += &format!(
            "<text class=\"mid {class}\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>\n",
            y + dy,
            esc(text)
        );
    }
    out + "</svg>\n"
}

/// Where the circle is after so many steps of `count`, beginning at the top, clockwise.
fn point(size: &Size, step: f64, count: usize, radius: f64) -> (f64, f64) {
    let angle = TAU * (step / count.max(1) as f64 - 0.25);
    (size.width / 2.0 + radius * angle.cos(), size.height / 2.0 + radius * angle.sin())
}

/// The link from one block to the next: an arc, with an arrow in the query's direction, or with a lock where
/// the host changes.
fn link(size: &Size, i: usize, count: usize, block: &Block, next: &Block, hit: &[u32]) -> String {
    // Arcs begin and end where the circles of the nodes do.
    let gap = (size.node + 3.0) / size.radius * count as f64 / TAU;
    let (x0, y0) = point(size, i as f64 + gap, count, size.radius);
    let (x1, y1) = point(size, (i + 1) as f64 - gap, count, size.radius);
    let broken = hit.contains(&block.index) || hit.contains(&next.index);
    let hop = block.host.is_some() && next.host.is_some() && block.host != next.host;
    let class = if broken { "link broken" } else { "link" };
    let mut out = format!(
        "<path class=\"{class}\" d=\"M{x0:.1} {y0:.1}A{r} {r} 0 0 1 {x1:.1} {y1:.1}\"/>\n",
        r = size.radius
    );
    let (x, y) = point(size, i as f64 + 0.5, count, size.radius);
    let s = size.node / 27.0;
    if hop {
        out += &format!(
            "<g class=\"lock\" transform=\"translate({x:.1} {y:.1}) scale({s:.2})\"><circle r=\"15\"/>\
             <path d=\"M-4 -1v-3a4 4 0 0 1 8 0v3\"/><rect x=\"-6\" y=\"-1\" width=\"12\" height=\"9\" rx=\"2\"/></g>\n"
        );
    } else {
        let turn = 360.0 * (i as f64 + 0.5) / count.max(1) as f64;
        out += &format!(
            "<path class=\"arrow\" transform=\"translate({x:.1} {y:.1}) rotate({turn:.1}) scale({s:.2})\" d=\"M-5 -7L4 0L-5 7\"/>\n"
        );
    }
    out
}

fn node(size: &Size, i: usize, count: usize, block: &Block, hit: bool) -> String {
    let (x, y) = point(size, i as f64, count, size.radius);
    let class = if hit { "hit" } else { class_of(block.host) };
    let mut out = String::new();
    if hit {
        out += &format!(
            "<circle class=\"halo\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\"/>\n",
            size.node + 4.0
        );
    }
    let text = if block.index == 0 { "G".to_owned() } else { block.index.to_string() };
    out += &format!(
        "<circle class=\"node {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\"/>\n\
         <text class=\"index\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n",
        size.node
    );
    if size.node < LARGE.node {
        return out;
    }
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
    let host = block.host.and_then(|h| HOSTS.get(h)).copied().unwrap_or("begins and ends");
    out += &format!(
        "<text class=\"name\" text-anchor=\"{anchor}\" x=\"{name_x:.1}\" y=\"{:.1}\">{}</text>\n\
         <text class=\"sub\" text-anchor=\"{anchor}\" x=\"{name_x:.1}\" y=\"{:.1}\">{host}</text>\n",
        name_y - 7.0,
        esc(&block.name),
        name_y + 8.0,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::super::markup::assert_well_formed;
    use super::*;

    fn blocks(count: u32) -> Vec<Block> {
        (0..count)
            .map(|index| Block {
                index,
                name: format!("<b{index}>"),
                host: index.checked_sub(1).map(|i| usize::from(i > 1)),
                parameter_bytes: 4,
                body_digest: String::new(),
            })
            .collect()
    }

    #[test]
    fn a_drawing_is_well_formed_whatever_the_names() {
        for count in [2, 6, 40] {
            let svg = draw(&LARGE, &blocks(count), &[1], &[("", "<&>".to_owned())], "\"x\"");
            assert_well_formed(&svg);
            assert!(svg.contains("&lt;b1&gt;") && !svg.contains("NaN"));
        }
    }

    #[test]
    fn each_hit_block_and_its_two_links_are_marked() {
        let svg = small(&blocks(6), &[3]);
        assert_well_formed(&svg);
        assert_eq!(svg.matches("node hit").count(), 1);
        assert_eq!(svg.matches("link broken").count(), 2);
        // Only where one host hands over to another.
        assert_eq!(svg.matches("class=\"lock\"").count(), 1);
    }
}
