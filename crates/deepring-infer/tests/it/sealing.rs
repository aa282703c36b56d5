//! Sealing networks: what is refused and that nothing is lost by it, versions, labels, export and grant.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use deepring::maintenance::grant;
use deepring::receipt::Require;
use deepring::{AuthenticRing, Check, OpeningKey, Trust, TrustStore, UnverifiedRing, Verdict};
use deepring_infer::exporting::export_ring;
use deepring_infer::inputs::Preprocess;
use deepring_infer::sealing::{Blocks, SealModelError, SealProgress};
use deepring_infer::{CutPolicy, RunError, Seal, Session, SessionOptions};

use crate::graphs::{self, FLOAT, Net, ints};
use crate::zoo::{NETWORKS, Sealed, answer, host, images, network, owner, plain};

fn authentic(path: &Path) -> AuthenticRing {
    UnverifiedRing::open(path).unwrap().authenticate(&Trust::owner(owner(1).public())).unwrap()
}

/// Seals onto a file that is there already, expects a refusal, and that the file and its folder are as before.
fn refused(net: &Path, ask: impl Fn(Seal) -> Seal) -> SealModelError {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("net.ring");
    fs::write(&target, "what was there before").unwrap();
    let owner = owner(1);
    let error = ask(Seal::new(net, &owner)).write(&target, &|_| ()).unwrap_err();
    assert_eq!(fs::read_to_string(&target).unwrap(), "what was there before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
    error
}

#[test]
fn what_the_engine_lacks_is_refused_by_the_name_of_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let case = |op: &str, rank: usize, attributes: Vec<_>, kernel: bool| {
        let mut net = Net::new(3);
        let dims = ["1", "2", "6", "6", "6"];
        net.input("x", FLOAT, &dims[..rank]).output("y", FLOAT);
        // A linear operator before it, so that the refusal is not in the first block.
        let w = net.floats("w", &[1], &[0.5]);
        net.node("Mul", &["x", &w], "scaled");
        let k = net.param("k", &[2, 2, 3, 3, 3]);
        let inputs = if kernel { vec!["scaled", k.as_str()] } else { vec!["scaled"] };
        let node = net.node(op, &inputs, "y");
        node.attribute = attributes;
        node.name = None;
        net.save(folder.path())
    };
    for op in ["RoiAlign", "Det"] {
        let net = case(op, 2, vec![], false);
        let error = refused(&net, |s| s.host(Blocks::All, host(1).public()));
        assert!(error.to_string().contains(op), "{error}");
        assert!(matches!(error, SealModelError::Engine { .. }), "{error}");
    }
    // Known by name, but not for three dimensions of space; only a trial run shows it.
    for (op, kernel) in [("AveragePool", false), ("MaxPool", false), ("Conv", true)] {
        let net = case(op, 5, vec![ints("kernel_shape", &[3, 3, 3])], kernel);
        let error = refused(&net, |s| s.host(Blocks::All, host(1).public()));
        assert!(error.to_string().contains(op), "{error}");
    }
    // Known by name, but not with this attribute.
    let attributes = vec![ints("kernel_shape", &[2, 2]), ints("dilations", &[2, 2])];
    let net = case("MaxPool", 4, attributes, false);
    let error = refused(&net, |s| s.host(Blocks::All, host(1).public()));
    assert!(error.to_string().contains("MaxPool"), "{error}");
    // An operator of somebody's own.
    let mut net = Net::new(3);
    net.input("x", FLOAT, &["1", "2"]).output("y", FLOAT);
    net.node("FancyOp", &["x"], "y").domain = Some("com.example".to_owned());
    let error = refused(&net.save(folder.path()), |s| s.host(Blocks::All, host(1).public()));
    assert!(error.to_string().contains("FancyOp"), "{error}");
}

/// The engine's shape inference indexes beyond the end here; a panic must not pass through a sealing.
#[test]
fn a_network_on_which_the_engine_panics_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(1);
    net.input("x", FLOAT, &["2", "0"]).output("y", graphs::INT64);
    // Of nothing there is no largest: reversed, it is stepped through from its last element.
    net.node("ArgMax", &["x"], "y").attribute = vec![graphs::int("axis", 1)];
    let path = net.save(folder.path());
    let error = refused(&path, |s| s.host(Blocks::All, host(1).public()));
    assert!(error.to_string().contains("ArgMax"), "{error}");
}

#[test]
fn files_that_are_no_networks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    let good = fs::read(network("fashion-lenet5")).unwrap();
    let contents: [&[u8]; 4] = [b"", b"not a network", &good[..good.len() / 2], &good[..20]];
    for content in contents {
        fs::write(&file, content).unwrap();
        let error = refused(&file, |s| s.host(Blocks::All, host(1).public()));
        assert!(matches!(error, SealModelError::Import(_)), "{error}");
    }
    let error = refused(&folder.path().join("nowhere.onnx"), |s| s);
    assert!(matches!(error, SealModelError::Import(_)), "{error}");
}

#[test]
fn each_block_needs_a_host_and_each_host_a_block_that_is_there() {
    let net = network("fashion-lenet5");
    let some = |blocks: &'static str| {
        refused(&net, move |s| s.cut(CutPolicy::Op).host(blocks.parse().unwrap(), host(1).public()))
    };
    assert!(matches!(some("1-2,4-5"), SealModelError::NoHost { block: 3 }));
    assert!(matches!(some("2-5"), SealModelError::NoHost { block: 1 }));
    assert!(matches!(some("1-6"), SealModelError::NoSuchBlock { block: 6, count: 5 }));
    assert!(matches!(some("1-5,99"), SealModelError::NoSuchBlock { block: 99, count: 5 }));
    assert!(matches!(some("1-4294967295"), SealModelError::NoSuchBlock { .. }));
    assert!(matches!(refused(&net, |s| s), SealModelError::NoHost { block: 1 }));
    let many = refused(&net, |s| s.cut("99".parse().unwrap()).host(Blocks::All, host(1).public()));
    assert!(matches!(many, SealModelError::Cut(_)), "{many}");
    for nonsense in ["", "0", "0-3", "3-1", "a", "1-", "-1", "1,,2", "1;2", "99999999999"] {
        assert!(nonsense.parse::<Blocks>().is_err(), "{nonsense}");
    }
}

#[test]
fn a_selection_beyond_the_last_block_stays_one_that_can_be_refused() {
    let indices = |text: &str| text.parse::<Blocks>().unwrap().indices(5);
    assert_eq!(indices("2-3,5"), Some(vec![2, 3, 5]));
    assert!(indices("4-4294967295").unwrap().contains(&6));
    assert_eq!(indices("7"), Some(vec![7]));
    assert_eq!(Blocks::All.indices(5), None);
}

#[test]
fn versions_go_up_and_each_names_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (owner_key, host_key) = (owner(1), host(1).public());
    let (lenet, resnet) = (network("fashion-lenet5"), network("fashion-resnet8"));
    let seal = |net: &Path| Seal::new(net, &owner_key).host(Blocks::All, host_key);

    let first = seal(&lenet).write(&at("1.ring"), &|_| ()).unwrap();
    let one = authentic(&at("1.ring"));
    assert_eq!((first.model_version, one.previous()), (1, None));
    // Another network altogether is an upgrade all the same: the id says whose line it is.
    seal(&resnet).upgrade_of(&one).write(&at("2.ring"), &|_| ()).unwrap();
    let two = authentic(&at("2.ring"));
    assert_eq!((two.ring_id(), two.model_version()), (one.ring_id(), 2));
    assert_eq!(two.previous(), Some(one.digest()));
    seal(&lenet).upgrade_of(&two).model_version(10).write(&at("10.ring"), &|_| ()).unwrap();
    let ten = authentic(&at("10.ring"));
    assert_eq!((ten.ring_id(), ten.model_version()), (one.ring_id(), 10));
    assert_eq!(ten.previous(), Some(two.digest()));

    for version in [0, 1, 2] {
        let error = refused(&lenet, |s| {
            s.host(Blocks::All, host_key).upgrade_of(&two).model_version(version)
        });
        let SealModelError::Version { given, previous } = error else { panic!("{error}") };
        assert_eq!((given, previous), (version, 2));
    }
    let foreign = Seal::new(&lenet, owner(2))
        .host(Blocks::All, host_key)
        .upgrade_of(&two)
        .write(&at("foreign.ring"), &|_| ())
        .unwrap_err();
    assert!(matches!(foreign, SealModelError::ForeignPrevious));

    // Who saw version 2 takes 2 and 10, and never 1 again.
    let mut store = TrustStore::open(&at("trust.json")).unwrap();
    store.remember(&two).unwrap();
    let trust = Trust::owner(owner_key.public()).and_store(&store);
    UnverifiedRing::open(&at("2.ring")).unwrap().authenticate(&trust).unwrap();
    UnverifiedRing::open(&at("10.ring")).unwrap().authenticate(&trust).unwrap();
    let old = UnverifiedRing::open(&at("1.ring")).unwrap().authenticate(&trust).unwrap_err();
    let deepring::RingError::Refused(report) = old else { panic!("{old}") };
    assert_eq!(report.verdict, Verdict::Stale);
}

#[test]
fn labels_recipe_and_names_are_sealed_in_genesis() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Auto);
    let labels: Vec<String> = (0..10).map(|i| format!("kind {i} \u{1f455}")).collect();
    let recipe: Preprocess = "resize=28,color=gray,scale=1/255".parse().unwrap();
    let host_key = host(1).public();
    let target = ring.folder.path().join("labelled.ring");
    let (planned, done) = (Cell::new(0), Cell::new(0));
    Seal::new(&network("fashion-lenet5"), &ring.owner)
        .host(Blocks::All, host_key)
        .labels(labels.clone())
        .preprocess(recipe.clone())
        .write(&target, &|p| match p {
            SealProgress::Planned { bytes, .. } => planned.set(bytes),
            SealProgress::Sealed { bytes } => done.set(done.get() + bytes),
        })
        .unwrap();
    assert!(planned.get() > 0 && done.get() >= planned.get(), "{done:?} of {planned:?}");
    let session = Session::open(authentic(&target), &[host(1)], SessionOptions::default()).unwrap();
    let manifest = session.manifest().unwrap();
    assert_eq!(manifest.labels, labels);
    assert_eq!(manifest.preprocess.parse::<Preprocess>().unwrap(), recipe);
    let file = fs::read(&target).unwrap();
    let plain_label = labels[3].as_bytes();
    assert!(!file.windows(plain_label.len()).any(|w| w == plain_label), "labels are encrypted");
    let long = refused(&network("fashion-lenet5"), |s| {
        s.host(Blocks::All, host_key).labels(vec!["short".to_owned(), "x".repeat(5000)])
    });
    assert!(long.to_string().contains("label 2"), "{long}");
}

#[test]
fn a_target_that_cannot_be_written_is_an_error_and_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let owner = owner(1);
    let net = network("fashion-lenet5");
    for target in [folder.path().to_owned(), folder.path().join("no/such/folder/net.ring")] {
        let sealed = Seal::new(&net, &owner).host(Blocks::All, host(1).public());
        let error = sealed.write(&target, &|_| ()).unwrap_err();
        assert!(matches!(error, SealModelError::Seal(_)), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_exported_network_run_plain_answers_as_the_ring() {
    let input = images(0, 16);
    for (name, _) in NETWORKS {
        for cut in [CutPolicy::Auto, CutPolicy::Op] {
            let ring = Sealed::new(&network(name), cut);
            let exported = ring.folder.path().join("exported.onnx");
            export_ring(&ring.ring(), OpeningKey::Owner(&ring.owner), &exported, &|_| ()).unwrap();
            let wanted = answer(&ring.session(Check::Run), &input);
            let gap = crate::zoo::difference(&plain(&exported, &input), &wanted);
            println!("{name}, {cut:?}: export differs by {gap:e} of the peak");
            assert!(gap <= 1e-5, "{gap:e}");
            // And it can be sealed again.
            let again = Sealed::new(&exported, cut);
            let gap = crate::zoo::difference(&answer(&again.session(Check::Run), &input), &wanted);
            assert!(gap <= 1e-5, "{gap:e}");
        }
    }
}

#[test]
fn only_who_opens_every_block_can_export() {
    let ring = Sealed::for_hosts(&network("fashion-lenet5"), CutPolicy::Op, &[("", 1), ("1-3", 2)]);
    let target = ring.folder.path().join("exported.onnx");
    let export = |seed| export_ring(&ring.ring(), OpeningKey::Host(&host(seed)), &target, &|_| ());
    for seed in [2, 3] {
        assert!(export(seed).is_err());
        assert!(!target.exists());
    }
    export(1).unwrap();
    assert!(target.exists());
}

#[test]
fn a_granted_host_runs_the_ring_and_old_receipts_stay_valid() {
    let ring = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let input = images(0, 2);
    let before = ring.session(Check::Run).run(vec![input.clone()]).unwrap();
    let keys = [host(2)];
    let open = || Session::open(ring.ring(), &keys, SessionOptions::default());
    assert!(matches!(open().unwrap_err(), RunError::NoKey { block: 1, .. }));
    let trust = Trust::owner(ring.owner.public());
    let verified = UnverifiedRing::open(&ring.path).unwrap().verify(&trust, &|_| ()).unwrap();
    let grant_to = |blocks: Option<&[u32]>| {
        grant(&verified, &ring.owner, &host(2).public(), blocks, &ring.path).unwrap()
    };
    assert_eq!(grant_to(Some(&[1, 2])), 3);
    assert!(matches!(open().unwrap_err(), RunError::NoKey { block: 3, .. }));
    assert_eq!(grant_to(None), 6);
    let after = open().unwrap().run(vec![input]).unwrap();
    assert_eq!(after.outputs, before.outputs);
    before.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
    after.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
}

#[test]
fn sealing_twice_gives_the_same_answers_under_different_bytes() {
    let net = network("fashion-lenet5");
    let (a, b) = (Sealed::new(&net, CutPolicy::Op), Sealed::new(&net, CutPolicy::Op));
    assert_ne!(a.ring().ring_id(), b.ring().ring_id());
    for (x, y) in a.ring().headers().iter().zip(b.ring().headers()) {
        assert_ne!(x.body_digest, y.body_digest, "each block has a random key of its own");
        assert_ne!(
            x.content_digest, y.content_digest,
            "a digest must not tell equal weights apart"
        );
    }
    let input = images(0, 1);
    let answers = [&a, &b].map(|r| answer(&r.session(Check::Run), &input));
    assert_eq!(answers[0], answers[1]);
}
