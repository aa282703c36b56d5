//! Rings whose blocks belong to several hosts: routes, parcels between them, and keys that are missing.

use std::sync::Arc;

use deepring::Check;
use deepring::opening::OpenError;
use deepring::receipt::{
    Checked, Delivered, Item, LegResult, Parcel, ParcelError, Require, batch_digest, tensors_digest,
};
use deepring_infer::block::Computed;
use deepring_infer::{CutPolicy, RingHost, Rten, RunError, Session, SessionOptions};

use crate::zoo::{Sealed, answer, floats, host, images, network, start, tensor};

fn digest(tensors: &[deepring::TensorValue]) -> deepring::Digest {
    tensors_digest(&start().salt, tensors)
}

/// LeNet cut before each of its five linear operators.
fn lenet(hosts: &[(&str, u8)]) -> Sealed {
    Sealed::for_hosts(&network("fashion-lenet5"), CutPolicy::Op, hosts)
}

/// First block, last block and host seed of each receipt.
fn legs(ring: &Sealed, session: &Session) -> Vec<(u32, u32, u8)> {
    let outcome = session.run(vec![images(0, 3)]).unwrap();
    let decision = outcome.decision.verify(ring.ring().outline(), Require::AsDealt).unwrap();
    let seed = |key| (1..9).find(|s| host(*s).public() == key).unwrap();
    decision.chain().receipts().map(|r| (r.first_block, r.end_block() - 1, seed(r.host))).collect()
}

#[test]
fn however_blocks_are_spread_over_hosts_the_answer_is_that_of_one_host() {
    let input = images(0, 3);
    let wanted = answer(&lenet(&[("", 1)]).session(Check::Run), &input);
    type Assignment = (&'static [(&'static str, u8)], &'static [u8], &'static [(u32, u32, u8)]);
    let spreads: &[Assignment] = &[
        (&[("1-2", 1), ("3-5", 2)], &[1, 2], &[(1, 2, 1), (3, 5, 2)]),
        (&[("1-2", 1), ("3-5", 2)], &[2, 1], &[(1, 2, 1), (3, 5, 2)]),
        (&[("1", 1), ("2-4", 2), ("5", 3)], &[3, 1, 2], &[(1, 1, 1), (2, 4, 2), (5, 5, 3)]),
        // A host that comes back, and one for each block.
        (
            &[("1,3,5", 1), ("2,4", 2)],
            &[1, 2],
            &[(1, 1, 1), (2, 2, 2), (3, 3, 1), (4, 4, 2), (5, 5, 1)],
        ),
        // Overlapping: whoever gets furthest, so that there are few hops.
        (&[("1-3", 1), ("2-5", 2)], &[1, 2], &[(1, 3, 1), (4, 5, 2)]),
        (&[("1-2", 1), ("1-4", 2), ("3-5", 3)], &[1, 2, 3], &[(1, 4, 2), (5, 5, 3)]),
        // All hosts may run everything: no hop at all, and the first key does it.
        (&[("", 1), ("", 2)], &[2, 1], &[(1, 5, 2)]),
        // A replica steps in for a host that is away.
        (&[("1-2", 1), ("3-5", 2), ("3-5", 3)], &[1, 3], &[(1, 2, 1), (3, 5, 3)]),
    ];
    for (hosts, keys, wanted_stretches) in spreads {
        let ring = lenet(hosts);
        for check in [Check::Load, Check::Run] {
            let session = ring.session_of(keys, check, 1);
            assert_eq!(answer(&session, &input), wanted, "{hosts:?}");
            assert_eq!(legs(&ring, &session), *wanted_stretches, "{hosts:?}");
        }
    }
}

#[test]
fn a_batch_hops_as_one_parcel() {
    let ring = lenet(&[("1-2", 1), ("3-5", 2)]);
    let session = ring.session_of(&[1, 2], Check::Run, 1);
    let batch = vec![vec![images(0, 1)], vec![images(1, 3)], vec![images(3, 4)]];
    let outcome = session.run_batch(batch.clone()).unwrap();
    assert_eq!(
        outcome
            .decision
            .verify(ring.ring().outline(), Require::AsDealt)
            .unwrap()
            .chain()
            .receipts()
            .len(),
        2
    );
    for (inputs, outputs) in batch.iter().zip(&outcome.outputs) {
        assert_eq!(outputs[0], answer(&session, &inputs[0]));
    }
}

#[test]
fn residual_networks_hop_with_all_their_live_tensors() {
    let path = network("fashion-resnet8");
    let input = images(0, 2);
    let single = Sealed::new(&path, CutPolicy::Op);
    let wanted = answer(&single.session(Check::Run), &input);
    let blocks = single.ring().layers().len();
    let odd: Vec<_> = (1..=blocks).step_by(2).map(|b| b.to_string()).collect();
    let even: Vec<_> = (2..=blocks).step_by(2).map(|b| b.to_string()).collect();
    let (odd, even) = (odd.join(","), even.join(","));
    let ring = Sealed::for_hosts(&path, CutPolicy::Op, &[(&odd, 1), (&even, 2)]);
    let session = ring.session_of(&[1, 2], Check::Run, 1);
    assert_eq!(answer(&session, &input), wanted);
    assert_eq!(legs_of(&session), blocks);
}

fn legs_of(session: &Session) -> usize {
    session.run(vec![images(0, 1)]).unwrap().decision.chain().receipts().len()
}

#[test]
fn a_missing_key_is_refused_naming_the_first_block_that_nobody_opens() {
    let ring = lenet(&[("1-2", 1), ("3", 2), ("4-5", 3)]);
    let open = |hosts: &[u8]| {
        let keys: Vec<_> = hosts.iter().map(|s| host(*s)).collect();
        Session::open(ring.ring(), &keys, SessionOptions::default()).map(|_| ())
    };
    let missing = |hosts: &[u8]| match open(hosts).unwrap_err() {
        RunError::NoKey { block, name } => (block, name),
        other => panic!("{other}"),
    };
    assert_eq!(missing(&[1, 3]), (3, "fc1".to_owned()));
    assert_eq!(missing(&[1]), (3, "fc1".to_owned()));
    assert_eq!(missing(&[2, 3]).0, 1);
    assert_eq!(missing(&[1, 2]).0, 4);
    assert_eq!(missing(&[7]).0, 1);
    assert_eq!(missing(&[]).0, 1);
    open(&[1, 2, 3]).unwrap();
}

#[test]
fn a_host_alone_opens_its_own_blocks_and_no_other() {
    let ring = lenet(&[("1-2", 1), ("3-5", 2)]);
    let shared = Arc::new(ring.ring());
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let open = |seed, blocks| {
        RingHost::open(
            Arc::clone(&shared),
            Arc::clone(&engine),
            host(seed),
            blocks,
            Check::Run,
            &|_| (),
        )
    };
    let second = open(2, 3..6).unwrap();
    assert_eq!(second.loaded().collect::<Vec<_>>(), [3, 4, 5]);
    assert!(second.live_bytes(2).is_none());
    for blocks in [1..2, 2..3, 2..6] {
        let first = blocks.start;
        match open(2, blocks).unwrap_err() {
            RunError::Open(OpenError::NotForThisKey { index, .. }) => assert_eq!(index, first),
            other => panic!("{other}"),
        }
    }
    let mut second = second;
    assert!(matches!(
        second.load_block(1).unwrap_err(),
        RunError::Open(OpenError::NotForThisKey { index: 1, .. })
    ));
    // Genesis goes with every grant.
    second.load_block(0).unwrap();
    assert!(matches!(
        second.load_block(6).unwrap_err(),
        RunError::Open(OpenError::NoSuchBlock { index: 6, count: 6 })
    ));
    // A stranger does not even open Genesis.
    assert!(matches!(
        open(7, 1..1).unwrap_err(),
        RunError::Open(OpenError::NotForThisKey { index: 0, .. })
    ));
}

/// Every step as it would be on two machines, with bytes in between.
#[test]
fn a_query_can_be_carried_from_host_to_host_by_hand() {
    let ring = lenet(&[("1-2", 1), ("3-5", 2)]);
    let shared = Arc::new(ring.ring());
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let open = |seed, blocks| {
        RingHost::open(
            Arc::clone(&shared),
            Arc::clone(&engine),
            host(seed),
            blocks,
            Check::Run,
            &|_| (),
        )
        .unwrap()
    };
    let (first, second) = (open(1, 1..3), open(2, 3..6));
    let batch = vec![vec![images(0, 1)]];
    let mut chain = first.begin(&batch, &start(), false).unwrap();
    let Computed { outputs: live, .. } =
        first.run(&mut chain, &start().salt, &batch, 1..3).unwrap();

    // Blocks are run by those who have loaded them.
    let not_loaded = first.run(&mut chain.clone(), &start().salt, &live, 3..6).unwrap_err();
    assert!(matches!(not_loaded, RunError::NotLoaded { block: 3 }));

    let parcel =
        Parcel::seal(chain.clone(), &start().salt, &live, &[second.public()]).unwrap().encode();
    let refused = |bytes: &[u8], host: &RingHost<Rten>| match Parcel::decode(bytes) {
        Ok(parcel) => host.accept(parcel).unwrap_err(),
        Err(e) => RunError::Parcel(ParcelError::Malformed(e)),
    };
    // For the second host only, and only as it was sent.
    let not_for = refused(&parcel, &first);
    assert!(matches!(not_for, RunError::Parcel(ParcelError::NotForThisHost)), "{not_for}");
    for at in (0..parcel.len()).step_by(97).chain([parcel.len() - 1]) {
        let mut bytes = parcel.clone();
        bytes[at] ^= 1;
        assert!(matches!(refused(&bytes, &second), RunError::Parcel(_)), "byte {at}");
    }
    // Other tensors than the receipt names, sealed well: only the digest tells.
    let mut other = live.clone();
    let good = &live[0][0];
    let mut data = good.data().to_vec();
    data[0] ^= 1;
    other[0][0] =
        deepring::TensorValue::new(good.name(), good.dtype(), good.dims().to_vec(), data).unwrap();
    let lie =
        Parcel::seal(chain.clone(), &start().salt, &other, &[second.public()]).unwrap().encode();
    let finding = refused(&lie, &second).finding().cloned().unwrap();
    assert_eq!(finding.block, Some(3));

    let Delivered { mut chain, batch: live, .. } =
        second.accept(Parcel::decode(&parcel).unwrap()).unwrap();
    let Computed { outputs, .. } = second.run(&mut chain, &start().salt, &live, 3..6).unwrap();
    let back = Parcel::seal(chain, &start().salt, &outputs, &[first.public()]).unwrap().encode();
    let Delivered { chain, batch: outputs, .. } =
        first.accept(Parcel::decode(&back).unwrap()).unwrap();
    let items = vec![Item { inputs: digest(&batch[0]), outputs: digest(&outputs[0]) }];
    // Only who opened the query closes it.
    assert!(second.close(chain.clone(), items.clone(), start().salt, None).is_err());
    let decision = first.close(chain, items, start().salt, None).unwrap();
    decision.verify(shared.outline(), Require::AsDealt).unwrap();
    let session = ring.session_of(&[1, 2], Check::Run, 1);
    assert_eq!(outputs[0][0], answer(&session, &images(0, 1)));
}

/// Outputs that a host says it computed are its word: nobody who receives them holds its parameters.
#[test]
fn made_up_outputs_that_their_host_signed_are_passed_on_and_closed() {
    let ring = lenet(&[("1-2", 1), ("3-5", 2)]);
    let shared = Arc::new(ring.ring());
    let open = |seed, blocks| {
        let engine = Arc::new(Rten::new(1.try_into().ok()));
        RingHost::open(Arc::clone(&shared), engine, host(seed), blocks, Check::Compute, &|_| ())
            .unwrap()
    };
    let (first, liar) = (open(1, 1..3), open(2, 3..6));
    let batch = vec![vec![images(0, 1)]];
    let mut chain = first.begin(&batch, &start(), false).unwrap();
    let Computed { outputs: live, .. } =
        first.run(&mut chain, &start().salt, &batch, 1..3).unwrap();
    let Delivered { chain: mut before, batch: live, .. } =
        liar.accept(Parcel::seal(chain, &start().salt, &live, &[liar.public()]).unwrap()).unwrap();
    let mut honest = before.clone();
    let Computed { outputs, .. } = liar.run(&mut honest, &start().salt, &live, 3..6).unwrap();
    // Another class comes out on top, under the coverage of a run that gave something else.
    let right = &outputs[0][0];
    let turned: Vec<f32> = floats(right).into_iter().rev().collect();
    let lie = vec![vec![tensor(right.name(), right.dims(), &turned)]];
    assert_ne!(lie, outputs);
    let said = honest.receipts().next_back().unwrap();
    let checked = Checked::new(said.check, said.rotation, said.coverage.clone()).unwrap();
    let result = LegResult {
        blocks: said.blocks.clone(),
        checked,
        computed_with: said.computed_with.clone(),
        outputs: batch_digest(&[digest(&lie[0])]),
    };
    before.extend(&host(2), result);
    let parcel = Parcel::seal(before, &start().salt, &lie, &[first.public()]).unwrap();
    let Delivered { chain, batch: taken, .. } = first.accept(parcel).unwrap();
    assert_eq!(taken, lie);
    let items = vec![Item { inputs: digest(&batch[0]), outputs: digest(&taken[0]) }];
    first
        .close(chain, items, start().salt, None)
        .unwrap()
        .verify(shared.outline(), Require::None)
        .unwrap();
}

#[test]
fn a_host_that_skips_a_block_or_runs_one_out_of_turn_closes_no_decision() {
    let ring = lenet(&[("", 1)]);
    let shared = Arc::new(ring.ring());
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    let host =
        RingHost::open(Arc::clone(&shared), engine, host(1), 1..6, Check::Run, &|_| ()).unwrap();
    let batch = vec![vec![images(0, 1)]];
    let close = |chain: deepring::receipt::Chain, out: &[deepring::TensorValue]| {
        let items = vec![Item { inputs: digest(&batch[0]), outputs: digest(out) }];
        host.close(chain, items, start().salt, None)
    };
    // Stops before the end.
    let mut chain = host.begin(&batch, &start(), false).unwrap();
    let Computed { outputs: live, .. } = host.run(&mut chain, &start().salt, &batch, 1..4).unwrap();
    assert!(close(chain.clone(), &live[0]).is_err());
    // Runs a block twice: the second receipt is about blocks that are not due.
    let Computed { outputs: again, .. } =
        host.run(&mut chain, &start().salt, &batch, 1..6).unwrap();
    assert!(close(chain, &again[0]).is_err());
    // Runs none at all.
    let chain = host.begin(&batch, &start(), false).unwrap();
    assert!(close(chain, &batch[0]).is_err());
}
