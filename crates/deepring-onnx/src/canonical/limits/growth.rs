//! Loops: whether anything ends them, and how large what they carry becomes.

use super::work::MOST_WORK;
use super::{LIMIT, Sizes, exceeds_limit, refuse_if};
use crate::proto::{GraphProto, NodeProto};
use crate::read::ImportError;

/// Most iterations that a constant may ask of a loop.
const ITERATIONS: f64 = (1u64 << 24) as f64;
/// Turns that are followed one by one: what doubles is vast by then.
const FOLLOWED: f64 = 64.0;

const GROWS: &str = "a loop whose values grow beyond 2^27 elements";

impl<'a> Sizes<'a> {
    /// The number of elements of each output of a loop.
    pub(super) fn looped(&mut self, node: &'a NodeProto) -> Result<Vec<f64>, ImportError> {
        let Some(body) = node.attr("body").and_then(|a| a.g.as_deref()) else {
            return Ok(Vec::new());
        };
        let stated = self.exact(node.arg(0))?.and_then(|v| v.first().copied());
        let counted = self.only_counted(body);
        // Of a number that a query gives, any.
        let endless = match node.arg(0) {
            Some(_) => stated.is_some_and(|n| n > ITERATIONS),
            None => true,
        };
        refuse_if(counted && endless, "a loop of more than 2^24 turns", node)?;
        let turns = stated.unwrap_or(f64::INFINITY).max(0.0);
        let given: Vec<f64> = node.input.iter().skip(2).map(|x| self.count(x)).collect();
        let (mut carried, mut grown) = (given.clone(), vec![0.0; given.len()]);
        let (mut each, mut turn) = (Vec::new(), 0.0);
        let (start, mut first, mut last) = (self.work, 0.0, 0.0);
        while turn < turns.min(FOLLOWED) {
            let before = self.work;
            let inputs: Vec<f64> = [1.0, 1.0].iter().chain(&carried).copied().collect();
            let made = match self.body(body, &inputs) {
                // What its first turn does is refused of itself, and what is too much to be followed for that.
                Err(_) if turn > 0.0 && self.steps > 0 && self.work <= MOST_WORK => {
                    return refuse_if(true, GROWS, node).map(|()| Vec::new());
                }
                made => made?,
            };
            last = self.work - before;
            if turn == 0.0 {
                first = last;
            }
            turn += 1.0;
            let next: Vec<f64> = made.iter().skip(1).take(carried.len()).copied().collect();
            each = made.get(1 + carried.len()..).unwrap_or_default().to_vec();
            grown = next.iter().zip(&carried).map(|(n, c)| n - c).collect();
            let still = next == carried;
            carried = next;
            if still {
                break;
            }
        }
        // What is added in each turn is added in each that is left.
        let left = if counted && turns.is_finite() { turns - turn } else { 0.0 };
        let all = self.work + last * left;
        // One that may end before is sure of its first turn, if of any.
        self.work = if counted && turns.is_finite() { all } else { start + first };
        let end = carried.iter().zip(&grown).map(|(c, g)| c + g * left);
        refuse_if(end.clone().any(exceeds_limit), GROWS, node)?;
        let lists = each.iter().map(|n| if counted && turns.is_finite() { n * turns } else { 0.0 });
        refuse_if(lists.clone().any(|n| n > LIMIT), GROWS, node)?;
        // A loop that may end before is sure of no more than the least.
        let carried = given.iter().zip(end).map(|(g, e)| if counted { e } else { g.min(e) });
        Ok(carried.chain(lists).collect())
    }

    /// Returns whether nothing but the number of turns, or nothing at all, ends a loop.
    fn only_counted(&self, body: &GraphProto) -> bool {
        // The body's condition: its second input, and its first output.
        let given = body.input.get(1).and_then(|v| v.name.as_deref());
        let mut goes_on = body.output.first().and_then(|v| v.name.as_deref());
        for node in body.node.iter().rev() {
            if node.onnx_op() == "Identity" && node.output.first().map(String::as_str) == goes_on {
                goes_on = node.arg(0);
            }
        }
        goes_on == given
            || goes_on.is_some_and(|name| {
                let own = body.initializer.iter().any(|t| t.name.as_deref() == Some(name));
                own || self.constant(name).is_some()
            })
    }
}
