//! From how many places, and from which, a fit walks to an optimum.
//!
//! The likelihood of variance components may have several maxima: an outlier is told by a variance that is large beside a
//! small residual one as well as by none beside a large one. The proof of an optimum is local, and says nothing about
//! others. So where evaluations are cheap, further walks begin elsewhere: at small and at large variances, at other residual
//! correlations, and, where there is reason to doubt, at the minima of a coarse grid of sizes ([`super::grid`]), and from places that
//! look like chance ([`super::chance`]) until they come to nothing new. How many is a matter of the operations that an evaluation
//! takes and of what the walks find, never of time: the same for any number of threads.

use crate::api::error::EngineError;
use crate::api::options::{Options, Search as Extent};
use crate::api::result::Status;
use crate::basis::random::TermBasis;
use crate::basis::restriction::Restriction;
use crate::criterion::objective::Criterion;
use crate::optimize::{Objective, Stop};
use crate::runtime::memory;
use crate::search::charted::minimize_under;
use crate::search::optimum::{optimum, settings, term_start, Run};
use crate::search::starts::chance::{self, Chance};
use crate::search::starts::grid::Grid;
use crate::search::starts::units::{self, Units};
use crate::search::strategy::Plan;
use crate::structure::residual::Residual;

/// Standard deviations of random effects at a second attempt, relative to the first.
const SMALLER: f64 = 0.3;

/// The same, larger.
const LARGER: f64 = 3.0;

/// Decrement at which a further walk may have come to a known optimum, and what of it the known one may be off its Newton step.
const ARRIVED: f64 = 0.03;
const OFF: f64 = 0.1;

/// Distance of a known optimum in natural units of the parameters within which a walk may have come to it.
const WITHIN: f64 = 0.5;

/// Decrement at which a further walk is close enough to its optimum to be compared.
const CLOSE: f64 = 1e-5;

/// Criteria that differ by less are of one optimum.
const SAME: f64 = 1e-4;

/// Decrease, relative to the criterion, that makes another optimum the better one.
const BETTER: f64 = 1e-9;

/// Penalised over total sum of squares at which the residual variance vanishes.
const VANISHING: f64 = 1e-12;

/// The same where a walk has not come to an end.
const ON_ITS_WAY: f64 = 1e-6;

/// Operations that an evaluation takes beside those that grow with the model.
const OVERHEAD: f64 = 2000.0;

/// Operations of an evaluation up to which two walks, and one, are made without any reason to doubt.
const TWO_WALKS: f64 = 1.5e4;
const ONE_WALK: f64 = 6e4;

/// Operations that evaluations of the grid may take, and their largest number.
const GRID_OPERATIONS: f64 = 6e5;
const GRID_EVALUATIONS: f64 = 300.0;

/// Operations that walks from the grid may take (of one of many fits: all further walks), evaluations of one walk, and their
/// largest number.
const WALK_OPERATIONS: f64 = 4e6;
const WALK_EVALUATIONS: f64 = 16.0;
const GRID_WALKS: usize = 8;

/// Evaluations of quasi-Newton steps with which walks begin where there is reason to doubt. Newton's alone come to some optima,
/// most of them singular, hardly ever: from the same 240 starts on six small problems BFGS came to the best one in 20 %,
/// Newton's steps in 3 %. They have to come close: with 20 evaluations the search missed optima that it finds with 80 from no
/// more than half as many starts.
const DETOUR: usize = 80;

/// Evaluations of Newton's steps after which a further walk that is not below the best optimum is given up, and those of all
/// after which no further one begins: some fits of few rows have valleys in which steps are short, and 500 of them lead nowhere.
const PATIENCE: usize = 100;
const SEARCH_EVALUATIONS: usize = 5000;

/// Times as many walks from chance as the expected number of places asks for: places differ in how often a walk ends there.
const SURE: usize = 3;

/// What a model with a variance less may have over the best one and still be worth a look, without reason to doubt.
const NEAR: f64 = 20.0;

/// The same that is reason to look at all directions of a perfect correlation.
const CLOSE_BY: f64 = 2.0;

/// Directions of two effects with a perfect correlation that are tried, and sizes along them, relative to the present one.
const DIRECTIONS: usize = 12;
const LENGTHS: [f64; 5] = [0.03, 0.3, 1.0, 3.0, 30.0];

/// Rounds of looking at such models, each around a lower optimum.
const ROUNDS: usize = 3;

/// Degrees of freedom for each parameter below which there is reason to doubt.
const FEW: usize = 5;

/// The same above which one walk that agrees with the first is enough.
const PLENTY: usize = 30;

/// Ratio of what levels can tell of a standard deviation from which that is reason to doubt, and the same where one walk that
/// agrees with the first is enough.
const UNEVEN: f64 = 5.0;
const VERY_UNEVEN: f64 = 100.0;

/// What the walks of a fit came to.
#[derive(Debug, Default)]
pub(crate) struct Walks {
    /// The criterion where each ended; infinite where that is no optimum.
    ends: Vec<f64>,
    /// Walks along which the residual variance vanished.
    vanishing: usize,
}

impl Walks {
    /// Takes a note of how a walk ended.
    fn note(&mut self, run: &Result<Run, EngineError>) {
        self.ends.push(match run {
            Ok(run) if is_stationary(run) => run.outcome.value,
            _ => f64::INFINITY,
        });
    }

    /// Their number.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Whether, of walks from chance since the first `begun`, another one is not likely to end anywhere new: with `n` walks to
    /// `w` places, the expected number of places is w (n - 1) / (n - w - 2), less than w + 1/2 (Boender & Rinnooy Kan 1987,
    /// Math. Program. 37).
    fn are_enough(&self, begun: usize) -> bool {
        let mut ends = self.ends[begun..].to_vec();
        let n = ends.len();
        ends.sort_by(f64::total_cmp);
        ends.dedup_by(|b, a| (*b - *a).abs() <= SAME || a.is_infinite());
        let w = ends.len();
        n >= SURE * (2 * w * w + 3 * w + 2)
    }

    /// How many of them ended at the optimum of this criterion.
    pub fn agreeing(&self, value: f64) -> usize {
        let same = |end: &&f64| (**end - value).abs() <= SAME;
        self.ends.iter().filter(same).count()
    }

    /// The walk that ended at `before`, the lowest, is known more exactly: where its criterion is, or that it was none.
    pub fn correct(&mut self, before: f64, value: Option<f64>) {
        let value = value.unwrap_or(f64::INFINITY);
        let mut is_known = false;
        for end in self.ends.iter_mut().filter(|end| **end <= before + SAME) {
            *end = value;
            is_known = true;
        }
        // it had not come to an end yet
        let open = self.ends.iter_mut().find(|end| end.is_infinite());
        if let Some(end) = open.filter(|_| !is_known) {
            *end = value;
        }
    }

    /// Along how many of them the residual variance vanished.
    pub fn vanishing(&self) -> usize {
        self.vanishing
    }
}

/// The optimum from `theta`, or a lower one from the residual parameters that a structure wants tried in any case; where
/// that fails, the lowest from yet other starts. A start of the user's is the only one.
pub(crate) fn first_optimum(
    criterion: &mut Criterion<'_>,
    theta: &[f64],
    bases: &[TermBasis],
    options: &Options,
    walks: &mut Walks,
) -> Result<Run, EngineError> {
    if !options.optimize || criterion.restriction.is_some() || options.start.is_some() {
        let run = optimum(criterion, theta, options);
        if options.optimize {
            walks.note(&run);
        }
        return run;
    }
    let model = criterion.residual_model();
    let (phis, worth) = model.map_or_else(Default::default, Residual::further_starts);
    if phis.is_empty() {
        return second_attempt(criterion, theta, options, walks);
    }
    let mut points = Vec::new();
    for phi in &phis {
        let point = |criterion: &mut Criterion<'_>, of_terms: &[f64]| {
            let x = [of_terms, phi].concat();
            criterion.value(&x).map(|value| (value, x))
        };
        let terms = criterion.parameters.list.len();
        let Some(usual) = point(criterion, &theta[..terms]) else {
            continue;
        };
        // the variance components that go with this correlation
        let own = term_start(&criterion.system().moments, bases, criterion.parameters);
        let better = point(criterion, &own).filter(|own| own.0 < usual.0);
        points.push(better.unwrap_or(usual));
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points.truncate(worth);
    let best = optimum(criterion, theta, options);
    walks.note(&best);
    let others = points.into_iter().map(|(_, x)| x).collect();
    lowest(criterion, best, others, options, walks)
}

/// The optimum from `theta`; where that fails, the lowest of those from further starts.
fn second_attempt(
    criterion: &mut Criterion<'_>,
    theta: &[f64],
    options: &Options,
    walks: &mut Walks,
) -> Result<Run, EngineError> {
    let first = optimum(criterion, theta, options);
    walks.note(&first);
    let failed = match &first {
        Ok(run) => matches!(run.status, Status::Failed | Status::IterationLimit),
        Err(error) => !matches!(error, EngineError::Interrupted),
    };
    let parameters = criterion.parameters;
    let terms = parameters.list.len();
    if !failed {
        return first;
    }
    let (own, phi) = theta.split_at(terms);
    let times = |factor: f64| -> Vec<f64> {
        let scaled = |a| {
            if parameters.is_deviation(a) {
                factor
            } else {
                1.0
            }
        };
        (0..terms).map(|a| scaled(a) * own[a]).collect()
    };
    let mut others = Vec::new();
    if let Some(stronger) = criterion.residual_model().and_then(Residual::second_start) {
        others.push([own, &stronger].concat());
        others.push([times(SMALLER).as_slice(), &stronger].concat());
    }
    others.push([times(SMALLER).as_slice(), phi].concat());
    others.push([times(LARGER).as_slice(), phi].concat());
    lowest(criterion, first, others, options, walks)
}

/// The lowest of `best` and the optima from `others`.
fn lowest(
    criterion: &mut Criterion<'_>,
    mut best: Result<Run, EngineError>,
    others: Vec<Vec<f64>>,
    options: &Options,
    walks: &mut Walks,
) -> Result<Run, EngineError> {
    for x in others {
        if criterion.clock.out_of_time() {
            break;
        }
        let other = optimum(criterion, &x, options);
        if matches!(other, Err(EngineError::Interrupted)) {
            return other;
        }
        walks.note(&other);
        let Ok(run) = other else { continue };
        let better = best.as_ref().map_or(true, |b| {
            let gain = b.outcome.value - run.outcome.value;
            gain > criterion.noise(run.outcome.value) || (gain >= 0.0 && b.status == Status::Failed)
        });
        if better {
            best = Ok(run);
        }
    }
    best
}

/// Whether a fit looks for other optima.
pub(crate) fn are_wanted(options: &Options, plan: Plan) -> bool {
    options.optimize && options.start.is_none() && options.starts != Some(1) && plan == Plan::Exact
}

/// Lower optima than that of `first` (if that is one), as far as the further walks that the model is worth find any, each lower
/// than the one before: where one turns out to be rounding errors, the one before is the optimum. Whether that has to be asked of
/// the last is the second value. `theta` is where `first` began. The criterion is not left at any particular point.
pub(crate) fn lower_optima(
    criterion: &mut Criterion<'_>,
    theta: &[f64],
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
        search.last = search.criterion.evaluations + (WALK_OPERATIONS / cost) as usize;
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
struct Search<'s, 'c> {
    criterion: &'s mut Criterion<'c>,
    /// Where `first` began.
    theta: &'s [f64],
    bases: &'s [TermBasis],
    /// Of the effects of internal columns.
    units: &'s [Vec<Units>],
    /// The rows' mean standard deviation relative to sigma.
    unit: f64,
    /// Operations of an evaluation.
    cost: f64,
    first: Option<&'s Run>,
    /// Lower ones, each lower than the one before.
    better: Vec<Run>,
    /// The lowest of those at which so little is left for residuals that it may be rounding errors.
    vanishing: Option<Run>,
    /// Whether a model with a variance less comes close to the best one.
    is_close: bool,
    options: &'s Options,
    /// The same with a tolerance at which optima can be compared, and with the steps that walks begin with.
    close: Options,
    /// Walks that are left of a number of the user's.
    left: Option<usize>,
    /// Evaluations of the criterion after which no further walk begins.
    last: usize,
    walks: &'s mut Walks,
}

impl Search<'_, '_> {
    fn best(&self) -> Option<&Run> {
        self.better.last().or(self.first)
    }

    /// Whether no further walk is to begin.
    fn is_over(&self) -> bool {
        self.left == Some(0)
            || self.criterion.evaluations > self.last
            || self.criterion.clock.out_of_time()
    }

    fn lowest(&self) -> f64 {
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
        let terms = self.criterion.parameters.list.len();
        let (own, phi) = self.theta.split_at(terms);
        let mut starts = Vec::new();
        if !self.units.is_empty() {
            starts.extend(Grid::new(self.criterion, self.units, phi, 0).extremes());
        }
        let model = self.criterion.residual_model();
        let others = model.map_or_else(Vec::new, Residual::other_starts);
        starts.extend(others.iter().map(|phi| [own, phi].concat()));
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
        if walks == 0 || self.units.is_empty() {
            return Ok(());
        }
        let budget = match self.left {
            Some(_) => GRID_EVALUATIONS,
            None => (GRID_OPERATIONS / self.cost).min(GRID_EVALUATIONS),
        };
        self.close.detour.evaluations = DETOUR;
        self.close.max_evaluations = self.options.max_evaluations.min(PATIENCE + DETOUR);
        let terms = self.criterion.parameters.list.len();
        let x = self.best().map_or(self.theta, |run| &run.outcome.x);
        let phi = x[terms..].to_vec();
        let mut grid = Grid::new(self.criterion, self.units, &phi, budget as usize);
        let minima = grid.minima(self.criterion);
        let found = minima.len().min(GRID_WALKS).min(walks);
        let before = self.criterion.evaluations;
        for x in &minima[..found] {
            self.walk(x)?;
        }
        let moments = &self.criterion.system().moments;
        let of_user = units::of_user_columns(moments, self.bases, self.unit);
        let units = [self.units, of_user.as_slice()];
        let mut chance = Chance::new(self.criterion.parameters, self.bases, units, &phi);
        let begun = self.walks.count();
        for drawn in 0..walks - found {
            let spent = self.criterion.evaluations - before;
            let are_enough = self.walks.are_enough(begun) || spent > SEARCH_EVALUATIONS;
            if self.left.is_none() && are_enough || self.is_over() {
                break;
            }
            self.close.detour.in_one_scale = drawn / chance::KINDS % 2 == 1;
            self.walk(&chance.draw())?;
        }
        self.smaller_models(f64::INFINITY)?;
        self.perfect_correlations()
    }

    /// Looks at the optima of models with one variance less than the best one has, unless the criterion is higher by
    /// more than `within` where that variance is left out: beside an optimum with a strong correlation there may be a
    /// lower one with a perfect one, to which no step leads, for the criterion rises between them.
    fn smaller_models(&mut self, within: f64) -> Result<(), EngineError> {
        if self.criterion.restriction.is_some() || self.criterion.scales().is_some() {
            return Ok(());
        }
        let parameters = self.criterion.parameters;
        for _ in 0..ROUNDS {
            let before = self.lowest();
            let Some(best) = self.best() else {
                return Ok(());
            };
            let x = best.outcome.x.clone();
            for (term, structure) in parameters.structures.iter().enumerate() {
                for without in structure.smaller(parameters.of_term(&x, term)) {
                    let mut y = x.clone();
                    y[parameters.start[term]..parameters.start[term + 1]].copy_from_slice(&without);
                    let value = self.criterion.value(&y).unwrap_or(f64::INFINITY);
                    if value < before + within {
                        self.smaller_model(&y, value)?;
                    }
                }
            }
            if self.lowest() >= before {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the optima of models in which all effects of an unstructured term are multiples of one: there may be one for
    /// each of several directions. The other terms are as in the best model.
    fn perfect_correlations(&mut self) -> Result<(), EngineError> {
        if self.criterion.restriction.is_some() || self.criterion.scales().is_some() {
            return Ok(());
        }
        let parameters = self.criterion.parameters;
        for (term, structure) in parameters.structures.iter().enumerate() {
            let k = structure.k();
            let Some(best) = self.best().filter(|_| k > 1 && structure.is_free()) else {
                continue;
            };
            let x = best.outcome.x.clone();
            let own = parameters.of_term(&x, term);
            let natural = self.criterion.scale(&x)[parameters.start[term]];
            let size = own.iter().map(|v| v * v).sum::<f64>().sqrt().max(natural);
            let nothing = memory::zeros(structure.len());
            let mut tried: Vec<(f64, Vec<f64>)> = Vec::new();
            let units = self.units;
            for direction in directions(&units[term]) {
                let lengths = LENGTHS.iter().map(|length| {
                    let variance = (length * size).powi(2);
                    let own = structure.with_variance(&nothing, &direction, variance);
                    let mut y = x.clone();
                    y[parameters.start[term]..parameters.start[term + 1]].copy_from_slice(&own);
                    (self.criterion.value(&y).unwrap_or(f64::INFINITY), y)
                });
                tried.extend(lengths.min_by(|a, b| a.0.total_cmp(&b.0)));
            }
            // those lower than their neighbours
            let count = tried.len();
            let value = |i: usize| tried[i % count].0;
            let lows: Vec<usize> = (0..count)
                .filter(|&i| {
                    value(i).is_finite()
                        && value(i) <= value(i + count - 1)
                        && value(i) < value(i + 1)
                })
                .collect();
            for i in lows {
                let (value, y) = tried[i].clone();
                self.smaller_model(&y, value)?;
            }
        }
        Ok(())
    }

    /// Walks from `x` with what is zero held there, and on where that leads below the best optimum.
    fn smaller_model(&mut self, x: &[f64], value: f64) -> Result<(), EngineError> {
        if self.criterion.evaluations > self.last {
            return Ok(());
        }
        let parameters = self.criterion.parameters;
        let held = |a: usize| {
            parameters.list.get(a).is_some_and(|parameter| {
                let own = parameters.of_term(x, parameter.term);
                parameters.structures[parameter.term].is_null(own, parameter.index)
            })
        };
        let restriction = Restriction::holding(x, held);
        let (mut end, mut value) = (x.to_vec(), value);
        if restriction.variables() > 0 {
            let (criterion, settings) = (&mut *self.criterion, settings(&self.close));
            let outcome = minimize_under(criterion, Some(&restriction), x, value, settings);
            if outcome.stop == Stop::Interrupted {
                return Err(EngineError::Interrupted);
            }
            (end, value) = (outcome.x, outcome.value);
        }
        let lowest = self.lowest();
        self.is_close |= value < lowest + CLOSE_BY;
        if value < lowest - BETTER * lowest.abs().max(1.0) {
            return self.walk(&end);
        }
        Ok(())
    }

    /// Walks from `x` until it is clear whether a lower optimum is there, and then to it.
    fn walk(&mut self, x: &[f64]) -> Result<(), EngineError> {
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
            Some(first) if is_stationary(first) => {
                let coarse = Options {
                    tolerance: self.options.tolerance.max(ARRIVED),
                    ..self.close.clone()
                };
                match optimum(self.criterion, x, &coarse) {
                    Ok(run) if self.has_arrived(&run) => {
                        self.walks.ends.push(lowest);
                        return Ok(());
                    }
                    Ok(run) if is_stationary(&run) => {
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
            self.walks.ends.push(f64::INFINITY);
            return Ok(());
        };
        if !self.comes_to_an_end(&run) {
            self.walks.ends.push(f64::INFINITY);
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
        self.walks.ends.push(run.outcome.value);
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
        let steps = at.x.iter().zip(&there.x).zip(&scale);
        [run, best].iter().all(|run| is_stationary(run))
            && off <= OFF * at.decrement + SAME
            && steps
                .map(|((a, b), size)| ((a.abs() - b.abs()) / size).powi(2))
                .sum::<f64>()
                <= WITHIN * WITHIN
    }

    /// Whether a walk ended somewhere, and not on the way to a residual variance of zero.
    fn comes_to_an_end(&mut self, run: &Run) -> bool {
        let x = &run.outcome.x;
        let limit = if is_stationary(run) {
            VANISHING
        } else {
            ON_ITS_WAY
        };
        let factor = self.criterion.factor_at(x);
        let vanishes = factor.is_none_or(|factor| factor.pwrss <= limit * factor.total);
        self.walks.vanishing += usize::from(vanishes);
        !vanishes && (is_stationary(run) || run.status == Status::Failed)
    }
}

/// Directions of the effects of a term, neighbours one after the other: half a circle in the plane of each two of them, in
/// these units.
fn directions(units: &[Units]) -> Vec<Vec<f64>> {
    let k = units.len();
    let pairs = (0..k).flat_map(|a| (0..a).map(move |b| (a, b)));
    pairs
        .flat_map(|(a, b)| {
            (0..DIRECTIONS).map(move |i| {
                let angle = std::f64::consts::PI * (i as f64 + 0.25) / DIRECTIONS as f64;
                let mut direction = memory::zeros(k);
                let (cosine, sine) = (units[b].middle * angle.cos(), units[a].middle * angle.sin());
                let length = cosine.hypot(sine);
                direction[b] = cosine / length;
                direction[a] = sine / length;
                direction
            })
        })
        .collect()
}

fn is_stationary(run: &Run) -> bool {
    matches!(run.status, Status::Converged | Status::Singular)
}

#[cfg(test)]
mod tests {
    use super::{Walks, SURE};

    /// Walks that ended at places 0, 1, ..., `places` - 1 in turn.
    fn ended(count: usize, places: usize) -> Walks {
        let ends = (0..count).map(|i| (i % places) as f64).collect();
        Walks { ends, vanishing: 0 }
    }

    #[test]
    fn walks_are_enough_where_nothing_new_is_expected() {
        for places in 1..6 {
            // w (n - 1) / (n - w - 2) <= w + 1/2, as it is written in the paper
            let (w, mut n) = (places as f64, places + 3);
            while w * (n as f64 - 1.0) / (n as f64 - w - 2.0) > w + 0.5 {
                n += 1;
            }
            assert!(ended(SURE * n, places).are_enough(0), "{places}");
            assert!(!ended(SURE * n - 1, places).are_enough(0), "{places}");
        }
        // walks before the first from chance do not count, those without an optimum are one place
        let mut walks = ended(9, 9);
        walks.ends.extend([f64::INFINITY; 7 * SURE]);
        assert!(!walks.are_enough(0));
        assert!(walks.are_enough(9));
    }
}
