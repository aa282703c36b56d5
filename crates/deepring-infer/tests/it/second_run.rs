//! Outputs that are beyond the bound of the product, and within what some order of adding up gives: computed anew, from a
//! verified copy, wherever they are.

use deepring::Check;
use deepring_infer::CutPolicy;

use crate::graphs::{FLOAT, Net, int};
use crate::racing::{edit, raced};
use crate::zoo::{Sealed, floats, tensor};

/// Terms of one sum: what rounding can add up to in the worst order is far more than what it does.
const K: usize = 65_536;

/// An infinity in one group leaves a place without sums. The other groups' outputs are numbers, and held as strictly.
#[test]
fn an_infinity_in_one_group_hides_nothing_in_another() {
    let mut net = Net::new(3);
    net.input("x", FLOAT, &["1", "131072", "1", "1"]).output("y", FLOAT);
    let weights = net.randoms(4 * K, 1.0);
    let w = net.floats("w", &[4, K as i64, 1, 1], &weights);
    net.node("Log", &["x"], "l");
    net.node("Conv", &["l", &w], "y").attribute = vec![int("group", 2)];
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let mut x: Vec<f32> = (0..2 * K).map(|_| 2.5 + net.random()).collect();
    for infinite in [false, true] {
        if infinite {
            x[7] = 0.0;
        }
        let input = tensor("x", &[1, 2 * K as u64, 1, 1], &x);
        for share in [0.001f32, 0.003, -0.007] {
            let (session, attacker) = raced(&ring, Check::Compute);
            session.run(vec![input.clone()]).unwrap();
            // The first output of the second group lower, the other one higher.
            edit(&session, &attacker, "w", move |i, w| match i / K {
                2 => w - share * w.abs(),
                3 => w + share * w.abs(),
                _ => w,
            });
            let refused = session.run(vec![input.clone()]).unwrap_err();
            assert!(refused.finding().is_some(), "{infinite} {share}: {refused}");
        }
    }
}

/// A row whose finite terms add up to more than a float holds says nothing about itself; about the other one it takes nothing.
#[test]
fn a_row_out_of_range_hides_nothing_in_another() {
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["2", "65536"]).output("y", FLOAT);
    let weights = net.randoms(3 * K, 1.0);
    let w = net.floats("w", &[3, K as i64], &weights);
    let large = net.floats("large", &[1], &[1e17]);
    net.node("Mul", &["x", &large], "z");
    net.node("Gemm", &["z", &w], "y").attribute = vec![int("transB", 1)];
    let folder = tempfile::tempdir().unwrap();
    let ring = Sealed::new(&net.save(folder.path()), CutPolicy::Auto);
    let row = |net: &mut Net, size: f32| -> Vec<f32> {
        (0..K).map(|_| (0.6 + 0.4 * net.random()) * size).collect()
    };
    let (vast, ordinary) = (row(&mut net, 2e17), row(&mut net, 1e-17));
    for (second, share) in [(&ordinary, 0.0075f32), (&ordinary, 2.0), (&vec![0.0; K], 2.0)] {
        let input = tensor("x", &[2, K as u64], &[&vast[..], second].concat());
        let (session, attacker) = raced(&ring, Check::Auto);
        let honest = session.run(vec![input.clone()]).unwrap();
        assert!(floats(&honest.outputs[0][0]).iter().all(|y| y.is_finite()));
        let down = move |_: usize, w: f32| if share == 2.0 { -w } else { w - share * w.abs() };
        edit(&session, &attacker, "w", down);
        let refused = session.run(vec![input]).unwrap_err();
        assert!(refused.finding().is_some(), "{share}: {refused}");
    }
}
