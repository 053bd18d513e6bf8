//! Fixed effects with a value for each level of a grouping factor, of which there may be a million: they are eliminated as random
//! effects are, with a precision of zero.
//!
//! With D the columns of these effects, M = Lambda'Z'WZ Lambda + I in the directions of Z is bordered by D'WD without the identity
//! (Henderson's equations: a fixed effect is a random one whose variance is infinite), and
//!
//!   log |M| = log |Lambda'Z'WZ Lambda + I| + log |D'V^-1D|,
//!
//! so that log |M| + log |X'V^-1X|, X'V^-1X with D taken out, is what the restricted likelihood has of all fixed effects, X and D. Its
//! degrees of freedom are n less the rank of both.
//!
//! D is rank deficient where there are several of these factors. Let H be as many effects as it lacks in rank, such that the others
//! are independent. With a penalty p_h b_h^2 on each effect of H the solution is that with b_H = 0, since D has the same span without
//! them, and |D'V^-1D + diag(p_H)| = prod(p_h) |D'V^-1D without H|: of the minors that the determinant is a sum of, all others
//! vanish. So the precision of these effects is p_h, and nothing else needs to know of them; it is so large that M^-1, too, is that
//! with b_H = 0 (beyond it are v v' / p_h, v the combinations of columns that are zero, which no difference of levels sees). Two
//! factors of constants lack as many as their levels have connected components (Searle 1971, Linear Models, section 7.4; Abowd,
//! Creecy & Kramarz 2002); all other deficiencies are found numerically ([`crate::fit::fixed_levels`]).

use crate::api::error::EngineError;
use crate::api::model::{Column, ModelData, Structure};
use crate::basis::covariances::Covariances;
use crate::basis::random::FactorLayout;
use crate::data::connected::Sets;
use crate::moments::blocks::{FactorMoments, Moments, PairMoments};
use crate::runtime::memory;

/// Precision of an effect that is held at 0, relative to what the data say of it.
const HELD: f64 = 1e16;

/// The factors of fixed effects of a model, and what they are held at.
#[derive(Debug, Clone, Default)]
pub(crate) struct FixedLevels {
    /// Their numbers among the user's factors.
    pub user: Vec<usize>,
    /// Levels of each that are held at 0.
    pub held: Vec<Vec<usize>>,
    /// Rank of all their columns.
    pub rank: usize,
}

/// Whether a factor of the user's is one of fixed effects, and whether their column is the constant.
pub(crate) fn kind_of_factor(data: &ModelData<'_>, user: usize) -> Option<bool> {
    let mut terms = data.terms.iter();
    let term = terms.find(|term| term.factor == user && term.structure == Structure::Fixed)?;
    Some(matches!(term.columns[..], [Column::Constant]))
}

impl FixedLevels {
    /// Gives the levels their precisions, and takes their rank off the number of observations.
    ///
    /// # Errors
    /// [`EngineError::NoResidualDf`] where nothing is left.
    pub fn apply(&self, moments: &mut Moments, layout: &[FactorLayout]) -> Result<(), EngineError> {
        for (user, held) in self.user.iter().zip(&self.held) {
            let own = layout.iter().position(|factor| factor.user == Some(*user));
            let Some(factor) = own.map(|f| &mut moments.factors[f]) else {
                continue;
            };
            factor.level_precision = memory::zeros(factor.n_levels);
            for &level in held {
                let own = factor.zz[level];
                let precision = HELD * if own > 0.0 { own } else { 1.0 };
                factor.level_precision[level] = precision;
                moments.log_det_level_precision += precision.ln();
            }
        }
        if moments.n < self.rank + moments.p1 {
            return Err(EngineError::NoResidualDf {
                n: moments.n,
                rank: self.rank + moments.p1 - 1,
            });
        }
        moments.n -= self.rank;
        Ok(())
    }
}

impl Moments {
    /// Levels of a factor with one effect a level in which its column is zero.
    pub(crate) fn empty_levels(&self, f: usize) -> Vec<usize> {
        let squares = self.factors[f].zz.iter().enumerate();
        squares
            .filter(|(_, v)| **v == 0.0)
            .map(|(level, _)| level)
            .collect()
    }

    /// The last level of `g` in each connected component of the levels of two factors, f before g.
    pub(crate) fn one_of_each_component(&self, f: usize, g: usize) -> Vec<usize> {
        let (first, second) = (self.factors[f].n_levels, self.factors[g].n_levels);
        let mut sets = Sets::new(first + second);
        for pair in self.pairs.iter().filter(|pair| pair.f == f && pair.g == g) {
            for j in 0..first {
                for &l in &pair.level[pair.start[j]..pair.start[j + 1]] {
                    sets.unite(j, first + l as usize);
                }
            }
        }
        let mut last = vec![usize::MAX; first + second];
        for level in 0..second {
            last[sets.of(first + level)] = level;
        }
        let mut out: Vec<usize> = last.into_iter().filter(|l| *l != usize::MAX).collect();
        out.sort_unstable();
        out
    }

    /// The cross-products of some factors and X, without precisions.
    pub(crate) fn of_factors(&self, which: &[usize]) -> Self {
        let place = |f: usize| which.iter().position(|own| *own == f);
        let factors = which.iter().map(|&f| FactorMoments {
            level_precision: Vec::new(),
            ..self.factors[f].clone()
        });
        let pairs = self.pairs.iter().filter_map(|pair| {
            let (f, g) = (place(pair.f)?, place(pair.g)?);
            (f != g).then(|| PairMoments {
                f,
                g,
                ..pair.clone()
            })
        });
        Self {
            n: self.n,
            p1: self.p1,
            xx: self.xx.clone(),
            factors: factors.collect(),
            pairs: pairs.collect(),
            sum_log_weights: 0.0,
            log_det_level_precision: 0.0,
            rest: None,
        }
    }
}

/// T = I of factors with one effect a level.
pub(crate) fn unit_covariances(count: usize) -> Covariances {
    let mut out = Covariances::default();
    out.clear(&vec![1; count], &vec![None; count]);
    (0..count).for_each(|f| out.of_class_mut(f, 0)[0] = 1.0);
    out
}
