//! The plan of a block's checks: a value that is chosen before a batch begins.

use std::collections::HashSet;

use super::operators::Operators;
use crate::mac::Piece;

/// Parts up to this many bytes are compared after each use too: that costs less than a microsecond a part, and leaves an
/// edit that is put back after the use nothing to hide behind but the rest of the use.
const SMALL: usize = 16 * 1024;

/// How often something is checked: at each use with this probability, drawn after the engine ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rate {
    Never,
    Eighth,
    Quarter,
    Half,
    Always,
}

impl Rate {
    /// Returns whether a uniformly random number picks this use. What one rate picks, every higher one does too.
    pub(crate) fn samples(self, random: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Eighth => random.is_multiple_of(8),
            Self::Quarter => random.is_multiple_of(4),
            Self::Half => random.is_multiple_of(2),
            Self::Always => true,
        }
    }
}

/// Which of a block's plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PlanKind {
    /// Every byte, nothing of what comes out.
    Bytes,
    /// Every byte, every product and the rest: while it is not known yet what is cheaper.
    Both,
    /// Every product and the rest; the bytes of what has no product, before and after.
    Compute,
    /// The cheaper checks of the uses that were observed, and a draw.
    Auto,
}

impl PlanKind {
    /// Kinds that a block may have at one time.
    pub(crate) const COUNT: usize = 4;

    /// Returns whether a use under this plan has what the check promises.
    pub(crate) fn keeps(self, check: deepring::Check) -> bool {
        use deepring::Check;
        match check {
            Check::None | Check::Load => false,
            Check::Spot(_) | Check::Run => self == Self::Bytes,
            Check::Compute => self == Self::Compute,
            Check::Auto => self != Self::Bytes,
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// The checks of a block for each query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CheckPlan {
    kind: PlanKind,
    /// How often each linear operator's product is verified.
    products: Vec<Rate>,
    /// How often what has no product is computed a second time.
    recompute: Rate,
    /// Pieces compared before each use, besides those whose turn it is.
    before: Vec<u32>,
    /// Pieces compared after each use.
    after: Vec<u32>,
}

impl CheckPlan {
    pub(crate) fn bytes(operators: &Operators, pieces: &[Piece]) -> Self {
        Self::new(
            PlanKind::Bytes,
            vec![Rate::Never; operators.linears.len()],
            Rate::Never,
            operators,
            pieces,
        )
    }

    pub(crate) fn both(operators: &Operators, pieces: &[Piece]) -> Self {
        let mut plan = Self::compute(operators, pieces);
        let table = |part: usize| operators.tables.iter().any(|t| t.part == part);
        plan.kind = PlanKind::Both;
        plan.before = piece_indices(pieces, |p| !table(p.part));
        plan
    }

    pub(crate) fn compute(operators: &Operators, pieces: &[Piece]) -> Self {
        Self::new(
            PlanKind::Compute,
            vec![Rate::Always; operators.linears.len()],
            Rate::Always,
            operators,
            pieces,
        )
    }

    pub(crate) fn auto(products: Vec<Rate>, operators: &Operators, pieces: &[Piece]) -> Self {
        Self::new(PlanKind::Auto, products, Rate::Eighth, operators, pieces)
    }

    fn new(
        kind: PlanKind,
        products: Vec<Rate>,
        recompute: Rate,
        operators: &Operators,
        pieces: &[Piece],
    ) -> Self {
        // A weight is covered only if the product of every operator that reads it is always verified.
        let rated = || operators.linears.iter().zip(&products);
        let left: HashSet<usize> =
            rated().filter(|(_, rate)| **rate != Rate::Always).map(|(l, _)| l.weight).collect();
        let covered: HashSet<usize> =
            rated().map(|(l, _)| l.weight).filter(|part| !left.contains(part)).collect();
        let tables: HashSet<usize> = if kind == PlanKind::Bytes {
            HashSet::new()
        } else {
            operators.tables.iter().map(|t| t.part).collect()
        };
        let before =
            piece_indices(pieces, |p| !covered.contains(&p.part) && !tables.contains(&p.part));
        let len = |part: usize| -> usize {
            pieces.iter().filter(|p| p.part == part).map(|p| p.range.len()).sum()
        };
        let small: HashSet<usize> =
            pieces.iter().map(|p| p.part).filter(|part| len(*part) <= SMALL).collect();
        let after = match kind {
            PlanKind::Compute => before.clone(),
            PlanKind::Bytes => Vec::new(),
            PlanKind::Both | PlanKind::Auto => before
                .iter()
                .copied()
                .filter(|i| pieces.get(*i as usize).is_some_and(|p| small.contains(&p.part)))
                .collect(),
        };
        Self { kind, products, recompute, before, after }
    }

    pub(crate) fn kind(&self) -> PlanKind {
        self.kind
    }

    /// Which of `count` operators this use verifies by their products. What the kind promises does not hang on what is
    /// written here: of `compute` all, of `auto` each at least as often as in every eighth use.
    pub(crate) fn products(&self, random: u64, count: usize) -> Vec<usize> {
        let rate = |i: &usize| self.products.get(*i).copied().unwrap_or(Rate::Never);
        (0..count).filter(|i| self.at_least(rate(i)).samples(random)).collect()
    }

    /// Returns whether this use has the rest computed a second time.
    pub(crate) fn recomputes(&self, random: u64) -> bool {
        self.at_least(self.recompute).samples(random)
    }

    fn at_least(&self, rate: Rate) -> Rate {
        match self.kind {
            PlanKind::Bytes => Rate::Never,
            PlanKind::Both | PlanKind::Compute => Rate::Always,
            PlanKind::Auto => rate.max(Rate::Eighth),
        }
    }

    /// Returns whether anything of it looks at what comes out.
    pub(crate) fn looks_at_outputs(&self) -> bool {
        self.kind != PlanKind::Bytes
    }

    pub(crate) fn before(&self) -> &[u32] {
        &self.before
    }

    pub(crate) fn after(&self) -> &[u32] {
        &self.after
    }
}

fn piece_indices(pieces: &[Piece], wanted: impl Fn(&Piece) -> bool) -> Vec<u32> {
    (0u32..).zip(pieces).filter(|(_, p)| wanted(p)).map(|(i, _)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::operators::{Arithmetic, Linear, LinearForm, Source};

    /// A large weight, a small one, and a part that no operator multiplies with.
    fn operators() -> (Operators, Vec<Piece>) {
        let linear = |weight| Linear {
            weight,
            bias: None,
            x: Source { value: format!("x{weight}"), relu: false },
            y: format!("y{weight}"),
            form: LinearForm::Rows { inner: 8, outer: 8, transposed: false },
            arithmetic: Arithmetic::unscaled(),
        };
        let mut operators = Operators::default();
        operators.linears = vec![linear(1), linear(2)];
        let piece = |part, range| Piece { part, range };
        let pieces = vec![
            piece(0, 0..100),
            piece(1, 100..100 + SMALL),
            piece(1, 100 + SMALL..100 + 2 * SMALL),
            piece(2, 40_000..40_100),
        ];
        (operators, pieces)
    }

    /// The promises of `auto` are decided here: the rest in an eighth of the uses, an operator's product as often as its
    /// rate says, the bytes of every operator that is not always verified before the use, and of small parts after it too.
    #[test]
    fn what_a_plan_compares_follows_from_the_rates() {
        let (operators, pieces) = operators();
        let auto = CheckPlan::auto(vec![Rate::Eighth, Rate::Always], &operators, &pieces);
        let drawn = |plan: &CheckPlan, what: &dyn Fn(&CheckPlan, u64) -> bool| {
            (0..8000u64).filter(|n| what(plan, *n)).count()
        };
        assert_eq!(drawn(&auto, &|p, n| p.recomputes(n)), 1000);
        assert_eq!(drawn(&auto, &|p, n| p.products(n, 2).contains(&0)), 1000);
        assert_eq!(drawn(&auto, &|p, n| p.products(n, 2).contains(&1)), 8000);
        // Whenever the rest is recomputed, what it is recomputed from is verified.
        assert!((0..8000).all(|n| !auto.recomputes(n) || auto.products(n, 2) == [0, 1]));
        assert_eq!((auto.before(), auto.after()), (&[0, 1, 2][..], &[0][..]));
        let compute = CheckPlan::compute(&operators, &pieces);
        assert_eq!(drawn(&compute, &|p, n| p.recomputes(n) && p.products(n, 2) == [0, 1]), 8000);
        assert_eq!((compute.before(), compute.after()), (&[0][..], &[0][..]));
        let both = CheckPlan::both(&operators, &pieces);
        assert_eq!(both.before(), [0, 1, 2, 3]);
        assert_eq!(drawn(&both, &|p, n| p.recomputes(n) && p.products(n, 2) == [0, 1]), 8000);
        let bytes = CheckPlan::bytes(&operators, &pieces);
        assert_eq!((bytes.before(), bytes.after()), (&[0, 1, 2, 3][..], &[][..]));
        assert_eq!(drawn(&bytes, &|p, n| p.recomputes(n) || !p.products(n, 2).is_empty()), 0);
    }

    /// A rate that somebody wrote between the choice and its tag.
    #[test]
    fn no_rate_takes_away_what_the_kind_promises() {
        let (operators, pieces) = operators();
        for rates in [vec![Rate::Never; 2], Vec::new()] {
            let auto = CheckPlan::auto(rates.clone(), &operators, &pieces);
            assert_eq!((0..8000).filter(|n| auto.products(*n, 2) == [0, 1]).count(), 1000);
            let edited = CheckPlan { products: rates, ..CheckPlan::compute(&operators, &pieces) };
            assert!((0..8).all(|n| edited.products(n, 2) == [0, 1] && edited.recomputes(n)));
        }
    }

    #[test]
    fn a_rate_samples_as_often_as_it_says_and_what_a_lower_one_samples() {
        let picked = |rate: Rate| (0..8000u64).filter(|n| rate.samples(*n)).count();
        let rates = [Rate::Never, Rate::Eighth, Rate::Quarter, Rate::Half, Rate::Always];
        assert_eq!(rates.map(picked), [0, 1000, 2000, 4000, 8000]);
        for pair in rates.windows(2) {
            assert!((0..8000).all(|n| !pair[0].samples(n) || pair[1].samples(n)));
        }
    }
}
