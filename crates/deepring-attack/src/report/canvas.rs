//! Elements of a drawing, and how they look by day and by night.

use deepring::files::InLine;
use svg::Node as _;
use svg::node::element::{Element, SVG, Text};

/// Colours follow the reader's setting. Those of lines are Okabe and Ito's, which the colour-blind can tell apart;
/// each line has a mark of its own besides.
pub(super) const STYLE: &str = include_str!("plot.css");

/// Text that is drawn, in one line.
pub(super) fn text(x: f64, y: f64, class: &str, content: &str) -> Text {
    label(class, content).set("x", round(x)).set("y", round(y))
}

/// The same, placed by the caller.
pub(super) fn label(class: &str, content: &str) -> Text {
    Text::new(InLine(content).to_string()).set("class", class)
}

/// An empty drawing of this size in pixels, described for those who cannot see it.
pub(super) fn canvas(width: f64, height: f64, label: &str) -> SVG {
    drawing("plot", label)
        .set("viewBox", (0, 0, width.ceil() as i64, height.ceil() as i64))
        .set("width", width.ceil() as i64)
        .set("height", height.ceil() as i64)
}

/// An empty drawing of a style class, whose size is the page's matter.
pub(super) fn drawing(class: &str, label: &str) -> SVG {
    nameless(SVG::new())
        .set("class", class)
        .set("role", "img")
        .set("aria-label", InLine(label).to_string())
}

/// Inside a page there is no need of a namespace, and the page names no address.
pub(super) fn nameless(mut svg: SVG) -> SVG {
    svg.get_attributes_mut().map(|a| a.remove("xmlns"));
    svg
}

/// A drawing of this module's `plot` style as a file that stands alone.
#[must_use]
pub fn standalone(svg: &str) -> String {
    let style = format!("><style>{STYLE}</style>\n");
    let alone = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", alone.replacen('>', &style, 1))
}

pub(super) fn element(name: &str, class: &str) -> Element {
    let mut element = Element::new(name);
    element.assign("class", class);
    element
}

/// To a tenth of a pixel.
pub(super) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// About how wide a text is.
pub(super) fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * 7.2
}

/// At most so many characters; the middle of a longer name is left out.
pub(super) fn short(name: &str, most: usize) -> String {
    let count = name.chars().count();
    if count <= most {
        return name.to_owned();
    }
    let head: String = name.chars().take(most / 2).collect();
    let tail: String = name.chars().skip(count + 1 + most / 2 - most).collect();
    format!("{head}…{tail}")
}
