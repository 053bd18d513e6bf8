//! From how many places, and from which, a fit walks to an optimum.
//!
//! The likelihood of variance components may have several maxima: an outlier is told by a variance that is large beside a small
//! residual one as well as by none beside a large one. The proof of an optimum is local, and says nothing about others. So
//! where evaluations are cheap, further walks begin elsewhere: at small and at large variances, at other residual correlations,
//! and, where there is reason to doubt, at the minima of a coarse grid of sizes ([`super::grid`]), and from places that look
//! like chance ([`super::chance`]), some of them beside the best optimum, until they come to nothing new. How many is a matter
//! of the operations that an evaluation takes and of what the walks find, never of time: the same for any number of threads.

use crate::api::error::EngineError;
use crate::api::options::{Options, Search as Extent};
use crate::api::result::Status;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::random::TermBasis;
use crate::criterion::objective::Criterion;
use crate::search::certificate::is_boundless;
use crate::search::optimum::{optimum, Run};
use crate::search::starts::chance::{self, Chance};
use crate::search::starts::grid::Grid;
use crate::search::starts::units::{self, Units};
use crate::search::starts::walks::{Walks, SAME};
use crate::search::strategy::Plan;

/// Decrement at which a further walk may have come to a known optimum, and what of it the known one may be off its Newton step.
const ARRIVED: f64 = 0.03;
const OFF: f64 = 0.1;

/// Distance of a known optimum in natural units of the parameters within which a walk may have come to it.
const WITHIN: f64 = 0.5;

/// Decrement at which a further walk is close enough to its optimum to be compared.
const CLOSE: f64 = 1e-5;

/// Decrease, relative to the criterion, that makes another optimum the better one.
pub(super) const BETTER: f64 = 1e-9;

/// Penalised over total sum of squares at which the residual variance vanishes.
const VANISHING: f64 = 1e-12;

/// The same ratio where a walk has not come to an end.
const ON_ITS_WAY: f64 = 1e-6;

/// Operations that an evaluation takes beside those that grow with the model.
const OVERHEAD: f64 = 2000.0;

/// Operations of an evaluation up to which two walks, and one, are made without any reason to doubt.
const TWO_WALKS: f64 = 1.5e4;
const ONE_WALK: f64 = 6e4;

/// Operations that evaluations of the grid may take, and their largest number.
const GRID_OPERATIONS: f64 = 6e5;
const GRID_EVALUATIONS: f64 = 300.0;

/// Operations that walks from the grid and from chance may take (of one of many fits: all further walks), evaluations that
/// each is reckoned at, and the largest number of those from the grid.
const WALK_OPERATIONS: f64 = 8e6;
const THRIFTY_OPERATIONS: f64 = 4e6;
const WALK_EVALUATIONS: f64 = 16.0;
const GRID_WALKS: usize = 8;

/// Evaluations of quasi-Newton steps with which walks begin where there is reason to doubt. Newton's alone come to some optima,
/// most of them singular, hardly ever: from the same 240 starts on six small problems BFGS came to the best one in 20 %,
/// Newton's steps in 3 %. They have to come close: with 20 evaluations the search missed optima that it finds with 80 from no
/// more than half as many starts.
const DETOUR: usize = 80;

/// Of so many walks from chance one begins at the best optimum, with another covariance for one of its terms: more walks come
/// to the lowest optimum, and one was found that 400 walks from anywhere had missed.
const BESIDE: usize = 3;

/// Evaluations of Newton's steps after which a further walk that is not below the best optimum is given up: some fits of few
/// rows have valleys in which steps are short, and 500 of them lead nowhere.
const PATIENCE: usize = 100;

/// Evaluations after which no further walk begins, or so many operations where that is more. That does not hold where the
/// residual variance vanishes along most walks: the likelihood has no bound there, and further ones come to nothing.
const SEARCH_EVALUATIONS: usize = 5000;
const SEARCH_OPERATIONS: f64 = 4e7;

/// What a model with a variance less may have over the best one and still be worth a look, without reason to doubt.
const NEAR: f64 = 20.0;

/// Degrees of freedom for each parameter below which there is reason to doubt.
const FEW: usize = 5;

/// Degrees of freedom for each parameter above which one walk that agrees with the first is enough.
const PLENTY: usize = 30;

/// Ratio of what levels can tell of a standard deviation from which that is reason to doubt, and the same where one walk that
/// agrees with the first is enough.
const UNEVEN: f64 = 5.0;
const VERY_UNEVEN: f64 = 100.0;

/// Whether a fit looks for other optima.
pub(crate) fn are_wanted(options: &Options, plan: Plan) -> bool {
    options.optimize && options.start.is_none() && options.starts != Some(1) && plan == Plan::Exact
}

/// Lower optima than that of `first` (if that is one), as far as the further walks that the model is worth find any, each lower
/// than the one before: where one turns out to be rounding errors, the one before is the optimum. Whether that has to be asked
/// of the last is the second value. `theta` is where `first` began. The criterion is not left at any particular point.
pub(crate) fn lower_optima(
    criterion: &mut Criterion<'_>,
    theta: &InternalTheta,
    first: Option<&Run>,
    bases: &[TermBasis],
    options: &Options,
    walks: &mut Walks,
) -> Result<(Vec<Run>, bool), EngineError> {
    let variables = criterion
        .restriction
        .map_or(criterion.parameters.len(), |r| r.variables());
    if variables == 0 || first.is_some_and(|run| run.status == Status::TimeLimit) {
        return Ok((Vec::new(), false));
    }
    let cost = OVERHEAD + criterion.evaluation_cost();
    if options.starts.is_none() && cost > ONE_WALK {
        return Ok((Vec::new(), false));
    }
    let unit = criterion.unit(theta);
    let units = units::of_terms(&criterion.system().moments, bases, unit);
    let mut search = Search {
        criterion,
        theta,
        bases,
        units: &units,
        unit,
        cost,
        first,
        better: Vec::new(),
        vanishing: None,
        is_close: false,
        options,
        close: Options {
            tolerance: options.tolerance.max(CLOSE),
            max_evaluations: options.max_evaluations.min(PATIENCE),
            ..options.clone()
        },
        left: options
            .starts
            .map(|starts| starts.saturating_sub(walks.count())),
        last: usize::MAX,
        walks,
    };
    let degrees = search.criterion.degrees() as usize;
    let few = degrees < FEW * variables;
    let thrifty = options.search == Extent::Thrifty && options.starts.is_none();
    if thrifty && !few && !search.is_in_doubt() {
        return Ok((Vec::new(), false));
    }
    if thrifty {
        search.last = search.criterion.evaluations + (THRIFTY_OPERATIONS / cost) as usize;
    }
    let enough = degrees >= PLENTY * variables && !search.is_in_doubt();
    search.without_doubt(enough)?;
    let doubt = if thrifty {
        !search.better.is_empty() || search.disagrees()
    } else {
        // where data are plentiful, levels of different sizes alone are none
        let ratio = if enough { VERY_UNEVEN } else { UNEVEN };
        let uneven = units::are_uneven(&units, ratio);
        few || search.is_in_doubt() || uneven || options.starts.is_some()
    };
    if doubt {
        search.with_doubt()?;
    } else if search.is_close {
        search.perfect_correlations()?;
    }
    let lowest = search.lowest();
    let vanishing = search.vanishing.filter(|run| run.outcome.value < lowest);
    let is_in_question = vanishing.is_some();
    search.better.extend(vanishing);
    Ok((search.better, is_in_question))
}

/// Further walks beside that of `first`.
pub(super) struct Search<'s, 'c> {
    pub(super) criterion: &'s mut Criterion<'c>,
    /// Where `first` began.
    pub(super) theta: &'s InternalTheta,
    pub(super) bases: &'s [TermBasis],
    /// Of the effects of internal columns.
    pub(super) units: &'s [Vec<Units>],
    /// The rows' mean standard deviation relative to sigma.
    pub(super) unit: f64,
    /// Operations of an evaluation.
    pub(super) cost: f64,
    pub(super) first: Option<&'s Run>,
    /// Lower ones, each lower than the one before.
    pub(super) better: Vec<Run>,
    /// The lowest of those at which so little is left for residuals that it may be rounding errors.
    pub(super) vanishing: Option<Run>,
    /// Whether a model with a variance less comes close to the best one.
    pub(super) is_close: bool,
    pub(super) options: &'s Options,
    /// These options with a tolerance at which optima can be compared, and with the steps that walks begin with.
    pub(super) close: Options,
    /// Walks that are left of a number of the user's.
    pub(super) left: Option<usize>,
    /// Evaluations of the criterion after which no further walk begins.
    pub(super) last: usize,
    pub(super) walks: &'s mut Walks,
}

impl Search<'_, '_> {
    pub(super) fn best(&self) -> Option<&Run> {
        self.better.last().or(self.first)
    }

    /// Whether no further walk is to begin.
    fn is_over(&self) -> bool {
        self.left == Some(0)
            || self.criterion.evaluations > self.last
            || self.criterion.clock.out_of_time()
    }

    /// Evaluations after which no further walk from chance begins.
    fn most_evaluations(&self) -> usize {
        let affordable = (SEARCH_OPERATIONS / self.cost) as usize;
        if 2 * self.walks.vanishing() > self.walks.count() {
            SEARCH_EVALUATIONS
        } else {
            affordable.max(SEARCH_EVALUATIONS)
        }
    }

    pub(super) fn lowest(&self) -> f64 {
        self.best().map_or(f64::INFINITY, |run| run.outcome.value)
    }

    /// Whether walks ended at different places.
    fn disagrees(&self) -> bool {
        self.walks.agreeing(self.lowest()) < self.walks.count()
    }

    /// Whether what the walks came to is reason to doubt.
    fn is_in_doubt(&self) -> bool {
        let regular = |run: &Run| run.status == Status::Converged;
        !self.better.is_empty() || !self.best().is_some_and(regular) || self.disagrees()
    }

    /// From small and large variances, and from other residual correlations: with `enough`, from the first of these alone.
    fn without_doubt(&mut self, enough: bool) -> Result<(), EngineError> {
        let walks = match self.cost {
            _ if self.left.is_some() => usize::MAX,
            c if c <= TWO_WALKS && !enough => 2,
            c if c <= ONE_WALK => 1,
            _ => 0,
        };
        if walks == 0 {
            return Ok(());
        }
        let parameters = self.criterion.parameters;
        let own = parameters.of_terms(self.theta);
        let phi = parameters.of_residual(self.theta);
        let mut starts = Vec::new();
        if !self.units.is_empty() {
            starts.extend(Grid::new(self.criterion, self.units, phi, 0).extremes());
        }
        let others = self.criterion.residual_model().other_starts();
        starts.extend(others.iter().map(|phi| InternalTheta::join(own, phi)));
        starts
            .into_iter()
            .take(walks)
            .try_for_each(|x| self.walk(&x))?;
        self.smaller_models(NEAR)
    }

    /// From the minima of the grid, from chance, and from models with less.
    fn with_doubt(&mut self) -> Result<(), EngineError> {
        let affordable = (WALK_OPERATIONS / (WALK_EVALUATIONS * self.cost)) as usize;
        // of many fits each is worth less
        let most = match self.options.search {
            Extent::Thrifty => GRID_WALKS,
            _ => usize::MAX,
        };
        let walks = self.left.unwrap_or(affordable.min(most));
        if walks == 0 {
            return Ok(());
        }
        let budget = match self.left {
            Some(_) => GRID_EVALUATIONS,
            None => (GRID_OPERATIONS / self.cost).min(GRID_EVALUATIONS),
        };
        self.close.detour.evaluations = DETOUR;
        self.close.max_evaluations = self.options.max_evaluations.min(PATIENCE + DETOUR);
        let x = self.best().map_or(self.theta, |run| &run.outcome.x);
        let phi = self.criterion.parameters.of_residual(x).to_vec();
        let minima = if self.units.is_empty() {
            Vec::new()
        } else {
            let mut grid = Grid::new(self.criterion, self.units, &phi, budget as usize);
            grid.minima(self.criterion)
        };
        let found = minima.len().min(GRID_WALKS).min(walks);
        let before = self.criterion.evaluations;
        for x in &minima[..found] {
            self.walk(x)?;
        }
        let moments = &self.criterion.system().moments;
        let of_user = units::of_user_columns(moments, self.bases, self.unit);
        let units = [self.units, of_user.as_slice()];
        let parameters = self.criterion.parameters;
        let is_free = |a| self.criterion.restriction.is_none_or(|r| !r.holds(a));
        let draws_terms = (0..parameters.list.len()).any(is_free);
        let known = (self.criterion.residual_model(), phi.as_slice());
        let penalty = self.criterion.penalty;
        let is_penalised = |term| penalty.is_some_and(|p| p.is_on(term));
        let mut chance = Chance::new(parameters, self.bases, units, known, draws_terms)
            .with_regular(is_penalised);
        let begun = self.walks.count();
        for drawn in 0..walks - found {
            let spent = self.criterion.evaluations - before;
            let are_enough = self.walks.are_enough(begun) || spent > self.most_evaluations();
            if self.left.is_none() && are_enough || self.is_over() {
                break;
            }
            self.close.detour.in_one_scale = drawn / chance::KINDS % 2 == 1;
            let x = match self.best() {
                Some(best) if drawn % BESIDE == BESIDE - 1 => chance.draw_beside(&best.outcome.x),
                _ => chance.draw(),
            };
            self.walk(&x)?;
        }
        self.smaller_models(f64::INFINITY)?;
        self.perfect_correlations()
    }

    /// Walks from `x` until it is clear whether a lower optimum is there, and then to it.
    pub(super) fn walk(&mut self, x: &InternalTheta) -> Result<(), EngineError> {
        if self.is_over() {
            return Ok(());
        }
        self.left = self.left.map(|left| left - 1);
        let lowest = self.lowest();
        let least = match self.best() {
            Some(_) => BETTER * lowest.abs().max(1.0) + self.criterion.noise(lowest),
            None => 0.0,
        };
        let mut run = match self.first {
            Some(first) if first.is_stationary() => {
                let coarse = Options {
                    tolerance: self.options.tolerance.max(ARRIVED),
                    ..self.close.clone()
                };
                match optimum(self.criterion, x, &coarse) {
                    Ok(run) if self.has_arrived(&run) => {
                        self.walks.add(Some(lowest));
                        return Ok(());
                    }
                    Ok(run) if run.is_stationary() => {
                        optimum(self.criterion, &run.outcome.x, &self.close)
                    }
                    _ => optimum(self.criterion, x, &self.close),
                }
            }
            _ => optimum(self.criterion, x, &self.close),
        };
        if let Ok(close) = run.as_ref() {
            if close.outcome.value < lowest - least {
                run = optimum(self.criterion, &close.outcome.x, self.options).map(|mut run_on| {
                    run_on.follow(close.outcome.clone());
                    run_on
                });
            }
        }
        if matches!(run, Err(EngineError::Interrupted)) {
            return Err(EngineError::Interrupted);
        }
        let Ok(run) = run else {
            self.walks.add(None);
            return Ok(());
        };
        if !self.comes_to_an_end(&run) {
            self.walks.add(None);
            let so_far = self
                .vanishing
                .as_ref()
                .map_or(lowest - least, |other| other.outcome.value);
            if run.outcome.value < so_far {
                self.vanishing = Some(run);
            }
            return Ok(());
        }
        let lower = run.outcome.value < lowest - least;
        if lower && self.goes_to_singular(&run) {
            self.walks.add(None);
            return Ok(());
        }
        self.walks.add(Some(run.outcome.value));
        if lower {
            self.better.push(run);
        }
        Ok(())
    }

    /// Whether a walk is so close to the best optimum that its next Newton step leads there.
    fn has_arrived(&self, run: &Run) -> bool {
        let Some(best) = self.best() else {
            return false;
        };
        let (at, there) = (&run.outcome, &best.outcome);
        let off = (at.value - at.decrement - there.value).abs();
        let scale = self.criterion.scale(&there.x);
        // a column of T is as good with the other sign
        let steps = at.x.values().iter().zip(there.x.values()).zip(&scale);
        [run, best].iter().all(|run| run.is_stationary())
            && off <= OFF * at.decrement + SAME
            && steps
                .map(|((a, b), size)| ((a.abs() - b.abs()) / size).powi(2))
                .sum::<f64>()
                <= WITHIN * WITHIN
    }

    /// Whether a walk that ended below the best optimum went to a singular R, where the likelihood has no bound: no optimum, where
    /// the best one is.
    fn goes_to_singular(&mut self, run: &Run) -> bool {
        is_boundless(self.criterion, run)
            && match self.better.last().or(self.first) {
                Some(best) => best.is_stationary() && !is_boundless(self.criterion, best),
                None => false,
            }
    }

    /// Whether a walk ended somewhere, and not on the way to a residual variance of zero.
    fn comes_to_an_end(&mut self, run: &Run) -> bool {
        let x = &run.outcome.x;
        let limit = if run.is_stationary() {
            VANISHING
        } else {
            ON_ITS_WAY
        };
        let factor = self.criterion.factor_at(x);
        let vanishes = factor.is_none_or(|factor| factor.pwrss <= limit * factor.total);
        self.walks.add_vanishing(vanishes);
        !vanishes && (run.is_stationary() || run.status == Status::Failed)
    }
}
