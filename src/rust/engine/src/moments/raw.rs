//! Cross-products in the user's columns: taken from rows, added to those of other rows.

use crate::api::error::EngineError;
use crate::api::model::{Column, ModelData};
use crate::api::raw_moments::{RawFactor, RawMoments, RawPair, Twice};
use crate::linalg::double2::Double2;
use crate::moments::level_order::LevelOrder;
use crate::moments::pairs::{pair_blocks, Codes, With};
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;

/// Rows between two looks at the stop flag.
const ROWS: usize = 4096;

/// Rows of one piece of work at least.
const PIECE: usize = 65_536;

pub(crate) fn of_pair(v: Twice) -> Double2 {
    Double2 {
        high: v[0],
        low: v[1],
    }
}

fn to_pair(v: Double2) -> Twice {
    [v.high, v.low]
}

/// Sums with twice the digits to which other ones are added.
fn add(total: &mut [Twice], part: &[Twice]) {
    for (a, b) in total.iter_mut().zip(part) {
        let mut sum = of_pair(*a);
        sum += of_pair(*b);
        *a = to_pair(sum);
    }
}

/// Cross-products of a model's rows in the user's columns.
///
/// # Errors
/// [`EngineError::Dimension`], [`EngineError::NotFinite`] for rows that are no model's, for residual structures, and where
/// there are no rows; [`EngineError::Interrupted`].
pub fn raw_moments(
    data: &ModelData<'_>,
    threads: usize,
    interrupt: &dyn Fn() -> bool,
) -> Result<RawMoments, EngineError> {
    data.validate()?;
    data.require_rows("their cross-products")?;
    data.require_single_levels("their cross-products")?;
    data.check_finite()?;
    if data.residual.is_some() {
        return Err(EngineError::Dimension(
            "with a residual structure there are no cross-products that stand for the rows"
                .to_owned(),
        ));
    }
    let columns: usize = data.terms.iter().map(|t| t.columns.len()).sum();
    let work = 20.0 * data.rows() as f64 * ((data.p + 1) * (data.p + 1 + 2 * columns)) as f64;
    interruptible(work > 1e8, interrupt, |stop, _| {
        let workers = Workers::new(threads, work, stop);
        Ok(of_rows(data, &workers))
    })
}

/// Columns of the terms of each grouping factor, one term after another.
fn columns_of_factors<'a>(data: &ModelData<'a>) -> Vec<Vec<Column<'a>>> {
    let mut out = vec![Vec::new(); data.factors.len()];
    for term in &data.terms {
        out[term.factor].extend_from_slice(&term.columns);
    }
    out
}

fn of_rows(data: &ModelData<'_>, workers: &Workers) -> RawMoments {
    let columns = columns_of_factors(data);
    let (n, p1) = (data.rows(), data.p + 1);
    let tables = data.factors.iter().zip(&columns);
    let table: usize = tables
        .map(|(f, z)| f.n_levels * z.len() * (z.len() + p1))
        .sum();
    // as many pieces as rows and the tables of all of them allow, whatever the number of threads
    let count = (n / PIECE).clamp(1, 8).min((n / table.max(1)).max(1));
    let work = pieces(n, n.div_ceil(count));
    let mut parts = workers.map(work.len(), |piece| {
        let mut own = RawMoments::empty(data, &columns);
        for start in work[piece].clone().step_by(ROWS) {
            workers.check();
            for i in start..(start + ROWS).min(work[piece].end) {
                own.add_row(data, &columns, i);
            }
        }
        own
    });
    let mut total = parts.remove(0);
    for part in &parts {
        total.add_sums(part);
    }
    mirror(&mut total.xx, p1);
    for own in &mut total.factors {
        mirror(&mut own.zz, own.k);
    }
    for f in 0..data.factors.len() {
        let own = &data.factors[f];
        let order = LevelOrder::new(own.codes, own.n_levels);
        for g in f + 1..data.factors.len() {
            let other = Codes(data.factors[g].codes, data.factors[g].n_levels);
            let (zf, zg) = (&columns[f], &columns[g]);
            let add_row = |i: usize, _: f64, block: &mut [Double2]| {
                let w = data.weights.map_or(1.0, |w| w[i]);
                for (b, column) in zg.iter().enumerate() {
                    let wz = Double2::product(w, column.at(i));
                    for (a, column) in zf.iter().enumerate() {
                        block[b * zf.len() + a] += wz * Double2::from(column.at(i));
                    }
                }
            };
            let size = zf.len() * zg.len();
            let found = pair_blocks(
                own.n_levels,
                &order,
                (other, With::All),
                size,
                add_row,
                workers,
            );
            total.pairs.push(RawPair {
                f,
                g,
                start: found.start,
                level: found.level,
                value: found.value.into_iter().map(to_pair).collect(),
            });
        }
    }
    total
}

impl RawMoments {
    /// No row yet.
    fn empty(data: &ModelData<'_>, columns: &[Vec<Column<'_>>]) -> Self {
        let p1 = data.p + 1;
        let zero = |len: usize| {
            let mut out: Vec<Twice> = Vec::new();
            memory::resize(&mut out, len);
            out
        };
        Self {
            n: 0,
            p: data.p,
            sum_log_weights: 0.0,
            xx: zero(p1 * p1),
            factors: (data.factors.iter().zip(columns))
                .map(|(factor, columns)| {
                    let (n_levels, k) = (factor.n_levels, columns.len());
                    RawFactor {
                        n_levels,
                        k,
                        zz: zero(n_levels * k * k),
                        zx: zero(n_levels * k * p1),
                    }
                })
                .collect(),
            pairs: Vec::new(),
        }
    }

    /// Adds a row to the triangles of symmetric blocks.
    fn add_row(&mut self, data: &ModelData<'_>, columns: &[Vec<Column<'_>>], i: usize) {
        let w = data.weights.map_or(1.0, |w| w[i]);
        let p1 = self.p + 1;
        // w [x y], y less the offset, and [x y]
        let mut y = Double2::from(data.y[i]);
        y += Double2::from(-data.offset.map_or(0.0, |offset| offset[i]));
        let value = |j: usize| match data.x.get(j) {
            Some(column) => Double2::from(column.at(i)),
            None => y,
        };
        self.n += data.count(i);
        self.sum_log_weights += data.log_weight(i);
        for j in 0..p1 {
            let own = value(j) * Double2::from(w);
            for k in j..p1 {
                add_to(&mut self.xx[j * p1 + k], own * value(k));
            }
        }
        for ((factor, own), z) in data.factors.iter().zip(&mut self.factors).zip(columns) {
            let (level, k) = (factor.codes[i] as usize - 1, own.k);
            for (a, column) in z.iter().enumerate() {
                let wz = Double2::product(w, column.at(i));
                for (b, other) in z.iter().enumerate().skip(a) {
                    let to = &mut own.zz[(level * k + a) * k + b];
                    add_to(to, wz * Double2::from(other.at(i)));
                }
                for j in 0..p1 {
                    add_to(&mut own.zx[(level * k + a) * p1 + j], wz * value(j));
                }
            }
        }
    }

    /// Adds sums over other rows of the same levels; pairs stay.
    fn add_sums(&mut self, other: &Self) {
        self.n += other.n;
        self.sum_log_weights += other.sum_log_weights;
        add(&mut self.xx, &other.xx);
        for (own, from) in self.factors.iter_mut().zip(&other.factors) {
            add(&mut own.zz, &from.zz);
            add(&mut own.zx, &from.zx);
        }
    }

    /// Adds the cross-products of other rows of the same model; `levels` says which level (from 0) each of theirs is here, for
    /// each grouping factor: levels beyond those that are here are new ones.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] where columns differ, or `levels` is no map of theirs.
    pub fn merge(&mut self, other: &Self, levels: &[Vec<u32>]) -> Result<(), EngineError> {
        let wrong = |text: &str| Err(EngineError::Dimension(text.to_owned()));
        let ks = |m: &Self| m.factors.iter().map(|f| f.k).collect::<Vec<_>>();
        if self.p != other.p || ks(self) != ks(other) {
            return wrong("cross-products of other columns cannot be added");
        }
        let is_map = |(map, from): (&Vec<u32>, &RawFactor)| {
            let mut seen = map.clone();
            seen.sort_unstable();
            map.len() == from.n_levels && seen.windows(2).all(|w| w[0] < w[1])
        };
        if levels.len() != self.factors.len() || !levels.iter().zip(&other.factors).all(is_map) {
            return wrong("each level of the added cross-products must be one level of these");
        }
        let p1 = self.p + 1;
        self.n += other.n;
        self.sum_log_weights += other.sum_log_weights;
        add(&mut self.xx, &other.xx);
        for ((own, from), map) in self.factors.iter_mut().zip(&other.factors).zip(levels) {
            let k = own.k;
            let most = map.iter().map(|&l| l as usize + 1).max().unwrap_or(0);
            own.n_levels = own.n_levels.max(most);
            memory::resize(&mut own.zz, own.n_levels * k * k);
            memory::resize(&mut own.zx, own.n_levels * k * p1);
            for (level, &to) in map.iter().enumerate() {
                let to = to as usize;
                let (size, width) = (k * k, k * p1);
                let zz = &from.zz[level * size..(level + 1) * size];
                add(&mut own.zz[to * size..(to + 1) * size], zz);
                let zx = &from.zx[level * width..(level + 1) * width];
                add(&mut own.zx[to * width..(to + 1) * width], zx);
            }
        }
        for (own, from) in self.pairs.iter_mut().zip(&other.pairs) {
            let n_levels = self.factors[own.f].n_levels;
            let size = self.factors[own.f].k * self.factors[own.g].k;
            *own = united(own, from, &levels[own.f], &levels[own.g], n_levels, size);
        }
        Ok(())
    }
}

/// The entries of both, those of one cell added.
fn united(
    own: &RawPair,
    from: &RawPair,
    first: &[u32],
    second: &[u32],
    n_levels: usize,
    size: usize,
) -> RawPair {
    let entries = |pair: &RawPair, j: usize| match pair.start.get(j..=j + 1) {
        Some(range) => range[0]..range[1],
        None => 0..0,
    };
    let mut source = vec![None; n_levels];
    for (j, &to) in first.iter().enumerate() {
        source[to as usize] = Some(j);
    }
    let mut out = RawPair {
        f: own.f,
        g: own.g,
        start: vec![0],
        level: Vec::new(),
        value: Vec::new(),
    };
    for (j, source) in source.into_iter().enumerate() {
        let here = entries(own, j).map(|e| (own.level[e], &own.value[e * size..(e + 1) * size]));
        let there = source.map_or(0..0, |j| entries(from, j));
        let there = there.map(|e| {
            let level = second[from.level[e] as usize];
            (level, &from.value[e * size..(e + 1) * size])
        });
        let mut cells: Vec<(u32, &[Twice])> = here.chain(there).collect();
        // stable: own entries first
        cells.sort_by_key(|cell| cell.0);
        for (level, value) in cells {
            let begins = out.start[j];
            if out.level.len() > begins && out.level.last() == Some(&level) {
                let at = out.value.len() - size;
                add(&mut out.value[at..], value);
            } else {
                out.level.push(level);
                out.value.extend_from_slice(value);
            }
        }
        out.start.push(out.level.len());
    }
    out
}

/// The other triangle of symmetric blocks.
fn mirror(blocks: &mut [Twice], k: usize) {
    for block in blocks.chunks_exact_mut((k * k).max(1)) {
        for a in 0..k {
            for b in a + 1..k {
                block[b * k + a] = block[a * k + b];
            }
        }
    }
}

fn add_to(total: &mut Twice, value: Double2) {
    let mut sum = of_pair(*total);
    sum += value;
    *total = to_pair(sum);
}
