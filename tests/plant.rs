//! The plant of the demo and of most tests: a control room and a production line.

use std::net::Ipv4Addr;

use crate::lab::Zone;

/// The SCADA server, in zone `control`.
pub const SCADA: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 5);
/// The engineering workstation, in zone `control`.
pub const WORKSTATION: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 6);
/// A laptop that nobody has listed, in zone `control`.
pub const LAPTOP: Ipv4Addr = Ipv4Addr::new(10, 10, 9, 99);
/// The first PLC, in zone `line-a`.
pub const PLC_1: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 11);
/// The second PLC, in zone `line-a`.
pub const PLC_2: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 12);
/// The third PLC, in zone `line-a`.
pub const PLC_3: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 13);
/// The controller that speaks BACnet, in zone `line-a`.
pub const CONTROLLER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 21);

/// The zones with their hosts: `scada`, `workstation`, `laptop`; `plc-1` to `plc-3`, `controller`.
pub fn zones() -> [Zone; 2] {
    [
        Zone::new("control")
            .network("10.10.0.1/16")
            .network("fd00:10::1/64")
            .host("scada", &["10.10.1.5", "fd00:10::1:5"])
            .host("workstation", &["10.10.1.6", "fd00:10::1:6"])
            .host("laptop", &["10.10.9.99", "fd00:10::9:99"]),
        Zone::new("line-a")
            .network("10.20.0.1/24")
            .network("fd00:20::1/64")
            .host("plc-1", &["10.20.0.11", "fd00:20::11"])
            .host("plc-2", &["10.20.0.12", "fd00:20::12"])
            .host("plc-3", &["10.20.0.13", "fd00:20::13"])
            .host("controller", &["10.20.0.21", "fd00:20::21"]),
    ]
}
