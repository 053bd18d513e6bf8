//! Penalties that keep covariance matrices of random effects off the boundary.

/// -2 log of a density of G, the relative covariance matrix of one term's effects (Var(b) = sigma^2 G) in the user's columns, up
/// to a constant:
///
/// -d log|G| + tr(A G) + tr(B G^-1) + sum_i (r sqrt(G_ii) + s / sqrt(G_ii)).
///
/// Wishart, gamma, inverse Wishart and inverse gamma densities of covariance matrices, variances or standard deviations are of
/// this form. It grows without bound as G becomes singular: d > 0, or B is positive definite, or s > 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Penalty {
    /// d.
    pub log_det: f64,
    /// A, k x k; empty: 0.
    pub linear: Vec<f64>,
    /// B, k x k; empty: 0.
    pub inverse: Vec<f64>,
    /// r.
    pub root: f64,
    /// s.
    pub inverse_root: f64,
}

/// The penalties of a model: its criterion has them added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Penalties {
    /// Of each term, and each class of its levels, in the user's order; may be empty.
    pub terms: Vec<Option<Penalty>>,
    /// kappa in -kappa log sigma^2: the densities of some terms are of sigma^2 G. With d log|sigma^2 G| = d log|G| + d k log sigma^2,
    /// it is the sum of d k over these terms and classes.
    pub log_sigma2: f64,
}
