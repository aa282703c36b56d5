//! How many elements an operator is asked for by its constants.

use std::collections::HashMap;

use super::Sizes;
use crate::proto::NodeProto;
use crate::read::ImportError;

impl Sizes<'_> {
    /// A lower bound of the number of elements, where constants tell one.
    pub(super) fn requested(&self, node: &NodeProto) -> Result<Option<f64>, ImportError> {
        let given = |arg: usize| node.arg(arg).map_or(1.0, |x| self.count(x));
        let product =
            |values: Option<Vec<f64>>| values.map(|v| v.iter().map(|x| x.abs()).product::<f64>());
        Ok(match node.onnx_op() {
            "Expand" => product(self.numbers(node.arg(1))?)
                .map(|n| if n == 0.0 { 0.0 } else { n.max(given(0)) }),
            "Tile" => product(self.numbers(node.arg(1))?).map(|n| n * given(0)),
            "ConstantOfShape" => product(self.numbers(node.arg(0))?),
            "Pad" => self.padded(node)?,
            "OneHot" => product(self.numbers(node.arg(1))?).map(|n| n * given(0)),
            "Upsample" => product(self.numbers(node.arg(1))?).map(|n| n * given(0)),
            "Resize" => {
                // Before version 11, scales came second.
                let at = if node.input.len() == 2 { 1 } else { 2 };
                match self.numbers(node.arg(at))?.filter(|scales| !scales.is_empty()) {
                    Some(by) => product(Some(by)).map(|n| n * given(0)),
                    None => self.resized(node)?,
                }
            }
            "Range" => {
                let [start, limit, step] = [0, 1, 2].map(|i| self.exact(node.arg(i)));
                let one = |v: Option<Vec<f64>>| v.and_then(|v| v.first().copied());
                match (one(start?), one(limit?), one(step?)) {
                    (Some(start), Some(limit), Some(step)) => {
                        Some(((limit - start) / step).max(0.0))
                    }
                    _ => None,
                }
            }
            "Einsum" => self.einsum(node),
            "GridSample" => {
                let planes = self.dims(node.arg(0)).map(|d| d.iter().take(2).product::<f64>());
                let places = self.dims(node.arg(1)).map(|d| d.iter().skip(1).product::<f64>());
                planes.zip(places).map(|(planes, places)| planes * places / 2.0)
            }
            "GatherND" => self.gathered(node),
            _ => None,
        })
    }

    fn padded(&self, node: &NodeProto) -> Result<Option<f64>, ImportError> {
        let pads = match node.attr_ints("pads") {
            Some(pads) => Some(pads.iter().map(|p| *p as f64).collect()),
            None => self.numbers(node.arg(1))?,
        };
        let Some(pads) = pads else { return Ok(None) };
        let (before, after) = pads.split_at(pads.len() / 2);
        let added = before.iter().zip(after).map(|(b, a)| b + a);
        let dims = self.dims(node.arg(0)).filter(|d| d.len() == before.len());
        Ok(Some(match dims {
            Some(dims) if node.arg(3).is_none() => {
                added.zip(dims).map(|(n, d)| (n + d).max(0.0)).product()
            }
            // The least that all is made of is what is given, unless some is cut off.
            _ => {
                let grown: f64 = added.clone().map(|n| n.max(0.0) + 1.0).product();
                let cut = pads.iter().any(|p| *p < 0.0);
                let given = node.arg(0).map_or(1.0, |x| self.count(x));
                if cut { grown } else { grown.max(given) }
            }
        }))
    }

    /// Sizes that are asked for, of some axes or of all.
    fn resized(&self, node: &NodeProto) -> Result<Option<f64>, ImportError> {
        let Some(sizes) = self.numbers(node.arg(3))? else { return Ok(None) };
        let requested: f64 = sizes.iter().map(|n| n.abs()).product();
        let (Some(axes), Some(dims)) = (node.attr_ints("axes"), self.dims(node.arg(0))) else {
            return Ok(Some(requested));
        };
        let rank = dims.len() as i64;
        let is_asked = |i: usize| axes.iter().any(|a| *a == i as i64 || *a + rank == i as i64);
        let others = dims.iter().enumerate().filter(|(i, _)| !is_asked(*i)).map(|(_, d)| d);
        Ok(Some(requested * others.product::<f64>()))
    }

    /// The largest of what the engine makes on the way: it takes in one operand after the other, and keeps each letter that is
    /// still to come.
    fn einsum(&self, node: &NodeProto) -> Option<f64> {
        let equation: String = node.attr_str("equation")?.split_whitespace().collect();
        let (terms, output) = match equation.split_once("->") {
            Some((terms, output)) => (terms, output.to_owned()),
            None => {
                let letters = |c: &char| c.is_alphabetic();
                let once = |c: &char| equation.matches(*c).count() == 1;
                (equation.as_str(), equation.chars().filter(letters).filter(once).collect())
            }
        };
        let terms: Vec<&str> = terms.split(',').collect();
        let mut sizes: HashMap<char, f64> = HashMap::new();
        for (i, term) in terms.iter().enumerate() {
            let Some(dims) = self.dims(node.arg(i)) else { continue };
            // What an ellipsis stands for counts as one.
            let (front, back) = term.split_once("...").unwrap_or((term, ""));
            let behind = dims.len().saturating_sub(back.chars().count());
            let pairs = front.chars().zip(&dims).chain(back.chars().zip(dims.iter().skip(behind)));
            for (letter, dim) in pairs {
                let size = sizes.entry(letter).or_insert(1.0);
                *size = size.max(*dim);
            }
        }
        let mut kept = String::new();
        let mut most = 1.0f64;
        for (i, term) in terms.iter().enumerate() {
            kept.push_str(term);
            let rest = terms.get(i + 1..).unwrap_or_default();
            let needed = |c: &char| output.contains(*c) || rest.iter().any(|t| t.contains(*c));
            let mut letters: Vec<char> = kept.chars().filter(needed).collect();
            letters.sort_unstable();
            letters.dedup();
            most = most.max(letters.iter().filter_map(|c| sizes.get(c)).product());
            kept = letters.into_iter().collect();
        }
        Some(most)
    }

    /// Places of elements, or of parts, of the data.
    fn gathered(&self, node: &NodeProto) -> Option<f64> {
        let (data, places) = (self.dims(node.arg(0))?, self.dims(node.arg(1))?);
        let (depth, lead) = places.split_last()?;
        let batch = usize::try_from(node.attr_int("batch_dims").unwrap_or(0)).ok()?;
        let part = data.iter().skip(batch.checked_add(*depth as usize)?);
        Some(lead.iter().product::<f64>() * part.product::<f64>())
    }
}
