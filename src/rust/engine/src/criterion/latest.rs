//! What the criterion knows about its last point, and what it writes that to.

use crate::criterion::gradient::Derivatives;
use crate::criterion::residual_solution::ResidualSolution;
use crate::system::complement::Complement;
use crate::system::equations::{Factor, SelectedInverse};
use crate::system::solution::Solution;

/// What [`crate::criterion::objective::Criterion`] knows about its last point.
pub struct Latest {
    /// Fixed and random effects.
    pub solution: Solution,
    /// Selected inverse.
    pub inverse: SelectedInverse,
    /// Gradient and pieces of the Hessian.
    pub derivatives: Derivatives,
    /// Rows at the solution, where there is a residual structure.
    pub(crate) rows: Option<ResidualSolution>,
    /// Exact Hessian, once computed.
    pub exact: Option<Vec<f64>>,
}

/// What an evaluation writes to instead of allocating: of an earlier point.
#[derive(Default)]
pub(super) struct CriterionWorkspace {
    pub inverse: SelectedInverse,
    pub solution: Solution,
    pub derivatives: Derivatives,
    pub exact: Vec<f64>,
    pub phis: Vec<Complement>,
    pub coarse: PointWorkspace,
}

/// What an evaluation at another point than the last one writes to.
#[derive(Default)]
pub(super) struct PointWorkspace {
    pub factor: Factor,
    pub inverse: SelectedInverse,
    pub solution: Solution,
    pub derivatives: Derivatives,
}
