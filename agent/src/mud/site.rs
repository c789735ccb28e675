//! Where the hosts of a draft are: assets, and zones that hold them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::learn::draft::AssetFile;

/// An asset of the draft.
#[derive(Debug, Clone)]
pub(super) struct Asset {
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) networks: Vec<IpNet>,
    /// What it stands for.
    pub(super) about: String,
}

/// Assets by name, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) assets: Vec<Asset>,
}

/// A name as a policy has it.
pub(super) fn word(text: &str) -> String {
    let text = text.rsplit_once("://").map_or(text, |(_, rest)| rest);
    let mut word: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    while word.contains("--") {
        word = word.replace("--", "-");
    }
    let word: String = word.trim_matches(['-', '.', '_']).chars().take(48).collect();
    if word.is_empty() || word == "gateway" { format!("x-{word}") } else { word }
}

impl Site {
    /// The asset of something that a file names, made where it is not there yet.
    pub(super) fn place(
        &mut self,
        about: &str,
        networks: &[IpNet],
        usual_zone: &str,
        known: &AssetFile,
    ) -> usize {
        if let Some(at) =
            self.assets.iter().position(|asset| asset.about == about && asset.networks == networks)
        {
            return at;
        }
        let first = networks.first().map(IpNet::addr);
        // What has addresses in common with what is there already is in its zone.
        let beside = self.assets.iter().find(|asset| {
            let meets = |a: &IpNet| networks.iter().any(|b| a.contains(b) || b.contains(a));
            asset.networks.iter().any(meets)
        });
        let zone = first.and_then(|host| known.0.get(&host)?.zone.clone());
        let zone = zone.or_else(|| beside.map(|asset| asset.zone.clone()));
        let own = first.and_then(|host| known.0.get(&host)?.name.clone()).filter(|_| networks.len() == 1);
        let base = word(&own.unwrap_or_else(|| about.to_owned()));
        let taken = |name: &str| self.assets.iter().any(|asset| asset.name == name);
        let name = (1..)
            .map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") })
            .find(|name| !taken(name));
        self.assets.push(Asset {
            name: name.unwrap_or(base),
            zone: zone.map_or_else(|| usual_zone.to_owned(), |zone| word(&zone)),
            networks: networks.to_vec(),
            about: about.to_owned(),
        });
        self.assets.len() - 1
    }

    /// Zones and assets as they stand in a policy. Only assets that something names are written.
    pub(super) fn write(&self, used: &[usize]) -> String {
        let assets: Vec<&Asset> = used.iter().filter_map(|at| self.assets.get(*at)).collect();
        let mut zones: BTreeMap<&str, Vec<IpNet>> = BTreeMap::new();
        for asset in &assets {
            let zone = zones.entry(&asset.zone).or_default();
            zone.extend(asset.networks.iter().filter(|net| !net.addr().is_multicast()).map(around));
        }
        let mut text =
            "# Interfaces and networks are a guess: write those of the plant.\nzones:\n".to_owned();
        for (number, zone) in zones.keys().enumerate() {
            let own = zones.get(zone).cloned().unwrap_or_default();
            let others: Vec<IpNet> =
                zones.iter().filter(|(other, _)| *other != zone).flat_map(|(_, nets)| nets.clone()).collect();
            let overlaps =
                |net: &IpNet| others.iter().any(|other| other.contains(net) || net.contains(other));
            let networks: Vec<IpNet> = if own.iter().any(overlaps) {
                assets
                    .iter()
                    .filter(|asset| asset.zone == **zone)
                    .flat_map(|asset| asset.networks.clone())
                    .collect()
            } else {
                own
            };
            let list: Vec<String> =
                IpNet::aggregate(&networks).iter().map(|net| format!("\"{net}\"")).collect();
            let _ = writeln!(
                text,
                "  {zone}: {{ interfaces: [eth{}], networks: [{}] }}",
                number + 1,
                list.join(", ")
            );
        }
        text += "\nassets:\n";
        for asset in assets {
            let list: Vec<String> = asset.networks.iter().map(address).collect();
            let _ = writeln!(
                text,
                "  {}: {{ zone: {}, addresses: [{}] }}  # {}",
                asset.name,
                asset.zone,
                list.join(", "),
                one_line(&asset.about)
            );
        }
        text
    }
}

/// The network that a host is likely to be in.
fn around(net: &IpNet) -> IpNet {
    let usual = if net.addr().is_ipv4() { 24 } else { 64 };
    IpNet::new(net.addr(), net.prefix_len().min(usual)).map_or(*net, |net| net.trunc())
}

fn address(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        format!("\"{}\"", net.addr())
    } else {
        format!("\"{net}\"")
    }
}

/// Text of others, as it may stand in a comment.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}

/// Addresses that somebody typed: hosts, ranges and networks, or names of hosts in a file.
pub(super) fn addresses(text: &str, known: &AssetFile) -> Result<Vec<IpNet>, String> {
    let mut networks = Vec::new();
    for part in text.split(',').map(str::trim) {
        let host = |text: &str| text.trim().parse::<IpAddr>().ok();
        if let Some(host) = host(part) {
            networks.push(IpNet::from(host));
        } else if let Ok(net) = part.parse::<IpNet>() {
            networks.push(net.trunc());
        } else if let Some((first, last)) = part.split_once('-').and_then(|(a, b)| host(a).zip(host(b))) {
            networks.extend(super::networks(first, last));
        } else {
            let named = known.0.iter().filter(|(_, known)| known.name.as_deref() == Some(part));
            let before = networks.len();
            networks.extend(named.map(|(host, _)| IpNet::from(*host)));
            if networks.len() == before {
                return Err(format!("`{part}` is no address, and no host of that name is known"));
            }
        }
    }
    Ok(networks)
}
