//! Pieces of work: levels of the first factor, nodes of the complement.

use crate::runtime::partition::chunks;
use crate::system::elimination::Schur;
use crate::system::equations::System;

/// Levels of the first factor in one piece of work.
pub const LEVELS: usize = 1024;

/// Nodes of the Schur complement in one piece of work.
pub const NODES: usize = 16;

/// Pieces of work over the levels of the first factor.
pub(crate) fn level_pieces(system: &System) -> usize {
    system.moments.factors[0].n_levels.div_ceil(LEVELS)
}

/// Calls `f(j, values of level j)` for each level of the first factor, with `size` values a level.
pub(crate) fn for_each_level(
    system: &System,
    values: &mut [f64],
    size: usize,
    f: impl Fn(usize, &mut [f64]) + Sync,
) {
    let partition = chunks(values, LEVELS * size);
    system
        .workers
        .for_each(level_pieces(system), partition, |i, part| {
            for (at, own) in part.chunks_exact_mut(size).enumerate() {
                f(i * LEVELS + at, own);
            }
        });
}

/// Pieces of work over the nodes.
pub(crate) fn node_pieces(schur: &Schur) -> usize {
    schur.nodes().div_ceil(NODES)
}

/// First node of a piece, or, after the last one, their number.
pub(crate) fn first_node(schur: &Schur, piece: usize) -> usize {
    node_piece(schur, piece).start
}

/// Nodes of one piece.
#[must_use]
pub fn node_piece(schur: &Schur, piece: usize) -> std::ops::Range<usize> {
    crate::runtime::partition::piece(schur.nodes(), NODES, piece)
}

/// Neighbours of a level of the first factor, on average, from which it pays to go through the levels and come to each in turn
/// with all nodes of a piece, instead of through the nodes: what belongs to a level is read once for many of them.
const MANY_NEIGHBOURS: usize = 8;

/// Most nodes in one such piece: their columns of the complement stay in a cache.
const MOST_NODES: usize = 128;

/// Nodes in one piece where levels are gone through for all of its nodes; `None` where they have few neighbours. Sums over levels
/// come out the same, whatever the pieces are.
pub(crate) fn nodes_by_level(system: &System) -> Option<usize> {
    let schur = &system.schur;
    let many = schur.neighbour.len() >= MANY_NEIGHBOURS * system.moments.factors[0].n_levels;
    let shares = 4 * system.workers.count();
    many.then(|| schur.nodes().div_ceil(shares).clamp(NODES, MOST_NODES))
}

/// Neighbours of level `j` of the first factor among some nodes.
pub(crate) fn neighbours_among(
    schur: &Schur,
    j: usize,
    nodes: &std::ops::Range<usize>,
) -> std::ops::Range<usize> {
    let (start, own) = (schur.start[j], schur.start[j]..schur.start[j + 1]);
    let own = &schur.neighbour[own];
    let before = |end: usize| start + own.partition_point(|&v| (v as usize) < end);
    before(nodes.start)..before(nodes.end)
}
