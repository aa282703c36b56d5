//! Where elements lie, said in full: forms of slices, paddings and scattering in which the engine takes others than ONNX does,
//! or none.

use deepring::{DType, Dim};

use super::differences::Rewritten;
use super::upgrade::Upgrade;
use super::value_types::ValueType;
use crate::proto::NodeProto;

/// More places than this along an axis are not written out.
const MAX_PLACES: i64 = 1 << 20;

/// Longer than any axis: it stands in for infinity.
const FAR: i64 = 1 << 29;

/// The axes, where they are left out and there are fewer starts than axes: the engine wants one for each. Steps backwards
/// start within the axis, which the engine does not see to.
pub(super) fn slice(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    if node.arg(1).is_none() {
        // Attributes before version 10.
        let mut list = |name: &str| node.take_attr(name).map(|a| a.ints);
        let (Some(starts), Some(ends), axes) = (list("starts"), list("ends"), list("axes")) else {
            return Ok(Some(node));
        };
        let count = i64::try_from(starts.len()).unwrap_or(0);
        let axes = axes.filter(|axes| !axes.is_empty()).unwrap_or_else(|| (0..count).collect());
        let (starts, ends, axes) = (
            upgrade.ints(&format!("{y}.starts"), &starts),
            upgrade.ints(&format!("{y}.ends"), &ends),
            upgrade.ints(&format!("{y}.axes"), &axes),
        );
        node.input = vec![x, starts, ends, axes];
        return Ok(Some(node));
    }
    let starts = upgrade.elements(node.arg(1)).and_then(|n| i64::try_from(n).ok());
    if let Some(starts) = starts.filter(|n| node.arg(3).is_none() && *n <= MAX_PLACES) {
        let axes: Vec<i64> = (0..starts).collect();
        let axes = upgrade.ints(&format!("{y}.axes"), &axes);
        node.input.resize(node.input.len().max(4), String::new());
        node.set_input(3, axes);
    }
    let forwards = |upgrade: &Upgrade<'_>| {
        ints(upgrade, node.arg(4)).is_some_and(|steps| steps.iter().all(|s| *s > 0))
    };
    if node.arg(4).is_none() || forwards(upgrade) {
        return Ok(Some(node));
    }
    if !starts_within(upgrade, &mut node) {
        start_within(upgrade, &mut node);
    }
    Ok(reversed_first(upgrade, node))
}

/// The most axes of which the engine copies some backwards: of more it takes the length of a whole inner tensor for that of
/// what is copied of it, and panics.
const MOST_AXES_BACKWARDS: usize = 4;

/// A slice whose starts lie within their axes, as one that turns whole axes round and one that goes forwards in what came
/// out: place `i` is then place `-1 - i`, counted from the other end.
fn reversed_first(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Option<NodeProto> {
    let (x, y) = node.edge()?;
    if upgrade.shapes.rank(Some(&x)).is_some_and(|rank| rank <= MOST_AXES_BACKWARDS) {
        return Some(node);
    }
    let part = |suffix: &str| format!("{y}.{suffix}");
    let arg = |node: &NodeProto, i: usize| node.arg(i).map(str::to_owned).unwrap_or_default();
    let Some(ends) = near(upgrade, node.arg(2), &part("ends")) else { return Some(node) };
    let [none, last, first_end, last_end, one] =
        [("nothing", 0), ("ending", -1), ("before", -FAR), ("beyond", FAR), ("single", 1)]
            .map(|(name, value)| upgrade.ints(&part(name), &[value]));
    let (starts, steps) = (arg(&node, 1), arg(&node, 4));
    upgrade.push("Less", &[&steps, &none], &part("turned"));
    let mut either = |name: &str, turned: &str, kept: &str| {
        upgrade.push("Where", &[&part("turned"), turned, kept], &part(name));
        part(name)
    };
    let from = either("whole_from", &last, &none);
    let to = either("whole_to", &first_end, &last_end);
    let by = either("whole_by", &last, &one);
    upgrade.push("Slice", &[&x, &from, &to, &arg(&node, 3), &by], &part("turned_round"));
    for (name, places) in [("starts", &starts), ("ends", &ends)] {
        upgrade.push("Sub", &[&last, places], &part(&format!("{name}_behind")));
        let list = [&part("turned"), &part(&format!("{name}_behind")), places];
        upgrade.push("Where", &list.map(String::as_str), &part(&format!("{name}_then")));
    }
    upgrade.push("Abs", &[&steps], &part("steps_then"));
    node.set_input(0, part("turned_round"));
    node.set_input(1, part("starts_then"));
    node.set_input(2, part("ends_then"));
    node.set_input(4, part("steps_then"));
    Some(node)
}

/// A diagonal that no matrix reaches is as good where it is nearer.
pub(super) fn trilu(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let (Some((_, y)), Some(k)) = (node.edge(), node.arg(1).map(str::to_owned)) else {
        return Ok(Some(node));
    };
    let near = match ints(upgrade, Some(&k)).as_deref() {
        Some([k]) if (-FAR..=FAR).contains(k) => return Ok(Some(node)),
        Some([k]) => upgrade.int(&format!("{y}.diagonal"), *k.clamp(&-FAR, &FAR)),
        _ => {
            let part = |suffix: &str| format!("{y}.{suffix}");
            let (least, most) =
                (upgrade.int(&part("least"), -FAR), upgrade.int(&part("most"), FAR));
            upgrade.push("Max", &[&k, &least], &part("not_before"));
            upgrade.push("Min", &[&part("not_before"), &most], &part("diagonal"));
            part("diagonal")
        }
    };
    node.set_input(1, near);
    Ok(Some(node))
}

/// The elements of a small constant of integers.
fn ints(upgrade: &Upgrade<'_>, name: Option<&str>) -> Option<Vec<i64>> {
    let bytes = upgrade.constant_bytes(name)?;
    match upgrade.kind(name)? {
        ValueType::Tensor(DType::I64) => {
            Some(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
        }
        ValueType::Tensor(DType::I32) => {
            Some(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect())
        }
        _ => None,
    }
}

/// Writes the starts so that they lie within the axes, where constants and dimensions say which these are.
fn starts_within(upgrade: &mut Upgrade<'_>, node: &mut NodeProto) -> bool {
    let Some((x, y)) = node.edge() else { return false };
    let of = |arg: usize| ints(upgrade, node.arg(arg));
    let (Some(mut starts), Some(axes), Some(mut steps)) = (of(1), of(3), of(4)) else {
        return false;
    };
    let Some(dims) = upgrade.shapes.of(Some(&x)).cloned() else { return false };
    let rank = i64::try_from(dims.len()).unwrap_or(0);
    for (start, (axis, step)) in starts.iter_mut().zip(axes.iter().zip(&mut steps)) {
        if *step > 0 {
            continue;
        }
        let axis = usize::try_from(if *axis < 0 { axis.saturating_add(rank) } else { *axis });
        let size = axis.ok().and_then(|axis| dims.get(axis));
        let Some(size) = size.and_then(|d| match d {
            Dim::Fixed(n) => i64::try_from(*n).ok(),
            Dim::Named(_) => None,
        }) else {
            return false;
        };
        if size == 0 {
            (*start, *step) = (0, 1);
        } else {
            let from_before = if *start < 0 { start.saturating_add(size) } else { *start };
            *start = from_before.clamp(0, size - 1);
        }
    }
    let held = |v: &i64| *v.clamp(&i64::from(i32::MIN), &i64::from(i32::MAX));
    let (starts, steps): (Vec<_>, Vec<_>) =
        (starts.iter().map(held).collect(), steps.iter().map(held).collect());
    let (starts, steps) = (
        upgrade.ints(&format!("{y}.starts"), &starts),
        upgrade.ints(&format!("{y}.steps"), &steps),
    );
    node.set_input(1, starts);
    node.set_input(4, steps);
    true
}

/// Places of a constant, or of a query, that are no further off than any axis reaches, as 64-bit integers.
fn near(upgrade: &mut Upgrade<'_>, places: Option<&str>, wish: &str) -> Option<String> {
    if let Some(places) = ints(upgrade, places) {
        let near: Vec<i64> = places.iter().map(|at| *at.clamp(&-FAR, &FAR)).collect();
        return Some(upgrade.ints(wish, &near));
    }
    let part = |suffix: &str| format!("{wish}_{suffix}");
    let (least, most) =
        (upgrade.ints(&part("least"), &[-FAR]), upgrade.ints(&part("most"), &[FAR]));
    let mut from = places?.to_owned();
    // A cast would be guarded, and the guard stops at what is nearly beyond 32 bits.
    if upgrade.kind(Some(&from)) != Some(ValueType::Tensor(DType::I64)) {
        let int = i64::from(DType::I64.onnx());
        upgrade.push("Cast", &[&from], &part("wide")).set_int("to", int);
        from = part("wide");
    }
    upgrade.push("Max", &[&from, &least], &part("above"));
    upgrade.push("Min", &[&part("above"), &most], wish);
    Some(wish.to_owned())
}

/// As [`starts_within`], of dimensions that a query gives: an empty axis is stepped through forwards.
fn start_within(upgrade: &mut Upgrade<'_>, node: &mut NodeProto) {
    let arg = |i: usize| node.arg(i).map(str::to_owned);
    let (Some((x, y)), Some(steps)) = (node.edge(), arg(4)) else { return };
    let part = |suffix: &str| format!("{y}.{suffix}");
    let Some(starts) = near(upgrade, node.arg(1), &part("starts")) else { return };
    let (none, one) = (upgrade.ints(&part("none"), &[0]), upgrade.ints(&part("one"), &[1]));
    upgrade.push("Shape", &[&x], &part("shape"));
    match node.arg(3) {
        Some(axes) => upgrade.push("Gather", &[&part("shape"), axes], &part("sizes")),
        None => {
            upgrade.push("Shape", &[&starts], &part("count"));
            upgrade.push("Slice", &[&part("shape"), &none, &part("count"), &none], &part("sizes"))
        }
    };
    let int = i64::from(DType::I64.onnx());
    upgrade.push("Cast", &[&steps], &part("wide_steps")).set_int("to", int);
    upgrade.push("Less", &[&part("wide_steps"), &none], &part("backwards"));
    upgrade.push("Less", &[&starts, &none], &part("from_behind"));
    upgrade.push("Add", &[&starts, &part("sizes")], &part("counted"));
    upgrade.push("Where", &[&part("from_behind"), &part("counted"), &starts], &part("places"));
    upgrade.push("Sub", &[&part("sizes"), &one], &part("last"));
    upgrade.push("Min", &[&part("places"), &part("last")], &part("not_after"));
    upgrade.push("Max", &[&part("not_after"), &none], &part("within"));
    upgrade.push("Where", &[&part("backwards"), &part("within"), &starts], &part("from"));
    upgrade.push("Equal", &[&part("sizes"), &none], &part("empty"));
    upgrade.push("Where", &[&part("empty"), &one, &part("wide_steps")], &part("by"));
    let (from, by) = (part("from"), part("by"));
    // Bounds of another integer type would no longer be of one type with these.
    let end = node.arg(2).map(str::to_owned).unwrap_or_default();
    let axes = node.arg(3).map(str::to_owned).unwrap_or_default();
    let (mut to, mut along) = (end.clone(), axes.clone());
    if upgrade.kind(Some(&end)) == Some(ValueType::Tensor(DType::I32)) {
        to = part("to");
        upgrade.push("Cast", &[&end], &to).set_int("to", int);
        if !axes.is_empty() && !axes.starts_with(&y) {
            along = part("along");
            upgrade.push("Cast", &[&axes], &along).set_int("to", int);
        }
    }
    node.set_input(1, from);
    node.set_input(2, to);
    if !along.is_empty() {
        node.set_input(3, along);
    }
    node.set_input(4, by);
}

/// Paddings of some axes, written as those of all: the engine takes them for these.
pub(super) fn pad_all_axes(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let Some((x, y)) = node.edge() else { return Ok(Some(node)) };
    let Some(axes) = node.arg(3).map(str::to_owned) else { return Ok(Some(node)) };
    let (pads, axes) = (ints(upgrade, node.arg(1)), ints(upgrade, Some(&axes)));
    let (Some(pads), Some(axes), Some(rank)) = (pads, axes, upgrade.shapes.rank(Some(&x))) else {
        return Err(upgrade.differs(&node, "padding of axes that a query decides"));
    };
    let mut all = vec![0; 2 * rank];
    for (i, axis) in axes.iter().enumerate() {
        let axis = if *axis < 0 { axis.saturating_add(rank as i64) } else { *axis };
        let axis = usize::try_from(axis).ok().filter(|axis| *axis < rank);
        let (Some(axis), Some(before), Some(after)) = (axis, pads.get(i), pads.get(i + axes.len()))
        else {
            return Err(upgrade.differs(&node, "padding of axes that there are not"));
        };
        for (place, pad) in [(axis, before), (axis + rank, after)] {
            if let Some(all) = all.get_mut(place) {
                *all = *pad;
            }
        }
    }
    let all = upgrade.ints(&format!("{y}.pads"), &all);
    node.set_input(1, all);
    node.input.truncate(3);
    if node.arg(2).is_none() {
        node.input.truncate(2);
    }
    Ok(Some(node))
}

/// Which element stands where, along each axis that is padded: the engine pads the last two alone by what lies there.
pub(super) fn pad(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let mode = match node.attr_str("mode") {
        None | Some("constant") => return Ok(Some(node)),
        Some(mode) => mode.to_owned(),
    };
    let (Some((x, y)), Some(pads)) = (node.edge(), ints(upgrade, node.arg(1))) else {
        return Ok(Some(node));
    };
    let dims = upgrade.shapes.of(Some(&x)).cloned().unwrap_or_default();
    let rank = i64::try_from(dims.len()).unwrap_or(0);
    let axes = match node.arg(3) {
        Some(name) => ints(upgrade, Some(name)),
        None => Some((0..rank).collect()),
    };
    let (before, after) = pads.split_at(pads.len() / 2);
    let padded: Vec<(i64, i64, i64)> = axes
        .into_iter()
        .flatten()
        .zip(before.iter().zip(after))
        .map(|(axis, (before, after))| (if axis < 0 { axis + rank } else { axis }, *before, *after))
        .filter(|(_, before, after)| (*before, *after) != (0, 0))
        .collect();
    // Reflected more than once, the engine takes what lies elsewhere.
    let once = |axis: i64, pad: i64| {
        let size = usize::try_from(axis).ok().and_then(|axis| dims.get(axis));
        mode != "reflect" || !matches!(size, Some(Dim::Fixed(n)) if pad.unsigned_abs() >= *n)
    };
    if padded.iter().all(|(axis, before, after)| {
        let within = |pad: i64| pad >= 0 && once(*axis, pad);
        *axis >= rank - 2 && within(*before) && within(*after)
    }) {
        return Ok(Some(node));
    }
    let mut from = x;
    for (i, (axis, before, after)) in padded.iter().enumerate() {
        let size = usize::try_from(*axis).ok().and_then(|axis| dims.get(axis));
        let places = match size {
            Some(Dim::Fixed(size)) => places(&mode, *size, *before, *after),
            _ => None,
        };
        let Some(places) = places else {
            return Err(upgrade.differs(
                &node,
                "padding by what lies there, of a dimension that is open or empty",
            ));
        };
        let places = upgrade.ints(&format!("{y}.places{axis}"), &places);
        let to = if i + 1 == padded.len() { y.clone() } else { format!("{y}.along{axis}") };
        upgrade.push("Gather", &[&from, &places], &to).set_int("axis", *axis);
        from = to;
    }
    Ok(None)
}

/// For each place of a padded axis the one that it is taken from.
fn places(mode: &str, size: u64, before: i64, after: i64) -> Option<Vec<i64>> {
    let size = i64::try_from(size).ok().filter(|n| (1..=MAX_PLACES).contains(n))?;
    let end = size.checked_add(after)?;
    let count = end.checked_add(before)?;
    // What is cut off is cut off first: what lies there is what is left.
    let first = before.checked_neg()?.max(0);
    let left = end.min(size).checked_sub(first)?;
    if !(0..=MAX_PLACES).contains(&count) || left < 1 {
        return None;
    }
    let from = |at: i64| {
        let at = at - first;
        let within = match mode {
            "edge" => at.clamp(0, left - 1),
            "wrap" => at.rem_euclid(left),
            "reflect" if left == 1 => 0,
            "reflect" => {
                let at = at.rem_euclid(2 * (left - 1));
                at.min(2 * (left - 1) - at)
            }
            _ => return None,
        };
        Some(first + within)
    };
    (before.checked_neg()?..end).map(from).collect()
}

/// Where in a sequence something is put: from behind, the engine counts the one that is not there yet.
pub(super) fn sequence_insert(upgrade: &mut Upgrade<'_>, mut node: NodeProto) -> Rewritten {
    let (Some((sequence, y)), Some(at)) = (node.edge(), node.arg(2).map(str::to_owned)) else {
        return Ok(Some(node));
    };
    if upgrade.constant_bytes(Some(&at)).and_then(|b| b.last().copied()).is_some_and(|b| b < 128) {
        return Ok(Some(node));
    }
    let part = |suffix: &str| format!("{y}.{suffix}");
    let nothing = upgrade.int(&part("nothing"), 0);
    upgrade.push("Cast", &[&at], &part("at")).set_int("to", i64::from(DType::I64.onnx()));
    upgrade.push("SequenceLength", &[&sequence], &part("length"));
    upgrade.push("Add", &[&part("at"), &part("length")], &part("from_before"));
    upgrade.push("Less", &[&part("at"), &nothing], &part("from_behind"));
    let either = [part("from_behind"), part("from_before"), part("at")];
    upgrade.push("Where", &[&either[0], &either[1], &either[2]], &part("place"));
    node.set_input(2, part("place"));
    Ok(Some(node))
}

/// Each element's place in full, where fewer elements are written than lie along the other axes: the engine takes the
/// written ones for a stretch of the data as it lies in memory.
pub(super) fn scatter_elements(upgrade: &mut Upgrade<'_>, node: NodeProto) -> Rewritten {
    let arg = |i: usize| node.arg(i).map(str::to_owned);
    let (Some(x), Some(index), Some(updates)) = (arg(0), arg(1), arg(2)) else {
        return Ok(Some(node));
    };
    let Some((_, y)) = node.edge() else { return Ok(Some(node)) };
    let axis = node.attr_int("axis").unwrap_or(0);
    let dims = |name: &str| upgrade.shapes.of(Some(name)).cloned();
    let (data, written) = (dims(&x), dims(&index));
    let rank = match (&data, &written) {
        (Some(data), _) => data.len(),
        (_, Some(written)) => written.len(),
        (None, None) => return Err(upgrade.differs(&node, "a tensor of unknown rank")),
    };
    let rank = i64::try_from(rank).unwrap_or(0);
    let axis = if axis < 0 { axis + rank } else { axis };
    if !(0..rank).contains(&axis) {
        return Ok(Some(node));
    }
    if let (Some(data), Some(written)) = (&data, &written) {
        let whole = |(i, (d, w)): (usize, (&Dim, &Dim))| {
            i as i64 == axis || (matches!(d, Dim::Fixed(_)) && d == w)
        };
        if data.iter().zip(written).enumerate().all(whole) {
            return Ok(Some(node));
        }
    }
    let part = |suffix: &str| format!("{y}.{suffix}");
    let int = i64::from(DType::I64.onnx());
    let row = upgrade.ints(&part("row"), &[1, -1]);
    let flat = upgrade.ints(&part("flat"), &[-1]);
    let (nothing, place) = (upgrade.int(&part("nothing"), 0), upgrade.int(&part("axis"), axis));
    // Places from behind are counted from before.
    upgrade.push("Cast", &[&index], &part("index")).set_int("to", int);
    upgrade.push("Shape", &[&x], &part("data_shape"));
    upgrade.push("Gather", &[&part("data_shape"), &place], &part("size"));
    upgrade.push("Add", &[&part("index"), &part("size")], &part("from_before"));
    upgrade.push("Less", &[&part("index"), &nothing], &part("from_behind"));
    upgrade.push(
        "Where",
        &[&part("from_behind"), &part("from_before"), &part("index")],
        &part("along"),
    );
    // A row for each axis, a column for each element.
    upgrade.push("Shape", &[&index], &part("shape"));
    upgrade.push("ConstantOfShape", &[&part("shape")], &part("zeros"));
    upgrade.push("Equal", &[&part("zeros"), &part("zeros")], &part("all"));
    upgrade.push("NonZero", &[&part("all")], &part("places"));
    let bound = |upgrade: &mut Upgrade<'_>, name: &str, n: i64| upgrade.ints(&part(name), &[n]);
    let (first, at, next) =
        (bound(upgrade, "first", 0), bound(upgrade, "at", axis), bound(upgrade, "next", axis + 1));
    let (last, rows) = (bound(upgrade, "last", rank), bound(upgrade, "rows", 0));
    upgrade.push("Slice", &[&part("places"), &first, &at, &rows], &part("above"));
    upgrade.push("Slice", &[&part("places"), &next, &last, &rows], &part("below"));
    upgrade.push("Reshape", &[&part("along"), &row], &part("middle"));
    let parts = [part("above"), part("middle"), part("below")];
    upgrade.push("Concat", &[&parts[0], &parts[1], &parts[2]], &part("full")).set_int("axis", 0);
    upgrade.push("Transpose", &[&part("full")], &part("elements")).set_ints("perm", vec![1, 0]);
    upgrade.push("Reshape", &[&updates, &flat], &part("updates"));
    let scatter = upgrade.push("ScatterND", &[&x, &part("elements"), &part("updates")], &y);
    scatter
        .attribute
        .extend(node.attribute.into_iter().filter(|a| a.name.as_deref() == Some("reduction")));
    Ok(None)
}
