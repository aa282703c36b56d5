//! The values that would have to cross a boundary, for every position of the schedule.

use std::collections::{BTreeSet, HashMap};

use super::schedule::Schedule;
use crate::canonical::{CanonicalModel, ValueType};

/// A place where one block may end and the next begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boundary {
    /// Position in the schedule of the first node after it.
    pub(super) position: usize,
    /// Tensors that cross it.
    pub(super) live: usize,
    /// Bytes of the parameters before it.
    pub(super) bytes: u64,
}

/// Boundaries before linear operators over which only tensors pass, and all parameters' bytes.
pub(super) fn boundaries(model: &CanonicalModel, schedule: &Schedule) -> (Vec<Boundary>, u64) {
    let last = schedule.order.len();
    let mut born: HashMap<&str, usize> = HashMap::new();
    for (position, &index) in schedule.order.iter().enumerate() {
        let outputs = model.graph.nodes.get(index).map(|n| n.output.as_slice()).unwrap_or_default();
        for output in outputs {
            born.insert(output, position + 1);
        }
    }
    let mut dies: HashMap<&str, usize> = HashMap::new();
    for (position, needs) in schedule.needs.iter().enumerate() {
        for value in needs {
            dies.insert(value, position);
        }
    }
    // Crossing begins at a value's birth and ends with the last node that needs it.
    let mut crossing = vec![0i64; last + 2];
    let mut barred = vec![0i64; last + 2];
    for (value, &death) in &dies {
        let birth = born.get(value).copied().unwrap_or(0);
        let other = model.value_types.get(*value) == Some(&ValueType::Other);
        for counts in [Some(&mut crossing), other.then_some(&mut barred)].into_iter().flatten() {
            for (at, change) in [(birth, 1), (death + 1, -1)] {
                if let Some(count) = counts.get_mut(at) {
                    *count += change;
                }
            }
        }
    }
    let mut found = Vec::new();
    let (mut live, mut bars, mut bytes, mut total) = (0i64, 0i64, 0u64, 0u64);
    let mut seen = BTreeSet::new();
    let mut starts = schedule.starts.iter().peekable();
    for position in 0..=last {
        live += crossing.get(position).copied().unwrap_or(0);
        bars += barred.get(position).copied().unwrap_or(0);
        if starts.next_if(|s| **s == position).is_some() && bars == 0 {
            let live = usize::try_from(live).unwrap_or(0);
            found.push(Boundary { position, live, bytes });
        }
        let index = schedule.order.get(position).copied().unwrap_or(usize::MAX);
        for name in model.graph.nodes.get(index).into_iter().flat_map(crate::scope::needs) {
            if let Some(tensor) = model.graph.constant(Some(&name))
                && !seen.contains(&name)
            {
                bytes += model.graph.source(tensor).map_or(0, |s| s.len());
                seen.insert(name);
            }
        }
        total = bytes;
    }
    (found, total)
}
