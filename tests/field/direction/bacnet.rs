//! BACnet/IP, 47808 to 47808, with bacpypes3 at both ends: both listen, and both could ask.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use banchi_tests::lab::{Gateway, Host, Lab, Zone};
use banchi_tests::peers::{self, Peer};

use super::{Deviation, Knock, Watched};

/// A gateway that bridges, because a Who-Is goes by broadcast.
const POLICY: &str = "
version: 1
zones:
  office:   { interfaces: [office], networks: [10.30.0.0/25] }
  building: { interfaces: [building], networks: [10.30.0.128/25] }
assets:
  workstation: { zone: office, address: 10.30.0.10 }
  controllers: { zone: building, addresses: [10.30.0.140, 10.30.0.141] }
  everyone:    { zone: building, address: 10.30.0.255 }
services:
  bacnet-ip: { transport: udp, port: 47808, source_port: same, direction: bacnet }
conduits:
  - between: [office, building]
    allow:
      - { client: workstation, server: [controllers, everyone], service: bacnet-ip }
";

/// So many that their list does not fit an answer: it comes in segments, each of them acknowledged.
const OBJECTS: u32 = 400;

fn zones() -> [Zone; 2] {
    [
        Zone::new("office")
            .network("10.30.0.254/24")
            .host("workstation", &["10.30.0.10"])
            .host("laptop", &["10.30.0.99"]),
        Zone::new("building")
            .network("10.30.0.254/24")
            .host("controller", &["10.30.0.140"])
            .host("lamp", &["10.30.0.141"]),
    ]
}

#[test]
fn a_controller_answers_and_notifies_but_does_not_ask() -> Result<()> {
    let lab = Lab::new(Gateway::Bridges, &zones())?;
    let (workstation, controller) = (lab.host("workstation"), lab.host("controller"));
    let stations = Stations {
        workstation: peers::bacnet_station(workstation, 2001, 1)?,
        controller: peers::bacnet_station(controller, 1001, OBJECTS)?,
        _lamp: peers::bacnet_station(lab.host("lamp"), 1002, 1)?,
        addresses: [workstation, controller].map(|host| host.ipv4().to_string()),
    };
    stations.subscribe()?;
    stations.work(22.0)?;
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 30, 0, 250))?;
    let mut value = 30.0;
    let mut watched = Watched::start(&lab, POLICY, knock)?;
    watched.in_both_modes(|watched| {
        // Each time another value: subscribers hear of changes alone.
        value += 10.0;
        watched.allows("subscribing", || stations.subscribe())?;
        watched.allows("reading, writing, finding, being notified", || stations.work(value))?;
        for command in ["read", "write"] {
            let deviation = attack(command, controller, workstation);
            watched.deviates(&deviation, || stations.attack(command, watched.mode.name() == "alert"))?;
        }
        watched.allows("the same after the attack", || stations.work(value + 5.0))
    })?;
    watched.stop()
}

fn attack<'lab>(command: &str, controller: &'lab Host, workstation: &'lab Host) -> Deviation<'lab> {
    let what = if command == "read" { "the controller reads" } else { "the controller writes" };
    Deviation::new(what, "reversed-direction", controller, workstation)
}

struct Stations {
    workstation: Peer,
    controller: Peer,
    _lamp: Peer,
    addresses: [String; 2],
}

impl Stations {
    /// Two subscriptions, each with its first notification.
    fn subscribe(&self) -> Result<()> {
        for kind in ["confirmed", "unconfirmed"] {
            self.workstation.succeed(&format!("subscribe {} {kind}", self.addresses[1]))?;
        }
        Ok(())
    }

    /// What the workstation may do, and what the controller then sends by itself.
    fn work(&self, value: f64) -> Result<()> {
        let (workstation, device) = (&self.workstation, &self.addresses[1]);
        for instance in [1001, 1002] {
            workstation.succeed(&format!("who-is {instance}"))?;
        }
        // The device itself is one as well.
        let listed = workstation.succeed(&format!("list {device} 1001"))?;
        ensure!(listed == OBJECTS + 1, "{listed} objects");
        workstation.succeed(&format!("write {device} {value}"))?;
        let read = workstation.succeed(&format!("read {device}"))?;
        ensure!(read == value, "{read} instead of {value}");
        // The stack notifies of its own changes, not of those that it was told to make.
        let from = workstation.lines();
        self.controller.succeed(&format!("set {}", value + 1.0))?;
        notified(workstation, from, value + 1.0)
    }

    /// Asks from the controller's side; returns the part of the request that tells it from all else.
    fn attack(&self, command: &str, arrives: bool) -> Result<Vec<u8>> {
        let target = &self.addresses[0];
        let (line, service) = if command == "read" {
            (format!("read {target}"), 12)
        } else {
            (format!("write {target} 1"), 15)
        };
        let exchange = self.controller.tell(&line)?;
        ensure!(exchange.ok == arrives, "{exchange:?}");
        // Behind the number of the invocation: the service, and the analog value 1 as its object.
        Ok(vec![service, 0x0c, 0x00, 0x80, 0x00, 0x01])
    }
}

/// Waits until both subscriptions have told of the value.
fn notified(workstation: &Peer, from: usize, value: f64) -> Result<()> {
    for confirmed in [true, false] {
        workstation.wait_from(from, &format!(r#""notified": {value:.1}, "confirmed": {confirmed}"#))?;
    }
    Ok(())
}
