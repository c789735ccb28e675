//! What the agent does about its interfaces: follow them, and say how they are.

use std::collections::BTreeSet;

use tokio::io::unix::AsyncFd;

use super::Agent;
use crate::control::LinkStatus;
use crate::datapath::{DatapathError, Watch, links};
use crate::plane::{Change, Plane};

/// Word of changes to the interfaces of this network namespace.
pub(super) fn watch() -> Result<AsyncFd<Watch>, DatapathError> {
    let failed = |e: std::io::Error| DatapathError::other("watch the interfaces", e);
    let watch = Watch::new().map_err(failed)?;
    // SAFETY: the watch owns its socket, keeps it open for as long as it lives, and never changes it; it is moved into
    // the `AsyncFd` here.
    unsafe { AsyncFd::register(watch) }.map_err(|e| failed(e.into()))
}

/// Returns when an interface has changed.
pub(super) async fn changed(watch: &AsyncFd<Watch>) {
    // Where it cannot be watched, the tick still looks.
    let Ok(mut ready) = watch.readable().await else { return std::future::pending().await };
    let _ = ready.try_io(|watch| watch.get_ref().drain());
}

/// One word for all: where the program runs.
pub(super) fn mode_of(links: &[LinkStatus]) -> String {
    let modes: BTreeSet<&str> =
        links.iter().map(|link| link.runs.map_or("none", |runs| runs.name())).collect();
    match modes.len() {
        0 | 1 => modes.first().copied().unwrap_or("none").to_owned(),
        _ => "mixed".to_owned(),
    }
}

impl Agent {
    /// Says at the start what is not as it should be, of what is taken up.
    pub(super) fn greet(&mut self) {
        self.follow();
        match self.plane.enforced_findings() {
            Ok(findings) => {
                findings.iter().for_each(|finding| tracing::warn!("UNSAFE, and enforced: {finding}"))
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// Follows what became of the interfaces, and says it.
    pub(super) fn follow(&mut self) {
        for (name, change) in self.plane.follow() {
            if change.is_bad() {
                tracing::error!("interface `{name}` {change}");
            } else {
                tracing::warn!("interface `{name}` {change}");
            }
            if let Change::Again { index } = change {
                self.names.values_mut().for_each(|names| names.add_interface(index, &name));
            }
        }
    }
}

/// What the kernel says of the interfaces of the policy.
pub(super) fn link_status(plane: &Plane) -> Vec<LinkStatus> {
    let links = links().unwrap_or_default();
    let interfaces = plane.interfaces.iter().map(|interface| {
        let (link, runs) = plane.runs_on(interface, &links);
        LinkStatus {
            interface: interface.name.clone(),
            index: interface.index,
            is_up: link.as_ref().is_some_and(|link| link.is_up && link.has_carrier),
            name: link.map(|link| link.name),
            runs,
            as_asked: runs.is_some_and(|runs| runs.is(plane.mode())),
        }
    });
    interfaces.collect()
}
