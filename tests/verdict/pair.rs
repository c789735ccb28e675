//! Hosts that are known, but not to each other.

use banchi_common::reason::Reason;
use banchi_tests::packet::{
    Packet,
    flags::{ACK, SYN},
};

use crate::site::{Site, back, case, drops, forward};

const POLICY: &str = "
services:
  modbus: { transport: tcp, port: 502, source_port: PORT }
  opc-ua: { transport: tcp, port: 4840, source_port: PORT }
  bacnet: { transport: udp, reply: free, port: 47808, source_port: same }
conduits:
  - between: [control, line-a]
    allow:
      - { name: scada-plc, client: scada, server: plc, service: modbus }
      - { name: hmi-plc-2, client: hmi, server: plc-2, service: [opc-ua] }
  - { between: [line-a, line-b], allow: [{ name: plc-robot, client: plc, server: robot, service: bacnet }] }
";

#[test]
fn pairs_and_services() {
    for source_port in ["any", "40000"] {
        let tcp = |from: &str, to: &str, port: u16| {
            Packet::tcp(format!("{from}:40000").as_str(), format!("{to}:{port}").as_str(), SYN)
        };
        let reply = |from: &str, port: u16, to: &str| {
            Packet::tcp(format!("{from}:{port}").as_str(), format!("{to}:40000").as_str(), ACK)
        };
        let pair = || drops(Reason::UnlistedPair).no_rule();
        let service = || drops(Reason::UnlistedService);
        let (scada, hmi, plc, plc_2, robot) =
            ("10.10.1.5", "10.10.1.6", "10.20.0.11", "10.20.0.12", "10.30.0.21");
        Site::plant(&POLICY.replace("PORT", source_port)).check([
            case("as listed", "control", tcp(scada, plc, 502), forward("scada-plc")),
            case("as listed, the other pair", "control", tcp(hmi, plc_2, 4840), forward("hmi-plc-2")),
            case("as listed, answered", "line-a", reply(plc_2, 4840, hmi), back("hmi-plc-2")),
            case(
                "a listed service crosswise",
                "control",
                tcp(scada, plc_2, 502),
                pair().conduit("control-line-a"),
            ),
            case(
                "the other listed service crosswise",
                "control",
                tcp(hmi, plc, 4840),
                pair().conduit("control-line-a"),
            ),
            case("an answer crosswise", "line-a", reply(plc_2, 502, scada), pair().conduit("control-line-a")),
            case(
                "a service of another pair",
                "control",
                tcp(scada, plc, 4840),
                service().near("scada-plc").conduit("control-line-a"),
            ),
            case(
                "a service of another pair, answered",
                "line-a",
                reply(plc, 4840, scada),
                service().near("scada-plc").conduit("control-line-a"),
            ),
            case("a service of nobody", "control", tcp(scada, plc, 9), service().near("scada-plc")),
            case("zones without a conduit", "control", tcp(scada, robot, 502), pair().no_conduit()),
            case(
                "zones without a conduit, from the other side",
                "line-b",
                tcp(robot, scada, 502),
                pair().no_conduit(),
            ),
            case(
                "a conduit, but not these two",
                "line-a",
                tcp(plc_2, robot, 502),
                pair().conduit("line-a-line-b"),
            ),
            case("within a zone", "control", tcp(scada, hmi, 502), pair().no_conduit()),
            case(
                "the service of another conduit",
                "line-a",
                tcp(plc, robot, 502),
                service().near("plc-robot").conduit("line-a-line-b"),
            ),
            case(
                "the right pair and ports in another transport",
                "control",
                Packet::udp("10.10.1.5:40000", "10.20.0.11:502"),
                service().near("scada-plc"),
            ),
            case(
                "the other family of the same assets",
                "control",
                Packet::tcp("[fd00:10::5]:40000", "[fd00:20::11]:502", SYN),
                forward("scada-plc"),
            ),
            case(
                "echo is a service as any other",
                "control",
                Packet::echo_request([10, 10, 1, 5], [10, 20, 0, 11], 1, 1),
                service().near("scada-plc"),
            ),
        ]);
    }
}
