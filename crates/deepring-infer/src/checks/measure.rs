//! The comparisons that one use of a block really made: the only thing that a receipt's coverage is made of.

use deepring::{Coverage, Part, PartKind};

/// The comparisons of one part, counted as they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartMeasure {
    /// Bytes that the part has.
    pub len: u64,
    /// Bytes that were compared for this query, each counted once.
    pub bytes: u64,
    /// Rows that the query gathered, all of which were compared; `None` if rows were not looked at.
    pub rows: Option<u64>,
    /// Output places of the operators that read the part and whose output was verified.
    pub places: u64,
    /// Operators that read the part.
    pub readers: u32,
    /// Of these, the ones whose output was verified at every place.
    pub verified: u32,
    /// Values of the block that were computed a second time and compared; `None` if none was.
    pub recomputed: Option<u64>,
    is_graph: bool,
}

impl PartMeasure {
    /// The word for it in a receipt.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let bytes = self.bytes == self.len;
        let product = self.readers > 0 && self.verified == self.readers;
        match (self.is_graph, bytes, product) {
            (true, true, _) if self.recomputed.is_some() => Coverage::Recomputed,
            (true, true, _) => Coverage::Bytes,
            (true, false, _) => Coverage::Opened,
            (false, true, true) => Coverage::Both,
            (false, true, false) => Coverage::Bytes,
            (false, false, true) => Coverage::Product,
            (false, false, false) if self.rows.is_some() => Coverage::Rows,
            (false, false, false) => Coverage::Opened,
        }
    }
}

/// The comparisons of a block for one query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Measure {
    parts: Vec<PartMeasure>,
}

impl Measure {
    pub(crate) fn new(parts: &[Part]) -> Self {
        let one = |p: &Part| PartMeasure {
            len: p.len,
            is_graph: p.kind == PartKind::Graph,
            ..PartMeasure::default()
        };
        Self { parts: parts.iter().map(one).collect() }
    }

    /// Part by part, in the order of the block's header.
    #[must_use]
    pub fn parts(&self) -> &[PartMeasure] {
        &self.parts
    }

    /// Part by part, the words for a receipt.
    #[must_use]
    pub fn coverage(&self) -> Vec<Coverage> {
        self.parts.iter().map(PartMeasure::coverage).collect()
    }

    pub(crate) fn bytes(&mut self, part: usize, bytes: usize) {
        if let Some(part) = self.parts.get_mut(part) {
            part.bytes += bytes as u64;
        }
    }

    /// Forgets what was compared of a part, before all of it is.
    pub(crate) fn forget_bytes(&mut self, part: usize) {
        if let Some(part) = self.parts.get_mut(part) {
            part.bytes = 0;
        }
    }

    pub(crate) fn rows(&mut self, part: usize, rows: u64) {
        if let Some(part) = self.parts.get_mut(part) {
            part.rows = Some(part.rows.unwrap_or(0) + rows);
        }
    }

    pub(crate) fn read_by(&mut self, part: usize) {
        if let Some(part) = self.parts.get_mut(part) {
            part.readers += 1;
        }
    }

    pub(crate) fn product(&mut self, part: usize, places: u64) {
        if let Some(part) = self.parts.get_mut(part) {
            part.places += places;
            part.verified += 1;
        }
    }

    pub(crate) fn recomputed(&mut self, values: u64) {
        for part in self.parts.iter_mut().filter(|p| p.is_graph) {
            part.recomputed = Some(part.recomputed.unwrap_or(0) + values);
        }
    }

    /// Takes in what another thread compared for the same query. Of a part that both looked at, the larger count: they may
    /// have compared the same bytes.
    pub(crate) fn with_bytes_of(&mut self, other: &Self) {
        for (part, other) in self.parts.iter_mut().zip(&other.parts) {
            part.bytes = part.bytes.max(other.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: PartKind, len: u64) -> Part {
        Part { kind, offset: 0, len, shared: None }
    }

    fn parameter(len: u64) -> Part {
        let spec =
            deepring::TensorSpec { name: "w".into(), dtype: deepring::DType::F32, dims: None };
        part(PartKind::Parameter(spec), len)
    }

    #[test]
    fn a_word_needs_all_of_what_it_says() {
        let parts = [part(PartKind::Graph, 10), parameter(100)];
        let new = || Measure::new(&parts);
        assert_eq!(new().coverage(), [Coverage::Opened; 2]);
        let mut m = new();
        m.bytes(0, 10);
        m.bytes(1, 99);
        assert_eq!(m.coverage(), [Coverage::Bytes, Coverage::Opened], "one byte is missing");
        m.bytes(1, 1);
        m.recomputed(2);
        assert_eq!(m.coverage(), [Coverage::Recomputed, Coverage::Bytes]);
        m.read_by(1);
        m.read_by(1);
        m.product(1, 5);
        assert_eq!(m.coverage()[1], Coverage::Bytes, "the other reader was not verified");
        m.product(1, 5);
        assert_eq!(m.coverage()[1], Coverage::Both);
        let mut m = new();
        m.recomputed(2);
        assert_eq!(m.coverage()[0], Coverage::Opened, "its bytes were not compared");
        m.rows(1, 0);
        assert_eq!(m.coverage()[1], Coverage::Rows, "a query that gathers no row needs none");
    }
    #[test]
    fn nothing_that_is_measured_is_what_an_engine_derived_at_loading() {
        let truths = [false, true];
        for (is_graph, all, product) in
            truths.iter().flat_map(|a| truths.iter().flat_map(|b| truths.map(|c| (*a, *b, c))))
        {
            for (rows, recomputed) in
                [(None, None), (Some(1), None), (None, Some(1)), (Some(1), Some(1))]
            {
                let part = PartMeasure {
                    len: 1,
                    bytes: u64::from(all),
                    readers: 1,
                    verified: u32::from(product),
                    places: 1,
                    rows,
                    recomputed,
                    is_graph,
                };
                assert_ne!(part.coverage(), Coverage::Derived, "{part:?}");
            }
        }
    }
}
