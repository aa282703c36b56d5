use deepring::files::write_key_pair;
use deepring::keys::AuthorKey;
use deepring::{Owner, PublicKey};
use deepring_ledger::{Binding, Entry, Event};

use super::*;
use crate::daemon::NodeConfig;

const ORIGIN: &str = "deepring.local/ledger/test";

fn node(n: u8) -> SecretKey<Node> {
    SecretKey::from_halves(&[n; 32], &[n + 100; 32]).unwrap()
}

fn owner() -> SecretKey<Owner> {
    SecretKey::from_halves(&[77; 32], &[78; 32]).unwrap()
}

/// A set of these nodes, as its owner signs it.
fn signed(origin: &str, epoch: u64, nodes: &[u8]) -> Vec<u8> {
    let mut nodes: Vec<PublicKey<Node>> = nodes.iter().map(|n| node(*n).public()).collect();
    nodes.sort_by_key(|node| *node.as_bytes());
    let owners = vec![owner().public()];
    let event =
        Event::ValidatorSet(ValidatorSet { epoch, origin: origin.to_owned(), owners, nodes });
    let key: AuthorKey = owner().into();
    Entry::sign(Binding::new(origin, epoch), 0, &event, &key).unwrap().as_bytes().to_vec()
}

/// Node 1, whose peers are 2 and 3.
struct Place {
    folder: tempfile::TempDir,
    config: CheckedConfig,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    write_key_pair(folder.path(), &node(1)).unwrap();
    fs::write(folder.path().join("validators.set"), signed(ORIGIN, 1, &[1, 2, 3])).unwrap();
    let peers = [2, 3].map(|n| {
        format!("[[peer]]\nnode = \"{}\"\nvalidator = \"127.0.0.1:410{n}\"\n", node(n).public())
    });
    let text = format!(
        "ring = \"model.ring\"\nowner = \"{}\"\nvalidators = \"validators.set\"\ndata = \"data\"\nnode_key = \"node.key\"\n\n\
         [validator]\nlisten = \"127.0.0.1:4100\"\n\n{}",
        owner().public(),
        peers.concat()
    );
    let config = NodeConfig::parse(&text, Path::new("node.toml"), folder.path()).unwrap();
    Place { folder, config }
}

impl Place {
    fn approve(&self, entry: &[u8]) -> Result<ValidatorSet, NodeError> {
        let path = self.folder.path().join("next.set");
        fs::write(&path, entry).unwrap();
        approve(&self.config, &path)
    }

    fn approved(&self) -> Result<Option<Submission>, NodeError> {
        approved(&Places::below(&self.config.file.data).approved)
    }
}

#[test]
fn what_is_approved_is_that_entry_until_another_one_is_or_it_is_withdrawn() {
    let place = place();
    assert!(place.approved().unwrap().is_none());
    assert!(!withdraw(&place.config).unwrap());
    for entry in [signed(ORIGIN, 2, &[1, 2]), signed(ORIGIN, 2, &[2, 3])] {
        assert_eq!(place.approve(&entry).unwrap().nodes.len(), 2);
        assert_eq!(place.approved().unwrap().unwrap().entry(), entry);
    }
    assert!(withdraw(&place.config).unwrap());
    assert!(place.approved().unwrap().is_none());
}

#[test]
fn what_the_node_could_not_keep_a_log_with_is_not_approved() {
    let place = place();
    let refused = place.approve(&signed(ORIGIN, 2, &[1, 2, 4]));
    assert!(matches!(refused, Err(NodeError::NoPeer { .. })), "{refused:?}");
    let refused = place.approve(&signed("deepring.local/ledger/other", 2, &[1, 2]));
    assert!(matches!(refused, Err(NodeError::OtherLog { .. })), "{refused:?}");
    let mut forged = signed(ORIGIN, 2, &[1, 2]);
    *forged.last_mut().unwrap() ^= 1;
    let refused = place.approve(&forged);
    assert!(matches!(refused, Err(NodeError::Validators { .. })), "{refused:?}");
    // One that cannot follow: the log begins with set 1, and names set 2 later.
    let first = signed(ORIGIN, 1, &[1, 2]);
    let passed = |refused| matches!(refused, Err(NodeError::SetPassed { newest: 1, .. }));
    assert!(passed(place.approve(&first)));
    let ledger = Places::below(&place.config.file.data).ledger;
    let mut ledger = LedgerOptions::new().origin(ORIGIN).open_or_create(ledger).unwrap();
    assert!(passed(place.approve(&first)));
    for set in [signed(ORIGIN, 1, &[1, 2, 3]), signed(ORIGIN, 2, &[1, 2])] {
        let entry = UnverifiedEntry::decode(&set).unwrap().verify().unwrap();
        ledger.append(&[entry]).unwrap();
    }
    let refused = place.approve(&signed(ORIGIN, 2, &[1, 2]));
    assert!(
        matches!(refused, Err(NodeError::SetPassed { newest: 2, found: 2, .. })),
        "{refused:?}"
    );
    assert!(place.approved().unwrap().is_none());
    // What lies there all the same is no approval either.
    let lies = Places::below(&place.config.file.data).approved;
    fs::create_dir_all(lies.parent().unwrap()).unwrap();
    fs::write(&lies, forged).unwrap();
    assert!(matches!(place.approved(), Err(NodeError::Approved { .. })));
}
