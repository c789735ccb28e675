//! A flow that some rule matches: may this side send this packet now?

use core::cell::Cell;

use super::conversation::{ANYBODY, Ends, is_within};
use super::decide::{Decision, mac_fits};
use super::lookup::Matched;
use super::tables::Tables;
use crate::abi::{
    CUSTOM, Feature, NODE_GROUP, RULE_ANSWERS_ONLY, RULE_ANY_CLIENT, RULE_CLIENT_MAC, RULE_GRANT,
    RULE_GROUP_CLIENT, RULE_GROUP_SERVER, RULE_ONE_WAY, RULE_REPLY_FROM, RULE_SERVER_MAC, RULE_STRICT,
    RuleRow, Setting,
};
use crate::direction::{Class, Classes, Look};
use crate::reason::{Orientation, Reason};
use crate::wire::{Address, FIRST_FRAGMENT, Headers, Packet};

const NANOS: u64 = 1_000_000_000;

/// The decision on a flow that some rule matches; `None` where none does.
///
/// A packet that matches one rule as a question and another as an answer is a question, unless it shows itself as
/// something that only the answering side sends.
#[inline(always)]
pub(super) fn admit<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    zone: u32,
    matched: &Matched,
) -> Option<Decision> {
    let (mut class, mut protocol) = (Class::Undecidable, 0);
    // What a rule of the policy allows as an answer needs no grant.
    if tables.uses(Feature::Grants)
        && matched.back != 0
        && let Some(asks) = tables.rule(matched.forward)
        && asks.flags & RULE_GRANT != 0
        && let Some(row) = tables.rule(matched.back)
        && row.flags & RULE_GRANT == 0
    {
        class = class_of(packet, tables, headers, row);
        let reason = answer(packet, tables, headers, zone, matched, row, class);
        if reason.passes() || is_over(tables, asks) {
            return Some(Decision::by_rule(reason, Orientation::Return, zone, row, class));
        }
    }
    if matched.forward != 0
        && let Some(row) = tables.rule(matched.forward)
        && row.flags & RULE_ANSWERS_ONLY == 0
    {
        class = class_of(packet, tables, headers, row);
        protocol = row.protocol;
        if matched.back == 0 || may(row.client_may, class) {
            let reason = question(packet, tables, headers, zone, matched, row, class);
            return Some(Decision::by_rule(reason, Orientation::Forward, zone, row, class));
        }
    }
    if matched.back == 0 {
        return None;
    }
    let row = tables.rule(matched.back)?;
    // Two services that name the byte themselves may name different ones.
    if protocol != row.protocol || protocol == CUSTOM {
        class = class_of(packet, tables, headers, row);
    }
    let reason = answer(packet, tables, headers, zone, matched, row, class);
    Some(Decision::by_rule(reason, Orientation::Return, zone, row, class))
}

/// What is undecidable may always be sent; what it may answer, the window says.
#[inline(always)]
const fn may(classes: u8, class: Class) -> bool {
    matches!(class, Class::Undecidable) || Classes(classes).holds(class)
}

/// Whether a first fragment is too short to show what its message is, or does not even have its TCP header whole.
/// Stacks fill their fragments: one that does not hides something.
#[inline(always)]
const fn hides(headers: &Headers, row: &RuleRow, class: Class) -> bool {
    const ENOUGH: u32 = 256;
    // A byte that the policy itself names may stand further on.
    let enough = if row.at as u32 >= ENOUGH { row.at as u32 + 1 } else { ENOUGH };
    headers.fragment == FIRST_FRAGMENT
        && row.protocol != 0
        && matches!(class, Class::Undecidable)
        && headers.end < headers.payload.saturating_add(enough)
}

#[inline(always)]
fn question<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    zone: u32,
    matched: &Matched,
    row: &RuleRow,
    class: Class,
) -> Reason {
    if zone != u32::from(row.client_zone) {
        return Reason::WrongZone;
    }
    if row.flags & RULE_CLIENT_MAC != 0 && !mac_fits(packet, tables, headers) {
        return Reason::MacMismatch;
    }
    if is_of_many(headers.family, &headers.source)
        || row.flags & RULE_GROUP_CLIENT != 0 && is_group(tables, headers.family, &headers.source)
        || hides(headers, row, class)
    {
        return Reason::Malformed;
    }
    if !may(row.client_may, class) {
        return Reason::ReversedDirection;
    }
    let allowed = allowed(tables, row);
    if row.window_ms != 0 && allowed.passes() && matches!(class, Class::Undecidable | Class::Request) {
        note(tables, headers, matched, row);
    }
    allowed
}

/// What fits a rule is allowed, and what fits a grant is as long as the grant holds.
#[inline(always)]
fn allowed<T: Tables>(tables: &T, row: &RuleRow) -> Reason {
    if !tables.uses(Feature::Grants) || row.flags & RULE_GRANT == 0 {
        Reason::Allowed
    } else if is_over(tables, row) {
        Reason::GrantExpired
    } else {
        Reason::Granted
    }
}

/// Whether a row is of a grant whose time is over.
#[inline(always)]
pub(super) fn is_over<T: Tables>(tables: &T, row: &RuleRow) -> bool {
    tables.uses(Feature::Grants)
        && row.flags & RULE_GRANT != 0
        && tables.now() / NANOS >= u64::from(row.expires_s)
}

#[inline(always)]
fn answer<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    zone: u32,
    matched: &Matched,
    row: &RuleRow,
    class: Class,
) -> Reason {
    if zone != u32::from(row.server_zone) {
        return Reason::WrongZone;
    }
    if row.flags & RULE_SERVER_MAC != 0 && !mac_fits(packet, tables, headers) {
        return Reason::MacMismatch;
    }
    if hides(headers, row, class) {
        return Reason::Malformed;
    }
    if headers.opens_as_server() || row.flags & RULE_ONE_WAY != 0 || !may(row.server_may, class) {
        return Reason::ReversedDirection;
    }
    let told = match class {
        Class::Undecidable => false,
        Class::Response => row.flags & RULE_STRICT == 0,
        Class::Request | Class::Notification => true,
    };
    let allowed = allowed(tables, row);
    if !allowed.passes() || row.window_ms == 0 || told || is_asked(tables, headers, matched, row) {
        allowed
    } else {
        Reason::UnsolicitedReply
    }
}

/// What the payload shows itself as, by the method of the rule's service.
#[inline(always)]
fn class_of<P: Packet, T: Tables>(packet: &P, tables: &T, headers: &Headers, row: &RuleRow) -> Class {
    let protocols = tables.setting(Setting::Protocols as usize);
    if protocols == 0 || row.protocol == 0 {
        return Class::Undecidable;
    }
    let number = packet.class_at(Look::of(packet, headers, row), protocols);
    Class::from_number(number as u8).unwrap_or(Class::Undecidable)
}

/// The tick counter of an exact tuple's client, unless its answers need more than the tuple.
#[inline(always)]
fn slot<'t, T: Tables>(
    tables: &'t T,
    matched: &Matched,
    row: &RuleRow,
    low_asks: bool,
) -> Option<&'t Cell<u64>> {
    if matched.place == 0 || row.flags & (RULE_REPLY_FROM | RULE_ANY_CLIENT) != 0 {
        return None;
    }
    let [low, high] = tables.asked(matched.place - 1)?;
    Some(if low_asks { low } else { high })
}

/// Notes a question, where it is not noted for this tick already.
#[inline(always)]
fn note<T: Tables>(tables: &T, headers: &Headers, matched: &Matched, row: &RuleRow) {
    if !tables.uses(Feature::Windows) {
        return;
    }
    let now = tables.now();
    if let Some(slot) = slot(tables, matched, row, matched.low_source) {
        if slot.get() != now {
            slot.set(now);
        }
        if row.flags & RULE_GROUP_SERVER == 0 {
            return;
        }
    }
    if !tables.uses(Feature::Conversations) {
        return;
    }
    let mut ends = Ends {
        client: headers.source,
        server: headers.destination,
        client_port: headers.source_port,
        server_port: headers.destination_port,
    };
    if row.flags & RULE_GROUP_SERVER != 0 && is_group(tables, headers.family, &headers.destination) {
        ends.server = ANYBODY;
    } else if matched.place != 0 && row.flags & (RULE_REPLY_FROM | RULE_ANY_CLIENT) == 0 {
        return;
    }
    let place = ends.as_noted(row.flags).place(tables);
    tables.note_conversation(place.tag, place.bucket, now);
}

/// Whether somebody asked for an answer, and lately enough.
#[inline(always)]
fn is_asked<T: Tables>(tables: &T, headers: &Headers, matched: &Matched, row: &RuleRow) -> bool {
    if tables.takes_questions_for_asked() || !tables.uses(Feature::Windows) {
        return true;
    }
    let now = tables.now();
    let own = slot(tables, matched, row, !matched.low_source);
    if let Some(slot) = own
        && is_within(slot.get(), now, row.window_ns())
    {
        return true;
    }
    if !tables.uses(Feature::Conversations) {
        return false;
    }
    let mut ends = Ends {
        client: headers.destination,
        server: headers.source,
        client_port: headers.destination_port,
        server_port: headers.source_port,
    }
    .as_noted(row.flags);
    if own.is_none() {
        let place = ends.place(tables);
        if is_within(tables.find_conversation(place.tag, place.bucket), now, row.window_ns()) {
            return true;
        }
    }
    if row.flags & RULE_GROUP_SERVER == 0 {
        return false;
    }
    ends.server = ANYBODY;
    let place = ends.place(tables);
    is_within(tables.find_conversation(place.tag, place.bucket), now, row.window_ns())
}

impl Ends {
    /// Without what may differ between question and answer.
    #[inline(always)]
    fn as_noted(mut self, flags: u16) -> Self {
        if flags & RULE_ANY_CLIENT != 0 {
            self.client = ANYBODY;
        }
        if flags & RULE_REPLY_FROM != 0 {
            self.server_port = 0;
        }
        self
    }
}

/// Multicast, or 255.255.255.255: also within a prefix that lets every host ask. Which other addresses are of many
/// hangs on the networks of the plant, and [`is_group`] knows those that the policy names.
#[inline(always)]
const fn is_of_many(family: u8, address: &Address) -> bool {
    if family == 4 { address.lo >> 28 == 0xe || address.lo == 0xffff_ffff } else { address.hi >> 56 == 0xff }
}

#[inline(always)]
fn is_group<T: Tables>(tables: &T, family: u8, address: &Address) -> bool {
    let node = tables.node_of(family, address.hi, address.lo);
    node != 0 && tables.node(node).is_some_and(|row| row.flags & NODE_GROUP != 0)
}
