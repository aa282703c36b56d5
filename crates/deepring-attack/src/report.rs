//! Reports: pages of one HTML file without scripts, which load nothing and are fit for print, and the drawings in them.
//!
//! Text that comes from files is escaped here, by whoever writes it: [`escape`] in markup, the `svg` crate in drawings.

mod bars;
mod canvas;
mod heat;
mod lines;
mod markup;
mod ring;

pub use bars::{Bar, BarGroup, grouped_bars, share_bars, stacked_bars};
pub use canvas::standalone;
pub use heat::Heat;
pub use lines::{Lines, Series};
pub use markup::{escape, is_well_formed, table, tiles};
pub use ring::{RingDrawing, RingNode};

/// Style of every page. The drawings that can stand alone bring their own.
const STYLE: &str = include_str!("report/style.css");

/// A page, whose parts are markup already.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// Title of the window, as text.
    pub title: &'a str,
    /// The sections.
    pub body: &'a str,
    /// The last line.
    pub footer: &'a str,
    /// True if it has wide tables, and is wider for them.
    pub wide: bool,
}

impl Page<'_> {
    /// The file.
    #[must_use]
    pub fn html(&self) -> String {
        let Self { title, body, footer, wide } = self;
        let class = if *wide { " class=\"wide\"" } else { "" };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body{class}>\n<main>\n{body}</main>\n\
             <footer>{footer}</footer>\n</body>\n</html>\n",
            escape(title),
            canvas::STYLE,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_whole_and_its_title_is_text() {
        let page = Page { title: "<t> & t", body: "<p>b</p>\n", footer: "f", wide: false };
        let html = page.html();
        assert!(is_well_formed(&html) && html.contains("<title>&lt;t&gt; &amp; t</title>"));
        assert!(html.contains("<main>\n<p>b</p>\n</main>\n<footer>f</footer>"));
        assert!(html.contains("<body>") && !html.contains("class=\"wide\""));
        let wide = Page { wide: true, ..page }.html();
        assert!(wide.contains("<body class=\"wide\">"));
    }
}
