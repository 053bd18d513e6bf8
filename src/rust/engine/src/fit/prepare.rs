//! Data to bases, layout, moments and a start.

use std::sync::Arc;

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::api::theta::UserTheta;
use crate::basis::fixed::FixedBasis;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::basis::penalty::CovariancePenalty;
use crate::basis::random::{lay_out, FactorLayout, TermBasis};
use crate::basis::rank::require_residual;
use crate::basis::restriction::Restriction;
use crate::basis::rows::Coordinates;
use crate::basis::user::{internal_of_terms, user_parameters};
use crate::criterion::objective::{Criterion, RESIDUAL};
use crate::fit::held::{beside_held, restricted_terms, restriction};
use crate::fit::penalised::{check_penalties, require_degrees};
use crate::fit::sizes::Sizes;
use crate::moments::blocks::{Center, Moments};
use crate::moments::level_precision;
use crate::moments::residual_part::ResidualPart;
use crate::moments::source::{moments_of, source};
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::stop::StopFlag;
use crate::search::optimum::term_start;
use crate::search::strategy::Plan;
use crate::structure::residual::Residual;
use crate::system::elimination::Schur;
use crate::system::elimination_choice::largest_eliminated;
use crate::system::equations::System;

/// Largest value of a parameter that a start may have.
const LARGEST: f64 = 1e100;

/// Bases, layout and moments of one model.
pub(crate) struct Prepared {
    pub fixed: FixedBasis,
    pub layout: Vec<FactorLayout>,
    pub bases: Vec<TermBasis>,
    pub parameters: Parameters,
    pub system: System,
    pub center: Center,
    pub residual: Option<ResidualPart>,
    /// The rows' mean standard deviation, in units of the standard deviation used for the moments.
    pub unit: f64,
    pub restriction: Option<Restriction>,
    /// Known residual variance.
    pub sigma2: Option<f64>,
    /// What is added to the likelihood.
    pub penalty: Option<CovariancePenalty>,
}

impl Prepared {
    /// The rows' mean standard deviation relative to sigma; sigma is that of a row with d = 1, which may be unlike any row.
    pub(crate) fn unit_at(&self, theta: &InternalTheta) -> f64 {
        let phi = self.parameters.of_residual(theta);
        self.residual_model().unit(phi)
    }

    /// The residual structure: that of independent rows where the model has none.
    pub(crate) fn residual_model(&self) -> &Residual {
        let part = self.residual.as_ref();
        part.map_or(Residual::independent(), |part| &part.model)
    }

    /// A sum of squares in units of the rows' mean variance.
    pub(crate) fn in_rows(&self, theta: &InternalTheta, squares: f64) -> f64 {
        squares * self.unit_at(theta).powi(2)
    }

    /// Residual sum of squares of the fixed effects alone, in units of the rows' mean variance.
    pub(crate) fn fixed_rss(&self) -> f64 {
        self.system.moments.residual() * self.unit * self.unit
    }

    /// Inverse variances of the residuals of all rows of the data, relative to sigma^2; residuals are not correlated.
    ///
    /// # Errors
    /// [`EngineError::Numerical`] where the residual structure has no value.
    pub(crate) fn residual_precision(
        &self,
        data: &ModelData<'_>,
        theta: &InternalTheta,
    ) -> Result<Vec<f64>, EngineError> {
        let mut out: Vec<f64> = (0..data.rows())
            .map(|i| data.weights.map_or(1.0, |w| w[i]))
            .collect();
        if let Some(part) = &self.residual {
            let phi = self.parameters.of_residual(theta);
            let whitening = part.whole().at_with(phi, &self.system.workers);
            let whitening = whitening.ok_or(EngineError::numerical(RESIDUAL))?;
            let rows = part.whole().order().iter().zip(&whitening.inverse_scale);
            rows.for_each(|(&row, scale)| out[row as usize] *= scale * scale);
        }
        Ok(out)
    }

    /// The coordinates that moments are taken in.
    pub(crate) fn coordinates(&self) -> Coordinates<'_> {
        Coordinates::new(&self.fixed, &self.layout, &self.bases)
    }

    /// A copy for another response, without threads of its own.
    pub fn share(&self) -> Self {
        memory::require::<f64>(self.system.moments.numbers());
        Self {
            fixed: self.fixed.clone(),
            layout: self.layout.clone(),
            bases: self.bases.clone(),
            parameters: Parameters::new(&self.layout, &self.bases, self.parameters.residual),
            system: System {
                moments: self.system.moments.clone(),
                schur: Arc::clone(&self.system.schur),
                workers: Workers::sequential().into(),
            },
            center: self.center.clone(),
            residual: self.residual.clone(),
            unit: self.unit,
            restriction: self.restriction.clone(),
            sigma2: self.sigma2,
            penalty: self.penalty.clone(),
        }
    }

    /// The criterion of this model, not evaluated yet.
    pub fn criterion<'a>(
        &'a self,
        center: &'a [Vec<f64>],
        reml: bool,
        clock: Clock<'a>,
    ) -> Criterion<'a> {
        self.criterion_of(&self.system, center, reml, clock)
    }

    /// The criterion of this model with other cross-products, not evaluated yet.
    pub fn criterion_of<'a>(
        &'a self,
        system: &'a System,
        center: &'a [Vec<f64>],
        reml: bool,
        clock: Clock<'a>,
    ) -> Criterion<'a> {
        Criterion::new(
            system,
            &self.parameters,
            reml,
            center,
            -2.0 * self.fixed.log_det_rinv,
            clock.with_flag(self.system.workers.flag()),
        )
        .with_residual(self.residual.as_ref())
        .with_restriction(self.restriction.as_ref())
        .with_sigma2(self.sigma2)
        .with_penalty(self.penalty.as_ref())
    }

    /// Whether levels and residuals are independent, all parameters free and without penalty, and grouping factors more than one.
    fn is_plain(&self) -> bool {
        self.residual.is_none()
            && self.restriction.is_none()
            && self.penalty.is_none()
            && self.system.schur.q2 > 0
            && !self
                .system
                .moments
                .pairs
                .iter()
                .any(|pair| pair.f == pair.g)
            && !level_precision::any(&self.system.moments)
    }

    /// How the criterion is evaluated.
    ///
    /// # Errors
    /// [`EngineError::Memory`] where there is no other way than a factor that does not fit in memory.
    pub(crate) fn plan(&self, options: &Options) -> Result<Plan, EngineError> {
        Plan::new(&self.system, self.is_plain(), options)
    }

    /// How the criterion was evaluated when the fit looked for its optimum.
    pub(crate) fn plan_of_fit(&self, options: &Options) -> Result<Plan, EngineError> {
        let as_fitted = Options {
            optimize: true,
            ..options.clone()
        };
        self.plan(&as_fitted)
    }
}

/// What the first pass over the rows gives.
pub(crate) struct Begun {
    workers: Workers,
    pub(crate) fixed: FixedBasis,
}

/// Checks the data and takes the cross-products of X and the response.
pub(crate) fn begin(
    data: &ModelData<'_>,
    options: &Options,
    stop: &StopFlag,
) -> Result<Begun, EngineError> {
    data.validate()?;
    if data.moments.is_none() && data.stands_for.is_none() {
        require_residual(data, stop)?;
    }
    Sizes::of(data).require_memory()?;
    let columns: usize = data.terms.iter().map(|t| t.columns.len()).sum();
    let (n, p) = (data.rows() as f64, data.p as f64);
    let work = n * (p + 1.0) * (p / 2.0 + 2.0 * columns as f64);
    let workers = Workers::new(options.threads, work, stop);
    let source = source(data);
    let gram = source.gram(&workers);
    if !gram.iter().all(|v| v.is_finite()) {
        data.check_finite()?;
    }
    data.check_sizes(&gram)?;
    let fixed = FixedBasis::from_gram(data.p, &gram, || source.triangle(stop), stop);
    Ok(Begun { workers, fixed })
}

/// Checks the data and takes the moments.
pub(crate) fn prepare(
    data: &ModelData<'_>,
    options: &Options,
    stop: &StopFlag,
) -> Result<Prepared, EngineError> {
    prepare_from(data, options, begin(data, options, stop)?, stop)
}

/// From the cross-products of X to the moments: layout and bases of the terms, moments, system, restriction.
pub(crate) fn prepare_from(
    data: &ModelData<'_>,
    options: &Options,
    Begun { workers, fixed }: Begun,
    stop: &StopFlag,
) -> Result<Prepared, EngineError> {
    let (n, rank) = (data.n(), fixed.rank());
    if n <= rank {
        return Err(EngineError::NoResidualDf { n, rank });
    }
    let residual = data
        .residual
        .as_ref()
        .map(|structure| Residual::new(structure, n))
        .transpose()?;
    check_penalties(data, options)?;
    let mut taken = take(data, options, &fixed, residual, true, &workers)?;
    let schur = match largest_eliminated(&taken.moments, stop) {
        Some(schur) => schur,
        None => {
            let residual = taken.residual.map(|part| part.whole().clone());
            taken = take(data, options, &fixed, residual, false, &workers)?;
            Schur::unless_stopped(&taken.moments, stop)
        }
    };
    let Taken {
        layout,
        bases,
        center,
        moments,
        residual,
    } = taken;
    let system = system_of(moments, schur, options, workers, stop);
    let model = residual
        .as_ref()
        .map_or(Residual::independent(), |part| &part.model);
    let parameters = Parameters::new(&layout, &bases, model.len());
    let unit = model.unit(&residual_start(options, model)?);
    let penalty = CovariancePenalty::new(&options.penalties, &bases);
    require_degrees(options, penalty.as_ref(), n, rank)?;
    let mut prepared = Prepared {
        fixed,
        layout,
        bases,
        parameters,
        system,
        center,
        residual,
        unit,
        restriction: None,
        sigma2: options.sigma.map(|sigma| sigma * sigma),
        penalty,
    };
    if options.sigma.is_none() {
        check_residual(&prepared)?;
    }
    let own = start(options, &prepared)?;
    prepared.restriction = restriction(
        options,
        &prepared.parameters,
        &prepared.bases,
        prepared.residual_model(),
        &own,
    )?;
    Ok(prepared)
}

/// Layout, bases and moments with one order of the grouping factors.
struct Taken {
    layout: Vec<FactorLayout>,
    bases: Vec<TermBasis>,
    center: Center,
    moments: Moments,
    residual: Option<ResidualPart>,
}

/// Lays the terms out, the largest factor that may be first, or (unless `eliminates`) none, and takes the moments.
fn take(
    data: &ModelData<'_>,
    options: &Options,
    fixed: &FixedBasis,
    residual: Option<Residual>,
    eliminates: bool,
    workers: &Workers,
) -> Result<Taken, EngineError> {
    let (layout, bases) = bases_of_terms(data, options, residual.as_ref(), eliminates, workers);
    let center = Center {
        beta: fixed.beta_center.clone(),
        b: vec![Vec::new(); layout.len()],
    };
    let at = Coordinates::new(fixed, &layout, &bases);
    let (moments, residual) = take_moments(data, options, at, &center, residual, workers)?;
    Ok(Taken {
        layout,
        bases,
        center,
        moments,
        residual,
    })
}

/// How grouping factors are laid out, and the basis of each term and class of its levels.
fn bases_of_terms(
    data: &ModelData<'_>,
    options: &Options,
    residual: Option<&Residual>,
    eliminates: bool,
    workers: &Workers,
) -> (Vec<FactorLayout>, Vec<TermBasis>) {
    let independent = |factor: &FactorLayout| {
        let user = factor.user.map(|user| &data.factors[user]);
        let model = residual.unwrap_or(Residual::independent());
        eliminates
            && user.is_some_and(|user| user.precision.is_none() && user.members.is_none())
            && contains(factor.codes(data), model)
    };
    let source = source(data);
    lay_out(
        data,
        independent,
        &restricted_terms(data, options),
        source.squares(workers),
    )
}

/// The moments, with a residual structure those where its parameters start, and the rows that it keeps.
fn take_moments(
    data: &ModelData<'_>,
    options: &Options,
    at: Coordinates<'_>,
    center: &Center,
    residual: Option<Residual>,
    workers: &Workers,
) -> Result<(Moments, Option<ResidualPart>), EngineError> {
    let (moments, residual) = match residual {
        None => (moments_of(data, at, center, workers)?, None),
        Some(model) => {
            let part = ResidualPart::new(data, at, center, model, workers);
            let moments = first_moments(data, options, &part, at.layout, workers)?;
            (moments, Some(part))
        }
    };
    let mut squares = moments.factors.iter().flat_map(|factor| &factor.zz);
    if !squares.all(|v| v.is_finite()) {
        data.check_finite()?;
    }
    Ok((moments, residual))
}

/// The equations of these moments, with as many threads as they, or the rows before, are worth.
fn system_of(
    moments: Moments,
    schur: Schur,
    options: &Options,
    workers: Workers,
    stop: &StopFlag,
) -> System {
    let per_evaluation =
        schur.work(moments.factors[0].k) + moments.factors[0].zx.len() as f64 * moments.p1 as f64;
    let workers = if workers.count() > 1 {
        workers
    } else {
        Workers::new(options.threads, 10.0 * per_evaluation, stop)
    };
    System {
        moments,
        schur: Arc::new(schur),
        workers: workers.into(),
    }
}

/// Does each residual group lie within one level?
fn contains(codes: &[i32], residual: &Residual) -> bool {
    let order = residual.order();
    (0..residual.groups()).all(|g| {
        let mut rows = order[residual.group(g)].iter();
        let first = rows.next().map(|&row| codes[row as usize]);
        rows.all(|&row| Some(codes[row as usize]) == first)
    })
}

/// The cross-products at the residual parameters to start from.
fn first_moments(
    data: &ModelData<'_>,
    options: &Options,
    part: &ResidualPart,
    layout: &[FactorLayout],
    workers: &Workers,
) -> Result<Moments, EngineError> {
    let phi = residual_start(options, &part.model)?;
    let whitening = part.model.at_with(&phi, workers).ok_or_else(|| {
        EngineError::ResidualStart(
            "the residual parameters give no positive definite matrix".to_owned(),
        )
    })?;
    let mut moments = part.rows.moments(&part.model, &whitening, layout, workers);
    moments.add_level_precisions(data, layout, workers.flag())?;
    Ok(moments)
}

/// Internal residual parameters at the end of the user's start, or those of the structure.
fn residual_start(options: &Options, model: &Residual) -> Result<Vec<f64>, EngineError> {
    let Some(given) = &options.start else {
        return Ok(model.start());
    };
    let natural = given
        .len()
        .checked_sub(model.len())
        .map(|at| &given.values()[at..]);
    let phi = natural
        .and_then(|natural| model.internal(natural))
        .ok_or_else(|| {
            EngineError::ResidualStart("impossible values of the residual parameters".to_owned())
        })?;
    if model.is_far(&phi) {
        return Err(EngineError::FarScale);
    }
    Ok(phi)
}

/// Refuses a response that the fixed effects reproduce to rounding.
fn check_residual(prepared: &Prepared) -> Result<(), EngineError> {
    let fixed_rss = prepared.fixed_rss();
    if fixed_rss <= PERFECT * prepared.fixed.total || fixed_rss == 0.0 {
        return Err(EngineError::PerfectFit);
    }
    Ok(())
}

/// Where to start; held parameters have their values there.
pub(crate) fn start(options: &Options, prepared: &Prepared) -> Result<InternalTheta, EngineError> {
    let theta = free_start(options, prepared)?;
    if options.hold.values().iter().all(|value| value.is_nan()) || options.start.is_some() {
        return Ok(theta);
    }
    // held values in the user's coordinates, then back
    let natural = with_phi(prepared, &theta);
    let from = |values: UserTheta| {
        let options = Options {
            start: Some(values),
            ..options.clone()
        };
        free_start(&options, prepared)
    };
    let values = natural.values().iter().enumerate();
    let held = |(a, own): (usize, &f64)| options.held_at(a).unwrap_or(*own);
    let start = from(values.take(options.hold.len()).map(held).collect());
    if matches!(
        start,
        Err(EngineError::Dimension(_) | EngineError::ResidualStart(_))
    ) && options.hold.len() == natural.len()
    {
        return from(beside_held(options, &theta, |x| with_phi(prepared, x))?);
    }
    start
}

fn free_start(options: &Options, prepared: &Prepared) -> Result<InternalTheta, EngineError> {
    let parameters = &prepared.parameters;
    if let Some(given) = &options.start {
        if given.len() != parameters.len() {
            return Err(EngineError::Dimension(format!(
                "start has {} values, the model has {} covariance parameters",
                given.len(),
                parameters.len()
            )));
        }
        if !given.values().iter().all(|v| v.abs() <= LARGEST) {
            return Err(EngineError::Dimension(
                "start holds a value that is not finite, or too large to be squared".to_owned(),
            ));
        }
        let of_terms = internal_of_terms(given, &prepared.bases, parameters).ok_or_else(|| {
            EngineError::Dimension("start holds impossible correlations".to_owned())
        })?;
        let phi = residual_start(options, prepared.residual_model())?;
        return Ok(InternalTheta::join(&of_terms, &phi));
    }
    let of_terms = term_start(&prepared.system.moments, &prepared.bases, parameters);
    let phi = prepared.residual_model().start();
    Ok(InternalTheta::join(&of_terms, &phi))
}

/// Internal parameters at the start that the caller must give.
pub(crate) fn required_start(
    options: &Options,
    prepared: &Prepared,
) -> Result<InternalTheta, EngineError> {
    if options.start.is_none() {
        return Err(EngineError::Dimension("theta is missing".to_owned()));
    }
    start(options, prepared)
}

/// Residual over total sum of squares that is nothing but rounding.
const PERFECT: f64 = 1e-28;

/// theta as the user sees it.
pub(crate) fn user_theta(prepared: &Prepared, theta: &InternalTheta) -> UserTheta {
    let bases = prepared.bases.iter().enumerate();
    bases
        .flat_map(|(t, basis)| user_parameters(basis, &prepared.parameters, theta, t))
        .collect()
}

/// theta and the residual parameters as the user sees them.
pub(crate) fn with_phi(prepared: &Prepared, theta: &InternalTheta) -> UserTheta {
    let of_terms = user_theta(prepared, theta).into_values();
    of_terms
        .into_iter()
        .chain(natural_phi(prepared, theta))
        .collect()
}

/// Residual parameters as the user sees them.
pub(crate) fn natural_phi(prepared: &Prepared, theta: &InternalTheta) -> Vec<f64> {
    let phi = prepared.parameters.of_residual(theta);
    prepared.residual_model().natural(phi)
}
