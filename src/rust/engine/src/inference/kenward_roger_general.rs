//! Kenward & Roger's adjustment where V is not linear in the parameters, rows are correlated, parameters are held or tied, or
//! levels with a known precision matrix are more than second derivatives in closed form are for.
//!
//! Parameters are nu = (variance components as SAS has them: covariances of each unstructured or diagonal G, variances and
//! correlations of the others; covariances of the residuals for UN, CS and TOEP, variances of strata, otherwise natural
//! residual parameters; sigma^2) and W is the inverse of the observed information, as in SAS (PROC MIXED, DDFM=KR) and mmrm, or
//! where V is linear of the expected one, as in [`super::kenward_roger_linear`]. Kenward & Roger (1997, Biometrics 53), eq. 6:
//! Phi_A = Phi + 2 Phi sum_ij W_ij (Q_ij - P_i Phi P_j - R_ij / 4) Phi with R_ij = X'V^-1 (d2V / dnu_i dnu_j) V^-1X; the linear
//! variant (SAS: FIRSTORDER) leaves R out.
//!
//! All but R are tensors: sums over i and j are the same in the internal parameters psi = (theta, phi, tau), tau = sigma^2 over
//! its estimate. For R, sum_ij W_ij R_ij = sum_ab W_ab (R_ab - sum_i B_i d2nu_i/dpsi_a dpsi_b) with W and R of psi on the right
//! and B_i = X'V^-1 (dV/dnu_i) V^-1X = sum_c B_c dpsi_c/dnu_i.
//! In the basis H~ = X~ Lx^-T of the fixed effects Phi is the identity.

use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::criterion::direction::{divide, Direction};
use crate::criterion::hessian::traces;
use crate::criterion::objective::Criterion;
use crate::criterion::products::{products, single_products};
use crate::criterion::residual_directions::ResidualColumns;
use crate::criterion::residual_solution::ResidualSolution;
use crate::fit::prepare::Prepared;
use crate::inference::evaluated::to_user_basis;
use crate::inference::kenward_roger_linear::{KenwardRoger, UNKNOWN};
use crate::inference::satterthwaite::{congruence, covariance, full_hessian, Size};
use crate::linalg::hyperdual::HyperDual;
use crate::linalg::small;
use crate::runtime::memory;
use crate::structure::residual::Domain;

/// Whether V is linear in variances and covariances.
fn is_linear_in_components(prepared: &Prepared) -> bool {
    let mut parameters = prepared.parameters.list.iter();
    parameters.all(|parameter| parameter.entries.len() == 1) && prepared.residual.is_none()
}

/// Whether V is linear in its components and nothing else stands in the way of [`super::kenward_roger_linear`].
pub(super) fn is_linear(prepared: &Prepared) -> bool {
    is_linear_in_components(prepared) && prepared.restriction.is_none() && prepared.sigma2.is_none()
}

pub(super) fn adjustment(
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    linear: bool,
) -> Option<KenwardRoger> {
    let mut hessian = full_hessian(criterion, theta)?;
    let sigma2 = criterion.inverse_sigma2()?.recip();
    let (m, s) = (theta.len(), theta.len() + 1);
    let mut blind = Vec::new();
    let size = if is_linear_in_components(prepared) {
        blind = expect(&mut hessian, criterion, sigma2)?;
        Size::Own
    } else {
        Size::Natural
    };
    // tau = sigma^2 / estimate
    let mut w = covariance(criterion, &hessian, (theta, sigma2), size);
    for a in 0..s {
        w[m * s + a] /= sigma2;
        w[a * s + m] /= sigma2;
    }
    // what is at its boundary is taken as known: the Hessian between it and the others is zero
    let fixed_ones = at_boundary(prepared, theta);
    for &a in &fixed_ones {
        for b in 0..s {
            w[a * s + b] = 0.0;
            w[b * s + a] = 0.0;
        }
    }
    let factor = criterion.factor.as_ref()?;
    let latest = criterion.latest.as_ref()?;
    let h = &latest.solution.h;
    let r = h.m;
    let directions = &latest.derivatives.directions;
    let fixed = latest.rows.as_ref().map(ResidualSolution::fixed);
    let residual = criterion.residual();
    let columns = residual
        .as_ref()
        .zip(fixed.as_ref())
        .map(|((part, point), e)| ResidualColumns { part, point, e });
    let found = products(
        criterion.system(),
        factor,
        h,
        directions,
        h,
        columns.as_ref(),
    );
    let mut b: Vec<Vec<f64>> = (0..m)
        .map(|a| found.single[a * r * r..(a + 1) * r * r].to_vec())
        .collect();
    let identity: Vec<f64> =
        memory::collect((0..r * r).map(|e| f64::from(u8::from(e % r.max(1) == e / r.max(1)))));
    b.push(identity.clone());
    let q = |i: usize, j: usize| -> Vec<f64> {
        if i == m || j == m {
            return b[i.min(j)].clone();
        }
        memory::collect((0..r * r).map(|e| {
            let (x, y) = (i * r + e % r, j * r + e / r);
            found.double[x.min(y) * found.width + x.max(y)]
        }))
    };
    let mut correction = memory::zeros(r * r);
    for i in 0..s {
        for j in 0..s {
            let weight = w[j * s + i];
            if weight == 0.0 || r == 0 {
                continue;
            }
            let mut product = memory::zeros(r * r);
            small::mul_nn(&b[i], &b[j], r, r, r, &mut product);
            for ((c, q), p) in correction.iter_mut().zip(q(i, j)).zip(product) {
                *c += weight * (q - p);
            }
        }
    }
    if !linear {
        let second = Second {
            prepared,
            criterion,
            theta,
            columns: columns.as_ref(),
            singular: !fixed_ones.is_empty(),
        };
        let curvature = second.contracted(&w, &b)?;
        correction
            .iter_mut()
            .zip(curvature)
            .for_each(|(c, v)| *c -= 0.25 * v);
    }
    let lower: Vec<f64> =
        memory::collect((0..r * r).map(|e| factor.lx[(e / r.max(1)) * (r + 1) + e % r.max(1)]));
    let inverse = small::invert_lower(&lower, r);
    let in_user_basis = |a: &[f64]| to_user_basis(prepared, &congruence(&inverse, a, r));
    // the data tell nothing of what is neither held nor tied
    let free = |a: &usize| (criterion.restriction).is_none_or(|r| r.is_free(*a));
    (blind.into_iter().filter(free)).for_each(|a| w[a * s + a] = f64::INFINITY);
    let adjusted: Vec<f64> = memory::collect(
        (0..r * r).map(|e| identity[e] + correction[e] + correction[(e % r) * r + e / r]),
    );
    Some(KenwardRoger {
        unadjusted: in_user_basis(&identity),
        adjusted: in_user_basis(&adjusted),
        w,
        derivatives: b
            .iter()
            .flat_map(|block| in_user_basis(block).into_iter().map(|v| -v))
            .collect(),
        components: s,
    })
}

/// The shortest x that makes J x nearest to b, by the eigenvalues of J'J.
fn least_squares(j: &[f64], b: &[f64], s: usize) -> Vec<f64> {
    let mut square = memory::zeros(s * s);
    let mut right = memory::zeros(s);
    for c in 0..s {
        for a in 0..s {
            square[c * s + a] = (0..s).map(|i| j[a * s + i] * j[c * s + i]).sum();
        }
        right[c] = (0..s).map(|i| j[c * s + i] * b[i]).sum();
    }
    let (values, vectors) = small::symmetric_eigen(&square, s);
    let limit = 1e-10 * values.iter().fold(0.0f64, |m, v| m.max(*v));
    let mut x = memory::zeros(s);
    for (value, v) in values.iter().zip(vectors.chunks_exact(s)) {
        if *value > limit {
            let along: f64 = v.iter().zip(&right).map(|(a, b)| a * b).sum();
            x.iter_mut()
                .zip(v)
                .for_each(|(x, v)| *x += along / value * v);
        }
    }
    x
}

/// Slope of a correlation in its internal parameter below which it is at its boundary: 1 or -1 to about half its square.
const AT_BOUNDARY: f64 = 1e-4;

/// The expected Hessian in (theta, sigma^2): tr(P V_a P V_b), with sigma^2 tr(P V_a) / sigma^2; where the traces would take too
/// long, from the observed one: -tr(P V_a P V_b) + 2 f y'P V_a P V_b P y and the curvature of V, of which the expectation is
/// tr(P V_a P V_b) and nothing. That loses the digits that a variance of zero needs.
///
/// Of which parameters do the data tell nothing? What is left of their traces is rounding. They have no row and no column then.
fn expect(hessian: &mut [f64], criterion: &mut Criterion<'_>, sigma2: f64) -> Option<Vec<usize>> {
    let exact = criterion.exact_cost().is_finite();
    let (latest, factor) = (criterion.latest.as_ref()?, criterion.factor.as_ref()?);
    let at = &latest.derivatives;
    let m = at.slopes.len();
    let s = m + 1;
    let (system, directions) = (criterion.system(), &at.directions);
    let (inverse, solution, phis) = (&latest.inverse, &latest.solution, &mut Vec::new());
    let mut traces_of =
        |reml: bool| traces(system, factor, inverse, solution, directions, reml, phis);
    let found = exact.then(|| (traces_of(true), traces_of(false)));
    let mut blind = Vec::new();
    for b in 0..m {
        for a in 0..m {
            let e = b * m + a;
            let value = &mut hessian[b * s + a];
            *value = match &found {
                Some((restricted, _)) => restricted[e],
                None => 2.0 * at.information[e] + at.curvature[e] - *value,
            };
        }
        let trace = at.gradient[b] + at.slopes[b] / sigma2;
        hessian[m * s + b] = trace / sigma2;
        hessian[b * s + m] = trace / sigma2;
        let own = b * m + b;
        if let Some((restricted, all)) = &found {
            if restricted[own] <= UNKNOWN * all[own] {
                blind.push(b);
            }
        }
    }
    for &b in &blind {
        for a in 0..s {
            hessian[b * s + a] = 0.0;
            hessian[a * s + b] = 0.0;
        }
    }
    Some(blind)
}

/// Internal parameters of correlations in which no natural parameter moves: sines at 1 or -1.
fn at_boundary(prepared: &Prepared, theta: &InternalTheta) -> Vec<usize> {
    let parameters = &prepared.parameters;
    let terms = parameters.list.len();
    let mut out = Vec::new();
    for a in (0..terms).filter(|&a| !parameters.is_deviation(a)) {
        let term = parameters.list[a].basis;
        let own = parameters.of_term(theta, term);
        let structure = &parameters.structures[term];
        let seeded = HyperDual::seeded(own, a - parameters.start[term], a - parameters.start[term]);
        let moved = structure
            .components(&seeded)
            .iter()
            .enumerate()
            .map(|(i, v)| {
                if i < structure.variances() {
                    v.a / v.v.max(f64::MIN_POSITIVE)
                } else {
                    v.a
                }
            })
            .fold(0.0f64, |m, v| m.max(v.abs()));
        if moved < AT_BOUNDARY {
            out.push(a);
        }
    }
    let (phi, model) = (parameters.of_residual(theta), prepared.residual_model());
    let (jacobian, kinds) = (model.natural_jacobian(phi), model.kinds());
    let size = phi.len();
    let correlations = (0..size).filter(|&a| kinds[a] == Domain::Correlation);
    out.extend(correlations.filter_map(|a| {
        let still = (0..size).all(|i| jacobian[a * size + i].abs() < AT_BOUNDARY);
        still.then_some(terms + a)
    }));
    out
}

/// Second derivatives of V.
struct Second<'a, 'b> {
    prepared: &'a Prepared,
    criterion: &'a Criterion<'b>,
    theta: &'a InternalTheta,
    columns: Option<&'a ResidualColumns<'a>>,
    /// Whether some parameter is at its boundary.
    singular: bool,
}

impl Second<'_, '_> {
    /// sum_ij W_ij R_ij over the natural parameters.
    fn contracted(&self, w: &[f64], b: &[Vec<f64>]) -> Option<Vec<f64>> {
        let m = self.theta.len();
        let s = m + 1;
        let r = self.criterion.latest.as_ref()?.solution.h.m;
        let mut out = memory::zeros(r * r);
        // gradient and curvature of the natural parameters
        let mut jacobian = memory::zeros(s * s);
        let mut bend = memory::zeros(s);
        for a in 0..s {
            for c in a..s {
                let natural = self.natural(a, c);
                let weight = if a == c { 1.0 } else { 2.0 } * w[c * s + a];
                for (i, value) in natural.iter().enumerate() {
                    bend[i] += weight * value.ab;
                    if a == c {
                        jacobian[a * s + i] = value.a;
                    }
                }
                if weight != 0.0 {
                    for (x, y) in out.iter_mut().zip(self.block(a, c, b)?) {
                        *x += weight * y;
                    }
                }
            }
        }
        // sum_i B_i bend_i = sum_c B_c x_c with J x = bend; at a boundary J is singular, and x the least-squares solution
        let mut x = bend.clone();
        if self.singular || !small::solve_general(&jacobian, &mut [x.as_mut_slice()], s) {
            x = least_squares(&jacobian, &bend, s);
        }
        for (block, x) in b.iter().zip(&x) {
            out.iter_mut().zip(block).for_each(|(o, v)| *o -= x * v);
        }
        Some(out)
    }

    /// nu with derivatives along psi_a and psi_c.
    fn natural(&self, a: usize, c: usize) -> Vec<HyperDual> {
        let m = self.theta.len();
        let mut psi = self.theta.values().to_vec();
        psi.push(1.0);
        let psi = HyperDual::seeded(&psi, a, c);
        let (theta, tau) = (&psi[..m], psi[m]);
        let parameters: &Parameters = &self.prepared.parameters;
        let mut out = Vec::with_capacity(m + 1);
        for (term, structure) in parameters.structures.iter().enumerate() {
            let own = &theta[parameters.start[term]..parameters.start[term + 1]];
            let variances = structure.variances();
            let components = structure.components(own).into_iter().enumerate();
            out.extend(components.map(|(i, v)| if i < variances { v * tau } else { v }));
        }
        let model = self.prepared.residual_model();
        out.extend(model.components(&theta[parameters.list.len()..], tau));
        out.push(tau);
        out
    }

    /// H~'V^-1 (d2V / dpsi_a dpsi_c) V^-1 H~.
    fn block(&self, a: usize, c: usize, b: &[Vec<f64>]) -> Option<Vec<f64>> {
        let m = self.theta.len();
        let latest = self.criterion.latest.as_ref()?;
        let r = latest.solution.h.m;
        if c == m {
            // V = tau V_1
            return Some(if a == m {
                memory::zeros(r * r)
            } else {
                b[a].clone()
            });
        }
        let parameters = &self.prepared.parameters;
        let terms = parameters.list.len();
        if a >= terms {
            let columns = self.columns?;
            return Some(columns.part.model.second_form(
                columns.point.phi,
                columns.point.whitening,
                a - terms,
                c - terms,
                columns.e,
                r,
                &self.criterion.system().workers,
            ));
        }
        if c >= terms {
            return Some(memory::zeros(r * r));
        }
        let Some(second) = parameters.second(self.theta, a, c) else {
            return Some(memory::zeros(r * r));
        };
        let factor = self.criterion.factor.as_ref()?;
        let term = parameters.list[a].basis;
        let ((f, offset, k), levels) = (parameters.place[term], &parameters.levels[term]);
        let kf = parameters.factor_k[f];
        let mut kappa = memory::zeros(kf * kf);
        for j in 0..k {
            for i in 0..k {
                kappa[(offset + j) * kf + offset + i] = second[j * k + i];
            }
        }
        divide(factor.t.of_class(f, levels.class()), kf, &mut kappa);
        let direction = Direction {
            factor: f,
            levels: levels.clone(),
            kappa,
        };
        Some(single_products(
            self.criterion.system(),
            std::slice::from_ref(&direction),
            &latest.solution.h,
            None,
        ))
    }
}
