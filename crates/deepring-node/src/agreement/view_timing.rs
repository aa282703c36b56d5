//! How often a network at rest makes a height, and the time-outs that follow from it.

use std::time::Duration;

/// A heartbeat and the time-outs of views. They are made of one another, so that none gives up what another waits for on purpose: what a
/// leader sends has two fifths of a heartbeat to arrive, and 0.4 s at least, beyond what it waits itself; a docket, the
/// heartbeat and twice that; and a leader is passed over after twice the time of certification in silence. So one that died costs one or
/// two of its turns, and then nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewTiming {
    heartbeat: Duration,
}

/// However short the heartbeat is: links and machines are what they are.
const LEAST_TO_ARRIVE: Duration = Duration::from_millis(400);
/// A heartbeat of this is given time by nodes of shorter ones, too: they pass over no docket that it keeps back.
const ALWAYS_GIVEN: Duration = Duration::from_secs(1);

impl ViewTiming {
    /// An idle network makes a height every `heartbeat`.
    #[must_use]
    pub const fn of(heartbeat: Duration) -> Self {
        Self { heartbeat }
    }

    /// How long an empty docket takes: [`leader_waits`](Self::leader_waits) before it is proposed, and then votes are kept back until the
    /// heartbeat is over or something waits to be said.
    #[must_use]
    pub const fn heartbeat(self) -> Duration {
        self.heartbeat
    }

    /// How long a leader waits for something to say.
    #[must_use]
    pub fn leader_waits(self) -> Duration {
        self.heartbeat / 5
    }

    fn to_arrive(self) -> Duration {
        (self.heartbeat * 2 / 5).max(LEAST_TO_ARRIVE)
    }

    /// How long the others wait for a leader's docket.
    #[must_use]
    pub fn leader_timeout(self) -> Duration {
        self.leader_waits() + self.to_arrive()
    }

    /// How long they wait until a docket is certified.
    #[must_use]
    pub fn certification_timeout(self) -> Duration {
        self.heartbeat.max(ALWAYS_GIVEN) + self.to_arrive() * 2
    }

    /// After how long a leader that was not heard of is passed over at once.
    #[must_use]
    pub fn skip_timeout(self) -> Duration {
        self.certification_timeout() * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_heartbeat_of_a_second_a_dead_leader_costs_the_others_600_ms() {
        let times = |heartbeat| {
            let timing = ViewTiming::of(Duration::from_secs(heartbeat));
            let (leader, certification) = (timing.leader_timeout(), timing.certification_timeout());
            [timing.leader_waits(), leader, certification, timing.skip_timeout()]
                .map(|time| time.as_millis())
        };
        assert_eq!(times(1), [200, 600, 1800, 3600]);
        // Slower networks are given more than the least.
        assert_eq!(times(5), [1000, 3000, 9000, 18_000]);
    }

    #[test]
    fn nobody_gives_up_what_is_waited_for_on_purpose() {
        for ms in [0, 1, 50, 200, 999, 1000, 1001, 5000, 60_000] {
            let timing = ViewTiming::of(Duration::from_millis(ms));
            assert!(timing.leader_timeout() >= timing.leader_waits() + LEAST_TO_ARRIVE, "{ms}");
            assert!(timing.certification_timeout() > timing.leader_timeout(), "{ms}");
            assert!(timing.certification_timeout() > timing.heartbeat() + LEAST_TO_ARRIVE, "{ms}");
            // What another keeps back whose heartbeat is a second.
            assert!(timing.certification_timeout() > ALWAYS_GIVEN + LEAST_TO_ARRIVE, "{ms}");
        }
    }
}
