//! `doctor`: what this machine has, what it lacks, why that matters and what gets it. Changes nothing.

pub(crate) mod checks;

use std::{
    io::{self, Write as _, stdout},
    process::ExitCode,
};

use anyhow::Result;
use serde_json::json;

use checks::Check;

/// Show what is there and what is missing, and how to get it; changes nothing
#[derive(clap::Args)]
pub(crate) struct Options {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let checks = checks::all()?;
    match options.json {
        true => writeln!(stdout(), "{:#}", json(&checks))?,
        false => print(&checks)?,
    }
    Ok(if checks.iter().all(Check::is_good_enough) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json(checks: &[Check]) -> serde_json::Value {
    let check = |check: &Check| {
        let Check { name, why, needed, found, fix } = check;
        json!({
            "name": name, "why": why, "needed": needed, "ok": found.is_ok(),
            "found": found.as_ref().unwrap_or_else(|missing| missing),
            "fix": (found.is_err()).then_some(fix),
        })
    };
    let ok = checks.iter().all(Check::is_good_enough);
    json!({ "ok": ok, "checks": checks.iter().map(check).collect::<Vec<_>>() })
}

fn print(checks: &[Check]) -> io::Result<()> {
    let mut out = stdout().lock();
    for Check { name, why, needed, found, fix } in checks {
        match found {
            Ok(found) => writeln!(out, "ok        {name:<18} {found}")?,
            Err(missing) => {
                let state = if *needed { "MISSING" } else { "optional" };
                writeln!(out, "{state:<9} {name:<18} {missing}")?;
                writeln!(out, "{:<28} why: {why}", "")?;
                writeln!(out, "{:<28} fix: {fix}", "")?;
            }
        }
    }
    Ok(())
}
