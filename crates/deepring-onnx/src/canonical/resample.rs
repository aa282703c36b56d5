//! Cubic interpolation between fixed sizes: along each axis, a product with a constant matrix.

use deepring::{DType, Dim};

use super::differences::Rewritten;
use super::upgrade::Upgrade;
use crate::proto::NodeProto;

/// Larger matrices are not written.
const MAX_ELEMENTS: u64 = 1 << 22;

/// One axis that is resampled.
struct Axis {
    at: usize,
    from: u64,
    to: u64,
    /// How many new places an old one becomes.
    scale: f64,
}

/// Which old place a new one is, and how the old ones around it count.
struct Kernel {
    mode: Mode,
    a: f64,
    /// True if only what lies within counts, and not what lies at the edge in the place of what lies beyond.
    within: bool,
}

#[derive(Clone, Copy)]
enum Mode {
    HalfPixel,
    Symmetric,
    HalfPixelOrFirst,
    Corners,
    Asymmetric,
}

/// Version 10 is an `Upsample` that may also take fewer places: which of these are the nearest, other programs do not agree on.
pub(super) fn of_version_10(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    if upgrade.opset() != 10 || node.op() != "Resize" {
        return Ok(Some(node));
    }
    let scales = upgrade.constant_bytes(node.arg(1)).unwrap_or_default();
    let grows = |b: &[u8; 4]| f32::from_le_bytes(*b) >= 1.0;
    let all = !scales.is_empty() && scales.as_chunks().0.iter().all(grows);
    let linear = node.attr_str("mode") == Some("linear");
    if !(all || linear && !scales.is_empty()) {
        return Err(upgrade.differs(&node, "version 10 of the operator, to fewer places"));
    }
    node.op_type = Some("Upsample".to_owned());
    Ok(Some(node))
}

/// Cubic interpolation, which the engine computes as linear, where sizes are known.
pub(super) fn cubic(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    if node.attr_str("mode") != Some("cubic") {
        return Ok(Some(node));
    }
    let refused = upgrade.differs(&node, "cubic interpolation of open sizes, or of this form");
    let Some((x, y)) = node.edge() else { return Err(refused) };
    let (Some(kernel), Some(axes)) = (kernel(&node), axes(upgrade, &node, &x)) else {
        return Err(refused);
    };
    // Where the last corner lies then, ONNX and onnxruntime do not agree on.
    let whole = |axis: &Axis| (axis.from as f64 * axis.scale - axis.to as f64).abs() < 1e-4;
    if matches!(kernel.mode, Mode::Corners) && !axes.iter().all(whole) {
        return Err(refused);
    }
    let rank = upgrade.shapes.rank(Some(&x)).unwrap_or(0);
    let mut from = x;
    for axis in &axes {
        let part = |suffix: &str| format!("{y}.{suffix}{}", axis.at);
        let bytes = kernel.matrix(axis).iter().flat_map(|v| v.to_le_bytes()).collect();
        let matrix = upgrade.constant(&part("matrix"), DType::F32, &[axis.from, axis.to], bytes);
        // The axis comes last, and goes back.
        let last = rank.saturating_sub(1);
        let order: Vec<i64> = (0..rank)
            .map(|i| {
                if i == axis.at {
                    last
                } else if i == last {
                    axis.at
                } else {
                    i
                }
            })
            .filter_map(|i| i64::try_from(i).ok())
            .collect();
        if axis.at != last {
            upgrade.push("Transpose", &[&from], &part("turned")).set_ints("perm", order.clone());
            from = part("turned");
        }
        upgrade.push("MatMul", &[&from, &matrix], &part("along"));
        from = part("along");
        if axis.at != last {
            upgrade.push("Transpose", &[&from], &part("back")).set_ints("perm", order);
            from = part("back");
        }
    }
    upgrade.push("Identity", &[&from], &y);
    Ok(None)
}

fn kernel(node: &NodeProto) -> Option<Kernel> {
    let mode = match node.attr_str("coordinate_transformation_mode").unwrap_or("half_pixel") {
        "half_pixel" => Mode::HalfPixel,
        "half_pixel_symmetric" => Mode::Symmetric,
        "pytorch_half_pixel" => Mode::HalfPixelOrFirst,
        "align_corners" => Mode::Corners,
        "asymmetric" => Mode::Asymmetric,
        _ => return None,
    };
    let plain = node.attr_int("antialias").unwrap_or(0) == 0
        && matches!(node.attr_str("keep_aspect_ratio_policy"), None | Some("stretch"));
    plain.then(|| Kernel {
        mode,
        a: node.attr_float("cubic_coeff_a").unwrap_or(-0.75).into(),
        within: node.attr_int("exclude_outside").unwrap_or(0) != 0,
    })
}

/// The axes that are resampled; `None` where a size is not known, or a matrix would be too large.
fn axes(upgrade: &Upgrade<'_>, node: &NodeProto, x: &str) -> Option<Vec<Axis>> {
    let dims = upgrade.shapes.of(Some(x))?;
    let given = |arg: usize| upgrade.constant_bytes(node.arg(arg)).filter(|b| !b.is_empty());
    let rank = i64::try_from(dims.len()).ok()?;
    let which: Vec<usize> = match node.attr_ints("axes") {
        Some(axes) => axes
            .iter()
            .map(|a| usize::try_from(if *a < 0 { *a + rank } else { *a }).ok())
            .collect::<Option<_>>()?,
        None => (0..dims.len()).collect(),
    };
    let (scales, sizes) = (given(2), given(3));
    let mut found = Vec::new();
    for (i, at) in which.into_iter().enumerate() {
        let dim = match dims.get(at)? {
            Dim::Fixed(n) => Some(*n).filter(|n| *n > 0),
            Dim::Named(_) => None,
        };
        let (from, to, scale) = match (&scales, &sizes) {
            (Some(scales), None) => {
                let scale = f32::from_le_bytes(*scales.as_chunks().0.get(i)?);
                if scale == 1.0 {
                    continue;
                }
                let from = dim?;
                (from, (from as f32 * scale).floor() as u64, f64::from(scale))
            }
            (None, Some(sizes)) => {
                let to = u64::try_from(i64::from_le_bytes(*sizes.as_chunks().0.get(i)?)).ok()?;
                let from = dim?;
                if from == to {
                    continue;
                }
                (from, to, to as f64 / from as f64)
            }
            _ => return None,
        };
        if to == 0 || from.checked_mul(to)? > MAX_ELEMENTS {
            return None;
        }
        found.push(Axis { at, from, to, scale });
    }
    Some(found)
}

impl Kernel {
    /// The weight of each old place (row) for each new one (column).
    fn matrix(&self, axis: &Axis) -> Vec<f32> {
        let (from, to) = (axis.from as usize, axis.to as usize);
        let mut matrix = vec![0f64; from * to];
        for column in 0..to {
            let place = self.place(axis, column as f64);
            let (first, rest) = (place.floor() - 1.0, place - place.floor());
            let inside = |i: usize| (0.0..from as f64).contains(&(first + i as f64));
            let mut worth = self.worth(rest);
            if self.within {
                let beyond = worth.iter_mut().enumerate().filter(|(i, _)| !inside(*i));
                beyond.for_each(|(_, worth)| *worth = 0.0);
                let sum: f64 = worth.iter().sum();
                worth = worth.map(|w| w / sum);
            }
            for (i, worth) in worth.into_iter().enumerate() {
                let row = (first + i as f64).clamp(0.0, from as f64 - 1.0) as usize;
                if let Some(element) = matrix.get_mut(row * to + column) {
                    *element += worth;
                }
            }
        }
        matrix.into_iter().map(|v| v as f32).collect()
    }

    fn place(&self, axis: &Axis, column: f64) -> f64 {
        let (from, to) = (axis.from as f64, axis.to as f64);
        let half = (column + 0.5) / axis.scale - 0.5;
        match self.mode {
            Mode::HalfPixel => half,
            Mode::Symmetric => from / 2.0 * (1.0 - to / (axis.scale * from)) + half,
            Mode::HalfPixelOrFirst if to > 1.0 => half,
            Mode::Corners if to > 1.0 => column * (from - 1.0) / (to - 1.0),
            Mode::HalfPixelOrFirst | Mode::Corners => 0.0,
            Mode::Asymmetric => column / axis.scale,
        }
    }

    /// Of the four places around, that lie `1 + r`, `r`, `1 - r` and `2 - r` away.
    fn worth(&self, r: f64) -> [f64; 4] {
        let a = self.a;
        let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
        let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
        [far(1.0 + r), near(r), near(1.0 - r), far(2.0 - r)]
    }
}
