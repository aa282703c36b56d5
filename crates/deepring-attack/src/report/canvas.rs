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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_loses_its_middle_and_a_short_one_nothing() {
        assert_eq!(short("0123456789", 10), "0123456789");
        assert_eq!(short("0123456789a", 10), "01234…789a");
        assert_eq!(short("0123456789", 5), "01…89");
        assert_eq!(short("ééééé", 4), "éé…é");
        for most in 1..12 {
            assert_eq!(short("0123456789ab", most).chars().count(), most);
        }
    }

    #[test]
    fn a_drawing_that_stands_alone_names_its_language_and_brings_its_style() {
        let drawn = canvas(10.2, 5.0, "<a> & \"b\"").add(text(1.0, 2.0, "c", "t"));
        let inner = drawn.to_string();
        assert!(!inner.contains("xmlns") && inner.contains("viewBox=\"0 0 11 5\""), "{inner}");
        assert!(inner.contains("aria-label=\"&lt;a&gt; &amp; &quot;b&quot;\""), "{inner}");
        let alone = standalone(&inner);
        let opened = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" ";
        assert!(alone.starts_with(opened), "{alone}");
        assert_eq!((alone.matches("<style>").count(), alone.matches("xmlns").count()), (1, 1));
        let (head, _) = alone.split_once("<style>").unwrap();
        assert!(
            head.ends_with("height=\"5\" role=\"img\" viewBox=\"0 0 11 5\" width=\"11\">"),
            "{head}"
        );
    }

    #[test]
    fn places_are_of_a_tenth_of_a_pixel() {
        assert_eq!((round(1.25), round(-0.04), round(99.96)), (1.3, -0.0, 100.0));
    }
}
