//! Text from elsewhere inside a line, lines or markup, without the characters that break or reorder a line.
//!
//! Names of blocks, tensors, labels and files are chosen by the maker of the ring or the file. A
//! line break in one prints a line that looks like ours, an escape sequence steers the terminal, a
//! bidirectional control reorders the text after it (Unicode TR36, section 3.2; UAX #9), and
//! characters without width make two names look alike.

use std::fmt::{self, Display, Write as _};

/// Shows a value as part of one line: each character that could break, reorder, hide or steer the
/// line is shown as U+FFFD. Width and alignment of the format string apply to the result.
///
/// ```
/// use deepring::files::InLine;
/// assert_eq!(InLine("conv1\nintact").to_string(), "conv1\u{fffd}intact");
/// assert_eq!(format!("[{:<6}]", InLine("é")), "[é     ]");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct InLine<T>(pub T);

impl<T: Display> Display for InLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |c| if disturbs_line(c) { char::REPLACEMENT_CHARACTER } else { c };
        f.pad(&self.0.to_string().chars().map(shown).collect::<String>())
    }
}

/// Shows a value as text in an element or a quoted attribute of HTML or SVG: line feeds stay, all
/// else is shown as [`InLine`] does, and what is markup is escaped. In one line it is
/// `InMarkup(InLine(value))`.
///
/// ```
/// use deepring::files::InMarkup;
/// assert_eq!(InMarkup("<b>\u{202e}\n'&\"").to_string(), "&lt;b&gt;\u{fffd}\n&#39;&amp;&quot;");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct InMarkup<T>(pub T);

impl<T: Display> Display for InMarkup<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' => f.write_char('\n')?,
                c if disturbs_line(c) => f.write_char(char::REPLACEMENT_CHARACTER)?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Returns whether a character breaks, reorders, hides in or steers a line: all controls (tab and
/// line feed too), line and paragraph separators, bidirectional controls, and characters without
/// width or ink: format characters and the default ignorable code points (Unicode,
/// DerivedCoreProperties), and the empty Braille pattern; and code points that are no characters,
/// which no HTML and no XML may hold.
#[must_use]
pub fn disturbs_line(c: char) -> bool {
    // The last two of every plane (Unicode, section 23.7).
    let ends_a_plane = u32::from(c) & 0xfffe == 0xfffe;
    c.is_control()
        || ends_a_plane
        || matches!(c,
            '\u{ad}'                        // soft hyphen
            | '\u{34f}'                     // combining grapheme joiner
            | '\u{61c}'                     // Arabic letter mark
            | '\u{115f}'..='\u{1160}'       // Hangul fillers
            | '\u{17b4}'..='\u{17b5}'       // Khmer inherent vowels
            | '\u{180b}'..='\u{180f}'       // Mongolian variation selectors, vowel separator
            | '\u{200b}'..='\u{200f}'       // zero width; left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}'       // line and paragraph separators; embeddings and overrides
            | '\u{2060}'..='\u{206f}'       // word joiner, invisible operators, isolates, deprecated controls
            | '\u{2800}'                    // Braille pattern of no dots
            | '\u{3164}' | '\u{ffa0}'       // Hangul fillers
            | '\u{fdd0}'..='\u{fdef}'       // no characters
            | '\u{fe00}'..='\u{fe0f}'       // variation selectors
            | '\u{feff}'                    // zero width no-break space
            | '\u{fff0}'..='\u{fffb}'       // ignorable, unassigned; interlinear annotation
            | '\u{1bca0}'..='\u{1bca3}'     // shorthand format controls
            | '\u{1d173}'..='\u{1d17a}'     // musical format controls
            | '\u{e0000}'..='\u{e0fff}'     // tags, variation selectors, ignorable
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_breaks_reorders_hides_in_or_steers_a_line_is_left() {
        for c in [
            '\n',
            '\r',
            '\t',
            '\u{b}',
            '\u{c}',
            '\0',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
            '\u{34f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180b}',
            '\u{180f}',
            '\u{2800}',
            '\u{3164}',
            '\u{ffa0}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{fff0}',
            '\u{1bca0}',
            '\u{1d17a}',
            '\u{e0100}',
            '\u{e01ef}',
            '\u{fdd0}',
            '\u{fdef}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{1fffe}',
            '\u{8ffff}',
            '\u{10fffe}',
            '\u{10ffff}',
        ] {
            let shown = InLine(format!("a{c}b")).to_string();
            assert_eq!(shown, "a\u{fffd}b", "U+{:04X}", u32::from(c));
            let marked = InMarkup(InLine(format!("a{c}<"))).to_string();
            assert_eq!(marked, "a\u{fffd}&lt;", "U+{:04X}", u32::from(c));
        }
        for c in ['\u{fdcf}', '\u{fdf0}', '\u{fffd}', '\u{1fffd}', '\u{20000}'] {
            assert!(!disturbs_line(c), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn what_people_write_stays() {
        for text in ["conv1.weight", "Größe 42 °C", "名前", "שלום", "T-shirt 👕", "a b\u{a0}c"]
        {
            assert_eq!(InLine(text).to_string(), text);
            assert_eq!(InMarkup(text).to_string(), text);
        }
    }
}
