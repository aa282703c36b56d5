//! Where a secret is in memory after it was used: in its own place, and nowhere else.
//!
//! A child reads a key file, opens blocks and signs a decision, and then looks through its own memory for the secrets. It
//! is told their complements, so that what it looks for is not there because it looks.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA512, digest};
use deepring::receipt::Chain;
use deepring::{
    Check, Decision, Host, OpenedBlock, Owner, PublicKey, SecretKey, Trust, UnverifiedRing,
};
use deepring_memory::Protection;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR};

use crate::child;
use crate::small_query::{batch_of, items, ran, salt, start};
use crate::small_ring::{Places, intact, owner, plan, seal_at};

/// Bytes of a pattern that is looked for; a copy of half a secret is one.
const LEN: usize = 16;

const PATTERNS: &str = "DEEPRING_TEST_PATTERNS";

/// The middle of a secret's bytes: clamping changes its ends.
fn middle(bytes: &[u8]) -> [u8; LEN] {
    let from = (bytes.len() - LEN) / 2;
    bytes[from..from + LEN].try_into().unwrap()
}

/// The key of block 1, unwrapped with no code of the crate.
fn block_key(ring: &[u8], key: &PublicKey<Host>, opening: &[u8; 32]) -> Vec<u8> {
    type Secret = <X25519HkdfSha256 as Kem>::PrivateKey;
    type Enc = <X25519HkdfSha256 as Kem>::EncappedKey;
    let header = &ring[Places::of(ring).headers[1].clone()];
    let id = intact(ring).ring_id();
    let info = [b"deepring v1 wrap block key\0", id.0.as_slice(), &1_u32.to_le_bytes()].concat();
    // Behind the recipient's public key stand the encapsulated key and the wrapped one.
    let at = header.windows(64).position(|bytes| bytes == key.as_bytes()).unwrap() + 64;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &Secret::from_bytes(opening).unwrap(),
        &Enc::from_bytes(&header[at..at + 32]).unwrap(),
        &info,
        &header[at + 32..at + 80],
        key.as_bytes(),
    )
    .unwrap()
}

#[test]
fn after_use_a_secret_is_in_its_own_place_and_nowhere_else() {
    let plain = |dir: &Path, key: &SecretKey<Host>, _: &str| {
        deepring::files::write_key_pair(dir, key).unwrap();
    };
    println!("{}", copies_of_a_key(&plain));
}

#[cfg(feature = "passphrase")]
#[test]
fn a_key_that_was_opened_with_a_passphrase_leaves_no_copy_of_itself_or_of_that() {
    use deepring::keys::Passphrase;
    let encrypted = |dir: &Path, key: &SecretKey<Host>, phrase: &str| {
        fs::write(dir.join("phrase"), phrase).unwrap();
        let phrase = Passphrase::new(phrase.to_owned().into()).unwrap();
        deepring::files::write_encrypted_key_pair(dir, key, &phrase).unwrap();
    };
    println!("{}", copies_of_a_key(&encrypted));
}

/// Counts what a child leaves of a host's key that lies in the file that `write` makes, given a passphrase.
fn copies_of_a_key(write: &dyn Fn(&Path, &SecretKey<Host>, &str)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (mut seed, mut opening) = ([0; 32], [0; 32]);
    aws_lc_rs::rand::fill(&mut seed).unwrap();
    aws_lc_rs::rand::fill(&mut opening).unwrap();
    let key = SecretKey::<Host>::from_halves(&seed, &opening).unwrap();
    let mut phrase = [0; LEN];
    aws_lc_rs::rand::fill(&mut phrase).unwrap();
    let phrase = hex(&phrase);
    write(dir.path(), &key, &phrase);
    deepring::files::write_key_pair(dir.path(), &owner()).unwrap();
    let mut plan = plan();
    plan.blocks.iter_mut().for_each(|block| block.hosts = vec![key.public()]);
    seal_at(&dir.path().join("small.ring"), &plan, &owner());

    let ring = fs::read(dir.path().join("small.ring")).unwrap();
    let block_key = block_key(&ring, &key.public(), &opening);
    let content_key = blake3::derive_key("deepring v1 content digest key", &block_key);
    let text = key.to_secret_text().to_lowercase();
    let patterns = [
        ("public", middle(&key.public().as_bytes()[..32])),
        ("seed", middle(&seed)),
        ("opening", middle(&opening)),
        ("scalar", middle(&digest(&SHA512, &seed).as_ref()[..32])),
        ("text", middle(text.as_bytes())),
        ("upper", middle(text.to_uppercase().as_bytes())),
        ("block", middle(&block_key)),
        ("content", middle(&content_key)),
        ("phrase", middle(phrase.as_bytes())),
    ];
    let told: Vec<String> = patterns
        .iter()
        .map(|(name, bytes)| format!("{name}={}", hex(&bytes.map(|b| !b))))
        .collect();
    let mut command = child::command("copies::a_child_that_uses_a_key", dir.path());
    let output = command.env(PATTERNS, told.join(",")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let line = said.lines().find_map(|l| l.split_once("found: ")).unwrap().1;
    let (protection, counts) = line.split_once(' ').unwrap();
    for count in counts.split(' ') {
        let (name, count) = count.split_once('=').unwrap();
        let count: usize = count.parse().unwrap();
        match name {
            // The control: what is looked for is found if it is there.
            "public" => assert!(count > 0, "{line}"),
            // Without secret memory, the place itself is seen.
            "seed" | "opening" => assert_eq!(count, usize::from(protection != "secret"), "{line}"),
            _ => assert_eq!(count, 0, "{line}"),
        }
    }
    line.to_owned()
}

#[test]
#[ignore = "the process that after_use_a_secret_is_in_its_own_place_and_nowhere_else looks through"]
fn a_child_that_uses_a_key() {
    let dir = child::path();
    let (key, blocks) = use_a_key(&dir);
    let patterns: Vec<(String, Vec<u8>)> = std::env::var(PATTERNS)
        .unwrap()
        .split(',')
        .map(|one| {
            let (name, bytes) = one.split_once('=').unwrap();
            (name.to_owned(), unhex(bytes))
        })
        .collect();
    let counts = count(&patterns);
    let mut line = format!("found: {}", key.protection().name());
    for ((name, _), count) in patterns.iter().zip(counts) {
        line.push_str(&format!(" {name}={count}"));
    }
    println!("\n{line}");
    assert!(blocks.len() == 4 && key.protection() >= Protection::ReadOnly);
}

/// All that a host does with its key; returns the key, and what says that blocks are open.
///
/// Each thing is done further up the stack than the one before, so that no later one overwrites what an earlier one left.
fn use_a_key(dir: &Path) -> (SecretKey<Host>, Vec<OpenedBlock>) {
    let key = at_depth(6, || read_key(dir));
    let owner = PublicKey::<Owner>::read(&dir.join("owner.pub")).unwrap();
    let ring = UnverifiedRing::open(&dir.join("small.ring")).unwrap();
    let ring = ring.verify(&Trust::owner(owner), &|_| ()).unwrap();
    let clone = at_depth(5, || key.clone());
    let blocks: Vec<_> = (0..4)
        .map(|block| {
            let mut out = vec![0; ring.headers()[block as usize].plain_len as usize];
            let decrypted =
                at_depth(4, || ring.decrypt_block(block, (&clone).into(), &mut out, &|_| ()));
            at_depth(3, || decrypted.unwrap().confirm(&out, &[])).unwrap()
        })
        .collect();
    at_depth(2, || drop(clone));
    let inputs = batch_of("x0", &[1, 2]);
    let outputs = batch_of("y", &[101, 102]);
    at_depth(1, || {
        let outline = ring.outline();
        let mut chain = Chain::begin(outline, &blocks[0], &key, inputs, &start(1), true);
        chain.extend(&key, ran(&ring, 1..4, Check::Run, outputs));
        Decision::close(chain, items(&[1, 2]), salt(), outline, &key).unwrap();
    });
    (key, blocks)
}

fn read_key(dir: &Path) -> SecretKey<Host> {
    #[cfg(feature = "passphrase")]
    if let Ok(mut file) = File::open(dir.join("phrase")) {
        use deepring::files::SecretKeyFile;
        use deepring::keys::Passphrase;
        use std::io::Read as _;
        let mut text = zeroize::Zeroizing::new(String::with_capacity(64));
        file.read_to_string(&mut text).unwrap();
        let file = SecretKeyFile::read(&dir.join("host.key")).unwrap();
        return file.decrypt(&Passphrase::new(text).unwrap()).unwrap().key().unwrap();
    }
    SecretKey::read(&dir.join("host.key")).unwrap()
}

/// Does something so many times 64 KiB further down the stack than here.
#[inline(never)]
fn at_depth<T>(depth: usize, act: impl FnOnce() -> T) -> T {
    let room = std::hint::black_box([0_u8; 64 * 1024]);
    let out = if depth == 0 { act() } else { deeper(depth, act) };
    std::hint::black_box(&room);
    out
}

#[inline(never)]
fn deeper<T>(depth: usize, act: impl FnOnce() -> T) -> T {
    let act: Box<dyn FnOnce() -> T> = Box::new(act);
    at_depth(depth - 1, act)
}

/// How often each pattern is in this process's memory, given the complements.
fn count(complements: &[(String, Vec<u8>)]) -> Vec<usize> {
    const STEP: usize = 1 << 20;
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut buffer = vec![0_u8; STEP + LEN - 1];
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    let mut counts = vec![0; complements.len()];
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|m| m.starts_with('r')))
    {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let number = |hex| u64::from_str_radix(hex, 16).unwrap();
        let (from, to) = (number(from), number(to));
        for at in (from..to).step_by(STEP) {
            let len = buffer.len().min((to - at) as usize);
            let bytes = &mut buffer[..len];
            // Pages of the kernel's, and secret ones, cannot be read.
            if memory.read_exact_at(bytes, at).is_err() {
                continue;
            }
            for (i, window) in bytes.windows(LEN).take(STEP).enumerate() {
                if own.contains(&(at + i as u64)) {
                    continue;
                }
                for ((name, complement), count) in complements.iter().zip(&mut counts) {
                    if window.iter().zip(complement).all(|(a, b)| *a == !*b) {
                        *count += 1;
                        let _ =
                            writeln!(std::io::stderr(), "{name} at {:x}: {line}", at + i as u64);
                    }
                }
            }
        }
    }
    counts
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}
