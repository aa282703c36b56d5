//! The values that one run of a block gave.

/// The outputs of a block for one query, and what was given out for the check.
pub struct BlockOutputs<V> {
    names: Vec<String>,
    values: Vec<V>,
    /// The first so many are the block's outputs.
    outputs: usize,
}

impl<V> BlockOutputs<V> {
    /// `values` by `names`, of which the first `outputs` are the block's outputs.
    pub(super) fn new(names: Vec<String>, values: Vec<V>, outputs: usize) -> Self {
        Self { names, values, outputs }
    }

    /// The block's outputs by name, in the order of its header.
    pub fn into_outputs(self) -> impl Iterator<Item = (String, V)> {
        self.names.into_iter().zip(self.values).take(self.outputs)
    }

    /// An output, or what was given out besides.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&V> {
        self.values.get(self.names.iter().position(|n| n == name)?)
    }

    /// All that was given out, outputs first.
    pub(super) fn all(&self) -> &[V] {
        &self.values
    }

    #[cfg(test)]
    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut V> {
        self.values.get_mut(self.names.iter().position(|n| n == name)?)
    }
}

impl<V> std::fmt::Debug for BlockOutputs<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockOutputs").field("names", &self.names).finish_non_exhaustive()
    }
}
