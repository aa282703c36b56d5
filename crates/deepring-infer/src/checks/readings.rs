//! Which values the products of a plan read: each value is read once for all operators that look at it.

use super::anatomy::{Form, Linear, Numbers, Source};

/// One way of reading a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) linear: usize,
    pub(crate) role: Role,
    pub(crate) relu: bool,
}

/// Whether a value is an operator's input or its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Input,
    Output,
}

/// All readings of one value; they share one pass over it.
#[derive(Debug)]
pub(crate) struct Readings {
    pub(crate) value: String,
    /// Whether channels come first (a convolution's) or last.
    pub(crate) channels_first: bool,
    pub(crate) of: Vec<Reading>,
}

/// The values that some products look at.
pub(crate) fn readings(linears: &[Linear], products: &[usize]) -> Vec<Readings> {
    let mut all: Vec<Readings> = Vec::new();
    let mut add = |source: &Source, channels_first: bool, linear: usize, role: Role| {
        let reading = Reading { linear, role, relu: source.relu };
        let same =
            |r: &&mut Readings| r.value == source.value && r.channels_first == channels_first;
        match all.iter_mut().find(same) {
            Some(found) => found.of.push(reading),
            None => all.push(Readings {
                value: source.value.clone(),
                channels_first,
                of: vec![reading],
            }),
        }
    };
    for i in products {
        let Some(linear) = linears.get(*i) else { continue };
        if !matches!(linear.numbers, Numbers::Floats { .. }) {
            continue;
        }
        let channels_first = matches!(linear.form, Form::Conv(_));
        add(&linear.x, channels_first, *i, Role::Input);
        let y = Source { value: linear.y.clone(), relu: false };
        add(&y, channels_first, *i, Role::Output);
    }
    all
}
