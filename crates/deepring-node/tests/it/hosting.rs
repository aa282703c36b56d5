//! Hosts of a dealt ring over a simulated network in virtual time: a sealed LeNet of five blocks in four legs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use commonware_cryptography::ed25519;
use commonware_p2p::simulated::{Config as NetworkConfig, Link, Network, Oracle};
use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::channel::mpsc;
use commonware_utils::{NZUsize, probability};
use deepring::deal::{Copies, DealPlan};
use deepring::receipt::{Require, tensors_digest};
use deepring::replication::{CopyFault, FailedCopy};
use deepring::{AuthenticRing, Check, Digest, TensorValue, Trust, UnverifiedRing};
use deepring_infer::participant::{Batch, Closed, WhyFailed};
use deepring_infer::{RingHost, Rten, RunError, tamper};
use deepring_node::hosting::{
    self, Asker, HostConfig, HostHandle, HostingError, LiveHost, Notice, Quarantine, QueryError,
    RingCopy, host_identity,
};
use deepring_testkit::zoo::{self, Sealed, copies, host, images, network};

pub(crate) type Context = deterministic::Context;

pub(crate) const HOSTS: u8 = 4;
const LIMIT: Duration = Duration::from_secs(600);

/// A ring and the hosts that it is dealt to, opened once: each from a file of its own.
pub(crate) struct Fixture {
    pub(crate) sealed: Sealed,
    pub(crate) ring: Arc<AuthenticRing>,
    pub(crate) rings: Vec<Arc<AuthenticRing>>,
    pub(crate) files: Vec<Arc<RingCopy>>,
    pub(crate) hosts: Vec<LiveHost<Rten>>,
}

impl Fixture {
    pub(crate) fn new(of: Copies, eager: bool) -> Self {
        let legs = [(1, 1, 1), (2, 2, 2), (3, 4, 3), (5, 5, 4)];
        let plan = DealPlan { eager, ..copies(of) };
        let sealed = Sealed::dealt(&network("fashion-lenet5"), &legs, plan);
        let ring = Arc::new(sealed.ring());
        let engine = Arc::new(Rten::new(1.try_into().ok()));
        let files: Vec<Arc<RingCopy>> = (0..HOSTS)
            .map(|n| {
                let path = sealed.folder.path().join(format!("host-{n}.ring"));
                std::fs::copy(&sealed.path, &path).unwrap();
                RingCopy::open(&path).unwrap()
            })
            .collect();
        let trust = Trust::owner(sealed.owner.public());
        let read = |file: &Arc<RingCopy>| {
            Arc::new(UnverifiedRing::read(file.clone()).unwrap().authenticate(&trust).unwrap())
        };
        let rings: Vec<Arc<AuthenticRing>> = files.iter().map(read).collect();
        let open = |n: u8| {
            let ring = Arc::clone(&rings[usize::from(n)]);
            let (engine, key) = (Arc::clone(&engine), host(n + 1));
            let mine = key.public();
            let deal = ring.outline().deal().unwrap().clone();
            let mut opened = RingHost::open(ring, engine, key, 0..0, Check::Run, &|_| ()).unwrap();
            let legs = deal.legs.iter().filter(|leg| leg.hosts.contains(&mine));
            for block in legs.flat_map(|leg| leg.first..leg.end) {
                opened.load_block(block).unwrap();
            }
            LiveHost::new(opened)
        };
        let hosts = (0..HOSTS).map(open).collect();
        Self { sealed, ring, rings, files, hosts }
    }

    /// The file of a host.
    pub(crate) fn path(&self, n: u8) -> PathBuf {
        self.sealed.folder.path().join(format!("host-{n}.ring"))
    }

    pub(crate) fn verify(&self, closed: &Closed, nonce: Option<Digest>, pictures: usize) {
        let decision = closed.decision.verify(self.ring.outline(), Require::AsDealt).unwrap();
        assert_eq!(decision.nonce(), nonce);
        assert_eq!(decision.items().len(), pictures);
        for (n, outputs) in closed.outputs.iter().enumerate() {
            let (item, salt) = (&decision.items()[n], decision.salt().unwrap());
            assert_eq!(item.inputs, tensors_digest(salt, &[picture(n)]));
            assert_eq!(item.outputs, tensors_digest(salt, outputs));
            let plain = zoo::plain(&network("fashion-lenet5"), &picture(n));
            assert!(zoo::difference(&outputs[0], &plain) < 1e-5);
        }
    }
}

fn picture(n: usize) -> TensorValue {
    images(n, n + 1)
}

pub(crate) fn batch(pictures: usize) -> Batch {
    (0..pictures).map(|n| vec![picture(n)]).collect()
}

/// Hosts and their network.
pub(crate) struct Net<'f> {
    pub(crate) context: Context,
    pub(crate) oracle: Oracle<ed25519::PublicKey, Context>,
    pub(crate) fixture: &'f Fixture,
    folder: tempfile::TempDir,
    pub(crate) up: BTreeMap<u8, (HostHandle, mpsc::Receiver<Notice>)>,
    starts: u64,
}

pub(crate) fn identity(n: u8) -> ed25519::PublicKey {
    host_identity(&host(n + 1).public()).unwrap()
}

fn link(success: commonware_utils::Probability) -> Link {
    Link {
        latency: Duration::from_millis(10),
        jitter: Duration::from_millis(5),
        success_rate: success,
    }
}

impl<'f> Net<'f> {
    pub(crate) async fn new(context: Context, fixture: &'f Fixture, lossy: bool) -> Self {
        let config = NetworkConfig {
            max_size: hosting::max_message_bytes(),
            max_peers_per_set: NZUsize!(4),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let keys: Vec<_> = (0..HOSTS).map(identity).collect();
        let (network, oracle) =
            Network::new_with_peers(context.child("network"), config, keys.clone()).await;
        network.start();
        for from in &keys {
            for to in keys.iter().filter(|to| *to != from) {
                let success = if lossy { probability!(9, 10) } else { probability!(1, 1) };
                oracle.add_link(from.clone(), to.clone(), link(success)).await.unwrap();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        Self { context, oracle, fixture, folder, up: BTreeMap::new(), starts: 0 }
    }

    pub(crate) fn config(&self, n: u8) -> HostConfig {
        HostConfig::new(host(n + 1), self.folder.path().join(format!("signed-{n}")))
    }

    pub(crate) async fn try_start(
        &mut self,
        n: u8,
        config: HostConfig,
    ) -> Result<(), HostingError> {
        let control = self.oracle.control(identity(n));
        let (channel, quota) = hosting::channel();
        let channel = control.register(channel, quota).await.unwrap();
        self.starts += 1;
        let context =
            self.context.child("node").with_attribute("n", n).with_attribute("start", self.starts);
        let place = usize::from(n);
        let of = (self.fixture.rings[place].clone(), self.fixture.hosts[place].clone());
        let started = hosting::start(context, channel, control, of, config)?;
        self.up.insert(n, started);
        Ok(())
    }

    async fn start(&mut self, n: u8) {
        self.try_start(n, self.config(n)).await.unwrap();
    }

    async fn all(context: Context, fixture: &'f Fixture, lossy: bool) -> Self {
        let mut net = Self::new(context, fixture, lossy).await;
        for n in 0..HOSTS {
            net.start(n).await;
        }
        net
    }

    async fn kill(&mut self, n: u8) {
        self.up.remove(&n).unwrap().0.abort();
        self.context.sleep(Duration::from_millis(20)).await;
    }

    pub(crate) fn asker(&self, n: u8) -> Asker {
        self.up[&n].0.asker()
    }

    /// Keys of the hosts that others named.
    fn named(&mut self) -> Vec<u8> {
        let mut named = Vec::new();
        for (_, notices) in self.up.values_mut() {
            while let Ok(notice) = notices.try_recv() {
                if let Notice::Named { failed, .. } = notice {
                    let of = (0..HOSTS).find(|n| host(n + 1).public() == failed.host);
                    named.push(of.unwrap());
                }
            }
        }
        named.sort_unstable();
        named.dedup();
        named
    }
}

/// Runs a test in virtual time; returns what it returns and a digest of everything that happened.
pub(crate) fn run<T, F: Future<Output = T>>(
    seed: u64,
    test: impl FnOnce(Context) -> F,
) -> (T, String) {
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(LIMIT));
    deterministic::Runner::new(config).start(|context| async move {
        let came = test(context.child("test")).await;
        (came, context.auditor().state())
    })
}

#[test]
fn a_query_goes_round_and_comes_back_validated_whoever_of_genesis_is_asked() {
    for (of, eager) in [(Copies::Two, false), (Copies::Three, false), (Copies::Three, true)] {
        let fixture = Fixture::new(of, eager);
        let genesis = fixture.ring.outline().deal().unwrap().genesis.len();
        run(1, |context| async {
            let net = Net::all(context, &fixture, false).await;
            for n in 0..HOSTS {
                let nonce = Digest([n + 1; 32]);
                let asked = net.asker(n).decide(batch(2), Some(nonce)).await;
                match usize::from(n) < genesis {
                    true => fixture.verify(&asked.unwrap(), Some(nonce), 2),
                    false => assert!(asked.is_err(), "{of:?}, {n}"),
                }
            }
        });
    }
}

#[test]
fn a_batch_that_is_longer_than_a_network_message_goes_round_also_where_messages_are_lost() {
    let fixture = Fixture::new(Copies::Three, false);
    // Sixty-four pictures of 3136 bytes: two fragments where they enter.
    for (seed, lossy) in [(1, false), (2, true), (3, true)] {
        let go = || {
            run(seed, |context| async {
                let net = Net::all(context, &fixture, lossy).await;
                let closed = net.asker(0).decide(batch(64), None).await.unwrap();
                fixture.verify(&closed, None, 64);
                closed.decision.encode()
            })
        };
        assert_eq!(go(), go(), "seed {seed}");
    }
}

#[test]
fn with_three_copies_a_host_that_is_down_is_passed_over_and_named_as_absent() {
    let fixture = Fixture::new(Copies::Three, false);
    for down in 1..HOSTS {
        run(u64::from(down), |context| async {
            let mut net = Net::all(context, &fixture, false).await;
            net.kill(down).await;
            let closed = net.asker(0).decide(batch(1), None).await.unwrap();
            fixture.verify(&closed, None, 1);
            let absent = host(down + 1).public();
            let absent = |copy: &FailedCopy| copy.host == absent && copy.fault == CopyFault::Absent;
            assert!(
                !closed.named.is_empty() && closed.named.iter().all(absent),
                "{down}: {closed:?}"
            );
            assert!(net.named().iter().all(|n| *n == down), "{down}");
            // It comes back, and the next query finds it.
            net.start(down).await;
            let closed = net.asker(0).decide(batch(1), None).await.unwrap();
            fixture.verify(&closed, None, 1);
            assert_eq!(net.named(), Vec::<u8>::new(), "{down}");
        });
    }
}

#[test]
fn a_host_whose_memory_was_tampered_with_says_so_and_is_passed_over_as_is_one_that_is_quarantined()
{
    let fixture = Fixture::new(Copies::Three, false);
    run(1, |context| async {
        let mut net = Net::all(context, &fixture, false).await;
        let blocks = fixture.hosts[1].read().loaded().collect::<BTreeSet<_>>();
        let first = *blocks.first().unwrap();
        {
            let held = fixture.hosts[1].read();
            let live = held.live_bytes(first).unwrap();
            assert!(tamper(live, 4, &[live[4] ^ 0x40]));
        }
        let closed = net.asker(0).decide(batch(1), None).await.unwrap();
        fixture.verify(&closed, None, 1);
        let (_, notices) = net.up.get_mut(&1).unwrap();
        let mut confessed = Vec::new();
        while let Ok(notice) = notices.try_recv() {
            if let Notice::Tampered(finding) = notice {
                confessed.push(finding.block);
            }
        }
        assert_eq!(confessed, [Some(first)]);
    });
    let fixture = Fixture::new(Copies::Three, false);
    run(2, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        let quarantine = Quarantine::default();
        for n in [0, 2, 3] {
            net.start(n).await;
        }
        let config = HostConfig { quarantine: quarantine.clone(), ..net.config(1) };
        net.try_start(1, config).await.unwrap();
        fixture.verify(&net.asker(0).decide(batch(1), None).await.unwrap(), None, 1);
        quarantine.set((1..=5).collect());
        let closed = net.asker(0).decide(batch(1), None).await.unwrap();
        fixture.verify(&closed, None, 1);
        let signers = closed.decision.chain().signers();
        assert!(
            !signers.contains(&host(2).public()),
            "it signs nothing about what it must not use"
        );
        quarantine.set([0].into());
        let refused = net.asker(1).decide(batch(1), None).await.unwrap_err();
        let of_genesis = matches!(refused, QueryError::Run(RunError::OutOfUse { block: 0, .. }));
        assert!(of_genesis, "{refused}");
        quarantine.set(BTreeSet::new());
        fixture.verify(&net.asker(0).decide(batch(1), None).await.unwrap(), None, 1);
    });
}

/// A host that checks nothing computes with other parameters, and signs what comes out.
#[test]
fn of_two_copies_that_contradict_each_other_both_keep_what_an_arbiter_needs_to_tell() {
    let mut fixture = Fixture::new(Copies::Two, false);
    let (arbiter, liar) = (host(9), 1);
    let (first, opened) = {
        let honest = fixture.hosts[liar].read();
        let blocks: Vec<u32> = honest.loaded().collect();
        let engine = Arc::new(Rten::new(1.try_into().ok()));
        let ring = Arc::clone(&fixture.rings[liar]);
        let mut opened = RingHost::open(ring, engine, host(2), 0..0, Check::None, &|_| ()).unwrap();
        blocks.iter().for_each(|block| opened.load_block(*block).unwrap());
        let first = blocks[0];
        let live = opened.live_bytes(first).unwrap();
        assert!(tamper(live, 3, &[live[3] ^ 0x40]));
        (first, opened)
    };
    fixture.hosts[liar] = LiveHost::new(opened);
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        for n in 0..HOSTS {
            let told = HostConfig { arbiter: Some(arbiter.public()), ..net.config(n) };
            net.try_start(n, told).await.unwrap();
        }
        let failed = net.asker(0).decide(batch(1), None).await.unwrap_err();
        let QueryError::Failed { why: WhyFailed::Disputed { .. }, named, .. } = failed else {
            panic!("{failed}")
        };
        assert_eq!(named.len(), 2, "{named:?}");
        net.context.sleep(Duration::from_secs(1)).await;
        let mut kept = Vec::new();
        for (n, (_, notices)) in &mut net.up {
            while let Ok(notice) = notices.try_recv() {
                if let Notice::Disputed { dispute, first_block, .. } = notice {
                    kept.push((*n, first_block, *dispute));
                }
            }
        }
        let parties: Vec<_> = named.iter().map(|named| named.host).collect();
        assert_eq!(kept.len(), 2, "each of the two");
        for (n, first_block, dispute) in kept {
            assert!(parties.contains(&host(n + 1).public()));
            assert_eq!(first_block, first);
            let opened = dispute.open(fixture.ring.outline(), &arbiter).unwrap();
            let honest = fixture.hosts.iter().enumerate().find(|(n, host)| {
                *n != liar && opened.blocks().all(|block| host.read().holds(block))
            });
            let ruling = honest.unwrap().1.read().arbitrate(&opened).unwrap();
            assert!(ruling.is_decided());
            assert_eq!(ruling.wrong(), [host(2).public()]);
        }
    });
}

#[test]
fn with_two_copies_nothing_is_answered_without_both() {
    let fixture = Fixture::new(Copies::Two, false);
    run(1, |context| async {
        let mut net = Net::all(context, &fixture, false).await;
        net.kill(2).await;
        let failed = net.asker(0).decide(batch(1), None).await.unwrap_err();
        assert!(
            matches!(
                failed,
                QueryError::Failed { why: WhyFailed::TooFew { .. } | WhyFailed::OutOfPatience, .. }
            ),
            "{failed}"
        );
        net.start(2).await;
        fixture.verify(&net.asker(0).decide(batch(1), None).await.unwrap(), None, 1);
    });
}

#[test]
fn a_host_that_dies_in_the_middle_costs_no_answer_and_signs_nothing_twice() {
    let fixture = &Fixture::new(Copies::Three, false);
    for (down, after) in [(1, 5), (1, 40), (2, 40), (2, 90), (3, 90), (3, 140)] {
        run(u64::from(down) * 1000 + after, |context| async move {
            let mut net = Net::all(context.child("net"), fixture, false).await;
            let asker = net.asker(0);
            let asking = context
                .child("ask")
                .spawn(move |_| async move { asker.decide(batch(4), None).await });
            context.sleep(Duration::from_millis(after)).await;
            net.kill(down).await;
            context.sleep(Duration::from_millis(300)).await;
            net.start(down).await;
            let closed = asking.await.unwrap().unwrap();
            fixture.verify(&closed, None, 4);
            // Named at worst as absent: what it signed before it died was not contradicted.
            assert!(closed.named.iter().all(|failed| failed.host == host(down + 1).public()));
            for (_, notices) in net.up.values_mut() {
                while let Ok(notice) = notices.try_recv() {
                    if let Notice::Named { failed, .. } = notice {
                        let fault = failed.fault;
                        let absent = matches!(fault, deepring::replication::CopyFault::Absent);
                        assert!(absent, "{down}, {after}: {fault:?}");
                    }
                }
            }
        });
    }
}

#[test]
fn a_host_whose_journal_is_damaged_or_cannot_be_kept_does_not_go_on() {
    let fixture = Fixture::new(Copies::Three, false);
    run(1, |context| async {
        let mut net = Net::all(context, &fixture, false).await;
        fixture.verify(&net.asker(0).decide(batch(1), None).await.unwrap(), None, 1);
        net.kill(1).await;
        let config = net.config(1);
        let mut bytes = std::fs::read(&config.journal).unwrap();
        let at = bytes.len() - 20;
        bytes[at] ^= 1;
        std::fs::write(&config.journal, &bytes).unwrap();
        let refused = net.try_start(1, config).await;
        assert!(matches!(refused, Err(HostingError::Journal(_))), "{refused:?}");
        // The others go on without it.
        fixture.verify(&net.asker(0).decide(batch(1), None).await.unwrap(), None, 1);
    });
}

#[test]
fn who_is_not_in_the_deal_or_has_not_opened_its_blocks_does_not_start() {
    let fixture = Fixture::new(Copies::Two, false);
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        let stranger = HostConfig { key: host(9), ..net.config(0) };
        let refused = net.try_start(0, stranger).await;
        assert!(matches!(refused, Err(HostingError::NotInDeal)), "{refused:?}");
    });
    let key = host(3);
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let opened =
        RingHost::open(fixture.ring.clone(), engine, key, 0..0, Check::Run, &|_| ()).unwrap();
    let bare = Fixture {
        hosts: vec![fixture.hosts[0].clone(), fixture.hosts[1].clone(), LiveHost::new(opened)],
        ..fixture
    };
    run(1, |context| async {
        let mut net = Net::new(context, &bare, false).await;
        let refused = net.try_start(2, net.config(2)).await;
        assert!(matches!(refused, Err(HostingError::NotLoaded { .. })), "{refused:?}");
    });
}

#[test]
fn a_nonce_of_zeros_and_inputs_that_do_not_fit_are_refused_when_asked() {
    let fixture = Fixture::new(Copies::Two, false);
    run(1, |context| async {
        let net = Net::all(context, &fixture, false).await;
        let zeros = net.asker(0).decide(batch(1), Some(Digest([0; 32]))).await;
        assert!(matches!(zeros, Err(QueryError::ZeroNonce)), "{zeros:?}");
        for bad in [Vec::new(), vec![Vec::new()], batch(65)] {
            let refused = net.asker(0).decide(bad, None).await;
            assert!(matches!(refused, Err(QueryError::NotAccepted(_))), "{refused:?}");
        }
        let unlike = zoo::tensor("image", &[1, 1, 28, 27], &[0.5; 28 * 27]);
        let refused = net.asker(0).decide(vec![vec![unlike]], None).await;
        assert!(matches!(refused, Err(QueryError::NotAccepted(_))), "{refused:?}");
    });
}
