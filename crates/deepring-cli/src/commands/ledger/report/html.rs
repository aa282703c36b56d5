//! Markup into which text from elsewhere gets escaped, and in no other way.

use std::fmt::Display;

use deepring::files::{InLine, disturbs_line};

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
        self.escape(&InLine(text).to_string())
    }

    /// Adds text of several lines.
    pub(super) fn lines(&mut self, text: &str) -> &mut Self {
        let shown = |c| if c != '\n' && disturbs_line(c) { char::REPLACEMENT_CHARACTER } else { c };
        self.escape(&text.chars().map(shown).collect::<String>())
    }

    fn escape(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
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
        html.raw("<td>").text("</td><script>alert('x')</script>\n\u{202e}&\"").raw("</td>");
        assert_eq!(
            html.finish(),
            "<td>&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\u{fffd}\u{fffd}&amp;&quot;</td>"
        );
        let mut html = Html::default();
        html.lines("a\n</pre>\r\u{0}");
        assert_eq!(html.finish(), "a\n&lt;/pre&gt;\u{fffd}\u{fffd}");
    }
}
