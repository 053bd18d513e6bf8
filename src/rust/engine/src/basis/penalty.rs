//! Penalties on covariance matrices of random effects, in the coordinates of the bases.
//!
//! With G_user = B G B' the penalty of one term ([`crate::api::penalty::Penalty`]) is
//! P(G) = -d (log|G| + 2 log|B|) + tr(B'AB G) + tr(B^-1 C B^-T G^-1) + sum_i (r g_i + s / g_i), g_i^2 = c_i'G c_i, c_i' a row of B.
//! With W = dP/dG = -d G^-1 + A - G^-1 C G^-1 + sum_i (r / (2 g_i) - s / (2 g_i^3)) c_i c_i' (A and C those of the basis) and
//! G_a = dG / d theta_a, its derivatives are
//!
//! dP / d theta_a = tr(W G_a),
//! d2P / d theta_a d theta_b = tr(W G_ab) + tr(G^-1 G_a G^-1 G_b (d I + 2 G^-1 C)) + sum_i (3 s / (4 g_i^5) - r / (4 g_i^3)) (c_i'G_a c_i)
//! (c_i'G_b c_i).
//!
//! The penalties are those of Chung et al. (2013, Psychometrika 78, 685-709; 2015, Journal of Educational and Behavioral Statistics
//! 40, 136-157).

use crate::api::penalty::{Penalties, Penalty};
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::basis::random::TermBasis;
use crate::linalg::small;
use crate::runtime::memory;

/// The penalties of a model, basis by basis.
#[derive(Debug, Clone)]
pub struct CovariancePenalty {
    of_basis: Vec<Option<InBasis>>,
    /// kappa in -kappa log sigma^2.
    pub log_sigma2: f64,
}

/// The penalty of one term, or of one class of its levels.
#[derive(Debug, Clone)]
struct InBasis {
    k: usize,
    log_det: f64,
    constant: f64,
    linear: Vec<f64>,
    inverse: Vec<f64>,
    /// c_i one after the other; empty without roots.
    rows: Vec<f64>,
    root: f64,
    inverse_root: f64,
}

/// What derivatives at one G are made of.
struct AtCovariance {
    /// W.
    slope: Vec<f64>,
    /// G^-1.
    inverse: Vec<f64>,
    /// G^-1 (d I + 2 C G^-1).
    bend: Vec<f64>,
    /// Weights of the (c_i'G_a c_i)(c_i'G_b c_i).
    roots: Vec<f64>,
}

impl CovariancePenalty {
    /// The penalties in these bases; `None` where there are none.
    #[must_use]
    pub fn new(given: &Penalties, bases: &[TermBasis]) -> Option<Self> {
        let of_term = |basis: &TermBasis| given.terms.get(basis.term)?.as_ref();
        let of_basis: Vec<_> = bases
            .iter()
            .map(|basis| of_term(basis).map(|penalty| InBasis::new(penalty, basis)))
            .collect();
        of_basis.iter().any(Option::is_some).then_some(Self {
            of_basis,
            log_sigma2: given.log_sigma2,
        })
    }

    /// Whether there is one on the covariance matrix of this basis, which is not singular then.
    #[must_use]
    pub fn is_on(&self, basis: usize) -> bool {
        self.of_basis.get(basis).is_some_and(Option::is_some)
    }

    fn each(&self) -> impl Iterator<Item = (usize, &InBasis)> {
        let own = self.of_basis.iter().enumerate();
        own.filter_map(|(t, penalty)| Some((t, penalty.as_ref()?)))
    }

    /// The sum of the penalties without what depends on sigma; infinite where a covariance matrix is singular.
    #[must_use]
    pub fn value(&self, parameters: &Parameters, theta: &InternalTheta) -> f64 {
        self.each()
            .map(|(t, own)| own.value(&parameters.term_factor(theta, t)))
            .sum()
    }

    /// Adds the gradient.
    pub fn add_gradient(
        &self,
        parameters: &Parameters,
        theta: &InternalTheta,
        gradient: &mut [f64],
    ) {
        for (t, own) in self.each() {
            let at = own.at(&parameters.term_factor(theta, t));
            for a in parameters.start[t]..parameters.start[t + 1] {
                let derivative = parameters.derivative(theta, a);
                gradient[a] += small::trace_product(&at.slope, &derivative, own.k);
            }
        }
    }

    /// Adds the Hessian to one that begins with all parameters, `order` x `order`.
    pub fn add_hessian(
        &self,
        parameters: &Parameters,
        theta: &InternalTheta,
        (hessian, order): (&mut [f64], usize),
    ) {
        for (t, own) in self.each() {
            let at = own.at(&parameters.term_factor(theta, t));
            let range = parameters.start[t]..parameters.start[t + 1];
            let slopes: Vec<_> = range
                .clone()
                .map(|a| own.along(&at, &parameters.derivative(theta, a)))
                .collect();
            for (i, a) in range.clone().enumerate() {
                for (j, b) in range.clone().enumerate() {
                    let bent = parameters.second(theta, a, b).map_or(0.0, |second| {
                        small::trace_product(&at.slope, &second, own.k)
                    });
                    hessian[b * order + a] += bent + own.second(&at, &slopes[i], &slopes[j]);
                }
            }
        }
    }
}

/// What a direction G_a in a covariance matrix gives.
struct Along {
    /// G_a G^-1.
    relative: Vec<f64>,
    /// G^-1 (d I + 2 C G^-1) G_a.
    bent: Vec<f64>,
    /// c_i'G_a c_i.
    squares: Vec<f64>,
}

impl InBasis {
    fn new(penalty: &Penalty, basis: &TermBasis) -> Self {
        let k = basis.k;
        let b = &basis.change;
        // X' M X, where there is an M
        let within = |m: &[f64], x: &[f64]| {
            let mut half = memory::zeros(m.len());
            let mut out = memory::zeros(m.len());
            if !m.is_empty() {
                small::mul_nn(m, x, k, k, k, &mut half);
                let mut transposed = memory::zeros(k * k);
                small::transpose(x, k, &mut transposed);
                small::mul_nn(&transposed, &half, k, k, k, &mut out);
            }
            out
        };
        let mut inverse_transposed = memory::zeros(k * k);
        small::transpose(&basis.inverse(), k, &mut inverse_transposed);
        let has_roots = penalty.root != 0.0 || penalty.inverse_root != 0.0;
        let mut rows = memory::zeros(k * k);
        small::transpose(b, k, &mut rows);
        let log_change: f64 = (0..k).map(|i| b[i * k + i].abs().ln()).sum();
        Self {
            k,
            log_det: penalty.log_det,
            constant: -2.0 * penalty.log_det * log_change,
            linear: within(&penalty.linear, b),
            inverse: within(&penalty.inverse, &inverse_transposed),
            rows: if has_roots { rows } else { Vec::new() },
            root: penalty.root,
            inverse_root: penalty.inverse_root,
        }
    }

    /// g_i at a factor T of G.
    fn deviations(&self, t: &[f64]) -> Vec<f64> {
        let k = self.k;
        let length = |row: &[f64]| {
            (0..k).fold(0.0f64, |length, c| {
                let along: f64 = (0..k).map(|i| t[c * k + i] * row[i]).sum();
                length.hypot(along)
            })
        };
        self.rows.chunks_exact(k).map(length).collect()
    }

    /// G^-1 from its factor T.
    fn inverse(&self, t: &[f64]) -> Vec<f64> {
        let k = self.k;
        let inverse = small::invert_lower(t, k);
        let mut transposed = memory::zeros(k * k);
        small::transpose(&inverse, k, &mut transposed);
        let mut out = memory::zeros(k * k);
        small::mul_nn(&transposed, &inverse, k, k, k, &mut out);
        out
    }

    fn value(&self, t: &[f64]) -> f64 {
        let k = self.k;
        if (0..k).any(|i| t[i * k + i] == 0.0) {
            return f64::INFINITY;
        }
        let log_det: f64 = (0..k).map(|i| 2.0 * t[i * k + i].abs().ln()).sum();
        let mut out = self.constant - self.log_det * log_det;
        if !self.linear.is_empty() {
            let mut g = memory::zeros(k * k);
            small::mul_nt(t, t, k, k, k, &mut g);
            out += small::trace_product(&self.linear, &g, k);
        }
        if !self.inverse.is_empty() {
            out += small::trace_product(&self.inverse, &self.inverse(t), k);
        }
        let of_root = |g: &f64| self.root * g + self.inverse_root / g;
        out + self.deviations(t).iter().map(of_root).sum::<f64>()
    }

    fn at(&self, t: &[f64]) -> AtCovariance {
        let k = self.k;
        let inverse = self.inverse(t);
        let mut slope: Vec<f64> = inverse.iter().map(|v| -self.log_det * v).collect();
        let mut bend: Vec<f64> = inverse.iter().map(|v| self.log_det * v).collect();
        let pairs = slope.iter_mut().zip(&self.linear);
        pairs.for_each(|(w, a)| *w += a);
        if !self.inverse.is_empty() {
            let mut half = memory::zeros(k * k);
            let mut whole = memory::zeros(k * k);
            small::mul_nn(&inverse, &self.inverse, k, k, k, &mut half);
            small::mul_nn(&half, &inverse, k, k, k, &mut whole);
            slope.iter_mut().zip(&whole).for_each(|(w, v)| *w -= v);
            bend.iter_mut().zip(&whole).for_each(|(w, v)| *w += 2.0 * v);
        }
        let deviations = self.deviations(t);
        for (g, row) in deviations.iter().zip(self.rows.chunks_exact(k)) {
            let weight = 0.5 * (self.root / g - self.inverse_root / g.powi(3));
            for (e, w) in slope.iter_mut().enumerate() {
                *w += weight * row[e % k] * row[e / k];
            }
        }
        let of_root = |g: &f64| 0.75 * self.inverse_root / g.powi(5) - 0.25 * self.root / g.powi(3);
        AtCovariance {
            slope,
            inverse,
            bend,
            roots: deviations.iter().map(of_root).collect(),
        }
    }

    fn along(&self, at: &AtCovariance, direction: &[f64]) -> Along {
        let k = self.k;
        let [mut relative, mut bent] = [memory::zeros(k * k), memory::zeros(k * k)];
        small::mul_nn(direction, &at.inverse, k, k, k, &mut relative);
        small::mul_nn(&at.bend, direction, k, k, k, &mut bent);
        let square = |row: &[f64]| -> f64 {
            (0..k * k)
                .map(|e| row[e % k] * direction[e] * row[e / k])
                .sum()
        };
        Along {
            relative,
            bent,
            squares: self.rows.chunks_exact(k).map(square).collect(),
        }
    }

    /// The second derivative without what G_ab gives.
    fn second(&self, at: &AtCovariance, a: &Along, b: &Along) -> f64 {
        let roots = at.roots.iter().zip(a.squares.iter().zip(&b.squares));
        let of_roots: f64 = roots.map(|(weight, (x, y))| weight * x * y).sum();
        // G^-1 G_b is the transpose of G_b G^-1
        let pairs = a.bent.iter().zip(&b.relative);
        pairs.map(|(x, y)| x * y).sum::<f64>() + of_roots
    }
}
