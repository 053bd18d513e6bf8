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
use crate::basis::internal_theta::InternalTheta;
use crate::basis::rows::combine;
use crate::criterion::objective::Criterion;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::{evaluated, fixed_covariance, is_long};
use crate::inference::extended_rows::ExtendedRows;
use crate::inference::new_rows::{Context, NewRows, Predictions};
use crate::inference::prediction_correlated;
use crate::linalg::double2::Double2;
use crate::linalg::small;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;
use crate::system::equations::Rows;
use crate::system::extended::rows::SolvedEffects;
use crate::system::inverse_entries::{Effects, InverseEntries};

/// Rows in one piece of work.
const ROWS: usize = 512;

/// Levels of a row up to which pairs of them are looked up.
const BLOCKS: usize = 48;

/// A row of the model, or a new one.
pub(super) struct Row {
    /// d'(Q'V^-1Q)^-1 d.
    pub of_fixed: f64,
    /// s'M^-1 s.
    pub of_random: f64,
    /// z'b.
    pub random_mean: f64,
    /// (Q'V^-1Q)^-1 d.
    pub gamma: Vec<f64>,
}

/// Factor, level, and the coefficients of its spherical effects.
type Block = (usize, usize, Vec<f64>);

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
    let twice = ExtendedRows::new(data, prepared, context.factor, rows.n)?;
    let work = pieces(rows.n, ROWS);
    let parts = prepared.system.workers.map(work.len(), |piece| {
        let mut space = SolvedEffects::default();
        let mut variance = |i: usize| match &twice {
            Some(twice) => {
                let found = twice.row(rows, i, Double2::default(), &mut space);
                found.variance.high
            }
            None => context.variance(rows, i),
        };
        let own = work[piece].clone();
        own.map(&mut variance).collect::<Vec<f64>>()
    });
    Ok(Predictions {
        variances: parts.concat(),
        residual_means: Vec::new(),
        residual_variances: Vec::new(),
    })
}

impl<'a> Context<'a> {
    /// At the point where the criterion was evaluated.
    pub(crate) fn new(prepared: &'a Prepared, criterion: &'a mut Criterion<'_>) -> Option<Self> {
        criterion.latest()?;
        let factor = criterion.factor.as_ref()?;
        let latest = criterion.latest.as_ref()?;
        let t = factor.without_added(factor.t.clone());
        let lambda = prepared
            .bases
            .iter()
            .map(|basis| {
                let (k, class) = (basis.k, basis.levels.class());
                let own = t.block(basis.factor, class, (basis.offset, k));
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
    /// The variance.
    pub fn variance(&self, rows: &NewRows<'_>, i: usize) -> f64 {
        let blocks = self.with_solved(self.blocks(rows, i));
        let d = self.fixed_part(rows, i, &blocks);
        let of_fixed: f64 = d.iter().zip(self.gamma(&d)).map(|(d, g)| d * g).sum();
        of_fixed + self.random_part(&blocks)
    }

    /// All that is known of a row.
    pub fn row(&self, rows: &NewRows<'_>, i: usize) -> Row {
        let blocks = self.with_solved(self.blocks(rows, i));
        let d = self.fixed_part(rows, i, &blocks);
        let gamma = self.gamma(&d);
        let random_mean = |block: &Effects| -> f64 {
            let u = self.rows_of(&self.solution.u, block);
            u.iter().zip(&block.s).map(|(u, s)| u * s).sum()
        };
        Row {
            of_fixed: d.iter().zip(&gamma).map(|(d, g)| d * g).sum(),
            of_random: self.random_part(&blocks),
            random_mean: blocks.iter().map(random_mean).sum(),
            gamma,
        }
    }

    /// (Q'V^-1Q)^-1 d.
    fn gamma(&self, d: &[f64]) -> Vec<f64> {
        let r = d.len();
        (0..r)
            .map(|a| (0..r).map(|b| self.fixed[b * r + a] * d[b]).sum())
            .collect()
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
            for (level, weight) in rows.levels(user, i) {
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
                    combine(columns, lambda, i, weight, own);
                }
                blocks.push((f, level, s));
            }
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
        prepared.settle_rows(data, &theta, rows.n)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        variances(data, &prepared, &mut criterion, rows, &theta)
    })
}
