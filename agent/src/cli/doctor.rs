//! `banchi doctor`: is this machine fit to enforce?

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Pins, Socket, fail, load, print};
use crate::datapath::{Root, XdpMode, available};
use crate::doctor::{
    Finding, InterfaceFacts, KernelFacts, Level, Wanted, examine_interface, examine_kernel, missing,
};
use crate::plane::store_of;
use crate::policy::model::Policy;

/// Where a policy is looked for unless another is named.
const DEFAULT_POLICY: &str = "/etc/banchi/policy.yaml";
/// Columns of a terminal.
const WIDTH: usize = 80;

/// Looks at the kernel and at interfaces: what hides packets from banchi, what it runs as, and what is missing. Changes
/// nothing.
///
/// Exit code 0: nothing is unsafe or missing. 1: the policy has errors. 2: it cannot be read. 21: something is unsafe or
/// missing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Interfaces; those of the policy unless named
    #[arg(value_name = "IFACE")]
    interfaces: Vec<String>,
    /// The policy whose interfaces and VLANs count; /etc/banchi/policy.yaml where it is there
    #[arg(short, long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where in the kernel the program is to run
    #[arg(long, value_enum, default_value = "native", value_name = "MODE")]
    xdp_mode: XdpMode,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let default = PathBuf::from(DEFAULT_POLICY);
    let path = args.policy.clone().or_else(|| Some(default).filter(|path| path.exists()));
    let policy = match path.map(|path| load(&path, true)).transpose() {
        Ok(loaded) => loaded.map(|(policy, _)| policy),
        Err(code) => return code,
    };
    let names = named(args, policy.as_ref());
    let facts = match InterfaceFacts::gather(&names) {
        Ok(facts) => facts,
        Err(error) => return fail(1, format!("the kernel does not tell its interfaces: {error}")),
    };
    let own = Root::pinned_program(&store_of(&args.pins.pins, &args.socket.socket));
    let kernel = KernelFacts::gather();
    let mut findings = examine_kernel(&kernel);
    for name in &names {
        let Some(facts) = facts.iter().find(|facts| facts.link.name == *name) else {
            findings.push(missing(name, &available()));
            continue;
        };
        let wanted = match &policy {
            Some(policy) => Wanted::of(policy, name, args.xdp_mode, own),
            None => Wanted::of_none(args.xdp_mode, own),
        };
        findings.extend(examine_interface(facts, &wanted));
    }
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    if args.json {
        let report = serde_json::json!({
            "worst": worst, "findings": findings, "kernel": kernel, "interfaces": facts,
        });
        print(&format!("{report:#}\n"));
    } else {
        print(&human(&findings, &facts));
    }
    if worst == Level::Unsafe { ExitCode::from(21) } else { ExitCode::SUCCESS }
}

/// The interfaces that were named, or those of the policy.
fn named(args: &Args, policy: Option<&Policy>) -> Vec<String> {
    let names: BTreeSet<&String> = if args.interfaces.is_empty() {
        policy.iter().flat_map(|policy| &policy.zones).flat_map(|zone| &zone.interfaces).collect()
    } else {
        args.interfaces.iter().collect()
    };
    names.into_iter().cloned().collect()
}

fn human(findings: &[Finding], facts: &[InterfaceFacts]) -> String {
    let mut text = String::new();
    let mut subject = None;
    for finding in findings {
        if subject != Some(&finding.subject) {
            let facts = facts.iter().find(|facts| facts.link.name == finding.subject);
            let driver = facts.map_or_else(String::new, |facts| format!(" ({})", facts.driver));
            let gap = if subject.is_some() { "\n" } else { "" };
            let _ = writeln!(text, "{gap}{}{driver}", finding.subject);
            subject = Some(&finding.subject);
        }
        let label = format!("  {:<9}{:<16}", finding.level.name(), finding.check);
        let said = if finding.level == Level::Ok {
            finding.found.clone()
        } else {
            format!("{} {}", finding.found, finding.why)
        };
        text.push_str(&wrapped(&label, &said));
        if let Some(remedy) = &finding.remedy {
            // A command is not broken: it is there to be copied.
            let _ = writeln!(text, "{:11}> {remedy}", "");
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let _ = writeln!(
        text,
        "\n{} unsafe or missing, {} warning(s), {} note(s)",
        count(Level::Unsafe),
        count(Level::Warning),
        count(Level::Note)
    );
    text
}

/// A label and text behind it, broken between words.
fn wrapped(label: &str, said: &str) -> String {
    let mut lines = String::new();
    let mut line = label.to_owned();
    let mut is_empty = true;
    for word in said.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(lines, "{line}");
            line = " ".repeat(label.chars().count());
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(lines, "{line}");
    lines
}
