//! Cross-products between the levels of two grouping factors.

use std::ops::Range;

use crate::api::model::ModelData;
use crate::basis::random::FactorLayout;
use crate::moments::basis_rows::BasisRows;
use crate::moments::blocks::PairMoments;
use crate::moments::level_order::LevelOrder;
use crate::runtime::memory;
use crate::runtime::parallel::{pieces, Workers};

/// Rows that are worth a piece of work of their own.
const ROWS: usize = 131_072;

pub(crate) fn pair_moments(
    data: &ModelData<'_>,
    layout: &[FactorLayout],
    rows: &[BasisRows],
    (f, g): (usize, usize),
    order: &LevelOrder,
    workers: &Workers,
) -> PairMoments {
    let n_levels = layout[f].n_levels;
    let count = (data.n() / ROWS).clamp(1, 32);
    let work = pieces(n_levels, n_levels.div_ceil(count));
    let parts = workers.map(work.len(), |piece| {
        pair_piece(data, layout, rows, (f, g), order, work[piece].clone())
    });
    // the first goes on as it is, each other one ends once it is taken over
    let mut parts = parts.into_iter();
    let mut pair = parts.next().unwrap_or_else(|| PairMoments::empty(f, g));
    parts.for_each(|part| pair.append(&part));
    pair
}

fn pair_piece(
    data: &ModelData<'_>,
    layout: &[FactorLayout],
    rows: &[BasisRows],
    (f, g): (usize, usize),
    order: &LevelOrder,
    levels: Range<usize>,
) -> PairMoments {
    let (kf, kg) = (layout[f].k, layout[g].k);
    let size = kf * kg;
    let codes = layout[g].codes(data);
    let mut slot = vec![u32::MAX; layout[g].n_levels];
    let mut pair = PairMoments::empty(f, g);
    let mut found: Vec<u32> = Vec::new();
    let mut block: Vec<f64> = Vec::new();
    for j in levels {
        found.clear();
        block.clear();
        for &i in order.rows(j) {
            let i = i as usize;
            let level = codes[i] as u32 - 1;
            if slot[level as usize] == u32::MAX {
                slot[level as usize] = found.len() as u32;
                found.push(level);
                memory::resize(&mut block, found.len() * size);
            }
            let at = slot[level as usize] as usize * size;
            let (zf, zg) = (rows[f].row(i, kf), rows[g].row(i, kg));
            for (b, vg) in zg.iter().enumerate() {
                for (a, vf) in zf.iter().enumerate() {
                    block[at + b * kf + a] += vf * vg;
                }
            }
        }
        found.sort_unstable();
        for &level in &found {
            let at = slot[level as usize] as usize * size;
            pair.level.push(level);
            pair.value.extend_from_slice(&block[at..at + size]);
        }
        for &level in &found {
            slot[level as usize] = u32::MAX;
        }
        pair.start.push(pair.level.len());
    }
    pair
}
