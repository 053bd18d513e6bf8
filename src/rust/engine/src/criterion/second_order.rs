//! The exact Hessian: in closed form where rows are independent, else by differences of the exact gradient.

use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::{COARSE, FLOOR};
use crate::criterion::gradient::SolvedPoint;
use crate::criterion::hessian;
use crate::criterion::latest::PointWorkspace;
use crate::criterion::objective::Criterion;
use crate::criterion::point::Point;
use crate::system::equations::{Factor, SelectedInverse};
use crate::system::solution::solve;

impl Criterion<'_> {
    /// Exact Hessian at the last point, whatever it costs; where there is none in closed form, by differences of the exact
    /// gradient.
    pub fn exact_hessian(&mut self) -> Option<Vec<f64>> {
        self.exact_hessian_and(false)
    }

    /// Like [`Self::exact_hessian`], as the last thing that is asked of this point: the factor gives its memory to what the
    /// Hessian needs. Values, solution and derivatives stay; for solves the criterion has to be evaluated anew, as
    /// [`Self::is_at`] says.
    pub fn last_hessian(&mut self) -> Option<Vec<f64>> {
        self.exact_hessian_and(true)
    }

    fn exact_hessian_and(&mut self, last: bool) -> Option<Vec<f64>> {
        self.find_exact(last)?;
        self.latest.as_ref()?.exact.clone()
    }

    /// Sees to it that the exact Hessian at the last point is there.
    pub(super) fn find_exact(&mut self, last: bool) -> Option<()> {
        if self.latest()?.exact.is_some() {
            return Some(());
        }
        if !self.has_independent_rows() {
            let point = self.point.clone();
            let found = self.differenced_hessian(&point, true)?;
            self.latest()?.exact = Some(found);
            return Some(());
        }
        let coarse = self.coarse_factors();
        if last && coarse.is_some() {
            let _ = self.factor.as_mut()?.give_up_complement();
            self.latest.as_mut()?.inverse = SelectedInverse::default();
        }
        let found = match coarse {
            Some(coarse) if last => self.coarse_hessian(coarse, true),
            Some(coarse) => self.coarse_hessian(coarse, false).or_else(|| {
                self.failure = None;
                self.own_hessian(false)
            }),
            None => self.own_hessian(last),
        };
        if last {
            self.point = InternalTheta::default();
        }
        self.latest.as_mut()?.exact = Some(found?);
        Some(())
    }

    /// Exact Hessian from the last point's own factor.
    fn own_hessian(&mut self, last: bool) -> Option<Vec<f64>> {
        let (base, reml) = (self.base, self.reml);
        let (factor, latest) = (self.factor.as_mut()?, self.latest.as_mut()?);
        let (inverse, solution) = (&mut latest.inverse, &latest.solution);
        let directions = &latest.derivatives.directions;
        let phis = &mut self.workspace.phis;
        let traces = if last {
            inverse.y = Vec::new();
            hessian::traces_in_place(base, factor, inverse, solution, directions, reml, phis)
        } else {
            hessian::traces(base, factor, inverse, solution, directions, reml, phis)
        };
        let mut exact = std::mem::take(&mut self.workspace.exact);
        exact.clear();
        exact.extend(latest.derivatives.exact_hessian(&traces));
        Some(exact)
    }

    /// Hessian in theta at fixed sigma^2 of the criterion in which sigma^2 is a parameter of its own.
    pub fn unprofiled_hessian(&mut self) -> Option<Vec<f64>> {
        let mut hessian = self.exact_hessian()?;
        // differences at fixed sigma^2 are these already
        if self.has_independent_rows() || self.fixed_inverse_sigma2.is_none() {
            let rank_one = &self.latest()?.derivatives.rank_one;
            hessian.iter_mut().zip(rank_one).for_each(|(h, r)| *h += r);
        }
        Some(hessian)
    }

    /// T where some of them is nearly singular: those at a slightly larger G (see [`COARSE`]).
    fn coarse_factors(&mut self) -> Option<Covariances> {
        let parameters = self.parameters;
        let (moments, workers) = (&self.base.moments, &self.base.workers);
        let floor = |term: usize| {
            let levels = moments.factors[parameters.place[term].0].n_levels as f64;
            FLOOR.max(COARSE * (levels / moments.n as f64).sqrt())
        };
        let old = std::mem::take(&mut self.workspace.coarse.factor.t);
        let (coarse, _) = parameters.factors_above(&self.point, floor, workers, old);
        if coarse == self.factor.as_ref()?.t {
            self.workspace.coarse.factor.t = coarse;
            return None;
        }
        Some(coarse)
    }

    /// Exact Hessian from the factor at T of a slightly larger G.
    fn coarse_hessian(&mut self, coarse: Covariances, last: bool) -> Option<Vec<f64>> {
        let (system, parameters, reml) = (self.base, self.parameters, self.reml);
        let workspace = std::mem::take(&mut self.workspace.coarse);
        let mut old = workspace.factor;
        let actual = old.actual.take().unwrap_or_default();
        let mut factor = match Factor::new(system, coarse, self.center, old) {
            Ok(factor) => factor,
            Err(error) => {
                self.failure = Some(error);
                return None;
            }
        };
        factor.actual = Some(parameters.factors(&self.point, actual));
        let inverse = factor.selected_inverse(system, workspace.inverse);
        let solution = solve(system, &factor, workspace.solution);
        let point = SolvedPoint {
            system,
            factor: &factor,
            inverse: &inverse,
            solution: &solution,
            point: Point {
                parameters,
                theta: &self.point,
                reml,
                inverse_sigma2: self
                    .fixed_inverse_sigma2
                    .or(self.known_sigma2.map(f64::recip))
                    .unwrap_or(self.degrees() / factor.pwrss),
                profiled: self.known_sigma2.is_none(),
                penalty: self.penalty,
            },
            residual: None,
        };
        let derivatives = point.derivatives(workspace.derivatives)?;
        let (directions, phis) = (&derivatives.directions, &mut self.workspace.phis);
        let traces = if last {
            let factor = &mut factor;
            hessian::traces_in_place(system, factor, &inverse, &solution, directions, reml, phis)
        } else {
            hessian::traces(system, &factor, &inverse, &solution, directions, reml, phis)
        };
        let mut exact = std::mem::take(&mut self.workspace.exact);
        exact.clear();
        exact.extend(derivatives.exact_hessian(&traces));
        if !last {
            self.workspace.coarse = PointWorkspace {
                factor,
                inverse,
                solution,
                derivatives,
            };
        }
        Some(exact)
    }

    /// Exact Hessian where its matrices are not too large (whatever it costs), else central differences of the exact gradient; the
    /// criterion is left evaluated at `theta`.
    pub fn hessian(&mut self, theta: &InternalTheta) -> Option<Vec<f64>> {
        if self.has_exact_hessian() || !self.has_independent_rows() {
            return self.exact_hessian();
        }
        self.differenced_hessian(theta, true)
    }
}
