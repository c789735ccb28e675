//! Where boxes and lines go: columns in an order with few long lines, boxes where lines cross little, and a slot for each
//! end of a line, so that none covers another's label.

use std::collections::BTreeMap;

use super::nodes::{Edge, Graph};
use crate::policy::model::ZoneId;

/// Sizes, in units of the drawing.
pub(super) const BOX: f64 = 172.0;
const LEAST: f64 = 42.0;
const PITCH: f64 = 19.0;
const BETWEEN: f64 = 12.0;
/// Of a character of a label, and beside it.
const CHARACTER: f64 = 6.7;
const BESIDE: f64 = 20.0;
const NUMBER: f64 = 50.0;
const CURVE: f64 = 84.0;
const MARGIN: f64 = 16.0;
const HEAD: f64 = 58.0;
/// Most columns of which every order is tried.
const TRIED: usize = 7;
/// Rounds in which boxes move towards what they are connected with.
const ROUNDS: usize = 12;

/// A box.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) height: f64,
}

/// A line: its bends from left to right, and whether it goes that way.
#[derive(Clone, Default)]
pub(super) struct Course {
    /// Pairs of points between two columns, with how far each end is straight.
    pub(super) legs: Vec<Leg>,
    pub(super) rightwards: bool,
}

/// A part of a line between two columns.
#[derive(Clone, Copy, Default)]
pub(super) struct Leg {
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
    pub(super) straight: [f64; 2],
}

/// The whole drawing.
pub(super) struct Layout {
    pub(super) columns: Vec<(ZoneId, f64)>,
    pub(super) nodes: Vec<Place>,
    pub(super) courses: Vec<Course>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What stands in a column: a box, or the way of a line that goes by.
struct Item {
    column: usize,
    node: Option<usize>,
    /// Order in its column.
    order: f64,
    at: Place,
    /// Lines to the left and to the right: the item there, and the line.
    sides: [Vec<(usize, usize)>; 2],
}

/// Lays a graph out.
pub(super) fn layout(graph: &Graph) -> Layout {
    let order = columns(graph);
    let column = |node: usize| {
        graph.nodes.get(node).and_then(|node| order.iter().position(|zone| *zone == node.zone)).unwrap_or(0)
    };
    let mut items: Vec<Item> = Vec::new();
    for node in 0..graph.nodes.len() {
        items.push(item(column(node), Some(node), node as f64));
    }
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for (place, edge) in graph.edges.iter().enumerate() {
        let (mut left, mut right) = (edge.client, edge.server);
        if column(left) > column(right) {
            (left, right) = (right, left);
        }
        let mut chain = vec![left];
        for between in column(left) + 1..column(right) {
            items.push(item(between, None, items.len() as f64));
            chain.push(items.len() - 1);
        }
        chain.push(right);
        for pair in chain.windows(2) {
            let [a, b] = pair else { continue };
            if let Some(item) = items.get_mut(*a) {
                item.sides[1].push((*b, place));
            }
            if let Some(item) = items.get_mut(*b) {
                item.sides[0].push((*a, place));
            }
        }
        chains.push(chain);
    }
    let mut stacks: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    for (place, item) in items.iter().enumerate() {
        if let Some(stack) = stacks.get_mut(item.column) {
            stack.push(place);
        }
    }
    settle(&mut items, &mut stacks);
    let (xs, gaps, width) = across(graph, &column, order.len());
    let height = down(&mut items, &stacks, &xs);
    let slots = slots(&mut items);
    let courses = chains
        .iter()
        .zip(&graph.edges)
        .enumerate()
        .map(|(place, (chain, edge))| course(place, chain, edge, &items, &slots, &gaps, &column))
        .collect();
    Layout {
        columns: order.into_iter().zip(xs).collect(),
        nodes: items.iter().filter(|item| item.node.is_some()).map(|item| item.at).collect(),
        courses,
        width,
        height,
    }
}

fn item(column: usize, node: Option<usize>, order: f64) -> Item {
    Item { column, node, order, at: Place::default(), sides: [Vec::new(), Vec::new()] }
}

/// Zones from left to right, so that few lines go by a column, and most go to the right.
fn columns(graph: &Graph) -> Vec<ZoneId> {
    let mut zones: Vec<ZoneId> = Vec::new();
    let mut pairs: BTreeMap<(ZoneId, ZoneId), usize> = BTreeMap::new();
    for edge in &graph.edges {
        let zone = |node: usize| graph.nodes.get(node).map_or(0, |node| node.zone);
        *pairs.entry((zone(edge.client), zone(edge.server))).or_default() += 1;
    }
    for zone in graph.nodes.iter().map(|node| node.zone) {
        if !zones.contains(&zone) {
            zones.push(zone);
        }
    }
    zones.sort_unstable();
    if zones.len() > TRIED {
        return zones;
    }
    let cost = |order: &[ZoneId]| {
        let at = |zone: ZoneId| order.iter().position(|known| *known == zone).unwrap_or(0);
        let mut cost = (0, 0);
        for ((client, server), lines) in &pairs {
            let (from, to) = (at(*client), at(*server));
            cost.0 += lines * (from.abs_diff(to) - 1);
            cost.1 += if from > to { *lines } else { 0 };
        }
        cost
    };
    let mut best = (cost(&zones), zones.clone());
    permute(&mut zones, 0, &mut |order| {
        let found = cost(order);
        if found < best.0 {
            best = (found, order.to_vec());
        }
    });
    best.1
}

fn permute(order: &mut Vec<ZoneId>, from: usize, each: &mut impl FnMut(&[ZoneId])) {
    if from + 1 >= order.len() {
        return each(order);
    }
    for other in from..order.len() {
        order.swap(from, other);
        permute(order, from + 1, each);
        order.swap(from, other);
    }
}

/// Moves what stands in a column towards the middle of what it is connected with, to and fro.
fn settle(items: &mut [Item], stacks: &mut [Vec<usize>]) {
    number(items, stacks);
    for round in 0..ROUNDS {
        let columns: Vec<usize> =
            if round % 2 == 0 { (0..stacks.len()).collect() } else { (0..stacks.len()).rev().collect() };
        for column in columns {
            let Some(stack) = stacks.get_mut(column) else { continue };
            let middle = |place: usize| {
                let item = items.get(place);
                // To the left on the way there, to the right on the way back, and what there is where there is nothing.
                let sides = item.map(|item| &item.sides);
                let side = sides.map(|[left, right]| match round % 2 {
                    0 if !left.is_empty() || right.is_empty() => left,
                    1 if right.is_empty() => left,
                    _ => right,
                });
                let others: Vec<f64> = side
                    .into_iter()
                    .flatten()
                    .filter_map(|(other, _)| items.get(*other))
                    .map(|other| other.order)
                    .collect();
                if others.is_empty() {
                    item.map_or(0.0, |item| item.order)
                } else {
                    others.iter().sum::<f64>() / others.len() as f64
                }
            };
            let mut keyed: Vec<(f64, usize)> = stack.iter().map(|place| (middle(*place), *place)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *stack = keyed.into_iter().map(|(_, place)| place).collect();
            number(items, std::slice::from_ref(stack));
        }
    }
}

/// Order of each as a share of its column, so that columns of different length compare.
fn number(items: &mut [Item], stacks: &[Vec<usize>]) {
    for stack in stacks {
        for (at, place) in stack.iter().enumerate() {
            if let Some(item) = items.get_mut(*place) {
                item.order = (at as f64 + 0.5) / stack.len() as f64;
            }
        }
    }
}

/// Left edge of each column, how far lines are straight on both sides of each gap, and the whole width.
fn across(graph: &Graph, column: &impl Fn(usize) -> usize, columns: usize) -> (Vec<f64>, Vec<[f64; 2]>, f64) {
    let mut gaps = vec![[NUMBER, NUMBER]; columns.saturating_sub(1)];
    for edge in &graph.edges {
        let (client, server) = (column(edge.client), column(edge.server));
        let (gap, side) = if client < server { (client, 0) } else { (client.saturating_sub(1), 1) };
        if let Some(straight) = gaps.get_mut(gap).and_then(|gap| gap.get_mut(side)) {
            *straight = straight.max(edge.label().chars().count() as f64 * CHARACTER + BESIDE);
        }
    }
    let mut x = MARGIN;
    let mut xs = vec![x];
    for [left, right] in &gaps {
        x += BOX + left + CURVE + right;
        xs.push(x);
    }
    (xs, gaps, x + BOX + MARGIN)
}

/// Heights, and where each stands; columns are centred.
fn down(items: &mut [Item], stacks: &[Vec<usize>], xs: &[f64]) -> f64 {
    for item in items.iter_mut() {
        let slots = item.sides.iter().map(Vec::len).max().unwrap_or(0) as f64;
        item.at.height = if item.node.is_some() { LEAST.max(slots * PITCH + 10.0) } else { PITCH };
        item.at.x = xs.get(item.column).copied().unwrap_or(MARGIN);
    }
    let tall = |stack: &Vec<usize>| {
        let heights = stack.iter().filter_map(|place| items.get(*place)).map(|item| item.at.height);
        heights.sum::<f64>() + BETWEEN * stack.len().saturating_sub(1) as f64
    };
    let talls: Vec<f64> = stacks.iter().map(tall).collect();
    let most = talls.iter().copied().fold(0.0, f64::max);
    for (stack, tall) in stacks.iter().zip(talls) {
        let mut y = HEAD + (most - tall) / 2.0;
        for place in stack {
            if let Some(item) = items.get_mut(*place) {
                item.at.y = y;
                y += item.at.height + BETWEEN;
            }
        }
    }
    HEAD + most + MARGIN
}

/// Height of each end of each line, by item, side and line.
fn slots(items: &mut [Item]) -> BTreeMap<(usize, usize, usize), f64> {
    let ys: Vec<f64> = items.iter().map(|item| item.at.y + item.at.height / 2.0).collect();
    let mut slots = BTreeMap::new();
    for (place, item) in items.iter_mut().enumerate() {
        for (side, lines) in item.sides.iter_mut().enumerate() {
            let y = |other: usize| ys.get(other).copied().unwrap_or(0.0);
            lines.sort_by(|a, b| y(a.0).total_cmp(&y(b.0)).then(a.1.cmp(&b.1)));
            let middle = item.at.y + item.at.height / 2.0 - PITCH * (lines.len() as f64 - 1.0) / 2.0;
            for (at, (_, line)) in lines.iter().enumerate() {
                slots.insert((place, side, *line), middle + PITCH * at as f64);
            }
        }
    }
    slots
}

fn course(
    line: usize,
    chain: &[usize],
    edge: &Edge,
    items: &[Item],
    slots: &BTreeMap<(usize, usize, usize), f64>,
    gaps: &[[f64; 2]],
    column: &impl Fn(usize) -> usize,
) -> Course {
    let first = chain.first().and_then(|place| items.get(*place)).map_or(0, |item| item.column);
    let slot = |place: usize, side: usize| slots.get(&(place, side, line)).copied().unwrap_or(0.0);
    let x = |place: usize| items.get(place).map_or(0.0, |item| item.at.x);
    let legs = chain.windows(2).enumerate().filter_map(|(at, pair)| {
        let [left, right] = pair else { return None };
        Some(Leg {
            from: (x(*left) + BOX, slot(*left, 1)),
            to: (x(*right), slot(*right, 0)),
            straight: gaps.get(first + at).copied().unwrap_or([NUMBER, NUMBER]),
        })
    });
    Course { legs: legs.collect(), rightwards: column(edge.client) < column(edge.server) }
}
