//! Answers for who asks for metrics.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Agent;
use crate::metrics::{Reported, Scrape, exposition};

/// How long an answer is good enough: counters of a large policy take time to read, and anybody may ask.
const FRESH: Duration = Duration::from_secs(1);

/// What metrics need besides what `status` says.
#[derive(Debug, Default)]
pub(super) struct Scraper {
    pub(super) reported: Reported,
    last: Option<(Instant, String)>,
}

/// The next one who asks; nobody does where nothing is served.
pub(super) async fn next(scrapes: &mut Option<mpsc::Receiver<Scrape>>) -> Scrape {
    if let Some(scrapes) = scrapes
        && let Some(scrape) = scrapes.recv().await
    {
        return scrape;
    }
    std::future::pending().await
}

impl Agent {
    pub(super) fn answer_scrape(&mut self, scrape: Scrape) {
        let text = match &self.scraper.last {
            Some((at, text)) if at.elapsed() < FRESH => text.clone(),
            _ => match self.status() {
                Ok(status) => {
                    let text = exposition(&status, &self.scraper.reported);
                    self.scraper.last = Some((Instant::now(), text.clone()));
                    text
                }
                // Who asks hears that there is no answer.
                Err(error) => return tracing::warn!("no metrics: {error}"),
            },
        };
        // Who hung up does not want it.
        let _ = scrape.send(text);
    }
}
