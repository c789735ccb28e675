//! A loaded program for packets of captures: in a network namespace of its own, where nothing real comes in, and with the
//! time of the packets.

use std::fs::File;

use banchi_common::abi::{Control, Trace};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::attach::XdpMode;
use super::error::DatapathError;
use super::generation::Datapath;
use super::load::{Options, Row, writing};
use super::preflight::{Interface, capabilities, kernel};
use super::testrun::Outcome;
use crate::image::Image;

/// The loopback interface, the one interface of a new network namespace.
const LOOPBACK: u32 = 1;

/// A program that is loaded for packets that are not real.
pub struct Rehearsal {
    datapath: Datapath,
    /// The namespace lasts as long as this.
    _namespace: File,
    control: Control,
    place: usize,
    traces: Vec<Trace>,
}

impl Rehearsal {
    /// Loads an image. **Moves the calling thread into a new network namespace**, so it is for threads and processes that
    /// do nothing else.
    ///
    /// # Errors
    /// Where privileges are missing, or the kernel refuses the program.
    pub fn load(image: &Image) -> Result<Self, DatapathError> {
        capabilities()?;
        kernel()?;
        // SAFETY: only the network namespace is left behind. Descriptors stay valid, and memory is not touched.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
            .map_err(|e| DatapathError::other("make a network namespace", e))?;
        let namespace = File::open("/proc/thread-self/ns/net")
            .map_err(|e| DatapathError::other("keep the network namespace", e))?;
        let options = Options {
            trace: true,
            test_clock: true,
            suppress_ms: 0,
            events_per_second: 0,
            ring_bytes: 4096,
            ..Options::default()
        };
        let indices: Vec<u32> = (LOOPBACK..).take(image.interfaces.len()).collect();
        let mut datapath = Datapath::load(image, &indices, &options)?;
        // A program that is attached nowhere makes the kernel patch its own code before and after each run.
        let interface = Interface { name: "lo".to_owned(), index: LOOPBACK, driver: "loopback".to_owned() };
        datapath.attach(&interface, XdpMode::Generic)?;
        let traces = datapath.traces()?;
        let control = Control { grace_until_ns: 0, test_ns: 1, quiet: 1 };
        Ok(Self { datapath, _namespace: namespace, control, place: 0, traces })
    }

    /// Runs one packet of at least 14 bytes that comes in at `at` nanoseconds by an interface, counted from 0 in the
    /// order of [`Image::interfaces`].
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn run(&mut self, packet: &[u8], place: usize, at: u64) -> Result<Outcome, DatapathError> {
        if self.place != place {
            self.place = place;
            let mut places = self.datapath.array::<u32>("INTERFACES")?;
            places.set(LOOPBACK, Row(place as u32 + 1), 0).map_err(|e| writing("INTERFACES", &e))?;
        }
        // Merged captures jump, and the clock of a machine does not.
        self.control.test_ns = self.control.test_ns.max(at);
        let mut clock = self.datapath.array::<Control>("CONTROL")?;
        clock.set(0, Row(self.control), 0).map_err(|e| writing("CONTROL", &e))?;
        let action = self.datapath.test_action(packet, LOOPBACK)?;
        let after = self.datapath.traces()?;
        let outcome = Outcome::between(&self.traces, &after, action);
        self.traces = after;
        outcome
    }
}
