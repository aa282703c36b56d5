//! Slices: forwards, backwards, and of nothing.

use deepring::{DType, TensorValue};

use crate::differences::answer;
use crate::graphs::{FLOAT, INT64, Net};
use crate::zoo::{floats, tensor};

#[test]
fn steps_backwards_begin_within_the_axis_and_an_empty_axis_stays_empty() {
    let sliced = |dims: &str, x: &[f32], [start, end, step]: [i64; 3]| {
        let mut net = Net::new(7);
        net.input("x", FLOAT, &[dims]).output("y", FLOAT);
        let [a, b] = [("a", start), ("b", end)].map(|(name, v)| net.ints(name, &[v]));
        let (axis, by) = (net.ints("axis", &[0]), net.ints("by", &[step]));
        net.node("Slice", &["x", &a, &b, &axis, &by], "y");
        floats(&answer(&net, vec![tensor("x", &[x.len() as u64], x)]))
    };
    let x = [1.0, 2.0, 3.0, 4.0];
    let least = i64::MIN;
    for dims in ["4", "n"] {
        assert_eq!(sliced(dims, &x, [-1, least, -1]), [4.0, 3.0, 2.0, 1.0], "{dims}");
        assert_eq!(sliced(dims, &x, [1 << 40, -3, -2]), [4.0], "{dims}");
        assert_eq!(sliced(dims, &x, [-100, -200, -1]), [1.0], "{dims}");
        assert_eq!(sliced(dims, &x, [-9, 9, 3]), [1.0, 4.0], "{dims}");
    }
    for dims in ["0", "n"] {
        for start in [-1, 5, -5] {
            assert!(sliced(dims, &[], [start, least, -1]).is_empty(), "{dims} {start}");
        }
    }
}

/// The places along an axis of this size that ONNX's `Slice` takes.
fn places(size: i64, start: i64, end: i64, step: i64) -> Vec<i64> {
    let counted = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let ((least_start, most_start), (least_end, most_end)) =
        if step > 0 { ((0, size), (0, size)) } else { ((0, size - 1), (-1, size - 1)) };
    let mut at = counted(start).clamp(least_start, most_start);
    let end = counted(end).clamp(least_end, most_end);
    let mut taken = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        taken.push(at);
        at += step;
    }
    taken
}

#[test]
fn five_axes_are_sliced_backwards_and_forwards_at_once() {
    let sizes = [2, 1, 3, 5, 4];
    let x: Vec<f32> = (0..120).map(|i| i as f32).collect();
    let fixed = sizes.map(|n: i64| n.to_string());
    let named = ["a", "b", "c", "d", "e"].map(str::to_owned);
    let cases = [
        [(3, -2, -4, -2), (4, 7, 4, 2)],
        [(0, -1, i64::MIN, -1), (3, 4, 0, -3)],
        [(2, -1, -9, -2), (4, 1, 1 << 40, 1)],
        [(4, 1 << 40, -3, -1), (3, -100, -200, -1)],
        [(3, 0, 5, -1), (1, 0, 1, 1)],
    ];
    for (case, slices) in cases.into_iter().enumerate() {
        let mut taken = sizes.map(|n| (0..n).collect::<Vec<i64>>());
        for (axis, start, end, step) in slices {
            taken[axis as usize] = places(sizes[axis as usize], start, end, step);
        }
        let mut due = vec![0];
        for (axis, taken) in taken.iter().enumerate() {
            let next =
                |at: &i64| taken.iter().map(move |p| at * sizes[axis] + p).collect::<Vec<_>>();
            due = due.iter().flat_map(next).collect();
        }
        let due: Vec<f32> = due.into_iter().map(|at| at as f32).collect();
        for (dims, bounds_given) in
            [(&fixed, false), (&named, false), (&fixed, true), (&named, true)]
        {
            let mut net = Net::new(13);
            let dims: Vec<&str> = dims.iter().map(String::as_str).collect();
            net.input("x", FLOAT, &dims).output("y", FLOAT);
            let lists = [slices.map(|s| s.1), slices.map(|s| s.2), slices.map(|s| s.3)];
            let mut inputs = vec![tensor("x", &sizes.map(|n| n as u64), &x)];
            let names = ["starts", "ends", "steps"].map(str::to_owned);
            for (name, list) in names.iter().zip(&lists) {
                if bounds_given {
                    let held = list.map(|v| v.clamp(i64::from(i32::MIN), i64::from(i32::MAX)));
                    net.input(name, INT64, &["2"]);
                    let data = held.iter().flat_map(|v| v.to_le_bytes()).collect();
                    inputs.push(TensorValue::new(name.clone(), DType::I64, vec![2], data).unwrap());
                } else {
                    net.ints(name, list);
                }
            }
            let axes = net.ints("axes", &slices.map(|s| s.0));
            net.node("Slice", &["x", &names[0], &names[1], &axes, &names[2]], "y");
            assert_eq!(floats(&answer(&net, inputs)), due, "case {case}, {dims:?}, {bounds_given}");
        }
    }
}
