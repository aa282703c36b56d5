//! Pieces of markup that several pages have, and escaping.

use std::fmt::Write as _;

use deepring::files::{InLine, InMarkup};

/// A name or another text of one line, as it may stand in an element or in a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    InMarkup(InLine(text)).to_string()
}

/// Numbers in large letters: value, what it counts, and `good`, `bad` or nothing.
#[must_use]
pub fn tiles(tiles: &[(String, &str, &str)]) -> String {
    let mut out = "<div class=\"tiles\">\n".to_owned();
    for (value, what, class) in tiles {
        let (value, what) = (escape(value), escape(what));
        let _ =
            writeln!(out, "<div class=\"tile {class}\"><b>{value}</b><span>{what}</span></div>");
    }
    out + "</div>\n"
}

/// A table of markup. The first `texts` columns are text, the others numbers.
#[must_use]
pub fn table(columns: &[&str], texts: usize, rows: &[Vec<String>]) -> String {
    let class = |at: usize| if at < texts { "" } else { " class=\"num\"" };
    let mut out = "<div class=\"scroll\"><table>\n<thead><tr>".to_owned();
    for (at, column) in columns.iter().enumerate() {
        let _ = write!(out, "<th{}>{}</th>", class(at), escape(column));
    }
    out += "</tr></thead>\n<tbody>\n";
    for row in rows {
        out += "<tr>";
        for (at, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{cell}</td>", class(at));
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

/// Returns whether every element that is opened is closed, in order, and every attribute's quotes are too. For tests of pages.
#[must_use]
pub fn is_well_formed(markup: &str) -> bool {
    const EMPTY: [&str; 3] = ["meta", "img", "br"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = markup;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((tag, after)) = after.split_once('>') else { return false };
        rest = after;
        if tag.matches('"').count() % 2 != 0 {
            return false;
        }
        let closing = tag.starts_with('/');
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        if closing && open.pop() != Some(name) {
            return false;
        }
        if !closing && !tag.ends_with('/') && !tag.starts_with('!') && !EMPTY.contains(&name) {
            open.push(name);
        }
    }
    open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_from_text() {
        assert_eq!(
            escape("<a href=\"x\" id='y'>&\u{7}\u{202e}\u{fffe}\n"),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn what_is_left_open_is_not_well_formed() {
        assert!(is_well_formed("<p>a<br><b class=\"x\">b</b></p><hr/>"));
        for markup in ["<p>", "<p><b></p></b>", "</p>", "<p class=\"x></p>", "<p"] {
            assert!(!is_well_formed(markup), "{markup}");
        }
    }

    #[test]
    fn tiles_and_tables_are_well_formed_whatever_is_in_them() {
        assert!(is_well_formed(&tiles(&[("<1>".to_owned(), "a & b", "good")])));
        let rows = vec![vec![escape("<x>"), "1".to_owned()]];
        let table = table(&["<a>", "n"], 1, &rows);
        assert!(is_well_formed(&table) && table.contains("<td>&lt;x&gt;</td><td class=\"num\">1"));
    }
}
