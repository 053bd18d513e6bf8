//! The response centred at estimates, and put back.

use crate::api::error::EngineError;
use crate::criterion::objective::Criterion;
use crate::fit::centring::{has_lost_digits, new_center};
use crate::fit::prepared::Prepared;
use crate::fit::rounds::{factor_of, Centring, Rounds, CENTRINGS, OPTIMUM};
use crate::moments::start::large_start;
use crate::runtime::clock::Clock;
use crate::search::optimum::{start_from, Run};

impl Rounds<'_, '_> {
    /// Whether differences have too few digits at the optimum, and the response was not centred too often yet.
    pub(super) fn is_to_be_centred(
        &self,
        model: &Prepared,
        criterion: &Criterion<'_>,
        lacks_digits: bool,
    ) -> Result<bool, EngineError> {
        let factor = factor_of(criterion)?;
        let is_lost =
            lacks_digits || model.is_near(self.centrings) || has_lost_digits(&model.system, factor);
        Ok(is_lost && self.centrings < CENTRINGS && !model.is_counted())
    }

    /// Where to centre the response.
    pub(super) fn centring(
        &self,
        model: &Prepared,
        criterion: &mut Criterion<'_>,
        run: Run,
        lacks_digits: bool,
    ) -> Result<Centring, EngineError> {
        let Some(solution) = criterion.solution() else {
            return Err(criterion.failure(OPTIMUM));
        };
        let factor = factor_of(criterion)?;
        Ok(Centring {
            center: new_center(model, factor, &solution),
            run,
            sigma2: factor.pwrss / criterion.degrees(),
            lacks_digits,
        })
    }

    /// Centres the response. Where one effect went far on the way there, another may have been left behind: the next walk
    /// begins anew then, unless there is another optimum to return to.
    pub(crate) fn centre(&mut self, model: &mut Prepared, to: Centring) -> Result<(), EngineError> {
        let is_free =
            self.options.optimize && model.restriction.is_none() && self.passed.is_empty();
        let anew = (is_free && self.centrings == 0 && to.lacks_digits).then(|| {
            let tau = large_start(&model.system.moments, &model.bases, to.sigma2);
            start_from(&model.parameters, tau)
        });
        model.recentre(self.data, to.center, &self.theta)?;
        if to.lacks_digits {
            model.extend(self.data, &self.theta)?;
        }
        if let Some(anew) = anew {
            self.begin_anew(model, to.run, &anew);
        }
        self.centrings += 1;
        Ok(())
    }

    /// The next walk begins at these parameters of the terms. If it does not end lower, this run's end is the optimum, with the
    /// criterion that it has now that its digits are there.
    pub(super) fn begin_anew(&mut self, model: &Prepared, mut run: Run, of_terms: &[f64]) {
        model.parameters.set_terms(&mut self.theta, of_terms);
        let clock = Clock::without_limit(self.interrupt);
        let criterion = model.criterion(&model.center.b, self.options.reml, clock);
        let value = criterion.with_sigma2(model.sigma2).value(&run.outcome.x);
        let value = value.unwrap_or(run.outcome.value);
        self.walks.correct(run.outcome.value, Some(value));
        self.restarted = Some(value);
        run.outcome.value = value;
        self.passed.push(run);
    }

    /// Puts the effects back into the response, for good.
    pub(crate) fn uncentre(&mut self, model: &mut Prepared) -> Result<(), EngineError> {
        model.uncentre(self.data, &self.theta)?;
        self.centrings = CENTRINGS;
        Ok(())
    }
}
