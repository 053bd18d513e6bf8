//! Rows of [Q r] about a centre with random effects.

use crate::api::model::{Column, ModelData};
use crate::basis::random::{FactorLayout, TermBasis};
use crate::basis::rows::{root_of_weight, Coordinates};
use crate::linalg::double2::Double2;
use crate::moments::blocks::Center;
use crate::runtime::memory;

/// Rows of [Q r] about a centre with random effects, to full precision: what is left of them may be many orders of magnitude
/// smaller than they are.
pub(crate) struct CenteredRows<'a> {
    data: &'a ModelData<'a>,
    layout: &'a [FactorLayout],
    bases: &'a [TermBasis],
    /// -[Q r] in terms of the columns of X, p x p1 row-major, but for the response itself.
    fixed: Vec<f64>,
    /// For each factor with a centre its effects on the user's columns, p1 values an effect.
    effects: Vec<Vec<f64>>,
    p1: usize,
}

impl<'a> CenteredRows<'a> {
    pub fn new(data: &'a ModelData<'a>, at: Coordinates<'a>, center: &Center) -> Self {
        let Coordinates {
            fixed: basis,
            layout,
            bases,
        } = at;
        let (p, r) = (data.p, basis.rank());
        let p1 = r + 1;
        let of_column = |c: usize, i: usize| match c {
            c if c < r => -basis.rinv[c * p + i],
            _ => center.beta[i],
        };
        let fixed = (0..p * p1).map(|e| of_column(e % p1, e / p1)).collect();
        let effects = layout.iter().zip(&center.b).map(|(factor, b)| {
            let mut out = memory::zeros(b.len());
            let levels = out.chunks_exact_mut(factor.k * p1);
            let levels = levels.zip(b.chunks_exact(factor.k * p1));
            for (level, (own, b)) in levels.enumerate() {
                for &t in &factor.terms {
                    let basis = at.of_class(t, factor.class(level));
                    let k = basis.k;
                    for c in 0..k {
                        for a in 0..=c {
                            let weight = basis.change[c * k + a];
                            let to = &mut own[(basis.offset + a) * p1..(basis.offset + a + 1) * p1];
                            let from = &b[(basis.offset + c) * p1..(basis.offset + c + 1) * p1];
                            to.iter_mut().zip(from).for_each(|(x, b)| *x += weight * b);
                        }
                    }
                }
            }
            out
        });
        Self {
            data,
            layout,
            bases,
            fixed,
            effects: effects.collect(),
            p1,
        }
    }

    /// W^{1/2} [Q - Z B_0, y - offset - X beta_0 - Z b_0] of row `i`.
    pub fn write(&self, i: usize, row: &mut [f64]) {
        let root = root_of_weight(self.data, i);
        row.iter_mut()
            .zip(self.row(i))
            .for_each(|(out, value)| *out = root * value.high);
    }

    /// Like [`Self::write`], with twice the digits.
    pub fn write_extended(&self, i: usize, row: &mut [Double2]) {
        let root = Double2::from(root_of_weight(self.data, i));
        row.iter_mut()
            .zip(self.row(i))
            .for_each(|(out, value)| *out = root * value);
    }

    /// What is weighted there, column by column.
    pub(crate) fn row(&self, i: usize) -> impl Iterator<Item = Double2> + '_ {
        let data = self.data;
        let mut response = Double2::from(data.y[i]);
        response += Double2::from(-data.offset.map_or(0.0, |offset| offset[i]));
        let levels = move |f: &FactorLayout| f.of_row(data, i);
        let columns = |term: usize| Some(data.terms[term].columns.as_slice());
        self.row_of(i, &data.x, response, levels, columns)
    }

    /// The same of row `i` of any columns of X and of terms, at any levels with their weights, with this in the place of y - offset;
    /// levels and terms that it does not have are left out.
    pub(crate) fn row_of<'b, L: Iterator<Item = (usize, f64)>>(
        &'b self,
        i: usize,
        x: &'b [Column<'b>],
        response: Double2,
        levels: impl Fn(&FactorLayout) -> L + 'b,
        columns: impl Fn(usize) -> Option<&'b [Column<'b>]> + 'b,
    ) -> impl Iterator<Item = Double2> + 'b {
        let p1 = self.p1;
        (0..p1).map(move |c| {
            let mut sum = Double2::default();
            if c + 1 == p1 {
                sum += response;
            }
            for (j, column) in x.iter().enumerate() {
                sum += Double2::product(-column.at(i), self.fixed[j * p1 + c]);
            }
            for (factor, effects) in self.layout.iter().zip(&self.effects) {
                if effects.is_empty() {
                    continue;
                }
                for (level, weight) in levels(factor) {
                    let own = &effects[level * factor.k * p1..];
                    for &t in &factor.terms {
                        let basis = &self.bases[t];
                        let own = own[basis.offset * p1..].chunks_exact(p1);
                        for (column, own) in columns(basis.term).unwrap_or(&[]).iter().zip(own) {
                            let value = Double2::product(-column.at(i), own[c]);
                            sum += value * Double2::from(weight);
                        }
                    }
                }
            }
            sum
        })
    }
}
