//! Votes for what it should not: the engine's own doubles in a validator's place.

use commonware_consensus::simplex::mocks::{
    conflicter, impersonator, nuller, nullify_only, outdated,
};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::types::ViewDelta;
use commonware_cryptography::{Sha256, ed25519};
use commonware_p2p::simulated::Sender;
use commonware_p2p::utils::mux::{Muxer, SubReceiver, SubSender};
use commonware_runtime::{Handle, Supervisor as _};
use commonware_utils::ordered::Set;
use deepring::keys::log_digest;
use deepring_ledger::{Checkpoint, ValidatorSet};
use deepring_node::agreement::{voter, voter_key};

use crate::net::{Context, Net, ORIGIN, node_key, run, run_with, seeds, set};
use crate::said::SAID;
use crate::succession::{NEXT, NODES, Operators, next_set};

/// The channel of votes.
const VOTES: u64 = 0;

/// Where the validators of one term vote.
type Votes = (SubSender<Sender<ed25519::PublicKey, Context>>, SubReceiver<ed25519::PublicKey>);
type Liar = fn(Context, Scheme, Votes) -> Handle<()>;

const LIARS: &[(&str, Liar)] = &[
    ("for every docket, and for another one beside it", |context, scheme, votes| {
        conflicter::Conflicter::<_, _, Sha256>::new(context, conflicter::Config { scheme })
            .start(votes)
    }),
    ("for every docket, and to pass over its leader", |context, scheme, votes| {
        nuller::Nuller::<_, _, Sha256>::new(context, nuller::Config { scheme }).start(votes)
    }),
    ("to pass over every leader", |context, scheme, votes| {
        nullify_only::NullifyOnly::<_, _, Sha256>::new(context, nullify_only::Config { scheme })
            .start(votes)
    }),
    ("for dockets that are over", |context, scheme, votes| {
        let config = outdated::Config { scheme, view_delta: ViewDelta::new(2) };
        outdated::Outdated::<_, _, Sha256>::new(context, config).start(votes)
    }),
    ("in the name of another", |context, scheme, votes| {
        impersonator::Impersonator::<_, _, Sha256>::new(context, impersonator::Config { scheme })
            .start(votes)
    }),
];

/// Puts a liar in a node's place, in the first terms.
async fn lies(net: &Net, n: u8, set: &ValidatorSet, terms: std::ops::Range<u64>, liar: Liar) {
    let (sender, receiver) = net.channels(n).await.votes;
    let (mux, mut votes) = Muxer::new(net.context("mux"), sender, receiver);
    mux.start();
    let voters = Set::from_iter_dedup(set.nodes.iter().map(|node| voter(node).unwrap()));
    let namespace = [b"deepring v1 agreement ".as_slice(), &log_digest(ORIGIN).0].concat();
    let context = net.context("liar");
    for term in terms {
        let scheme =
            Scheme::signer(&namespace, voters.clone(), voter_key(&node_key(n)).unwrap()).unwrap();
        let votes = votes.register(term).await.unwrap();
        liar(context.child("term").with_attribute("term", term), scheme, votes);
    }
}

#[test]
fn a_validator_whose_votes_are_lies_gets_nothing_decided_and_stops_nobody() {
    for (what, liar) in LIARS {
        for seed in seeds() {
            let go = || {
                run(seed, |mut net| async move {
                    lies(&net, 3, &set(), 0..1, *liar).await;
                    for n in 0..3 {
                        net.start(n, Net::config(n)).await;
                    }
                    net.record(0, &SAID.set).await;
                    net.record(0, &SAID.registered).await;
                    net.grown(2).await;
                    for (n, decision) in (0..3).zip(&SAID.decisions) {
                        net.record(n, decision).await;
                    }
                    net.grown(5).await;
                    net.certified(5).await;
                    // Without one of the others no quorum is left, whatever is voted for meanwhile.
                    net.kill(2).await;
                    let ticket = net.submit(0, &SAID.decisions[3]).await;
                    net.pause(std::time::Duration::from_secs(20)).await;
                    net.start(2, Net::config(2)).await;
                    assert!(ticket.committed().await.unwrap().index >= 5, "{what}");
                    net.grown(6).await;
                    net.certified(6).await;
                    assert!(net.sent(3, VOTES) > 0, "{what}: it said nothing");
                    let rows = net.equal_rows().await;
                    assert_eq!(rows.entries.len(), 6, "{what}");
                    rows
                })
            };
            assert_eq!(go(), go(), "{what}, seed {seed}");
        }
    }
}

/// Node 0 leaves and node 4 joins; one of the two lies, in every term.
#[test]
fn a_validator_whose_votes_are_lies_keeps_no_set_from_changing() {
    for (what, liar) in LIARS {
        for (n, of) in [(0, set()), (4, next_set())] {
            run_with(NODES, 1, |mut net| async move {
                let operators = Operators::new(&[1, 2, 3]);
                lies(&net, n, &of, 0..64, *liar).await;
                let honest = (0..NODES).filter(|other| *other != n);
                for other in honest {
                    net.start(other, operators.config(other)).await;
                }
                net.record(1, &SAID.set).await;
                net.record(1, &SAID.registered).await;
                net.record(2, &NEXT).await;
                net.grown(3).await;
                let term = net.term(1);
                net.term_begun(term + 1).await;
                net.record_when_ready(3, &SAID.decisions[0]).await;
                net.grown(4).await;
                net.certified(4).await;
                let kept = net.up[&3].look(|ledger| ledger.checkpoint().as_str().to_owned()).await;
                Checkpoint::verify_by_set(&kept.unwrap(), &next_set()).unwrap();
                assert!(net.term(1) < 64 && net.sent(n, VOTES) > 0, "{what}: it said nothing");
                assert_eq!(net.equal_rows().await.entries.len(), 4, "{what}");
            });
        }
    }
}
