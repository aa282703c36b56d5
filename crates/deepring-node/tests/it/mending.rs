//! Hosts that keep their copies whole, over a simulated network: damage, repair, and other hosts that lie. The ledger here is its
//! rules alone ([`State`]): what it takes, any ledger takes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use commonware_p2p::{Receiver as _, Recipients, Sender as _};
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use deepring::audit::Challenge;
use deepring::deal::Copies;
use deepring::keys::AuthorKey;
use deepring::{Digest, Finding, Section};
use deepring_infer::tamper;
use deepring_ledger::entry::{Audit, Countersignature};
use deepring_ledger::state::Cause;
use deepring_ledger::{Binding, Entry, Event, State};
use deepring_node::hosting::{
    self, CopyStanding, HostConfig, Mender, Notice, Quarantine, RecordError, RepairRecord,
};
use deepring_testkit::zoo::host;

use crate::hosting::{Fixture, HOSTS, Net, batch, identity, run};

const ORIGIN: &str = "deepring.local/ledger/mending";
/// The host that is damaged.
const HURT: u8 = 1;

/// The rules of a ledger, and what they let in.
#[derive(Clone)]
struct Rules {
    state: Arc<Mutex<State>>,
    repairs: Arc<Mutex<Vec<Audit>>>,
}

/// One host's way to them.
struct HostRecord(Rules, Arc<deepring::AuthenticRing>, u8);

impl Rules {
    fn new(fixture: &Fixture) -> Self {
        let mut state = State::new(ORIGIN);
        let outline = Box::new(fixture.ring.outline().as_outline().clone());
        let owner: AuthorKey = fixture.sealed.owner.clone().into();
        let event = Event::RingRegistered { outline };
        let entry = Entry::sign(state.binding(&owner.public()), 0, &event, &owner).unwrap();
        state.advance(&entry).unwrap();
        Self { state: Arc::new(Mutex::new(state)), repairs: Arc::default() }
    }

    /// An alarm of a host about itself.
    fn confess(&self, fixture: &Fixture, n: u8, finding: &Finding) {
        let ring = (fixture.ring.ring_id(), fixture.ring.digest());
        let author: AuthorKey = host(n + 1).into();
        let event = Event::alarm(ring, host(n + 1).public(), finding);
        let mut state = self.state.lock().unwrap();
        let entry = Entry::sign(state.binding(&author.public()), 0, &event, &author).unwrap();
        state.advance(&entry).unwrap();
    }

    /// An alarm of a host about its copy of a block.
    fn blame(&self, fixture: &Fixture, n: u8, block: u32) {
        let finding = Finding::tampered(Section::Body, "said so").in_block(block, None);
        self.confess(fixture, n, &finding);
    }

    fn of(&self, fixture: &Fixture, n: u8) -> BTreeSet<u32> {
        let state = self.state.lock().unwrap();
        let of_host = |copy: &deepring_ledger::state::Quarantined| {
            assert_eq!(copy.cause, Cause::OwnAlarm);
            copy.host == host(n + 1).public()
        };
        state.quarantined(&fixture.ring.digest()).filter(of_host).map(|copy| copy.block).collect()
    }

    fn repairs(&self) -> Vec<Audit> {
        self.repairs.lock().unwrap().clone()
    }
}

impl RepairRecord for HostRecord {
    async fn standing(&self) -> Result<CopyStanding, RecordError> {
        Ok(CopyStanding::of(&self.0.state.lock().unwrap(), &self.1, &host(self.2 + 1)))
    }

    async fn record(&self, entry: Entry) -> Result<u64, RecordError> {
        let mut state = self.0.state.lock().unwrap();
        state.advance(&entry).map_err(|e| RecordError::Refused { why: e.to_string() })?;
        if let Event::Repair { audit, .. } = entry.event() {
            self.0.repairs.lock().unwrap().push(audit.clone());
        }
        Ok(state.size() - 1)
    }
}

/// Starts a host that countersigns, and keeps its own copies whole; returns what says which of its blocks are not used.
async fn start(net: &mut Net<'_>, rules: &Rules, n: u8, audits: Option<Duration>) -> Quarantine {
    let quarantine = Quarantine::default();
    let config = HostConfig {
        quarantine: quarantine.clone(),
        log: Some(Binding::new(ORIGIN, 0).log),
        ..net.config(n)
    };
    net.try_start(n, config).await.unwrap();
    let (place, key) = (usize::from(n), host(n + 1));
    let mender = Mender {
        exchange: net.up[&n].0.exchange(),
        ring: net.fixture.rings[place].clone(),
        file: net.fixture.files[place].clone(),
        live: net.fixture.hosts[place].clone(),
        key,
        record: HostRecord(rules.clone(), net.fixture.rings[place].clone(), n),
        audits,
    };
    let context = net.context.child("mender").with_attribute("n", n);
    context.spawn(|context| mender.run(context));
    quarantine
}

/// Puts what a host says of itself onto the ledger, and what the ledger says in front of the host, until something is so.
async fn until(
    net: &mut Net<'_>,
    (rules, quarantine): (&Rules, &Quarantine),
    what: &str,
    so: impl Fn() -> bool,
) {
    for _ in 0..400 {
        let (_, notices) = net.up.get_mut(&HURT).unwrap();
        while let Ok(notice) = notices.try_recv() {
            if let Notice::Tampered(finding) = notice
                && !rules.of(net.fixture, HURT).contains(&finding.block.unwrap())
            {
                rules.confess(net.fixture, HURT, &finding);
            }
        }
        quarantine.set(rules.of(net.fixture, HURT));
        if so() {
            return;
        }
        net.context.sleep(Duration::from_millis(500)).await;
    }
    panic!("waited in vain until {what}: {:?}", rules.of(net.fixture, HURT));
}

fn first_block(fixture: &Fixture, n: u8) -> u32 {
    fixture.hosts[usize::from(n)].read().loaded().next().unwrap()
}

fn hurt_memory(fixture: &Fixture, block: u32) {
    let held = fixture.hosts[usize::from(HURT)].read();
    let live = held.live_bytes(block).unwrap();
    assert!(tamper(live, 4, &[live[4] ^ 0x40]));
}

/// Damages a block in a host's file as it lies there.
fn hurt_file(fixture: &Fixture, n: u8, block: u32) {
    let path = fixture.path(n);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[fixture.ring.stored_at(block, 4).unwrap() as usize] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

fn is_whole(fixture: &Fixture, n: u8, block: u32) -> bool {
    let same =
        std::fs::read(fixture.path(n)).unwrap() == std::fs::read(&fixture.sealed.path).unwrap();
    same && fixture.hosts[usize::from(n)].read().verify_copy(block).is_ok()
}

#[test]
fn a_copy_that_was_damaged_in_memory_or_on_disk_is_repaired_from_another_and_used_again() {
    for (memory, file) in [(true, false), (false, true), (true, true)] {
        let fixture = Fixture::new(Copies::Three, false);
        let rules = Rules::new(&fixture);
        let block = first_block(&fixture, HURT);
        run(1, |context| async {
            let mut net = Net::new(context, &fixture, false).await;
            let mut quarantine = Quarantine::default();
            for n in 0..HOSTS {
                // Audits find the file; a query finds memory.
                let audits = (n == HURT && file).then(|| Duration::from_secs(3));
                let started = start(&mut net, &rules, n, audits).await;
                if n == HURT {
                    quarantine = started;
                }
            }
            if memory {
                hurt_memory(&fixture, block);
            }
            if file {
                hurt_file(&fixture, HURT, block);
            }
            fixture.verify(&net.asker(0).decide(batch(1), None).await.unwrap(), None, 1);
            until(&mut net, (&rules, &quarantine), "its alarm is recorded", || {
                rules.of(&fixture, HURT) == [block].into() || !rules.repairs().is_empty()
            })
            .await;
            until(&mut net, (&rules, &quarantine), "its repair is recorded", || {
                rules.of(&fixture, HURT).is_empty() && !rules.repairs().is_empty()
            })
            .await;
            assert!(is_whole(&fixture, HURT, block));
            assert_eq!(fixture.hosts[usize::from(HURT)].read().out_of_use(), [].into());
            let audit = &rules.repairs()[0];
            assert_ne!(audit.countersignature.as_ref().unwrap().host, host(HURT + 1).public());
            let closed = net.asker(0).decide(batch(1), None).await.unwrap();
            fixture.verify(&closed, None, 1);
            assert!(closed.decision.chain().signers().contains(&host(HURT + 1).public()));
        });
    }
}

#[test]
fn a_genesis_that_was_changed_in_memory_opens_no_query_until_it_is_repaired() {
    let fixture = Fixture::new(Copies::Three, false);
    let rules = Rules::new(&fixture);
    assert!(fixture.hosts[usize::from(HURT)].read().holds(0));
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        let mut quarantine = Quarantine::default();
        for n in 0..HOSTS {
            let started = start(&mut net, &rules, n, None).await;
            if n == HURT {
                quarantine = started;
            }
        }
        hurt_memory(&fixture, 0);
        assert!(net.asker(HURT).decide(batch(1), None).await.is_err());
        until(&mut net, (&rules, &quarantine), "its alarm is recorded", || {
            rules.of(&fixture, HURT) == [0].into()
        })
        .await;
        assert!(net.asker(HURT).decide(batch(1), None).await.is_err());
        until(&mut net, (&rules, &quarantine), "its repair is recorded", || {
            rules.of(&fixture, HURT).is_empty()
        })
        .await;
        fixture.verify(&net.asker(HURT).decide(batch(1), None).await.unwrap(), None, 1);
    });
}

/// A host that answers as it likes: what it is asked, without number; and the answer, without number.
type Lie = fn(&[u8]) -> Option<Vec<u8>>;

/// Puts a liar in a host's place.
async fn lie(net: &mut Net<'_>, n: u8, answer: Lie) {
    let control = net.oracle.control(identity(n));
    let (channel, quota) = hosting::channel();
    let (mut sender, mut receiver) = control.register(channel, quota).await.unwrap();
    let context = net.context.child("liar");
    context.spawn(move |_| async move {
        while let Ok((from, bytes)) = receiver.recv().await {
            let bytes: &[u8] = bytes.as_ref();
            // `fragment: version 1 | length 4 | offset 4`, `message: kind 1 | version 1 | number 8`.
            let Some((head, asked)) = bytes.split_at_checked(9 + 10) else { continue };
            let (kind, number) = (head[9], &head[11..]);
            let Some(told) = answer(&[&[kind], asked].concat()) else { continue };
            sender.send(Recipients::One(from), whole(&told, number), true);
        }
    });
}

/// A message in its only fragment.
fn whole(message: &[u8], number: &[u8]) -> Vec<u8> {
    let message = [&message[..1], &[1], number, &message[1..]].concat();
    let len = u32::try_from(message.len()).unwrap();
    [&[1], &len.to_le_bytes()[..], &[0; 4], &message[..]].concat()
}

/// The other hosts of a block, in the order in which they are asked.
fn others(fixture: &Fixture, block: u32) -> Vec<u8> {
    let hosts = fixture.ring.headers()[block as usize].hosts();
    let number = |key| (0..HOSTS).find(|n| host(n + 1).public() == key).unwrap();
    hosts.map(number).filter(|n| *n != HURT).collect()
}

#[test]
fn a_copy_that_gives_other_bytes_signs_nonsense_refuses_or_is_silent_is_passed_over() {
    let lies: [Lie; 5] = [
        |_| None,
        // Of everything that is asked: bytes that were not sealed, and a signature of nothing.
        |asked| Some(if asked[0] == 32 { vec![33; 70] } else { [&[35][..], &[7; 64]].concat() }),
        |_| Some(vec![38, 3]),
        |_| Some(vec![37; 33]),
        // No message at all.
        |_| Some(vec![99]),
    ];
    for (seed, answer) in (1..).zip(lies) {
        let fixture = Fixture::new(Copies::Three, false);
        let rules = Rules::new(&fixture);
        let block = first_block(&fixture, HURT);
        let [liar, honest] = others(&fixture, block)[..] else { panic!("three copies") };
        run(seed, |context| async {
            let mut net = Net::new(context, &fixture, false).await;
            let quarantine = start(&mut net, &rules, HURT, None).await;
            start(&mut net, &rules, honest, None).await;
            lie(&mut net, liar, answer).await;
            hurt_file(&fixture, HURT, block);
            hurt_memory(&fixture, block);
            rules.blame(&fixture, HURT, block);
            until(&mut net, (&rules, &quarantine), "it is repaired all the same", || {
                rules.of(&fixture, HURT).is_empty()
            })
            .await;
            assert!(is_whole(&fixture, HURT, block), "{seed}");
            let signed = rules.repairs()[0].countersignature.clone().unwrap();
            assert_eq!(signed.host, host(honest + 1).public(), "{seed}");
        });
    }
}

#[test]
fn where_no_other_copy_is_whole_the_file_stays_as_it_is_and_the_copy_quarantined_until_one_is() {
    let fixture = Fixture::new(Copies::Three, false);
    let rules = Rules::new(&fixture);
    let block = first_block(&fixture, HURT);
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        let quarantine = start(&mut net, &rules, HURT, None).await;
        // Of the others one is damaged, too, and one is down.
        let [damaged, down] = others(&fixture, block)[..] else { panic!("three copies") };
        start(&mut net, &rules, damaged, None).await;
        hurt_file(&fixture, damaged, block);
        hurt_file(&fixture, HURT, block);
        let before = std::fs::read(fixture.path(HURT)).unwrap();
        rules.blame(&fixture, HURT, block);
        net.context.sleep(Duration::from_secs(60)).await;
        assert_eq!(std::fs::read(fixture.path(HURT)).unwrap(), before);
        assert_eq!((rules.of(&fixture, HURT), rules.repairs().len()), ([block].into(), 0));
        start(&mut net, &rules, down, None).await;
        until(&mut net, (&rules, &quarantine), "it is repaired", || {
            rules.of(&fixture, HURT).is_empty()
        })
        .await;
        assert!(is_whole(&fixture, HURT, block));
    });
}

#[test]
fn a_countersignature_of_a_quarantined_copy_is_neither_asked_for_nor_taken() {
    let fixture = Fixture::new(Copies::Three, false);
    let rules = Rules::new(&fixture);
    let block = first_block(&fixture, HURT);
    // Whatever a quarantined copy signs, the ledger does not take it.
    let helper = others(&fixture, block)[0];
    rules.blame(&fixture, HURT, block);
    rules.blame(&fixture, helper, block);
    {
        let mut state = rules.state.lock().unwrap();
        let author: AuthorKey = host(HURT + 1).into();
        let binding = state.binding(&author.public());
        let digest = fixture.ring.digest();
        let mut audit = Audit { nonce: [5; 32], digest: Digest([6; 32]), countersignature: None };
        let (me, key) = (host(HURT + 1).public(), host(helper + 1));
        let signed: Countersignature = audit.countersign(binding, &digest, &[block], &me, &key);
        audit.countersignature = Some(signed);
        let (ring_id, ring_digest) = (fixture.ring.ring_id(), digest);
        let source = String::new();
        let event = Event::Repair { ring_id, ring_digest, blocks: vec![block], source, audit };
        let entry = Entry::sign(binding, 0, &event, &author).unwrap();
        assert!(state.advance(&entry).is_err());
        let standing = CopyStanding::of(&state, &fixture.ring, &host(HURT + 1));
        assert!(!standing.is_sound(&host(helper + 1).public(), block));
        assert!(standing.is_sound(&host(others(&fixture, block)[1] + 1).public(), block));
    }
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        let quarantine = start(&mut net, &rules, HURT, None).await;
        // It would answer anything.
        lie(&mut net, helper, |_| Some([&[35][..], &[7; 64]].concat())).await;
        start(&mut net, &rules, others(&fixture, block)[1], None).await;
        until(&mut net, (&rules, &quarantine), "it is repaired", || {
            rules.of(&fixture, HURT).is_empty()
        })
        .await;
        let signed = rules.repairs()[0].countersignature.clone().unwrap();
        assert_eq!(signed.host, host(others(&fixture, block)[1] + 1).public());
    });
}

#[test]
fn a_file_that_another_put_in_the_rings_place_is_not_overwritten() {
    let fixture = Fixture::new(Copies::Three, false);
    let rules = Rules::new(&fixture);
    let block = first_block(&fixture, HURT);
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        for n in 0..HOSTS {
            start(&mut net, &rules, n, None).await;
        }
        hurt_file(&fixture, HURT, block);
        let newer = fixture.sealed.folder.path().join("newer");
        std::fs::write(&newer, b"what the owner put there").unwrap();
        std::fs::rename(&newer, fixture.path(HURT)).unwrap();
        rules.blame(&fixture, HURT, block);
        net.context.sleep(Duration::from_secs(60)).await;
        assert_eq!(std::fs::read(fixture.path(HURT)).unwrap(), b"what the owner put there");
        assert_eq!(rules.of(&fixture, HURT), [block].into());
    });
}

/// What a host answers to messages that were made by hand, in the name of another: without kind, version and number of fragments.
async fn told(net: &Net<'_>, as_host: u8, asked: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let control = net.oracle.control(identity(as_host));
    let (channel, quota) = hosting::channel();
    let (mut sender, mut receiver) = control.register(channel, quota).await.unwrap();
    let mut answers = Vec::new();
    for (number, asked) in (0_u64..).zip(asked) {
        let to = Recipients::One(identity(HURT));
        sender.send(to, whole(&asked, &number.to_le_bytes()), true);
        let (_, bytes) = receiver.recv().await.unwrap();
        let bytes: &[u8] = bytes.as_ref();
        assert_eq!(bytes[11..19], number.to_le_bytes());
        answers.push([&bytes[9..10], &bytes[19..]].concat());
    }
    answers
}

#[test]
fn a_host_answers_for_blocks_that_both_hold_for_its_log_and_for_what_its_own_copy_gives() {
    let fixture = Fixture::new(Copies::Two, false);
    let rules = Rules::new(&fixture);
    let block = first_block(&fixture, HURT);
    let other = others(&fixture, block)[0];
    let held = |n: u8, b: u32| {
        fixture.ring.headers()[b as usize].hosts().any(|key| key == host(n + 1).public())
    };
    let not_shared = (1..6).find(|b| held(HURT, *b) && !held(other, *b)).unwrap();
    let ring = fixture.ring.digest();
    let challenge = Challenge::with_nonce([9; 32], &[block]);
    let answer = {
        let live = fixture.hosts[usize::from(other)].read();
        live.audit(&challenge, &host(other + 1).public()).unwrap()
    };
    let log = Binding::new(ORIGIN, 0).log;
    let chunk = |ring: Digest, block: u32, chunk: u64| {
        [&[32][..], &ring.0, &block.to_le_bytes(), &chunk.to_le_bytes()].concat()
    };
    let audit = |kind: u8, ring: Digest, block: u32, answer: Digest| {
        [&[kind][..], &ring.0, &block.to_le_bytes(), &[9; 32], &answer.0].concat()
    };
    let sign = |audit: Vec<u8>, log: Digest| {
        [audit, log.0.to_vec(), vec![3, 0, 0, 0, 0, 0, 0, 0]].concat()
    };
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        let quarantine = start(&mut net, &rules, HURT, None).await;
        let wrong = Digest([1; 32]);
        let asked = vec![
            chunk(ring, block, 0),
            chunk(wrong, block, 0),
            chunk(ring, not_shared, 0),
            chunk(ring, 99, 0),
            chunk(ring, block, u64::MAX),
            sign(audit(34, ring, block, answer), log),
            sign(audit(34, ring, block, wrong), log),
            sign(audit(34, ring, block, answer), wrong),
            sign(audit(34, ring, not_shared, answer), log),
            audit(36, ring, block, answer),
        ];
        let answers = told(&net, other, asked).await;
        let place = deepring::maintenance::ChunkPlace { block, chunk: 0 };
        let sealed = fixture.ring.sealed_chunk(place).unwrap();
        assert_eq!(answers[0], [&[33], sealed.bytes()].concat());
        assert_eq!(answers[1..5], [[38, 1], [38, 2], [38, 2], [38, 3]]);
        let statement = Audit { nonce: [9; 32], digest: answer, countersignature: None };
        let statement = statement.statement(
            Binding::new(ORIGIN, 3),
            &ring,
            &[block],
            &host(other + 1).public(),
        );
        let signature = answers[5][1..].try_into().unwrap();
        let signed = Countersignature { host: host(HURT + 1).public(), signature };
        assert!(answers[5][0] == 35 && signed.is_over(&statement));
        assert_eq!(answers[6..9], [[38, 4], [38, 6], [38, 2]]);
        let own = {
            let live = fixture.hosts[usize::from(HURT)].read();
            live.audit(&challenge, &host(HURT + 1).public()).unwrap()
        };
        assert_eq!(answers[9], [&[37][..], &own.0].concat());
        // Nothing that was said of its copy is held against it.
        let (_, notices) = net.up.get_mut(&HURT).unwrap();
        assert!(notices.try_recv().is_err());
        // While its own copy is quarantined it speaks for it no more.
        net.context.sleep(Duration::from_secs(20)).await;
        quarantine.set([block].into());
        let asked = vec![sign(audit(34, ring, block, answer), log), audit(36, ring, block, answer)];
        assert_eq!(told(&net, other, asked).await, [[38, 3], [38, 3]]);
    });
}

#[test]
fn who_asks_more_than_its_share_is_refused_and_served_again_later() {
    let fixture = Fixture::new(Copies::Two, false);
    let rules = Rules::new(&fixture);
    let block = first_block(&fixture, HURT);
    let other = others(&fixture, block)[0];
    let asked =
        [&[36][..], &fixture.ring.digest().0, &block.to_le_bytes(), &[9; 32], &[1; 32]].concat();
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        start(&mut net, &rules, HURT, None).await;
        let answers = told(&net, other, vec![asked.clone(); 12]).await;
        assert!(answers[..8].iter().all(|answer| answer[0] == 37));
        assert_eq!(answers[11], [38, 5]);
        net.context.sleep(Duration::from_secs(10)).await;
        assert_eq!(told(&net, other, vec![asked]).await[0][0], 37);
        // A lie about its copy makes it look, and it finds nothing.
        let (_, notices) = net.up.get_mut(&HURT).unwrap();
        assert!(notices.try_recv().is_err());
        assert_eq!(fixture.hosts[usize::from(HURT)].read().out_of_use(), [].into());
    });
}

#[test]
fn an_audit_between_queries_finds_damage_that_no_query_met_and_a_lie_about_a_copy_is_none() {
    let fixture = Fixture::new(Copies::Three, false);
    let rules = Rules::new(&fixture);
    let blocks: Vec<u32> = fixture.hosts[usize::from(HURT)].read().loaded().collect();
    run(1, |context| async {
        let mut net = Net::new(context, &fixture, false).await;
        let every = Some(Duration::from_secs(2));
        let quarantine = start(&mut net, &rules, HURT, every).await;
        for n in (0..HOSTS).filter(|n| *n != HURT) {
            // Every audit is told another answer.
            lie(&mut net, n, |_| Some(vec![37; 33])).await;
        }
        net.context.sleep(Duration::from_secs(60)).await;
        let (_, notices) = net.up.get_mut(&HURT).unwrap();
        assert!(notices.try_recv().is_err(), "another's word is no finding");
        for block in blocks {
            hurt_memory(&fixture, block);
            until(&mut net, (&rules, &quarantine), "it is found", || {
                rules.of(&fixture, HURT).contains(&block)
            })
            .await;
        }
        assert_eq!(rules.repairs().len(), 0, "liars countersign nothing");
    });
}
