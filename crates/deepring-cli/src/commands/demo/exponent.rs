//! One flipped bit: a seeded search for an exponent bit of one weight that does the most harm.

use deepring_infer::PlainModel;

use super::answers::Answers;
use super::attacks::{Attack, SEED};
use super::edits::{Edit, Tensor, edit_plain_file};
use super::setting::{PLAIN, Setting};
use crate::error::{CliError, Exit};
use crate::progress::Progress;

/// Bits that are tried.
const DRAWS: usize = 64;
/// Of the test images, every so manyth judges a bit in the search.
const EVERY: usize = 10;

/// The attack with the worst of the bits drawn. A bit that makes scores infinite or NaN counts only
/// where none leaves them finite: such answers a careful caller would notice without any ring.
pub(super) fn flip_one_bit(setting: &Setting, tensors: &[Tensor]) -> Result<Attack, CliError> {
    let file = setting.folder.read(PLAIN)?;
    let mut random = fastrand::Rng::with_seed(SEED);
    let progress = Progress::items("searching", DRAWS as u64);
    let mut worst: Option<((bool, usize), Edit)> = None;
    for _ in 0..DRAWS {
        let Some(edit) = draw(&mut random, tensors) else { continue };
        let harm = right_after(setting, &file, &edit)?;
        if worst.as_ref().is_none_or(|(least, _)| harm < *least) {
            worst = Some((harm, edit));
        }
        progress.add(1);
    }
    let (_, edit) =
        worst.ok_or_else(|| CliError::new(Exit::Failed, "the network has no weights"))?;
    let bit = edit
        .changes()
        .next()
        .map_or(0, |c| (c.before.to_bits() ^ c.after.to_bits()).trailing_zeros());
    Ok(Attack {
        slug: "exponent-bit",
        title: "one exponent bit",
        short: "one bit",
        what: format!("bit {bit} of one weight flipped, the worst of {DRAWS} exponent bits drawn"),
        edits: vec![edit],
    })
}

/// A random exponent bit (23 to 30) of a random weight.
fn draw(random: &mut fastrand::Rng, tensors: &[Tensor]) -> Option<Edit> {
    let weights: Vec<&Tensor> = tensors.iter().filter(|t| t.is_weight()).collect();
    let total: usize = weights.iter().map(|t| t.values.len()).sum();
    if total == 0 {
        return None;
    }
    let mut at = random.usize(0..total);
    let bit = random.u32(23..31);
    for tensor in weights {
        if at < tensor.values.len() {
            let mut after = tensor.values.clone();
            let value = after.get_mut(at)?;
            *value = f32::from_bits(value.to_bits() ^ (1 << bit));
            return Some(tensor.becoming(after));
        }
        at -= tensor.values.len();
    }
    None
}

/// Whether scores are not finite, and how many of some images are right after the edit.
fn right_after(setting: &Setting, file: &[u8], edit: &Edit) -> Result<(bool, usize), CliError> {
    let mut file = file.to_vec();
    edit_plain_file(&mut file, edit)?;
    let path = setting.folder.write("attacked-exponent-bit.onnx", &file)?;
    let model = PlainModel::load(&path, None)?;
    let queries = setting.queries.iter().step_by(EVERY);
    let outputs = queries.map(|query| model.run(query)).collect::<Result<Vec<_>, _>>()?;
    let truth: Vec<usize> = setting.sample.truth.iter().step_by(EVERY).copied().collect();
    let answers = Answers::of(&outputs);
    Ok((!answers.are_finite(), answers.right(&truth)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_flips_one_exponent_bit_of_one_weight() {
        let tensor = |block, dims: &[u64], n: usize| Tensor {
            block,
            name: format!("t{block}"),
            dims: dims.to_vec(),
            offset: 0,
            values: vec![0.5; n],
        };
        let tensors = [tensor(1, &[2, 2], 4), tensor(2, &[3], 3), tensor(3, &[1, 2], 2)];
        let draws = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..50).filter_map(|_| draw(&mut random, &tensors)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1).len(), 50);
        assert_eq!(draws(1), draws(1));
        for edit in draws(1) {
            assert_ne!(edit.block, 2, "a bias is not drawn");
            let changes: Vec<_> = edit.changes().collect();
            assert_eq!(changes.len(), 1);
            let bits = changes[0].before.to_bits() ^ changes[0].after.to_bits();
            assert!(bits.is_power_of_two() && (23..31).contains(&bits.trailing_zeros()));
        }
    }
}
