//! Inference at given parameters: each answer is prepared, evaluated once and taken from solves.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::fit::user_start::required_start;
use crate::inference::evaluated::{evaluated, is_long, regular};
use crate::inference::kenward_roger_general;
use crate::inference::kenward_roger_linear::{self, KenwardRoger};
use crate::inference::kenward_roger_second::SecondDerivatives;
use crate::inference::singular_covariances;
use crate::moments::level_precision;
use crate::runtime::interruptible::interruptible;

/// What may fail in floating point.
const KENWARD_ROGER: &str = "Kenward and Roger's adjustment";

/// Kenward & Roger's adjusted covariance matrix of the fixed effects and what their degrees of freedom need, at
/// `options.start`.
///
/// # Errors
/// See [`EngineError`].
pub fn kenward_roger(
    data: &ModelData<'_>,
    second: SecondDerivatives,
    options: &Options,
    interrupt: &dyn Fn() -> bool,
) -> Result<KenwardRoger, EngineError> {
    interruptible(is_long(data), interrupt, |stop, interrupt| {
        let mut prepared = prepare(data, options, stop)?;
        let given = required_start(options, &prepared)?;
        let theta = regular(&given, &prepared);
        let is_linear = kenward_roger_general::is_linear_in_components(&prepared);
        let is_singular = theta != given || prepared.parameters.is_of_reduced_rank();
        if is_singular && singular_covariances::is_possible(&prepared, &given) {
            let found = if is_linear {
                kenward_roger_linear::adjustment_at_singular(&prepared, &given)
            } else {
                let mut criterion = evaluated(&prepared, options, &given, interrupt)?;
                kenward_roger_general::adjustment_at_singular(
                    (data, &prepared),
                    &mut criterion,
                    &given,
                    second,
                )?
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        prepared.settle(data, &theta, options, interrupt)?;
        let mut criterion = evaluated(&prepared, options, &theta, interrupt)?;
        let large = !criterion.exact_cost().is_finite();
        let known = level_precision::any(&prepared.system.moments);
        let restricted = prepared.restriction.is_some() || prepared.sigma2.is_some();
        let structured = prepared.residual.is_some();
        if !is_linear || (large && (known || restricted || structured)) {
            if large && second == SecondDerivatives::BesideTangent && prepared.residual.is_none() {
                return Err(too_large(&prepared));
            }
            let at = (data, &prepared);
            let found = kenward_roger_general::adjustment(at, &mut criterion, &theta, second)?;
            return found.ok_or_else(|| criterion.failure(KENWARD_ROGER));
        }
        if large {
            return Err(too_large(&prepared));
        }
        let found = kenward_roger_linear::adjustment(&prepared, &mut criterion, &theta);
        found.ok_or_else(|| criterion.failure(KENWARD_ROGER))
    })
}

fn too_large(prepared: &Prepared) -> EngineError {
    let order = prepared.system.schur.q2 + prepared.fixed.rank();
    // the factor, its inverse and the products: triangles
    let gigabytes = 1.5 * 8e-9 * (order as f64).powi(2);
    EngineError::TooLarge { order, gigabytes }
}
