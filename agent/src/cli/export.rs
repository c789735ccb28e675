//! `banchi export`: a policy in the words of others.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::{fail, load, print};
use crate::events::time_of_day;
use crate::{mud, nftables};

/// Writes a policy, or a part of it, in the words of others, and says what is lost.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    into: Into,
}

#[derive(Debug, Subcommand)]
enum Into {
    /// The closest ruleset of nftables, for a gateway without XDP
    Nftables(Nftables),
    /// What an asset may send and hear, as a MUD file (RFC 8520)
    Mud(Mud),
}

/// Where the policy comes from, and what is written goes to.
#[derive(Debug, clap::Args)]
struct Ways {
    /// The policy file
    #[arg(short, long, default_value = "/etc/banchi/policy.yaml", value_name = "FILE")]
    policy: PathBuf,
    /// Where it goes; without, or as `-`, to standard output, and what is lost to standard error
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say what is lost as one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Nftables {
    #[command(flatten)]
    ways: Ways,
}

#[derive(Debug, clap::Args)]
struct Mud {
    #[command(flatten)]
    ways: Ways,
    /// The asset
    #[arg(long, value_name = "NAME")]
    asset: String,
    /// URL that the file will have
    #[arg(long, value_name = "URL", default_value = "https://mud.invalid/device")]
    url: String,
    /// Name an asset by the class of a controller, and not by its addresses
    #[arg(long, value_name = "ASSET=URI", value_parser = asset_and_uri)]
    controller: Vec<(String, String)>,
}

fn asset_and_uri(text: &str) -> Result<(String, String), String> {
    let (asset, uri) = text.split_once('=').ok_or("not like ASSET=URI")?;
    Ok((asset.to_owned(), uri.to_owned()))
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match &args.into {
        Into::Nftables(args) => to_nftables(args),
        Into::Mud(args) => to_mud(args),
    }
}

fn to_nftables(args: &Nftables) -> ExitCode {
    let (policy, _) = match load(&args.ways.policy, true) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let name = args.ways.policy.file_name().unwrap_or_default().to_string_lossy();
    let export = nftables::export(&policy, &name);
    let lost = if args.ways.json {
        format!("{:#}\n", serde_json::json!({ "losses": export.losses }))
    } else {
        nftables::lines(&export.losses)
    };
    write(args.ways.output.as_deref(), &export.ruleset, &lost)
}

fn to_mud(args: &Mud) -> ExitCode {
    let (policy, _) = match load(&args.ways.policy, true) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let description = mud::Description {
        url: args.url.clone(),
        last_update: time_of_day(),
        controllers: args.controller.iter().cloned().collect(),
    };
    let Some((file, lost)) = mud::export(&policy, &args.asset, &description) else {
        let names: Vec<&str> = policy.assets.iter().map(|asset| asset.name.as_str()).collect();
        return fail(2, format!("no asset `{}`; there are: {}", args.asset, names.join(", ")));
    };
    let said = if args.ways.json {
        format!("{:#}\n", serde_json::json!({ "lost": lost }))
    } else {
        mud::lines(&lost)
    };
    write(args.ways.output.as_deref(), &format!("{file:#}\n"), &said)
}

/// Writes one thing to a file, or to standard output, and what is said of it to where the other is not.
pub(super) fn write(output: Option<&Path>, text: &str, said: &str) -> ExitCode {
    match output.filter(|path| path.as_os_str() != "-") {
        None => {
            print(text);
            let _ = std::io::stderr().write_all(said.as_bytes());
        }
        Some(path) => {
            if let Err(error) = std::fs::write(path, text) {
                return fail(2, format!("cannot write {}: {error}", path.display()));
            }
            print(said);
        }
    }
    ExitCode::SUCCESS
}
