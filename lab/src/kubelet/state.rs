//! What a container is doing, as its runner knows it (pure).

use std::time::Duration;

/// The state of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerState {
    pub(super) phase: Phase,
    /// How the run before this one ended.
    pub(super) last: Option<Ended>,
    pub(super) restarts: u32,
    pub(super) ready: bool,
    /// Whether the startup probe, if any, has succeeded in this run.
    pub(super) started: bool,
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting {
        reason: &'static str,
        message: String,
    },
    Running {
        since: String,
    },
    Terminated(Ended),
}

/// One run that is over. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit_code: i32,
    pub(super) signal: Option<i32>,
    /// Why the lab ended it, if it did.
    pub(super) message: String,
    pub(super) started_at: String,
    pub(super) finished_at: String,
}

impl ContainerState {
    /// Before its first run.
    pub(super) fn creating() -> Self {
        let phase = Phase::Waiting {
            reason: "ContainerCreating",
            message: String::new(),
        };
        Self {
            phase,
            last: None,
            restarts: 0,
            ready: false,
            started: false,
        }
    }

    pub(super) fn running(&mut self, since: String, started: bool, ready: bool) {
        if let Phase::Terminated(ended) = &self.phase {
            self.last = Some(ended.clone());
        }
        if self.last.is_some() {
            self.restarts += 1;
        }
        self.phase = Phase::Running { since };
        (self.started, self.ready) = (started, ready);
    }

    /// The run is over.
    pub(super) fn terminated(&mut self, ended: Ended) {
        self.phase = Phase::Terminated(ended);
        (self.started, self.ready) = (false, false);
    }

    /// Between two runs, or where one could not begin.
    pub(super) fn waiting(&mut self, reason: &'static str, message: String) {
        if let Phase::Terminated(ended) = &self.phase {
            self.last = Some(ended.clone());
        }
        self.phase = Phase::Waiting { reason, message };
        (self.started, self.ready) = (false, false);
    }
}

/// How long to wait before run number `failures` + 1: from one second, doubling to half a minute.
/// A kubelet starts at ten seconds and goes to five minutes; a lab's user is less patient.
pub(super) fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(5)).min(Duration::from_secs(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit_code: i32) -> Ended {
        let time = String::new;
        Ended {
            exit_code,
            signal: None,
            message: String::new(),
            started_at: time(),
            finished_at: time(),
        }
    }

    #[test]
    fn a_second_run_is_a_restart_and_remembers_the_first() {
        let mut state = ContainerState::creating();
        state.running("1".into(), true, true);
        assert_eq!(state.restarts, 0);
        state.terminated(ended(3));
        assert!(!state.ready && !state.started);
        state.waiting("CrashLoopBackOff", String::new());
        state.running("2".into(), true, false);
        assert_eq!((state.restarts, state.last), (1, Some(ended(3))));
    }

    #[test]
    fn patience_doubles_up_to_half_a_minute() {
        let seconds = [0, 1, 2, 3, 5, 6, 60].map(|failures| back_off(failures).as_secs());
        assert_eq!(seconds, [1, 1, 2, 4, 16, 30, 30]);
    }
}
