//! Every protocol whose payloads are told apart, numbered once and never reused.

#[cfg(any(test, feature = "std"))]
use super::Sample;
use super::{Class, Classes, Payload};
use crate::abi::Transport;
use crate::wire::Packet;

/// What is known of a protocol.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The protocol.
    pub protocol: Protocol,
    /// Its word in the policy.
    pub name: &'static str,
    /// Its name for a person.
    pub title: &'static str,
    /// What carries it.
    pub transports: &'static [Transport],
    /// What its clients send besides requests.
    pub client: Classes,
    /// What its servers send besides responses.
    pub server: Classes,
    /// How the class is decided.
    pub rule: &'static str,
    /// What is left undecided, beyond broken messages.
    pub undecidable: &'static str,
    /// Where the rule is from.
    pub source: &'static str,
}

macro_rules! protocols {
    ($(
        $number:literal $variant:ident $module:ident $name:literal [$( $transport:ident )+]
        client [$( $client:ident )*] server [$( $server:ident )*]
        $title:literal $rule:literal $undecidable:literal $source:literal
    )+) => {
        /// A protocol whose payloads are told apart. 0 is none, 255 a byte that the policy itself names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Protocol { $( #[doc = $title] $variant = $number, )+ }

        /// All protocols, by number.
        pub const PROTOCOLS: &[About] = &[ $( About {
            protocol: Protocol::$variant,
            name: $name,
            title: $title,
            transports: &[ $( Transport::$transport ),+ ],
            client: Classes::NONE $( .with(Classes::$client) )*,
            server: Classes::NONE $( .with(Classes::$server) )*,
            rule: $rule,
            undecidable: $undecidable,
            source: $source,
        }, )+ ];

        /// Class of a payload.
        ///
        /// `protocols` has bit 1 << number of each protocol that the policy uses. It is constant from the
        /// load of the program on, so that the verifier removes the others.
        #[inline(always)]
        pub fn classify<P: Packet>(
            payload: &Payload<'_, P>,
            transport: u8,
            protocol: u8,
            protocols: u32,
        ) -> Class {
            let class = match protocol {
                $( $number if protocols >> $number & 1 != 0 && ($( transport == Transport::$transport as u8 )||+) => {
                    super::$module::classify(payload, transport == Transport::Tcp as u8)
                } )+
                _ => None,
            };
            class.unwrap_or_default()
        }

        /// Messages of every protocol.
        #[cfg(any(test, feature = "std"))]
        pub fn samples() -> impl Iterator<Item = &'static Sample> {
            [ $( super::$module::SAMPLES ),+ ].into_iter().flatten()
        }
    };
}

protocols! {
    1 Bacnet bacnet "bacnet" [Udp] client [RESPONSE] server [NOTIFY]
        "BACnet/IP"
        "BVLC at 0 (0x81, function); the NPDU at 4, or at 10 when forwarded. Behind its addresses: the \
         APDU type, the service where notifications have one, and bit 0 (SRV) of SegmentACK and Abort; \
         for a network message its type. The BVLC length does not count, because real devices get it \
         wrong."
        "Private transfers, secure BVLL, network messages about security. Controllers that look for \
         others send Who-Is, so a server may show requests."
        "ASHRAE 135-2020 clauses 6 and 20, Annex J"
    2 Slmp slmp "slmp" [Tcp Udp] client [] server []
        "MELSEC communication (SLMP, MC protocol 3E and 4E, MELSOFT)"
        "Subheader at 0: 50, 54, 57, 5A, 68 ask; with bit 0x80 set (D0, D4, D7, DA, E8) they answer. \
         ASCII frames begin with 5000 or 5400, and D000 or D400. The length field must fit."
        "1E frames: their first byte is a command of any value, and nothing else marks them."
        "Mitsubishi SH-080956ENG (SLMP reference), SH-080008 (MELSEC communication protocol)"
    3 Modbus modbus "modbus" [Tcp Udp] client [] server []
        "Modbus/TCP"
        "MBAP at 0 (protocol 0, length), function at 7: bit 0x80 is an exception; otherwise length and \
         byte count decide where a request and its response differ in them. UMAS (0x5A): 0xFE or 0xFD at \
         9 answers."
        "Functions that echo: 5, 6, 8, 21, 22. Functions 1 and 2 where start address 0x03xx and a \
         quantity of up to 2000 look like three bytes of answer. Functions of vendors."
        "Modbus Application Protocol 1.1b3; Kaspersky ICS CERT on UMAS"
    4 Dnp3 dnp3 "dnp3" [Tcp Udp] client [] server [NOTIFY]
        "DNP3"
        "05 64 at 0, control at 3: bit 0x80 (DIR) is set by masters, whose confirms count as requests. Of \
         outstations, function 0x82 at 12 is unsolicited; everything else answers."
        "Frames whose direction and function contradict each other."
        "IEEE 1815-2012 clauses 4, 8 and 9"
    5 Enip enip "enip" [Tcp Udp] client [] server []
        "EtherNet/IP explicit messages"
        "Encapsulation command at 0: lists and RegisterSession by length and session, SendRRData and \
         SendUnitData by bit 0x80 of the CIP service in item 0x00B2 or 0x00B1. A status at 8 other than 0 \
         only answers."
        "NOP, IndicateStatus and Cancel; more than four items. I/O on UDP 2222 has no direction."
        "ODVA CIP volume 2, chapter 2"
    6 S7 s7 "s7" [Tcp] client [] server [NOTIFY]
        "S7comm and S7comm-plus"
        "TPKT at 0, COTP type at 5: E0 asks, D0 answers. S7comm (0x32 at 7): 1 at 8 asks, 2 and 3 answer, \
         7 by the high half of 22: 4 asks, 8 answers, 0 pushes. S7comm-plus (0x72 at 7): 31, 32, 33 at \
         11, or at 44 behind a digest."
        "Disconnects, fragments that begin no message. A PLC asks for the blocks of a download itself: \
         let the server send requests where it is programmed."
        "RFC 1006, ISO 8073; Wireshark packet-s7comm.c; Wiens s7comm-plus"
    7 Fins fins "fins" [Tcp Udp] client [] server []
        "Omron FINS"
        "ICF at 0, behind FINS/TCP at 16: bit 0x40 answers. FINS/TCP commands 0 and 1 at 8 exchange node \
         addresses, 3 refuses a frame."
        "Other FINS/TCP commands."
        "Omron W342 (commands), W421 (FINS/TCP)"
    8 Iec104 iec104 "iec104" [Tcp] client [] server [NOTIFY]
        "IEC 60870-5-104"
        "0x68 at 0; U-frames act or confirm; I-frames by type at 6 and cause at 8: 6 and 8 command, 7, 9, \
         10 and 44-47 confirm, monitored types notify with 1-4, 11 and 12 and answer with 5 and 20-41."
        "S-frames, TESTFR, file transfer. The first other APDU counts, among three."
        "IEC 60870-5-101 clause 7.2, IEC 60870-5-104 clause 5"
    9 ProfinetCm profinet_cm "profinet-cm" [Udp] client [RESPONSE] server [REQUEST]
        "PROFINET context management (connectionless DCE/RPC)"
        "Version 4 at 0, packet type at 1: 0, 1, 7, 8 are the caller's, 2-6, 9, 10 the callee's. Both \
         sides call."
        ""
        "C706 chapter 12; IEC 61158-6-10"
    10 HartIp hart_ip "hart-ip" [Tcp Udp] client [] server [NOTIFY]
        "HART-IP"
        "Version at 0, message type in the low half of 1: 0 asks, 1, 3 and 15 answer, 2 publishes."
        ""
        "FieldComm Group HCF_SPEC-085"
    11 Ads ads "ads" [Tcp Udp] client [] server [NOTIFY]
        "Beckhoff ADS"
        "TCP: AMS header at 6, bit 1 of the state flags at 24 answers, command 8 at 22 notifies. UDP \
         discovery: 03 66 14 71 at 0, bit 0x80 at 11 answers."
        "AMS/TCP commands of a local router."
        "Beckhoff Information System, ADS/AMS specification"
    12 KnxnetIp knxnet_ip "knxnet-ip" [Tcp Udp] client [RESPONSE NOTIFY] server [NOTIFY]
        "KNXnet/IP"
        "06 10 at 0, service at 2; tunnelling and device management by the cEMI message code at 10. \
         Routing notifies. Acknowledgements answer, and both sides send them."
        "Disconnects, which either side may begin. Secure wrappers."
        "ISO 22510, EN 50090 (KNX 03_08)"
    13 SBus s_bus "s-bus" [Udp] client [] server []
        "Saia Ether-S-Bus"
        "Length at 0, version 0 or 1 at 4, attribute at 8: 0 asks, 1 answers, 2 acknowledges or refuses."
        ""
        "SAIA-Burgess manual 26/739; Wireshark packet-sbus.c"
    14 Toyopuc toyopuc "toyopuc" [Tcp Udp] client [] server []
        "JTEKT TOYOPUC computer link"
        "Frame type at 0: 00 asks, 80 answers; the length at 2 must be that of the rest."
        "Several frames in one TCP segment."
        "JTEKT 2PORT-EFR manual, computer link"
    15 GeSrtp ge_srtp "ge-srtp" [Tcp] client [] server []
        "GE SRTP"
        "Type at 0: 02 asks with C0 or 80 at 31, 03 answers with D4, 94 or D1; 56 bytes of zeros open, 01 \
         at 0 accepts."
        "Type 08, and text that follows its header in a segment of its own."
        "Denton et al., DFRWS 2017; the dissector Palatis/packet-ge-srtp"
    16 C37118 c37_118 "c37-118" [Tcp Udp] client [] server [NOTIFY]
        "IEEE C37.118 synchrophasors"
        "0xAA at 0, type in bits 4-6 of 1: 4 commands, 0 is data and notifies, 1, 2, 3 and 5 describe and \
         answer."
        ""
        "IEEE C37.118.2-2011 clause 6"
    17 Ntp ntp "ntp" [Udp] client [] server [NOTIFY]
        "NTP"
        "Mode in the low bits of 0: 3 asks, 4 answers, 5 broadcasts; 6 and 7 by their response bit."
        "Symmetric modes 1 and 2: peers ask and answer in one message."
        "RFC 5905, RFC 9327"
    18 Dhcp dhcp "dhcp" [Udp] client [] server []
        "DHCP"
        "Operation at 0: 1 asks, 2 answers, with the magic cookie at 236."
        "BOOTP without options."
        "RFC 2131"
    19 Snmp snmp "snmp" [Udp] client [RESPONSE] server [NOTIFY]
        "SNMP"
        "Tag of the PDU behind version and community, or in the plain scoped PDU of version 3: A0, A1, \
         A3, A5 ask, A2 answers, A4, A6, A7 notify."
        "Encrypted version 3. Reports (A8)."
        "RFC 1157, 3416, 3412"
    20 OpcUa opc_ua "opc-ua" [Tcp] client [] server [NOTIFY]
        "OPC UA binary"
        "Type at 0: HEL and CLO ask, ACK and ERR answer, RHE notifies; OPN without a channel asks; MSG by \
         the type of its body at 24."
        "OPN on an existing channel, encrypted messages, chunks behind the first."
        "OPC 10000-6, clauses 5.2.2 and 7.1"
}

impl Protocol {
    /// The protocol with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        PROTOCOLS.iter().find(|about| about.protocol as u8 == number).map(|about| about.protocol)
    }

    /// The protocol with this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        PROTOCOLS.iter().find(|about| about.name == name).map(|about| about.protocol)
    }

    /// What is known of it.
    #[must_use]
    pub fn about(self) -> &'static About {
        PROTOCOLS.iter().find(|about| about.protocol == self).unwrap_or(&PROTOCOLS[0])
    }
}
