//! The closest ruleset of nftables to a policy, for gateways without XDP, and what it cannot say.
//!
//! It hooks into the ingress of the interfaces, where XDP is: what it sees does not depend on whether the kernel
//! routes or bridges: see `docs/nftables.md`. Nothing here touches the kernel.

mod chains;
mod loss;
mod ruleset;
pub(crate) mod tuples;

pub use loss::{Effect, Loss, lines};

use crate::diff::ground::{Said, Span, joined, pieces, said};
use crate::image::expand::{Expanded, expand};
use crate::policy::model::{Addresses, AssetId, Policy, Rule};

/// A ruleset and what is lost in it.
#[derive(Debug)]
pub struct Export {
    /// What `nft -f` loads.
    pub ruleset: String,
    /// What the ruleset does otherwise than banchi.
    pub losses: Vec<Loss>,
}

/// Writes a policy as a ruleset. `name` is what its comments call the policy.
#[must_use]
pub fn export(policy: &Policy, name: &str) -> Export {
    let expanded = expand(policy);
    let ground = Ground::of(policy);
    let mut losses = loss::Losses::of(policy);
    let ruleset = ruleset::write(name, policy, &expanded, &ground, &mut losses);
    let losses = losses.finish();
    Export { ruleset: format!("{}{ruleset}", loss::head(name, &losses)), losses }
}

/// Addresses of a policy in pieces, and what it says of each.
struct Ground {
    pieces: Vec<(Span, Said)>,
}

impl Ground {
    fn of(policy: &Policy) -> Self {
        let spans = pieces([policy, policy]);
        let said = said(policy, &spans);
        Self { pieces: spans.into_iter().zip(said).collect() }
    }

    /// Pieces that something holds for, joined where they meet.
    fn spans(&self, v6: bool, holds: impl Fn(&Span, &Said) -> bool) -> Vec<Span> {
        let found = self.pieces.iter().filter(|(span, said)| span.v6 == v6 && holds(span, said));
        joined(found.map(|(span, _)| *span))
    }

    /// Whether assets have addresses of a version of IP.
    fn has_assets(&self, v6: bool) -> bool {
        self.pieces.iter().any(|(span, said)| span.v6 == v6 && !said.assets.is_empty())
    }

    /// Addresses of assets.
    fn of_assets(&self, v6: bool, assets: &[AssetId]) -> Vec<Span> {
        self.spans(v6, |_, said| said.assets.iter().any(|id| assets.contains(id)))
    }

    /// Addresses of assets that a host may have as its own.
    fn of_hosts(&self, v6: bool, assets: &[AssetId]) -> Vec<Span> {
        self.spans(v6, |span, said| {
            said.assets.iter().any(|id| assets.contains(id)) && !said.named_group && !is_of_many(span)
        })
    }

    /// Groups that the policy names.
    fn groups(&self, v6: bool) -> Vec<Span> {
        self.spans(v6, |_, said| said.named_group)
    }

    /// Whether assets have a group that the policy names.
    fn have_group(&self, assets: &[AssetId]) -> bool {
        self.pieces
            .iter()
            .any(|(_, said)| said.named_group && said.assets.iter().any(|id| assets.contains(id)))
    }

    /// Whether an asset names a group itself, and does not only take one in.
    fn names_group(&self, policy: &Policy, asset: AssetId) -> bool {
        let Some(asset) = policy.assets.get(asset) else { return false };
        let naming = asset.addresses.iter().filter(|addresses| match addresses {
            Addresses::Prefix(net) => {
                net.prefix_len() == net.max_prefix_len() || net.network().is_multicast()
            }
            Addresses::Host(_) | Addresses::Range(..) => true,
        });
        let spans: Vec<Span> = naming.map(Span::of).collect();
        let named = self.pieces.iter().filter(|(_, said)| said.named_group);
        named.into_iter().any(|(piece, _)| {
            spans
                .iter()
                .any(|span| span.v6 == piece.v6 && span.first <= piece.first && piece.last <= span.last)
        })
    }

    /// Hosts that have a hardware address.
    fn bound(&self, v6: bool) -> Vec<(Span, [u8; 6])> {
        let bound = self.pieces.iter().filter(|(span, _)| span.v6 == v6);
        bound.filter_map(|(span, said)| Some((*span, said.mac?))).collect()
    }
}

/// Multicast, or 255.255.255.255.
fn is_of_many(span: &Span) -> bool {
    if span.v6 { span.first >> 120 == 0xff } else { span.first >> 28 == 0xe || span.first == 0xffff_ffff }
}

/// Text as nftables takes it in quotes: at most 128 bytes, and no quote.
fn quoted(text: &str) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control() && *c != '"').collect();
    while text.len() > 120 {
        text.pop();
    }
    format!("\"{text}\"")
}

/// Rules as they are asked, with the number of the written one.
fn rules<'e>(expanded: &'e Expanded<'_>) -> impl Iterator<Item = (&'e Rule, usize)> {
    expanded.policy.rules.iter().zip(expanded.of.iter().copied())
}
