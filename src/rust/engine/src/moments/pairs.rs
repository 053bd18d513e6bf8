//! Cross-products between the levels of two grouping factors: compressed rows of blocks.

use std::ops::Range;

use crate::moments::level_order::LevelOrder;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;

/// Rows that are worth a piece of work of their own.
const ROWS: usize = 131_072;

/// Blocks of the levels of the second factor that meet each level of the first one, in numbers of type `S`.
#[derive(Debug, Default)]
pub(crate) struct Blocks<S> {
    /// For each level of the first factor the start of its entries, and their number.
    pub start: Vec<usize>,
    /// Level of the second factor of each entry, ascending within a level of the first one.
    pub level: Vec<u32>,
    /// Blocks k_f x k_g, column-major.
    pub value: Vec<S>,
}

/// The second factor of a pair.
#[derive(Clone, Copy)]
pub(crate) struct Other<'a> {
    /// Its level of each row, from 1.
    pub codes: &'a [i32],
    pub n_levels: usize,
}

/// Sums over rows of blocks of `size` numbers, to which `add` adds what one row has; `order` are the rows of each of the
/// `n_levels` levels of the first factor.
pub(crate) fn pair_blocks<S: Copy + Default + Send>(
    n_levels: usize,
    order: &LevelOrder,
    other: Other<'_>,
    size: usize,
    add: impl Fn(usize, &mut [S]) + Sync,
    workers: &Workers,
) -> Blocks<S> {
    let count = (other.codes.len() / ROWS).clamp(1, 32);
    let work = pieces(n_levels, n_levels.div_ceil(count));
    let parts = workers.map(work.len(), |piece| {
        piece_of_blocks(work[piece].clone(), order, other, size, &add)
    });
    // the first goes on as it is, each other one ends once it is taken over
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_else(Blocks::empty);
    for part in parts {
        let base = all.level.len();
        all.start.extend(part.start[1..].iter().map(|s| base + s));
        all.level.extend_from_slice(&part.level);
        all.value.extend_from_slice(&part.value);
    }
    all
}

impl<S> Blocks<S> {
    /// No level yet.
    fn empty() -> Self {
        Self {
            start: vec![0],
            level: Vec::new(),
            value: Vec::new(),
        }
    }
}

fn piece_of_blocks<S: Copy + Default>(
    levels: Range<usize>,
    order: &LevelOrder,
    other: Other<'_>,
    size: usize,
    add: &impl Fn(usize, &mut [S]),
) -> Blocks<S> {
    let mut slot = vec![u32::MAX; other.n_levels];
    let mut out = Blocks::empty();
    let mut found: Vec<u32> = Vec::new();
    let mut block: Vec<S> = Vec::new();
    for j in levels {
        found.clear();
        block.clear();
        for &i in order.rows(j) {
            let level = other.codes[i as usize] as u32 - 1;
            if slot[level as usize] == u32::MAX {
                slot[level as usize] = found.len() as u32;
                found.push(level);
                memory::resize(&mut block, found.len() * size);
            }
            let at = slot[level as usize] as usize * size;
            add(i as usize, &mut block[at..at + size]);
        }
        found.sort_unstable();
        for &level in &found {
            let at = slot[level as usize] as usize * size;
            out.level.push(level);
            out.value.extend_from_slice(&block[at..at + size]);
        }
        for &level in &found {
            slot[level as usize] = u32::MAX;
        }
        out.start.push(out.level.len());
    }
    out
}
