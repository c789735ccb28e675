//! The captures, and what is known of them.

use banchi_common::direction::Class::{self, Request, Response, Undecidable};

use crate::packet::Carrier::{self, Tcp, Udp};

/// A protocol in a capture.
pub(crate) struct Capture {
    pub(crate) file: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) carrier: Carrier,
    /// Ports that servers have.
    pub(crate) ports: &'static [u16],
    /// Those who ask, where the ports do not tell.
    pub(crate) clients: &'static [&'static str],
    /// Packets with a payload from or to these ports.
    pub(crate) packets: usize,
    /// The file ends within a frame.
    pub(crate) cut: bool,
    /// What tshark does not recognise by itself.
    pub(crate) decode_as: &'static [&'static str],
    pub(crate) explained: &'static [Explained],
    /// Why packets stay undecidable of which the other says nothing either.
    pub(crate) left: &'static str,
}

/// Whom the program is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Ports,
    Tshark,
}

/// What only one of two says, or what they contradict each other in, and why it is one.
#[derive(Debug)]
pub(crate) struct Explained {
    pub(crate) by: By,
    /// What the program says.
    pub(crate) here: Class,
    /// What the other says.
    pub(crate) there: Option<Class>,
    pub(crate) count: usize,
    pub(crate) why: &'static str,
}

const fn capture(
    file: &'static str,
    protocol: &'static str,
    carrier: Carrier,
    ports: &'static [u16],
    packets: usize,
) -> Capture {
    Capture {
        file,
        protocol,
        carrier,
        ports,
        packets,
        clients: &[],
        cut: false,
        decode_as: &[],
        explained: &[],
        left: "",
    }
}

/// Where PROFINET devices answer: each on a port of its own, and some of these are callers' ports, too.
const DEVICES: &[u16] = &[1952, 26991, 49152, 49154, 49155, 49156, 49161, 49344];

pub(crate) const CAPTURES: &[Capture] = &[
    Capture {
        clients: &["172.20.32.200", "172.20.32.250"],
        ..capture("bacnet_example.pcap", "bacnet", Udp, &[47808], 3257)
    },
    Capture { clients: &["10.0.0.1"], ..capture("bacnet_segmented_data.pcap", "bacnet", Udp, &[47808], 20) },
    Capture {
        clients: &["192.168.0.134"],
        ..capture("BACnet-BBMD-on-same-subnet.pcap", "bacnet", Udp, &[47808], 14)
    },
    capture("q-in-q.pcap", "bacnet", Udp, &[47808], 2),
    Capture {
        clients: &["172.16.134.128"],
        ..capture("cclink_ief_basic_only.pcap", "slmp", Udp, &[61450], 444)
    },
    capture("melsoft_UDP_unclean_1.pcap", "slmp", Udp, &[5560], 1214),
    Capture { cut: true, ..capture("melsoft_129_clean.pcap", "slmp", Tcp, &[5562], 1965) },
    capture("legitimate_user_addition_plc_stop_test.pcapng", "slmp", Tcp, &[5007], 1494),
    capture("fins_udp.pcap", "fins", Udp, &[9600], 20),
    capture("omron_fins_tcp_commands_responses.pcap", "fins", Tcp, &[9600], 16),
    capture("modbusSmall.pcap", "modbus", Tcp, &[502], 32),
    Capture {
        explained: &[
            only_tshark(
                Request,
                13,
                "Eleven have a function whose answer is an echo (5, 6, 8), and two a length field that promises \
                 more than there is. tshark goes by the port.",
            ),
            only_tshark(
                Response,
                9,
                "Seven echo their request, and two have function 42, which no specification has. tshark goes by \
                 the port.",
            ),
        ],
        left: "Two have a protocol identifier other than 0.",
        ..capture("modbus_test_data_part1.pcap", "modbus", Tcp, &[502], 50)
    },
    Capture {
        left: "Two segments continue the message of the one before.",
        ..capture("ModbusTCP.pcap", "modbus", Tcp, &[502], 11889)
    },
    Capture {
        left: "Two segments begin with 05 05, not with 05 64: no DNP3.",
        ..capture("dnp3.pcap", "dnp3", Tcp, &[20000], 117)
    },
    capture("dnp3_udp_read.pcap", "dnp3", Udp, &[20000], 23),
    capture("dnp3_udp_select_operate.pcap", "dnp3", Udp, &[20000], 10),
    Capture {
        explained: &[
            only_here(Request, 1, LIST_IDENTITY),
            only_here(Response, 1, "It answers that ListIdentity: it has a length."),
        ],
        ..capture("enip_cip_example.pcap", "enip", Tcp, &[44818], 269)
    },
    Capture {
        clients: &["192.168.1.24"],
        left: "Cyclic input and output has no direction: who produces what is in the connection that was opened \
               before.",
        ..capture("enip_cip_example.pcap", "enip", Udp, &[2222], 398)
    },
    capture("EIP-SoftwareUpload.pcap", "enip", Tcp, &[44818], 791),
    Capture {
        left: "All are COTP packets without content, by which one side acknowledges.",
        ..capture("s7comm_reading_plc_status.pcap", "s7", Tcp, &[102], 218)
    },
    capture("wincc_s400_production.pcapng", "s7", Tcp, &[102], 1658),
    Capture {
        explained: &[only_here(Request, 66, S7_PLUS), only_here(Response, 66, "As above.")],
        left: "69 are COTP packets without content, by which one side acknowledges. Of S7comm-plus, eight continue a \
               message, and one keeps the connection alive.",
        ..capture("plc1.pcap", "s7", Tcp, &[102], 214)
    },
    Capture {
        explained: &[
            only_tshark(Request, 2, "They are tests of the link (TESTFR act), which either side may begin."),
            only_tshark(Response, 2, "They confirm such tests (TESTFR con)."),
        ],
        left: "Ten are S-frames: they acknowledge, and both sides send them.",
        ..capture("090813_diverse.pcap", "iec104", Tcp, &[2404], 86)
    },
    Capture {
        decode_as: &["udp.port==5095,hart_ip"],
        ..capture("hart_ip.pcap", "hart-ip", Udp, &[5094, 5095], 24)
    },
    capture("hart_ip.pcap", "hart-ip", Tcp, &[5094], 24),
    Capture {
        clients: &["192.168.2.1"],
        ..capture("profinet_io_cm_connect.pcapng", "profinet-cm", Udp, &[34964], 293)
    },
    capture("profinet_io_cm_write.pcapng", "profinet-cm", Udp, &[34964], 89),
    Capture {
        clients: &["192.168.2.1", "192.168.0.1", "192.168.99.200"],
        explained: &[Explained {
            by: By::Ports,
            here: Request,
            there: Some(Response),
            count: 1,
            why: "Its sender calls from 49155, which is where other devices answer: ports do not tell here.",
        }],
        ..capture("profinet_io_cm_write.pcapng", "profinet-cm", Udp, DEVICES, 220)
    },
    capture("beckofflink.pcapng", "ads", Tcp, &[48898], 88),
    Capture {
        clients: &["192.168.1.99"],
        explained: &[only_here(Request, 1, ADS_DISCOVERY), only_here(Response, 1, "It answers that search.")],
        ..capture("beckofflink.pcapng", "ads", Udp, &[48899], 2)
    },
    capture("ethersbus.pcap", "s-bus", Udp, &[5050], 20),
    Capture {
        explained: &[only_tshark(
            Response,
            1,
            "It answers OpenSecureChannel, and so has a channel already. A renewal by the client has one, too; what \
             tells them apart stands behind texts of any length.",
        )],
        ..capture("opc-ua.pcap", "opc-ua", Tcp, &[4840], 187)
    },
    capture("C37.118_1PMU_UDP.pcap", "c37-118", Udp, &[4713], 361),
    Capture {
        clients: &["192.168.50.50"],
        explained: &[
            only_tshark(
                Request,
                15,
                "Their mode is symmetric active, which is asking by its name. Such a message is question and answer in one.",
            ),
            only_tshark(Response, 15, "Their mode is symmetric passive: the same."),
        ],
        ..capture("NTP_sync.pcap", "ntp", Udp, &[123], 30)
    },
    capture("dhcp.pcap", "dhcp", Udp, &[67], 9),
];

const LIST_IDENTITY: &str =
    "It is ListIdentity, which asks and has no length. tshark names the command and not its class.";
const S7_PLUS: &str = "They are S7comm-plus, for which Wireshark has no dissector.";
const ADS_DISCOVERY: &str = "It searches for devices, for which Wireshark has no dissector.";

const fn only_here(here: Class, count: usize, why: &'static str) -> Explained {
    Explained { by: By::Tshark, here, there: None, count, why }
}

const fn only_tshark(there: Class, count: usize, why: &'static str) -> Explained {
    Explained { by: By::Tshark, here: Undecidable, there: Some(there), count, why }
}
