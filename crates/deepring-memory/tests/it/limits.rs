//! How much secret memory there is, and what comes after it.

use deepring_memory::{Protection, Region, SecretBytes, Use};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::child::{NOBODY, Role, has_secret_memory, is_root, role};

fn frozen(len: usize, purpose: Use) -> (Region, Protection) {
    let mut region = Region::new(len, purpose).unwrap();
    let got = region.freeze();
    (region, got)
}

#[test]
fn parameters_take_at_most_64_mib_of_secret_memory_even_of_root() {
    const TEST: &str = "limits::parameters_take_at_most_64_mib_of_secret_memory_even_of_root";
    if role().is_some() {
        let (first, got) = frozen(40 << 20, Use::SmallParameters);
        assert_eq!(got, Protection::Secret);
        let (_second, got) = frozen(40 << 20, Use::SmallParameters);
        assert_eq!(got, Protection::ReadOnly, "80 MiB");
        let (_third, got) = frozen(24 << 20, Use::SmallParameters);
        assert_eq!(got, Protection::Secret, "64 MiB");
        drop(first);
        let (_fourth, got) = frozen(40 << 20, Use::SmallParameters);
        assert_eq!(got, Protection::Secret, "what was returned");
        return;
    }
    if !is_root() {
        crate::skip::skip("system", "it needs root");
    } else if has_secret_memory() {
        assert!(Role::start(TEST, "root", None).end().success());
    }
}

#[test]
fn parameters_leave_half_of_the_limit_to_secrets_and_secrets_go_on_without_it() {
    const TEST: &str =
        "limits::parameters_leave_half_of_the_limit_to_secrets_and_secrets_go_on_without_it";
    if role().is_some() {
        let limit = Some(1 << 20);
        setrlimit(Resource::Memlock, Rlimit { current: limit, maximum: limit }).unwrap();
        let (_first, got) = frozen(400 << 10, Use::SmallParameters);
        assert_eq!(got, Protection::Secret);
        let (_second, got) = frozen(200 << 10, Use::SmallParameters);
        assert_eq!(got, Protection::ReadOnly, "more than half");
        let (_third, got) = frozen(600 << 10, Use::Secrets);
        assert_eq!(got, Protection::Secret, "the other half");
        let (mut fourth, got) = frozen(100 << 10, Use::Secrets);
        assert_eq!(got, Protection::ReadOnly, "nothing is left to lock");
        fourth.bytes_mut().fill(7);
        assert_eq!(SecretBytes::new(&[1; 64]).unwrap().expose(), [1; 64]);
        return;
    }
    if has_secret_memory() {
        // The limit does not bind root.
        let user = is_root().then_some(NOBODY);
        assert!(Role::start(TEST, "limited", user).end().success());
    }
}
