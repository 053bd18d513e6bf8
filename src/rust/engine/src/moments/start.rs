//! Start values from moments: variance components scalar by term, by MINQUE with unit priors (Rao 1971; Searle, Casella &
//! McCulloch 1992, section 11.3) on the residuals of the fixed effects.

use crate::basis::random::TermBasis;
use crate::linalg::small;
use crate::moments::blocks::Moments;
use crate::runtime::memory;

/// Smallest variance ratio to start from, relative to levels per row.
const SMALLEST: f64 = 0.05;

/// The largest.
pub(crate) const LARGEST_START: f64 = 50.0;

/// Smallest variance to start from relative to the largest, where all are far larger than the residual one.
const SMALLEST_OF_LARGE: f64 = 1e-4;

/// T = tau I for each term, tau^2 being its variance component over that of the residuals.
#[must_use]
pub fn moment_start(moments: &Moments, bases: &[TermBasis]) -> Vec<f64> {
    let found = components(moments, bases);
    let residual = found.residual.max(0.02 * found.total);
    let per_level =
        |basis: &TermBasis| moments.n as f64 / moments.factors[basis.factor].n_levels as f64;
    let ratios = bases.iter().zip(&found.of_terms);
    ratios
        .map(|(basis, variance)| {
            let ratio = variance / residual;
            ratio
                .clamp(SMALLEST / per_level(basis), LARGEST_START)
                .sqrt()
        })
        .collect()
}

/// Starts for a known residual variance that is orders of magnitude smaller than other components: none of them so small that
/// the criterion is flat in it, for want of anything that it could be told from.
#[must_use]
pub(crate) fn large_start(moments: &Moments, bases: &[TermBasis], residual: f64) -> Vec<f64> {
    let variances = components(moments, bases).of_terms;
    let largest = variances.iter().fold(0.0f64, |a, &v| a.max(v));
    let ratio = |v: &f64| v.max(SMALLEST_OF_LARGE * largest) / residual;
    variances.iter().map(|v| ratio(v).sqrt()).collect()
}

/// Variance components by moments.
struct Components {
    of_terms: Vec<f64>,
    residual: f64,
    /// Mean square about the fixed effects.
    total: f64,
}

/// Solves E[r'Z_t Z_t'r] = s0 tr(Z_tZ_t') + sum_s g_s |Z_t'Z_s|^2 and the same for r'r.
fn components(moments: &Moments, bases: &[TermBasis]) -> Components {
    let terms = bases.len();
    let order = terms + 1;
    let p1 = moments.p1;
    let n = moments.n as f64;
    let mut lhs = memory::zeros(order * order);
    let mut rhs = memory::zeros(order);
    lhs[0] = n - (p1 as f64 - 1.0);
    rhs[0] = moments.residual();
    for (t, basis) in bases.iter().enumerate() {
        let factor = &moments.factors[basis.factor];
        let k = factor.k;
        let mut trace = 0.0;
        let mut form = 0.0;
        for j in basis.levels.among(factor.n_levels) {
            for a in basis.offset..basis.offset + basis.k {
                trace += factor.zz[j * k * k + a * k + a];
                form += factor.zx[(j * k + a) * p1 + p1 - 1].powi(2);
            }
        }
        lhs[t + 1] = trace;
        lhs[(t + 1) * order] = trace;
        rhs[t + 1] = form;
        for (s, other) in bases.iter().enumerate() {
            lhs[(s + 1) * order + t + 1] = squared_length(moments, basis, other);
        }
    }
    // scale to a correlation-like matrix and add a little to the diagonal, so that confounded terms share
    let scale: Vec<f64> = (0..order)
        .map(|i| lhs[i * order + i].max(f64::MIN_POSITIVE).sqrt())
        .collect();
    let mut a: Vec<f64> =
        memory::collect((0..order * order).map(|e| lhs[e] / (scale[e % order] * scale[e / order])));
    (0..order).for_each(|i| a[i * order + i] += 1e-3);
    let mut x: Vec<f64> = rhs.iter().zip(&scale).map(|(r, s)| r / s).collect();
    if small::cholesky(&mut a, order) {
        small::solve_lower(&a, order, &mut x);
        small::solve_lower_transposed(&a, order, &mut x);
    } else {
        x.fill(1.0);
    }
    Components {
        of_terms: (1..order).map(|t| x[t] / scale[t]).collect(),
        residual: x[0] / scale[0],
        total: rhs[0] / lhs[0],
    }
}

/// |Z_t'Z_s|^2 (Frobenius), each at its own levels.
fn squared_length(moments: &Moments, t: &TermBasis, s: &TermBasis) -> f64 {
    if t.factor == s.factor {
        let factor = &moments.factors[t.factor];
        let k = factor.k;
        return factor
            .zz
            .chunks_exact(k * k)
            .enumerate()
            .filter(|(level, _)| t.levels.contains(*level) && s.levels.contains(*level))
            .map(|(_, block)| {
                sum_of_squares(block, k, t.offset..t.offset + t.k, s.offset..s.offset + s.k)
            })
            .sum();
    }
    let (f, g) = if t.factor < s.factor { (t, s) } else { (s, t) };
    moments
        .pairs
        .iter()
        .filter(|pair| pair.f == f.factor && pair.g == g.factor)
        .map(|pair| {
            let (kf, kg) = (moments.factors[pair.f].k, moments.factors[pair.g].k);
            let square = |entry: usize| {
                sum_of_squares(
                    &pair.value[entry * kf * kg..(entry + 1) * kf * kg],
                    kf,
                    f.offset..f.offset + f.k,
                    g.offset..g.offset + g.k,
                )
            };
            let is_own = |entry: &usize| g.levels.contains(pair.level[*entry] as usize);
            let levels = f.levels.among(moments.factors[pair.f].n_levels);
            let entries = levels.flat_map(|j| pair.start[j]..pair.start[j + 1]);
            entries.filter(is_own).map(square).sum::<f64>()
        })
        .sum()
}

fn sum_of_squares(
    block: &[f64],
    ld: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> f64 {
    columns
        .map(|c| rows.clone().map(|r| block[c * ld + r].powi(2)).sum::<f64>())
        .sum()
}
