//! Profiles of the variance parameters.

use extendr_api::prelude::*;
use ferrolmm_engine::inference::{self, Function, ProfilePoint, Scale, Step};

use crate::condition::{answer, named_list, Failure};
use crate::convert::{self, to_doubles, to_integer, Matrix, Named};
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
                let mut fields = vec![("which", to_integer(index + 1)?)];
                fields.extend(path_fields(points)?);
                Ok(named_list(fields))
            })
            .collect::<Result<Vec<Robj>, Failure>>()?;
        Ok(vec![("profiles", List::from_values(profiles).into())])
    })
}

/// Values, zetas and parameters (a column for each point) of a path.
fn path_fields(points: &[ProfilePoint]) -> Result<Vec<(&'static str, Robj)>, Failure> {
    let values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let zetas: Vec<f64> = points.iter().map(|point| point.zeta).collect();
    let rows = points.first().map_or(0, |point| point.parameters.len());
    let parameters: Vec<f64> = points
        .iter()
        .flat_map(|point| point.parameters.iter().copied())
        .collect();
    Ok(vec![
        ("value", to_doubles(&values)),
        ("zeta", to_doubles(&zetas)),
        (
            "parameters",
            Matrix::new(&parameters, rows, points.len()).to_robj()?,
        ),
    ])
}

/// A step of a program: `name`, and the number or the component (from 1) that it has.
fn step(name: &str, value: f64) -> Result<Step, Failure> {
    Ok(match name {
        "constant" => Step::Constant(value),
        "component" => {
            #[allow(clippy::cast_possible_truncation)]
            let index = convert::to_count(value as i32, "component")?.checked_sub(1);
            Step::Component(index.ok_or_else(|| Failure::bug("components count from 1"))?)
        }
        "+" => Step::Add,
        "-" => Step::Subtract,
        "*" => Step::Multiply,
        "/" => Step::Divide,
        "^" => Step::Power(value),
        "sqrt" => Step::Root,
        "exp" => Step::Exp,
        "log" => Step::Log,
        _ => return Err(Failure::bug("a step of a function that is not known")),
    })
}

/// Profiles a function of the variance components at `options$start`, to |zeta| = `cutoff`. `program`: `steps`, names in
/// reverse Polish order; `values`, the number of each; `scale`.
/// @noRd
#[extendr]
fn rs_profile_function(model: Robj, options: Robj, program: Robj, cutoff: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let program = Named::new(&program, "program")?;
        let names = convert::elements(program.field("steps")?, "steps")?;
        let values = convert::doubles(program.field("values")?, "values")?;
        let steps = names
            .iter()
            .zip(values)
            .map(|(name, &value)| {
                let name = name.as_str();
                step(
                    name.ok_or_else(|| Failure::bug("a step has a name"))?,
                    value,
                )
            })
            .collect::<Result<Vec<Step>, Failure>>()?;
        let scale = match program.field("scale")?.as_str() {
            Some("positive") => Scale::Positive,
            Some("correlation") => Scale::Correlation,
            Some("unit") => Scale::Unit,
            _ => Scale::Real,
        };
        let function = Function::new(steps, scale)
            .ok_or_else(|| Failure::bug("the program leaves more or less than one number"))?;
        let points = inference::profile_function(
            &arguments.borrow()?,
            &function,
            convert::double(&cutoff, "cutoff")?,
            &arguments.options,
            &|| watch.poll(),
        )?;
        path_fields(&points)
    })
}

extendr_module! {
    mod profile;
    fn rs_profile;
    fn rs_profile_function;
}
