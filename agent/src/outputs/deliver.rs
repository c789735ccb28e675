//! From the queue of an output to the other side, which may be slow, away, or hang.

use std::cell::RefCell;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::counts::Counts;
use super::link::{Link, Route};
use super::store::Store;
use super::worker::{Events, Stop, note};
use crate::events::Report;

/// Messages and bytes that are sent at once.
const MOST: usize = 64;
const BYTES: usize = 64 << 10;
/// How long a connection, or one send, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits between attempts: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// What the two halves share. They run in one thread, and hold no borrow where they wait.
struct Shared {
    store: RefCell<Store>,
    /// There is something to send, or nothing will come any more.
    more: Notify,
    /// There is room.
    room: Notify,
    closed: RefCell<bool>,
}

/// Works until nothing comes any more and all is sent, or until it has to stop.
pub(super) async fn deliver(
    name: &str,
    route: Route,
    encode: impl Fn(&Report) -> Vec<u8>,
    store: Store,
    mut events: Events,
    counts: &Arc<Counts>,
    stop: Stop,
) {
    let shared = Shared {
        store: RefCell::new(store),
        more: Notify::new(),
        room: Notify::new(),
        closed: RefCell::new(false),
    };
    let both = async {
        tokio::join!(take_in(&mut events, &encode, &shared), send_out(name, &route, &shared, counts))
    };
    tokio::select! {
        _ = both => {}
        () = time_is_up(stop) => {}
    }
    let mut store = shared.store.into_inner();
    events.close();
    while let Ok(report) = events.try_recv() {
        store.push(encode(&report));
    }
    store.end();
}

async fn time_is_up(mut stop: Stop) {
    let until = match stop.wait_for(Option::is_some).await {
        Ok(until) => *until,
        Err(_) => None,
    };
    match until {
        Some(until) => sleep_until(Instant::from_std(until)).await,
        None => pending().await,
    }
}

async fn take_in(events: &mut Events, encode: &impl Fn(&Report) -> Vec<u8>, shared: &Shared) {
    loop {
        while shared.store.borrow().is_full() {
            shared.room.notified().await;
        }
        let Some(report) = events.recv().await else { break };
        let message = encode(&report);
        shared.store.borrow_mut().push(message);
        shared.more.notify_one();
    }
    *shared.closed.borrow_mut() = true;
    shared.more.notify_one();
}

async fn send_out(name: &str, route: &Route, shared: &Shared, counts: &Counts) {
    let mut wait = BACKOFF.0;
    loop {
        let failure = match connect(route).await {
            Ok(link) => {
                // A server that takes connections and nothing else is not up.
                let mut worked = false;
                let ended = serve(name, link, shared, || {
                    worked = true;
                    note(counts, name, Ok(()));
                });
                let Err(failure) = ended.await else { return };
                if worked {
                    wait = BACKOFF.0;
                }
                failure
            }
            Err(failure) => failure,
        };
        note(counts, name, Err(failure));
        // At the end nobody waits for a server that is away, where nothing is lost by it.
        if *shared.closed.borrow() && shared.store.borrow().may_wait() {
            return;
        }
        sleep(with_jitter(wait)).await;
        wait = (wait * 2).min(BACKOFF.1);
    }
}

async fn connect(route: &Route) -> Result<Link, String> {
    match timeout(PATIENCE, route.connect()).await {
        Ok(connected) => connected,
        Err(_) => Err(format!("no connection within {} s", PATIENCE.as_secs())),
    }
}

/// Sends until nothing is left and nothing will come (`Ok`), or the link breaks. Calls `up` when it is known to work.
async fn serve(name: &str, mut link: Link, shared: &Shared, mut up: impl FnMut()) -> Result<(), String> {
    let (mut is_up, mut complained) = (false, false);
    loop {
        let batch = shared.store.borrow_mut().batch(MOST, BYTES);
        if batch.is_empty() {
            if *shared.closed.borrow() {
                link.close().await;
                return Ok(());
            }
            if link.is_known() && !std::mem::replace(&mut is_up, true) {
                up();
            }
            tokio::select! {
                () = shared.more.notified() => {}
                failure = link.broken() => return Err(failure),
            }
            continue;
        }
        let sent = match timeout(PATIENCE, link.send(&batch)).await {
            Ok(sent) => sent,
            Err(_) => Err((0, 0, format!("takes nothing for {} s", PATIENCE.as_secs()))),
        };
        let (done, lost, failure) = match sent {
            Ok((done, None)) => (done, 0, None),
            Ok((done, Some(why))) => {
                if !std::mem::replace(&mut complained, true) {
                    tracing::error!("output `{name}`: {why}; it is lost, and counted as are all like it");
                }
                (done, 1, None)
            }
            Err((done, lost, failure)) => (done, lost, Some(failure)),
        };
        shared.store.borrow_mut().delivered(done, lost);
        shared.room.notify_one();
        match failure {
            Some(failure) => return Err(failure),
            None if !std::mem::replace(&mut is_up, true) => up(),
            None => {}
        }
    }
}

/// A quarter more or less: many gateways that lost one server do not come back at once.
fn with_jitter(wait: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    let _ = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::NONBLOCK);
    let [byte] = byte;
    wait.mul_f64(0.75 + f64::from(byte) / 512.0)
}
