//! `banchi compile`: what does this policy become?

use std::path::PathBuf;
use std::process::ExitCode;

use super::table::{bytes, table};
use super::{fail, load, print};
use crate::image::{RulePath, compile, summarize};

/// Compiles a policy in memory and shows what each rule became. Touches nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file
    #[arg(default_value = "/etc/banchi/policy.yaml")]
    policy: PathBuf,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    /// CPUs that the counters are for; this machine's unless given
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let (policy, _) = match load(&args.policy, true) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let started = std::time::Instant::now();
    let image = match compile(&policy) {
        Ok(image) => image,
        Err(error) => return fail(1, format!("{}: {error}", args.policy.display())),
    };
    let elapsed = started.elapsed();
    let here = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let summary = summarize(&policy, &image, args.cpus.unwrap_or(here));
    if args.json {
        match serde_json::to_string_pretty(&summary) {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => return fail(1, error),
        }
        return ExitCode::SUCCESS;
    }
    let rows: Vec<Vec<String>> = summary
        .rules
        .iter()
        .map(|rule| {
            let path = match rule.path {
                RulePath::Exact => "exact",
                RulePath::Classes => "classes",
            };
            vec![rule.line.to_string(), rule.name.clone(), rule.tuples.to_string(), path.to_owned()]
        })
        .collect();
    print(&table(&["line", "rule", "tuples", "lookup"], &rows));
    print("\n");
    let rows: Vec<Vec<String>> =
        summary.entries.iter().map(|(what, count)| vec![what.clone(), count.to_string()]).collect();
    print(&table(&["entries of the index", "number"], &rows));
    print(&format!(
        "\n{} rules, {} tuples; {} of kernel memory with counters for {} CPUs; compiled in {:.1} ms\n",
        summary.rules.len(),
        summary.tuples,
        bytes(summary.kernel_bytes),
        summary.cpus,
        elapsed.as_secs_f64() * 1e3,
    ));
    ExitCode::SUCCESS
}
