//! What to do where a walk broke down or came to no optimum.

use crate::api::error::EngineError;
use crate::criterion::objective::Criterion;
use crate::fit::centring::RECENTER;
use crate::fit::prepared::Prepared;
use crate::fit::rounds::{Next, Rounds};
use crate::search::optimum::Run;
use crate::search::strategy::Plan;

/// Operations of an evaluation up to which a failure is looked at again with twice the digits.
const CHEAP: f64 = 1e6;

impl Rounds<'_, '_> {
    /// What a walk that broke down, or ended above an optimum that is known, asks for.
    pub(super) fn step_back(
        &mut self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
        run: &Result<Run, EngineError>,
    ) -> Option<Next> {
        if self.may_lack_digits_of_weights(model, criterion, run) {
            return Some(Next::Extend);
        }
        // a variance goes to zero beside effects that were taken out of the response: better without
        if breaks_down(criterion, run) && criterion.is_centred() {
            return Some(Next::Uncentre);
        }
        let is_higher = match (run, self.passed.last()) {
            (Ok(run), Some(other)) => run.outcome.value >= other.outcome.value,
            (Err(error), Some(_)) => *error != EngineError::Interrupted,
            _ => false,
        };
        is_higher.then(|| {
            let ended = self.walked.as_ref().map(|walked| walked.value);
            self.go_back(ended);
            Next::Walk
        })
    }

    /// Whether a walk failed that may have lacked the digits of rows with small weights: beside others that weigh orders of
    /// magnitude more their squares may leave none.
    pub(super) fn may_lack_digits_of_weights(
        &self,
        model: &Prepared,
        criterion: &Criterion<'_>,
        run: &Result<Run, EngineError>,
    ) -> bool {
        let has_failed = matches!(
            run,
            Err(EngineError::PerfectFit | EngineError::Numerical { .. })
        );
        let is_weighted = self.data.weights.is_some() && model.residual.is_none();
        let is_cheap = self.plan == Plan::Exact && criterion.evaluation_cost() <= CHEAP;
        has_failed && self.passed.is_empty() && is_weighted && is_cheap && !model.has_digits()
    }

    /// The next walk begins at the lowest of the optima that were passed; the last one ended at this criterion, if it is known.
    pub(super) fn go_back(&mut self, ended: Option<f64>) {
        let Some(Run { outcome, .. }) = self.passed.pop() else {
            return;
        };
        if let Some(ended) = ended {
            self.walks.correct(ended, None);
        }
        self.is_in_question = false;
        self.vanished = None;
        self.theta.clone_from(&outcome.x);
        self.walked = Some(outcome);
    }

    /// Goes on from the lowest of the optima that were passed; where there is none, the fit has failed in this way.
    pub(super) fn back(
        &mut self,
        ended: Option<f64>,
        error: EngineError,
    ) -> Result<Next, EngineError> {
        if self.passed.is_empty() {
            return Err(error);
        }
        self.go_back(ended);
        Ok(Next::Walk)
    }
}

/// Whether so little is left of the response at a walk's end that it is rounding, or nothing could be computed there.
fn breaks_down(criterion: &mut Criterion<'_>, run: &Result<Run, EngineError>) -> bool {
    match run {
        Ok(run) => criterion
            .factor_at(&run.outcome.x)
            .is_none_or(|factor| factor.pwrss < RECENTER * factor.total),
        Err(error) => matches!(error, EngineError::Numerical { .. }),
    }
}
