//! One model, many responses.

use extendr_api::prelude::*;
use ferrolmm_engine::many::{self, Responses, Wanted};
use ferrolmm_engine::EngineError;

use crate::condition::answer;
use crate::convert::{self, Matrix, Named};
use crate::fit::Arguments;

/// Fits the model to each column of `responses` (n x m), with `weights` of the same size or NULL; `wanted` is
/// `list(satterthwaite =, rx =, residual_df =, contrasts =)`, the last one NULL or a column for each linear function of the
/// coefficients.
/// @noRd
#[extendr]
fn rs_fit_many(model: Robj, options: Robj, responses: Robj, weights: Robj, wanted: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let data = arguments.borrow()?;
        let given = Named::new(&wanted, "wanted")?;
        let flag = |name| convert::flag(given.field(name)?, name);
        let contrasts = given.optional("contrasts");
        let found = many::fit_many(
            &data,
            Responses {
                values: convert::doubles(&responses, "responses")?,
                weights: convert::doubles_or_null(&weights, "weights")?,
            },
            Wanted {
                satterthwaite: flag("satterthwaite")?,
                rx: flag("rx")?,
                residual_df: flag("residual_df")?,
                contrasts: match contrasts {
                    None => &[],
                    Some(contrasts) => convert::doubles(contrasts, "contrasts")?,
                },
            },
            &arguments.options,
            &|| watch.poll(),
        )?;
        let m = found.sigma.len();
        let values = found.theta.iter().flat_map(|theta| theta.values());
        let theta: Vec<f64> = values.copied().collect();
        let columns = |values: &[f64]| -> Robj { convert::to_doubles_or_na(values) };
        let status: Vec<&str> = found.status.iter().map(|status| status.name()).collect();
        let failures = found.failure.iter();
        let messages: Vec<String> = (failures.clone())
            .map(|failure| failure.as_ref().map_or(String::new(), ToString::to_string))
            .collect();
        let classes: Vec<&str> = failures
            .map(|failure| failure.as_ref().map_or("", EngineError::class))
            .collect();
        Ok(vec![
            (
                "theta",
                Matrix::new(&theta, theta.len() / m.max(1), m).to_robj_or_na()?,
            ),
            (
                "phi",
                Matrix::new(&found.phi, found.phi.len() / m.max(1), m).to_robj_or_na()?,
            ),
            ("beta", columns(&found.beta)),
            ("standard_error", columns(&found.standard_error)),
            ("ddf", columns(&found.ddf)),
            ("contrasts", columns(&found.contrasts)),
            ("contrast_error", columns(&found.contrast_error)),
            ("contrast_ddf", columns(&found.contrast_ddf)),
            ("rx", columns(&found.rx)),
            ("residual_df", columns(&found.residual_df)),
            ("sigma", columns(&found.sigma)),
            ("criterion", columns(&found.criterion)),
            ("status", status.into()),
            ("failure", classes.into()),
            ("message", messages.into()),
            ("rows", convert::to_counts(&found.rows)?),
            ("evaluations", convert::to_counts(&found.evaluations)?),
        ])
    })
}

extendr_module! {
    mod many;
    fn rs_fit_many;
}
