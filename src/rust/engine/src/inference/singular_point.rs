//! The criterion's second derivatives, and what the fixed effects' covariance matrix changes by, at parameters some of whose
//! covariance matrices are singular: from [`Information`], which divides by none of them.

use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::direction::Direction;
use crate::criterion::objective::Criterion;
use crate::criterion::residual_directions::ResidualColumns;
use crate::criterion::residual_solution::ResidualSolution;
use crate::fit::prepared::Prepared;
use crate::inference::evaluated::sandwich;
use crate::inference::singular_covariances::{of_fixed, Information};
use crate::inference::singular_covariances_part::Columns;
use crate::inference::tangent::Expected;
use crate::linalg::small;
use crate::runtime::memory;
use crate::system::equations::System;

/// V there, and its derivatives V_a.
pub(super) struct SingularPoint<'a> {
    prepared: &'a Prepared,
    theta: &'a InternalTheta,
    information: Information<'a>,
    /// Columns: of Q, the response, and R_b V^-1 Q for each residual parameter b.
    width: usize,
    /// (Q'V^-1Q)^-1.
    pub phi: Vec<f64>,
    /// Lower Cholesky factor of Q'V^-1Q.
    pub lower: Vec<f64>,
    /// y - Q gamma: -gamma, and 1.
    left: Vec<f64>,
    pub sigma2: f64,
    /// G_a of each parameter of a term, and C'V^-1 V_a V^-1C of all columns C.
    directions: Vec<Direction>,
    forms: Vec<Vec<f64>>,
}

/// Symmetric k x k blocks of a term as a direction of its factor.
pub(super) fn direction(prepared: &Prepared, a: usize, g: &[f64]) -> Direction {
    let parameters = &prepared.parameters;
    let term = parameters.list[a].basis;
    let (factor, offset, own) = parameters.place[term];
    let k = parameters.factor_k[factor];
    let mut kappa = memory::zeros(k * k);
    (0..own * own).for_each(|e| kappa[(offset + e / own) * k + offset + e % own] = g[e]);
    Direction {
        factor,
        levels: parameters.levels[term].clone(),
        kappa,
    }
}

/// [Q r], and R_b V^-1 Q for each residual parameter b where there are any.
fn columns(system: &System, criterion: &Criterion<'_>) -> Option<Columns> {
    let mut out = Columns::of(system);
    let Some((part, point)) = criterion.residual() else {
        return Some(out);
    };
    let factor = criterion.factor.as_ref()?;
    let rows: &ResidualSolution = criterion.latest.as_ref()?.rows.as_ref()?;
    let (p1, r) = (rows.p1, rows.p1 - 1);
    // of Q rather than Q Lx^-T
    let fixed = rows.columns.chunks_exact(p1).flat_map(|row| {
        let of = move |i: usize| -> f64 { (0..=i).map(|b| row[b] * factor.lx[b * p1 + i]).sum() };
        (0..r).map(of)
    });
    let e: Vec<f64> = fixed.collect();
    let columns = ResidualColumns { part, point, e: &e };
    out.append(&part.images(&columns, system, r));
    Some(out)
}

impl<'a> SingularPoint<'a> {
    /// At the point where the criterion was evaluated, with its solution where there is a residual structure.
    pub fn new(
        prepared: &'a Prepared,
        criterion: &'a Criterion<'_>,
        theta: &'a InternalTheta,
    ) -> Option<Self> {
        let (parameters, system) = (&prepared.parameters, criterion.system());
        let columns = columns(system, criterion)?;
        let (width, p1) = (columns.width, system.moments.p1);
        let r = p1 - 1;
        let t = parameters.factors(theta, Covariances::default());
        let information = Information::new(system, &t, columns)?;
        let mut lower = of_fixed(&information.cross, width, p1);
        if !small::cholesky(&mut lower, p1) {
            return None;
        }
        // y'Py, and y - Q gamma
        let rss = lower[p1 * p1 - 1].powi(2);
        let sigma2 = criterion.known_sigma2();
        let sigma2 = sigma2.unwrap_or(rss / criterion.degrees());
        let lower = of_fixed(&lower, p1, r);
        let mut left = memory::collect((0..p1).map(|i| -information.cross[r * width + i]));
        small::solve_lower(&lower, r, &mut left[..r]);
        small::solve_lower_transposed(&lower, r, &mut left[..r]);
        left[r] = 1.0;
        let directions: Vec<Direction> = (0..parameters.list.len())
            .map(|a| direction(prepared, a, &parameters.derivative(theta, a)))
            .collect();
        Some(Self {
            prepared,
            theta,
            forms: information.forms(&directions),
            information,
            width,
            phi: small::inverse_from_cholesky(&lower, r),
            lower,
            left,
            sigma2,
            directions,
        })
    }

    /// Columns of Q.
    pub fn rank(&self) -> usize {
        self.left.len() - 1
    }

    /// Where the r columns of a parameter start in a form: those of Q for the parameter of a term.
    fn start(&self, a: usize) -> usize {
        match a.checked_sub(self.directions.len()) {
            Some(of_residual) => self.left.len() + of_residual * self.rank(),
            None => 0,
        }
    }

    /// The r x r block of a form from this row and column on.
    fn block(&self, form: &[f64], (row, column): (usize, usize)) -> Vec<f64> {
        let r = self.rank();
        memory::collect((0..r * r).map(|e| form[(column + e / r) * self.width + row + e % r]))
    }

    /// Q'V^-1 V_a V^-1Q of each parameter.
    pub fn singles(&self) -> Vec<Vec<f64>> {
        let single = |a: usize| match self.forms.get(a) {
            Some(form) => self.block(form, (0, 0)),
            None => self.block(&self.information.cross, (0, self.start(a))),
        };
        (0..self.theta.len()).map(single).collect()
    }

    /// Q'V^-1 V_a V^-1 V_b V^-1Q of each pair of parameters.
    pub fn doubles(&self) -> Vec<Vec<Vec<f64>>> {
        let (m, terms, r) = (self.theta.len(), self.directions.len(), self.rank());
        let of_terms = self.information.double_forms(&self.directions);
        let double = |a: usize, b: usize| {
            let start = (self.start(a), self.start(b));
            match (self.forms.get(a), self.forms.get(b)) {
                (Some(_), Some(_)) => self.block(&of_terms[a][b], (0, 0)),
                (Some(form), None) => self.block(form, start),
                (None, Some(_)) => Vec::new(),
                (None, None) => self.block(&self.information.cross, start),
            }
        };
        let mut out: Vec<Vec<Vec<f64>>> =
            Vec::from_iter((0..m).map(|a| (0..m).map(|b| double(a, b)).collect()));
        for a in terms..m {
            for b in 0..terms {
                let other = &out[b][a];
                let own = memory::collect((0..r * r).map(|e| other[(e % r) * r + e / r]));
                out[a][b] = own;
            }
        }
        out
    }

    /// Q'V^-1 V_ab V^-1Q of two parameters of terms; `None` for those of different terms, which have no V_ab.
    pub fn second(&self, a: usize, b: usize) -> Option<Vec<f64>> {
        let second = self.prepared.parameters.second(self.theta, a, b)?;
        let bend = direction(self.prepared, a, &second);
        let form = self.information.forms(std::slice::from_ref(&bend));
        Some(self.block(&form[0], (0, 0)))
    }

    /// tr(P V_a P V_b) of the parameters and of parts of a curvature of V, where rows are independent.
    pub fn expected(&self, bends: &[Direction], degrees: f64) -> Expected {
        let (r, width) = (self.rank(), self.width);
        let all = [&self.directions[..], bends].concat();
        let forms = self.information.forms(&all);
        let scaled = forms.iter().map(|form| {
            let mut half = memory::zeros(r * r);
            small::mul_nn(&self.phi, &of_fixed(form, width, r), r, r, r, &mut half);
            half
        });
        let scaled: Vec<Vec<f64>> = scaled.collect();
        let pairs = self.information.double_forms(&all);
        let mut double = self.information.double_traces(&all);
        let mut single = self.information.traces(&all);
        for b in 0..all.len() {
            for a in 0..all.len() {
                let q = of_fixed(&pairs[a][b], width, r);
                double[b * all.len() + a] += small::trace_product(&scaled[a], &scaled[b], r)
                    - 2.0 * small::trace_product(&self.phi, &q, r);
            }
            single[b] -= (0..r).map(|i| scaled[b][i * r + i]).sum::<f64>();
        }
        Expected::new(&double, &single, self.directions.len(), degrees)
    }

    /// Hessian in (theta, sigma^2) of the unprofiled criterion where rows are independent. With P V_a P and the second
    /// derivatives V_ab of V it has D_ab = tr(P V_ab) - tr(P V_a P V_b) + (2 y'P V_a P V_b P y - y'P V_ab P y) / sigma^2 (ML:
    /// V^-1 in traces in place of P).
    pub fn hessian(&self, criterion: &Criterion<'_>) -> Vec<f64> {
        let (parameters, sigma2, phi) = (&self.prepared.parameters, self.sigma2, &self.phi);
        let (m, r, width) = (self.theta.len(), self.rank(), self.width);
        let (s, p1) = (m + 1, r + 1);
        let along = |form: &[f64]| -> Vec<f64> {
            (0..p1)
                .map(|i| (0..p1).map(|c| form[c * width + i] * self.left[c]).sum())
                .collect()
        };
        let of_response = |x: &[f64]| -> f64 { x.iter().zip(&self.left).map(|(x, l)| x * l).sum() };
        let double = self.information.double_forms(&self.directions);
        let traces = self.information.double_traces(&self.directions);
        let slopes: Vec<Vec<f64>> = self.forms.iter().map(|form| along(form)).collect();
        let singles = self.singles();
        let scaled: Vec<Vec<f64>> = singles.iter().map(|form| sandwich(phi, form, r)).collect();
        let mut hessian = memory::zeros(s * s);
        for a in 0..m {
            for b in 0..m {
                let mut trace = traces[b * m + a];
                if criterion.reml {
                    let q = of_fixed(&double[a][b], width, r);
                    let square = small::trace_product(&scaled[a], &singles[b], r);
                    trace += square - 2.0 * small::trace_product(phi, &q, r);
                }
                let of_fixed_part: f64 = (0..r)
                    .map(|i| {
                        (0..r)
                            .map(|c| slopes[a][i] * phi[c * r + i] * slopes[b][c])
                            .sum::<f64>()
                    })
                    .sum();
                let quadratic = of_response(&along(&double[a][b])) - of_fixed_part;
                hessian[b * s + a] = 2.0 * quadratic / sigma2 - trace;
            }
            hessian[m * s + a] = of_response(&slopes[a]) / (sigma2 * sigma2);
            hessian[a * s + m] = hessian[m * s + a];
        }
        hessian[m * s + m] = criterion.degrees() / (sigma2 * sigma2);
        let pairs = (0..m).flat_map(|b| (0..=b).map(move |a| (a, b)));
        let second: Vec<(usize, usize, Direction)> = pairs
            .filter_map(|(a, b)| {
                let second = parameters.second(self.theta, a, b)?;
                Some((a, b, direction(self.prepared, a, &second)))
            })
            .collect();
        let bends: Vec<Direction> = second.iter().map(|(_, _, bend)| bend.clone()).collect();
        let traces = self.information.traces(&bends);
        let forms = self.information.forms(&bends);
        for ((a, b, _), (trace, form)) in second.iter().zip(traces.into_iter().zip(&forms)) {
            let mut value = trace - of_response(&along(form)) / sigma2;
            if criterion.reml {
                value -= small::trace_product(phi, &of_fixed(form, width, r), r);
            }
            hessian[b * s + a] += value;
            if a != b {
                hessian[a * s + b] += value;
            }
        }
        if let Some(penalty) = &self.prepared.penalty {
            penalty.add_hessian(parameters, self.theta, (&mut hessian, s));
        }
        hessian
    }

    /// Directions in the parameters of the terms along which V does not move, orthonormal where each parameter is divided by
    /// its `scale`: standard deviations of zero, correlations of what has none.
    pub fn still(&self, scale: &[f64]) -> Vec<Vec<f64>> {
        let parameters = &self.prepared.parameters;
        let mut out = Vec::new();
        for term in 0..parameters.structures.len() {
            let own = parameters.start[term]..parameters.start[term + 1];
            let slopes: Vec<Vec<f64>> = own
                .clone()
                .map(|a| {
                    let slope = parameters.derivative(self.theta, a);
                    slope.into_iter().map(|v| v * scale[a]).collect()
                })
                .collect();
            let m = slopes.len();
            let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
            let gram: Vec<f64> =
                memory::collect((0..m * m).map(|e| dot(&slopes[e % m], &slopes[e / m])));
            let (values, vectors) = small::symmetric_eigen(&gram, m);
            let limit = STILL * values.iter().fold(0.0f64, |a, v| a.max(*v));
            for (_, vector) in (values.iter().zip(vectors.chunks_exact(m.max(1))))
                .filter(|(value, _)| **value <= limit)
            {
                let mut direction = memory::zeros(self.theta.len());
                direction[own.clone()].copy_from_slice(vector);
                out.push(direction);
            }
        }
        out
    }
}

/// Square of a slope of V relative to the steepest one of its term, below which it is rounding.
const STILL: f64 = 1e-16;
