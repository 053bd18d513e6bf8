//! What a fit returns.

use crate::api::theta::UserTheta;

/// How the optimiser ended; every state but the first two means that the certificate does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Interior optimum: gradient zero, Hessian positive definite.
    Converged,
    /// Optimum on the boundary: some covariance matrix is rank deficient and the KKT conditions hold.
    Singular,
    /// Stationary, but the criterion is flat in some direction: the data do not identify the parameters.
    NotIdentified,
    /// Out of evaluations.
    IterationLimit,
    /// Out of time.
    TimeLimit,
    /// No further progress although the gradient is not zero.
    Failed,
    /// Only evaluated at the given theta.
    Evaluated,
}

impl Status {
    /// Name used in R.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Singular => "singular",
            Self::NotIdentified => "not-identified",
            Self::IterationLimit => "iteration-limit",
            Self::TimeLimit => "time-limit",
            Self::Failed => "failed",
            Self::Evaluated => "evaluated",
        }
    }
}

/// Which Hessian the certificate rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HessianKind {
    /// Second derivatives of the criterion, in closed form.
    Exact,
    /// Differences of the exact gradient.
    Differenced,
    /// Average information plus the exact curvature of the parameterisation: positive definite by construction, so no proof.
    AverageInformation,
}

impl HessianKind {
    /// Name used in R.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Differenced => "differenced gradient",
            Self::AverageInformation => "average information",
        }
    }
}

/// Where criterion, gradient and estimates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Factorisations.
    Exact,
    /// Conjugate gradients and random vectors, corrected by the exact criterion and gradient close to the optimum: exact but
    /// for what chance makes of the last step.
    Anchored,
    /// Conjugate gradients and random vectors; the criterion from a factorisation.
    ExactValue,
    /// Conjugate gradients and random vectors.
    Iterative,
}

impl Path {
    /// Name used in R.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Anchored => "iterative, then exact",
            Self::ExactValue => "iterative, exact criterion",
            Self::Iterative => "iterative",
        }
    }
}

/// What random vectors leave uncertain.
#[derive(Debug, Clone)]
pub struct MonteCarlo {
    /// Number of random vectors; 0 without any.
    pub vectors: usize,
    /// Standard error of the criterion.
    pub criterion: f64,
    /// Standard error of each value of theta, in the user's coordinates.
    pub theta: Vec<f64>,
}

/// Evidence that the reported point is a minimum of the criterion.
///
/// Gradient and Hessian are taken with respect to internal parameters: those of the covariance matrices of the *whitened* basis
/// (each term's columns rotated and scaled so that their mean cross-product is the identity), where one unit means "as large as
/// the residual standard deviation" (entries of the factor, or deviations and correlations of a structure), then phi without
/// bounds.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// How the optimiser ended.
    pub status: Status,
    /// The status in a sentence.
    pub message: String,
    /// Largest absolute entry of the gradient times the size of its parameter.
    pub max_gradient: f64,
    /// Smallest eigenvalue of the Hessian (m x m).
    pub min_eigenvalue: f64,
    /// Gradient, m values.
    pub gradient: Vec<f64>,
    /// Hessian, m x m, column-major.
    pub hessian: Vec<f64>,
    /// Which Hessian that is.
    pub hessian_kind: HessianKind,
    /// Where criterion and gradient come from.
    pub path: Path,
    /// What chance leaves uncertain.
    pub monte_carlo: MonteCarlo,
    /// Per term, and class of its levels: smallest derivative of the criterion with respect to a variance in the null space of the term's
    /// covariance matrix (KKT multiplier, has to be >= 0); NaN where the matrix has full rank.
    pub multipliers: Vec<f64>,
    /// Per term, and class of its levels: numerical rank of its covariance matrix.
    pub rank: Vec<usize>,
    /// Whether the optimum has a residual variance of zero, which the reported one stands for.
    pub residual_zero: bool,
    /// Relative error that rounding may have put into the factor of the mixed-model equations, at most.
    pub rounding: f64,
    /// Relative error that rounding of natural residual parameters to doubles puts into what is left of a correlation to its
    /// end, at most.
    pub rounding_of_phi: f64,
    /// Walks to an optimum, each from a place of its own.
    pub starts: usize,
    /// How many of them ended at this optimum, the others at higher ones or at none.
    pub agree: usize,
    /// Along how many of them the residual variance vanished: the random effects can take up all that is left of the response.
    pub vanishing: usize,
    /// Evaluations of the criterion.
    pub evaluations: usize,
    /// Accepted steps.
    pub iterations: usize,
    /// Criterion after each accepted step.
    pub trace_criterion: Vec<f64>,
    /// Scaled gradient after each accepted step.
    pub trace_gradient: Vec<f64>,
}

/// A fitted model, in the names of Bates et al. (2015), JSS 67(1).
#[derive(Debug, Clone)]
pub struct Fit {
    /// Relative covariance parameters, term after term and within a term class after class of its levels.
    pub theta: UserTheta,
    /// Residual parameters on their natural scale.
    pub phi: Vec<f64>,
    /// Elements of `phi` (from 0) that no row, or no two rows of a residual group, depend on: they are not identified.
    pub unseen: Vec<usize>,
    /// Fixed effects, p values, NaN where aliased.
    pub beta: Vec<f64>,
    /// Rank of X.
    pub rank: usize,
    /// Rank of the columns of fixed effects of levels.
    pub eliminated: usize,
    /// Column order of the rank decision, 0-based: kept columns first.
    pub pivot: Vec<usize>,
    /// Upper triangular, rank x rank, column-major: RX'RX = X'V^-1 X, kept columns in their original order.
    pub rx: Vec<f64>,
    /// (X'V^-1 X)^-1, rank x rank.
    pub vcov_unscaled: Vec<f64>,
    /// Residual standard deviation.
    pub sigma: f64,
    /// REML criterion or deviance (-2 log-likelihood), all constants included, without a penalty.
    pub criterion: f64,
    /// What a penalty on covariance matrices adds to it, up to a constant.
    pub penalty: f64,
    /// log |Lambda'Z'WZ Lambda + I|.
    pub ld_l2: f64,
    /// log |RX|^2.
    pub ld_rx2: f64,
    /// Penalised weighted residual sum of squares.
    pub pwrss: f64,
    /// Weighted residual sum of squares.
    pub wrss: f64,
    /// Squared length of `u`.
    pub ussq: f64,
    /// Spherical conditional modes, term after term, level after level.
    pub u: Vec<f64>,
    /// Conditional modes b = Lambda u in the same order.
    pub b: Vec<f64>,
    /// Fitted values, n, offset included.
    pub fitted: Vec<f64>,
    /// y - fitted.
    pub residuals: Vec<f64>,
    /// Time of the walks to the optimum, without that of centring the response in between.
    pub optimizer_seconds: f64,
    /// Evidence for the optimum.
    pub certificate: Certificate,
}

impl Fit {
    /// The fit of `factor` times the response (and offset): theta, RX and the certificate do not change.
    #[must_use]
    pub fn with_response_times(
        mut self,
        factor: f64,
        n: usize,
        reml: bool,
        penalty_of_sigma: f64,
    ) -> Self {
        for values in [
            &mut self.beta,
            &mut self.u,
            &mut self.b,
            &mut self.fitted,
            &mut self.residuals,
        ] {
            values.iter_mut().for_each(|v| *v *= factor);
        }
        self.sigma *= factor;
        for square in [&mut self.pwrss, &mut self.wrss, &mut self.ussq] {
            *square *= factor * factor;
        }
        let rank = self.rank + self.eliminated;
        let degrees = n as f64 - if reml { rank as f64 } else { 0.0 };
        self.criterion += 2.0 * degrees * factor.ln();
        self.penalty -= 2.0 * penalty_of_sigma * factor.ln();
        self
    }
}
