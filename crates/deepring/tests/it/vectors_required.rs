//! Vectors of what a reader requires of a decision: validation of each leg, and an answer to its nonce.

use deepring::Digest;
use deepring::receipt::QueryStart;

use crate::forge::RawReceipts;
use crate::small_query::{decision, start};
use crate::small_ring::{HOST_A_SEED, intact};
use crate::validated::{close, undealt};
use crate::vectors::Expected;
use crate::vectors_dealt::{plain, three, two};
use crate::vectors_records::{Made, place};
use crate::vectors_validated::{decided, file, receipt};

fn with_nonce() -> QueryStart {
    QueryStart { nonce: Some(Digest([7; 32])), ..start(2) }
}

fn intact_ones(made: &mut Made, honest: &[u8]) {
    let fine = Expected::intact;
    let short = |verdict: &str| place(verdict, Some(1), "file");
    let of_three = decided(three(), &start(1));
    let mut one_word = RawReceipts::of(&of_three);
    one_word.validations.iter_mut().for_each(|v| _ = v.pop());
    let one_word = one_word.signed_by(&HOST_A_SEED);
    let undealt = close(two(), undealt(two())).encode();
    let of_plain = decision(&intact(plain())).encode();
    let cases = [
        ("two_copies", "two", honest, "nothing", None, fine()),
        ("two_copies", "two", honest, "nothing", Some("validated"), fine()),
        ("two_copies", "two", honest, "nothing", Some("none"), fine()),
        (
            "two_copies",
            "two",
            honest,
            "two copies are no majority",
            Some("majority"),
            short("untrusted"),
        ),
        ("three_copies", "three", &of_three, "nothing", None, fine()),
        ("three_copies", "three", &of_three, "nothing", Some("majority"), fine()),
        ("three_copies", "three", &of_three, "nothing", Some("validated"), fine()),
        (
            "two_of_three_copies",
            "three",
            &one_word,
            "nothing; the third copy is silent",
            None,
            fine(),
        ),
        (
            "two_of_three_copies",
            "three",
            &one_word,
            "nothing; the third copy is silent",
            Some("majority"),
            fine(),
        ),
        ("undealt", "two", &undealt, "run without the ring's deal", None, short("untrusted")),
        (
            "undealt",
            "two",
            &undealt,
            "run without the ring's deal",
            Some("validated"),
            short("untrusted"),
        ),
        (
            "undealt",
            "two",
            &undealt,
            "run without the ring's deal",
            Some("majority"),
            short("untrusted"),
        ),
        ("undealt", "two", &undealt, "nothing; run without the ring's deal", Some("none"), fine()),
        ("of_plain", "plain", &of_plain, "nothing; the ring is not dealt", None, fine()),
        (
            "of_plain",
            "plain",
            &of_plain,
            "nobody validated it",
            Some("validated"),
            short("untrusted"),
        ),
        (
            "of_plain",
            "plain",
            &of_plain,
            "nobody validated it",
            Some("majority"),
            short("untrusted"),
        ),
    ];
    for (name, outline, bytes, defect, require, expected) in cases {
        let record = receipt(made, name, defect, bytes.to_vec(), expected);
        record.require = require.map(Into::into);
        let kind = if outline == "plain" { "plain".into() } else { format!("dealt_{outline}") };
        record.outline = Some(format!("{kind}.outline"));
    }
}

fn nonces(made: &mut Made, honest: &[u8]) {
    let answered = decided(two(), &with_nonce());
    let stale = || place("stale", None, "file");
    let right = "07".repeat(32);
    let cases = [
        (
            "nonce",
            &answered[..],
            "nothing; the reader's nonce",
            Some(right.clone()),
            Expected::intact(),
        ),
        (
            "nonce",
            &answered,
            "nothing; a nonce, and the reader sent none",
            None,
            Expected::intact(),
        ),
        ("nonce", &answered, "another nonce than the reader's", Some("08".repeat(32)), stale()),
        ("two_copies", honest, "no nonce, and the reader sent one", Some(right), stale()),
    ];
    for (name, bytes, defect, nonce, expected) in cases {
        receipt(made, name, defect, bytes.to_vec(), expected).nonce = nonce;
    }
    let mut raw = RawReceipts::of(&answered);
    raw.opening[152..184].fill(8);
    let bytes = raw.signed_by(&HOST_A_SEED);
    receipt(made, "nonce_changed", "another nonce than the opening host signed", bytes, file(0));
}

pub(crate) fn add(made: &mut Made, honest: &[u8]) {
    intact_ones(made, honest);
    nonces(made, honest);
}
