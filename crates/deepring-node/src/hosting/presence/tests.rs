use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::Signer as _;
use commonware_p2p::{CheckedSender, Message};
use commonware_runtime::{IoBufs, Runner as _, Spawner as _, Supervisor as _, deterministic};
use deepring_testkit::rings::host_key;

use super::*;

type Identity = ed25519::PublicKey;

/// A channel of a network that reaches whom the test says; without them, its quota is used up.
#[derive(Clone, Default)]
struct Reached(Arc<Mutex<Option<Vec<Identity>>>>);

struct Checked(Vec<Identity>);

impl CheckedSender for Checked {
    type PublicKey = Identity;

    fn recipients(&self) -> Vec<Identity> {
        self.0.clone()
    }

    fn send(self, _: impl Into<IoBufs> + Send, _: bool) -> Unreliable<Feedback> {
        panic!("nothing is sent in this channel")
    }
}

impl LimitedSender for Reached {
    type PublicKey = Identity;
    type Checked<'a> = Checked;

    fn check(&mut self, _: Recipients<Identity>) -> Result<Checked, SystemTime> {
        self.0.lock().unwrap().clone().map(Checked).ok_or(SystemTime::UNIX_EPOCH)
    }
}

#[derive(Debug)]
struct Silent;

impl Receiver for Silent {
    type Error = Infallible;
    type PublicKey = Identity;

    async fn recv(&mut self) -> Result<Message<Identity>, Infallible> {
        pending().await
    }

    fn capacity(&self) -> std::num::NonZeroUsize {
        std::num::NonZeroUsize::MIN
    }
}

#[test]
fn who_is_not_reached_is_told_once_and_a_used_up_quota_tells_nothing() {
    let identity = |n: u64| ed25519::PrivateKey::from_seed(n).public_key();
    let peers: Vec<_> = (0..3).map(|n| (identity(n), host_key(n as u8).public())).collect();
    let hosts: Vec<_> = peers.iter().map(|(_, host)| *host).collect();
    deterministic::Runner::default().start(|context| async move {
        let network = Reached::default();
        let (events, mut told) = mpsc::channel(16);
        let watched = (network.clone(), Silent);
        context.child("watch").spawn(|context| watch(context, watched, peers, events));
        let seconds = async || context.sleep(Duration::from_secs(1)).await;
        let mut says = |expected: Option<&[PublicKey<Host>]>| match (told.try_recv(), expected) {
            (Ok(HostEvent::CutOff(found)), Some(expected)) => assert_eq!(found, expected),
            (Err(_), None) => {}
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        };

        seconds().await;
        says(None);
        *network.0.lock().unwrap() = Some(vec![identity(2)]);
        seconds().await;
        says(Some(&hosts[..2]));
        says(None);
        *network.0.lock().unwrap() = None;
        seconds().await;
        says(None);
        *network.0.lock().unwrap() = Some((0..3).map(identity).collect());
        seconds().await;
        says(Some(&[]));
        says(None);
    });
}
