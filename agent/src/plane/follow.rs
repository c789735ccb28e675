//! Interfaces come and go, and the data plane follows: one that is made again is attached again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Plane;
use crate::datapath::{DatapathError, Interface, Link, Runs, driver, links};

/// What became of an interface of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is not there.
    Gone,
    /// It was made again, and the program is on it.
    Again {
        /// Its index now.
        index: u32,
    },
    /// It has another name, and goes on.
    Renamed {
        /// Its name now.
        now: String,
    },
    /// The program runs in another mode than was asked for.
    OtherMode {
        /// Where it runs.
        runs: Runs,
    },
    /// It is there, and the program cannot be on it.
    Unattached {
        /// Why.
        why: String,
    },
}

impl Change {
    /// Whether packets may cross that nothing decides about.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Gone | Self::Unattached { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => write!(out, "is gone; it is attached again once it is there"),
            Self::Again { index } => write!(out, "was made again (index {index}), and is attached again"),
            Self::Renamed { now } => write!(
                out,
                "is called `{now}` now, and goes on; events keep its name. A restart or a new policy needs the name \
                 of the policy"
            ),
            Self::OtherMode { runs } => {
                write!(out, "runs {} XDP, which is not what was asked for", runs.name())
            }
            Self::Unattached { why } => write!(out, "is not attached, and everything from it passes: {why}"),
        }
    }
}

/// What was said of each interface last.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<String, Change>);

impl Plane {
    /// Looks at every interface of both policies, and attaches what was made again. Yields what has changed since it
    /// was said last, by the name that the policy has for it.
    pub fn follow(&mut self) -> Vec<(String, Change)> {
        let links = match links() {
            Ok(links) => links,
            Err(error) => {
                tracing::warn!("the kernel does not tell its interfaces: {error}");
                return Vec::new();
            }
        };
        let generations = std::iter::once(&self.active).chain(&self.previous);
        let known: BTreeSet<(String, u32)> =
            generations.flat_map(|one| one.record.interfaces.iter().cloned()).collect();
        let mut changes = Vec::new();
        let mut is_again = false;
        for (name, index) in known {
            let change = self
                .look(&name, index, &links)
                .unwrap_or_else(|error| Some(Change::Unattached { why: error.to_string() }));
            let Some(change) = change else {
                self.said.0.remove(&name);
                continue;
            };
            is_again |= matches!(change, Change::Again { .. });
            if self.said.0.insert(name.clone(), change.clone()).as_ref() != Some(&change) {
                changes.push((name, change));
            }
        }
        if let Err(error) = self.forward(&links, is_again) {
            log::error!("{error}");
        }
        changes
    }

    /// One interface; `None` where it is as it should be.
    fn look(&mut self, name: &str, index: u32, links: &[Link]) -> Result<Option<Change>, DatapathError> {
        let own = self.root.program_id()?;
        let here = links.iter().find(|link| link.index == index);
        if let Some((link, attached)) = here.and_then(|link| Some((link, link.xdp?)))
            && attached.program == own
        {
            return Ok(if link.name != name {
                Some(Change::Renamed { now: link.name.clone() })
            } else if !attached.runs.is(self.mode) {
                Some(Change::OtherMode { runs: attached.runs })
            } else {
                None
            });
        }
        // Numbers are given once, but for somebody who chooses one: what has the name is the interface.
        let Some(link) = links.iter().find(|link| link.name == name) else { return Ok(Some(Change::Gone)) };
        // First its place, then the program: it must not decide about an interface that it does not know.
        for generation in std::iter::once(&mut self.active).chain(&mut self.previous) {
            generation.datapath.move_place(&self.store, &mut generation.record, index, link.index)?;
        }
        let interface = Interface {
            name: link.name.clone(),
            index: link.index,
            driver: driver(name).unwrap_or_else(|| "unknown".to_owned()),
        };
        self.root.attach(&interface, self.mode)?;
        if link.index != index {
            // The pin of a link whose interface is gone.
            self.store.unlink(index);
        }
        if let Some(known) = self.interfaces.iter_mut().find(|known| known.name == name) {
            *known = interface;
        }
        Ok(Some(Change::Again { index: link.index }))
    }

    /// Where the program really runs on an interface of the policy, as the kernel says, and the interface itself.
    pub fn runs_on(&self, interface: &Interface, links: &[Link]) -> (Option<Link>, Option<Runs>) {
        let link = links.iter().find(|link| link.index == interface.index).cloned();
        let attached = link.as_ref().and_then(|link| link.xdp);
        let own = self.root.program_id().ok();
        (link, attached.filter(|attached| Some(attached.program) == own).map(|attached| attached.runs))
    }
}
