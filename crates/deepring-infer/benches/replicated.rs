//! The cost of hops and of validation: each beside what it is compared with, in turn, in one process.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot set up has nothing to measure, and prints what it measured"
)]

use deepring::deal::{Copies, DealPlan};
use deepring::{Check, TensorValue};
use deepring_infer::{CutPolicy, PlainModel, RunError, Session, SessionOptions};
use deepring_measure::{PairSummary, Rounds, in_turn, timed};
use deepring_testkit::zoo::{Sealed, copies, host, images, network};

const ROUNDS: Rounds = Rounds { warm_up: 50, pairs: 100, more_of_short: true };

/// A session of one thread with the keys of hosts 1 to `hosts`.
fn session(ring: &Sealed, hosts: u8) -> Session {
    let keys: Vec<_> = (1..=hosts).map(host).collect();
    let options = SessionOptions {
        check: Check::Auto,
        threads: 1.try_into().ok(),
        ..SessionOptions::default()
    };
    Session::open(ring.ring(), &keys, options).expect("the keys open it")
}

fn compare(what: &str, base: &dyn Fn(), measured: &dyn Fn()) {
    let run = |work: &dyn Fn()| {
        let done = timed(|| {
            work();
            Ok::<(), RunError>(())
        });
        done.map(|(time, ())| time)
    };
    let pairs =
        in_turn(&mut || run(base), &mut || run(measured), ROUNDS).expect("queries are answered");
    let summary = PairSummary::of(&pairs, 1);
    let [ratio, spread, _] = summary.ratio.cells();
    println!(
        "{what:<58} {:>8.3} ms {:>8.3} ms  {ratio} ({spread})",
        summary.base_ms, summary.measured_ms
    );
}

fn main() {
    let input = images(0, 1);
    let ask = |session: &Session, input: &TensorValue| {
        std::hint::black_box(session.run(vec![input.clone()]).expect("the ring answers"));
    };
    for (name, legs) in [
        ("fashion-lenet5", [(1, 1), (2, 2), (3, 4), (5, 5)]),
        ("fashion-resnet8", [(1, 2), (3, 5), (6, 7), (8, 0)]),
    ] {
        let model = network(name);
        let alone = Sealed::new(&model, CutPolicy::Op);
        let last = u32::try_from(alone.ring().layers().len()).unwrap_or(u32::MAX);
        let legs = legs.map(|(first, end)| (first, if end == 0 { last } else { end }));
        let dealt: Vec<(u32, u32, u8)> =
            legs.iter().zip(1..).map(|((first, end), host)| (*first, *end, host)).collect();
        let names: Vec<(String, u8)> =
            dealt.iter().map(|(first, end, host)| (format!("{first}-{end}"), *host)).collect();
        let spread: Vec<(&str, u8)> = names.iter().map(|(b, h)| (b.as_str(), *h)).collect();
        let middle = legs[1].1;
        let two = [(format!("1-{middle}"), 1), (format!("{}-{last}", middle + 1), 2)];
        let two: Vec<(&str, u8)> = two.iter().map(|(b, h)| (b.as_str(), *h)).collect();
        let of = |plan: DealPlan| Sealed::dealt(&model, &dealt, plan);
        let eager = DealPlan { eager: true, ..copies(Copies::Three) };
        let rings = [
            alone,
            Sealed::for_hosts(&model, CutPolicy::Op, &two),
            Sealed::for_hosts(&model, CutPolicy::Op, &spread),
            of(copies(Copies::Two)),
            of(copies(Copies::Three)),
            of(eager),
        ];
        let hosts = [1, 2, 4, 4, 4, 4];
        let [one, two, four, validated, majority, all] =
            [0, 1, 2, 3, 4, 5].map(|i| session(&rings[i], hosts[i]));
        let plain = PlainModel::unaltered(&model, 1.try_into().ok()).expect("the zoo loads");
        let ask_plain = || {
            std::hint::black_box(plain.run(std::slice::from_ref(&input)).expect("it answers"));
        };
        println!("{name}: base, measured, ratio (a tenth below and above)");
        let row = |what: &str, base: &Session, measured: &Session| {
            compare(what, &|| ask(base, &input), &|| ask(measured, &input));
        };
        compare("  one host, beside plain", &ask_plain, &|| ask(&one, &input));
        row("  control: one host, beside itself", &one, &one);
        row("  two hosts (two hops), beside one", &one, &two);
        row("  four hosts (four hops), beside one", &one, &four);
        row("  four legs, two copies, beside four hosts", &four, &validated);
        row("  four legs, three copies, beside two copies", &validated, &majority);
        row("  four legs, three copies, eager, beside two copies", &validated, &all);
    }
}
