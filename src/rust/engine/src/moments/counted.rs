//! Levels and rows that count as many: the pseudo-likelihood of a sample drawn with unequal probabilities at several levels
//! (Asparouhov 2006, Communications in Statistics 35, 439-460; Rabe-Hesketh & Skrondal 2006, JRSS A 169, 805-827).
//!
//! Levels k of the coarser factor weigh w_k, levels j of the finer one within them w_j|k, rows w_i|j, and with f the density of a row
//! the pseudo-likelihood is
//!
//! sum_k w_k log int exp{ sum_j w_j|k log int exp[ sum_i w_i|j log f(y_i | u_j, u_k) ] phi(u_j) du_j } phi(u_k) du_k.
//!
//! For normal rows log f = -(log 2 pi sigma^2 + e_i^2 / sigma^2) / 2: a weight does not change a row's variance, it says how many rows
//! it is. With A_jj = sum_i w_i|j z_i z_i' the inner integral leaves D_j = T'A_jj T + I and W_j = L_j^-1 T'A_jk T, and w_j|k of its
//! kind leave S_k = T'A_kk T + I - sum_j w_j|k W_j'W_j with A_kk = sum_j w_j|k sum_i w_i|j z_i z_i'. So the quadratic part is that of the
//! model in which row i has the weight w_i = w_k w_j|k w_i|j and each effect of a level v, which counts as c_j = w_k w_j|k or c_k = w_k
//! levels, has the variance G / c_v: with columns of Z divided by sqrt(c_v),
//!
//! A_jj = A^w_jj / c_j,   A_jk = A^w_jk / sqrt(c_j c_k),   A_kk = A^w_kk / c_k,   Z_v'[Q r] = (Z_v'[Q r])^w / sqrt(c_v),
//!
//! all sums A^w over rows with weights w_i. All that is solved for follows from these; spherical effects are sqrt(c_v) times
//! those of the model. Only log |M| is another one: sum_k c_k log |S_k| + sum_j c_j log |D_j|. As log |M_k| = log |S_k| + sum_j log |D_j| is
//! that of the levels within k, it is sum_k c_k log |M_k| + sum_j (c_j - c_k) log |D_j|, and so are its derivatives: those of the
//! ordinary model with what belongs to k taken c_k times, and those of a model with the finer factor alone, c_j - c_k times.
//!
//! Weights are scaled so that they sum to the number of rows, which changes nothing but the size of the criterion.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::random::FactorLayout;
use crate::moments::blocks::Moments;

impl Moments {
    /// Makes the cross-products of rows with weights those of levels that count as many.
    pub(crate) fn count_levels(&mut self, data: &ModelData<'_>, layout: &[FactorLayout]) {
        if !data.is_counted() {
            return;
        }
        let p1 = self.p1;
        for (factor, layout) in self.factors.iter_mut().zip(layout) {
            let counts = layout.user.and_then(|user| data.factors[user].counts);
            factor.multiplicity = counts.unwrap_or_default().to_vec();
            let (square, row) = (factor.k * factor.k, factor.k * p1);
            for (level, &count) in factor.multiplicity.iter().enumerate() {
                let zz = &mut factor.zz[level * square..(level + 1) * square];
                zz.iter_mut().for_each(|v| *v /= count);
                let zx = &mut factor.zx[level * row..(level + 1) * row];
                zx.iter_mut().for_each(|v| *v /= count.sqrt());
            }
        }
        for pair in &mut self.pairs {
            let (first, second) = (&self.factors[pair.f], &self.factors[pair.g]);
            let size = first.k * second.k;
            for level in 0..first.n_levels {
                for entry in pair.start[level]..pair.start[level + 1] {
                    let other = pair.level[entry] as usize;
                    let count = first.times(level) * second.times(other);
                    let block = &mut pair.value[entry * size..(entry + 1) * size];
                    block.iter_mut().for_each(|v| *v /= count.sqrt());
                }
            }
        }
    }
}

impl ModelData<'_> {
    /// Refuses levels that count as many where there is no pseudo-likelihood.
    pub(crate) fn check_counts(&self, options: &Options) -> Result<(), EngineError> {
        if !self.is_counted() {
            return Ok(());
        }
        let plain = self.factors.iter().all(|factor| {
            let counts = factor.counts.unwrap_or_default();
            factor.precision.is_none()
                && factor.members.is_none()
                && counts.len() == factor.n_levels
                && counts.iter().all(|&c| c > 0.0 && c.is_finite())
        });
        let whole = self.residual.is_none() && self.moments.is_none() && self.stands_for.is_none();
        let classes = self.terms.iter().any(|term| term.classes.is_some());
        if plain && whole && !classes && self.factors.len() <= 2 && !options.reml {
            return Ok(());
        }
        Err(EngineError::Dimension(
            "levels that count as many need one or two nested factors of independent levels, and ML".to_owned(),
        ))
    }
}
