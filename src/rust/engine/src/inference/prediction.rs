//! Prediction error variances (Henderson 1975, Biometrics 31): for a row (x, z),
//! Var(x'beta-hat + z'b-hat - x'beta - z'b) / sigma^2 = s'M^-1 s + d'(Q'V^-1Q)^-1 d, with s = Lambda'z and
//! d = x Rinv - C's, C = M^-1 Lambda'Z'Q.
//!
//! s touches one level of each grouping factor (those of the row's residual group as well where [`super::prediction_correlated`] predicts
//! its residual), so that only the blocks of M^-1 for those levels are needed; for rows of the
//! data they are all in the selected inverse.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::rows::combine;
use crate::criterion::objective::Criterion;
use crate::fit::prepare::{prepare, required_start, Prepared};
use crate::inference::evaluated::{evaluated, fixed_covariance, is_long};
use crate::inference::new_rows::{Context, NewRows, Predictions};
use crate::inference::prediction_correlated;
use crate::linalg::small;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;
use crate::system::equations::Rows;
use crate::system::inverse_entries::{Effects, InverseEntries};

/// Rows in one piece of work.
const ROWS: usize = 512;

/// Levels of a row up to which pairs of them are looked up.
const BLOCKS: usize = 48;

/// Factor, level, and the coefficients of its spherical effects.
type Block = (usize, usize, Vec<f64>);

/// For every row of the data, relative to sigma^2.
#[derive(Debug, Clone)]
pub struct Leverages {
    /// t'C^-1 t: the prediction error variance of the row's conditional mean; times the weight it is the leverage.
    pub variances: Vec<f64>,
    /// Fixed part of C^-1 t for each row (r values, kept columns): times w e / (1 - w t'C^-1 t) what the row adds to the
    /// coefficients.
    pub fixed: Vec<f64>,
}

pub(super) fn variances(
    data: &ModelData<'_>,
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    rows: &NewRows<'_>,
    theta: &InternalTheta,
) -> Result<Predictions, EngineError> {
    let Some(context) = Context::new(prepared, criterion) else {
        return Err(EngineError::numerical("the prediction error variances"));
    };
    if let Some(residual) = &rows.residual {
        return prediction_correlated::predictions(&context, data, rows, residual, theta);
    }
    let work = pieces(rows.n, ROWS);
    let parts = prepared.system.workers.map(work.len(), |piece| {
        work[piece]
            .clone()
            .map(|i| context.variance(rows, i).0)
            .collect::<Vec<f64>>()
    });
    Ok(Predictions {
        variances: parts.concat(),
        residual_means: Vec::new(),
        residual_variances: Vec::new(),
    })
}

/// Variances for the rows of the data, and what each adds to the fixed effects.
fn leverages_of(
    data: &ModelData<'_>,
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
) -> Option<Leverages> {
    let rows = NewRows {
        n: data.n(),
        x: data.x.clone(),
        codes: data.factors.iter().map(|f| f.codes).collect(),
        terms: data.terms.iter().map(|t| Some(t.columns.clone())).collect(),
        residual: None,
    };
    let context = Context::new(prepared, criterion)?;
    let (r, fixed) = (context.solution.c.m, &prepared.fixed);
    let work = pieces(rows.n, ROWS);
    let parts = prepared.system.workers.map(work.len(), |piece| {
        let mut out = Leverages {
            variances: Vec::with_capacity(ROWS),
            fixed: Vec::with_capacity(ROWS * r),
        };
        for i in work[piece].clone() {
            let (variance, d) = context.variance(&rows, i);
            let gamma: Vec<f64> = (0..r)
                .map(|a| (0..r).map(|b| context.fixed[b * r + a] * d[b]).sum())
                .collect();
            out.variances.push(variance);
            out.fixed.extend(fixed.kept.iter().map(|&j| {
                (0..r)
                    .map(|c| fixed.rinv[c * data.p + j] * gamma[c])
                    .sum::<f64>()
            }));
        }
        out
    });
    let mut all = Leverages {
        variances: Vec::with_capacity(rows.n),
        fixed: Vec::with_capacity(rows.n * r),
    };
    for part in parts {
        all.variances.extend(part.variances);
        all.fixed.extend(part.fixed);
    }
    Some(all)
}

impl<'a> Context<'a> {
    /// At the point where the criterion was evaluated.
    pub(crate) fn new(prepared: &'a Prepared, criterion: &'a mut Criterion<'_>) -> Option<Self> {
        criterion.latest()?;
        let factor = criterion.factor.as_ref()?;
        let latest = criterion.latest.as_ref()?;
        let lambda = prepared
            .bases
            .iter()
            .map(|basis| {
                let (k, class) = (basis.k, basis.levels.class());
                let own = |t: &Covariances| t.block(basis.factor, class, (basis.offset, k));
                let (mut own, actual) = (own(&factor.t), factor.actual.as_ref().map(own));
                // M is formed with a little of what has no variance; beside standard errors as small it would be seen
                let actual = actual.iter().flat_map(|t| t.chunks_exact(k));
                for (column, actual) in own.chunks_exact_mut(k).zip(actual) {
                    if actual.iter().all(|v| *v == 0.0) {
                        column.fill(0.0);
                    }
                }
                let mut lambda = memory::zeros(k * k);
                small::mul_nn(&basis.change, &own, k, k, k, &mut lambda);
                lambda
            })
            .collect();
        Some(Self {
            system: &prepared.system,
            factor,
            inverse: &latest.inverse,
            solution: &latest.solution,
            prepared,
            lambda,
            user: prepared.layout.iter().map(|f| f.user).collect(),
            fixed: fixed_covariance(&factor.lx, latest.solution.c.m),
        })
    }
}

impl Context<'_> {
    /// The variance, and d.
    pub fn variance(&self, rows: &NewRows<'_>, i: usize) -> (f64, Vec<f64>) {
        let blocks = self.with_solved(self.blocks(rows, i));
        let d = self.fixed_part(rows, i, &blocks);
        let r = d.len();
        let fixed: f64 = (0..r)
            .map(|a| d[a] * (0..r).map(|b| self.fixed[b * r + a] * d[b]).sum::<f64>())
            .sum();
        (fixed + self.random_part(&blocks), d)
    }

    /// The variance less what the row's group says of it: with `less` added to s, and `v` taken from Lx^-1 d.
    pub fn variance_less(&self, rows: &NewRows<'_>, i: usize, less: Vec<Block>, v: &[f64]) -> f64 {
        let own = self.blocks(rows, i);
        let mut d = self.fixed_part(rows, i, &self.with_solved(own.clone()));
        let (r, p1) = (d.len(), v.len() + 1);
        for a in 0..r {
            d[a] /= self.factor.lx[a * p1 + a];
            for b in a + 1..r {
                d[b] -= d[a] * self.factor.lx[a * p1 + b];
            }
        }
        let fixed: f64 = d.iter().zip(v).map(|(d, v)| (d - v).powi(2)).sum();
        let mut blocks = less;
        for (factor, level, s) in own {
            match blocks.iter_mut().find(|b| (b.0, b.1) == (factor, level)) {
                Some(block) => block.2.iter_mut().zip(&s).for_each(|(x, y)| *x += y),
                None => blocks.push((factor, level, s)),
            }
        }
        fixed + self.random_part(&self.with_solved(blocks))
    }

    /// d = Rinv'x - C's.
    fn fixed_part(&self, rows: &NewRows<'_>, i: usize, blocks: &[Effects]) -> Vec<f64> {
        let r = self.solution.c.m;
        let mut d = memory::zeros(r);
        let at = self.prepared.coordinates();
        at.write_q(&rows.x, i, 1.0, &mut d);
        for block in blocks {
            let c = self.rows_of(&self.solution.c, block);
            for (row, s) in c.chunks_exact(r.max(1)).zip(&block.s) {
                d.iter_mut().zip(row).for_each(|(d, c)| *d -= s * c);
            }
        }
        d
    }

    /// s'M^-1 s.
    fn random_part(&self, blocks: &[Effects]) -> f64 {
        // blocks of M^-1 where effects are large: their sum cancels
        let few = if blocks.len() <= BLOCKS && self.system.moments.rest.is_none() {
            self.quadratic(blocks)
        } else {
            None
        };
        few.unwrap_or_else(|| self.solved(blocks))
    }

    fn with_solved(&self, blocks: Vec<Block>) -> Vec<Effects> {
        let entries = self.entries();
        blocks
            .into_iter()
            .map(|(factor, level, s)| entries.effects(factor, level, s))
            .collect()
    }

    /// Levels that the row touches, with s = (B T)'z.
    fn blocks(&self, rows: &NewRows<'_>, i: usize) -> Vec<Block> {
        let mut blocks = Vec::with_capacity(self.user.len());
        for (f, &user) in self.user.iter().enumerate() {
            let code = user.map_or(0, |user| rows.codes[user][i]);
            if code == 0 {
                continue;
            }
            let level = code as usize - 1;
            let mut s = memory::zeros(self.prepared.parameters.factor_k[f]);
            for &first in &self.prepared.layout[f].terms {
                let basis = &self.prepared.bases[first];
                let Some(columns) = &rows.terms[basis.term] else {
                    continue;
                };
                let own = &mut s[basis.offset..basis.offset + basis.k];
                // the basis of its class
                let of_term = &self.prepared.bases[first..];
                let class = of_term.iter().position(|own| own.levels.contains(level));
                let lambda = &self.lambda[first + class.unwrap_or(0)];
                combine(columns, lambda, i, 1.0, own);
            }
            blocks.push((f, level, s));
        }
        blocks
    }

    /// Rows of a matrix with one row for each random effect.
    fn rows_of<'b>(&self, rows: &'b Rows, block: &Effects) -> &'b [f64] {
        let (k, m) = (block.s.len(), rows.m);
        if block.factor == 0 {
            return &rows.eliminated[block.level * k * m..(block.level + 1) * k * m];
        }
        let start = self.entries().start(block);
        &rows.complement[start * m..(start + k) * m]
    }

    fn entries(&self) -> InverseEntries<'_> {
        InverseEntries {
            system: self.system,
            factor: self.factor,
            inverse: self.inverse,
        }
    }

    /// s'M^-1 s from blocks of the selected inverse; `None` where an entry is not in its pattern.
    fn quadratic(&self, blocks: &[Effects]) -> Option<f64> {
        let entries = self.entries();
        let mut sum = 0.0;
        for (i, a) in blocks.iter().enumerate() {
            sum += entries.bilinear(a, a)?;
            for b in &blocks[i + 1..] {
                sum += 2.0 * entries.bilinear(a, b)?;
            }
        }
        Some(sum)
    }

    /// s'M^-1 s = |L^-1 s|^2.
    fn solved(&self, blocks: &[Effects]) -> f64 {
        let mut rows = Rows {
            eliminated: memory::zeros(self.system.q1()),
            complement: memory::zeros(self.system.schur.q2),
            m: 1,
        };
        for block in blocks {
            if block.factor == 0 {
                let k = block.s.len();
                rows.eliminated[block.level * k..(block.level + 1) * k].copy_from_slice(&block.s);
            } else {
                let start = self.entries().start(block);
                rows.complement[start..start + block.s.len()].copy_from_slice(&block.s);
            }
        }
        self.factor.forward(self.system, &mut rows);
        rows.eliminated
            .iter()
            .chain(&rows.complement)
            .map(|v| v * v)
            .sum()
    }
}

/// Prediction error variances relative to sigma^2 of x'beta + z'b for each of `rows`, at `options.start`; with
/// their residual structure, predictions of their residuals too.
///
/// # Errors
/// See [`EngineError`].
pub fn prediction_variances(
    data: &ModelData<'_>,
    rows: &NewRows<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Predictions, EngineError> {
    interruptible(is_long(data), interrupt, |stop: &StopFlag, interrupt| {
        rows.validate(data)?;
        let mut prepared = prepare(data, options, stop)?;
        let theta = required_start(options, &prepared)?;
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        variances(data, &prepared, &mut criterion, rows, &theta)
    })
}

/// Leverage of every row of the data, and what its deletion changes in the fixed effects, at `options.start`.
///
/// # Errors
/// See [`EngineError`].
pub fn leverages(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Leverages, EngineError> {
    data.require_rows("leverages")?;
    interruptible(is_long(data), interrupt, |stop: &StopFlag, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let theta = required_start(options, &prepared)?;
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let found = leverages_of(data, &prepared, &mut criterion);
        found.ok_or_else(|| criterion.failure("the leverages"))
    })
}
