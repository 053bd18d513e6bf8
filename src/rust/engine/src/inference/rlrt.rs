//! Null distribution of the (restricted) likelihood ratio of one variance in finite samples.
//!
//! Crainiceanu & Ruppert (2004, JRSS B 66, Theorem 1): in y = X beta + Z b + eps with b ~ N(0, lambda sigma^2 I) and
//! lambda = 0, the statistic is distributed as
//!
//! > sup over lambda >= 0 of  a log(1 + N(lambda) / D(lambda)) - sum_s log(1 + lambda xi_s),
//! >
//! > N(lambda) = sum_s lambda mu_s w_s^2 / (1 + lambda mu_s),
//! > D(lambda) = sum_s w_s^2 / (1 + lambda mu_s) + sum_{s > K} w_s^2,   w_s independent N(0, 1), n - p of them,
//!
//! with mu the eigenvalues of Z'P_0Z; REML: a = n - p and xi = mu (their equation 9); ML, with the same fixed effects in both
//! models: a = n and xi the eigenvalues of Z'Z (equation 6). This is exact. Weights: Z, X and y times their roots.
//!
//! With further random effects V_0 = R + Z_0 G_0 Z_0' stands for R: P_0 = V_0^-1 - V_0^-1X(X'V_0^-1X)^-1X'V_0^-1 at the
//! estimates of the smaller model, as if those were known. That is the approximation of Greven, Crainiceanu, Kuechenhoff &
//! Peters (2008, JCGS 17), with the nuisance effects whitened out instead of subtracted.
//!
//! Everything comes from the factor of the whole model with the tested variance at zero:
//! Z'V_0^-1Z = Z'R^-1Z - G'G with G = L^-1 Lambda'Z_all'R^-1Z; nothing has n rows.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::random::TermBasis;
use crate::criterion::objective::Criterion;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::{evaluated, is_long};
use crate::linalg::dense::{self, Matrix};
use crate::linalg::small;
use crate::moments::blocks::PairMoments;
use crate::runtime::interruptible::interruptible;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;
use crate::system::equations::{Rows, System};
use crate::system::right_hand_sides::gram;

/// Draws in one piece of work.
const DRAWS: usize = 256;

/// Distance of neighbouring log lambda where the supremum is looked for first.
const GRID: f64 = 0.25;

/// Halvings of an interval around the supremum.
const HALVINGS: usize = 30;

/// Eigenvalues, ascending; their number is that of the levels.
#[derive(Debug, Clone)]
pub struct Spectrum {
    /// Of Z'P_0Z.
    pub restricted: Vec<f64>,
    /// Of Z'V_0^-1Z.
    pub marginal: Vec<f64>,
    /// n - rank(X).
    pub residual_df: usize,
}

/// Eigenvalues and how often each of them occurs.
#[derive(Debug, Clone, Copy)]
pub struct Multiset<'a> {
    /// Distinct values.
    pub values: &'a [f64],
    /// Multiplicities.
    pub times: &'a [f64],
}

/// Spectrum of a term of `data` (one effect a level) with the other terms at `options.start` (where that of the term itself
/// has to be zero). Where levels have classes it is the variance of one class: `term` counts them as theta does, class after
/// class within a term.
///
/// # Errors
/// See [`EngineError`].
pub fn variance_spectrum(
    data: &ModelData<'_>,
    term: usize,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<Spectrum, EngineError> {
    if data.residual.is_some() || data.factors.iter().any(|f| f.precision.is_some()) {
        return Err(EngineError::Dimension(
            "the spectrum needs independent residuals and levels".to_owned(),
        ));
    }
    interruptible(true, interrupt, |stop: &StopFlag, interrupt| {
        let prepared = prepare(data, options, stop)?;
        if prepared.bases.get(term).map_or(0, |basis| basis.k) != 1 {
            return Err(EngineError::Dimension(
                "the spectrum is that of a term with one effect".to_owned(),
            ));
        }
        let theta = required_start(options, &prepared)?;
        let criterion = evaluated(&prepared, options, &theta, interrupt)?;
        spectrum(&prepared, &criterion, term)
            .ok_or_else(|| criterion.failure("the spectrum of the random effect"))
    })
}

/// Operations that one fit of the model takes, roughly: rows once, ten evaluations with their second derivatives.
///
/// # Errors
/// See [`EngineError`].
pub fn work_of_fit(
    data: &ModelData<'_>,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<f64, EngineError> {
    interruptible(is_long(data), interrupt, |stop, interrupt| {
        let prepared = prepare(data, options, stop)?;
        let theta = InternalTheta::new(memory::zeros(prepared.parameters.len()));
        let criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let columns: usize = data.terms.iter().map(|t| t.columns.len().pow(2)).sum();
        let rows = data.rows() as f64 * (4 * data.p + 8 * columns + 8) as f64;
        let second = criterion.exact_cost();
        let second = if second.is_finite() { second } else { 0.0 };
        Ok(rows + 10.0 * (criterion.evaluation_cost() + second))
    })
}

fn spectrum(prepared: &Prepared, criterion: &Criterion<'_>, term: usize) -> Option<Spectrum> {
    let factor = criterion.factor.as_ref()?;
    let system = &prepared.system;
    let basis = &prepared.bases[term];
    let own = &system.moments.factors[basis.factor];
    let (k, p1) = (own.k, system.moments.p1);
    let of_basis: Vec<usize> = basis.levels.among(own.n_levels).collect();
    let levels = of_basis.len();
    let r = p1 - 1;
    let mut g = products(system, &factor.t, basis, &of_basis);
    factor.forward(system, &mut g);
    let mut marginal = Matrix {
        data: gram(system, &g).to_vec(),
        nrows: levels,
        ncols: levels,
    };
    for value in &mut marginal.data {
        *value = -*value;
    }
    for (j, level) in of_basis.iter().enumerate() {
        marginal.data[j * levels + j] += own.zz[level * k * k + basis.offset * (k + 1)];
    }
    // levels that share rows
    let shared = |pair: &&PairMoments| (pair.f, pair.g) == (basis.factor, basis.factor);
    for pair in system.moments.pairs.iter().filter(shared) {
        for j in 0..levels {
            for entry in pair.start[j]..pair.start[j + 1] {
                let (l, value) = (
                    pair.level[entry] as usize,
                    pair.value[entry * k * k + basis.offset * (k + 1)],
                );
                marginal.data[j * levels + l] += value;
                marginal.data[l * levels + j] += value;
            }
        }
    }
    // Z'V^-1[Q r], levels x p1
    let mut h = memory::zeros(levels * p1);
    for (j, level) in of_basis.iter().enumerate() {
        for c in 0..p1 {
            h[c * levels + j] = own.zx[(level * k + basis.offset) * p1 + c];
        }
    }
    for (x, y) in [
        (&g.eliminated, &factor.rzx.eliminated),
        (&g.complement, &factor.rzx.complement),
    ] {
        if !x.is_empty() {
            let rows = x.len() / levels;
            dense::add_transposed_product(x, y, rows, levels, p1, -1.0, &mut h);
        }
    }
    // rows of Z'V^-1Q Lx^-T
    let lower: Vec<f64> =
        memory::collect((0..r * r).map(|e| factor.lx[(e / r.max(1)) * p1 + e % r.max(1)]));
    let mut projected = memory::zeros(levels * r);
    for (j, row) in projected.chunks_exact_mut(r.max(1)).enumerate() {
        for (c, value) in row.iter_mut().enumerate() {
            *value = h[c * levels + j];
        }
        small::solve_lower(&lower, r, row);
    }
    let mut restricted = marginal.clone();
    for a in 0..if r > 0 { levels } else { 0 } {
        for b in a..levels {
            restricted.data[a * levels + b] -= projected[a * r..(a + 1) * r]
                .iter()
                .zip(&projected[b * r..(b + 1) * r])
                .map(|(x, y)| x * y)
                .sum::<f64>();
        }
    }
    Some(Spectrum {
        restricted: dense::symmetric_eigenvalues(&restricted)?,
        marginal: dense::symmetric_eigenvalues(&marginal)?,
        residual_df: system.moments.n - r,
    })
}

/// Lambda'Z_all'WZ for the first effect of one term: a row for each random effect, a column for each of the term's `levels`
/// (ascending).
fn products(system: &System, t: &Covariances, basis: &TermBasis, levels: &[usize]) -> Rows {
    let (moments, schur, k1) = (&system.moments, &system.schur, system.k1());
    let (f, offset, m) = (basis.factor, basis.offset, levels.len());
    let column = |level: usize| levels.binary_search(&level).ok();
    let mut rows = Rows {
        eliminated: memory::zeros(system.q1() * m),
        complement: memory::zeros(schur.q2 * m),
        m,
    };
    // block: the column of Z_g,l'Z_f,j for the effect
    let mut put = |g: usize, level: usize, j: usize, block: &dyn Fn(usize) -> f64| {
        let k = moments.factors[g].k;
        let (out, first) = if g == 0 {
            (&mut rows.eliminated, level * k1)
        } else {
            let node = schur.node_of[g][level] as usize;
            (&mut rows.complement, schur.offset[node])
        };
        for a in 0..k {
            out[(first + a) * m + j] = (a..k).map(|c| t.of(g, level)[a * k + c] * block(c)).sum();
        }
    };
    let k = moments.factors[f].k;
    for (j, &level) in levels.iter().enumerate() {
        let zz = &moments.factors[f].zz[level * k * k..(level + 1) * k * k];
        put(f, level, j, &|c| zz[offset * k + c]);
    }
    for pair in moments.pairs.iter().filter(|p| p.f == f || p.g == f) {
        let (kf, kg) = (moments.factors[pair.f].k, moments.factors[pair.g].k);
        for level in 0..moments.factors[pair.f].n_levels {
            for entry in pair.start[level]..pair.start[level + 1] {
                let other = pair.level[entry] as usize;
                let block = &pair.value[entry * kf * kg..(entry + 1) * kf * kg];
                // within a factor both are its levels
                if let (true, Some(j)) = (pair.f == f, column(level)) {
                    put(pair.g, other, j, &|c| block[c * kf + offset]);
                }
                if let (true, Some(j)) = (pair.g == f, column(other)) {
                    put(pair.f, level, j, &|c| block[offset * kf + c]);
                }
            }
        }
    }
    rows
}

/// Draws of the statistic. `draws` has a column for each of them: a chi-squared variable for each distinct value of
/// `restricted`, with as many degrees of freedom as it occurs times, then one for what is left of the n - p.
///
/// # Errors
/// [`EngineError::Dimension`], [`EngineError::Interrupted`].
pub fn likelihood_ratio_draws(
    restricted: Multiset<'_>,
    marginal: Multiset<'_>,
    degrees: f64,
    draws: &[f64],
    threads: usize,
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<f64>, EngineError> {
    let size = restricted.values.len() + 1;
    if draws.len() % size != 0 || marginal.values.len() != marginal.times.len() {
        return Err(EngineError::Dimension(
            "draws need one value for each eigenvalue and one more".to_owned(),
        ));
    }
    let largest = restricted.values.iter().fold(0.0f64, |a, &v| a.max(v));
    if largest <= 0.0 {
        return Ok(memory::zeros(draws.len() / size));
    }
    let count = draws.len() / size;
    interruptible(true, interrupt, |stop: &StopFlag, _| {
        let search = Search::new(restricted.values, marginal, degrees);
        let work = 100.0 * draws.len() as f64;
        let workers = Workers::new(threads, work, stop);
        let parts = pieces(count, DRAWS);
        let found = workers.map(parts.len(), |piece| {
            parts[piece]
                .clone()
                .map(|i| search.supremum(&draws[i * size..(i + 1) * size]))
                .collect::<Vec<f64>>()
        });
        Ok(found.concat())
    })
}

/// What the suprema of all draws have in common.
struct Search<'a> {
    mu: &'a [f64],
    marginal: Multiset<'a>,
    degrees: f64,
    /// log lambda.
    grid: Vec<f64>,
    /// 1 / (1 + lambda mu) at each point of the grid.
    shrink: Vec<f64>,
    /// sum log(1 + lambda xi) there.
    determinant: Vec<f64>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(mu: &'a [f64], marginal: Multiset<'a>, degrees: f64) -> Self {
        let (smallest, largest) = mu
            .iter()
            .fold((f64::INFINITY, 0.0f64), |(a, b), &v| (a.min(v), b.max(v)));
        // below the first point the statistic is less than about 1e-6; above the last one all is shrunk away
        let (from, to) = ((1e-3 / largest).ln(), (1e4 / smallest).ln());
        let points = ((to - from) / GRID).ceil() as usize + 1;
        let grid: Vec<f64> = (0..points).map(|i| from + GRID * i as f64).collect();
        let shrink = grid
            .iter()
            .flat_map(|t| mu.iter().map(|mu| 1.0 / (1.0 + t.exp() * mu)))
            .collect();
        let determinant = grid
            .iter()
            .map(|t| {
                let terms = marginal.values.iter().zip(marginal.times);
                terms.map(|(xi, m)| m * (t.exp() * xi).ln_1p()).sum()
            })
            .collect();
        Self {
            mu,
            marginal,
            degrees,
            grid,
            shrink,
            determinant,
        }
    }

    fn supremum(&self, draw: &[f64]) -> f64 {
        let k = self.mu.len();
        let (chi, rest) = (&draw[..k], draw[k]);
        let total: f64 = chi.iter().sum::<f64>() + rest;
        let best = (0..self.grid.len())
            .map(|i| {
                let shrunk: f64 = chi
                    .iter()
                    .zip(&self.shrink[i * k..(i + 1) * k])
                    .map(|(c, s)| c * s)
                    .sum();
                self.degrees * (total / (shrunk + rest)).ln() - self.determinant[i]
            })
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |a, b| if b.1 > a.1 { b } else { a });
        let (mut low, mut high) = (
            self.grid[best.0.saturating_sub(1)],
            self.grid[(best.0 + 1).min(self.grid.len() - 1)],
        );
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if self.value(chi, rest, total, middle).1 > 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        let found = self.value(chi, rest, total, 0.5 * (low + high)).0;
        found.max(best.1).max(0.0)
    }

    /// The statistic at log lambda = t, and its derivative.
    fn value(&self, chi: &[f64], rest: f64, total: f64, t: f64) -> (f64, f64) {
        let lambda = t.exp();
        let (mut d, mut change) = (rest, 0.0);
        for (c, mu) in chi.iter().zip(self.mu) {
            let shrink = 1.0 / (1.0 + lambda * mu);
            d += c * shrink;
            change += c * lambda * mu * shrink * shrink;
        }
        let (mut log, mut slope) = (0.0, 0.0);
        for (xi, m) in self.marginal.values.iter().zip(self.marginal.times) {
            let x = lambda * xi;
            log += m * x.ln_1p();
            slope += m * x / (1.0 + x);
        }
        (
            self.degrees * (total / d).ln() - log,
            self.degrees * change / d - slope,
        )
    }
}
