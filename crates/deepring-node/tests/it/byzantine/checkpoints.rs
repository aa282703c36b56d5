//! Cosigns the checkpoints of another history.

use std::time::Duration;

use commonware_p2p::{Recipients, Sender as _};
use deepring::codec::Writer;
use deepring_ledger::LedgerOptions;
use deepring_ledger::entry::UnverifiedEntry;
use deepring_ledger::log::CheckpointBody;
use deepring_ledger::witness::WitnessKey;
use deepring_node::agreement::Submission;

use crate::net::{Net, ORIGIN, node_key, run, seeds};
use crate::said::SAID;

/// What a validator that keeps this log says of it, at each of its sizes.
fn statements(n: u8, said: &[&Submission]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let mut ledger = LedgerOptions::new().origin(ORIGIN).open_or_create(path).unwrap();
    let mut statements = Vec::new();
    for submission in said {
        let entry = UnverifiedEntry::decode(submission.entry()).unwrap().verify().unwrap();
        ledger.append(&[entry]).unwrap();
        let body = ledger.checkpoint().body();
        let line = body.cosign(&node_key(n), 1_700_000_000).unwrap();
        let mut w = Writer::new();
        w.u8(1).string(&body.to_string()).string(&line);
        statements.push(w.finish());
    }
    statements
}

#[test]
fn cosignatures_of_another_history_are_kept_as_evidence_and_certify_nothing() {
    let forked = statements(3, &[&SAID.set, &SAID.other_registered, &SAID.registered]);
    for seed in seeds() {
        let forked = &forked;
        run(seed, |mut net| async move {
            let (mut sender, _heard) = net.channels(3).await.cosignatures;
            let evidence = tempfile::tempdir().unwrap();
            for n in 0..3 {
                let mut config = Net::config(n);
                config.evidence = Some(evidence.path().join(n.to_string()));
                std::fs::create_dir(evidence.path().join(n.to_string())).unwrap();
                net.start(n, config).await;
            }
            net.record(0, &SAID.set).await;
            net.record(0, &SAID.registered).await;
            net.grown(2).await;
            // Of the last one it speaks before the others are so far.
            for _ in 0..20 {
                for statement in forked {
                    sender.send(Recipients::All, statement.clone(), false);
                }
                net.pause(Duration::from_millis(500)).await;
            }
            net.record(1, &SAID.other_registered).await;
            net.grown(3).await;
            net.certified(3).await;
            net.until("all have seen both histories", |net| {
                net.up.values().all(|v| v.subscribe().borrow().split_views.len() == 2)
            })
            .await;
            let liar = node_key(3).public();
            for (n, validator) in &net.up {
                let progress = validator.subscribe();
                let progress = progress.borrow();
                let mut sizes: Vec<u64> =
                    progress.split_views.iter().map(|view| view.size).collect();
                sizes.sort_unstable();
                // The first entry is that of both.
                assert_eq!(sizes, [2, 3], "node {n}");
                for view in &progress.split_views {
                    assert_eq!(view.by, liar);
                    // Anybody can verify it: who cosigned, and that it is another root than the log has there.
                    let (body, line) = view.theirs.split_once("\n\n").unwrap();
                    let body = CheckpointBody::parse(&format!("{body}\n")).unwrap();
                    let key = WitnessKey::of_node(&liar).unwrap();
                    body.cosignature(line, std::slice::from_ref(&key)).unwrap();
                    assert!(!view.mine.starts_with(&body.to_string()));
                    let file = format!("split_view-{}-{liar}.txt", view.size);
                    let kept = evidence.path().join(n.to_string()).join(file);
                    let kept = std::fs::read_to_string(kept).unwrap();
                    assert_eq!(kept, format!("{}\n\n{}", view.mine, view.theirs));
                }
                // The three others certify, and by their lines alone.
                let certified = progress.certified.clone().unwrap();
                assert_eq!(certified.added().len(), 3, "node {n}");
                let cosigner = WitnessKey::of_node(&liar).unwrap();
                let name = cosigner.name().to_owned();
                assert!(!certified.checkpoint().as_str().contains(&name), "node {n}");
            }
            assert_eq!(net.equal_rows().await.entries.len(), 3);
        });
    }
}
