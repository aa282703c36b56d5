//! With which hosts the network has a connection. It knows at once that a process is gone; a host that waits for it would not.

use std::collections::BTreeSet;
use std::time::Duration;

use commonware_cryptography::ed25519;
use commonware_macros::select;
use commonware_p2p::{CheckedSender as _, LimitedSender, Receiver, Recipients};
use commonware_runtime::{Clock, Quota};
use commonware_utils::NZU32;
use commonware_utils::channel::mpsc;
use deepring::{Host, PublicKey};

use super::driver::HostEvent;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The channel whose sender is asked whom it reaches. Nothing is sent in it: the network names a channel's recipients while its
/// quota lasts, and in a channel with messages a busy peer would look like one that is gone.
#[must_use]
pub fn presence_channel() -> (u64, Quota) {
    (1, Quota::per_second(NZU32!(32)))
}

/// Tells the driver which of the peers the network has no connection with, each time that it is others.
pub(crate) async fn watch<E: Clock, S, C>(
    context: E,
    (mut sender, mut receiver): (S, C),
    peers: Vec<(ed25519::PublicKey, PublicKey<Host>)>,
    events: mpsc::Sender<HostEvent>,
) where
    S: LimitedSender<PublicKey = ed25519::PublicKey>,
    C: Receiver<PublicKey = ed25519::PublicKey>,
{
    let mut known: Option<Vec<PublicKey<Host>>> = None;
    loop {
        if let Ok(checked) = sender.check(Recipients::All) {
            let reached: BTreeSet<_> = checked.recipients().into_iter().collect();
            drop(checked);
            let lost = peers.iter().filter(|(identity, _)| !reached.contains(identity));
            let lost: Vec<PublicKey<Host>> = lost.map(|(_, host)| *host).collect();
            if known.as_ref() != Some(&lost) {
                if events.send(HostEvent::CutOff(lost.clone())).await.is_err() {
                    return;
                }
                known = Some(lost);
            }
        }
        let due = context.current() + LOOK;
        loop {
            select! {
                // Whatever a peer sends here is dropped.
                came = receiver.recv() => if came.is_err() { return },
                _ = context.sleep_until(due) => break,
            }
        }
    }
}

#[cfg(test)]
mod tests;
