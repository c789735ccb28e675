//! The single words of a policy: names, VLANs, durations and closed choices.

use std::time::Duration;

use banchi_common::abi::{Mode, Transport};
use banchi_common::direction::Class;
use banchi_common::wire::{OT_ETHERTYPES, always_passing_name, ethertype};

use super::codes;
use super::diagnostic::suggest;
use super::model::{Ethertype, Forwarding, OnAgentLoss, Vlan};
use super::read::{Refusal, Word, choose};

/// Implements `JsonSchema` for a word, as the given JSON, in place.
macro_rules! word_schema {
    ($type:ty, $name:literal, $($json:tt)+) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($($json)+)
            }
        }
    };
}

pub(crate) use word_schema;

/// Name of a zone, asset, service, conduit or rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub String);

word_schema!(Name, "Name", { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$" });

impl Word for Name {
    const EXPECTED: &'static str = "a name";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let valid = text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(allowed);
        if valid {
            return Ok(Name(text.to_owned()));
        }
        Err(Refusal::new(
            &codes::INVALID_NAME,
            format!("`{text}` is not a name"),
            "a name has 1 to 63 letters (A-Z, a-z), digits, `-`, `_` or `.`, and starts with a letter or a digit",
        ))
    }
}

/// A network interface of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface(pub String);

word_schema!(Interface, "Interface", { "type": "string", "pattern": "^[^\\s/:]{1,15}$", "examples": ["eth1"] });

impl Word for Interface {
    const EXPECTED: &'static str = "the name of a network interface, such as `eth1`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let forbidden = |c: char| c.is_whitespace() || matches!(c, '/' | ':');
        if !text.is_empty() && text.len() <= 15 && text != "." && text != ".." && !text.contains(forbidden) {
            return Ok(Interface(text.to_owned()));
        }
        Err(Refusal::new(
            &codes::INVALID_NAME,
            format!("`{text}` is not the name of a network interface"),
            "Linux allows 1 to 15 characters without spaces, `/` and `:`; `ip link` lists what there is",
        ))
    }
}

word_schema!(Vlan, "Vlan", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 4094 },
        { "type": "string", "pattern": "^(untagged|[0-9]+(\\.[0-9]+)?)$" },
        { "type": "number" }
    ],
    "examples": [20, "100.20", "untagged"]
});

impl Word for Vlan {
    const EXPECTED: &'static str = "a VLAN: 1 to 4094, `outer.inner` for two tags, or `untagged`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text == "untagged" {
            return Ok(Vlan::Untagged);
        }
        let vid = |word: &str| word.parse::<u16>().ok().filter(|vid| (1..=4094).contains(vid));
        let parsed = match text.split_once('.') {
            Some((outer, inner)) => {
                vid(outer).zip(vid(inner)).map(|(outer, inner)| Vlan::Double(outer, inner))
            }
            None => vid(text).map(Vlan::Tagged),
        };
        parsed.ok_or_else(|| {
            let help = match text.parse::<u16>() {
                Ok(0) => "VLAN 0 marks priority only and is the same as no VLAN: write `untagged`".to_owned(),
                Ok(4095) => "VLAN 4095 is reserved by IEEE 802.1Q; use 1 to 4094".to_owned(),
                _ => format!("expected {}", Self::EXPECTED),
            };
            Refusal::new(&codes::INVALID_VLAN, format!("`{text}` is not a VLAN"), help)
        })
    }
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

word_schema!(Mac, "Mac", {
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$",
    "examples": ["00:80:f4:0a:0b:0c"]
});

impl Word for Mac {
    const EXPECTED: &'static str = "a hardware address, such as \"00:80:f4:0a:0b:0c\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = |help: String| {
            Refusal::new(
                &codes::INVALID_MAC,
                format!("`{text}` is not the hardware address of a station"),
                help,
            )
        };
        let mut bytes = [0_u8; 6];
        let mut words = text.split([':', '-']);
        for byte in &mut bytes {
            let word = words.next().filter(|word| word.len() == 2);
            *byte = word
                .and_then(|word| u8::from_str_radix(word, 16).ok())
                .ok_or_else(|| refuse(format!("expected {}", Self::EXPECTED)))?;
        }
        if words.next().is_some() {
            return Err(refuse(format!("expected {}", Self::EXPECTED)));
        }
        if bytes.first().is_some_and(|first| first & 1 == 1) {
            return Err(refuse(
                "this is a group address (its first byte is odd); no station sends from it".into(),
            ));
        }
        if bytes == [0; 6] {
            return Err(refuse("all zeros stands for \"unknown\"; leave the key out instead".into()));
        }
        Ok(Mac(bytes))
    }
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

word_schema!(Time, "Time", { "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$", "examples": ["500ms", "30s", "5m"] });

impl Word for Time {
    const EXPECTED: &'static str = "a time, such as `500ms`, `30s`, `5m` or `1h`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let scale = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        let millis =
            number.parse::<u64>().ok().zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
        let longest = 24 * 3_600_000;
        match millis {
            Some(millis) if (1..=longest).contains(&millis) => Ok(Time(Duration::from_millis(millis))),
            _ => Err(Refusal::new(
                &codes::INVALID_DURATION,
                format!("`{text}` is not a time between 1ms and 24h"),
                match unit {
                    "" if !number.is_empty() => format!("add the unit: `{number}s` or `{number}ms`"),
                    _ => format!("expected {}", Self::EXPECTED),
                },
            )),
        }
    }
}

impl Word for Mode {
    const EXPECTED: &'static str = "a mode: `alert` or `enforce`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        choose(text, "a mode", &[("alert", Mode::Alert), ("enforce", Mode::Enforce)])
    }
}

impl Word for Transport {
    const EXPECTED: &'static str = "a transport: `tcp`, `udp`, `sctp` or `icmp`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        choose(
            text,
            "a transport",
            &[
                ("tcp", Transport::Tcp),
                ("udp", Transport::Udp),
                ("sctp", Transport::Sctp),
                ("icmp", Transport::Icmp),
            ],
        )
    }
}

impl Word for OnAgentLoss {
    const EXPECTED: &'static str = "`keep`, `open` or `closed`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        choose(
            text,
            "a reaction to the loss of the agent",
            &[("keep", OnAgentLoss::Keep), ("open", OnAgentLoss::Open), ("closed", OnAgentLoss::Closed)],
        )
    }
}

impl Word for Forwarding {
    const EXPECTED: &'static str = "a way of forwarding: `stack`, `route` or `wire`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        choose(text, "a way of forwarding", &Forwarding::ALL.map(|way| (way.name(), way)))
    }
}

impl Word for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        choose(text, "`true` or `false`", &[("true", true), ("false", false)])
    }
}

/// A class of what a side may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent(pub Class);

word_schema!(Sent, "Class", { "enum": ["request", "response", "notify"] });

impl Word for Sent {
    const EXPECTED: &'static str = "a class: `request`, `response` or `notify`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let what = "a class of what may be sent";
        if text.starts_with("notif") && text != "notify" {
            let message = format!("`{text}` is not {what}");
            return Err(Refusal::new(&codes::INVALID_VALUE, message, "write `notify`"));
        }
        let known =
            [("request", Class::Request), ("response", Class::Response), ("notify", Class::Notification)];
        choose(text, what, &known).map(Sent)
    }
}

word_schema!(Ethertype, "Ethertype", {
    "type": "string",
    "description": "A protocol by name, an EtherType (`0x88b8`), or a SAP of LLC (`llc-0x82`).",
    "examples": ["profinet", "goose", "0x88b8", "llc-0x82"]
});

impl Word for Ethertype {
    const EXPECTED: &'static str = "a protocol such as `profinet`, an EtherType (`0x88b8`) or `llc-0x82`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(known) = OT_ETHERTYPES.iter().find(|known| known.word == text) {
            return Ok(Ethertype(known.value));
        }
        let refuse = |what: &str, help: String| {
            Err(Refusal::new(&codes::INVALID_VALUE, format!("`{text}` {what}"), help))
        };
        let hex =
            |text: &str| text.strip_prefix("0x").and_then(|digits| u16::from_str_radix(digits, 16).ok());
        if let Some(sap) = text.strip_prefix("llc-") {
            return match hex(sap) {
                Some(sap) if sap <= 0xff => Ok(Ethertype(sap)),
                _ => refuse("is not a SAP of LLC", "it is one byte: `llc-0x82`".into()),
            };
        }
        let cannot = "cannot be listed";
        match hex(text) {
            Some(ethertype::IPV4 | ethertype::IPV6) => {
                refuse(cannot, "this is IP, which crosses by rules: write them under `allow`".into())
            }
            Some(ethertype::ARP) => refuse(cannot, "ARP always crosses, and is checked: remove it".into()),
            Some(ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN) => {
                refuse(cannot, "this is a VLAN tag; what it carries has an EtherType of its own".into())
            }
            Some(kind) if kind < ethertype::FIRST => {
                refuse(cannot, "below 0x0600 the field is a length; write `llc-0x82` for LLC".into())
            }
            Some(kind) => match always_passing_name(kind) {
                Some(name) => refuse(
                    cannot,
                    format!("this is {name}; it keeps a network alive and always crosses: remove it"),
                ),
                None => Ok(Ethertype(kind)),
            },
            None => {
                let words: Vec<&str> = OT_ETHERTYPES.iter().map(|known| known.word).collect();
                let help = match text.parse::<u16>() {
                    Ok(kind) => format!("write it hexadecimal: `{kind:#06x}`"),
                    Err(_) => suggest(text, "write `0x88b8`, `llc-0x82` or one of", &words),
                };
                refuse("is not an EtherType", help)
            }
        }
    }
}

/// The version of the policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version;

word_schema!(Version, "Version", { "const": 1 });

impl Word for Version {
    const EXPECTED: &'static str = "a version: `1`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text == "1" {
            return Ok(Version);
        }
        Err(Refusal::new(
            &codes::UNSUPPORTED_VERSION,
            format!("version `{text}` is not supported"),
            "this banchi reads version 1: write `version: 1`",
        ))
    }
}

/// A whole number from 0 to 65535, decimal or hexadecimal (`0x40`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub u16);

word_schema!(Number, "Number", {
    "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 65535 },
        { "type": "string", "pattern": "^0x[0-9A-Fa-f]{1,4}$" }
    ]
});

/// The number that `text` writes, decimal or with `0x`.
fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

impl Word for Number {
    const EXPECTED: &'static str = "a whole number from 0 to 65535";

    fn parse(text: &str) -> Result<Self, Refusal> {
        number(text).map(Number).ok_or_else(|| {
            Refusal::new(
                &codes::INVALID_VALUE,
                format!("`{text}` is not a whole number from 0 to 65535"),
                "write it decimal (`64`) or hexadecimal (`0x40`)",
            )
        })
    }
}

/// One byte, decimal or hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Byte(pub u8);

word_schema!(Byte, "Byte", {
    "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 255 },
        { "type": "string", "pattern": "^0x[0-9A-Fa-f]{1,2}$" }
    ]
});

impl Word for Byte {
    const EXPECTED: &'static str = "a byte, such as `64` or `0x40`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        number(text).and_then(|number| u8::try_from(number).ok()).map(Byte).ok_or_else(|| {
            Refusal::new(
                &codes::INVALID_VALUE,
                format!("`{text}` is not a byte"),
                "write a number from 0 to 255, decimal (`64`) or hexadecimal (`0x40`)",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_have_one_tag_two_or_none() {
        let vlan = |text| <Vlan as Word>::parse(text).ok();
        assert_eq!(vlan("20"), Some(Vlan::Tagged(20)));
        assert_eq!(vlan("100.20"), Some(Vlan::Double(100, 20)));
        assert_eq!(vlan("untagged"), Some(Vlan::Untagged));
        for text in ["0", "4095", "1.0", "1.2.3", "-1", "", "eth1"] {
            assert_eq!(vlan(text), None, "{text}");
        }
    }

    #[test]
    fn times_need_a_unit_and_end_at_a_day() {
        let time = |text| <Time as Word>::parse(text).ok().map(|time| time.0.as_millis());
        assert_eq!(time("500ms"), Some(500));
        assert_eq!(time("1h"), Some(3_600_000));
        for text in ["30", "0s", "25h", "1d", "s", "99999999999999999999s", "-1s"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn macs_are_of_one_station() {
        let mac = |text| <Mac as Word>::parse(text).ok().map(|mac| mac.0);
        assert_eq!(mac("00:80:f4:0a:0b:0C"), Some([0, 0x80, 0xf4, 0x0a, 0x0b, 0x0c]));
        assert_eq!(mac("00-80-f4-0a-0b-0c"), Some([0, 0x80, 0xf4, 0x0a, 0x0b, 0x0c]));
        for text in ["00:80:f4:0a:0b", "01:00:5e:00:00:01", "00:00:00:00:00:00", "0:80:f4:a:b:c", "xx"] {
            assert_eq!(mac(text), None, "{text}");
        }
    }
}
