//! Cross-products between the levels of two grouping factors: compressed rows of blocks.

use std::ops::Range;

use crate::api::model::Members;
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

/// The second factor of a pair: which of its levels, from 0, a row has, and with what weights.
pub(crate) trait Other: Copy + Sync {
    fn n_levels(self) -> usize;
    fn of_row(self, i: usize) -> impl Iterator<Item = (usize, f64)>;
}

/// One code a row, from 1, and the number of levels.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a>(pub &'a [i32], pub usize);

impl Other for Codes<'_> {
    fn n_levels(self) -> usize {
        self.1
    }

    #[inline(always)]
    fn of_row(self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        std::iter::once((self.0[i] as usize - 1, 1.0))
    }
}

/// Members of several levels, and the number of levels.
#[derive(Clone, Copy)]
pub(crate) struct Several<'a>(pub Members<'a>, pub usize);

impl Other for Several<'_> {
    fn n_levels(self) -> usize {
        self.1
    }

    fn of_row(self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        self.0.of_row(i)
    }
}

/// Which levels of the second factor a level of the first one is paired with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum With {
    /// All that its rows have.
    All,
    /// Those after it, of the same factor.
    Later,
}

/// Sums over rows of blocks of `size` numbers, to which `add` adds what one row has, times a weight; `order` are the rows of each of
/// the `n_levels` levels of the first factor.
pub(crate) fn pair_blocks<S: Copy + Default + Send>(
    n_levels: usize,
    order: &LevelOrder,
    (other, with): (impl Other, With),
    size: usize,
    add: impl Fn(usize, f64, &mut [S]) + Sync,
    workers: &Workers,
) -> Blocks<S> {
    let count = (order.len() / ROWS).clamp(1, 32);
    let work = pieces(n_levels, n_levels.div_ceil(count));
    let parts = workers.map(work.len(), |piece| {
        piece_of_blocks(work[piece].clone(), order, (other, with), size, &add)
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
    (other, with): (impl Other, With),
    size: usize,
    add: &impl Fn(usize, f64, &mut [S]),
) -> Blocks<S> {
    let mut slot = vec![u32::MAX; other.n_levels()];
    let mut out = Blocks::empty();
    let mut found: Vec<u32> = Vec::new();
    let mut block: Vec<S> = Vec::new();
    for j in levels {
        found.clear();
        block.clear();
        for (i, own) in order.weighted_rows(j) {
            for (level, weight) in other.of_row(i) {
                if with == With::Later && level <= j {
                    continue;
                }
                if slot[level] == u32::MAX {
                    slot[level] = found.len() as u32;
                    found.push(level as u32);
                    memory::resize(&mut block, found.len() * size);
                }
                let at = slot[level] as usize * size;
                add(i, own * weight, &mut block[at..at + size]);
            }
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
