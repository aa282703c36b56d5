//! Asking other hosts about their copies: a question to one of them, and the wait for its answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commonware_macros::select;
use commonware_runtime::Clock;
use commonware_utils::channel::{mpsc, oneshot};
use deepring::{Host, PublicKey};

use super::message::{MAX_MEND_BYTES, MendBody, MendMessage};
use crate::hosting::handle::Notice;
use crate::hosting::inbox::Came;
use crate::hosting::outbox::Outbox;

/// Questions of all other hosts that wait to be answered.
const QUESTIONS: usize = 64;

/// The way to the other hosts' copies, and theirs to this one's. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CopyExchange(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    outbox: Arc<Outbox>,
    number: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    questions: mpsc::Sender<Question>,
    notices: mpsc::Sender<Notice>,
}

#[derive(Debug)]
struct Waiting {
    of: PublicKey<Host>,
    reply: oneshot::Sender<MendBody>,
}

/// A question of another host. While it waits, it counts against its sender.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) from: PublicKey<Host>,
    pub(crate) message: MendMessage,
    _came: Came,
}

impl CopyExchange {
    pub(crate) fn new(
        outbox: Arc<Outbox>,
        notices: mpsc::Sender<Notice>,
    ) -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let (number, waiting) = (AtomicU64::new(0), Mutex::default());
        (Self(Arc::new(Shared { outbox, number, waiting, questions, notices })), asked)
    }

    /// Takes what another host sent: a question waits to be answered, where there is room; an answer goes to who waits for it of
    /// this very host, and otherwise nowhere. Whether it is a message at all.
    pub(crate) fn take(&self, came: Came) -> bool {
        let Ok(message) = MendMessage::decode(&came.bytes) else { return false };
        if message.body.asks() {
            // Who asks asks again.
            let _ = self.0.questions.try_send(Question { from: came.from, message, _came: came });
            return true;
        }
        let mut waiting = self.waiting();
        if waiting.get(&message.number).is_some_and(|asked| asked.of == came.from)
            && let Some(asked) = waiting.remove(&message.number)
        {
            // Who asked may have given up.
            let _ = asked.reply.send(message.body);
        }
        true
    }

    /// Asks a host, and waits for its answer for so long; `None` where none came, at once where the host cannot be asked: one with which the
    /// ring was sealed, and that nobody runs, is a host of its blocks too.
    pub(crate) async fn inquire(
        &self,
        context: &impl Clock,
        host: &PublicKey<Host>,
        body: MendBody,
        patience: Duration,
    ) -> Option<MendBody> {
        let number = self.0.number.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.waiting().insert(number, Waiting { of: *host, reply });
        let _forget = Forget { exchange: self, number };
        if !self.send(host, &MendMessage { number, body }) {
            return None;
        }
        select! {
            answer = answer => answer.ok(),
            _ = context.sleep(patience) => None,
        }
    }

    /// Whether a host is a peer, who may answer.
    pub(crate) fn reaches(&self, host: &PublicKey<Host>) -> bool {
        self.0.outbox.reaches(host)
    }

    /// Sends to a peer, where there is room; whether there was. It may be lost in any case.
    pub(crate) fn send(&self, host: &PublicKey<Host>, message: &MendMessage) -> bool {
        let bytes: Arc<[u8]> = message.encode().into();
        let put = self.0.outbox.put(host, &bytes, MAX_MEND_BYTES);
        if !put {
            tracing::debug!(host = host.short(), "no room for a message about a copy, or no peer");
        }
        put
    }

    /// Tells whoever records what this host says of itself.
    pub(crate) fn tell(&self, notice: Notice) {
        if self.0.notices.try_send(notice).is_err() {
            tracing::warn!("a notice of this host is lost: nobody takes them");
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is given up is waited for no more, however it is given up.
struct Forget<'e> {
    exchange: &'e CopyExchange,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.exchange.waiting().remove(&self.number);
    }
}
