//! Dimensions of what operators produce that move, select or reduce elements.

use deepring::Dim;

use super::super::fold::{axis_of, reshaped};
use super::super::graph::Graph;
use super::{Shape, Shapes, broadcast, fixed, unknown, unnamed};
use crate::proto::NodeProto;
use crate::read::{ImportError, MAX_RANK};

/// Each output's shape where it is known.
pub(super) fn of_node(
    shapes: &Shapes,
    graph: &Graph,
    node: &NodeProto,
) -> Result<Vec<Option<Shape>>, ImportError> {
    let output = node.output.first().map(String::as_str).unwrap_or_default();
    let Some(x) = shapes.of(node.arg(0)) else { return Ok(Vec::new()) };
    let axis = |default: i64| axis_of(node.attr_int("axis").unwrap_or(default), x.len());
    let shape = match node.op() {
        "Flatten" => axis(1).map(|axis| {
            let (left, right) = x.split_at(axis);
            vec![product(left, output, 0), product(right, output, 1)]
        }),
        "Reshape" => {
            let keep_zero = node.attr_int("allowzero").unwrap_or(0) != 0;
            match graph.ints(node.arg(1))? {
                Some(shape) => Some(reshape(x, &shape, keep_zero, output)),
                // The number of dimensions is the length of the shape tensor.
                None => shapes.length(node.arg(1)).map(|rank| unknown(output, rank)),
            }
        }
        "Transpose" => match node.attr_ints("perm") {
            None => Some(x.iter().rev().cloned().collect()),
            Some(perm) => perm.iter().map(|&p| x.get(usize::try_from(p).ok()?).cloned()).collect(),
        },
        "Unsqueeze" => graph.axes(node)?.and_then(|axes| {
            let rank = Some(x.len() + axes.len()).filter(|&r| r <= MAX_RANK)?;
            let axes: Option<Vec<usize>> = axes.iter().map(|&a| axis_of(a, rank)).collect();
            let (axes, mut rest) = (axes?, x.iter());
            let dim =
                |i| if axes.contains(&i) { Some(Dim::Fixed(1)) } else { rest.next().cloned() };
            (0..rank).map(dim).collect()
        }),
        "Squeeze" => graph.axes(node)?.and_then(|axes| {
            let axes: Option<Vec<usize>> = axes.iter().map(|&a| axis_of(a, x.len())).collect();
            let axes = axes?;
            Some(without(x, &axes))
        }),
        "Concat" => axis(0).and_then(|axis| concat(shapes, node, axis, output)),
        "Split" => return Ok(split(node, x, axis(0))),
        "Gather" => axis(0).zip(shapes.of(node.arg(1))).map(|(axis, indices)| {
            let (left, right) = (x.iter().take(axis), x.iter().skip(axis + 1));
            left.chain(indices).chain(right).cloned().collect()
        }),
        "GatherElements" => shapes.of(node.arg(1)).cloned(),
        "Slice" | "Tile" | "Resize" | "Upsample" | "Pad" | "DepthToSpace" | "SpaceToDepth"
        | "ReverseSequence" => Some(unknown(output, x.len())),
        "Expand" => match graph.ints(node.arg(1))? {
            Some(shape) => fixed(&shape).map(|dims| broadcast(x, &dims, output)),
            None => shapes.length(node.arg(1)).map(|rank| unknown(output, rank.max(x.len()))),
        },
        "TopK" => {
            let axis = axis(-1);
            let of = |name: &String| {
                let mut dims = x.clone();
                *dims.get_mut(axis?)? = unnamed(output, axis?);
                (!name.is_empty()).then_some(dims)
            };
            return Ok(node.output.iter().map(of).collect());
        }
        "ArgMax" | "ArgMin" => {
            axis(0).map(|axis| reduced(x, &[axis], node.attr_int("keepdims").unwrap_or(1) != 0))
        }
        op if op.starts_with("Reduce") => reduce(graph, node, x)?,
        _ => None,
    };
    Ok(vec![shape])
}

fn product(dims: &[Dim], output: &str, axis: usize) -> Dim {
    let fixed = dims.iter().try_fold(1u64, |n, d| match d {
        Dim::Fixed(k) => n.checked_mul(*k),
        Dim::Named(_) => None,
    });
    let mut others = dims.iter().filter(|d| **d != Dim::Fixed(1));
    match (fixed, others.next(), others.next()) {
        (Some(n), _, _) => Dim::Fixed(n),
        (None, Some(only), None) => only.clone(),
        _ => unnamed(output, axis),
    }
}

fn reshape(x: &[Dim], shape: &[i64], keep_zero: bool, output: &str) -> Shape {
    let fixed: Option<Vec<u64>> = x
        .iter()
        .map(|d| match d {
            Dim::Fixed(n) => Some(*n),
            Dim::Named(_) => None,
        })
        .collect();
    if let Some(out) = fixed.and_then(|dims| reshaped(&dims, shape, keep_zero)) {
        return out.into_iter().map(Dim::Fixed).collect();
    }
    let dim = |(i, &d): (usize, &i64)| match d {
        0 if !keep_zero => x.get(i).cloned().unwrap_or_else(|| unnamed(output, i)),
        d => u64::try_from(d).map_or_else(|_| unnamed(output, i), Dim::Fixed),
    };
    shape.iter().enumerate().map(dim).collect()
}

fn concat(shapes: &Shapes, node: &NodeProto, axis: usize, output: &str) -> Option<Shape> {
    let parts: Option<Vec<&Shape>> =
        (0..node.input.len()).map(|i| shapes.of(node.arg(i))).collect();
    let parts = parts?;
    let mut out = (*parts.first()?).clone();
    if parts.iter().any(|p| p.len() != out.len()) {
        return None;
    }
    for (i, dim) in out.iter_mut().enumerate() {
        let mut dims = parts.iter().filter_map(|p| p.get(i));
        if i != axis {
            if let Some(fixed) = dims.find(|d| matches!(d, Dim::Fixed(_))) {
                *dim = fixed.clone();
            }
            continue;
        }
        let sum = dims.try_fold(0u64, |n, d| match d {
            Dim::Fixed(k) => n.checked_add(*k),
            Dim::Named(_) => None,
        });
        *dim = sum.map_or_else(|| unnamed(output, i), Dim::Fixed);
    }
    Some(out)
}

fn split(node: &NodeProto, x: &Shape, axis: Option<usize>) -> Vec<Option<Shape>> {
    let of = |(index, name): (usize, &String)| {
        let axis = axis?;
        let mut dims = x.clone();
        let size = node.attr_ints("split").and_then(|s| s.get(index)).copied();
        let size = size.and_then(|s| u64::try_from(s).ok()).map(Dim::Fixed);
        *dims.get_mut(axis)? = size.unwrap_or_else(|| unnamed(name, axis));
        Some(dims)
    };
    node.output.iter().enumerate().map(of).collect()
}

fn reduce(graph: &Graph, node: &NodeProto, x: &Shape) -> Result<Option<Shape>, ImportError> {
    let keep = node.attr_int("keepdims").unwrap_or(1) != 0;
    let axes = graph.axes(node)?;
    let given = node.arg(1).is_some();
    Ok(match axes {
        Some(axes) if !axes.is_empty() => {
            let axes: Option<Vec<usize>> = axes.iter().map(|&a| axis_of(a, x.len())).collect();
            axes.map(|axes| reduced(x, &axes, keep))
        }
        None if given => None,
        _ if node.attr_int("noop_with_empty_axes").unwrap_or(0) != 0 => Some(x.clone()),
        _ => Some(reduced(x, &(0..x.len()).collect::<Vec<_>>(), keep)),
    })
}

fn reduced(x: &[Dim], axes: &[usize], keep: bool) -> Shape {
    if !keep {
        return without(x, axes);
    }
    let dim = |(i, d): (usize, &Dim)| if axes.contains(&i) { Dim::Fixed(1) } else { d.clone() };
    x.iter().enumerate().map(dim).collect()
}

fn without(x: &[Dim], axes: &[usize]) -> Shape {
    x.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, d)| d.clone()).collect()
}
