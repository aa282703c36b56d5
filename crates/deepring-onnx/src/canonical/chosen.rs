//! Which integers matter only where a condition chooses them: one that is out of range there and not chosen is no error.
//!
//! Exporters compute both forms of a thing for all elements and take one for each, as T5 does with near and far positions: the
//! logarithm of a distance of none is no integer, and nobody asks for it.

use std::collections::{HashMap, HashSet};

use super::graph::Graph;
use crate::proto::NodeProto;
use crate::scope;

/// A value that is chosen at more places is guarded where it is made.
const MOST_PLACES: usize = 8;

/// An input, 1 or 2, of the `Where` that gives the value of this name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    by: String,
    arg: usize,
}

/// The condition that chooses each value, and the values that wait for that with their guard.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    places: HashMap<String, Vec<Place>>,
    open: HashMap<Place, Vec<String>>,
}

impl Chosen {
    pub(super) fn of(graph: &Graph) -> Self {
        Self { places: places(graph), open: HashMap::new() }
    }

    /// Leaves the guard of a value to what chooses it; whether anything does.
    pub(super) fn leave_open(&mut self, value: &str) -> bool {
        let Some(places) = self.places.get(value) else { return false };
        for place in places {
            self.open.entry(place.clone()).or_default().push(value.to_owned());
        }
        true
    }

    /// The values that are open where the `Where` that gives `by` chooses its input `arg`.
    pub(super) fn open_at(&self, by: &str, arg: usize) -> &[String] {
        let place = Place { by: by.to_owned(), arg };
        self.open.get(&place).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The places that choose each value, for values that reach nothing but through one: element by element on the way.
fn places(graph: &Graph) -> HashMap<String, Vec<Place>> {
    let mut uses: HashMap<&str, Vec<(&NodeProto, usize)>> = HashMap::new();
    let mut seen: HashSet<String> =
        graph.outputs.iter().filter_map(|value| value.name.clone()).collect();
    for node in &graph.nodes {
        for (arg, name) in node.input.iter().enumerate() {
            uses.entry(name).or_default().push((node, arg));
        }
        if scope::subgraphs(node).next().is_some() {
            seen.extend(scope::needs(node));
        }
    }
    let mut found: HashMap<String, Vec<Place>> = HashMap::new();
    for name in graph.nodes.iter().rev().filter_map(|node| node.output.first()) {
        let of = uses.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        if let Some(places) = of_value(of, &found).filter(|_| !seen.contains(name)) {
            found.insert(name.clone(), places);
        }
    }
    found
}

/// `None` where a use looks at all elements, or no place chooses any.
fn of_value(
    uses: &[(&NodeProto, usize)],
    found: &HashMap<String, Vec<Place>>,
) -> Option<Vec<Place>> {
    let mut places: Vec<Place> = Vec::new();
    for (node, arg) in uses {
        let by = node.output.first()?;
        let more = match node.onnx_op() {
            // How many there are, whatever they are.
            "Shape" | "Size" => continue,
            "Where" if *arg > 0 => vec![Place { by: by.clone(), arg: *arg }],
            "Add" | "Sub" | "Mul" | "Neg" | "Abs" | "Min" | "Max" => found.get(by)?.clone(),
            _ => return None,
        };
        places.extend(more);
    }
    let mut unique = HashSet::new();
    places.retain(|place| unique.insert(place.clone()));
    (1..=MOST_PLACES).contains(&places.len()).then_some(places)
}
