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
