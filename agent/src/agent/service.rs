//! What a service manager hears of the agent (sd_notify(3)). Without one nobody is told, and nothing fails.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How long the agent may be silent while it loads a policy.
const LONGEST_WORK: Duration = Duration::from_secs(300);

/// The service manager that started this process, if one did.
#[derive(Debug)]
pub(super) struct Service {
    /// How long the manager waits for a sign of life.
    watchdog: Option<Duration>,
    last: Instant,
}

impl Service {
    pub(super) fn of_environment() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled(), last: Instant::now() }
    }

    /// The agent works, and how.
    pub(super) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Something else decides.
    pub(super) fn status(&self, status: &str) {
        tell(&[NotifyState::Status(status)]);
    }

    /// It reads its policy anew.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping: the data plane goes on")]);
    }

    /// The loop goes round. The manager is told twice in the time that it waits.
    pub(super) fn beat(&mut self) {
        let Some(watchdog) = self.watchdog else { return };
        if self.last.elapsed() >= watchdog / 3 {
            self.last = Instant::now();
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Runs what may take longer than the manager waits otherwise.
    pub(super) fn patient(&self) -> Patience {
        if self.watchdog.is_some() {
            // A watchdog that is set anew begins anew.
            tell(&[NotifyState::WatchdogUsec(micros(LONGEST_WORK))]);
        }
        Patience(self.watchdog)
    }
}

/// The manager is patient until this is dropped.
pub(super) struct Patience(Option<Duration>);

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some(watchdog) = self.0 {
            tell(&[NotifyState::WatchdogUsec(micros(watchdog)), NotifyState::Watchdog]);
        }
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// Who cannot be told does not matter: the agent's work does.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
