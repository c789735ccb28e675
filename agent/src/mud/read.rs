//! A MUD file, as far as it can be said in a policy. An entry that is not understood as a whole is left out: half of its
//! conditions would allow more than it does.

use ipnet::IpNet;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{Ace, Kind, Lost, Peer};
use crate::policy::model::PortRange;

/// What a file says.
#[derive(Debug, Clone)]
pub struct MudFile {
    /// Its URL, which names the kind of device.
    pub url: String,
    /// What the manufacturer calls it.
    pub about: String,
    pub(crate) aces: Vec<Ace>,
    /// Entries that are left out.
    pub lost: Vec<Lost>,
}

/// Why a file is no MUD file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MudError {
    /// No JSON.
    #[error("{0}")]
    Json(String),
    /// Something that every MUD file has.
    #[error("no MUD file: it has no `{0}`")]
    Missing(&'static str),
    /// Another version.
    #[error("version {0} of MUD files is not known; there is 1")]
    Version(String),
}

/// Reads a file.
///
/// # Errors
/// Says why it is none.
pub fn read(text: &str) -> Result<MudFile, MudError> {
    let value: Value = serde_json::from_str(text).map_err(|error| MudError::Json(error.to_string()))?;
    let mud = value.get("ietf-mud:mud").ok_or(MudError::Missing("ietf-mud:mud"))?;
    let version = mud.get("mud-version").ok_or(MudError::Missing("mud-version"))?;
    if version.as_u64() != Some(1) {
        return Err(MudError::Version(version.to_string()));
    }
    let word = |key| mud.get(key).and_then(Value::as_str);
    let url = word("mud-url").ok_or(MudError::Missing("mud-url"))?.to_owned();
    let about = word("systeminfo").or_else(|| word("model-name")).unwrap_or(&url).to_owned();
    let lists = value
        .get("ietf-access-control-list:acls")
        .or_else(|| value.get("ietf-access-control-list:access-lists"))
        .and_then(|acls| acls.get("acl"))
        .and_then(Value::as_array)
        .ok_or(MudError::Missing("ietf-access-control-list:acls"))?;
    let mut file = MudFile { url, about, aces: Vec::new(), lost: Vec::new() };
    // What is asked of the device first: where nothing else tells, a device answers.
    for (policy, from_device) in [("to-device-policy", false), ("from-device-policy", true)] {
        let named = mud.pointer(&format!("/{policy}/access-lists/access-list")).and_then(Value::as_array);
        for name in named.into_iter().flatten().filter_map(|list| list.get("name")).filter_map(Value::as_str)
        {
            match lists.iter().find(|list| list.get("name").and_then(Value::as_str) == Some(name)) {
                Some(list) => file.list(name, list, from_device),
                None => file.lose("missing-list", name, "the file has no such list"),
            }
        }
    }
    Ok(file)
}

/// A member, with or without the name of its module.
fn member<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.iter().find(|(key, _)| bare(key) == name).map(|(_, value)| value)
}

fn bare(key: &str) -> &str {
    key.rsplit_once(':').map_or(key, |(_, name)| name)
}

impl MudFile {
    fn lose(&mut self, code: &'static str, about: &str, text: impl Into<String>) {
        self.lost.push(Lost { code, about: about.to_owned(), text: text.into() });
    }

    fn list(&mut self, list_name: &str, list: &Value, from_device: bool) {
        let entries = list.pointer("/aces/ace").and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            let own = entry.get("name").and_then(Value::as_str).unwrap_or("unnamed");
            let name = format!("{list_name}/{own}");
            let forwarding = entry.pointer("/actions/forwarding").and_then(Value::as_str).unwrap_or("");
            if bare(forwarding) != "accept" {
                self.lose("not-accept", &name, format!("`{forwarding}`: a policy has only what may pass"));
                continue;
            }
            let Some(matches) = entry.get("matches").and_then(Value::as_object) else {
                self.lose("no-match", &name, "it has no condition, and would allow everything");
                continue;
            };
            match ace(&name, matches, from_device) {
                Ok(ace) => self.aces.push(ace),
                Err((code, text)) => self.lose(code, &name, text),
            }
        }
    }
}

type Refused = (&'static str, String);

fn ace(name: &str, matches: &Map<String, Value>, from_device: bool) -> Result<Ace, Refused> {
    let (mut peer, mut protocol, mut transport) = (None, None, None);
    let (mut source, mut destination, mut device_opens) = (None, None, None);
    for (key, value) in matches {
        let Some(fields) = value.as_object() else { return Err(unknown(key)) };
        match bare(key) {
            "ipv4" | "ipv6" => {
                for (field, value) in fields {
                    let text = value.as_str().unwrap_or_default();
                    let (far, near) =
                        if from_device { ("destination", "source") } else { ("source", "destination") };
                    let dns = if from_device { "dst-dnsname" } else { "src-dnsname" };
                    match bare(field) {
                        "protocol" => protocol = value.as_u64(),
                        field if field == dns => peer = Some(Peer::Named(text.to_owned())),
                        field if field == format!("{far}-{}-network", bare(key)) => {
                            let net: IpNet =
                                text.parse().map_err(|_| ("network", format!("`{text}` is no network")))?;
                            peer = Some(Peer::Network(net.trunc()));
                        }
                        field if field == format!("{near}-{}-network", bare(key)) => {
                            return Err(("own-address", "it names the device's own address".to_owned()));
                        }
                        field => return Err(unknown(field)),
                    }
                }
            }
            "mud" => peer = Some(class(fields)?),
            kind @ ("tcp" | "udp") => {
                transport = Some(if kind == "tcp" { Kind::Tcp } else { Kind::Udp });
                for (field, value) in fields {
                    match bare(field) {
                        "source-port" => source = Some(ports(value)?),
                        "destination-port" => destination = Some(ports(value)?),
                        "direction-initiated" if kind == "tcp" => {
                            device_opens =
                                Some(value.as_str().is_some_and(|side| bare(side) == "from-device"));
                        }
                        field => return Err(unknown(field)),
                    }
                }
            }
            "icmp" => {
                let kind = member(fields, "type").and_then(Value::as_u64);
                transport = match kind {
                    Some(8 | 128) => Some(Kind::Echo(true)),
                    Some(0 | 129) => Some(Kind::Echo(false)),
                    _ => return Err(("icmp", "of ICMP a policy knows echo only".to_owned())),
                };
            }
            other => return Err(unknown(other)),
        }
    }
    let transport = match (transport, protocol) {
        (Some(transport), _) => transport,
        (None, Some(6)) => Kind::Tcp,
        (None, Some(17)) => Kind::Udp,
        _ => {
            return Err((
                "no-transport",
                "it names no TCP, UDP or echo, and would allow every protocol".to_owned(),
            ));
        }
    };
    let (device_port, peer_port) = if from_device { (source, destination) } else { (destination, source) };
    // Who has no condition speaks with everybody.
    let peer = peer.unwrap_or_else(|| Peer::Named("any".to_owned()));
    Ok(Ace { name: name.to_owned(), from_device, peer, transport, device_port, peer_port, device_opens })
}

fn unknown(field: &str) -> Refused {
    ("unknown-match", format!("a policy cannot say `{field}`"))
}

/// Classes of hosts, which only the plant knows.
fn class(fields: &Map<String, Value>) -> Result<Peer, Refused> {
    let [(key, value)] = fields.iter().collect::<Vec<_>>()[..] else {
        return Err(("unknown-match", "more than one class of hosts".to_owned()));
    };
    let of = value.as_str().unwrap_or_default();
    Ok(Peer::Named(match bare(key) {
        word @ ("my-controller" | "local-networks" | "same-manufacturer") => word.to_owned(),
        "controller" => of.to_owned(),
        word @ ("manufacturer" | "model") => format!("{word}:{of}"),
        other => return Err(unknown(other)),
    }))
}

fn ports(value: &Value) -> Result<PortRange, Refused> {
    let number = |key: &str| value.get(key).and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    if let Some(first) = number("lower-port") {
        let last = number("upper-port").unwrap_or(first);
        return if first <= last {
            Ok(PortRange { first, last })
        } else {
            Err(("ports", "no range".to_owned()))
        };
    }
    let operator = value.get("operator").and_then(Value::as_str).unwrap_or("eq");
    let port = number("port").ok_or(("ports", "no port".to_owned()))?;
    match bare(operator) {
        "eq" => Ok(PortRange { first: port, last: port }),
        "gte" => Ok(PortRange { first: port, last: u16::MAX }),
        "lte" => Ok(PortRange { first: 1, last: port }),
        other => Err(("ports", format!("a policy cannot say `{other}`: it lists what may pass"))),
    }
}
