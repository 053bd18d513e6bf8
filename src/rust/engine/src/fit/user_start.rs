//! Covariance parameters from the coordinates of the user to those of the engine, to start there, and back.

use crate::api::error::EngineError;
use crate::api::options::Options;
use crate::api::theta::UserTheta;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::user::{internal_of_terms, user_parameters};
use crate::fit::held::beside_held;
use crate::fit::prepared::Prepared;
use crate::search::optimum::term_start;
use crate::structure::residual::Residual;

/// Largest value of a parameter that a start may have.
const LARGEST: f64 = 1e100;

/// Internal residual parameters at the end of the user's start, or those of the structure.
pub(super) fn residual_start(options: &Options, model: &Residual) -> Result<Vec<f64>, EngineError> {
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
