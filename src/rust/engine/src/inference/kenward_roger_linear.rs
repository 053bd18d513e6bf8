//! Kenward & Roger (1997, Biometrics 53): adjusted covariance matrix of the fixed effects and the pieces of their F test, for
//! variances and covariances as parameters (V linear in them) with expected information, as in Halekoh & Hojsgaard
//! (2014, JSS 59(9)).
//!
//! Written relative to sigma^2: V = W^-1 + sum_i gamma_i V_i, gamma_i the entries of the G_t and V_0 = W^-1. With C = M^-1
//! Lambda'Z'Q and V_i = Z Lambda (I x kappa_i) Lambda'Z', every quantity is a cross-product of rows of random effects: Q'V^-1 V_i
//! V^-1 Q = C'kappa_i C, Q'V^-1V_iV^-1V_jV^-1Q = C'kappa_i (I - M^-1) kappa_j C (kappa_i standing for I x kappa_i), and those
//! with V_0 follow from V_0 = V - sum gamma V. With a known precision matrix K^-1 of the levels V_i = Z Lambda (K x kappa_i)
//! Lambda'Z' and Lambda'Z'V^-1Q = K^-1 C: they are C'kappa_i K^-1 C and C'kappa_i (K^-1 - K^-1 M^-1 K^-1) kappa_j C.
//!
//! What is held, tied or known leaves fewer parameters z: dV/dz = sum_i V_i dnu_i/dz, so that with A = dnu/dz the information on z
//! is A'IA, and P_z and Q_zu are the same sums of P_i and Q_ij. Nothing of it depends on how z is scaled.

use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::restriction::Restriction;
use crate::criterion::direction::{apply_directions, Direction};
use crate::criterion::hessian::traces;
use crate::criterion::objective::Criterion;
use crate::criterion::products;
use crate::fit::prepared::Prepared;
use crate::inference::evaluated::{fixed_covariance, sandwich, to_user_basis};
use crate::inference::satterthwaite::cross;
use crate::inference::singular_covariances::{of_fixed, Information};
use crate::inference::singular_covariances_part::Columns;
use crate::linalg::small;
use crate::runtime::memory;
use crate::system::equations::SelectedInverse;
use crate::system::precision_product;
use crate::system::right_hand_sides::gram;

/// Information on a variance, of that with known fixed effects, below which it is rounding.
pub(super) const UNKNOWN: f64 = 1e-10;

/// The adjustment and the pieces of the degrees of freedom, relative to sigma^2.
#[derive(Debug, Clone)]
pub struct KenwardRoger {
    /// Unadjusted covariance matrix of the kept coefficients relative to sigma^2, r x r.
    pub unadjusted: Vec<f64>,
    /// Adjusted one.
    pub adjusted: Vec<f64>,
    /// Covariance matrix of the variance parameters W, s x s. A parameter of which the data tell nothing has an infinite variance
    /// and no covariances: what depends on it is not determined, and all else as if it were known.
    pub w: Vec<f64>,
    /// Phi P_i Phi for each parameter, r x r.
    pub derivatives: Vec<f64>,
    /// Number of variance parameters s.
    pub components: usize,
}

pub(super) fn adjustment(
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
) -> Option<KenwardRoger> {
    criterion.latest()?;
    let factor = criterion.factor.as_ref()?;
    let latest = criterion.latest.as_ref()?;
    let system = &prepared.system;
    let (directions, gamma) = variance_directions(prepared, &factor.t, true);
    let c = &latest.solution.c;
    let r = c.m;
    // p_i = Q'V^-1V_iV^-1Q (that is -P_i)
    let mut kc = apply_directions(system, &directions, c);
    let (weighted, mut all) = products::weighted(system, kc);
    kc = weighted;
    small::mirror_lower(&mut all, kc.m);
    let p: Vec<Vec<f64>> = directions
        .iter()
        .map(|direction| {
            let rows = apply_directions(system, std::slice::from_ref(direction), c);
            cross(
                c,
                &precision_product::times(system, &rows).unwrap_or(rows),
                r,
            )
        })
        .collect();
    factor.forward(system, &mut kc);
    let mut solved = gram(system, &kc);
    small::mirror_lower(&mut solved, kc.m);
    let width = directions.len() * r;
    let block = |i: usize, j: usize| -> Vec<f64> {
        memory::collect((0..r * r).map(|e| {
            let at = (j * r + e / r) * width + i * r + e % r;
            all[at] - solved[at]
        }))
    };
    let d = directions.len();
    // q[i][j] = Q'V^-1 V_i V^-1 V_j V^-1 Q
    let q: Vec<Vec<Vec<f64>>> = (0..d)
        .map(|i| (0..d).map(|j| block(i, j)).collect())
        .collect();
    let pieces = Pieces {
        phi: fixed_covariance(&factor.lx, r),
        inverse: information_of_q(&factor.lx, r),
        p,
        q,
        traces: traces(
            system,
            factor,
            &latest.inverse,
            &latest.solution,
            &directions,
            false,
            &mut Vec::new(),
        )
        .to_vec(),
        single: first_traces(prepared, (&factor.t, &latest.inverse), &directions)?,
        gamma,
    };
    Some(pieces.adjustment(prepared, theta))
}

/// The adjustment at parameters some of whose covariance matrices are singular.
pub(super) fn adjustment_at_singular(
    prepared: &Prepared,
    theta: &InternalTheta,
) -> Option<KenwardRoger> {
    let system = &prepared.system;
    let t = prepared.parameters.factors(theta, Covariances::default());
    let (directions, gamma) = variance_directions(prepared, &t, false);
    let at = Information::new(system, &t, Columns::of(system))?;
    let p1 = system.moments.p1;
    let r = p1 - 1;
    let fixed = |a: &Vec<f64>| of_fixed(a, p1, r);
    let inverse = of_fixed(&at.cross, p1, r);
    let mut lower = inverse.clone();
    if !small::cholesky(&mut lower, r) {
        return None;
    }
    let double = at.double_forms(&directions);
    let pieces = Pieces {
        phi: small::inverse_from_cholesky(&lower, r),
        inverse,
        p: at.forms(&directions).iter().map(fixed).collect(),
        q: double
            .iter()
            .map(|row| row.iter().map(fixed).collect())
            .collect(),
        traces: at.double_traces(&directions),
        single: at.traces(&directions),
        gamma,
    };
    Some(pieces.adjustment(prepared, theta))
}

/// What the adjustment is made of, for the variances and covariances of random effects.
struct Pieces {
    /// (Q'V^-1Q)^-1 and its inverse.
    phi: Vec<f64>,
    inverse: Vec<f64>,
    /// Q'V^-1 V_i V^-1 Q.
    p: Vec<Vec<f64>>,
    /// Q'V^-1 V_i V^-1 V_j V^-1 Q.
    q: Vec<Vec<Vec<f64>>>,
    /// tr(V^-1 V_i V^-1 V_j) and tr(V^-1 V_i).
    traces: Vec<f64>,
    single: Vec<f64>,
    /// The parameters relative to sigma^2.
    gamma: Vec<f64>,
}

impl Pieces {
    /// With the residual variance as the last parameter.
    fn adjustment(self, prepared: &Prepared, theta: &InternalTheta) -> KenwardRoger {
        let Self {
            phi,
            inverse,
            mut p,
            mut q,
            traces,
            single,
            gamma,
        } = self;
        let r = prepared.fixed.rank();
        let d = gamma.len();
        let s = d + 1;
        p.push(combine(&inverse, &p, &gamma));
        for i in 0..d {
            // V_i with V_0: V_0 = V - sum gamma V
            let value = combine(&p[i], &q[i], &gamma);
            q[i].push(value);
        }
        let last: Vec<Vec<f64>> = (0..d).map(|j| transpose(&q[j][d], r)).collect();
        let own = combine(&p[d], &last, &gamma);
        let mut bottom = last;
        bottom.push(own);
        q.push(bottom);
        let n = prepared.system.moments.n as f64;
        let t = with_residual(&traces, &single, &gamma, n);
        let scaled: Vec<Vec<f64>> = p.iter().map(|p| sandwich(&phi, p, r)).collect();
        let mut information = memory::zeros(s * s);
        for i in 0..s {
            for j in 0..s {
                let cross_term = small::trace_product(&phi, &q[i][j], r);
                let square = small::trace_product(&scaled[i], &p[j], r);
                information[j * s + i] = t[j * s + i] - 2.0 * cross_term + square;
            }
        }
        let moves = moves(prepared, theta, &gamma);
        let d = moves.len() / s;
        let own = |a: &[f64], v: usize| -> f64 {
            let column = &moves[v * s..(v + 1) * s];
            (0..s * s)
                .map(|e| column[e % s] * a[e] * column[e / s])
                .sum()
        };
        // what is left of I_vv is rounding where the fixed effects take up all that V_v can tell, as with f + (1 | f)
        let blind: Vec<bool> = (0..d)
            .map(|v| own(&information, v) <= UNKNOWN * own(&t, v))
            .collect();
        let information = along(&information, &moves, s);
        let mut w = invert_information(&information, &blind, d);
        let p: Vec<Vec<f64>> = moves.chunks_exact(s).map(|v| sum_of(&p, v)).collect();
        let mut correction = memory::zeros(r * r);
        for u in 0..d {
            let column = &moves[u * s..(u + 1) * s];
            let rows: Vec<Vec<f64>> = q.iter().map(|row| sum_of(row, column)).collect();
            for v in 0..d {
                // Q_vu - P_v Phi P_u
                let mut half = memory::zeros(r * r);
                let mut product = memory::zeros(r * r);
                if r > 0 {
                    small::mul_nn(&p[v], &phi, r, r, r, &mut half);
                    small::mul_nn(&half, &p[u], r, r, r, &mut product);
                }
                let q = sum_of(&rows, &moves[v * s..(v + 1) * s]);
                for e in 0..r * r {
                    correction[e] += w[u * d + v] * (q[e] - product[e]);
                }
            }
        }
        (0..d)
            .filter(|&v| blind[v])
            .for_each(|v| w[v * d + v] = f64::INFINITY);
        let added = sandwich(&phi, &correction, r);
        let adjusted: Vec<f64> = memory::collect(
            (0..r * r).map(|e| phi[e] + added[e] + added[(e % r.max(1)) * r + e / r.max(1)]),
        );
        KenwardRoger {
            unadjusted: to_user_basis(prepared, &phi),
            adjusted: to_user_basis(prepared, &adjusted),
            w,
            derivatives: p
                .iter()
                .flat_map(|p| {
                    to_user_basis(prepared, &sandwich(&phi, p, r))
                        .into_iter()
                        .map(|v| -v)
                })
                .collect(),
            components: d,
        }
    }
}

/// How the components, sigma^2 last, move with each free parameter, s values a column. Where nothing is held or tied they are
/// the components themselves. V = sigma^2 (V_0 + sum gamma_i V_i): with sigma^2 go the components of a term of which something is
/// held relative to it. Where it moves no component, as a standard deviation of zero, the parameter stands for its square.
fn moves(prepared: &Prepared, theta: &InternalTheta, gamma: &[f64]) -> Vec<f64> {
    let parameters = &prepared.parameters;
    let s = gamma.len() + 1;
    let restriction = prepared.restriction.as_ref();
    let is_touched =
        |term: usize| restriction.is_some_and(|restriction| restriction.touches(parameters, term));
    let mut out = Vec::new();
    let mut of_sigma2 = memory::zeros(s);
    of_sigma2[s - 1] = 1.0;
    for (i, parameter) in parameters.list.iter().enumerate() {
        if is_touched(parameter.basis) {
            of_sigma2[i] = gamma[i];
        } else {
            let mut unit = memory::zeros(s);
            unit[i] = 1.0;
            out.extend(unit);
        }
    }
    // an entry of a symmetric matrix in the parameter's basis
    let entry = |i: usize, g: &[f64]| -> f64 {
        let parameter = &parameters.list[i];
        let basis = &prepared.bases[parameter.basis];
        let (row, column) = parameter.entries[0];
        basis.to_user(g)[column * basis.k + row]
    };
    for variable in 0..restriction.map_or(0, Restriction::variables) {
        let Some(restriction) = restriction else {
            break;
        };
        let step = restriction.along(variable);
        let mut first = memory::zeros(s);
        let mut second = memory::zeros(s);
        let own = |a: &usize| step[*a] != 0.0 && is_touched(parameters.list[*a].basis);
        let own: Vec<usize> = (0..parameters.list.len()).filter(own).collect();
        for &a in &own {
            let term = parameters.list[a].basis;
            for i in parameters.start[term]..parameters.start[term + 1] {
                first[i] += step[a] * entry(i, &parameters.derivative(theta, a));
                for &b in &own {
                    if let Some(bend) = parameters.second(theta, a, b) {
                        second[i] += 0.5 * step[a] * step[b] * entry(i, &bend);
                    }
                }
            }
        }
        if own.is_empty() {
            continue;
        }
        let is_still = first.iter().all(|v| *v == 0.0);
        out.extend(if is_still { second } else { first });
    }
    if prepared.sigma2.is_none() {
        out.extend(of_sigma2);
    }
    out
}

/// M'A M for a symmetric s x s matrix and columns M of s values.
fn along(a: &[f64], moves: &[f64], s: usize) -> Vec<f64> {
    let d = moves.len() / s;
    let mut half = memory::zeros(s * d);
    let mut out = memory::zeros(d * d);
    small::mul_nn(a, moves, s, s, d, &mut half);
    small::mul_tn(moves, &half, s, d, d, &mut out);
    out
}

/// sum_i weights_i parts_i.
fn sum_of(parts: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let mut out = memory::zeros(parts[0].len());
    for (part, weight) in parts.iter().zip(weights).filter(|(_, w)| **w != 0.0) {
        out.iter_mut().zip(part).for_each(|(x, y)| *x += weight * y);
    }
    out
}

/// Q'V^-1Q from its factor.
fn information_of_q(lx: &[f64], r: usize) -> Vec<f64> {
    let mut out = memory::zeros(r * r);
    for a in 0..r {
        for b in 0..r {
            out[b * r + a] = (0..=a.min(b))
                .map(|c| lx[c * (r + 1) + a] * lx[c * (r + 1) + b])
                .sum();
        }
    }
    out
}

/// `whole` - sum gamma_i parts_i.
fn combine(whole: &[f64], parts: &[Vec<f64>], gamma: &[f64]) -> Vec<f64> {
    let mut out = whole.to_vec();
    for (part, g) in parts.iter().zip(gamma) {
        out.iter_mut().zip(part).for_each(|(x, y)| *x -= g * y);
    }
    out
}

fn transpose(a: &[f64], r: usize) -> Vec<f64> {
    memory::collect((0..r * r).map(|e| a[(e % r) * r + e / r]))
}

/// One direction for each entry of each G in the user's basis, and the entries (relative to sigma^2):
/// V_i = Z (E_ij + E_ji) Z' with Z of the user's columns, kappa = T^-1 B^-1 E B^-T T^-T or, unless it is `divided` by T,
/// B^-1 E B^-T.
fn variance_directions(
    prepared: &Prepared,
    t: &Covariances,
    divided: bool,
) -> (Vec<Direction>, Vec<f64>) {
    let parameters = &prepared.parameters;
    let mut directions = Vec::new();
    let mut gamma = Vec::new();
    for (term, basis) in prepared.bases.iter().enumerate() {
        let k = basis.k;
        let kf = parameters.factor_k[basis.factor];
        let own = t.block(basis.factor, basis.levels.class(), (basis.offset, k));
        let mut lambda = memory::zeros(k * k);
        small::mul_nn(&basis.change, &own, k, k, k, &mut lambda);
        // columns of (B T)^-1
        let inverse = |i: usize| -> Vec<f64> {
            let mut x = memory::zeros(k);
            x[i] = 1.0;
            for row in (0..k).rev() {
                for m in row + 1..k {
                    x[row] -= basis.change[m * k + row] * x[m];
                }
                x[row] /= basis.change[row * k + row];
            }
            if divided {
                small::solve_lower(&own, k, &mut x);
            }
            x
        };
        let columns: Vec<Vec<f64>> = (0..k).map(inverse).collect();
        let own = parameters.start[term]..parameters.start[term + 1];
        let entries = parameters.list[own]
            .iter()
            .filter_map(|parameter| parameter.entries.first());
        for &(i, j) in entries {
            let mut kappa = memory::zeros(kf * kf);
            for a in 0..k {
                for b in 0..k {
                    let value = columns[i][a] * columns[j][b]
                        + if i == j {
                            0.0
                        } else {
                            columns[j][a] * columns[i][b]
                        };
                    kappa[(basis.offset + b) * kf + basis.offset + a] = value;
                }
            }
            directions.push(Direction {
                factor: basis.factor,
                levels: basis.levels.clone(),
                kappa,
            });
            gamma.push((0..k).map(|c| lambda[c * k + i] * lambda[c * k + j]).sum());
        }
    }
    (directions, gamma)
}

/// tr(V^-1 V_i) = sum over levels of tr((I - [K^-1 M^-1]_jj) kappa_i).
pub(super) fn first_traces(
    prepared: &Prepared,
    (t, inverse): (&Covariances, &SelectedInverse),
    directions: &[Direction],
) -> Option<Vec<f64>> {
    let sums = crate::fit::conditional::complements(&prepared.system, t, inverse)?;
    Some(
        directions
            .iter()
            .map(|d| {
                let k = prepared.parameters.factor_k[d.factor];
                let trace =
                    |class: usize| small::trace_product(&sums[d.factor][class], &d.kappa, k);
                d.levels.classes().map(trace).sum()
            })
            .collect(),
    )
}

/// tr(V^-1V_iV^-1V_j) including the residual parameter V_0 = V - sum gamma_i V_i as the last.
fn with_residual(traces: &[f64], single: &[f64], gamma: &[f64], n: f64) -> Vec<f64> {
    let d = single.len();
    let s = d + 1;
    let mut out = memory::zeros(s * s);
    for j in 0..d {
        for i in 0..d {
            out[j * s + i] = traces[j * d + i];
        }
        // tr(V^-1 V_j V^-1 V_0)
        let value = single[j] - (0..d).map(|i| gamma[i] * traces[j * d + i]).sum::<f64>();
        out[j * s + d] = value;
        out[d * s + j] = value;
    }
    // tr(V^-1V_0V^-1V_0) = tr(V^-1V_0) - sum gamma_i tr(V^-1V_0V^-1V_i)
    let residual = n - (0..d).map(|i| gamma[i] * single[i]).sum::<f64>();
    out[d * s + d] = residual - (0..d).map(|i| gamma[i] * out[i * s + d]).sum::<f64>();
    out
}

/// W = 2 I^-1, by eigenvalues of the information scaled to unit diagonal; zero for parameters without information.
fn invert_information(information: &[f64], blind: &[bool], s: usize) -> Vec<f64> {
    let scale: Vec<f64> = (0..s)
        .map(|i| {
            if blind[i] {
                0.0
            } else {
                1.0 / information[i * s + i].max(f64::MIN_POSITIVE).sqrt()
            }
        })
        .collect();
    let scaled: Vec<f64> =
        memory::collect((0..s * s).map(|e| information[e] * scale[e % s] * scale[e / s]));
    let (values, vectors) = small::symmetric_eigen(&scaled, s);
    let limit = 1e-10 * values.last().copied().unwrap_or(0.0);
    let mut out = memory::zeros(s * s);
    for (i, value) in values.iter().enumerate().filter(|(_, v)| **v > limit) {
        let v = &vectors[i * s..(i + 1) * s];
        for b in 0..s {
            for a in 0..s {
                out[b * s + a] += 2.0 * v[a] * v[b] / value * scale[a] * scale[b];
            }
        }
    }
    out
}
