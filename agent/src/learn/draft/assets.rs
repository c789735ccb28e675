//! Names, zones and hardware addresses of hosts from a file: CSV, or an export of NetBox as JSON or CSV.
//!
//! Of a CSV the first line names the columns, in any order and case: the address (`address`, `ip`, `ip address`,
//! `primary ip`, `primary ipv4`), and optionally `name` (`device`, `dns name`, `asset`), `zone` (`vlan`, `site`,
//! `location`, `role`, in this order of preference) and `mac`. Of JSON, `ipam/ip-addresses` and `dcim/devices` are read,
//! as a list or as an answer of the API with `results`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;
use thiserror::Error;

/// What is known of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// Its hardware address.
    pub mac: Option<[u8; 6]>,
}

/// Hosts by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetFile(pub BTreeMap<IpAddr, Known>);

/// Why a file says nothing of hosts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AssetFileError {
    /// A CSV without addresses.
    #[error("no column is called `address` or `ip`; there are: {0}")]
    NoAddress(String),
    /// A cell that is no address.
    #[error("line {line}: `{text}` is no address")]
    Address {
        /// Line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// Neither CSV nor JSON.
    #[error("{0}")]
    Format(String),
    /// Nothing in it.
    #[error("no host with an address is in it")]
    Empty,
}

const ADDRESS: &[&str] =
    &["address", "ip", "ip address", "ip_address", "primary ip", "primary ipv4", "primary_ip4"];
const NAME: &[&str] = &["name", "device", "asset", "dns name", "dns_name", "hostname"];
const ZONE: &[&str] = &["zone", "vlan", "site", "location", "role"];
const MAC: &[&str] = &["mac", "mac address", "mac_address"];

impl AssetFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Says where and why it makes no sense.
    pub fn read(text: &str) -> Result<Self, AssetFileError> {
        let text = text.trim_start_matches('\u{feff}');
        let hosts = match text.trim_start().chars().next() {
            Some('[' | '{') => json(text)?,
            _ => csv(text)?,
        };
        if hosts.is_empty() { Err(AssetFileError::Empty) } else { Ok(Self(hosts)) }
    }
}

fn csv(text: &str) -> Result<BTreeMap<IpAddr, Known>, AssetFileError> {
    let delimiter = if text.lines().next().is_some_and(|line| line.contains(';')) { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let failed = |error: csv::Error| AssetFileError::Format(error.to_string());
    let header = reader.headers().map_err(failed)?.clone();
    let column = |names: &[&str]| {
        let of = |name: &&str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
        names.iter().find_map(of)
    };
    let Some(address) = column(ADDRESS) else {
        return Err(AssetFileError::NoAddress(header.iter().collect::<Vec<_>>().join(", ")));
    };
    let (name, zone, mac) = (column(NAME), column(ZONE), column(MAC));
    let mut hosts = BTreeMap::new();
    for row in reader.records() {
        let row = row.map_err(failed)?;
        let line = row.position().map_or(0, |at| at.line() as usize);
        let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).filter(|text| !text.is_empty());
        let Some(text) = cell(Some(address)) else { continue };
        let at = host(text).ok_or_else(|| AssetFileError::Address { line, text: text.to_owned() })?;
        let known = Known {
            name: cell(name).and_then(word),
            zone: cell(zone).and_then(word),
            mac: cell(mac).and_then(hardware),
        };
        hosts.insert(at, known);
    }
    Ok(hosts)
}

fn json(text: &str) -> Result<BTreeMap<IpAddr, Known>, AssetFileError> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| AssetFileError::Format(error.to_string()))?;
    let rows = value.get("results").unwrap_or(&value).as_array().cloned().unwrap_or_default();
    let mut hosts = BTreeMap::new();
    for row in &rows {
        let text = |pointers: &[&str]| {
            pointers
                .iter()
                .find_map(|at| row.pointer(at).and_then(Value::as_str))
                .filter(|text| !text.is_empty())
        };
        let address = text(&["/primary_ip4/address", "/primary_ip/address", "/address", "/ip"]);
        let Some(at) = address.and_then(host) else { continue };
        let known = Known {
            name: text(&["/assigned_object/device/name", "/dns_name", "/name", "/device/name"])
                .and_then(word),
            zone: text(&[
                "/zone",
                "/custom_fields/zone",
                "/vlan/name",
                "/site/slug",
                "/site/name",
                "/location/name",
            ])
            .or_else(|| text(&["/vrf/name", "/tenant/slug", "/role/slug", "/device_role/slug"]))
            .and_then(word),
            mac: text(&["/mac", "/mac_address", "/assigned_object/mac_address"]).and_then(hardware),
        };
        hosts.insert(at, known);
    }
    Ok(hosts)
}

/// An address, with or without a prefix length.
fn host(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.trim().parse().ok()
}

/// A name as a policy allows it.
pub(super) fn word(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let word: String = text.trim().chars().map(|c| if fits(c) { c } else { '-' }).take(60).collect();
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    (!word.is_empty() && word != "gateway").then_some(word)
}

fn hardware(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        text.split([':', '-']).map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn columns_are_found_by_their_names() {
        let file = AssetFile::read(
            "Name;IP Address;Zone;MAC\nPLC 7;10.20.0.17/24;line a;00-80-f4-0a-0b-0c\n;10.20.0.18;;\n",
        )
        .unwrap();
        let plc = &file.0[&"10.20.0.17".parse().unwrap()];
        assert_eq!((plc.name.as_deref(), plc.zone.as_deref()), (Some("PLC-7"), Some("line-a")));
        assert_eq!(plc.mac, Some([0, 0x80, 0xf4, 0x0a, 0x0b, 0x0c]));
        assert_eq!(file.0[&"10.20.0.18".parse().unwrap()], Known::default());
    }

    #[test]
    fn an_export_of_netbox_is_read() {
        let text = r#"{"count": 1, "results": [{"name": "hmi-1", "site": {"slug": "hall-2", "name": "Hall 2"},
            "primary_ip4": {"address": "10.1.2.3/24"}}, {"name": "no address", "primary_ip4": null}]}"#;
        let file = AssetFile::read(text).unwrap();
        assert_eq!(file.0.len(), 1);
        let hmi = &file.0[&"10.1.2.3".parse().unwrap()];
        assert_eq!((hmi.name.as_deref(), hmi.zone.as_deref()), (Some("hmi-1"), Some("hall-2")));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        assert!(matches!(AssetFile::read("a,b\n1,2\n"), Err(AssetFileError::NoAddress(_))));
        assert!(matches!(AssetFile::read("ip\nhere\n"), Err(AssetFileError::Address { line: 2, .. })));
        assert!(matches!(AssetFile::read("[1, 2"), Err(AssetFileError::Format(_))));
        assert_eq!(AssetFile::read(""), Err(AssetFileError::NoAddress(String::new())));
    }
}
