//! A table, as aligned text and as Markdown.

use deepring::files::InLine;

/// Rows of cells under headings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextTable {
    title: String,
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    pub(super) fn new(title: impl Into<String>, headings: &[&'static str]) -> Self {
        Self { title: title.into(), headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        // Cells hold names of networks and layers: each is one cell of one line.
        self.rows.push(cells.into_iter().map(|cell| InLine(cell).to_string()).collect());
    }

    /// The first column to the left, all others to the right.
    pub(super) fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
            cells.chain(self.headings.get(column).map(|h| h.len())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let cells = cells.iter().zip(&widths).enumerate().map(|(i, (cell, width))| match i {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut lines = vec![self.title.clone(), line(self.headings.clone())];
        lines.extend(self.rows.iter().map(|r| line(r.iter().map(String::as_str).collect())));
        lines.join("\n")
    }

    pub(super) fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let safe = |cell: &String| cell.replace('|', "\\|");
        let rule = self.headings.iter().enumerate();
        let rule = rule.map(|(i, _)| if i == 0 { "---" } else { "--:" }.to_owned()).collect();
        let mut text = format!("{}\n\n", self.title);
        text += &line(self.headings.iter().map(|h| (*h).to_owned()).collect());
        text += &line(rule);
        self.rows.iter().for_each(|row| text += &line(row.iter().map(safe).collect()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_their_headings() {
        let mut table = TextTable::new("Times", &["network", "ms"]);
        table.row(vec!["a|b".into(), "10.25".into()]);
        table.row(vec!["longer name".into(), "3".into()]);
        assert_eq!(
            table.text(),
            "Times\nnetwork         ms\na|b          10.25\nlonger name      3"
        );
        assert_eq!(
            table.markdown(),
            "Times\n\n| network | ms |\n| --- | --: |\n| a\\|b | 10.25 |\n| longer name | 3 |\n"
        );
    }
}
