use commonware_codec::{Copying, Decode as _, Encode as _};
use deepring_testkit::rings::Sealed;

use super::*;
use crate::agreement::fixtures::{ORIGIN, decision, revocation};

fn block() -> Block {
    let ring = Sealed::new(0, 2);
    let submissions = vec![revocation(20), decision(&ring, 2)];
    Block::new(Block::genesis(ORIGIN).digest(), 1, 1_700_000_000_000, submissions).unwrap()
}

#[test]
fn a_block_has_one_encoding() {
    let block = block();
    assert_eq!(Block::decode(block.as_bytes()), Ok(block.clone()));
    let bytes = block.encode();
    assert_eq!(bytes.len(), block.encode_size());
    let read = Block::decode_cfg(Copying(bytes.as_ref()), &()).unwrap();
    assert_eq!((read.encode(), read.digest()), (bytes.clone(), block.digest()));
    let longer = [bytes.as_ref(), &[0]].concat();
    assert!(Block::decode_cfg(Copying(longer.as_slice()), &()).is_err());
    for cut in 0..bytes.len() {
        assert!(Block::decode_cfg(Copying(&bytes[..cut]), &()).is_err(), "{cut}");
    }
}

#[test]
fn every_changed_byte_is_another_block_or_none() {
    let block = block();
    for at in 0..block.as_bytes().len() {
        let mut bytes = block.as_bytes().to_vec();
        bytes[at] ^= 1;
        if let Ok(other) = Block::decode(&bytes) {
            assert_ne!(other.digest(), block.digest(), "{at}");
            assert_eq!(other.as_bytes(), bytes, "{at}");
        }
    }
}

#[test]
fn what_is_beyond_the_bounds_makes_no_block_and_is_not_read() {
    let genesis = Block::genesis(ORIGIN);
    let many = vec![revocation(20); MAX_BLOCK_SUBMISSIONS + 1];
    let refused = Block::new(genesis.digest(), 1, 0, many).unwrap_err();
    assert_eq!(refused.submissions, MAX_BLOCK_SUBMISSIONS + 1);
    assert!(Block::decode(&vec![1; MAX_BLOCK_BYTES + 1]).is_err());
    // A count that the bytes cannot hold reserves nothing.
    let mut bytes = genesis.as_bytes().to_vec();
    let count = bytes.len() - 4;
    bytes[count..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Block::decode(&bytes).is_err());
}

#[test]
fn each_log_begins_with_a_block_of_its_own() {
    assert_ne!(Block::genesis("a").digest(), Block::genesis("b").digest());
    assert_eq!(Block::genesis("a"), Block::decode(Block::genesis("a").as_bytes()).unwrap());
}
