//! Covariance structures of random-effects terms: maps from parameters to the relative covariance factor T of one level
//! (k x k, lower triangular, T T' = G / sigma^2).
//!
//! A structure is *linear* where each parameter is an entry (or several) of T; the derivatives then never divide by T. The
//! others give G and its derivatives.

use crate::linalg::hyperdual::HyperDual;
use crate::structure::random::linear;

/// A covariance structure.
pub trait Covariance: std::fmt::Debug + Send + Sync {
    /// Effects of a level.
    fn k(&self) -> usize;

    /// Number of parameters.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows and columns of T that each parameter is; `None` where T is not linear in the parameters.
    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>>;

    /// Whether V is linear in variances and covariances that are free.
    fn is_linear_in_components(&self) -> bool {
        self.linear().is_some()
    }

    /// Rank of G that is not on a boundary.
    fn largest_rank(&self) -> usize {
        self.k()
    }

    /// Whether a parameter is in units of sigma, as a standard deviation is and a correlation is not.
    fn is_deviation(&self, a: usize) -> bool {
        a == 0 || self.linear().is_some()
    }

    /// The effect in whose units a parameter is that is no entry of T; `None` where in no single one's.
    fn row(&self, _: usize) -> Option<usize> {
        None
    }

    /// T at these parameters.
    fn factor(&self, theta: &[f64]) -> Vec<f64>;

    /// dG / d theta_a, k x k.
    fn derivative(&self, theta: &[f64], a: usize) -> Vec<f64>;

    /// d2G / d theta_a d theta_b, k x k.
    fn second(&self, theta: &[f64], a: usize, b: usize) -> Vec<f64>;

    /// Parameters at T = tau I or, for correlated effects, close to it.
    fn start(&self, tau: f64) -> Vec<f64>;

    /// Steps off a boundary that a walk from [`Self::start`] takes on its way.
    fn steps_from_start(&self) -> usize {
        0
    }

    /// Parameters with variances below `limit` exactly zero, and an orthonormal basis of the null space of G there; `None` if
    /// G has full rank.
    fn reduced(&self, theta: &[f64], limit: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)>;

    /// Smallest derivative of the criterion, whose score matrix is `score`, with respect to a variance in the null space of G,
    /// and its direction.
    fn multiplier(&self, _: &[f64], score: &[f64], null: &[Vec<f64>]) -> (f64, Vec<f64>) {
        linear::smallest_multiplier(score, self.k(), null)
    }

    /// x'Gy.
    fn between(&self, theta: &[f64], x: &[f64], y: &[f64]) -> f64 {
        let (k, t) = (self.k(), self.factor(theta));
        let along = |c: usize, v: &[f64]| -> f64 { (0..k).map(|i| t[c * k + i] * v[i]).sum() };
        (0..k).map(|c| along(c, x) * along(c, y)).sum()
    }

    /// Parameters with variance added to G along `direction`, as far as the structure allows.
    fn with_variance(&self, theta: &[f64], direction: &[f64], variance: f64) -> Vec<f64>;

    /// Number of standard deviations that [`Self::with_variance`] can enlarge one by one, along unit vectors.
    fn sizes(&self) -> usize {
        self.k()
    }

    /// Whether every covariance matrix is possible.
    fn is_free(&self) -> bool {
        let k = self.k();
        self.sizes() == k && self.len() == k * (k + 1) / 2
    }

    /// Parameters with the same overall size, but other correlations and ratios of standard deviations, where
    /// [`Self::with_variance`] does not lead to them.
    fn shapes(&self, _: &[f64]) -> Vec<Vec<f64>> {
        Vec::new()
    }

    /// Parameters at these standard deviations (where all have one, the first), with correlations as `chance`, uniform in
    /// (0, 1), has them, where [`Self::with_variance`] does not lead to any.
    fn anywhere(&self, _deviations: &[f64], _chance: &mut dyn FnMut() -> f64) -> Option<Vec<f64>> {
        None
    }

    /// Parameters of covariance matrices with one variance less, each of them zero in its turn where they are apart.
    fn smaller(&self, theta: &[f64]) -> Vec<Vec<f64>>;

    /// Parameters with `variance` added to each variance.
    fn inflated(&self, theta: &[f64], variance: f64) -> Vec<f64>;

    /// Size of each parameter, below which changes do not matter: at least `natural` for standard deviations.
    fn scale(&self, theta: &[f64], natural: f64) -> Vec<f64>;

    /// For each parameter the share of its scale on which the criterion changes by as much.
    fn reach(&self, theta: &[f64]) -> Vec<f64> {
        vec![1.0; theta.len()]
    }

    /// Whether a parameter is without effect at these parameters (that of a variance of zero).
    fn is_null(&self, theta: &[f64], a: usize) -> bool;

    /// Parameters as the user sees them, for effects whose columns were multiplied by `scales`, all by the first where all have one
    /// variance: relative standard deviations, then correlations. Unstructured and diagonal ones are entries of T and do not come here.
    fn natural(&self, theta: &[f64], scales: &[f64]) -> Vec<f64> {
        theta.iter().map(|v| v * scales[0]).collect()
    }

    /// Variance components as SAS has them, relative to sigma^2, with their derivatives: covariances where G is linear in them,
    /// else variances, then correlations. As many as parameters.
    fn components(&self, theta: &[HyperDual]) -> Vec<HyperDual>;

    /// How many of the components are variances or covariances; the others are correlations.
    fn variances(&self) -> usize {
        self.len()
    }

    /// The way back; `None` where the values are not possible.
    fn internal(&self, natural: &[f64], scales: &[f64]) -> Option<Vec<f64>> {
        Some(natural.iter().map(|v| v / scales[0]).collect())
    }
}

/// First and second derivatives of a structure against central differences of G, given as a function, and of the first.
#[cfg(test)]
pub(crate) fn derivatives_are_differences(
    s: &dyn Covariance,
    g: &dyn Fn(&[f64]) -> Vec<f64>,
    theta: &[f64],
) {
    const H: f64 = 1e-5;
    let close = |exact: &[f64], up: &[f64], down: &[f64], what: (usize, usize)| {
        for (e, value) in exact.iter().enumerate() {
            let difference = (up[e] - down[e]) / (2.0 * H);
            assert!((value - difference).abs() < 1e-8, "{s:?} {what:?} {e}");
        }
    };
    for a in 0..s.len() {
        let (mut up, mut down) = (theta.to_vec(), theta.to_vec());
        up[a] += H;
        down[a] -= H;
        close(&s.derivative(theta, a), &g(&up), &g(&down), (a, a));
        for b in 0..s.len() {
            let (x, y) = (s.derivative(&up, b), s.derivative(&down, b));
            close(&s.second(theta, a, b), &x, &y, (a, b));
        }
    }
}
