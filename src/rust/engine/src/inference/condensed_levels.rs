//! Levels of one grouping factor by few that stand for all others, for the deletion of some of them.
//!
//! Without other factors, criterion and gradient are made of sums over levels, of functions of A_j = Z_j'Z_j alone and of
//! quadratic forms in B_j = Z_j'[Q r] whose matrix depends on A_j. So among levels with the same A any that have the same
//! sum of vec(B_j) vec(B_j)' do, and one of them can count in the place of all for what depends on A alone. Those levels are
//! the rows of a triangular factor of the rows vec(B_j)', and what is left without some levels is a union of nodes of a tree
//! of such factors: no sum is taken and then subtracted from.

use std::collections::HashMap;
use std::sync::Arc;

use crate::moments::blocks::{FactorMoments, Moments};
use crate::moments::compress::triangle;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::system::elimination::Schur;
use crate::system::equations::System;

/// How many times fewer levels than there are make it worth it.
const GAIN: usize = 4;

/// The levels of one factor in groups with the same A.
pub(crate) struct CondensedLevels {
    groups: Vec<Alike>,
    /// Group and place in it of each level.
    place: Vec<(usize, usize)>,
    /// Numbers of vec(B_j).
    width: usize,
}

/// Levels with the same A.
struct Alike {
    zz: Vec<f64>,
    count: usize,
    /// Rows vec(B_j)' of each node of a binary tree, the root first, children of i at 2 i + 1 and 2 i + 2.
    tree: Vec<Vec<f64>>,
}

impl CondensedLevels {
    /// `None` where there is more than one factor, or few levels are alike.
    pub(crate) fn new(moments: &Moments) -> Option<Self> {
        let [factor] = &moments.factors[..] else {
            return None;
        };
        let plain = moments.pairs.is_empty() && moments.rest.is_none();
        if !plain || !factor.level_precision.is_empty() || factor.k == 0 {
            return None;
        }
        let width = factor.k * moments.p1;
        let mut known: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut place = Vec::with_capacity(factor.n_levels);
        for (level, block) in factor.zz.chunks_exact(factor.k * factor.k).enumerate() {
            let bits = block.iter().map(|v| v.to_bits()).collect();
            let group = *known.entry(bits).or_insert(members.len());
            if group == members.len() {
                members.push(Vec::new());
            }
            place.push((group, members[group].len()));
            members[group].push(level);
        }
        // a few nodes at each depth of the tree where a level is taken out, the root elsewhere
        let depth = |n: usize| n.ilog2() as usize + 1;
        let left: usize = members.iter().map(|m| m.len().min(width)).sum();
        let deepest = members.iter().map(|m| depth(m.len())).max()?;
        if GAIN * (left + deepest * width) > factor.n_levels {
            return None;
        }
        let square = factor.k * factor.k;
        let groups = members.iter().map(|levels| Alike {
            zz: factor.zz[levels[0] * square..(levels[0] + 1) * square].to_vec(),
            count: levels.len(),
            tree: tree(levels, &factor.zx, width),
        });
        Some(Self {
            groups: groups.collect(),
            place,
            width,
        })
    }

    /// Few levels in the place of all, where `moments` have other values than all rows at the levels `touched` (each once).
    pub(crate) fn system(&self, moments: &Moments, touched: &[usize]) -> System {
        let factor = &moments.factors[0];
        let (square, width) = (factor.k * factor.k, self.width);
        let mut few = FactorMoments {
            n_levels: 0,
            k: factor.k,
            zz: Vec::new(),
            zx: Vec::new(),
            level_precision: Vec::new(),
            multiplicity: Vec::new(),
        };
        let mut add = |zz: &[f64], zx: &[f64], multiplicity: f64| {
            few.n_levels += 1;
            few.zz.extend_from_slice(zz);
            few.zx.extend_from_slice(zx);
            few.multiplicity.push(multiplicity);
        };
        let nothing = memory::zeros(width);
        let mut gone: Vec<Vec<usize>> = vec![Vec::new(); self.groups.len()];
        for &level in touched {
            let (group, at) = self.place[level];
            gone[group].push(at);
            let zz = &factor.zz[level * square..(level + 1) * square];
            add(zz, &factor.zx[level * width..(level + 1) * width], 1.0);
        }
        for (group, gone) in self.groups.iter().zip(&mut gone) {
            gone.sort_unstable();
            // as many levels as there are, all counted at one without cross-products
            if group.count > gone.len() {
                add(&group.zz, &nothing, (group.count - gone.len()) as f64);
            }
            group.rows_without(0, 0..group.count, gone, &mut |rows| {
                let rows = rows.chunks_exact(width);
                rows.for_each(|row| add(&group.zz, row, 0.0));
            });
        }
        let moments = Moments {
            n: moments.n,
            p1: moments.p1,
            xx: moments.xx.clone(),
            factors: vec![few],
            pairs: Vec::new(),
            sum_log_weights: moments.sum_log_weights,
            log_det_level_precision: moments.log_det_level_precision,
            rest: None,
        };
        System {
            schur: Arc::new(Schur::new(&moments)),
            moments,
            workers: Workers::sequential().into(),
        }
    }
}

impl Alike {
    /// The rows of the largest nodes below `node` (of the members `range`) that hold none of `gone`, ascending.
    fn rows_without(
        &self,
        node: usize,
        range: std::ops::Range<usize>,
        gone: &[usize],
        take: &mut impl FnMut(&[f64]),
    ) {
        if range.is_empty() {
            return;
        }
        let from = gone.partition_point(|&at| at < range.start);
        if gone.get(from).is_none_or(|&at| at >= range.end) {
            take(&self.tree[node]);
        } else if range.len() > 1 {
            let [left, right] = halves(&range);
            self.rows_without(2 * node + 1, left, gone, take);
            self.rows_without(2 * node + 2, right, gone, take);
        }
    }
}

fn halves(range: &std::ops::Range<usize>) -> [std::ops::Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [range.start..middle, middle..range.end]
}

/// The triangular factors of all nodes.
fn tree(levels: &[usize], zx: &[f64], width: usize) -> Vec<Vec<f64>> {
    let mut nodes = vec![Vec::new(); 4 * levels.len()];
    fill(&mut nodes, 0, 0..levels.len(), levels, zx, width);
    nodes
}

fn fill(
    nodes: &mut [Vec<f64>],
    node: usize,
    range: std::ops::Range<usize>,
    levels: &[usize],
    zx: &[f64],
    width: usize,
) {
    if range.len() == 1 {
        let level = levels[range.start];
        nodes[node] = zx[level * width..(level + 1) * width].to_vec();
        return;
    }
    for (child, half) in [2 * node + 1, 2 * node + 2].into_iter().zip(halves(&range)) {
        fill(nodes, child, half, levels, zx, width);
    }
    let mut both = nodes[2 * node + 1].clone();
    both.extend_from_slice(&nodes[2 * node + 2]);
    nodes[node] = if both.len() > width * width {
        triangle(both, width)
    } else {
        both
    };
}
