//! What follows from a factor: the solution, the selected inverse, the gradient and the average information.

use crate::api::error::EngineError;
use crate::criterion::gradient::{AtResidual, SolvedPoint};
use crate::criterion::latest::Latest;
use crate::criterion::objective::Criterion;
use crate::criterion::point::Point;
use crate::criterion::residual_solution::ResidualSolution;
use crate::system::equations::SelectedInverse;
use crate::system::solution::{solve, Solution};

/// What derivatives at the last point are made of.
struct Solved {
    inverse: SelectedInverse,
    solution: Solution,
    rows: Option<ResidualSolution>,
}

impl Criterion<'_> {
    /// Fixed and random effects at the last point.
    pub(crate) fn solution(&mut self) -> Option<Solution> {
        if self.estimator.is_some() {
            return Some(self.latest()?.solution.clone());
        }
        Some(solve(
            self.system(),
            self.factor.as_ref()?,
            Solution::default(),
        ))
    }

    /// Solution, selected inverse and derivatives at the last point.
    pub fn latest(&mut self) -> Option<&mut Latest> {
        if self.latest.is_none() {
            let flag = self.base.workers.flag().clone();
            let found = match self.estimator.take() {
                Some(mut estimator) => {
                    let found = flag.in_time(|| self.estimated(&mut estimator));
                    self.estimator = Some(estimator);
                    found
                }
                None => flag.in_time(|| self.exact()),
            };
            if found.is_none() {
                self.failure = Some(EngineError::TimeLimit);
            }
            self.latest = found.flatten();
        }
        self.latest.as_mut()
    }

    fn exact(&mut self) -> Option<Latest> {
        let solved = self.solved()?;
        let old = std::mem::take(&mut self.workspace.derivatives);
        let derivatives = self.solved_point(&solved)?.derivatives(old)?;
        Some(Latest {
            solution: solved.solution,
            inverse: solved.inverse,
            derivatives,
            rows: solved.rows,
            exact: None,
        })
    }

    /// The gradient at the last point; nothing is found for the Hessian.
    pub(crate) fn gradient(&mut self) -> Option<Vec<f64>> {
        if self.estimator.is_some() || self.latest.is_some() {
            return Some(self.latest()?.derivatives.gradient.clone());
        }
        let solved = self.solved()?;
        let old = self.workspace.derivatives.take_slopes();
        let found = self.solved_point(&solved)?.slopes(old)?;
        self.workspace.derivatives.score = found.score;
        self.workspace.inverse = solved.inverse;
        self.workspace.solution = solved.solution;
        Some(found.gradient)
    }

    fn solved(&mut self) -> Option<Solved> {
        let state = self.at_residual.as_ref();
        let system = state.map_or(self.base, |state| &state.system);
        let factor = self.factor.as_mut()?;
        let workspace = &mut self.workspace;
        let inverse = factor.selected_inverse(system, std::mem::take(&mut workspace.inverse));
        let solution = solve(system, factor, std::mem::take(&mut workspace.solution));
        let rows = self
            .residual
            .map(|part| part.solution(system, factor, &solution));
        Some(Solved {
            inverse,
            solution,
            rows,
        })
    }

    /// The last point, for derivatives.
    pub(super) fn current_point(&self) -> Option<Point<'_>> {
        Some(Point {
            parameters: self.parameters,
            theta: &self.point,
            reml: self.reml,
            inverse_sigma2: self.inverse_sigma2()?,
            profiled: self.known_sigma2.is_none(),
            penalty: self.penalty,
        })
    }

    fn solved_point<'b>(&'b self, solved: &'b Solved) -> Option<SolvedPoint<'b>> {
        let residual = self.residual().zip(solved.rows.as_ref());
        Some(SolvedPoint {
            system: self.system(),
            factor: self.factor.as_ref()?,
            inverse: &solved.inverse,
            solution: &solved.solution,
            point: self.current_point()?,
            residual: residual.map(|((part, point), rows)| AtResidual { part, point, rows }),
        })
    }
}
