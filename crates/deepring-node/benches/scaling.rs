//! Validators from four to a hundred in a simulated network (20 ms to each other, nothing lost): virtual time from a submission to its
//! entry on stable storage and to a checkpoint that a quorum cosigned, and messages for each entry, by what they are for. Everything is
//! counted in virtual time; what the machine takes beside it is told, and is no measurement of a network.
//! `cargo bench -p deepring-node --bench scaling [-- SIZES]`

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench fails loudly, and prints"
)]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use commonware_p2p::simulated::{Config as NetworkConfig, Link, Network};
use commonware_runtime::{Clock as _, Metrics as _, Runner as _, Supervisor as _, deterministic};
use commonware_utils::{NZUsize, probability};
use deepring::keys::{AuthorKey, Node};
use deepring::{Finding, SecretKey, Section};
use deepring_ledger::{Entry, Event, LedgerOptions, State, ValidatorSet};
use deepring_node::agreement::{
    Config, Submission, Validator, ValidatorChannels, ValidatorHandle, channels, max_message_bytes,
    voter,
};
use deepring_testkit::rings::{Sealed, host_key, owner_key};

const ORIGIN: &str = "deepring.local/ledger/scaling";
const ENTRIES: usize = 20;
const CHANNELS: [&str; 7] =
    ["votes", "certificates", "fetch", "dockets", "backfill", "submissions", "cosignatures"];

fn node_key(n: u32) -> SecretKey<Node> {
    let half = |kind: u8| {
        let mut half = [kind; 32];
        half[..4].copy_from_slice(&n.to_le_bytes());
        half
    };
    SecretKey::from_halves(&half(31), &half(131)).unwrap()
}

fn set(nodes: u32) -> ValidatorSet {
    let mut nodes: Vec<_> = (0..nodes).map(|n| node_key(n).public()).collect();
    nodes.sort_by_key(|key| *key.as_bytes());
    let owners = vec![owner_key(0).public()];
    ValidatorSet { epoch: 1, origin: ORIGIN.to_owned(), owners, nodes }
}

/// The set, a ring, and as many alarms of one of its hosts as are asked for.
fn submissions(set: &ValidatorSet) -> Vec<Submission> {
    let sealed = Sealed::new(0, 2);
    let outline = sealed.outline();
    let ring = (outline.ring_id(), outline.ring_digest());
    let finding = Finding::tampered(Section::Body, "a live parameter is not the sealed one");
    let finding = finding.in_block(1, Some("layer1"));
    let mut events = vec![
        (Event::ValidatorSet(set.clone()), AuthorKey::from(owner_key(0))),
        (
            Event::RingRegistered { outline: Box::new(outline.as_outline().clone()) },
            owner_key(0).into(),
        ),
    ];
    let alarm = Event::alarm(ring, host_key(0).public(), &finding);
    events.resize_with(2 + ENTRIES, || (alarm.clone(), host_key(0).into()));
    let mut state = State::new(ORIGIN);
    let made = events.into_iter().map(|(event, author)| {
        let entry = Entry::sign(state.binding(&author.public()), 0, &event, &author).unwrap();
        state.advance(&entry).unwrap();
        Submission::of(&entry).unwrap()
    });
    made.collect()
}

/// What one size came to.
struct Came {
    recorded: Vec<Duration>,
    certified: Vec<Duration>,
    messages: BTreeMap<usize, u64>,
    heights: u64,
    certificate: usize,
}

fn sent(metrics: &str) -> BTreeMap<usize, u64> {
    let mut sent = BTreeMap::new();
    for line in
        metrics.lines().filter(|line| line.contains("messages_sent") && !line.starts_with('#'))
    {
        let channel = line.split("channel=\"").nth(1).and_then(|rest| rest.split('"').next());
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok());
        if let (Some(channel), Some(count)) = (channel.and_then(|c| c.parse().ok()), count) {
            *sent.entry(channel).or_insert(0) += count as u64;
        }
    }
    sent
}

fn measure(nodes: u32) -> Came {
    let set = set(nodes);
    let submissions = submissions(&set);
    let config =
        deterministic::Config::new().with_seed(1).with_timeout(Some(Duration::from_secs(3600)));
    deterministic::Runner::new(config).start(|context| async move {
        let keys: Vec<_> = (0..nodes).map(|n| voter(&node_key(n).public()).unwrap()).collect();
        let config = NetworkConfig {
            max_size: max_message_bytes(nodes),
            max_peers_per_set: NonZeroUsize::new(nodes as usize).unwrap(),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let (network, oracle) =
            Network::new_with_peers(context.child("network"), config, keys.clone()).await;
        network.start();
        let link = Link {
            latency: Duration::from_millis(20),
            jitter: Duration::ZERO,
            success_rate: probability!(1, 1),
        };
        for from in &keys {
            for to in keys.iter().filter(|to| *to != from) {
                oracle.add_link(from.clone(), to.clone(), link.clone()).await.unwrap();
            }
        }
        let mut up: Vec<ValidatorHandle> = Vec::new();
        let folders: Vec<_> = keys.iter().map(|_| tempfile::tempdir().unwrap()).collect();
        for (n, key) in keys.iter().enumerate() {
            let control = oracle.control(key.clone());
            let mut made = Vec::new();
            for (channel, quota) in channels() {
                made.push(control.register(channel, quota).await.unwrap());
            }
            let mut made = made.into_iter();
            let mut next = || made.next().unwrap();
            let channels = ValidatorChannels {
                votes: next(),
                certificates: next(),
                fetch: next(),
                dockets: next(),
                backfill: next(),
                submissions: next(),
                cosignatures: next(),
            };
            let mut config = Config::new(node_key(n as u32), set.clone());
            config.partition = format!("validator-{n}");
            let ledger = LedgerOptions::new()
                .origin(ORIGIN)
                .open_or_create(folders[n].path().join("ledger"))
                .unwrap();
            let context = context.child("node").with_attribute("n", n);
            up.push(
                Validator::start(context, channels, oracle.manager(), control, ledger, config)
                    .await
                    .unwrap(),
            );
        }
        while up.iter().any(|validator| validator.height() == 0) {
            context.sleep(Duration::from_millis(100)).await;
        }
        let record = async |n: usize, submission: &Submission| {
            let began = context.current();
            let committed =
                up[n].submit(submission.clone()).await.unwrap().committed().await.unwrap();
            let recorded = context.current().duration_since(began).unwrap();
            let mut progress = up[n].subscribe();
            let over = |p: &deepring_node::agreement::LedgerProgress| {
                p.certified.as_ref().is_some_and(|c| c.checkpoint().size() > committed.index)
            };
            progress.wait_for(over).await.unwrap();
            (recorded, context.current().duration_since(began).unwrap())
        };
        for submission in &submissions[..2] {
            record(0, submission).await;
        }
        let (before, height) = (sent(&context.encode()), up[0].height());
        let (mut recorded, mut certified) = (Vec::new(), Vec::new());
        for (n, submission) in submissions[2..].iter().enumerate() {
            let (to_record, to_certify) = record(n % nodes as usize, submission).await;
            recorded.push(to_record);
            certified.push(to_certify);
        }
        let mut messages = sent(&context.encode());
        for (channel, count) in &mut messages {
            *count -= before.get(channel).copied().unwrap_or(0);
        }
        let heights = up[0].height() - height;
        let certified_by = up[0].subscribe().borrow().certified.clone().unwrap();
        let certificate = certified_by.checkpoint().as_str().len();
        recorded.sort_unstable();
        certified.sort_unstable();
        Came { recorded, certified, messages, heights, certificate }
    })
}

fn main() {
    let sizes: Vec<u32> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![4, 7, 16, 31, 64, 100] } else { sizes };
    println!(
        "| validators | recorded, ms | certified, ms | heights | messages an entry | checkpoint, bytes | took, s |"
    );
    println!("|---|---|---|---|---|---|---|");
    for nodes in sizes {
        let began = Instant::now();
        let came = measure(nodes);
        let middle = |times: &[Duration]| times[times.len() / 2].as_millis();
        let each: Vec<String> = came
            .messages
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(channel, count)| format!("{} {}", CHANNELS[*channel], count / ENTRIES as u64))
            .collect();
        println!(
            "| {nodes} | {} | {} | {} | {} | {} | {:.0} |",
            middle(&came.recorded),
            middle(&came.certified),
            came.heights,
            each.join(", "),
            came.certificate,
            began.elapsed().as_secs_f64()
        );
    }
}
