//! Other filters, each with the same tuples and nothing else.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use banchi_tests::lab::Lab;

use crate::traffic::{PORT, Tuples};

/// A filter of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// One rule of nft over a set of addresses and ports.
    NftSet,
    /// A rule of nft for each tuple.
    NftLinear,
    /// One rule of iptables over an ipset of addresses and a port.
    IptablesSet,
    /// A rule of iptables for each tuple.
    IptablesLinear,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NftSet => "nft-set",
            Self::NftLinear => "nft-rules",
            Self::IptablesSet => "iptables-ipset",
            Self::IptablesLinear => "iptables-rules",
        }
    }

    /// Lets the gateway forward the tuples and nothing else.
    pub(super) fn set_up(self, lab: &Lab, tuples: Tuples) -> Result<()> {
        let read = |name: &str, text: String, argv: &[&str]| -> Result<()> {
            let path = lab.directory().join(name);
            std::fs::write(&path, text)?;
            let path = path.to_str().context("the path of the rules")?;
            let argv: Vec<&str> = argv.iter().map(|word| if *word == "FILE" { path } else { word }).collect();
            let done = lab.gateway().output(&argv, PATIENCE)?;
            anyhow::ensure!(done.status.success(), "{argv:?}: {done}");
            Ok(())
        };
        match self {
            Self::NftSet => read("set.nft", nft(&set(tuples)), &["nft", "-f", "FILE"]),
            Self::NftLinear => read("rules.nft", nft(&rules(tuples)), &["nft", "-f", "FILE"]),
            Self::IptablesSet => {
                read("tuples.ipset", ipset(tuples), &["ipset", "restore", "-file", "FILE"])?;
                let rule = format!("-p udp --sport {PORT} -m set --match-set tuples src,dst,dst");
                read("set.iptables", iptables(&[rule]), &["iptables-restore", "FILE"])
            }
            Self::IptablesLinear => {
                let rule = |(client, server)| {
                    format!("-s {client} -d {server} -p udp --sport {PORT} --dport {PORT}")
                };
                let rules: Vec<String> = tuples.all().map(rule).collect();
                read("rules.iptables", iptables(&rules), &["iptables-restore", "FILE"])
            }
        }
    }
}

/// Sets of many entries take nft and ipset seconds.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

fn nft(body: &str) -> String {
    format!("table ip bench {{\n{body}}}\n")
}

fn chain(rules: &str) -> String {
    format!("chain forward {{\ntype filter hook forward priority 0; policy drop;\n{rules}}}\n")
}

fn set(tuples: Tuples) -> String {
    let all = tuples.all().map(|(client, server)| format!("{client} . {server} . {PORT} . {PORT}"));
    let all = all.collect::<Vec<_>>().join(",\n");
    let set = "set tuples {\ntype ipv4_addr . ipv4_addr . inet_service . inet_service\nsize 1048576\n";
    let rule = "ip saddr . ip daddr . udp sport . udp dport @tuples accept\n";
    format!("{set}elements = {{ {all} }}\n}}\n{}", chain(rule))
}

fn rules(tuples: Tuples) -> String {
    let mut rules = String::new();
    for (client, server) in tuples.all() {
        let _ =
            writeln!(rules, "ip saddr {client} ip daddr {server} udp sport {PORT} udp dport {PORT} accept");
    }
    chain(&rules)
}

fn ipset(tuples: Tuples) -> String {
    let mut text = "create tuples hash:ip,port,ip maxelem 1048576\n".to_owned();
    for (client, server) in tuples.all() {
        let _ = writeln!(text, "add tuples {client},udp:{PORT},{server}");
    }
    text
}

fn iptables(rules: &[String]) -> String {
    let mut text = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n".to_owned();
    for rule in rules {
        let _ = writeln!(text, "-A FORWARD {rule} -j ACCEPT");
    }
    text + "COMMIT\n"
}
