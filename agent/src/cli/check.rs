//! `banchi check`: is this policy right?

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::policy::render::{Style, summary};
use crate::policy::{self, Loaded};

/// Checks a policy file without touching anything.
///
/// Exit code 0: no error. 1: errors, or warnings with --deny-warnings. 2: the file cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file; `-` reads standard input.
    #[arg(default_value = "/etc/banchi/policy.yaml")]
    policy: PathBuf,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
    /// Fail on warnings too.
    #[arg(long)]
    deny_warnings: bool,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let name = args.policy.display().to_string();
    let text = match read(&args.policy) {
        Ok(text) => text,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "banchi: cannot read {name}: {error}");
            return ExitCode::from(2);
        }
    };
    let loaded = policy::load(&name, &text);
    let mut stdout = std::io::stdout();
    let style = if stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
        Style::Colour
    } else {
        Style::Plain
    };
    let report = if args.json { json(&loaded) } else { human(&loaded, &text, style) };
    // A reader that closed the pipe has seen enough; the exit code still tells.
    let _ = stdout.write_all(report.as_bytes());
    if loaded.errors() > 0 || (args.deny_warnings && loaded.warnings() > 0) {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    }
}

fn human(loaded: &Loaded, text: &str, style: Style) -> String {
    let mut report = loaded.render(text, style);
    if let Some(policy) = &loaded.policy {
        report.push_str(&format!(
            "{}: {}; {} zones, {} assets, {} services, {} conduits, {} rules\n",
            loaded.name,
            summary(&loaded.diagnostics),
            policy.zones.len(),
            policy.assets.len(),
            policy.services.len(),
            policy.conduits.len(),
            policy.rules.len()
        ));
    }
    report
}

fn json(loaded: &Loaded) -> String {
    let report = serde_json::json!({
        "file": loaded.name,
        "valid": loaded.policy.is_some(),
        "errors": loaded.errors(),
        "warnings": loaded.warnings(),
        "diagnostics": loaded.to_json(),
    });
    format!("{report:#}\n")
}
