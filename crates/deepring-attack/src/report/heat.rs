//! Heat maps: a number and a colour for each pair of a row and a column.

use svg::Document;
use svg::node::element::{Group, Rectangle};

use super::canvas::{canvas, element, round, short, text, width_of};

/// Height of a row; width of a column.
const ROW: f64 = 26.0;
const COLUMN: f64 = 54.0;

/// Anchors of cividis (Nuñez, Anderton and Renslow 2018), which the colour-blind see as others do.
const COLOURS: [[f64; 3]; 6] = [
    [0.0, 34.0, 78.0],
    [53.0, 69.0, 108.0],
    [102.0, 105.0, 112.0],
    [148.0, 142.0, 119.0],
    [200.0, 184.0, 102.0],
    [254.0, 232.0, 56.0],
];

/// A table of per cent.
#[derive(Debug, Clone)]
pub struct Heat {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows with their numbers, column by column; `None` where there is none.
    pub lines: Vec<(String, Vec<Option<f64>>)>,
    /// The name of the columns.
    pub column_title: String,
    /// The value of the brightest colour: accuracy before any attack, in per cent.
    pub clean: f64,
    /// True if the names of columns need more room than a column has.
    pub slanted: bool,
}

impl Heat {
    /// `None` if there is nothing to draw.
    #[must_use]
    pub fn draw(&self) -> Option<String> {
        if self.columns.is_empty() || self.lines.is_empty() {
            return None;
        }
        let names: Vec<String> = self.lines.iter().map(|(name, _)| short(name, 24)).collect();
        let left = names.iter().map(|n| width_of(n)).fold(40.0, f64::max) + 10.0;
        let longest = self.columns.iter().map(|c| width_of(c)).fold(0.0, f64::max);
        let top = if self.slanted { longest * 0.72 + 24.0 } else { 40.0 };
        let table = COLUMN * self.columns.len() as f64;
        let over = if self.slanted { longest * 0.72 } else { 0.0 };
        let width = left + table.max(220.0) + over + 8.0;
        let height = top + ROW * self.lines.len() as f64 + 52.0;
        let mut svg: Document = canvas(width, height, "Accuracy as a table of colours");
        if !self.slanted {
            svg = svg.add(text(left + table / 2.0, 14.0, "soft mid", &self.column_title));
        }
        for (at, column) in self.columns.iter().enumerate() {
            let x = left + COLUMN * (at as f64 + 0.5);
            svg = svg.add(match self.slanted {
                false => text(x, top - 8.0, "soft mid", column),
                true => {
                    let turn = format!("rotate(-45 {} {})", round(x), round(top - 8.0));
                    text(x, top - 8.0, "soft", column).set("transform", turn)
                }
            });
        }
        for (row, ((_, cells), name)) in self.lines.iter().zip(&names).enumerate() {
            let y = top + ROW * row as f64;
            svg = svg.add(text(left - 8.0, y + 17.5, "end", name));
            for (column, cell) in cells.iter().enumerate() {
                svg = svg.add(self.cell(left + COLUMN * column as f64, y, *cell));
            }
        }
        Some(self.scale(svg, left, height - 40.0).to_string())
    }

    fn cell(&self, x: f64, y: f64, value: Option<f64>) -> Group {
        let place = |r: Rectangle| {
            r.set("x", round(x + 1.0))
                .set("y", round(y + 1.0))
                .set("width", COLUMN - 2.0)
                .set("height", ROW - 2.0)
                .set("rx", 3)
        };
        let Some(value) = value else {
            let empty = place(Rectangle::new()).set("class", "none");
            return Group::new().add(empty).add(text(x + COLUMN / 2.0, y + 17.5, "soft mid", "–"));
        };
        let share = value / self.clean.max(1.0);
        let class = if share > 0.55 { "light mid" } else { "dark mid" };
        let filled = place(Rectangle::new()).set("fill", colour(share));
        Group::new().add(filled).add(text(
            x + COLUMN / 2.0,
            y + 17.5,
            class,
            &format!("{value:.1}"),
        ))
    }

    fn scale(&self, mut svg: Document, x: f64, y: f64) -> Document {
        for step in 0..40 {
            let share = f64::from(step) / 39.0;
            let mut part = element("rect", "");
            for (name, value) in
                [("x", x + 4.0 * f64::from(step)), ("y", y), ("width", 4.5), ("height", 10.0)]
            {
                svg::Node::assign(&mut part, name, round(value));
            }
            svg::Node::assign(&mut part, "fill", colour(share));
            svg = svg.add(part);
        }
        svg.add(text(x, y + 25.0, "soft", "0 %")).add(text(
            x + 160.0,
            y + 25.0,
            "soft end",
            &format!("clean {:.1} %", self.clean),
        ))
    }
}

/// The colour of a share, 0 to 1.
fn colour(share: f64) -> String {
    let place = share.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let low = COLOURS.get(place.floor() as usize).copied().unwrap_or_default();
    let high = COLOURS.get(place.ceil() as usize).copied().unwrap_or(low);
    let mix = place.fract();
    let hex = |at: usize| {
        let (a, b) = (low.get(at).unwrap_or(&0.0), high.get(at).unwrap_or(&0.0));
        (a + (b - a) * mix).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", hex(0), hex(1), hex(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_drawn_and_names_are_escaped() {
        let heat = Heat {
            columns: vec!["0.1".into(), "<b>".into()],
            lines: vec![("a&b".into(), vec![Some(93.25), None])],
            column_title: "rho".into(),
            clean: 94.0,
            slanted: false,
        };
        let svg = heat.draw().unwrap();
        assert!(svg.contains("93.2") && svg.contains("a&amp;b") && svg.contains("&lt;b&gt;"));
        assert!(!svg.contains("<b>") && !svg.contains("NaN") && !svg.contains("http"));
    }

    #[test]
    fn colours_go_from_one_end_to_the_other() {
        assert_eq!((colour(0.0).as_str(), colour(1.0).as_str()), ("#00224e", "#fee838"));
        assert_eq!(colour(f64::INFINITY), colour(1.0));
        assert_ne!(colour(0.3), colour(0.4));
    }

    #[test]
    fn each_cell_has_its_place_and_the_colour_of_its_share_of_the_clean_accuracy() {
        let heat = Heat {
            columns: vec!["a".into(), "b".into()],
            lines: vec![
                ("one".into(), vec![Some(80.0), Some(0.0)]),
                ("two".into(), vec![None, Some(40.0)]),
            ],
            column_title: String::new(),
            clean: 80.0,
            slanted: true,
        };
        let svg = heat.draw().unwrap();
        // Names leave 50 pixels at the left; rows begin below the slanted names.
        let cell = |fill: &str, x: &str| {
            let rect = svg.split("<rect").find(|r| r.contains(fill) && r.contains("width=\"52\""));
            let rect = rect.unwrap_or_else(|| panic!("{fill} in {svg}"));
            assert!(rect.contains(&format!("x=\"{x}\"")), "{rect}");
            let y = rect.split(" y=\"").nth(1).unwrap().split('"').next().unwrap();
            y.parse::<f64>().unwrap()
        };
        let whole = cell(&colour(1.0), "51");
        assert_eq!(cell(&colour(0.0), "105"), whole);
        assert_eq!(cell(&colour(0.5), "105"), whole + 26.0);
        assert_eq!(cell("class=\"none\"", "51"), whole + 26.0);
        // Dark text on bright cells.
        let bright = svg.matches("class=\"light mid\"").count();
        assert_eq!((bright, svg.matches("class=\"dark mid\"").count()), (1, 2));
        assert_eq!(svg.matches("rotate(-45 ").count(), 2);
    }

    #[test]
    fn a_table_without_rows_or_columns_is_not_drawn() {
        let heat = |columns: &[&str], rows: usize| Heat {
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            lines: (0..rows).map(|i| (i.to_string(), vec![Some(1.0)])).collect(),
            column_title: String::new(),
            clean: 0.0,
            slanted: false,
        };
        assert_eq!((heat(&[], 1).draw(), heat(&["a"], 0).draw()), (None, None));
        // A network that is never right has no share to colour by.
        assert!(!heat(&["a"], 1).draw().unwrap().contains("NaN"));
    }
}
