//! What an independent dissector says of a capture: tshark, of Wireshark.
//!
//! This file reads the names and numbers of Wireshark's fields, and nothing else: no offset of a payload is here. So
//! where it agrees with the program, two readings of a protocol agree.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use banchi_common::direction::Class;

/// Segments and fragments stay as they were captured: the program sees no more of them.
const PREFERENCES: &[&str] =
    &["tcp.desegment_tcp_streams:FALSE", "tcp.analyze_sequence_numbers:FALSE", "ip.defragment:FALSE"];

const FIELDS: &[&str] = &[
    "frame.number",
    "ams.stateflags",
    "bacapp.SRV",
    "bacapp.type",
    "bacapp.unconfirmed_service",
    "bacnet.mesgtyp",
    "bvlc.function",
    "cip.rr",
    "cotp.type",
    "dcerpc.pkt_type",
    "dhcp.type",
    "dnp3.al.func",
    "dnp3.ctl.dir",
    "enip.response_in",
    "enip.response_to",
    "hart_ip.message_type",
    "iec60870_104.type",
    "iec60870_104.utype",
    "iec60870_asdu.causetx",
    "iec60870_asdu.typeid",
    "ntp.ctrl.flags2.r",
    "ntp.flags.mode",
    "omron.icf",
    "omron.tcp.command",
    "opcua.servicenodeid.numeric",
    "opcua.transport.type",
    "s7comm.header.rosctr",
    "s7comm.param.userdata.type",
    "sbus.att",
    "synphasor.frtype",
    "_ws.col.Protocol",
    "_ws.col.Info",
];

/// The protocols that Wireshark has no dissector for.
pub(crate) fn knows(protocol: &str) -> bool {
    !matches!(protocol, "slmp" | "ge-srtp" | "toyopuc")
}

/// The version of the tshark at hand.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("tshark").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next()?.split_whitespace().nth(2).map(str::to_owned)
}

/// What tshark made of each frame, in order.
pub(crate) fn dissect(capture: &Path, decode_as: &[&str], cut: bool) -> Vec<Dissected> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(capture).args(["-T", "fields"]);
    tshark.args(PREFERENCES.iter().flat_map(|preference| ["-o", preference]));
    tshark.args(decode_as.iter().flat_map(|rule| ["-d", rule]));
    tshark.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = tshark.output().expect("tshark starts");
    // It complains of a file that ends within a frame, after all frames that are whole.
    assert!(output.status.success() || cut, "{tshark:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = text.lines().map(|line| {
        let values = FIELDS.iter().zip(line.split('\t'));
        Dissected(values.map(|(name, value)| (*name, value.trim().to_owned())).collect())
    });
    rows.collect()
}

/// One frame.
pub(crate) struct Dissected(BTreeMap<&'static str, String>);

impl Dissected {
    /// What its fields mean for who asks. `None`: they do not say.
    pub(crate) fn class(&self, protocol: &str) -> Option<Class> {
        match protocol {
            "ads" => Some(either(self.number("ams.stateflags")? & 1 != 0)),
            "bacnet" => self.bacnet(),
            "c37-118" => match self.number("synphasor.frtype")? {
                4 => Some(Class::Request),
                0 => Some(Class::Notification),
                _ => Some(Class::Response),
            },
            "dhcp" => Some(either(self.number("dhcp.type")? == 2)),
            "dnp3" => self.dnp3(),
            "enip" => self.enip(),
            "fins" => self.fins(),
            "hart-ip" => match self.number("hart_ip.message_type")? {
                0 => Some(Class::Request),
                2 => Some(Class::Notification),
                _ => Some(Class::Response),
            },
            "iec104" => self.iec104(),
            "modbus" => self.modbus(),
            "ntp" => self.ntp(),
            "opc-ua" => self.opc_ua(),
            "profinet-cm" => match self.number("dcerpc.pkt_type")? {
                0 | 1 | 7 | 8 => Some(Class::Request),
                _ => Some(Class::Response),
            },
            "s-bus" => Some(either(self.number("sbus.att")? != 0)),
            "s7" => self.s7(),
            _ => None,
        }
    }

    fn bacnet(&self) -> Option<Class> {
        // BVLC: what is said to the router of broadcasts, unless it carries something.
        match self.number("bvlc.function")? {
            0x01 | 0x02 | 0x05 | 0x06 | 0x08 => return Some(Class::Request),
            0x00 | 0x03 | 0x07 => return Some(Class::Response),
            _ => {}
        }
        if let Some(message) = self.number("bacnet.mesgtyp") {
            // Who-Is-Router, Initialize-Routing-Table, Establish-Connection, What-Is-Network-Number ask.
            return Some(match message {
                0x00 | 0x06 | 0x08 | 0x09 | 0x12 => Class::Request,
                0x01 | 0x02 | 0x03 | 0x07 | 0x13 => Class::Response,
                _ => Class::Notification,
            });
        }
        match self.number("bacapp.type")? {
            0 => Some(Class::Request),
            1 => match self.number("bacapp.unconfirmed_service")? {
                // The time is set (twice); Who-Has, Who-Is; values are written to a group.
                6..=10 => Some(Class::Request),
                // I-Am, I-Have.
                0 | 1 => Some(Class::Response),
                _ => Some(Class::Notification),
            },
            2 | 3 | 5 | 6 => Some(Class::Response),
            4 | 7 => Some(either(self.number("bacapp.SRV")? != 0)),
            _ => None,
        }
    }

    fn dnp3(&self) -> Option<Class> {
        match self.number("dnp3.al.func") {
            Some(130) => Some(Class::Notification),
            Some(129 | 131) => Some(Class::Response),
            Some(_) => Some(Class::Request),
            None => Some(either(self.number("dnp3.ctl.dir")? == 0)),
        }
    }

    fn enip(&self) -> Option<Class> {
        if let Some(response) = self.number("cip.rr") {
            return Some(either(response != 0));
        }
        match (self.number("enip.response_in"), self.number("enip.response_to")) {
            (Some(_), None) => Some(Class::Request),
            (None, Some(_)) => Some(Class::Response),
            _ => None,
        }
    }

    fn fins(&self) -> Option<Class> {
        match self.number("omron.tcp.command") {
            Some(0) => return Some(Class::Request),
            Some(1 | 3) => return Some(Class::Response),
            _ => {}
        }
        Some(either(self.number("omron.icf")? & 0x40 != 0))
    }

    fn iec104(&self) -> Option<Class> {
        match self.number("iec60870_104.type")? {
            0 => {}
            // Supervision frames acknowledge, and say nothing of who asks.
            1 => return None,
            _ => {
                // Start, stop and test: act, and con.
                return match self.number("iec60870_104.utype")? {
                    0x01 | 0x04 | 0x10 => Some(Class::Request),
                    0x02 | 0x08 | 0x20 => Some(Class::Response),
                    _ => None,
                };
            }
        }
        let monitor = matches!(self.number("iec60870_asdu.typeid")?, 1..=44 | 70);
        match self.number("iec60870_asdu.causetx")? & 0x3f {
            // Periodic, background, spontaneous, initialised, changed by a command.
            1..=4 | 11 | 12 if monitor => Some(Class::Notification),
            // Requested, interrogated.
            5 | 20..=41 if monitor => Some(Class::Response),
            5 | 6 | 8 if !monitor => Some(Class::Request),
            7 | 9 | 10 | 44..=47 if !monitor => Some(Class::Response),
            _ => None,
        }
    }

    fn modbus(&self) -> Option<Class> {
        let info = self.text("_ws.col.Info");
        if info.starts_with("Query") {
            Some(Class::Request)
        } else if info.starts_with("Response") {
            Some(Class::Response)
        } else {
            None
        }
    }

    fn ntp(&self) -> Option<Class> {
        match self.number("ntp.flags.mode")? {
            1 | 3 => Some(Class::Request),
            2 | 4 => Some(Class::Response),
            5 => Some(Class::Notification),
            6 => Some(either(self.number("ntp.ctrl.flags2.r")? != 0)),
            _ => None,
        }
    }

    fn opc_ua(&self) -> Option<Class> {
        match self.text("opcua.transport.type") {
            "HEL" | "CLO" => Some(Class::Request),
            "ACK" | "ERR" => Some(Class::Response),
            "OPN" | "MSG" => match self.number("opcua.servicenodeid.numeric")? {
                // ServiceFault.
                397 => Some(Class::Response),
                // Wireshark names every identifier.
                _ => Some(either(self.text("_ws.col.Info").contains("Response"))),
            },
            _ => None,
        }
    }

    fn s7(&self) -> Option<Class> {
        match self.number("s7comm.header.rosctr") {
            Some(1) => return Some(Class::Request),
            Some(2 | 3) => return Some(Class::Response),
            Some(7) => {
                return match self.number("s7comm.param.userdata.type")? {
                    0 => Some(Class::Notification),
                    4 => Some(Class::Request),
                    8 => Some(Class::Response),
                    _ => None,
                };
            }
            _ => {}
        }
        // The connection beneath: asked for and confirmed.
        match self.number("cotp.type")? {
            0x0e => Some(Class::Request),
            0x0d => Some(Class::Response),
            _ => None,
        }
    }

    /// The first of the field's values: the program decides by the first PDU of a packet.
    fn number(&self, field: &str) -> Option<u64> {
        let text = self.text(field).split(',').next()?;
        match text {
            "True" => Some(1),
            "False" => Some(0),
            _ => match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            },
        }
    }

    fn text(&self, field: &str) -> &str {
        self.0.get(field).unwrap_or_else(|| panic!("not asked for: {field}"))
    }
}

fn either(response: bool) -> Class {
    if response { Class::Response } else { Class::Request }
}
