//! Cross-products with twice the digits, and rows taken out of them.

use crate::api::model::ModelData;
use crate::basis::rows::{root_of_weight, Coordinates};
use crate::linalg::double2::Double2;
use crate::moments::blocks::{Moments, Rest};
use crate::moments::centred_rows::CenteredRows;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;

/// Rows between two looks at the stop flag.
const ROWS: usize = 8192;

/// Cross-products of Z with twice the digits.
pub(crate) struct Sums {
    /// [`Moments::xx`].
    pub xx: Vec<Double2>,
    /// [`crate::moments::blocks::FactorMoments::zz`] of each factor.
    pub own: Vec<Vec<Double2>>,
    /// [`crate::moments::blocks::FactorMoments::zx`] of each factor.
    pub zx: Vec<Vec<Double2>>,
    /// [`crate::moments::blocks::PairMoments::value`] of each pair.
    pub pairs: Vec<Vec<Double2>>,
}

impl Rest {
    /// Puts the doubles next to these sums where they belong, and keeps the rest; further pairs are known matrices alone.
    pub fn split(moments: &mut Moments, sums: Sums) {
        let Sums { xx, own, zx, pairs } = sums;
        let take = |sums: Vec<Double2>, to: &mut Vec<f64>| -> Vec<f64> {
            to.clear();
            to.extend(sums.iter().map(|sum| sum.high));
            sums.into_iter().map(|sum| sum.low).collect()
        };
        let xx = take(xx, &mut moments.xx);
        let own = own.into_iter().zip(&mut moments.factors);
        let own = own.map(|(sums, f)| take(sums, &mut f.zz)).collect();
        let zx = zx.into_iter().zip(&mut moments.factors);
        let zx = zx.map(|(sums, f)| take(sums, &mut f.zx)).collect();
        let pairs = pairs.into_iter().zip(&mut moments.pairs);
        let mut pairs: Vec<_> = pairs.map(|(sums, p)| take(sums, &mut p.value)).collect();
        let known = moments.pairs[pairs.len()..].iter();
        pairs.extend(known.map(|pair| vec![0.0; pair.value.len()]));
        moments.rest = Some(Box::new(Self { xx, own, zx, pairs }));
    }
}

impl Moments {
    /// Takes Z'[Z Q r] with twice the digits from the same rows.
    pub(crate) fn extend(
        &mut self,
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        rows: &CenteredRows<'_>,
        workers: &Workers,
    ) {
        let layout = at.layout;
        let zero = |values: &Vec<f64>| {
            let mut out: Vec<Double2> = Vec::new();
            memory::resize(&mut out, values.len());
            out
        };
        let mut own: Vec<_> = self.factors.iter().map(|f| zero(&f.zz)).collect();
        let mut zx: Vec<_> = self.factors.iter().map(|f| zero(&f.zx)).collect();
        let mut between: Vec<_> = self.pairs.iter().map(|pair| zero(&pair.value)).collect();
        let mut z: Vec<_> = layout
            .iter()
            .map(|f| vec![Double2::default(); f.k])
            .collect();
        let p1 = self.p1;
        let mut x = vec![Double2::default(); p1];
        let mut xx = vec![Double2::default(); p1 * p1];
        for block in pieces(data.rows(), ROWS) {
            workers.check();
            for i in block {
                let level = |f: usize| layout[f].codes(data).get(i).map(|c| *c as usize - 1);
                rows.write_extended(i, &mut x);
                add_product(&mut xx, &x, &x);
                let root = Double2::from(root_of_weight(data, i));
                for f in 0..layout.len() {
                    let (k, Some(j)) = (layout[f].k, level(f)) else {
                        continue;
                    };
                    at.write_z(data, &layout[f], i, root, &mut z[f]);
                    add_product(&mut own[f][j * k * k..(j + 1) * k * k], &z[f], &z[f]);
                    add_product(&mut zx[f][j * k * p1..(j + 1) * k * p1], &x, &z[f]);
                }
                for (pair, sums) in self.pairs.iter().zip(&mut between) {
                    let (Some(j), Some(l)) = (level(pair.f), level(pair.g)) else {
                        continue;
                    };
                    let range = pair.start[j]..pair.start[j + 1];
                    let found = pair.level[range.clone()].binary_search(&(l as u32));
                    if let (true, Ok(at)) = (pair.f != pair.g, found) {
                        let (left, right) = (&z[pair.f], &z[pair.g]);
                        let size = left.len() * right.len();
                        let to = (range.start + at) * size;
                        add_product(&mut sums[to..to + size], left, right);
                    }
                }
            }
        }
        let pairs = between;
        Rest::split(self, Sums { xx, own, zx, pairs });
    }

    /// Takes one row out: [q r], z and the level of each factor, if it has any. The number of rows and what is known of weights
    /// stay.
    pub(crate) fn remove_row(
        &mut self,
        x: &[Double2],
        z: &[Vec<Double2>],
        level: &[Option<usize>],
    ) {
        let rest = &mut self.rest;
        let xx = rest.as_deref_mut().map_or(&mut [][..], |rest| &mut rest.xx);
        subtract_product(0, (&mut self.xx, xx), x, x);
        for (f, factor) in self.factors.iter_mut().enumerate() {
            let Some(j) = level[f] else {
                continue;
            };
            let [own, zx] = match rest.as_deref_mut() {
                Some(rest) => [&mut rest.own, &mut rest.zx].map(|all| all[f].as_mut_slice()),
                None => [&mut [][..], &mut []],
            };
            subtract_product(j, (&mut factor.zz, own), &z[f], &z[f]);
            subtract_product(j, (&mut factor.zx, zx), x, &z[f]);
        }
        for (at, pair) in self.pairs.iter_mut().enumerate() {
            let (false, Some(j), Some(l)) = (pair.f == pair.g, level[pair.f], level[pair.g]) else {
                continue;
            };
            let range = pair.start[j]..pair.start[j + 1];
            if let Ok(entry) = pair.level[range.clone()].binary_search(&(l as u32)) {
                let low = match rest.as_deref_mut() {
                    Some(rest) => rest.pairs[at].as_mut_slice(),
                    None => &mut [],
                };
                let entry = range.start + entry;
                let value = (&mut pair.value[..], low);
                subtract_product(entry, value, &z[pair.f], &z[pair.g]);
            }
        }
    }
}

/// A += x y', column-major.
fn add_product(a: &mut [Double2], x: &[Double2], y: &[Double2]) {
    for (column, y) in a.chunks_exact_mut(x.len()).zip(y) {
        for (sum, x) in column.iter_mut().zip(x) {
            *sum += *x * *y;
        }
    }
}

/// A -= x y' for one block of several, column-major, given with what they have beyond double precision, or nothing.
fn subtract_product(
    block: usize,
    (high, low): (&mut [f64], &mut [f64]),
    x: &[Double2],
    y: &[Double2],
) {
    let size = x.len() * y.len();
    let range = block * size..(block + 1) * size;
    let products = y.iter().flat_map(|y| x.iter().map(move |x| *x * *y));
    let high = &mut high[range.clone()];
    match low.get_mut(range) {
        Some(low) => {
            for ((high, low), product) in high.iter_mut().zip(low).zip(products) {
                let rest = Double2 {
                    high: *high,
                    low: *low,
                } - product;
                (*high, *low) = (rest.high, rest.low);
            }
        }
        None => {
            let pairs = high.iter_mut().zip(products);
            pairs.for_each(|(high, product)| *high -= product.high);
        }
    }
}
