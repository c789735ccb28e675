//! `banchi explain`: what would happen to this packet, and why?

use std::path::PathBuf;
use std::process::ExitCode;

use super::{fail, load, print};
use crate::explain::{Question, explain};
use crate::image::compile;

/// Says what the policy does with a packet, by the same code that runs in the kernel, and why. Touches nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The packet: `PROTOCOL SOURCE[:PORT] > DESTINATION:PORT [ack|answer]`, for example
    /// "udp 10.10.1.5:47808 > 10.20.0.11:47808"
    packet: String,
    /// Zone that the packet comes from; that of its source address unless given
    #[arg(long = "in", value_name = "ZONE")]
    zone: Option<String>,
    /// Source hardware address; the one that the policy binds to the source address unless given
    #[arg(long, value_name = "MAC", value_parser = mac)]
    mac: Option<[u8; 6]>,
    /// What the packet carries, in hexadecimal: services with a `direction` look at it
    #[arg(long, value_name = "HEX", value_parser = hex)]
    payload: Option<Payload>,
    /// The policy file
    #[arg(short, long, default_value = "/etc/banchi/policy.yaml", value_name = "FILE")]
    policy: PathBuf,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let bytes: Option<Vec<u8>> =
        text.split([':', '-']).map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| "not like 00:80:f4:0a:0b:0c".to_owned())
}

/// Most that fits into one packet.
const LONGEST: usize = 1400;

/// Bytes that were typed.
#[derive(Debug, Clone)]
struct Payload(Vec<u8>);

fn hex(text: &str) -> Result<Payload, String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let byte = |at: usize| digits.get(at..at + 2).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    match bytes {
        Some(bytes) if bytes.len() <= LONGEST => Ok(Payload(bytes)),
        Some(_) => Err(format!("more than {LONGEST} bytes do not fit into one packet")),
        None => Err("not like 810a0011, two digits a byte".to_owned()),
    }
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut question: Question = match args.packet.parse() {
        Ok(question) => question,
        Err(error) => return fail(2, error),
    };
    question.mac = args.mac;
    if let Some(Payload(bytes)) = &args.payload {
        question.payload.clone_from(bytes);
    }
    let (policy, _) = match load(&args.policy, true) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let image = match compile(&policy) {
        Ok(image) => image,
        Err(error) => return fail(1, format!("{}: {error}", args.policy.display())),
    };
    match explain(&policy, &image, &question, args.zone.as_deref()) {
        Err(error) => return fail(2, error),
        Ok(explanation) if args.json => match serde_json::to_string_pretty(&explanation) {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => return fail(1, error),
        },
        Ok(explanation) => print(&explanation.lines()),
    }
    ExitCode::SUCCESS
}
