use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::catalogue::Scope;
use crate::network::made::{floats, made, node};
use crate::samples::Samples;

fn network() -> Network {
    let nodes = vec![
        node("MatMul", &["x", "wa"], "a"),
        node("Relu", &["a"], "r"),
        node("MatMul", &["r", "wb"], "b"),
        node("MatMul", &["b", "wc"], "y"),
    ];
    let weight = |name| floats(name, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    made(&[0, 2], nodes, vec![weight("wa"), weight("wb"), weight("wc")])
}

fn context<'a>(network: &'a Network, options: &'a Options, stream: u64) -> AttackContext<'a> {
    AttackContext {
        network,
        kind: "made-up",
        stream,
        options,
        evaluator: None,
        stop: None,
        progress: &|_| (),
    }
}

fn seeded(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

#[test]
fn an_attack_is_made_on_its_own_targets_only() {
    let network = network();
    let samples = Samples::new(vec![2], vec![0.0; 2], vec![0]).unwrap();
    let files = RingFiles { given: Path::new("given"), with: &[], made: Path::new("made") };
    let live = LiveRing { network: &network, samples: &samples };
    for kind in Kind::all() {
        let (options, name) = (seeded(1), kind.name());
        if !kind.is_on_networks() {
            let refused = attack(&network, *kind, &options, None, &|_| ());
            assert!(matches!(refused, Err(AttackError::NotOnNetworks { kind }) if kind == name));
        }
        if !matches!(kind.scope(), Scope::Ring | Scope::Receipt | Scope::Ledger) {
            let refused = attack(&files, *kind, &options, None, &|_| ());
            assert!(matches!(refused, Err(RingAttackError::NotOnFiles { kind }) if kind == name));
        }
        if kind.scope() != Scope::LiveMemory {
            let refused = attack(&live, *kind, &options, None, &|_| ());
            assert!(matches!(refused, Err(RingTrialError::NotInMemory { kind }) if kind == name));
        }
    }
}

#[test]
fn an_attack_on_files_names_the_file_that_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let (given, out) = (folder.path().join("given"), folder.path().join("made"));
    let files = RingFiles { given: &given, with: &[], made: &out };
    for (kind, wanted) in [
        (Kind::RingReseal, "the tampered network"),
        (Kind::RingSplice, "the older ring"),
        (Kind::RingRollback, "the older ring"),
        (Kind::OutputSwap, "the honest output"),
    ] {
        let refused = attack(&files, kind, &seeded(1), None, &|_| ()).unwrap_err();
        assert!(matches!(refused, RingAttackError::NeedsFile { what } if what == wanted), "{kind}");
    }
    // The target itself is not there, and nothing is made of it.
    for kind in [Kind::RingFlip, Kind::RingRelabel, Kind::ReceiptReplay, Kind::LedgerFork] {
        let refused = attack(&files, kind, &seeded(1), None, &|_| ()).unwrap_err();
        let named = refused.to_string();
        assert!(named.contains("given"), "{kind}: {named}");
    }
    assert!(!out.exists());
}

#[test]
fn the_numbers_of_an_attack_are_its_seeds_and_its_own() {
    let network = network();
    let first = |seed, stream| context(&network, &seeded(seed), stream).random().u64(..);
    let seeds = [0, 1, 2, 1 << 32, u64::MAX];
    let drawn: BTreeSet<u64> =
        seeds.iter().flat_map(|seed| (0..44).map(move |stream| first(*seed, stream))).collect();
    assert_eq!(drawn.len(), seeds.len() * 44);
    assert_eq!(first(7, 3), first(7, 3));
}

#[test]
fn a_layer_is_found_by_its_name_or_its_weight_or_drawn_among_those_that_fit() {
    let network = network();
    let options =
        |layer: Option<&str>, seed| Options { layer: layer.map(str::to_owned), ..seeded(seed) };
    let found = |layer: Option<&str>, seed, fits: &dyn Fn(&crate::network::Layer) -> bool| {
        let options = options(layer, seed);
        let context = context(&network, &options, 0);
        context.layer(&mut context.random(), fits).map(|l| l.weight)
    };
    assert_eq!(found(Some("b"), 1, &|_| true).unwrap(), "wb");
    assert_eq!(found(Some("wc"), 1, &|_| true).unwrap(), "wc");
    match found(Some("r"), 1, &|_| true) {
        Err(AttackError::NoLayer { name, there }) => {
            assert_eq!((name.as_str(), there), ("r", vec!["a".into(), "b".into(), "y".into()]));
        }
        other => panic!("{other:?}"),
    }
    let unfit = found(Some("b"), 1, &|l| l.weight != "wb").unwrap_err();
    assert_eq!(unfit.to_string(), "`made-up` finds nothing to attack: layer `b` does not fit");
    let drawn: BTreeSet<String> =
        (0..40).map(|seed| found(None, seed, &|l| l.weight != "wb").unwrap()).collect();
    assert_eq!(drawn, ["wa".to_owned(), "wc".to_owned()].into());
    assert!(matches!(found(None, 1, &|_| false), Err(AttackError::NotApplicable { .. })));
}

#[test]
fn flips_are_those_asked_for_or_as_many_as_there_are() {
    let network = network();
    let of = |flips, default, most| {
        let options = Options { flips, ..Options::default() };
        context(&network, &options, 0).flips(default, most, "things")
    };
    assert_eq!((of(None, 10, 64).unwrap(), of(None, 10, 4).unwrap()), (10, 4));
    assert_eq!((of(Some(1), 10, 4).unwrap(), of(Some(4), 10, 4).unwrap()), (1, 4));
    for wrong in [0, 5, usize::MAX] {
        match of(Some(wrong), 10, 4) {
            Err(AttackError::Option { option: "flips", found, reason }) => {
                assert_eq!(found, wrong.to_string());
                assert_eq!(reason, "it must be 1 to 4, the number of things");
            }
            other => panic!("{other:?}"),
        }
    }
    // Of nothing there is no flip, not even by default.
    assert!(of(None, 10, 0).is_err());
}

#[test]
fn an_attack_that_left_everything_as_it_was_is_none() {
    let network = network();
    let options = Options::default();
    let context = context(&network, &options, 0);
    let unchanged = context.changed(context.made(network.clone(), "nothing done")).unwrap_err();
    assert!(
        unchanged.to_string().ends_with("nothing done, and that changes nothing"),
        "{unchanged}"
    );
    let mut other = network.clone();
    other.set_floats("wa", &[1.0, 2.0, 3.0, -4.0]).unwrap();
    let changed = context.changed(context.made(other.clone(), "done")).unwrap();
    assert_eq!((changed.network, changed.what.as_str()), (other, "done"));
    assert_eq!((changed.steps, changed.reached), (vec![], None));
    assert!(matches!(context.evaluator(), Err(AttackError::NeedsSamples { kind: "made-up" })));
}
