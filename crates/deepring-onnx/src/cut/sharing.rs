//! Which parameters several blocks use, so that each is stored once.

use std::collections::{BTreeMap, HashMap, HashSet};

use deepring::block::SHARED_ALIGNMENT;
use deepring::{DType, Dim, TensorSpec};

use super::Param;
use super::build::ALIGNMENT;
use crate::canonical::CanonicalModel;
use crate::proto::NodeProto;
use crate::read::ImportError;
use crate::scope::needs;

/// File name under which a block's graph refers to parameters that it shares with others.
pub const SHARED_FILE: &str = "shared.data";
/// Shorter tensors are repeated: what they would save, their pages and headers cost.
const WORTH: u64 = 4096;
/// Most groups; what further ones would share is repeated.
const MOST_GROUPS: usize = 1024;

/// Parameters that the same blocks use.
#[derive(Debug)]
#[non_exhaustive]
pub struct SharedParams {
    /// The blocks, counted from 0, ascending.
    pub users: Vec<usize>,
    /// The parameters in the order of their place.
    pub params: Vec<Param>,
}

impl SharedParams {
    /// Bytes from the first parameter's beginning to the last one's end.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.params.last().map_or(0, |p| p.offset + p.len)
    }

    /// Returns whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }
}

/// The parameters that are shared, and where each block finds them.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    pub(super) groups: Vec<SharedParams>,
    /// For each shared tensor, its group and its place there.
    places: HashMap<String, (usize, u64)>,
}

impl Sharing {
    /// Finds the tensors that more than one block reads, of those that an engine reads where they lie. `blocks` are the
    /// nodes and outputs of each.
    pub(super) fn find<'a>(
        model: &CanonicalModel,
        blocks: impl Iterator<Item = (Vec<&'a NodeProto>, &'a [String])>,
    ) -> Result<Self, ImportError> {
        let mut users: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (block, (nodes, outputs)) in blocks.enumerate() {
            let read: HashSet<String> =
                nodes.into_iter().flat_map(needs).chain(outputs.iter().cloned()).collect();
            for name in read {
                if is_worth(model, &name) {
                    users.entry(name).or_default().push(block);
                }
            }
        }
        let mut groups: BTreeMap<Vec<usize>, Vec<String>> = BTreeMap::new();
        for (name, users) in users.into_iter().filter(|(_, users)| users.len() > 1) {
            groups.entry(users).or_default().push(name);
        }
        let mut sharing = Self::default();
        for (users, names) in groups.into_iter().take(MOST_GROUPS) {
            let group = sharing.groups.len();
            let (mut params, mut end) = (Vec::new(), 0u64);
            for name in names {
                let Some(param) = param(model, &name, end.next_multiple_of(ALIGNMENT)) else {
                    continue;
                };
                end = param.offset.checked_add(param.len).ok_or(ImportError::TooLarge {
                    what: "bytes of parameters",
                    limit: u64::MAX,
                })?;
                sharing.places.insert(name, (group, param.offset));
                params.push(param);
            }
            sharing.groups.push(SharedParams { users, params });
        }
        Ok(sharing)
    }

    /// The groups that a block uses, in order.
    pub(super) fn used_by(&self, block: usize) -> impl Iterator<Item = usize> + '_ {
        let uses = move |g: &&SharedParams| g.users.binary_search(&block).is_ok();
        (0..).zip(&self.groups).filter(move |(_, g)| uses(g)).map(|(i, _)| i)
    }

    /// Where a block finds a tensor, counted from the first that it shares; `None` if it does not share that.
    pub(super) fn place(&self, block: usize, name: &str) -> Option<u64> {
        let (group, offset) = self.places.get(name)?;
        let mut end = 0u64;
        for used in self.used_by(block) {
            let start = end.checked_next_multiple_of(SHARED_ALIGNMENT)?;
            if used == *group {
                return start.checked_add(*offset);
            }
            end = start.checked_add(self.groups.get(used)?.len())?;
        }
        None
    }
}

/// Returns whether the engine reads elements of this type where they lie; others are in the graph.
pub(super) fn is_in_place(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::I32 | DType::I8 | DType::U8)
}

fn is_worth(model: &CanonicalModel, name: &str) -> bool {
    let Some(tensor) = model.graph.constant(Some(name)) else { return false };
    let len = model.graph.source(tensor).map_or(0, crate::read::ParamSource::len);
    tensor.dtype().is_some_and(is_in_place) && len >= WORTH
}

fn param(model: &CanonicalModel, name: &str, offset: u64) -> Option<Param> {
    let tensor = model.graph.constant(Some(name))?;
    let source = model.graph.source(tensor)?;
    let dims = tensor.sizes().into_iter().map(Dim::Fixed).collect();
    let spec = TensorSpec { name: name.to_owned(), dtype: tensor.dtype()?, dims: Some(dims) };
    Some(Param { spec, offset, len: source.len(), source: source.clone() })
}
