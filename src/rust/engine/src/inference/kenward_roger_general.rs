//! Kenward & Roger's adjustment where V is not linear in the parameters, rows are correlated, or what is held, or levels with a
//! known precision matrix, are more than [`super::kenward_roger_linear`] is for.
//!
//! Parameters are nu = (variance components as SAS has them: covariances of each unstructured or diagonal G, and of CS and
//! TOEP with one variance, variances and correlations of the others; covariances of the residuals for UN, CS and TOEP,
//! variances of strata, otherwise natural residual parameters; sigma^2) and W is the inverse of the observed information, as in SAS (PROC MIXED, DDFM=KR) and mmrm, or
//! where V is linear of the expected one, as in [`super::kenward_roger_linear`]. Kenward & Roger (1997, Biometrics 53), eq. 6:
//! Phi_A = Phi + 2 Phi sum_ij W_ij (Q_ij - P_i Phi P_j - R_ij / 4) Phi with R_ij = X'V^-1 (d2V / dnu_i dnu_j) V^-1X; the linear
//! variant (SAS: FIRSTORDER) leaves R out.
//!
//! All but R are tensors: sums over i and j are the same in the internal parameters psi = (theta, phi, tau), tau = sigma^2 over
//! its estimate. For R, sum_ij W_ij R_ij = sum_ab W_ab (R_ab - sum_i B_i d2nu_i/dpsi_a dpsi_b) with W and R of psi on the right
//! and B_i = X'V^-1 (dV/dnu_i) V^-1X = sum_c B_c dpsi_c/dnu_i. The improved variant leaves out of R what is in the tangent space of
//! the parameters, whichever they are: see [`super::tangent`].
//! In the basis H~ = X~ Lx^-T of the fixed effects Phi is the identity.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::hessian::traces;
use crate::criterion::objective::Criterion;
use crate::criterion::products::products;
use crate::criterion::residual_directions::ResidualColumns;
use crate::criterion::residual_solution::ResidualSolution;
use crate::fit::prepared::Prepared;
use crate::inference::evaluated::to_user_basis;
use crate::inference::kenward_roger_clusters;
use crate::inference::kenward_roger_linear::{KenwardRoger, UNKNOWN};
use crate::inference::kenward_roger_second::{
    bends, expected_of_terms, in_fixed_basis, Second, SecondDerivatives,
};
use crate::inference::satterthwaite::{
    congruence, covariance, full_hessian, hessian_by_differences, Size,
};
use crate::inference::singular_point::SingularPoint;
use crate::inference::tangent::Expected;
use crate::linalg::hyperdual::HyperDual;
use crate::linalg::small;
use crate::runtime::memory;
use crate::structure::residual::Domain;

/// Whether V is linear in variances and covariances: a structure of residuals without parameters, known covariances, is.
pub(super) fn is_linear_in_components(prepared: &Prepared) -> bool {
    let parameters = &prepared.parameters;
    let mut list = parameters.list.iter().enumerate();
    list.all(|(a, parameter)| parameter.entries.len() == 1 && !parameters.is_bent(a))
        && prepared.residual_model().is_empty()
}

/// What the adjustment is made of.
struct Parts<'a> {
    /// Lower Cholesky factor of Q'V^-1Q.
    lower: Vec<f64>,
    /// H~'V^-1 V_a V^-1H~ of each parameter but the last, and H~'V^-1 V_a V^-1 V_b V^-1H~.
    b: Vec<Vec<f64>>,
    q: Vec<Vec<Vec<f64>>>,
    /// Covariance matrix of psi.
    w: Vec<f64>,
    /// Parameters of which the data tell nothing.
    blind: Vec<usize>,
    /// Whether some of the others are taken as known.
    known: bool,
    /// Where covariance matrices are singular.
    singular: Option<&'a SingularPoint<'a>>,
}

pub(super) fn adjustment(
    (data, prepared): (&ModelData<'_>, &Prepared),
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    second: SecondDerivatives,
) -> Result<Option<KenwardRoger>, EngineError> {
    let Some(parts) = parts(prepared, criterion, theta) else {
        return Ok(None);
    };
    parts.with_second((data, prepared), criterion, theta, second)
}

fn parts<'a>(
    prepared: &Prepared,
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
) -> Option<Parts<'a>> {
    let mut hessian = full_hessian(criterion, theta)?;
    let sigma2 = criterion.inverse_sigma2()?.recip();
    let m = theta.len();
    let mut blind = Vec::new();
    let size = if is_linear_in_components(prepared) {
        blind = expect(&mut hessian, criterion, sigma2)?;
        Size::Own
    } else {
        Size::Natural
    };
    let mut w = covariance(criterion, &hessian, (theta, sigma2), size);
    let known = at_boundary(prepared, theta);
    take_as_known(&mut w, &known, (m + 1, sigma2));
    let factor = criterion.factor.as_ref()?;
    let latest = criterion.latest.as_ref()?;
    let h = &latest.solution.h;
    let r = h.m;
    let fixed = latest.rows.as_ref().map(ResidualSolution::fixed);
    let columns = columns(criterion, fixed.as_deref());
    let found = products(
        criterion.system(),
        factor,
        h,
        &latest.derivatives.directions,
        h,
        columns.as_ref(),
    );
    let b = (0..m).map(|a| found.single[a * r * r..(a + 1) * r * r].to_vec());
    let q = |i: usize, j: usize| -> Vec<f64> {
        memory::collect((0..r * r).map(|e| {
            let (x, y) = (i * r + e % r, j * r + e / r);
            found.double[x.min(y) * found.width + x.max(y)]
        }))
    };
    let lower = (0..r * r).map(|e| factor.lx[(e / r.max(1)) * (r + 1) + e % r.max(1)]);
    Some(Parts {
        lower: memory::collect(lower),
        b: b.collect(),
        q: (0..m).map(|i| (0..m).map(|j| q(i, j)).collect()).collect(),
        w,
        blind,
        known: !known.is_empty(),
        singular: None,
    })
}

/// The adjustment at parameters some of whose covariance matrices are singular. What V does not move with there is taken as
/// known, as it is at an end of what is possible: the adjustment is that of the model without it.
pub(super) fn adjustment_at_singular(
    (data, prepared): (&ModelData<'_>, &Prepared),
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    second: SecondDerivatives,
) -> Result<Option<KenwardRoger>, EngineError> {
    let Some(differenced) = hessian_by_differences(prepared, criterion, theta) else {
        return Ok(None);
    };
    let criterion = &*criterion;
    let Some(at) = SingularPoint::new(prepared, criterion, theta) else {
        return Ok(None);
    };
    let hessian = differenced.unwrap_or_else(|| at.hessian(criterion));
    let (m, r, sigma2) = (theta.len(), at.rank(), at.sigma2);
    let mut w = covariance(criterion, &hessian, (theta, sigma2), Size::Natural);
    let scale = criterion.reach(theta);
    for still in at.still(&scale) {
        leave_out(&mut w, &still, &scale);
    }
    take_as_known(&mut w, &at_boundary(prepared, theta), (m + 1, sigma2));
    // H~ = Q L^-T
    let inverse = small::invert_lower(&at.lower, r);
    let turned = |block: &Vec<f64>| in_fixed_basis(&inverse, block, r);
    let doubles = at.doubles();
    let parts = Parts {
        b: at.singles().iter().map(turned).collect(),
        q: doubles
            .iter()
            .map(|row| row.iter().map(turned).collect())
            .collect(),
        lower: at.lower.clone(),
        w,
        blind: Vec::new(),
        known: true,
        singular: Some(&at),
    };
    parts.with_second((data, prepared), criterion, theta, second)
}

/// Rows of the criterion's residual structure, where it has one.
fn columns<'a>(
    criterion: &'a Criterion<'_>,
    fixed: Option<&'a [f64]>,
) -> Option<ResidualColumns<'a>> {
    let (part, point) = criterion.residual()?;
    Some(ResidualColumns {
        part,
        point,
        e: fixed?,
    })
}

/// Divides the last of s parameters, sigma^2, by what it is, and takes some others as known: the Hessian between these and what
/// is left is zero.
fn take_as_known(w: &mut [f64], known: &[usize], (s, sigma2): (usize, f64)) {
    for a in 0..s {
        w[(s - 1) * s + a] /= sigma2;
        w[a * s + s - 1] /= sigma2;
    }
    for &a in known {
        for b in 0..s {
            w[a * s + b] = 0.0;
            w[b * s + a] = 0.0;
        }
    }
}

/// Takes a combination of parameters, of length 1 where each is divided by its scale, out of their covariance matrix.
fn leave_out(w: &mut [f64], still: &[f64], scale: &[f64]) {
    let s = scale.len() + 1;
    for _ in 0..2 {
        // W - z (R^-1 z)'W, then the same from the right
        for column in w.chunks_exact_mut(s) {
            let parts = still.iter().zip(scale).zip(column.iter());
            let along: f64 = parts.map(|((z, r), w)| z / r * w).sum();
            let own = column.iter_mut().zip(still.iter().zip(scale));
            own.for_each(|(w, (z, r))| *w -= z * r * along);
        }
        for c in 0..s {
            for i in c + 1..s {
                w.swap(c * s + i, i * s + c);
            }
        }
    }
}

impl Parts<'_> {
    /// What the second derivatives are weighed by, and the adjustment.
    fn with_second(
        self,
        (data, prepared): (&ModelData<'_>, &Prepared),
        criterion: &Criterion<'_>,
        theta: &InternalTheta,
        second: SecondDerivatives,
    ) -> Result<Option<KenwardRoger>, EngineError> {
        let mut expected = None;
        if second == SecondDerivatives::BesideTangent {
            let bends = bends(prepared, theta, &self.w);
            expected = if criterion.residual().is_some() {
                let at = (theta, &self.w[..]);
                kenward_roger_clusters::expected(data, prepared, criterion, at, &bends)?
            } else if let Some(at) = self.singular {
                Some(at.expected(&bends, criterion.degrees()))
            } else {
                expected_of_terms(prepared, criterion, bends)
            };
            if expected.is_none() {
                return Ok(None);
            }
        }
        let linear = second == SecondDerivatives::Ignored;
        Ok(self.adjustment(prepared, criterion, theta, (linear, expected)))
    }

    fn adjustment(
        self,
        prepared: &Prepared,
        criterion: &Criterion<'_>,
        theta: &InternalTheta,
        (linear, expected): (bool, Option<Expected>),
    ) -> Option<KenwardRoger> {
        let Self {
            lower,
            mut b,
            q,
            mut w,
            blind,
            known,
            singular,
        } = self;
        let (m, s, r) = (theta.len(), theta.len() + 1, lower.len().isqrt());
        let identity: Vec<f64> =
            memory::collect((0..r * r).map(|e| f64::from(u8::from(e % r.max(1) == e / r.max(1)))));
        b.push(identity.clone());
        let mut correction = memory::zeros(r * r);
        for i in 0..s {
            for j in 0..s {
                let weight = w[j * s + i];
                if weight == 0.0 || r == 0 {
                    continue;
                }
                let mut product = memory::zeros(r * r);
                small::mul_nn(&b[i], &b[j], r, r, r, &mut product);
                // V = tau V_1
                let q = if i == m || j == m {
                    &b[i.min(j)]
                } else {
                    &q[i][j]
                };
                for ((c, q), p) in correction.iter_mut().zip(q).zip(product) {
                    *c += weight * (q - p);
                }
            }
        }
        let inverse = small::invert_lower(&lower, r);
        if !linear {
            let fixed = (criterion.latest.as_ref())
                .and_then(|latest| latest.rows.as_ref())
                .map(ResidualSolution::fixed);
            let second = Second {
                prepared,
                criterion,
                theta,
                columns: columns(criterion, fixed.as_deref()),
                known,
                singular: singular.map(|at| (at, inverse.as_slice())),
            };
            let curvature = match &expected {
                Some(expected) => second.beside_tangent(&w, &b, expected)?,
                None => second.contracted(&w, &b)?,
            };
            correction
                .iter_mut()
                .zip(curvature)
                .for_each(|(c, v)| *c -= 0.25 * v);
        }
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
}

/// Slope of a correlation of effects in its internal parameter below which it is at its boundary: 1 or -1 to about half its
/// square. Times the largest standard deviation relative to sigma, where that is above 1, it is what an effect has of its own beside
/// the others: next to nothing of large effects may be as much as the residuals.
const AT_BOUNDARY: f64 = 1e-4;

/// The same of residuals, whose correlations stay [`crate::structure::correlation::link::EDGE`] away: about a tenth of its root.
const AT_EDGE: f64 = 1e-6;

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
        let components = structure.components(&seeded);
        let variances = components.iter().take(structure.variances());
        let size = variances.fold(1.0f64, |most, v| most.max(v.v.abs()));
        let moved = components
            .iter()
            .enumerate()
            .map(|(i, v)| {
                if i < structure.variances() {
                    v.a / v.v.abs().max(f64::MIN_POSITIVE)
                } else {
                    v.a
                }
            })
            .fold(0.0f64, |m, v| m.max(v.abs()));
        if moved * size.sqrt() < AT_BOUNDARY {
            out.push(a);
        }
    }
    let (phi, model) = (parameters.of_residual(theta), prepared.residual_model());
    let (jacobian, kinds) = (model.natural_jacobian(phi), model.kinds());
    let size = phi.len();
    let correlations = (0..size).filter(|&a| kinds[a] == Domain::Correlation);
    out.extend(correlations.filter_map(|a| {
        let still = (0..size).all(|i| jacobian[a * size + i].abs() < AT_EDGE);
        still.then_some(terms + a)
    }));
    out
}
