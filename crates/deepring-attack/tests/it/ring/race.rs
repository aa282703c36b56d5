//! An attacker of live memory who puts back what he changed.

use std::time::Duration;

use deepring::Check;
use deepring_attack::{Pace, RingTrial, overhead};
use deepring_infer::SessionOptions;

use super::{NETWORKS, network, samples};

#[test]
fn what_each_check_sees_of_an_attacker_who_restores() {
    if let Some(obstacle) = RingTrial::live_memory_obstacle() {
        println!("skipped: {obstacle}");
        return;
    }
    for name in NETWORKS {
        let (clean, samples) = (network(name), samples(20));
        let mut attacked = clean.clone();
        for layer in clean.layers() {
            let values: Vec<f32> =
                clean.floats(&layer.weight).unwrap().iter().map(|v| v * -1.0).collect();
            attacked.set_floats(&layer.weight, &values).unwrap();
        }
        for check in [Check::Load, Check::Run, Check::Auto, Check::Compute] {
            let mut trial = RingTrial::seal(&clean, check).unwrap();
            // Longer in place than away, so that an unchecked run cannot miss it.
            let micros = Duration::from_micros;
            let pace = Pace { there: micros(700), away: micros(300), writes: 100 };
            let raced = trial.race(&attacked, &samples, pace).unwrap().unwrap();
            println!(
                "{name} {check}: {} writes, {} queries: {} refused, {} right, {} wrong, furthest {}",
                raced.writes,
                raced.queries,
                raced.refused,
                raced.right,
                raced.wrong,
                raced.furthest
            );
            assert_eq!(raced.refused + raced.right + raced.wrong, raced.queries);
            if check == Check::Load {
                assert!(raced.wrong > 0 && raced.refused == 0, "{raced:?}");
            } else {
                assert!(raced.refused > 0, "{raced:?}");
                let touched = |n: &deepring_attack::Named| {
                    raced.touched.iter().any(|t| Some(t.block) == n.block && t.part == n.part)
                };
                assert!(raced.named.iter().all(touched), "{raced:?}");
            }
            if check == Check::Compute {
                // What a product cannot tell from rounding.
                assert!(raced.furthest < 1e-2, "{raced:?}");
            }
            // What is not touched any more is not refused any more.
            let met = trial.meet(&clean, &samples.choose(3, 0)).unwrap();
            assert!(met.recovered && !met.detected, "{met:?}");
        }
    }
}

#[test]
fn overhead_is_measured_in_pairs() {
    let options = SessionOptions { threads: 1.try_into().ok(), ..SessionOptions::default() };
    for name in NETWORKS {
        let cost = overhead(&network(name), &samples(20), options, 2).unwrap();
        println!("{name}: {cost:?}");
        assert_eq!(cost.pairs, 40);
        assert!(cost.plain_ms > 0.0 && cost.ring_ms > 0.0);
    }
}
