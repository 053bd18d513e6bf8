//! Profiles of the variance parameters.

use extendr_api::prelude::*;
use ferrolmm_engine::inference;

use crate::condition::{answer, named_list, Failure};
use crate::convert::{self, to_doubles, to_integer, Matrix};
use crate::fit::Arguments;

/// Profiles the standard deviations, correlations and sigma numbered `which` (from 1, in the order of
/// theta, sigma last) at `options$start`, to |zeta| = `cutoff`.
/// @noRd
#[extendr]
fn rs_profile(model: Robj, options: Robj, which: Robj, cutoff: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let which = convert::integers(&which, "which")?
            .iter()
            .map(|&index| {
                usize::try_from(index - 1).map_err(|_| Failure::bug("`which` counts from 1"))
            })
            .collect::<Result<Vec<usize>, Failure>>()?;
        let found = inference::profile(
            &arguments.borrow()?,
            &which,
            convert::double(&cutoff, "cutoff")?,
            &arguments.options,
            &|| watch.poll(),
        )?;
        let profiles = found
            .iter()
            .map(|(index, points)| {
                let values: Vec<f64> = points.iter().map(|point| point.value).collect();
                let zetas: Vec<f64> = points.iter().map(|point| point.zeta).collect();
                let rows = points.first().map_or(0, |point| point.parameters.len());
                let parameters: Vec<f64> = points
                    .iter()
                    .flat_map(|point| point.parameters.iter().copied())
                    .collect();
                Ok(named_list(vec![
                    ("which", to_integer(index + 1)?),
                    ("value", to_doubles(&values)),
                    ("zeta", to_doubles(&zetas)),
                    (
                        "parameters",
                        Matrix::new(&parameters, rows, points.len()).to_robj()?,
                    ),
                ]))
            })
            .collect::<Result<Vec<Robj>, Failure>>()?;
        Ok(vec![("profiles", List::from_values(profiles).into())])
    })
}

extendr_module! {
    mod profile;
    fn rs_profile;
}
