//! Penalties on covariance matrices of random effects, as R hands them over.

use extendr_api::prelude::*;
use ferrolmm_engine::{Penalties, Penalty};

use crate::condition::Failure;
use crate::convert::{self, Named};

/// Penalties as R hands them over: `list(terms =, log_sigma2 =)`, for each term NULL or `list(log_det =, linear =, inverse =,
/// root =, inverse_root =)`, matrices NULL where they are zero.
pub fn read(value: &Robj) -> Result<Penalties, Failure> {
    let given = Named::new(value, "penalties")?;
    let terms = convert::elements(given.field("terms")?, "terms")?;
    Ok(Penalties {
        terms: terms
            .iter()
            .map(|term| match term.is_null() {
                true => Ok(None),
                false => read_penalty(term).map(Some),
            })
            .collect::<Result<_, Failure>>()?,
        log_sigma2: convert::double(given.field("log_sigma2")?, "log_sigma2")?,
    })
}

fn read_penalty(value: &Robj) -> Result<Penalty, Failure> {
    let given = Named::new(value, "terms")?;
    let number = |name| convert::double(given.field(name)?, name);
    let matrix = |name| -> Result<Vec<f64>, Failure> {
        let values = given.optional(name);
        let values = values.map(|values| convert::doubles(values, name));
        Ok(values.transpose()?.map_or_else(Vec::new, <[f64]>::to_vec))
    };
    Ok(Penalty {
        log_det: number("log_det")?,
        linear: matrix("linear")?,
        inverse: matrix("inverse")?,
        root: number("root")?,
        inverse_root: number("inverse_root")?,
    })
}
