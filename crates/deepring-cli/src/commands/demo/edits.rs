//! An edit of a parameter tensor, as bytes before and after, and how it is put onto stored bytes.

use deepring::{AuthenticRing, Dim, Owner, PartKind, SecretKey};

use crate::error::{CliError, Exit};

/// One parameter tensor of the network, where the ring has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) block: u32,
    pub(super) name: String,
    pub(super) dims: Vec<u64>,
    /// First byte in the block's plaintext.
    pub(super) offset: u64,
    pub(super) values: Vec<f32>,
}

/// A changed parameter tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edit {
    pub(super) block: u32,
    pub(super) tensor: String,
    pub(super) dims: Vec<u64>,
    /// First byte in the block's plaintext.
    pub(super) offset: u64,
    pub(super) before: Vec<f32>,
    pub(super) after: Vec<f32>,
}

/// All f32 parameters, opened with the owner's key.
pub(super) fn parameters(
    ring: &AuthenticRing,
    owner: &SecretKey<Owner>,
) -> Result<Vec<Tensor>, CliError> {
    let mut out = Vec::new();
    for header in ring.layers() {
        let mut plain = vec![0; usize::try_from(header.plain_len).unwrap_or(0)];
        ring.open_block(header.index, owner.into(), &mut plain)?;
        for part in &header.parts {
            let PartKind::Parameter(spec) = &part.kind else { continue };
            let range = part.offset as usize..part.end() as usize;
            let dims = spec.dims.iter().flatten().map(|d| match d {
                Dim::Fixed(n) => *n,
                Dim::Named(_) => 0,
            });
            out.push(Tensor {
                block: header.index,
                name: spec.name.clone(),
                dims: dims.collect(),
                offset: part.offset,
                values: floats(plain.get(range).unwrap_or_default()),
            });
        }
    }
    Ok(out)
}

impl Tensor {
    /// The edit that gives the tensor these values.
    pub(super) fn becoming(&self, after: Vec<f32>) -> Edit {
        Edit {
            block: self.block,
            tensor: self.name.clone(),
            dims: self.dims.clone(),
            offset: self.offset,
            before: self.values.clone(),
            after,
        }
    }

    /// A weight of a convolution or a dense layer, rather than a bias.
    pub(super) fn is_weight(&self) -> bool {
        self.dims.len() >= 2
    }

    /// A weight of a dense layer.
    pub(super) fn is_dense(&self) -> bool {
        self.dims.len() == 2
    }
}

/// A value that an edit changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    pub(super) element: usize,
    pub(super) before: f32,
    pub(super) after: f32,
}

impl Edit {
    /// The values that differ.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        let pairs = self.before.iter().zip(&self.after).enumerate();
        pairs.filter(|(_, (b, a))| b.to_bits() != a.to_bits()).map(|(element, (b, a))| Change {
            element,
            before: *b,
            after: *a,
        })
    }

    /// The differing bytes: place in the block's plaintext, and the bits that differ.
    pub(super) fn mask(&self) -> impl Iterator<Item = (u64, u8)> + '_ {
        self.changes().flat_map(|c| {
            let bits = (c.before.to_bits() ^ c.after.to_bits()).to_le_bytes();
            let first = self.offset + 4 * c.element as u64;
            (first..).zip(bits).filter(|(_, bits)| *bits != 0)
        })
    }

    /// An element's place in the tensor: `[3, 17]`.
    pub(super) fn place(&self, element: usize) -> String {
        let (mut rest, mut place) = (element as u64, Vec::new());
        for dim in self.dims.iter().rev() {
            place.push((rest % dim.max(&1)).to_string());
            rest /= dim.max(&1);
        }
        place.reverse();
        format!("[{}]", place.join(", "))
    }
}

/// Puts an edit onto a plain network's file, whose tensor is found by its bytes. No format is parsed: that
/// is all that it takes.
pub(super) fn edit_plain_file(file: &mut [u8], edit: &Edit) -> Result<(), CliError> {
    let (before, after) = (bytes(&edit.before), bytes(&edit.after));
    let mut found = (0..file.len().saturating_sub(before.len()) + 1)
        .filter(|at| file.get(*at..at + before.len()) == Some(&before[..]));
    let (first, second) = (found.next(), found.next());
    match (first, second) {
        (Some(at), None) => {
            if let Some(place) = file.get_mut(at..at + after.len()) {
                place.copy_from_slice(&after);
            }
            Ok(())
        }
        _ => {
            let message = format!("tensor `{}` is not once in the plain file", edit.tensor);
            Err(CliError::new(Exit::Failed, message))
        }
    }
}

/// Puts an edit onto a ring's file without any key: where a cipher works as a stream, the bits that are
/// flipped in the ciphertext are flipped in the plaintext.
pub(super) fn edit_ring_file(
    file: &mut [u8],
    ring: &AuthenticRing,
    edit: &Edit,
) -> Result<(), CliError> {
    for (offset, bits) in edit.mask() {
        let at = ring.stored_at(edit.block, offset).and_then(|at| usize::try_from(at).ok());
        let byte = at.and_then(|at| file.get_mut(at));
        let missing = || format!("tensor `{}` is not where the ring has it", edit.tensor);
        *byte.ok_or_else(|| CliError::new(Exit::Failed, missing()))? ^= bits;
    }
    Ok(())
}

pub(super) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit() -> Edit {
        let tensor = Tensor {
            block: 2,
            name: "w".to_owned(),
            dims: vec![2, 2],
            offset: 128,
            values: vec![1.0, 2.0, 3.0, 4.0],
        };
        tensor.becoming(vec![1.0, 2.0, -3.0, 5.0])
    }

    #[test]
    fn the_mask_turns_the_bytes_before_into_those_after() {
        let edit = edit();
        let mut stored = vec![0; 128];
        stored.extend(bytes(&edit.before));
        for (at, bits) in edit.mask() {
            stored[usize::try_from(at).unwrap()] ^= bits;
        }
        assert_eq!(stored[128..], bytes(&edit.after));
        // The sign of the third element is one bit of its highest byte.
        assert_eq!(edit.mask().next(), Some((128 + 11, 0x80)));
        assert_eq!(edit.changes().count(), 2);
    }

    #[test]
    fn a_plain_file_is_edited_where_the_tensor_is() {
        let edit = edit();
        let mut file = [b"head".to_vec(), bytes(&edit.before), b"tail".to_vec()].concat();
        edit_plain_file(&mut file, &edit).unwrap();
        assert_eq!(file, [b"head".to_vec(), bytes(&edit.after), b"tail".to_vec()].concat());
        assert!(edit_plain_file(&mut file, &edit).is_err());
        let mut twice = [bytes(&edit.before), bytes(&edit.before)].concat();
        assert!(edit_plain_file(&mut twice, &edit).is_err());
        assert!(edit_plain_file(&mut [0; 3], &edit).is_err());
    }

    #[test]
    fn a_place_is_told_by_its_dimensions() {
        assert_eq!(edit().place(3), "[1, 1]");
        assert_eq!(Edit { dims: vec![10], ..edit() }.place(7), "[7]");
    }
}
