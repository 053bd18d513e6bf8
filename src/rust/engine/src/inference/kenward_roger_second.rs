//! What second derivatives of V add to Kenward & Roger's adjustment: see [`super::kenward_roger_general`].

use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::criterion::direction::{divide, Direction};
use crate::criterion::hessian::traces;
use crate::criterion::objective::Criterion;
use crate::criterion::products::single_products;
use crate::criterion::residual_directions::ResidualColumns;
use crate::fit::prepared::Prepared;
use crate::inference::kenward_roger_linear::first_traces;
use crate::inference::singular_point::{direction, SingularPoint};
use crate::inference::tangent::Expected;
use crate::linalg::dense::Shape;
use crate::linalg::hyperdual::HyperDual;
use crate::linalg::small;
use crate::runtime::memory;

/// What becomes of the second derivatives of V, which only structures with correlations have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondDerivatives {
    /// They are left out.
    Ignored,
    /// In the parameters of SAS (Kenward & Roger 1997).
    InParameters,
    /// What of them no choice of parameters changes (Kenward & Roger 2009).
    BesideTangent,
}

/// L^-1 A L^-T from L^-1.
pub(super) fn in_fixed_basis(inverse: &[f64], a: &[f64], r: usize) -> Vec<f64> {
    let mut out = memory::zeros(r * r);
    if r > 0 {
        small::congruence((inverse, Shape::Lower, true), a, r, &mut out);
    }
    out
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

/// Second derivatives of V. Where V is linear in the components of a term, those of the components are the same, and both leave
/// nothing: they are about the others.
pub(super) struct Second<'a, 'b> {
    pub prepared: &'a Prepared,
    pub criterion: &'a Criterion<'b>,
    pub theta: &'a InternalTheta,
    pub columns: Option<ResidualColumns<'a>>,
    /// Whether some parameter is taken as known.
    pub known: bool,
    /// The point where covariance matrices are singular, and L^-1.
    pub singular: Option<(&'a SingularPoint<'a>, &'a [f64])>,
}

/// D = sum_ab W_ab V_ab of the terms in which V is not linear, as directions.
pub(super) fn bends(prepared: &Prepared, theta: &InternalTheta, w: &[f64]) -> Vec<Direction> {
    let (parameters, s) = (&prepared.parameters, theta.len() + 1);
    let is_bent = |a: &usize| parameters.is_bent(*a);
    let mut out = Vec::new();
    for term in 0..parameters.structures.len() {
        let own = parameters.start[term]..parameters.start[term + 1];
        let own: Vec<usize> = own.filter(is_bent).collect();
        let mut sum: Vec<f64> = Vec::new();
        for (&a, &b) in own.iter().flat_map(|a| own.iter().map(move |b| (a, b))) {
            let (weight, second) = (w[b * s + a], parameters.second(theta, a.min(b), a.max(b)));
            let Some(second) = second.filter(|_| weight != 0.0) else {
                continue;
            };
            memory::resize(&mut sum, second.len());
            sum.iter_mut()
                .zip(second)
                .for_each(|(x, y)| *x += weight * y);
        }
        if let (Some(&a), false) = (own.first(), sum.is_empty()) {
            out.push(direction(prepared, a, &sum));
        }
    }
    out
}

/// T and d of [`Expected`] where rows are independent and no covariance matrix is singular.
pub(super) fn expected_of_terms(
    prepared: &Prepared,
    criterion: &Criterion<'_>,
    bends: Vec<Direction>,
) -> Option<Expected> {
    let (factor, latest) = (criterion.factor.as_ref()?, criterion.latest.as_ref()?);
    let system = criterion.system();
    let mut all = latest.derivatives.directions.to_vec();
    let m = all.len();
    for mut bend in bends {
        let k = prepared.parameters.factor_k[bend.factor];
        divide(
            factor.t.of_class(bend.factor, bend.levels.class()),
            k,
            &mut bend.kappa,
        );
        all.push(bend);
    }
    let (inverse, solution) = (&latest.inverse, &latest.solution);
    let double = traces(
        system,
        factor,
        inverse,
        solution,
        &all,
        true,
        &mut Vec::new(),
    );
    let mut single = first_traces(prepared, (&factor.t, inverse), &all)?;
    let r = solution.h.m;
    let forms = single_products(system, &all, &solution.h, None);
    for (trace, form) in single.iter_mut().zip(forms.chunks_exact((r * r).max(1))) {
        *trace -= (0..r).map(|i| form[i * r + i]).sum::<f64>();
    }
    Some(Expected::new(&double, &single, m, criterion.degrees()))
}

impl Second<'_, '_> {
    /// sum_ab W_ab R_ab less what of it is in the tangent space of the parameters: see [`super::tangent`].
    pub fn beside_tangent(
        &self,
        w: &[f64],
        b: &[Vec<f64>],
        expected: &Expected,
    ) -> Option<Vec<f64>> {
        let m = self.theta.len();
        let mut out = memory::zeros(b[m].len());
        let parameters = &self.prepared.parameters;
        let terms = parameters.list.len();
        let is_bent = |a: &usize| *a >= terms || parameters.is_bent(*a);
        let bent: Vec<usize> = (0..m).filter(is_bent).collect();
        for (i, &a) in bent.iter().enumerate() {
            for &c in &bent[i..] {
                let weight = if a == c { 1.0 } else { 2.0 } * w[c * (m + 1) + a];
                if weight != 0.0 {
                    let own = self.block(a, c, b)?;
                    out.iter_mut().zip(own).for_each(|(x, y)| *x += weight * y);
                }
            }
        }
        for (own, g) in b.iter().zip(expected.along(w)) {
            out.iter_mut().zip(own).for_each(|(x, y)| *x -= g * y);
        }
        Some(out)
    }

    /// sum_ij W_ij R_ij over the natural parameters.
    pub fn contracted(&self, w: &[f64], b: &[Vec<f64>]) -> Option<Vec<f64>> {
        let m = self.theta.len();
        let mut out = memory::zeros(b[m].len());
        let parameters = &self.prepared.parameters;
        let terms = parameters.list.len();
        let is_bent = |a: &usize| *a >= terms || parameters.is_bent(*a);
        let psi: Vec<usize> = (0..=m).filter(is_bent).collect();
        let s = psi.len();
        // gradient and curvature of the natural parameters
        let mut jacobian = memory::zeros(s * s);
        let mut bend = memory::zeros(s);
        for (i, &a) in psi.iter().enumerate() {
            for &c in &psi[i..] {
                let natural = self.natural(a, c);
                let weight = if a == c { 1.0 } else { 2.0 } * w[c * (m + 1) + a];
                for (j, value) in natural.iter().enumerate() {
                    bend[j] += weight * value.ab;
                    if a == c {
                        jacobian[i * s + j] = value.a;
                    }
                }
                if weight != 0.0 {
                    for (x, y) in out.iter_mut().zip(self.block(a, c, b)?) {
                        *x += weight * y;
                    }
                }
            }
        }
        // sum_i B_i bend_i = sum_c B_c x_c with J x = bend; where something is known J is singular, and x the least-squares solution
        let mut x = bend.clone();
        if self.known || !small::solve_general(&jacobian, &mut [x.as_mut_slice()], s) {
            x = least_squares(&jacobian, &bend, s);
        }
        for (&c, x) in psi.iter().zip(&x) {
            out.iter_mut().zip(&b[c]).for_each(|(o, v)| *o -= x * v);
        }
        Some(out)
    }

    /// Natural parameters in which V is not linear, and tau, with derivatives along psi_a and psi_c.
    fn natural(&self, a: usize, c: usize) -> Vec<HyperDual> {
        let m = self.theta.len();
        let mut psi = self.theta.values().to_vec();
        psi.push(1.0);
        let psi = HyperDual::seeded(&psi, a, c);
        let (theta, tau) = (&psi[..m], psi[m]);
        let parameters: &Parameters = &self.prepared.parameters;
        let mut out = Vec::with_capacity(m + 1);
        for (term, structure) in parameters.structures.iter().enumerate() {
            if structure.is_linear_in_components() {
                continue;
            }
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
        let r = b[m].len().isqrt();
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
            let columns = self.columns.as_ref()?;
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
        if let Some((at, inverse)) = self.singular {
            let found = at.second(a, c);
            let nothing = || memory::zeros(r * r);
            return Some(found.map_or_else(nothing, |form| in_fixed_basis(inverse, &form, r)));
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
            &self.criterion.latest.as_ref()?.solution.h,
            None,
        ))
    }
}
