//! The optimum that stands, with its certificate and estimates.

use crate::api::error::EngineError;
use crate::api::result::{Fit, Status};
use crate::criterion::objective::Criterion;
use crate::fit::estimates::{estimates, require_held, user_errors, RowResults};
use crate::fit::prepared::Prepared;
use crate::fit::rounds::{Found, Rounds, OPTIMUM};
use crate::runtime::memory;
use crate::search::certificate::{certify, chance_of_theta};
use crate::search::optimum::{Run, EXACT};
use crate::search::strategy::Plan;

impl Rounds<'_, '_> {
    /// The optimum with its certificate, and what the criterion knows there.
    pub(super) fn finish_round(
        &mut self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
        mut run: Run,
    ) -> Result<Found, EngineError> {
        if self.vanished.is_some() && run.status == Status::Converged {
            run.status = Status::Singular;
        }
        let rounding = match &criterion.factor {
            Some(factor) if self.plan == Plan::Exact => factor.rounding(criterion.system()),
            _ => f64::EPSILON * model.largest_share(&self.theta).max(1.0),
        };
        let mut certificate = certify(criterion, &run, self.at_optimum.is_none());
        certificate.rounding = rounding;
        let phi = model.parameters.of_residual(&self.theta);
        certificate.rounding_of_phi = model.residual_model().rounding_of_natural(phi);
        certificate.residual_zero = self.vanished.is_some();
        if self.plan == Plan::Exact {
            certificate.starts = self.walks.count();
            certificate.agree = self.walks.agreeing(run.outcome.value);
            certificate.vanishing = self.walks.vanishing();
        }
        certificate.monte_carlo.theta = match chance_of_theta(criterion, &certificate.hessian) {
            Some(covariance) => user_errors(model, &self.theta, &covariance),
            None => memory::zeros(model.parameters.list.len()),
        };
        if let Some(at_optimum) = &mut self.at_optimum {
            at_optimum(model, criterion, &self.theta);
        }
        let solution = match criterion.latest.take() {
            Some(latest) => Some(latest.solution),
            // a search that was cut before there was a gradient
            None => criterion.solution(),
        };
        let (Some(solution), Some(factor)) = (solution, criterion.factor.take()) else {
            return Err(criterion.failure(OPTIMUM));
        };
        Ok(Found {
            value: criterion.at(&factor),
            penalty: criterion.penalty_at(&self.theta, &factor),
            factor,
            solution,
            certificate,
        })
    }

    /// The fit in the user's terms; `None` where it turns out that random effects take up all there is, so that only rounding
    /// keeps the criterion from falling without bound, and the next round begins at an optimum that was passed.
    pub(crate) fn finish(
        &mut self,
        model: &mut Prepared,
        found: Found,
        rows: RowResults<'_>,
    ) -> Result<Option<Fit>, EngineError> {
        let (theta, options) = (&self.theta, self.options);
        let phi = model.parameters.of_residual(theta);
        if !model.residual_model().can_be_told(phi) {
            return Err(EngineError::CorrelationOfUnit);
        }
        let known = model.sigma2;
        model.sigma2 = known.or(self.vanished);
        let mut fit = estimates(
            self.data,
            options,
            model,
            theta,
            &found.factor,
            &found.solution,
            (found.value, found.penalty),
            found.certificate,
            rows,
        );
        fit.optimizer_seconds = self.optimizing.as_secs_f64();
        let wrss = model.in_rows(theta, fit.wrss);
        let is_perfect = self.vanished.is_none() && wrss <= EXACT * self.fixed_rss;
        if options.optimize && options.sigma.is_none() && is_perfect {
            model.sigma2 = known;
            return self
                .back(Some(fit.criterion + fit.penalty), EngineError::PerfectFit)
                .map(|_| None);
        }
        require_held(options, &fit)?;
        Ok(Some(fit))
    }
}
