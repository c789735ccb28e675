//! A test that cannot fail proves nothing: wrong rows and entries must be noticed.

use anyhow::{Result, ensure};
use banchi::image::Image;
use banchi::policy::model::Policy;
use banchi_common::abi::{CUSTOM, RuleRow};
use banchi_tests::oracle::Oracle;
use fastrand::Rng;

use super::cases::Timed;
use super::packets::Packets;
use super::subjects::{Host, Subject as _, compiled};
use super::{SEED, policy_of};

/// What is made wrong in an image; `false` where it has nothing of the kind.
type Corruption = fn(&mut Image, &mut Rng) -> bool;

/// Each with the percentage that must be noticed. Most entries are for pairs that few packets ask for: one wrong entry
/// among thousands is hard to see.
const CORRUPTIONS: [(&str, Corruption, usize); 7] = [
    ("a zone of a rule", zone, 50),
    ("an entry of the index", entry, 5),
    ("the flags of a node", node, 50),
    ("the mode of a conduit", conduit, 50),
    ("a window, by a nanosecond", window, 20),
    ("what one side may send", classes, 20),
    ("how a payload is read", protocol, 40),
];

#[test]
fn a_corrupt_image_is_noticed() -> Result<()> {
    let mut counts = [[0; 2]; CORRUPTIONS.len()];
    for number in 0..60 {
        let (policy, mut rng) = policy_of(SEED, number);
        let Some(image) = compiled(&policy)? else { continue };
        if policy.rules.is_empty() {
            continue;
        }
        ensure!(!notices(&policy, image.clone(), 3_000)?, "policy {number} disagrees without any corruption");
        for ((_, corrupt, _), [tried, noticed]) in CORRUPTIONS.iter().zip(&mut counts) {
            let mut image = image.clone();
            if corrupt(&mut image, &mut rng) {
                *tried += 1;
                *noticed += usize::from(notices(&policy, image, 3_000)?);
            }
        }
    }
    for ((name, _, least), [tried, noticed]) in CORRUPTIONS.into_iter().zip(counts) {
        println!("{name}: {noticed} of {tried} noticed");
        ensure!(tried > 20 && noticed * 100 > tried * least, "{name}: {noticed} of {tried} noticed");
    }
    Ok(())
}

/// Whether some packets of a policy show that an image is not its own.
fn notices(policy: &Policy, image: Image, packets: usize) -> Result<bool> {
    let mut host = Host::of(image);
    let mut oracle = Oracle::new(policy);
    let mut source = Packets::new(policy, Rng::with_seed(7));
    let mut left = packets;
    while left > 0 {
        oracle.forget();
        for Timed { at, packet } in source.case().packets {
            if host.judge(&packet, at)? != oracle.judge(&packet, at) {
                return Ok(true);
            }
            left = left.saturating_sub(1);
        }
    }
    Ok(false)
}

fn zone(image: &mut Image, rng: &mut Rng) -> bool {
    let row = rng.usize(1..image.rules.len());
    image.rules[row].client_zone ^= 1;
    true
}

/// Another value for one key of the index.
fn entry(image: &mut Image, rng: &mut Rng) -> bool {
    let full: Vec<(usize, usize)> = (0..image.index.len())
        .flat_map(|at| (0..4).map(move |slot| (at, slot)))
        .filter(|(at, slot)| image.index[*at].tag_value[*slot] != 0)
        .collect();
    let (at, slot) = full[rng.usize(0..full.len())];
    image.index[at].tag_value[slot] ^= 1;
    true
}

fn node(image: &mut Image, rng: &mut Rng) -> bool {
    let row = rng.usize(1..image.nodes.len());
    image.nodes[row].flags ^= 1;
    true
}

fn conduit(image: &mut Image, rng: &mut Rng) -> bool {
    let row = rng.usize(1..image.conduits.len());
    image.conduits[row].mode ^= 1;
    true
}

fn window(image: &mut Image, rng: &mut Rng) -> bool {
    let more = rng.bool();
    rule_where(image, rng, |row| row.window_ms != 0).is_some_and(|row| {
        row.window_ms = if more { row.window_ms + 1 } else { row.window_ms - 1 };
        true
    })
}

fn classes(image: &mut Image, rng: &mut Rng) -> bool {
    let of_client = rng.bool();
    // Requests and responses; payloads of the tests show little else.
    let bit = if rng.bool() { 2 } else { 4 };
    rule_where(image, rng, |row| row.protocol != 0).is_some_and(|row| {
        *(if of_client { &mut row.client_may } else { &mut row.server_may }) ^= bit;
        true
    })
}

fn protocol(image: &mut Image, rng: &mut Rng) -> bool {
    rule_where(image, rng, |row| row.protocol != 0).is_some_and(|row| {
        row.protocol = if row.protocol == CUSTOM { 0 } else { CUSTOM };
        true
    })
}

/// Some row of a kind.
fn rule_where<'i>(image: &'i mut Image, rng: &mut Rng, is: fn(&RuleRow) -> bool) -> Option<&'i mut RuleRow> {
    let rows: Vec<usize> = (1..image.rules.len()).filter(|row| is(&image.rules[*row])).collect();
    let row = rng.choice(rows)?;
    image.rules.get_mut(row)
}
