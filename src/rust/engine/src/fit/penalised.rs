//! What penalties on covariance matrices ask of a model.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::penalty::CovariancePenalty;

/// Refuses penalties whose matrices are not of the order of the terms that they are for.
pub(crate) fn check_penalties(data: &ModelData<'_>, options: &Options) -> Result<(), EngineError> {
    let given = &options.penalties.terms;
    let fits = given.iter().zip(&data.terms).all(|(penalty, term)| {
        let size = term.columns.len().pow(2);
        let is_of = |m: &Vec<f64>| m.is_empty() || m.len() == size;
        (penalty.as_ref()).is_none_or(|p| is_of(&p.linear) && is_of(&p.inverse))
    });
    if fits && [0, data.terms.len()].contains(&given.len()) {
        return Ok(());
    }
    Err(EngineError::Dimension(
        "penalties must be as many as terms, with matrices of their orders".to_owned(),
    ))
}

/// Refuses a penalty on covariances that outweighs what the rows tell of an unknown sigma: sigma would be zero.
pub(crate) fn require_degrees(
    options: &Options,
    penalty: Option<&CovariancePenalty>,
    n: usize,
    rank: usize,
) -> Result<(), EngineError> {
    let kappa = penalty.map_or(0.0, |penalty| penalty.log_sigma2);
    let degrees = if options.reml { n - rank } else { n };
    if options.sigma.is_none() && kappa >= degrees as f64 {
        return Err(EngineError::PenaltyOfSigma { degrees });
    }
    Ok(())
}
