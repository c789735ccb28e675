//! `banchi import`: what others say of a plant, as a draft or a part of one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::export::write;
use super::fail;
use super::learn::names;
use crate::learn::draft::AssetFile;
use crate::mud;
use crate::policy::{self, render::Style};

/// Reads what others say of a plant, and drafts a policy, or a part of one, to approve. Nothing is applied.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Descriptions of devices by their manufacturers (MUD files, RFC 8520), as a draft policy
    Mud(Mud),
    /// Names, zones and hardware addresses of hosts (CSV, NetBox), as the section `assets` of a policy
    Assets(Assets),
}

#[derive(Debug, clap::Args)]
struct Mud {
    /// MUD files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Which hosts a name of a file stands for: its URL or `device` for the device, a DNS name, a controller's URI,
    /// `my-controller`, `local-networks`, `same-manufacturer`, `manufacturer:NAME`, `model:URI`, or `any`. Hosts are
    /// addresses, ranges, networks or names of `--assets`, with commas between
    #[arg(long, value_name = "NAME=HOSTS", value_parser = pair)]
    map: Vec<(String, String)>,
    /// Names and zones of hosts: CSV, or an export of NetBox as JSON or CSV
    #[arg(long, value_name = "FILE")]
    assets: Option<PathBuf>,
    /// Where the draft goes; without, or as `-`, to standard output, and what is lost to standard error
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say what is lost as one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Assets {
    /// CSV, or an export of NetBox as JSON or CSV
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the section goes; without, or as `-`, to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say how much was read as one JSON document
    #[arg(long)]
    json: bool,
}

/// Two words with `=` between; a URL may have one itself.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, hosts) = text.rsplit_once('=').ok_or("not like NAME=HOSTS")?;
    if name.is_empty() || hosts.is_empty() {
        return Err("not like NAME=HOSTS".to_owned());
    }
    Ok((name.to_owned(), hosts.to_owned()))
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let done = match &args.from {
        From::Mud(args) => from_mud(args),
        From::Assets(args) => from_assets(args),
    };
    match done {
        Ok(code) | Err(code) => code,
    }
}

fn read(path: &Path) -> Result<String, ExitCode> {
    std::fs::read_to_string(path).map_err(|error| fail(2, format!("cannot read {}: {error}", path.display())))
}

fn from_mud(args: &Mud) -> Result<ExitCode, ExitCode> {
    let known = names(args.assets.as_deref())?;
    let mapping = mud::Mapping { hosts: args.map.iter().cloned().collect(), known };
    let mut files = Vec::new();
    for path in &args.files {
        let file = mud::read(&read(path)?);
        files.push(file.map_err(|error| fail(1, format!("{}: {error}", path.display())))?);
    }
    let draft = mud::import(&files, &mapping).map_err(|error| fail(1, error))?;
    let lost = if args.json {
        format!("{:#}\n", json!({ "rules": draft.rules, "lost": draft.lost }))
    } else {
        format!("{}{} rules\n", mud::lines(&draft.lost), draft.rules)
    };
    if draft.rules == 0 {
        return Err(fail(1, format!("no rule can be made of it; nothing was written\n{lost}")));
    }
    let loaded = policy::load("draft", &draft.text);
    if loaded.policy.is_none() {
        let text = loaded.render(&draft.text, Style::Plain);
        return Err(fail(1, format!("the draft has errors; nothing was written\n{text}\n{}", draft.text)));
    }
    Ok(write(args.output.as_deref(), &draft.text, &lost))
}

fn from_assets(args: &Assets) -> Result<ExitCode, ExitCode> {
    let AssetFile(hosts) = names(Some(&args.file))?;
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut text = format!("# Hosts of {}.\nassets:\n", args.file.display());
    for (address, known) in &hosts {
        let zone = known.zone.as_deref().unwrap_or("unknown");
        *zones.entry(zone).or_default() += 1;
        let name = known
            .name
            .clone()
            .unwrap_or_else(|| format!("host-{}", address.to_string().replace([':', '.'], "-")));
        let again = taken.entry(name.clone()).or_default();
        *again += 1;
        let name = if *again == 1 { name } else { format!("{name}-{again}") };
        let mac = known.mac.map_or_else(String::new, |mac| {
            format!(", mac: \"{}\"", mac.map(|byte| format!("{byte:02x}")).join(":"))
        });
        let _ = writeln!(text, "  {name}: {{ zone: {zone}, address: \"{address}\"{mac} }}");
    }
    let said = if args.json {
        format!("{:#}\n", json!({ "assets": hosts.len(), "zones": zones }))
    } else {
        let zones: Vec<String> = zones.iter().map(|(zone, count)| format!("{count} in {zone}")).collect();
        format!("{} assets: {}\n", hosts.len(), zones.join(", "))
    };
    Ok(write(args.output.as_deref(), &text, &said))
}
