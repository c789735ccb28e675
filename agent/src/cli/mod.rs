//! The verbs, one file each. What was typed becomes what it means here; only `main` gives the exit code.

mod apply;
mod audit;
mod backtest;
mod bypass;
mod check;
mod compile;
mod confirm;
mod detach;
mod diff;
mod doctor;
mod events;
mod explain;
mod export;
mod grant;
mod grants;
mod import;
mod island;
mod learn;
mod live;
mod mode;
mod pages;
mod pinned;
mod progress;
mod recorded;
mod report;
mod review;
mod revoke;
mod rollback;
mod run;
mod schema;
mod services;
mod status;
mod table;
mod top;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::control::{ClientError, DEFAULT_SOCKET, Reply, Request, request};
use crate::policy::model::Policy;
use crate::policy::{self, render::Style};

/// Allowlist enforcement between the zones of a plant, in XDP.
///
/// Exit codes: 0 done; 1 the policy has errors, or something failed; 2 wrong usage, or a file cannot be read;
/// 10 no privilege; 11 no such interface; 12 the kernel lacks something; 13 the driver refuses native XDP;
/// 14 another XDP program is attached; 15 no BPF file system; 16 another banchi runs; 17 the verifier refused
/// the program; 18 what is pinned cannot be used; 19 the loaded program is not proven; 20 no banchi runs;
/// 21 enforcing would not be safe, or `doctor` found something unsafe or missing; 22 whoever asks may not.
#[derive(Debug, Parser)]
#[command(name = "banchi", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check a policy file without touching anything
    Check(check::Args),
    /// Show what a policy becomes: tuples, entries, kernel memory
    Compile(compile::Args),
    /// Print the JSON Schema of the policy file
    Schema(schema::Args),
    /// Show the services that a policy may name without defining them
    Services(services::Args),
    /// Say what would happen to a packet, and why
    Explain(explain::Args),
    /// Look whether this machine is fit to enforce
    Doctor(doctor::Args),
    /// Learn from captures or live traffic who asks whom, and draft a policy
    Learn(learn::Args),
    /// Run captures through the real program, and say what a policy would drop
    Backtest(backtest::Args),
    /// Write what captures show, and what a policy says of it, as one HTML file
    Report(report::Args),
    /// Read what others say of a plant, and draft a policy
    Import(import::Args),
    /// Write a policy in the words of others, and say what is lost
    Export(export::Args),
    /// Load a policy, or take up what is loaded, and report what deviates
    Run(run::Args),
    /// Show the running policy, its modes and counters
    Status(status::Args),
    /// Watch the gateway in the terminal
    Top(top::Args),
    /// Show events
    Events(events::Args),
    /// Go through what deviated: accept it, let it pass for a time, dismiss it, or call it malicious
    Review(review::Args),
    /// Show who changed what
    Audit(audit::Args),
    /// Switch between alert and enforce
    Mode(mode::Args),
    /// Let a policy take the place of the one that decides
    Apply(apply::Args),
    /// Say what a change of policy means
    Diff(diff::Args),
    /// Keep the policy that waits for it
    Confirm(confirm::Args),
    /// Let the policy before decide again
    Rollback(rollback::Args),
    /// Let something pass for a time, beside the policy
    Grant(grant::Args),
    /// Show what may pass for a time, and what did
    Grants(grants::Args),
    /// Take grants back
    Revoke(revoke::Args),
    /// Let everything pass, or no more
    Bypass(bypass::Args),
    /// Let nothing pass but what is named, or as before
    Island(island::Args),
    /// Take the data plane off
    Detach(detach::Args),
    /// Write man pages and completions for shells
    #[command(hide = true)]
    Pages(pages::Args),
}

/// Where the agent listens.
#[derive(Debug, Clone, clap::Args)]
struct Socket {
    /// Control socket of the agent
    #[arg(long, default_value = DEFAULT_SOCKET, env = "BANCHI_SOCKET", value_name = "PATH")]
    socket: PathBuf,
}

/// What somebody answers for.
#[derive(Debug, clap::Args)]
struct Consent {
    /// Enforce also where `banchi doctor` finds it unsafe; status and log say so
    #[arg(long)]
    accept_unsafe: bool,
}

/// Where the data plane is pinned.
#[derive(Debug, Clone, clap::Args)]
struct Pins {
    /// Directory of the BPF file system for what outlives the agent
    #[arg(long, default_value = "/sys/fs/bpf/banchi", env = "BANCHI_PINS", value_name = "DIR")]
    pins: PathBuf,
}

/// Where changes are recorded.
#[derive(Debug, clap::Args)]
struct AuditFile {
    /// File that changes are recorded in [default: /var/log/banchi/audit.jsonl; with another socket than the usual one
    /// audit.jsonl beside it]
    #[arg(long, env = "BANCHI_AUDIT", value_name = "FILE")]
    audit: Option<PathBuf>,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Check(args) => check::run(&args),
        Verb::Compile(args) => compile::run(&args),
        Verb::Schema(args) => schema::run(&args),
        Verb::Services(args) => services::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Learn(args) => learn::run(&args),
        Verb::Backtest(args) => backtest::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Import(args) => import::run(&args),
        Verb::Export(args) => export::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Top(args) => top::run(&args),
        Verb::Events(args) => events::run(&args),
        Verb::Review(args) => review::run(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::Mode(args) => mode::run(&args),
        Verb::Apply(args) => apply::run(&args),
        Verb::Diff(args) => diff::run(&args),
        Verb::Confirm(args) => confirm::run(&args),
        Verb::Rollback(args) => rollback::run(&args),
        Verb::Grant(args) => grant::run(&args),
        Verb::Grants(args) => grants::run(&args),
        Verb::Revoke(args) => revoke::run(&args),
        Verb::Bypass(args) => bypass::run(&args),
        Verb::Island(args) => island::run(&args),
        Verb::Detach(args) => detach::run(&args),
        Verb::Pages(args) => pages::run(&args),
    }
}

/// Writes to standard output. A reader that closed the pipe has seen enough.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Says on standard error what went wrong, and yields the exit code.
fn fail(code: u8, message: impl std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "banchi: {message}");
    ExitCode::from(code)
}

/// Asks for a change, and says what decides then.
fn change(socket: &Socket, asked: &Request) -> ExitCode {
    match request(&socket.socket, asked) {
        Ok(reply @ Reply::Changed { .. }) => {
            print(&changed(&reply));
            ExitCode::SUCCESS
        }
        Ok(other) => fail(1, format!("the agent answered something else: {other:?}")),
        Err(error) => no_answer(&error),
    }
}

/// What decides after a change.
fn changed(reply: &Reply) -> String {
    match reply {
        Reply::Changed { generation, policy, policy_hash } => {
            let hash = policy_hash.get(..12).unwrap_or(policy_hash);
            format!("generation {generation} decides: {policy} ({hash}…)\n")
        }
        _ => String::new(),
    }
}

/// Says why a verb got no answer, and yields its exit code.
fn no_answer(error: &ClientError) -> ExitCode {
    fail(code_of(error), error)
}

/// Exit code of a verb that got no answer.
fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::NotRunning { .. } => 20,
        ClientError::Forbidden(_) => 22,
        ClientError::Silent { .. } | ClientError::Broken { .. } | ClientError::Refused(_) => 1,
    }
}

/// Reads a policy that must be right; says on standard error what is not.
fn load(path: &Path, allow_empty: bool) -> Result<(Policy, String), ExitCode> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| fail(2, format!("cannot read {name}: {e}")))?;
    let loaded = policy::load_for(&name, &text, allow_empty);
    if !loaded.diagnostics.is_empty() {
        let _ = std::io::stderr().write_all(loaded.render(&text, Style::Plain).as_bytes());
    }
    match loaded.policy {
        Some(policy) => Ok((policy, text)),
        None => Err(fail(1, format!("{name} has errors; nothing was changed"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    /// Words of a line as a shell would read them, without variables.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for c in line.chars() {
            match (quote, c) {
                (None, '#') if word.is_empty() => break,
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                (None, ' ') => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
                _ => word.push(c),
            }
        }
        words.extend((!word.is_empty()).then_some(word));
        words
    }

    #[test]
    fn commands_of_the_documents_are_commands() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let mut tried = 0;
        for page in ["troubleshooting", "threat-model", "integrations", "nftables", "mud"] {
            let text = std::fs::read_to_string(folder.join(format!("{page}.md"))).unwrap();
            for block in text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()) {
                for line in block.lines() {
                    let words = words(line.strip_prefix("sudo ").unwrap_or(line));
                    if words.first().is_some_and(|word| word == "banchi") {
                        Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{page}: {line}\n{error}"));
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 30, "{tried}");
    }
}
