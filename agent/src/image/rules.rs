//! Rows of the rules: what each side may send, and what an answer needs.

use std::collections::BTreeSet;

use banchi_common::abi::{
    CUSTOM, Feature, MODE_INHERIT, OnAgentLoss, RULE_ANSWERS_ONLY, RULE_ANY_CLIENT, RULE_CLIENT_MAC,
    RULE_GRANT, RULE_GROUP_CLIENT, RULE_GROUP_SERVER, RULE_ONE_WAY, RULE_REPLY_FROM, RULE_SERVER_MAC,
    RULE_STRICT, RuleRow, Setting,
};

use super::Image;
use super::exact::Plan;
use super::expand::Expanded;
use super::nodes::Nodes;
use crate::policy::model::{Direction, Policy, Reply, Rule, Service, ServiceId};

/// Buckets of the conversation table, where a policy needs it: 16,384, which is 2 MiB and 131,072 conversations.
const BUCKETS: u32 = 1 << 14;

/// One row a rule; row 0 is none.
pub(super) fn rows(expanded: &Expanded<'_>, nodes: &Nodes) -> Vec<RuleRow> {
    let policy: &Policy = &expanded.policy;
    let groups = services_of_groups(policy, nodes);
    let none = RuleRow { mode: MODE_INHERIT, ..RuleRow::default() };
    let rows = policy.rules.iter().zip(&expanded.of).map(|(rule, of)| {
        let Some(service) = policy.services.get(rule.service) else { return none };
        let answers_only = expanded.is_answers(rule.service);
        let mut row = RuleRow {
            conduit: rule.conduit as u16 + 1,
            client_zone: rule.client_zone as u16 + 1,
            server_zone: rule.server_zone as u16 + 1,
            flags: flags(policy, rule, service, nodes, groups.contains(&rule.service))
                | if answers_only { RULE_ANSWERS_ONLY } else { 0 },
            mode: rule.mode.map_or(MODE_INHERIT, |mode| mode as u8),
            transport: service.transport as u8,
            client_may: service.client_may.0,
            server_may: service.server_may.0,
            window_ms: match service.reply {
                Reply::Window(window) | Reply::Strict(window) => {
                    u32::try_from(window.as_millis()).unwrap_or(u32::MAX)
                }
                Reply::Free | Reply::None => 0,
            },
            of: *of as u32 + 1,
            expires_s: rule.expires_s.unwrap_or(0),
            ..none
        };
        match service.direction {
            None => {}
            Some(Direction::Named(protocol)) => row.protocol = protocol as u8,
            Some(Direction::Custom { at, mask, request, response }) => {
                row.protocol = CUSTOM;
                (row.at, row.mask, row.request, row.response) = (at, mask, request & mask, response & mask);
            }
        }
        row
    });
    std::iter::once(none).chain(rows).collect()
}

fn flags(policy: &Policy, rule: &Rule, service: &Service, nodes: &Nodes, group_server: bool) -> u16 {
    // The address is bound, whichever asset the rule names it by.
    let has_mac = |assets: &[usize]| nodes.any_mac() && nodes.have_mac(&nodes.of_assets(assets));
    let group_client = nodes.any_group() && nodes.have_group(&nodes.of_assets(&rule.clients));
    let mut clients = rule.clients.iter().filter_map(|asset| policy.assets.get(*asset));
    let any_client = nodes.any_group() && clients.any(|asset| nodes.names_group(asset));
    [
        (has_mac(&rule.clients), RULE_CLIENT_MAC),
        (has_mac(&rule.servers), RULE_SERVER_MAC),
        (group_client, RULE_GROUP_CLIENT),
        (any_client, RULE_ANY_CLIENT),
        (group_server, RULE_GROUP_SERVER),
        (!service.reply_from.is_empty(), RULE_REPLY_FROM),
        (matches!(service.reply, Reply::Strict(_)), RULE_STRICT),
        (service.reply == Reply::None, RULE_ONE_WAY),
        (rule.expires_s.is_some(), RULE_GRANT),
    ]
    .into_iter()
    .filter_map(|(holds, flag)| holds.then_some(flag))
    .fold(0, |flags, flag| flags | flag)
}

/// Services that some rule asks a group for: the answers come by any rule of the same service.
fn services_of_groups(policy: &Policy, nodes: &Nodes) -> BTreeSet<ServiceId> {
    if !nodes.any_group() {
        return BTreeSet::new();
    }
    let asks_group = |rule: &&Rule| nodes.have_group(&nodes.of_assets(&rule.servers));
    policy.rules.iter().filter(asks_group).map(|rule| rule.service).collect()
}

/// What the rows use of the program.
pub(super) fn settings(image: &mut Image, plan: &Plan) {
    let rows = image.rules.iter().skip(1);
    let protocols = rows.clone().fold(0, |bits, row| match row.protocol {
        0 => bits,
        CUSTOM => bits | 1,
        number => bits | 1 << number,
    });
    let windows = rows.clone().any(|row| row.window_ms != 0);
    let shared = RULE_ANY_CLIENT | RULE_GROUP_SERVER | RULE_REPLY_FROM;
    let noted = rows
        .enumerate()
        .any(|(rule, row)| row.window_ms != 0 && (row.flags & shared != 0 || !plan.is_exact(rule)));
    let grants = image.rules.iter().any(|row| row.flags & RULE_GRANT != 0);
    let losses = image.conduits.iter().any(|row| row.on_agent_loss != OnAgentLoss::Keep as u8);
    image.set(Setting::Protocols, protocols);
    image.enable(Feature::Grants, grants);
    image.enable(Feature::AgentLoss, losses);
    image.enable(Feature::Windows, windows);
    image.enable(Feature::Conversations, noted);
    image.set(Setting::ConversationBuckets, if noted { BUCKETS } else { 1 });
}
