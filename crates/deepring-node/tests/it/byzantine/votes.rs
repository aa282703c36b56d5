//! Votes for what it should not: the engine's own doubles in a validator's place, and one that votes for anything.

use std::collections::BTreeSet;
use std::time::Duration;

use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::simplex::mocks::{
    conflicter, impersonator, nuller, nullify_only, outdated,
};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::{Finalize, Notarize, Vote};
use commonware_consensus::types::ViewDelta;
use commonware_cryptography::{Sha256, ed25519};
use commonware_p2p::simulated::Sender;
use commonware_p2p::utils::mux::{Muxer, SubReceiver, SubSender};
use commonware_p2p::{Receiver as _, Recipients, Sender as _};
use commonware_runtime::{Handle, Spawner as _, Supervisor as _};
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
type Speaks = fn(Context, Scheme, Votes) -> Handle<()>;

struct Liar {
    /// What it votes for.
    votes: &'static str,
    speaks: Speaks,
    /// Whether its votes contradict each other, or are in another's name, so that whoever hears them cuts it off.
    is_cut_off: bool,
}

const LIARS: &[Liar] = &[
    Liar {
        votes: "every docket, and another one beside it",
        speaks: |context, scheme, votes| {
            let config = conflicter::Config { scheme };
            conflicter::Conflicter::<_, _, Sha256>::new(context, config).start(votes)
        },
        is_cut_off: true,
    },
    Liar {
        votes: "the end of every docket, and against it",
        speaks: |context, scheme, votes| {
            nuller::Nuller::<_, _, Sha256>::new(context, nuller::Config { scheme }).start(votes)
        },
        is_cut_off: true,
    },
    Liar {
        votes: "nothing, and against every docket",
        speaks: |context, scheme, votes| {
            let config = nullify_only::Config { scheme };
            nullify_only::NullifyOnly::<_, _, Sha256>::new(context, config).start(votes)
        },
        is_cut_off: false,
    },
    Liar {
        votes: "dockets that are over",
        speaks: |context, scheme, votes| {
            let config = outdated::Config { scheme, view_delta: ViewDelta::new(2) };
            outdated::Outdated::<_, _, Sha256>::new(context, config).start(votes)
        },
        is_cut_off: false,
    },
    Liar {
        votes: "every docket, in the name of another",
        speaks: |context, scheme, votes| {
            let config = impersonator::Config { scheme };
            impersonator::Impersonator::<_, _, Sha256>::new(context, config).start(votes)
        },
        is_cut_off: true,
    },
    Liar {
        votes: "whatever another votes for",
        speaks: |context, scheme, votes| context.spawn(|_| votes_for_anything(scheme, votes)),
        is_cut_off: false,
    },
];

/// Looks at nothing that it votes for.
async fn votes_for_anything(scheme: Scheme, (mut sender, mut receiver): Votes) {
    type Said = Vote<Scheme, <Sha256 as commonware_cryptography::Hasher>::Digest>;
    let mut done = BTreeSet::new();
    while let Ok((_, heard)) = receiver.recv().await {
        let said = match Said::decode(heard) {
            Ok(Said::Notarize(n)) if done.insert((0, n.round())) => {
                Said::Notarize(Notarize::sign(&scheme, n.proposal).unwrap())
            }
            Ok(Said::Finalize(f)) if done.insert((1, f.round())) => {
                Said::Finalize(Finalize::sign(&scheme, f.proposal).unwrap())
            }
            _ => continue,
        };
        sender.send(Recipients::All, said.encode(), true);
    }
}

/// Puts a liar in a node's place, from a term on.
async fn lies(net: &Net, n: u8, set: &ValidatorSet, terms: std::ops::Range<u64>, speaks: Speaks) {
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
        speaks(context.child("term").with_attribute("term", term), scheme, votes);
    }
}

#[test]
fn a_validator_whose_votes_are_lies_gets_nothing_decided_and_stops_nobody() {
    for liar in LIARS {
        let what = liar.votes;
        for seed in seeds() {
            let go = || {
                run(seed, |mut net| async move {
                    lies(&net, 3, &set(), 0..1, liar.speaks).await;
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
                    assert!(net.sent(3, VOTES) > 0, "{what}: it said nothing");
                    if liar.is_cut_off {
                        assert_eq!(net.cut_off(3).await, [0, 1, 2], "{what}");
                    }
                    let rows = net.equal_rows().await;
                    assert_eq!(rows.entries.len(), 5, "{what}");
                    rows
                })
            };
            assert_eq!(go(), go(), "{what}, seed {seed}");
        }
    }
}

/// Two of four are honest. Where the third votes as they do they have a quorum, which shows that votes of a double count;
/// where it lies they decide nothing, and with the fourth they go on.
#[test]
fn lies_make_no_quorum_and_votes_of_a_double_that_are_none_do() {
    for liar in LIARS {
        let what = liar.votes;
        run(1, |mut net| async move {
            lies(&net, 3, &set(), 0..1, liar.speaks).await;
            for n in 0..2 {
                net.start(n, Net::config(n)).await;
            }
            let ticket = net.submit(0, &SAID.set).await;
            net.pause(Duration::from_secs(60)).await;
            let votes_as_others_do = what == "whatever another votes for";
            assert_eq!(net.size(0) == 1, votes_as_others_do, "{what}");
            net.start(2, Net::config(2)).await;
            ticket.committed().await.unwrap();
            net.grown(1).await;
            net.certified(1).await;
            assert_eq!(net.equal_rows().await.entries.len(), 1, "{what}");
        });
    }
}

/// Node 0 leaves and node 4 joins; one of the two lies, as long as it is of the set.
#[test]
fn a_validator_whose_votes_are_lies_keeps_no_set_from_changing() {
    for liar in LIARS {
        let what = liar.votes;
        for (seed, n) in seeds().flat_map(|seed| [(seed, 0), (seed, 4)]) {
            run_with(NODES, seed, |mut net| async move {
                let operators = Operators::new(&[1, 2, 3]);
                if n == 0 {
                    lies(&net, 0, &set(), 0..64, liar.speaks).await;
                }
                for other in (0..NODES).filter(|other| *other != n) {
                    net.start(other, operators.config(other)).await;
                }
                net.record(1, &SAID.set).await;
                net.record(1, &SAID.registered).await;
                net.grown(2).await;
                net.record(2, &NEXT).await;
                net.grown(3).await;
                let term = net.term(1) + 1;
                net.term_begun(term).await;
                if n == 4 {
                    assert_eq!(net.sent(4, VOTES), 0);
                    lies(&net, 4, &next_set(), term..64, liar.speaks).await;
                }
                net.record_when_ready(3, &SAID.decisions[0]).await;
                net.grown(4).await;
                net.certified(4).await;
                let kept = net.up[&3].look(|ledger| ledger.checkpoint().as_str().to_owned()).await;
                Checkpoint::verify_by_set(&kept.unwrap(), &next_set()).unwrap();
                net.until(&format!("it votes for {what}"), |net| net.sent(n, VOTES) > 0).await;
                assert!(net.term(1) < 64, "{what}");
                assert_eq!(net.equal_rows().await.entries.len(), 4, "{what}");
            });
        }
    }
}
