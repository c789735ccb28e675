//! What holds whatever the rules say: the gateway is an island, or its agent is lost.

use super::decide::Decision;
use super::tables::Tables;
use crate::abi::{ConduitRow, Feature, OnAgentLoss};
use crate::reason::Reason;

/// How a conduit stands at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// The rules count.
    None,
    /// Nothing is dropped: the agent is lost, and the policy wants it so.
    Open,
    /// Nothing passes that the mode does not let pass: the agent is lost, and the policy wants it so.
    Closed,
    /// Nothing passes: somebody made the gateway an island.
    Island,
}

/// How the conduit of a number stands; 0 is what belongs to none.
#[inline(always)]
pub(super) fn hold_of<T: Tables>(tables: &T, conduit: u16) -> Hold {
    let island = tables.is_island();
    if !island && !tables.uses(Feature::AgentLoss) {
        return Hold::None;
    }
    match tables.hold_in(u32::from(conduit), u32::from(island)) {
        0 => Hold::None,
        1 => Hold::Open,
        2 => Hold::Closed,
        _ => Hold::Island,
    }
}

/// Number of a [`Hold`], in their order, for a conduit by number.
#[inline(always)]
pub fn hold_in<T: Tables>(tables: &T, conduit: u32, island: u32) -> u32 {
    let Some(row) = tables.conduit(conduit) else { return Hold::None as u32 };
    let ConduitRow { on_agent_loss, kept, agent_loss_ms, .. } = *row;
    if island != 0 && kept == 0 {
        return Hold::Island as u32;
    }
    if !tables.uses(Feature::AgentLoss)
        || on_agent_loss == OnAgentLoss::Keep as u8
        || !tables.is_agent_lost(agent_loss_ms)
    {
        return Hold::None as u32;
    }
    if on_agent_loss == OnAgentLoss::Closed as u8 { Hold::Closed as u32 } else { Hold::Open as u32 }
}

/// Takes back a decision that lets a packet pass where nothing may. The survival set always passes.
#[inline(always)]
pub(super) fn hold_back<T: Tables>(tables: &T, decision: &mut Decision) {
    if !decision.reason.passes() || decision.reason == Reason::Survival {
        return;
    }
    match hold_of(tables, decision.conduit) {
        Hold::None | Hold::Open => {}
        Hold::Closed => decision.reason = Reason::AgentLost,
        Hold::Island => decision.reason = Reason::Island,
    }
}
