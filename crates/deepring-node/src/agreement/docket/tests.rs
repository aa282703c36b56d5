use commonware_codec::{Copying, Decode as _, Encode as _};
use deepring_testkit::rings::Sealed;

use super::*;
use crate::agreement::fixtures::{ORIGIN, decision, revocation};

fn docket() -> Docket {
    let ring = Sealed::new(0, 2);
    let submissions = vec![revocation(20), decision(&ring, 2)];
    Docket::new(Docket::genesis(ORIGIN).digest(), 1, 1_700_000_000_000, submissions).unwrap()
}

#[test]
fn a_block_has_one_encoding() {
    let docket = docket();
    assert_eq!(Docket::decode(docket.as_bytes()), Ok(docket.clone()));
    let bytes = docket.encode();
    assert_eq!(bytes.len(), docket.encode_size());
    let read = Docket::decode_cfg(Copying(bytes.as_ref()), &()).unwrap();
    assert_eq!((read.encode(), read.digest()), (bytes.clone(), docket.digest()));
    let longer = [bytes.as_ref(), &[0]].concat();
    assert!(Docket::decode_cfg(Copying(longer.as_slice()), &()).is_err());
    for cut in 0..bytes.len() {
        assert!(Docket::decode_cfg(Copying(&bytes[..cut]), &()).is_err(), "{cut}");
    }
}

#[test]
fn every_changed_byte_is_another_block_or_none() {
    let docket = docket();
    for at in 0..docket.as_bytes().len() {
        let mut bytes = docket.as_bytes().to_vec();
        bytes[at] ^= 1;
        if let Ok(other) = Docket::decode(&bytes) {
            assert_ne!(other.digest(), docket.digest(), "{at}");
            assert_eq!(other.as_bytes(), bytes, "{at}");
        }
    }
}

#[test]
fn what_is_beyond_the_bounds_makes_no_block_and_is_not_read() {
    let genesis = Docket::genesis(ORIGIN);
    let many = vec![revocation(20); MAX_DOCKET_SUBMISSIONS + 1];
    let refused = Docket::new(genesis.digest(), 1, 0, many).unwrap_err();
    assert_eq!(refused.submissions, MAX_DOCKET_SUBMISSIONS + 1);
    assert!(Docket::decode(&vec![1; MAX_DOCKET_BYTES + 1]).is_err());
    // A count that the bytes cannot hold reserves nothing.
    let mut bytes = genesis.as_bytes().to_vec();
    let count = bytes.len() - 4;
    bytes[count..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Docket::decode(&bytes).is_err());
}

#[test]
fn each_log_begins_with_a_block_of_its_own() {
    assert_ne!(Docket::genesis("a").digest(), Docket::genesis("b").digest());
    assert_eq!(Docket::genesis("a"), Docket::decode(Docket::genesis("a").as_bytes()).unwrap());
}
