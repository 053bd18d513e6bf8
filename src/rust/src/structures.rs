//! What R asks about structures: which structures exist, their parameters, and what parameters give.

use extendr_api::prelude::*;
use ferrolmm_engine::structure::random::{
    effects_correlation, effects_parameters, effects_start, random_facts,
};
use ferrolmm_engine::structure::residual::{
    correlation_count, correlation_matrix, correlation_parameters, scale_facts,
    standard_deviations, Parameter,
};
use ferrolmm_engine::CorrelationKind;

use crate::condition::{answer, named_list, Failure, Fields};
use crate::convert::{self, Matrix};
use crate::residual::{CorrelationArgument, ScaleArgument};

/// One vector of strings.
fn texts<T>(of: &[T], text: impl Fn(&T) -> &'static str) -> Robj {
    of.iter().map(text).collect::<Vec<_>>().into()
}

/// One logical vector.
fn flags<T>(of: &[T], flag: impl Fn(&T) -> bool) -> Robj {
    of.iter().map(flag).collect::<Vec<_>>().into()
}

/// Vectors of strings.
fn lists<T>(of: &[T], texts: impl Fn(&T) -> &'static [&'static str]) -> Robj {
    let each = of.iter().map(|t| Robj::from(texts(t).to_vec()));
    List::from_values(each.collect::<Vec<Robj>>()).into()
}

/// All kinds of structures, a vector for each thing that is known of them.
/// @noRd
#[extendr]
fn rs_structures() -> Robj {
    answer(|_| {
        let kinds: Vec<_> = CorrelationKind::all().iter().map(|k| k.facts()).collect();
        let (random, scales) = (random_facts(), scale_facts());
        Ok(vec![
            (
                "correlations",
                named_list(vec![
                    ("name", texts(&kinds, |k| k.name)),
                    ("position", texts(&kinds, |k| k.position.name())),
                    ("order_matters", flags(&kinds, |k| k.order_matters)),
                    ("by_lag", flags(&kinds, |k| k.by_lag)),
                    ("each", texts(&kinds, |k| k.each.name())),
                    ("has_orders", flags(&kinds, |k| k.has_orders)),
                    ("nugget", flags(&kinds, |k| k.nugget)),
                    ("effects", flags(&kinds, |k| k.effects)),
                ]),
            ),
            (
                "random",
                named_list(vec![
                    ("name", texts(&random, |r| r.name)),
                    ("factor", flags(&random, |r| r.factor)),
                    ("correlated", flags(&random, |r| r.correlated)),
                    ("homogeneous", flags(&random, |r| r.homogeneous)),
                    ("order_matters", flags(&random, |r| r.order_matters)),
                    ("has_factors", flags(&random, |r| r.has_factors)),
                ]),
            ),
            (
                "scales",
                named_list(vec![
                    ("name", texts(&scales, |s| s.name)),
                    ("covariate", flags(&scales, |s| s.covariate)),
                    ("zero", flags(&scales, |s| s.zero)),
                    ("reference", flags(&scales, |s| s.reference)),
                    ("parameters", lists(&scales, |s| s.parameters)),
                    ("kinds", lists(&scales, |s| s.kinds)),
                ]),
            ),
        ])
    })
}

fn parameter_fields(found: &[Parameter]) -> Fields {
    let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
    let lower: Vec<f64> = found.iter().map(|p| p.bounds.0).collect();
    let upper: Vec<f64> = found.iter().map(|p| p.bounds.1).collect();
    vec![
        ("names", Robj::from(names)),
        ("kinds", texts(found, Parameter::kind)),
        ("lower", convert::to_doubles(&lower)),
        ("upper", convert::to_doubles(&upper)),
    ]
}

/// Names, kinds and bounds of the natural parameters of a correlation structure; `correlation` is as in the structure of a
/// model, its positions are not looked at, `largest` the number of rows of the largest group. More than `most` parameters
/// are only counted.
/// @noRd
#[extendr]
fn rs_correlation_parameters(correlation: Robj, largest: Robj, most: Robj) -> Robj {
    answer(|_| {
        let given = CorrelationArgument::new(&correlation)?;
        let (given, largest) = (given.borrow()?, convert::count(&largest, "largest")?);
        let count = correlation_count(&given, largest);
        let mut fields = vec![("count", Robj::from(count as f64))];
        if count <= convert::count(&most, "most")? {
            fields.extend(parameter_fields(&correlation_parameters(&given, largest)));
        }
        Ok(fields)
    })
}

/// The correlation matrix of `n` rows of one residual group at natural parameters `par`: `correlation` is
/// `list(type =, position =, ...)`, as in the structure of a model.
/// @noRd
#[extendr]
fn rs_correlation(correlation: Robj, par: Robj, n: Robj) -> Robj {
    answer(|_| {
        let given = CorrelationArgument::new(&correlation)?;
        let n = convert::count(&n, "n")?;
        let found = correlation_matrix(&given.borrow()?, convert::doubles(&par, "par")?, n)?;
        Ok(vec![("matrix", Matrix::new(&found, n, n).to_robj()?)])
    })
}

fn kind_of_effects(structure: &Robj) -> Result<CorrelationKind, Failure> {
    let kind = structure.as_str().and_then(CorrelationKind::named);
    kind.ok_or_else(|| Failure::bug("the structure of random effects is not known"))
}

/// Names, kinds and bounds of the natural correlation parameters of `k` effects, and where they start.
/// @noRd
#[extendr]
fn rs_effects_parameters(structure: Robj, k: Robj) -> Robj {
    answer(|_| {
        let (kind, k) = (kind_of_effects(&structure)?, convert::count(&k, "k")?);
        let mut fields = parameter_fields(&effects_parameters(kind, k));
        fields.push(("start", convert::to_doubles(&effects_start(kind, k))));
        Ok(fields)
    })
}

/// The correlation matrix of `k` effects at natural parameters `par`, which may be at their ends.
/// @noRd
#[extendr]
fn rs_effects_correlation(structure: Robj, par: Robj, k: Robj) -> Robj {
    answer(|_| {
        let (kind, k) = (kind_of_effects(&structure)?, convert::count(&k, "k")?);
        let found = effects_correlation(kind, convert::doubles(&par, "par")?, k)?;
        Ok(vec![("matrix", Matrix::new(&found, k, k).to_robj()?)])
    })
}

/// Standard deviations of `n` rows relative to sigma, by variance functions (`scales`, as in the structure of a model) at
/// their natural parameters `par`.
/// @noRd
#[extendr]
fn rs_scale_values(scales: Robj, par: Robj, n: Robj) -> Robj {
    answer(|_| {
        let given = convert::elements(&scales, "scales")?
            .iter()
            .map(ScaleArgument::new)
            .collect::<Result<Vec<_>, Failure>>()?;
        let scales = given
            .iter()
            .map(ScaleArgument::borrow)
            .collect::<Result<Vec<_>, Failure>>()?;
        let n = convert::count(&n, "n")?;
        let found = standard_deviations(&scales, convert::doubles(&par, "par")?, n)?;
        Ok(vec![("values", convert::to_doubles(&found))])
    })
}

extendr_module! {
    mod structures;
    fn rs_structures;
    fn rs_correlation_parameters;
    fn rs_correlation;
    fn rs_effects_parameters;
    fn rs_effects_correlation;
    fn rs_scale_values;
}
