//! The cost of a block's checks on this machine, observed in its first uses, and the rates that follow.

use std::time::Duration;

use super::direct;
use super::operators::{Arithmetic, Linear, LinearForm, Operators};
use super::plan::Rate;

/// Uses that are observed. The first ones meet memory that nobody has touched, so the fastest counts.
const USES: u32 = 3;
/// One further tap, as a share of reading an element.
const FURTHER_TAP: f64 = 0.125;
/// Bytes are summed without vectors of their own.
const BYTE_SUMS: f64 = 4.0;
/// Two comparisons and their bookkeeping, in seconds.
const OPERATOR: f64 = 2e-6;
/// A first or last operator is verified by its product as often as costs at most this share of the whole leg's time in
/// the engine: always, in half or in a quarter of its uses, and never less often.
const EDGE_SHARE: f64 = 0.015;
/// `compute` is taken outright where it costs at most this share of the engine's time more than `auto`.
const COMPUTE_SHARE: f64 = 0.03;

/// Observations of the first uses of a block. Times are in seconds.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    uses: u32,
    /// Elements of each linear operator's input and output.
    sizes: Vec<[usize; 2]>,
    /// For each byte that was compared, for each unit of a product's work.
    byte: Option<f64>,
    unit: Option<f64>,
    /// All products of one use.
    products: Option<f64>,
    /// One run of the block, one run of its rest.
    engine: Option<f64>,
    recomputed: Option<f64>,
}

impl Observed {
    /// Notes how long comparing so many bytes took.
    pub(super) fn bytes(&mut self, bytes: usize, took: Duration) {
        least(&mut self.byte, took.as_secs_f64() / bytes.max(1) as f64);
    }

    /// How large the operators' inputs and outputs are.
    pub(super) fn sizes(&mut self, sizes: Vec<[usize; 2]>) {
        self.sizes = sizes;
    }

    /// Notes how long the products of all operators took.
    pub(super) fn products(&mut self, took: Duration) {
        least(&mut self.products, took.as_secs_f64());
        self.uses += 1;
    }

    /// Notes how long one run of the block took.
    pub(crate) fn engine(&mut self, took: Duration) {
        least(&mut self.engine, took.as_secs_f64());
    }

    /// Notes how long one run of the recomputed part and its comparison took.
    pub(crate) fn recomputed(&mut self, took: Duration) {
        least(&mut self.recomputed, took.as_secs_f64());
    }

    /// The costs of a block, when enough uses were observed. `after` is how many bytes only `compute` compares after a use.
    pub(crate) fn costs(
        &mut self,
        operators: &Operators,
        part_len: impl Fn(usize) -> u64,
        after: u64,
    ) -> Option<BlockCosts> {
        if self.uses < USES {
            return None;
        }
        let units: f64 = operators.linears.iter().zip(&self.sizes).map(|(l, s)| work(l, *s)).sum();
        let unit = *self.unit.get_or_insert(self.products? / units.max(1.0));
        let byte = self.byte?;
        let operators = operators.linears.iter().enumerate().map(|(i, linear)| {
            let sizes = self.sizes.get(i).copied().unwrap_or_default();
            OperatorCosts {
                product: unit * work(linear, sizes) + OPERATOR,
                bytes: byte * part_len(linear.weight) as f64,
            }
        });
        Some(BlockCosts {
            operators: operators.collect(),
            recomputed: self.recomputed.unwrap_or(0.0),
            after: byte * after as f64,
            engine: self.engine.unwrap_or(0.0),
        })
    }
}

fn least(place: &mut Option<f64>, found: f64) {
    *place = Some(place.map_or(found, |before| before.min(found)));
}

/// The cost of one operator's two kinds of check, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperatorCosts {
    product: f64,
    bytes: f64,
}

/// The cost of a block's checks, in seconds.
#[derive(Debug, Clone)]
pub(crate) struct BlockCosts {
    operators: Vec<OperatorCosts>,
    recomputed: f64,
    /// Comparing what has no product once more.
    after: f64,
    engine: f64,
}

/// The choice for the blocks of a leg.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Choice {
    /// Every product, always.
    Compute,
    /// For each block, the rates of its operators.
    Auto(Vec<Vec<Rate>>),
}

impl Choice {
    /// Chooses for blocks that follow each other, by what they cost.
    ///
    /// The cheaper of bytes and product for each operator; an operator on bytes has its product verified in a draw all the
    /// same. The first and the last operator are what an attacker wants most, and are verified more often.
    pub(crate) fn of(blocks: &[BlockCosts]) -> Self {
        let engine: f64 = blocks.iter().map(|b| b.engine).sum();
        let of_block = |b: &BlockCosts| -> Vec<Rate> {
            let cheaper = |o: &OperatorCosts| o.product < o.bytes;
            b.operators
                .iter()
                .map(|o| if cheaper(o) { Rate::Always } else { Rate::Eighth })
                .collect()
        };
        let mut rates: Vec<Vec<Rate>> = blocks.iter().map(of_block).collect();
        let with_operators = || blocks.iter().enumerate().filter(|(_, b)| !b.operators.is_empty());
        let first = with_operators().next().map(|(i, _)| (i, 0));
        let last = with_operators().next_back().map(|(i, b)| (i, b.operators.len() - 1));
        for (block, operator) in first.into_iter().chain(last) {
            let costs = blocks.get(block).and_then(|b| b.operators.get(operator));
            let rate = rates.get_mut(block).and_then(|r| r.get_mut(operator));
            if let (Some(costs), Some(rate)) = (costs, rate)
                && *rate != Rate::Always
            {
                let affordable = EDGE_SHARE * engine;
                *rate = match costs.product {
                    all if all <= affordable => Rate::Always,
                    all if all / 2.0 <= affordable => Rate::Half,
                    _ => Rate::Quarter,
                };
            }
        }
        let auto: f64 = blocks.iter().zip(&rates).map(|(b, r)| b.auto(r)).sum();
        let compute: f64 = blocks.iter().map(BlockCosts::compute).sum();
        if compute <= auto + COMPUTE_SHARE * engine { Self::Compute } else { Self::Auto(rates) }
    }
}

impl BlockCosts {
    fn auto(&self, rates: &[Rate]) -> f64 {
        let one = |(o, rate): (&OperatorCosts, &Rate)| match rate {
            Rate::Never => o.bytes,
            Rate::Eighth => o.bytes + o.product / 8.0,
            Rate::Quarter => o.bytes + o.product / 4.0,
            Rate::Half => o.bytes + o.product / 2.0,
            Rate::Always => o.product,
        };
        self.operators.iter().zip(rates).map(one).sum::<f64>() + self.recomputed / 8.0
    }

    fn compute(&self) -> f64 {
        self.operators.iter().map(|o| o.product).sum::<f64>() + self.recomputed + self.after
    }
}

/// A product's work, in elements looked at once.
fn work(linear: &Linear, [x, y]: [usize; 2]) -> f64 {
    let (x, y) = (x as f64, y as f64);
    let further = match &linear.form {
        LinearForm::Rows { .. } => 0.0,
        // As many sums as there are outputs, not inputs.
        LinearForm::Conv(w) if direct::suits(w) => {
            y / w.outputs as f64 * (w.inputs() * w.taps()) as f64
        }
        LinearForm::Conv(w) => x * (w.taps() - 1) as f64,
    };
    let slower =
        if matches!(linear.arithmetic, Arithmetic::Bytes { .. }) { BYTE_SUMS } else { 1.0 };
    (x + y + FURTHER_TAP * further) * slower
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(operators: &[(f64, f64)], recomputed: f64, engine: f64) -> BlockCosts {
        let operators = operators
            .iter()
            .map(|(product, bytes)| OperatorCosts { product: *product, bytes: *bytes });
        BlockCosts { operators: operators.collect(), recomputed, after: 0.0, engine }
    }

    #[test]
    fn the_cheaper_way_is_taken_and_the_edges_are_verified_more_often() {
        // The first is cheap to verify, the last dear; between them, one of each kind.
        let blocks = [
            block(&[(0.001, 0.0001)], 0.0, 0.2),
            block(&[], 0.0, 0.1),
            block(&[(0.01, 0.5), (0.5, 0.01)], 0.4, 0.6),
            block(&[(0.02, 0.001)], 0.0, 0.1),
        ];
        let wanted =
            vec![vec![Rate::Always], vec![], vec![Rate::Always, Rate::Eighth], vec![Rate::Half]];
        assert_eq!(Choice::of(&blocks), Choice::Auto(wanted));
    }

    #[test]
    fn compute_is_taken_where_it_costs_little_more() {
        let cheap = |recomputed| [block(&[(0.01, 0.009)], recomputed, 1.0)];
        assert_eq!(Choice::of(&cheap(0.02)), Choice::Compute);
        assert!(matches!(Choice::of(&cheap(0.1)), Choice::Auto(_)));
        let [dear] = cheap(0.02);
        assert!(matches!(Choice::of(&[BlockCosts { after: 0.1, ..dear }]), Choice::Auto(_)));
    }
}
