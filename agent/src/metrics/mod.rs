//! Metrics for Prometheus: names, labels, and the two texts that carry them.
//!
//! No label is an address, a port or a name that a packet chose: series are bounded by the policy and the reasons.

mod collect;
mod reported;
mod server;
mod text;

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

use crate::control::Status;
use collect::Collected;
pub use reported::Reported;
pub use text::classic;

/// Who asks for the metrics, and waits.
pub(crate) type Scrape = oneshot::Sender<String>;

/// Serves metrics at an address, by a thread of its own. Who scrapes is answered by who receives.
pub(crate) fn serve(listen: SocketAddr) -> std::io::Result<mpsc::Receiver<Scrape>> {
    // More than one who waits is answered by the same text.
    let (ask, asked) = mpsc::channel(1);
    server::start(listen, ask)?;
    Ok(asked)
}

/// The metrics as OpenMetrics 1.0.
pub fn exposition(status: &Status, reported: &Reported) -> String {
    let mut registry = prometheus_client::registry::Registry::with_prefix("banchi");
    registry.register_collector(Box::new(Collected::of(status, reported)));
    let mut text = String::new();
    // A string takes whatever is written.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}
