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
                rows.write_extended(i, &mut x);
                add_product(&mut xx, (&x, 1.0), (&x, 1.0));
                let root = Double2::from(root_of_weight(data, i));
                for f in 0..layout.len() {
                    let k = layout[f].k;
                    at.write_z(data, &layout[f], i, root, &mut z[f]);
                    for (j, weight) in layout[f].of_row(data, i) {
                        let z = (z[f].as_slice(), weight);
                        add_product(&mut own[f][j * k * k..(j + 1) * k * k], z, z);
                        add_product(&mut zx[f][j * k * p1..(j + 1) * k * p1], (&x, 1.0), z);
                    }
                }
                for (pair, sums) in self.pairs.iter().zip(&mut between) {
                    for (j, own) in layout[pair.f].of_row(data, i) {
                        for (l, other) in layout[pair.g].of_row(data, i) {
                            let Some(at) = pair.entry(j, l) else { continue };
                            let (left, right) = (&z[pair.f], &z[pair.g]);
                            let size = left.len() * right.len();
                            let to = &mut sums[at * size..(at + 1) * size];
                            add_product(to, (left, own), (right, other));
                        }
                    }
                }
            }
        }
        let pairs = between;
        Rest::split(self, Sums { xx, own, zx, pairs });
    }

    /// Takes one row out: [q r], z and the levels of each factor with their weights. The number of rows and what is known of weights
    /// stay.
    pub(crate) fn remove_row(
        &mut self,
        x: &[Double2],
        z: &[Vec<Double2>],
        levels: &[Vec<(usize, f64)>],
    ) {
        let rest = &mut self.rest;
        let xx = rest.as_deref_mut().map_or(&mut [][..], |rest| &mut rest.xx);
        let x = (x, 1.0);
        subtract_product(0, (&mut self.xx, xx), x, x);
        for (f, factor) in self.factors.iter_mut().enumerate() {
            for &(j, weight) in &levels[f] {
                let [own, zx] = match rest.as_deref_mut() {
                    Some(rest) => [&mut rest.own, &mut rest.zx].map(|all| all[f].as_mut_slice()),
                    None => [&mut [][..], &mut []],
                };
                let z = (z[f].as_slice(), weight);
                subtract_product(j, (&mut factor.zz, own), z, z);
                subtract_product(j, (&mut factor.zx, zx), x, z);
            }
        }
        for (at, pair) in self.pairs.iter_mut().enumerate() {
            for &(j, own) in &levels[pair.f] {
                for &(l, other) in &levels[pair.g] {
                    let Some(entry) = pair.entry(j, l) else {
                        continue;
                    };
                    let low = match rest.as_deref_mut() {
                        Some(rest) => rest.pairs[at].as_mut_slice(),
                        None => &mut [],
                    };
                    let value = (&mut pair.value[..], low);
                    let (left, right) = ((&z[pair.f][..], own), (&z[pair.g][..], other));
                    subtract_product(entry, value, left, right);
                }
            }
        }
    }
}

/// Numbers of a row and their weight.
type Weighted<'a> = (&'a [Double2], f64);

/// Entries of x y', column-major.
fn products<'a>(
    (x, own): Weighted<'a>,
    (y, other): Weighted<'a>,
) -> impl Iterator<Item = Double2> + 'a {
    // 1 for rows of one level
    let weight = Double2::product(own, other);
    y.iter().flat_map(move |y| {
        let y = *y * weight;
        x.iter().map(move |x| *x * y)
    })
}

/// A += x y', column-major.
fn add_product(a: &mut [Double2], x: Weighted<'_>, y: Weighted<'_>) {
    a.iter_mut()
        .zip(products(x, y))
        .for_each(|(sum, product)| *sum += product);
}

/// A -= x y' for one block of several, column-major, given with what they have beyond double precision, or nothing.
fn subtract_product(
    block: usize,
    (high, low): (&mut [f64], &mut [f64]),
    x: Weighted<'_>,
    y: Weighted<'_>,
) {
    let size = x.0.len() * y.0.len();
    let range = block * size..(block + 1) * size;
    let products = products(x, y);
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
