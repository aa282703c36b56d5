use super::*;

fn first(model_version: u64, deal: u32) -> RememberedRing {
    RememberedRing {
        model_version,
        digest: "00".repeat(32),
        deal,
        earlier_deals: BTreeMap::new(),
        deals_since: 0,
        ledgers: Vec::new(),
    }
}

#[test]
fn the_deal_of_a_version_is_known_after_newer_ones_and_never_sinks() {
    let mut ring = first(1, 2);
    ring.see(3, "11".repeat(32), 0);
    ring.see(1, String::new(), 1);
    ring.see(2, String::new(), 4);
    let deals: Vec<_> = (0..4).map(|version| ring.deal_of(version)).collect();
    assert_eq!(deals, [Some(0), Some(2), Some(4), Some(0)]);
    assert_eq!((ring.model_version, ring.digest.as_str()), (3, "11".repeat(32).as_str()));
}

#[test]
fn what_falls_out_is_forgotten_and_not_taken_for_undealt() {
    let mut ring = first(0, 1);
    for version in 1..=70 {
        ring.see(version, String::new(), 1);
    }
    assert_eq!(ring.earlier_deals.len(), MAX_EARLIER);
    assert_eq!((ring.deal_of(5), ring.deal_of(6)), (None, Some(1)));
    // Nor is it known again by a look at what came before its deal.
    ring.see(5, String::new(), 1);
    assert_eq!(ring.deal_of(5), None);
    assert!(ring.fits());
}

#[test]
fn a_key_that_stands_twice_in_a_map_is_refused() {
    let owner = crate::keys::SecretKey::<Owner>::generate().unwrap().public().to_string();
    let digest = "00".repeat(32);
    let seen = |version: u64, deals: &str| {
        format!(
            r#"{{"model_version": {version}, "digest": "{digest}", "earlier_deals": {{{deals}}},
                 "ledgers": []}}"#
        )
    };
    let bound = format!(r#"{{"owner": "{owner}", "ring": "{}"}}"#, "00".repeat(16));
    let head = r#"{"size": 1, "checkpoint": ""}"#;
    let record = |name: &str, version| format!(r#""{name}": {}"#, seen(version, ""));
    let [a, b] = ["00", "11"].map(|digits| digits.repeat(16));
    let of = |rings: &[String]| format!(r#""{owner}": {{{}}}"#, rings.join(", "));
    let store = |rings: &str, paths: &str, ledgers: &str, ledger_paths: &str| {
        let text = format!(
            r#"{{"format": 3, "owners": [], "rings": {{{rings}}}, "paths": {{{paths}}},
                 "ledgers": {{{ledgers}}}, "ledger_paths": {{{ledger_paths}}}}}"#
        );
        parse(text.as_bytes()).is_ok()
    };
    let twice = |member: &str| format!("{member}, {member}");
    assert!(store(&of(&[record(&a, 2), record(&b, 1)]), "", "", ""));
    assert!(!store(&of(&[record(&a, 2), record(&a, 1)]), "", "", ""));
    assert!(!store(&format!("{}, {}", of(&[record(&a, 2)]), of(&[record(&b, 1)])), "", "", ""));
    let deals = |deals: &str| of(&[format!(r#""{a}": {}"#, seen(9, deals))]);
    assert!(store(&deals(r#""1": 1, "2": 1"#), "", "", ""));
    assert!(!store(&deals(r#""1": 2, "1": 1"#), "", "", ""));
    let paths = format!(r#""/a": {bound}"#);
    assert!(store("", &paths, "", "") && !store("", &twice(&paths), "", ""));
    let ledgers = format!(r#""k": {head}"#);
    assert!(store("", "", &ledgers, "") && !store("", "", &twice(&ledgers), ""));
    let at = r#""/l": "k""#;
    assert!(store("", "", &ledgers, at) && !store("", "", &ledgers, &twice(at)));
}

#[test]
fn a_store_of_format_2_forgot_the_deals_of_earlier_versions() {
    let owner = crate::keys::SecretKey::<Owner>::generate().unwrap().public().to_string();
    let store = |format: u32, more: &str| {
        let (ring, digest) = ("00".repeat(16), "00".repeat(32));
        let seen = format!(
            r#"{{"model_version": 3, "digest": "{digest}", "deal": 1, "ledgers": []{more}}}"#
        );
        parse(
            format!(
                r#"{{"format": {format}, "owners": [], "rings": {{"{owner}": {{"{ring}": {seen}}}}},
                     "paths": {{}}, "ledgers": {{}}, "ledger_paths": {{}}}}"#
            )
            .as_bytes(),
        )
    };
    let deals = |data: Data| {
        let ring = data.rings.into_values().flatten().next().unwrap().1;
        [2, 3].map(|version| ring.deal_of(version))
    };
    assert_eq!(deals(store(2, "").unwrap()), [None, Some(1)]);
    assert_eq!(deals(store(3, "").unwrap()), [Some(0), Some(1)]);
    assert_eq!(deals(store(4, "").unwrap()), [Some(0), Some(1)]);
    assert_eq!(deals(store(5, "").unwrap()), [Some(0), Some(1)]);
    assert_eq!(deals(store(3, r#", "earlier_deals": {"2": 7}"#).unwrap()), [Some(7), Some(1)]);
    for (format, more) in [
        (2, r#", "deals_since": 1"#),
        (2, r#", "earlier_deals": {"1": 1}"#),
        (3, r#", "deals_since": 4"#),
        (3, r#", "earlier_deals": {"3": 1}"#),
        (3, r#", "earlier_deals": {"1": 0}"#),
        (3, r#", "earlier_deals": {"1": 1}, "deals_since": 2"#),
        (3, r#", "earlier_deals": {"01": 1}"#),
    ] {
        assert!(store(format, more).is_err(), "{format}{more}");
    }
}

fn key() -> String {
    crate::keys::SecretKey::<Owner>::generate().unwrap().public().to_string()
}

const RING: &str = "00000000000000000000000000000000";

/// A store of this format, with these members.
fn with(format: u32, rings: &str, ledgers: &str, more: &str) -> Result<Data, NoStore> {
    parse(
        format!(
            r#"{{"format": {format}, "owners": [], "rings": {{{rings}}}, "paths": {{}},
                 "ledgers": {{{ledgers}}}, "ledger_paths": {{}}{more}}}"#
        )
        .as_bytes(),
    )
}

fn held_by(ledgers: &str) -> String {
    let digest = "00".repeat(32);
    let seen = format!(r#"{{"model_version": 1, "digest": "{digest}", "ledgers": [{ledgers}]}}"#);
    format!(r#""{}": {{"{RING}": {seen}}}"#, key())
}

const HEADS: &str =
    r#""k": {"size": 1, "checkpoint": ""}, "l": {"size": 1, "checkpoint": "", "pinned": true}"#;
const OLD_HEADS: &str = r#""k": {"size": 1, "checkpoint": ""}, "l": {"size": 1, "checkpoint": ""}"#;

#[test]
fn rotations_of_format_4_are_the_one_ledgers_words_or_the_readers() {
    let (one, two) = (key(), key());
    let rotations = |ring: &str, next: &str| format!(r#", "rotations": {{"{ring}": {{{next}}}}}"#);
    let next = format!(r#""{one}": "{two}""#);
    let of = |rings: &str| with(4, rings, OLD_HEADS, &rotations(RING, &next)).unwrap();
    let told = Successors::from([(one.clone(), two.clone())]);
    for rings in ["", &held_by(""), &held_by(r#""k", "l""#)] {
        let data = of(rings);
        assert_eq!((data.successors, data.given_up.len()), (told.clone(), 0), "{rings}");
    }
    let data = of(&held_by(r#""l""#));
    assert_eq!((data.successors.len(), data.rotations.len()), (0, 0));
    assert_eq!(data.given_up["l"][RING][&one], GivenUp::of(two.clone()));
    for (format, ring, next) in [
        (3, RING, next.as_str()),
        (5, RING, next.as_str()),
        (4, "00", next.as_str()),
        (4, RING, ""),
        (4, RING, format!(r#""{one}": "{one}""#).as_str()),
        (4, RING, format!(r#"{next}, "{two}": "{one}""#).as_str()),
        (4, RING, next.to_uppercase().as_str()),
        (4, RING, format!(r#""{one}": "me""#).as_str()),
    ] {
        let read = with(format, "", OLD_HEADS, &rotations(ring, next));
        assert!(read.is_err(), "{format} {ring} {next}");
    }
}

#[test]
fn what_is_said_of_keys_is_of_format_5_and_contradicts_nothing() {
    let [one, two, three] = [key(), key(), key()];
    let told = |next: &str| format!(r#", "successors": {{{next}}}"#);
    let next = |old: &str, new: &str| format!(r#""{old}": "{new}""#);
    let digest = "00".repeat(32);
    let last = format!(r#", "last": {{"model_version": 3, "digest": "{digest}"}}"#);
    let word = |old: &str, new: &str, last: &str| format!(r#""{old}": {{"next": "{new}"{last}}}"#);
    let said = |ledger: &str, words: &str| format!(r#""{ledger}": {{"{RING}": {{{words}}}}}"#);
    let given_up = |all: &[String]| format!(r#", "given_up": {{{}}}"#, all.join(", "));
    let read = |more: &str| with(5, "", HEADS, more);
    let one_two = word(&one, &two, &last);
    let data = read(&format!("{}{}", told(&next(&two, &three)), given_up(&[said("l", &one_two)])))
        .unwrap();
    let known = data.given_up["l"][RING][&one].last.clone().unwrap();
    assert_eq!((known.model_version, data.ledgers["l"].pinned), (3, true));
    // Two may say the same, and one of them how it came to it.
    let longer = [word(&one, &three, ""), word(&three, &two, "")].join(", ");
    assert!(read(&given_up(&[said("k", &one_two), said("l", &longer)])).is_ok());
    assert!(
        read(&format!("{}{}", told(&next(&one, &two)), given_up(&[said("l", &longer)]))).is_ok()
    );
    for (why, more) in [
        ("after itself", told(&next(&one, &one))),
        ("around", told(&[next(&one, &two), next(&two, &one)].join(", "))),
        ("no key", told(&next(&one, "me"))),
        ("twice", told(&[next(&one, &two), next(&one, &two)].join(", "))),
        ("no such ledger", given_up(&[said("m", &one_two)])),
        ("a ring twice", given_up(&[said("k", &one_two), said("k", &one_two)])),
        ("two ledgers", given_up(&[said("k", &one_two), said("l", &word(&one, &three, ""))])),
        ("around by two", given_up(&[said("k", &one_two), said("l", &word(&two, &one, ""))])),
        (
            "reader and ledger",
            format!("{}{}", told(&next(&one, &three)), given_up(&[said("l", &one_two)])),
        ),
        ("nothing", given_up(&[said("l", "")])),
        ("no last", given_up(&[said("l", &word(&one, &two, r#", "last": null"#))])),
        ("no digest", given_up(&[said("l", &one_two.replace(&digest, "00"))])),
        ("no ring", given_up(&[said("l", &one_two).replace(RING, "00")])),
    ] {
        assert!(read(&more).is_err(), "{why}");
    }
    for format in [2, 3, 4] {
        for more in [told(&next(&one, &two)), given_up(&[said("l", &one_two)])] {
            assert!(with(format, "", OLD_HEADS, &more).is_err(), "{format} {more}");
        }
        assert!(with(format, "", OLD_HEADS, "").is_ok() && with(format, "", HEADS, "").is_err());
    }
}
