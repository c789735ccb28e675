//! From flows to a draft policy that a person can read, correct and approve.
//!
//! Flows that a policy can state become rules, each in the fewest sensible lines and with its evidence as a comment.
//! What should not be allowed without a thought is flagged; what cannot or should not be allowed is left out, and listed.

mod assets;
mod rules;
mod services;
mod site;
mod sort;
mod text;

pub use assets::{AssetFile, AssetFileError, Known};
pub use sort::LeftOut;
pub(crate) use text::span;

use super::{Flow, Traffic};

/// What the draft is made from besides the flows.
#[derive(Debug, Default)]
pub struct Options {
    /// Names and zones of hosts.
    pub assets: AssetFile,
    /// What it was learnt from, for the head of the draft.
    pub sources: Vec<String>,
    /// Names of the interfaces of those.
    pub interfaces: Vec<String>,
    /// Bind hardware addresses.
    pub macs: bool,
    /// Zones of a policy that the draft is to be added to.
    pub zones: Vec<crate::policy::model::Zone>,
}

/// A draft.
#[derive(Debug)]
pub struct Draft {
    /// The policy, with comments.
    pub text: String,
    /// How many rules it has; without any it is no policy.
    pub rules: usize,
    /// Flows that it leaves out, and why.
    pub left_out: Vec<(Flow, LeftOut)>,
    /// Rules that want a look.
    pub flagged: usize,
}

/// Drafts a policy.
pub fn draft(traffic: &Traffic, flows: &[Flow], options: &Options) -> Draft {
    let sorted = sort::sort(flows);
    let site = site::Site::of(traffic, &sorted.kept, options);
    let (pairs, mut left_out) = rules::place(&site, sorted.kept);
    left_out.extend(sorted.left_out);
    let services = services::Services::of(&pairs);
    let rules = rules::rules(&pairs, &services);
    let flagged = rules.iter().filter(|rule| !rule.flags.is_empty()).count();
    let text = text::render(traffic, options, &site, &services, &rules, &left_out);
    Draft { text, rules: rules.len(), left_out, flagged }
}
