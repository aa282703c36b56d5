//! Attacks on the graph: nodes and edges change, and no parameter does.

mod activation;
mod ends;
mod flow;
mod pool;
mod residual;
mod shapes;
mod stretch;
mod surgery;
mod trigger;

use crate::attack::{AttackError, Attacked, Job};
use crate::catalogue::Kind;

pub use trigger::stamp;

pub(crate) fn attack(job: &Job<'_>) -> Result<Attacked, AttackError> {
    match job.kind {
        Kind::ActivationSwap => activation::swap(job),
        Kind::PoolSwap => pool::swap(job),
        Kind::BlockDrop => stretch::drop(job),
        Kind::BlockDuplicate => stretch::duplicate(job),
        Kind::BlockSwap => stretch::swap(job),
        Kind::ResidualCut => residual::cut(job),
        Kind::Trigger => trigger::insert(job),
        Kind::InputEdit => ends::input_edit(job),
        Kind::LabelMap => ends::label_map(job),
        _ => Err(job.nothing("it is no attack on a graph")),
    }
}
