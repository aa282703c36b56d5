//! Markup into which text from elsewhere gets escaped, and in no other way.

use std::fmt::Display;

use deepring::files::{InLine, InMarkup};

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup. It is the program's own: no text that was read while it runs has this lifetime.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text that stays in its line, in an element or a quoted attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        self.0.push_str(&InMarkup(InLine(text)).to_string());
        self
    }

    /// Adds text of several lines.
    pub(super) fn lines(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&InMarkup(text).to_string());
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_neither_ends_an_element_nor_a_line() {
        let mut html = Html::default();
        html.raw("<td>").text("</td><script>alert('x')</script>\n\u{202e}\u{ffff}&\"").raw("</td>");
        assert_eq!(
            html.finish(),
            "<td>&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\u{fffd}\u{fffd}\u{fffd}&amp;&quot;</td>"
        );
        let mut html = Html::default();
        html.lines("a\n</pre>\r\u{0}");
        assert_eq!(html.finish(), "a\n&lt;/pre&gt;\u{fffd}\u{fffd}");
    }
}
