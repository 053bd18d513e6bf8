//! Prediction of new observations whose residuals are correlated with those of the fit.
//!
//! Let y = X beta + Z b + eps, Var(eps) = sigma^2 R, and y* = x*'beta + z*'b + eps* with Cov(eps, eps*) = sigma^2 r and
//! Var(eps*) = sigma^2 rho. Then eps* = r'R^-1 eps + eta with eta independent of eps and b, Var(eta) = sigma^2 (rho -
//! r'R^-1r), and eps = y - X beta - Z b, so that with g = R^-1 r
//!
//! y* = g'y + x~'beta + z~'b + eta,   x~ = x* - X'g,   z~ = z* - Z'g.
//!
//! g'y is known. The best linear unbiased prediction of the rest is x~'beta-hat + z~'b-hat, with the error variance that
//! Henderson's equations give (see [`super::prediction`]), and eta is independent of all data:
//!
//! prediction x*'beta-hat + z*'b-hat + g'e,   e = y - X beta-hat - Z b-hat,
//! error variance / sigma^2 = s~'M^-1 s~ + |v~|^2 + rho - r'R^-1r,   s~ = Lambda'z~,   v~ = Lx^-1 (d* - sum_i g_i d_i),
//!
//! d = Rinv'x - C's of the new row and of the rows i of its group. With R = W^-1/2 D C D W^-1/2, weight w* and scale d* of the
//! new row and its correlations c with the rows of its group, r'R^-1r = rho c'C^-1c, rho = d*^2 / w*, and
//! g = rho^1/2 W^1/2 D^-1 C^-1 c. Rows of other groups have g = 0.

use std::borrow::Cow;

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::objective::RESIDUAL;
use crate::criterion::residual_solution::ResidualSolution;
use crate::fit::prepared::Prepared;
use crate::inference::new_rows::{Context, NewResiduals, NewRows, Predictions};
use crate::moments::residual_part::ResidualPart;
use crate::runtime::memory;
use crate::structure::residual::{self, Residual, Whitening};

/// New rows of one group in one piece of work.
const ROWS: usize = 64;

/// Share of what a residual is predicted from up to which a variance below zero is what rounding leaves of zero.
const ROUNDING: f64 = 1e-6;

/// What all new rows need.
struct Fitted<'a> {
    part: Cow<'a, ResidualPart>,
    phi: &'a [f64],
    whitening: Whitening,
    rows: ResidualSolution,
    new: residual::NewPlaces,
    /// Standard deviations of the new rows relative to sigma.
    deviation: Vec<f64>,
}

/// One new row.
struct Predicted {
    row: usize,
    variance: f64,
    residual_mean: f64,
    residual_variance: f64,
}

/// Predictions with the residuals of the new rows' groups.
pub(super) fn predictions(
    context: &Context<'_>,
    data: &ModelData<'_>,
    rows: &NewRows<'_>,
    new: &NewResiduals<'_>,
    theta: &InternalTheta,
) -> Result<Predictions, EngineError> {
    let prepared = context.prepared;
    let fitted = Fitted::new(context, data, rows, new, theta)?;
    let model = fitted.model();
    let work = pieces_by_group(model, rows.n, new);
    let parts = prepared
        .system
        .workers
        .map(work.len(), |piece| match &work[piece] {
            (Some(g), own) => fitted.in_group(context, rows, *g, own),
            (None, own) => Ok(own
                .iter()
                .map(|&row| Predicted {
                    row,
                    variance: context.variance(rows, row),
                    residual_mean: 0.0,
                    residual_variance: fitted.deviation[row].powi(2),
                })
                .collect()),
        });
    let mut out = Predictions {
        variances: memory::zeros(rows.n),
        residual_means: memory::zeros(rows.n),
        residual_variances: memory::zeros(rows.n),
    };
    for part in parts {
        for one in part? {
            out.variances[one.row] = one.variance;
            out.residual_means[one.row] = one.residual_mean;
            out.residual_variances[one.row] = one.residual_variance;
        }
    }
    Ok(out)
}

/// Some of the rows of one group that has rows in the fit (`None`: of any others).
type Piece = (Option<usize>, Vec<usize>);

fn pieces_by_group(model: &Residual, n: usize, new: &NewResiduals<'_>) -> Vec<Piece> {
    let group = |row: usize| -> Option<usize> {
        let code = match &new.structure.groups {
            Some(groups) => groups.codes[row] as usize,
            None => 1,
        };
        let g = code.checked_sub(1)?;
        let correlated = new.structure.correlation.is_some() && !model.group(g).is_empty();
        correlated.then_some(g)
    };
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&row| group(row));
    let mut work: Vec<Piece> = Vec::new();
    for row in order {
        let g = group(row);
        match work.last_mut() {
            Some((last, own)) if *last == g && own.len() < ROWS => own.push(row),
            _ => work.push((g, vec![row])),
        }
    }
    work
}

/// Coefficients on the levels of one factor that a group of rows touches.
struct Touched {
    factor: usize,
    k: usize,
    /// Ascending.
    levels: Vec<u32>,
    /// For each new row, for each level, k coefficients.
    s: Vec<f64>,
}

impl<'a> Fitted<'a> {
    pub(crate) fn new(
        context: &Context<'a>,
        data: &ModelData<'_>,
        rows: &NewRows<'_>,
        new: &NewResiduals<'_>,
        theta: &'a InternalTheta,
    ) -> Result<Self, EngineError> {
        let prepared: &'a Prepared = context.prepared;
        let part = prepared.residual.as_ref().ok_or_else(|| {
            EngineError::Dimension("the model has no residual structure".to_owned())
        })?;
        let part = part.with_all_rows(data, prepared.coordinates(), &prepared.center);
        let phi = prepared.parameters.of_residual(theta);
        let whitening = part
            .model
            .at_with(phi, &prepared.system.workers)
            .ok_or(EngineError::numerical(RESIDUAL))?;
        let solution = part.solution(&prepared.system, context.factor, context.solution);
        let structure = part.model.new_rows(&new.structure, rows.n)?;
        let mut deviation = part.model.scale_at(phi, &structure);
        if let Some(weights) = new.weights {
            deviation
                .iter_mut()
                .zip(weights)
                .for_each(|(d, w)| *d /= w.sqrt());
        }
        Ok(Self {
            part,
            phi,
            whitening,
            rows: solution,
            new: structure,
            deviation,
        })
    }

    fn model(&self) -> &Residual {
        &self.part.model
    }

    fn in_group(
        &self,
        context: &Context<'_>,
        rows: &NewRows<'_>,
        g: usize,
        own: &[usize],
    ) -> Result<Vec<Predicted>, EngineError> {
        let places = self.model().group(g);
        let (m, c, p1) = (places.len(), own.len(), self.rows.p1);
        let cross = self.model().cross(self.phi, Some(g), &self.new, own)?;
        let correlation = |i: usize, a: usize| cross.with_fitted[a * m + i];
        // C^-1 c, a column for each new row
        let mut gain: Vec<f64> = memory::collect((0..m * c).map(|e| correlation(e / c, e % c)));
        self.whitening
            .solve_correlation(self.model().pattern_of(g), &mut gain, c);
        let residual_variances = (0..c)
            .map(|a| {
                let products = (0..m).map(|i| correlation(i, a) * gain[i * c + a]);
                let (known, size) =
                    products.fold((0.0, 1.0), |(sum, size), x: f64| (sum + x, size + x.abs()));
                if known - 1.0 > ROUNDING * size {
                    return Err(EngineError::NoRoomInGroup { row: own[a] + 1 });
                }
                Ok(self.deviation[own[a]].powi(2) * (1.0 - known).max(0.0))
            })
            .collect::<Result<Vec<f64>, _>>()?;
        // g
        for (place, gain) in places.clone().zip(gain.chunks_exact_mut(c)) {
            let scale = self.whitening.inverse_scale.get(place).copied();
            for (gain, &row) in gain.iter_mut().zip(own) {
                *gain *= self.deviation[row] * scale.unwrap_or(1.0);
            }
        }
        // sum_i g_i [Lx^-1 d_i, e_i]
        let mut sums = memory::zeros(c * p1);
        for (place, gain) in places.clone().zip(gain.chunks_exact(c)) {
            let columns = &self.rows.columns[place * p1..(place + 1) * p1];
            for (sum, gain) in sums.chunks_exact_mut(p1).zip(gain) {
                sum.iter_mut()
                    .zip(columns)
                    .for_each(|(s, v)| *s += gain * v);
            }
        }
        let touched: Vec<Touched> = (0..self.part.layout.len())
            .filter(|&f| self.part.layout[f].n_levels > 0)
            .map(|f| self.touched(context, f, places.clone(), &gain, c))
            .collect();
        Ok((0..c)
            .map(|a| {
                let sums = &sums[a * p1..(a + 1) * p1];
                let less: Vec<(usize, usize, Vec<f64>)> = touched
                    .iter()
                    .flat_map(|t| {
                        let own = &t.s[a * t.levels.len() * t.k..];
                        t.levels
                            .iter()
                            .zip(own.chunks_exact(t.k))
                            .map(|(&level, s)| {
                                (t.factor, level as usize, s.iter().map(|v| -v).collect())
                            })
                    })
                    .collect();
                Predicted {
                    row: own[a],
                    variance: context.variance_less(rows, own[a], less, &sums[..p1 - 1]),
                    residual_mean: sums[p1 - 1],
                    residual_variance: residual_variances[a],
                }
            })
            .collect())
    }

    /// Lambda'Z'g by level of one factor, for each column of g.
    fn touched(
        &self,
        context: &Context<'_>,
        f: usize,
        places: std::ops::Range<usize>,
        gain: &[f64],
        c: usize,
    ) -> Touched {
        let k = self.part.layout[f].k;
        let level = &self.part.rows.level[f];
        let mut levels = level[places.clone()].to_vec();
        levels.sort_unstable();
        levels.dedup();
        let mut s = memory::zeros(c * levels.len() * k);
        for (place, gain) in places.zip(gain.chunks_exact(c)) {
            let z = &self.part.rows.z[f][place * k..(place + 1) * k];
            let at = levels.partition_point(|&l| l < level[place]);
            let t = context.factor.t.of(f, level[place] as usize);
            for j in 0..k {
                let own: f64 = (j..k).map(|i| t[j * k + i] * z[i]).sum();
                for (a, gain) in gain.iter().enumerate() {
                    s[(a * levels.len() + at) * k + j] += gain * own;
                }
            }
        }
        Touched {
            factor: f,
            k,
            levels,
            s,
        }
    }
}
