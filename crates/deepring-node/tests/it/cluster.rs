//! Networks as they are set up: what each node is given, and what is refused.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use deepring::deal::Copies;
use deepring::{OpeningKey, Trust, UnverifiedRing};
use deepring_infer::CutPolicy;
use deepring_ledger::entry::UnverifiedEntry;
use deepring_ledger::{Event, State, ValidatorSet};
use deepring_node::cluster::{
    ClusterError, JoinRequest, LocalPlan, NetworkPlan, assemble, init, init_node, new_origin,
    node_folders,
};
use deepring_node::daemon::NodeConfig;
use deepring_testkit::zoo::{Sealed, host, network};

fn sealed() -> Sealed {
    Sealed::new(&network("fashion-lenet5"), CutPolicy::Op)
}

fn plan<'a>(sealed: &'a Sealed, copies: Copies, origin: &'a str) -> NetworkPlan<'a> {
    NetworkPlan {
        ring: &sealed.path,
        owner: &sealed.owner,
        copies,
        eager: false,
        origin,
        arbiter: None,
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_network_of_one_machine_has_all_that_its_nodes_need_and_its_ring_is_dealt_to_them() {
    let (sealed, place) = (sealed(), tempfile::tempdir().unwrap());
    let before = fs::read(&sealed.path).unwrap();
    let folder = place.path().join("net");
    let origin = new_origin();
    let local = LocalPlan { nodes: 4, first_port: 4100 };
    let made = init(&plan(&sealed, Copies::Three, &origin), local, &folder).unwrap();
    assert_eq!((made.folders.len(), made.legs.len()), (4, 4));
    assert_eq!(fs::read(&sealed.path).unwrap(), before, "the ring stays as it is");
    assert_eq!(names(place.path()).len(), 1);
    let nodes = node_folders(&folder).unwrap();
    assert_eq!(nodes.len(), 4);
    let set = fs::read(folder.join("validators.set")).unwrap();
    let set = ValidatorSet::decode_signed(&set).unwrap();
    assert_eq!((set.nodes.len(), set.origin.as_str()), (4, origin.as_str()));
    let mut listening = BTreeSet::new();
    for (n, node) in nodes.iter().enumerate() {
        let config = NodeConfig::read(&node.join("deepringd.toml")).unwrap();
        assert_eq!(config.owner, sealed.owner.public());
        assert_eq!(config.peers.len(), 3);
        listening.insert(config.file.validator.listen);
        listening.insert(config.file.host.as_ref().unwrap().listen);
        // The hosts of leg 1 open queries: three copies.
        assert_eq!(config.file.gateway.is_some(), n < 3, "{n}");
        let trust = Trust::owner(sealed.owner.public());
        let ring = UnverifiedRing::open(&config.file.ring).unwrap().authenticate(&trust).unwrap();
        assert!(ring.outline().deal().unwrap().legs.iter().all(|leg| leg.hosts.len() == 3));
        // What the log begins with has authority on it, in its order.
        let mut state = State::new(&origin);
        for path in &config.file.begin_with {
            let entry =
                UnverifiedEntry::decode(&fs::read(path).unwrap()).unwrap().verify().unwrap();
            state.advance(&entry).unwrap();
        }
        assert_eq!(state.validators(), Some(&set));
        assert!(
            state.newest(&ring.ring_id()).is_some_and(|o| o.digest() == ring.outline().digest())
        );
        #[cfg(unix)]
        for (path, mode) in [("node.key", 0o600), ("host.key", 0o600), ("", 0o700), ("..", 0o700)] {
            use std::os::unix::fs::PermissionsExt as _;
            let found = fs::metadata(node.join(path)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{path}");
        }
    }
    assert_eq!(listening.len(), 8);
}

#[test]
fn an_arbiter_is_granted_every_block_has_no_leg_and_is_named_to_every_host() {
    let (sealed, place) = (sealed(), tempfile::tempdir().unwrap());
    let folder = place.path().join("net");
    let (origin, arbiter) = (new_origin(), host(9).public());
    let plan = NetworkPlan { arbiter: Some(arbiter), ..plan(&sealed, Copies::Two, &origin) };
    init(&plan, LocalPlan { nodes: 4, first_port: 4100 }, &folder).unwrap();
    assert_eq!(node_folders(&folder).unwrap().len(), 4, "the arbiter's folder is no node's");
    let trust = Trust::owner(sealed.owner.public());
    let read = |path: &Path| UnverifiedRing::open(path).unwrap().authenticate(&trust).unwrap();
    let its = read(&folder.join("arbiter/model.ring"));
    let key = host(9);
    assert!(its.headers().iter().all(|header| its.is_for(header, OpeningKey::Host(&key))));
    let deal = its.outline().deal().unwrap();
    assert!(deal.legs.iter().all(|leg| !leg.hosts.contains(&arbiter)));
    assert!(!deal.genesis.contains(&arbiter));
    for node in node_folders(&folder).unwrap() {
        let config = NodeConfig::read(&node.join("deepringd.toml")).unwrap();
        assert_eq!(config.arbiter, Some(arbiter));
        assert_eq!(read(&config.file.ring).outline().digest(), its.outline().digest());
    }
}

#[test]
fn parties_that_keep_their_keys_join_by_requests() {
    let (sealed, place) = (sealed(), tempfile::tempdir().unwrap());
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let mut requests = Vec::new();
    for n in 0..3 {
        let folder = place.path().join(format!("party-{n}"));
        let at = (address(5000 + n), address(6000 + n));
        let request = init_node(&folder, at, (n == 0).then(|| address(7000))).unwrap();
        assert_eq!(JoinRequest::read(&folder.join("join.toml")).unwrap(), request);
        requests.push(request);
    }
    let out = place.path().join("out");
    let made = assemble(&plan(&sealed, Copies::Two, "log.example/a"), &requests, &out).unwrap();
    for (n, name) in made.folders.iter().enumerate() {
        let its = out.join(name);
        assert!(names(&its).iter().all(|name| !name.ends_with(".key")), "no key leaves its party");
        // The node's files go beside its keys, and then it has all that it needs.
        let party = place.path().join(format!("party-{n}"));
        for file in fs::read_dir(&its).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), party.join(file.file_name())).unwrap();
        }
        let config = NodeConfig::read(&party.join("deepringd.toml")).unwrap();
        for path in [&config.file.ring, &config.file.validators, &config.file.node_key] {
            assert!(path.is_file(), "{}", path.display());
        }
        assert_eq!(config.file.gateway.is_some(), n == 0);
    }
}

#[test]
fn what_cannot_be_a_network_is_refused_and_leaves_nothing_behind() {
    let (sealed, place) = (sealed(), tempfile::tempdir().unwrap());
    let folder = place.path().join("net");
    let origin = new_origin();
    let three = plan(&sealed, Copies::Three, &origin);
    let try_init = |nodes, first_port| init(&three, LocalPlan { nodes, first_port }, &folder);
    assert!(matches!(try_init(2, 4100), Err(ClusterError::Nodes { least: 3, .. })));
    assert!(matches!(try_init(101, 4100), Err(ClusterError::Nodes { most: 100, .. })));
    assert!(matches!(try_init(4, 65_530), Err(ClusterError::Ports { .. })));
    assert!(matches!(try_init(4, 0), Err(ClusterError::Unreachable { .. })));
    for bad in ["", "a name", "a+b", "line\nline", &"x".repeat(256)] {
        let bad = NetworkPlan { origin: bad, ..three.clone() };
        let refused = init(&bad, LocalPlan { nodes: 4, first_port: 4100 }, &folder);
        assert!(matches!(refused, Err(ClusterError::Origin(_))), "{refused:?}");
        assert!(matches!(assemble(&bad, &[], &folder), Err(ClusterError::Origin(_))));
    }
    let other = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let owner = deepring::SecretKey::generate().unwrap();
    let foreign = NetworkPlan { owner: &owner, ring: &other.path, ..three.clone() };
    let local = LocalPlan { nodes: 4, first_port: 4100 };
    assert!(matches!(init(&foreign, local, &folder), Err(ClusterError::Ring { .. })));
    let missing = NetworkPlan { ring: Path::new("nowhere.ring"), ..three.clone() };
    assert!(matches!(init(&missing, local, &folder), Err(ClusterError::Ring { .. })));
    assert_eq!(names(place.path()).len(), 0);
    fs::create_dir(&folder).unwrap();
    assert!(matches!(try_init(4, 4100), Err(ClusterError::Exists(_))));
    assert!(matches!(node_folders(&folder), Err(ClusterError::NoNodes(_))));

    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let request = |n: u16| {
        let at = (address(5000 + n), address(6000 + n));
        init_node(&place.path().join(format!("party-{n}")), at, None).unwrap()
    };
    let [a, b, c] = [0, 1, 2].map(request);
    let out = place.path().join("out");
    let two = plan(&sealed, Copies::Two, &origin);
    for twice in [
        JoinRequest { node: a.node.clone(), ..c.clone() },
        JoinRequest { host: a.host.clone(), ..c.clone() },
        JoinRequest { validator: a.hosting, ..c.clone() },
        JoinRequest { hosting: c.validator, ..c.clone() },
        JoinRequest { gateway: Some("[::ffff:127.0.0.1]:5000".parse().unwrap()), ..c.clone() },
    ] {
        let refused = assemble(&two, &[a.clone(), b.clone(), twice], &out);
        assert!(matches!(refused, Err(ClusterError::Twice { .. })), "{refused:?}");
    }
    for nowhere in ["0.0.0.0:0", "0.0.0.0:4100", "127.0.0.1:0", "[::]:4100"] {
        let at: SocketAddr = nowhere.parse().unwrap();
        let c = JoinRequest { hosting: at, ..c.clone() };
        let refused = assemble(&two, &[a.clone(), b.clone(), c], &out);
        assert!(matches!(refused, Err(ClusterError::Unreachable { .. })), "{refused:?}");
        let party = place.path().join("party-nowhere");
        let refused = init_node(&party, (at, address(6100)), None);
        assert!(matches!(refused, Err(ClusterError::Unreachable { .. })), "{refused:?}");
        assert!(!party.exists());
    }
    let swapped = JoinRequest { node: c.host.clone(), ..c };
    assert!(matches!(assemble(&two, &[a, b, swapped], &out), Err(ClusterError::Request { .. })));
    assert!(!out.exists());
}

#[test]
fn a_ring_of_fewer_blocks_than_nodes_leaves_some_nodes_without_a_leg() {
    let sealed = Sealed::new(&network("fashion-lenet5"), CutPolicy::Op);
    let blocks = sealed.ring().layers().len();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("net");
    let nodes = blocks + 2;
    let local = LocalPlan { nodes, first_port: 4100 };
    let origin = new_origin();
    let made = init(&plan(&sealed, Copies::Two, &origin), local, &folder).unwrap();
    assert_eq!(made.legs.len(), blocks);
    for (n, node) in node_folders(&folder).unwrap().iter().enumerate() {
        let config = NodeConfig::read(&node.join("deepringd.toml")).unwrap();
        assert_eq!(config.file.host.is_some(), n < blocks);
    }
    let entries = fs::read(folder.join("node-1/begin-with-1.entry")).unwrap();
    let entry = UnverifiedEntry::decode(&entries).unwrap().verify().unwrap();
    assert!(matches!(entry.event(), Event::ValidatorSet(set) if set.nodes.len() == nodes));
}
