//! One model, many responses.

use extendr_api::prelude::*;
use ferrolmm_engine::many::{self, Wanted};

use crate::condition::answer;
use crate::convert::{self, Matrix};
use crate::fit::Arguments;

/// Fits the model to each column of `responses` (n x m); `satterthwaite` asks for the degrees of
/// freedom of each coefficient, `rx` for RX.
/// @noRd
#[extendr]
fn rs_fit_many(model: Robj, options: Robj, responses: Robj, satterthwaite: Robj, rx: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let data = arguments.borrow()?;
        let found = many::fit_many(
            &data,
            convert::doubles(&responses, "responses")?,
            Wanted {
                satterthwaite: convert::flag(&satterthwaite, "satterthwaite")?,
                rx: convert::flag(&rx, "rx")?,
            },
            &arguments.options,
            &|| watch.poll(),
        )?;
        let m = found.sigma.len();
        let values = found.theta.iter().flat_map(|theta| theta.values());
        let theta: Vec<f64> = values.copied().collect();
        let columns = |values: &[f64]| -> Robj { convert::to_doubles_or_na(values) };
        let status: Vec<&str> = found.status.iter().map(|status| status.name()).collect();
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
            ("rx", columns(&found.rx)),
            ("sigma", columns(&found.sigma)),
            ("criterion", columns(&found.criterion)),
            ("status", status.into()),
            ("evaluations", convert::to_counts(&found.evaluations)?),
        ])
    })
}

extendr_module! {
    mod many;
    fn rs_fit_many;
}
