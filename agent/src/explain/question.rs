//! What a person asks: `udp 10.10.1.5:47808 > 10.20.0.11:47808`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use banchi_common::abi::Transport;
use thiserror::Error;

/// A client's port where the question names none.
const SOME_PORT: u16 = 40_000;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Transport protocol.
    pub transport: Transport,
    /// Source address.
    pub source: IpAddr,
    /// Source port; for `icmp` unused.
    pub source_port: u16,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination port; for `icmp` unused.
    pub destination_port: u16,
    /// The packet opens a connection (TCP), or asks (ICMP echo). False with `answer` behind the tuple.
    pub opens: bool,
    /// Source hardware address, where it matters.
    pub mac: Option<[u8; 6]>,
    /// What the transport carries.
    pub payload: Vec<u8>,
}

/// Why a question is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuestionError {
    /// Not of the form.
    #[error("`{0}` is not of the form `udp 10.10.1.5:47808 > 10.20.0.11:47808`")]
    Form(String),
    /// Unknown protocol.
    #[error("`{0}` is no protocol of a service; there are tcp, udp, sctp and icmp")]
    Transport(String),
    /// Not an address, or not a port.
    #[error("`{0}` is not an address and a port, such as 10.10.1.5:502 or [fd00::5]:502")]
    End(String),
    /// A destination without a port.
    #[error("`{0}` needs a port: what does the packet ask?")]
    NoPort(String),
    /// Addresses of two families.
    #[error("{0} and {1} are of different families")]
    Families(IpAddr, IpAddr),
}

impl FromStr for Question {
    type Err = QuestionError;

    /// `PROTOCOL SOURCE[:PORT] > DESTINATION:PORT [syn|ack|answer]`
    fn from_str(text: &str) -> Result<Self, QuestionError> {
        let form = || QuestionError::Form(text.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let (protocol, source, destination, last) = match words.as_slice() {
            [protocol, source, ">" | "->", destination] => (protocol, source, destination, None),
            [protocol, source, ">" | "->", destination, last] => (protocol, source, destination, Some(*last)),
            _ => return Err(form()),
        };
        let transport = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "sctp" => Transport::Sctp,
            "icmp" | "icmpv6" => Transport::Icmp,
            _ => return Err(QuestionError::Transport((*protocol).to_owned())),
        };
        let opens = match last {
            None | Some("syn") => true,
            Some("ack" | "answer") => false,
            Some(_) => return Err(form()),
        };
        let (source, source_port) = end(source)?;
        let (to, destination_port) = end(destination)?;
        if source.is_ipv4() != to.is_ipv4() {
            return Err(QuestionError::Families(source, to));
        }
        let destination_port = match (transport, destination_port) {
            (Transport::Icmp, _) => 0,
            (_, Some(port)) => port,
            (_, None) => return Err(QuestionError::NoPort((*destination).to_owned())),
        };
        Ok(Self {
            transport,
            source,
            source_port: source_port.unwrap_or(SOME_PORT),
            destination: to,
            destination_port,
            opens,
            mac: None,
            payload: Vec::new(),
        })
    }
}

/// An address, and a port where there is one.
fn end(text: &str) -> Result<(IpAddr, Option<u16>), QuestionError> {
    if let Ok(end) = text.parse::<std::net::SocketAddr>() {
        return Ok((end.ip(), Some(end.port())));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(address) => Ok((address, None)),
        Err(_) => Err(QuestionError::End(text.to_owned())),
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::net::SocketAddr;
        let (name, last) = match (self.transport, self.opens) {
            (Transport::Tcp, true) => ("tcp", " syn"),
            (Transport::Tcp, false) => ("tcp", " ack"),
            (Transport::Udp, _) => ("udp", ""),
            (Transport::Sctp, _) => ("sctp", ""),
            (Transport::Icmp, true) => return write!(f, "icmp {} > {} echo", self.source, self.destination),
            (Transport::Icmp, false) => {
                return write!(f, "icmp {} > {} echo reply", self.source, self.destination);
            }
        };
        let from = SocketAddr::new(self.source, self.source_port);
        let to = SocketAddr::new(self.destination, self.destination_port);
        write!(f, "{name} {from} > {to}{last}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood() {
        for text in [
            "udp 10.10.1.5:47808 > 10.20.0.11:47808",
            "tcp [fd00::5]:40000 > [fd00::6]:502 syn",
            "tcp 10.0.0.1:502 > 10.0.0.2:40000 ack",
            "icmp 10.0.0.1 > 10.0.0.2 echo",
        ] {
            let asked = text.strip_suffix(" echo").unwrap_or(text);
            assert_eq!(asked.parse::<Question>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_question_says_why() {
        let error = |text: &str| text.parse::<Question>().unwrap_err().to_string();
        assert!(error("udp 10.0.0.1:1").contains("form"));
        assert!(error("modbus 10.0.0.1:1 > 10.0.0.2:2").contains("`modbus` is no protocol"));
        assert!(error("udp 10.0.0.300:1 > 10.0.0.2:2").contains("10.0.0.300:1"));
        assert!(error("udp 10.0.0.1:1 > 10.0.0.2").contains("needs a port"));
        assert!(error("udp 10.0.0.1:1 > [::1]:2").contains("different families"));
    }
}
