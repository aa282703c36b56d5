//! Which values the products of a plan read: each value is read once for all operators that look at it.

use super::operators::{Arithmetic, Linear, LinearForm, Source};

/// One reduction of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OperatorReduction {
    pub(crate) linear: usize,
    pub(crate) role: TensorRole,
    pub(crate) relu: bool,
}

/// The role of a value: an operator's input or its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TensorRole {
    Input,
    Output,
}

/// All reductions of one value; they share one pass over it.
#[derive(Debug)]
pub(crate) struct ReductionPass {
    pub(crate) value: String,
    /// True if channels come first (a convolution's) or last.
    pub(crate) channels_first: bool,
    pub(crate) reductions: Vec<OperatorReduction>,
}

/// The values that some products look at.
pub(crate) fn reduction_passes(linears: &[Linear], products: &[usize]) -> Vec<ReductionPass> {
    let mut all: Vec<ReductionPass> = Vec::new();
    let mut add = |source: &Source, channels_first: bool, linear: usize, role: TensorRole| {
        let reduction = OperatorReduction { linear, role, relu: source.relu };
        let same =
            |r: &&mut ReductionPass| r.value == source.value && r.channels_first == channels_first;
        match all.iter_mut().find(same) {
            Some(found) => found.reductions.push(reduction),
            None => all.push(ReductionPass {
                value: source.value.clone(),
                channels_first,
                reductions: vec![reduction],
            }),
        }
    };
    for i in products {
        let Some(linear) = linears.get(*i) else { continue };
        if !matches!(linear.arithmetic, Arithmetic::Floats { .. }) {
            continue;
        }
        let channels_first = matches!(linear.form, LinearForm::Conv(_));
        add(&linear.x, channels_first, *i, TensorRole::Input);
        let y = Source { value: linear.y.clone(), relu: false };
        add(&y, channels_first, *i, TensorRole::Output);
    }
    all
}
