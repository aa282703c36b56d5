//! Attacks on the graph: nodes and edges change, and no parameter does.

mod activation;
mod ends;
mod flow;
mod pool;
mod residual;
mod segment;
mod shapes;
mod surgery;
mod trigger;

pub(crate) use activation::swap as activation_swap;
pub(crate) use ends::{input_edit, label_map};
pub(crate) use pool::swap as pool_swap;
pub(crate) use residual::cut as residual_cut;
pub(crate) use segment::{drop as block_drop, duplicate as block_duplicate, swap as block_swap};
pub use trigger::apply_trigger;
pub(crate) use trigger::insert as trigger;

#[cfg(test)]
mod tests;
