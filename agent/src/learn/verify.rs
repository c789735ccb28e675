//! A draft against the traffic that it was learnt from: packet by packet, through the decision of the data plane.
//!
//! Outside of the kernel every question counts as asked, so windows for answers are not tried here: `banchi backtest`
//! does that.

use std::collections::BTreeMap;

use banchi_common::engine::{Decision, judge};
use banchi_common::reason::Reason;
use banchi_common::wire::{Bytes, Headers};

use crate::backtest::{Ingress, Way};
use crate::capture::{Captures, Frame};
use crate::image::Image;
use crate::policy::model::Policy;

/// What became of the packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Packets that pass.
    pub passed: u64,
    /// Packets between hosts of one zone.
    pub within: u64,
    /// Packets of which nothing says where they come from.
    pub unplaced: u64,
    /// Fragments behind the first: only the kernel remembers that.
    pub fragments: u64,
    /// Packets that would not pass, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// Runs captures through the decision. `progress` is called now and then.
pub fn verify(
    captures: &mut Captures,
    policy: &Policy,
    image: &Image,
    progress: impl FnMut(&Captures),
) -> Verified {
    let mut found = Verified::default();
    walk(captures, policy, image, progress, |_, fate| match fate {
        Err(Way::Within) => found.within += 1,
        Err(_) => found.unplaced += 1,
        Ok(decision) if decision.reason.passes() => found.passed += 1,
        Ok(Decision { reason: Reason::OrphanFragment, .. }) => found.fragments += 1,
        Ok(decision) => *found.reasons.entry(decision.reason.about().name).or_default() += 1,
    });
    found
}

/// Shows each packet with what is decided of it, or with where it stays.
pub(crate) fn walk(
    captures: &mut Captures,
    policy: &Policy,
    image: &Image,
    mut progress: impl FnMut(&Captures),
    mut each: impl FnMut(&Frame, Result<Decision, Way>),
) {
    let mut ingress = Ingress::new(policy, image);
    let (mut frame, mut count) = (Frame::default(), 0_u64);
    while captures.next(&mut frame) {
        count += 1;
        if count.is_multiple_of(1 << 14) {
            progress(captures);
        }
        let fate = decide(&mut ingress, image, &frame, captures.interfaces());
        each(&frame, fate);
    }
}

/// What is decided of one packet, or where it stays.
pub(crate) fn decide(
    ingress: &mut Ingress<'_>,
    image: &Image,
    frame: &Frame,
    interfaces: &[String],
) -> Result<Decision, Way> {
    match ingress.place(frame, interfaces) {
        Way::In(place) => {
            let mut headers = Headers::default();
            let decision = judge(&Bytes(&ingress.frame), image, place as u32 + 1, &mut headers);
            Ok(decision)
        }
        stays => Err(stays),
    }
}
