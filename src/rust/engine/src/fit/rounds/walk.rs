//! Walks of a round, and what is looked at from where they end.

use std::time::Instant;

use crate::api::error::EngineError;
use crate::api::options::Options;
use crate::api::result::Status;
use crate::criterion::objective::Criterion;
use crate::fit::centring::has_lost_digits;
use crate::fit::prepared::Prepared;
use crate::fit::rounds::{Rounds, CENTRINGS};
use crate::search::optimum::{optimum, refined_optimum, Run, EXACT, LAST_STEPS};
use crate::search::starts;
use crate::search::strategy::{estimated_optimum, Plan};
use crate::search::vanishing::{self, Ray};

impl Rounds<'_, '_> {
    /// A walk and a look at where the residual variance goes from its end; takes note of time and evaluations. The inner error
    /// is how the walk ended, which other steps may mend.
    pub(super) fn timed_walk(
        &mut self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
    ) -> Result<Result<Run, EngineError>, EngineError> {
        let started = Instant::now();
        let run = match self.walk(model, criterion) {
            Ok(run) => match self.look_at_zero(model, criterion, run)? {
                Some(run) => Ok(run),
                None => Err(EngineError::PerfectFit),
            },
            failed => failed,
        };
        self.optimizing += started.elapsed();
        criterion.evaluations += self.evaluations;
        self.evaluations = criterion.evaluations;
        Ok(run)
    }

    /// The first walk begins at as many starts as it takes to arrive; later ones where the last round says.
    pub(super) fn walk(
        &mut self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
    ) -> Result<Run, EngineError> {
        let (theta, options) = (&self.theta, self.options);
        let run = match self.plan {
            Plan::Exact if self.centrings == 0 && self.walks.count() == 0 => {
                starts::first_optimum(criterion, theta, &model.bases, options, &mut self.walks)
            }
            Plan::Exact => {
                // a walk that was out of evaluations before the response was centred is out of them after it
                let limit = if self.is_out { LAST_STEPS } else { usize::MAX };
                let rest = Options {
                    max_evaluations: options.max_evaluations.min(limit),
                    ..options.clone()
                };
                match self.centrings {
                    0 => optimum(criterion, theta, &rest),
                    _ => refined_optimum(criterion, theta, &rest),
                }
            }
            plan => estimated_optimum(criterion, theta, options, plan),
        };
        self.is_out = matches!(&run, Ok(run) if run.status == Status::IterationLimit);
        // the evaluations that follow describe what was found: time that is over does not cut them
        model.system.workers.flag().to_the_end(true);
        run
    }

    /// Follows the residual variance where it goes to zero; `None`: the criterion falls without bound. Differences that have lost
    /// their digits tell nothing, and are centred first.
    pub(super) fn look_at_zero(
        &mut self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
        run: Run,
    ) -> Result<Option<Run>, EngineError> {
        let is_exact = self.plan == Plan::Exact && self.options.optimize;
        if !is_exact || self.has_lost_digits(model, criterion, &run) {
            return Ok(Some(run));
        }
        match vanishing::look(criterion, &run, self.fixed_rss, self.options)? {
            Ray::Inside => Ok(Some(run)),
            Ray::Perfect => Ok(None),
            Ray::Zero(found, sigma2) => {
                self.vanished = Some(sigma2);
                self.searches |= std::mem::take(&mut self.searches_at_zero);
                Ok(Some(found))
            }
        }
    }

    /// Whether digits were lost at the end of a run that centring may bring back.
    pub(super) fn has_lost_digits(
        &self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
        run: &Run,
    ) -> bool {
        let x = &run.outcome.x;
        let Some(factor) = criterion.factor_at(x) else {
            return false;
        };
        // unless there is nothing left to have digits
        let is_left = model.in_rows(x, factor.pwrss) > EXACT * self.fixed_rss;
        is_left
            && self.centrings < CENTRINGS
            && (has_lost_digits(&model.system, factor) || model.is_near(self.centrings))
    }

    /// The run, unless walks from elsewhere find a lower optimum, which is followed then. They begin before the response is
    /// centred: that is only exact close to where it is done.
    pub(super) fn follow_lower(
        &mut self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
        run: Run,
        lacks_digits: bool,
    ) -> Result<Option<Run>, EngineError> {
        // far away, correlations near 1 lose all digits next to such large effects and would look like an optimum
        self.searches &= model.residual.is_none() || !(lacks_digits || model.has_digits());
        if !std::mem::take(&mut self.searches) {
            return Ok(Some(run));
        }
        let started = Instant::now();
        let flag = model.system.workers.flag();
        flag.to_the_end(false);
        if self.vanished.is_some() {
            // elsewhere sigma^2 is what residuals leave
            criterion.know_sigma2(model.sigma2);
        }
        let (mut found, is_in_question) = starts::lower_optima(
            criterion,
            &self.begin,
            Some(&run),
            &model.bases,
            self.options,
            &mut self.walks,
        )?;
        flag.to_the_end(true);
        self.optimizing += started.elapsed();
        self.evaluations = criterion.evaluations;
        if let Some(lower) = found.pop() {
            self.is_out = false;
            self.vanished = None;
            self.is_in_question = is_in_question;
            self.passed.push(run);
            self.passed.append(&mut found);
            self.theta.clone_from(&lower.outcome.x);
            self.walked = Some(lower.outcome);
            return Ok(None);
        }
        if self.vanished.is_some() {
            criterion.know_sigma2(self.vanished);
        }
        self.evaluate(criterion);
        Ok(Some(run))
    }
}
