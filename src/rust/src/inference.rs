//! Inference at a fit's theta.

use extendr_api::prelude::*;
use ferrolmm_engine::data::connected::connected_rows;
use ferrolmm_engine::inference::{
    self, Adjustment, Clusters, Deletion, Design, Effects, Levels, NewResiduals, NewRows, Sandwich,
    ScoreMoments, SecondDerivatives, Update,
};
use ferrolmm_engine::{invert, Column, UserTheta};

use crate::condition::{answer, Failure};
use crate::convert::{self, to_doubles, to_integer, Matrix, Named};
use crate::fit::{deadline, Arguments, ColumnArgument, MatrixArgument};
use crate::members::MembersArgument;
use crate::residual::ResidualArgument;

/// What Satterthwaite's degrees of freedom need at `options$start`.
/// @noRd
#[extendr]
fn rs_satterthwaite(model: Robj, options: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::of_any(&model, &options, watch)?;
        let find = match arguments.nobound {
            true => inference::satterthwaite_nobound,
            false => inference::satterthwaite,
        };
        let found = find(&arguments.borrow()?, &arguments.options, &|| watch.poll())?;
        let s = found.jacobian.len() / found.components.max(1);
        Ok(vec![
            (
                "covariance",
                Matrix::new(&found.covariance, s, s).to_robj()?,
            ),
            ("vcov_gradient", to_doubles(&found.vcov_gradient)),
            (
                "jacobian",
                Matrix::new(&found.jacobian, found.components, s).to_robj()?,
            ),
            ("sigma2", found.sigma2.into()),
        ])
    })
}

/// Kenward and Roger's adjustment at `options$start`; `second` says what becomes of the second derivatives of V: "ignored",
/// "in parameters" or "beside tangent".
/// @noRd
#[extendr]
fn rs_kenward_roger(model: Robj, options: Robj, second: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::of_any(&model, &options, watch)?;
        let second = match second.as_str() {
            Some("ignored") => SecondDerivatives::Ignored,
            Some("in parameters") => SecondDerivatives::InParameters,
            Some("beside tangent") => SecondDerivatives::BesideTangent,
            _ => return Err(Failure::bug("`second` is not known")),
        };
        let data = arguments.borrow()?;
        let poll = || watch.poll();
        let found = if arguments.nobound {
            // linear in its parameters: there are no second derivatives
            inference::kenward_roger_nobound(&data, &arguments.options, &poll)?
        } else {
            inference::kenward_roger(&data, second, &arguments.options, &poll)?
        };
        let s = found.components;
        Ok(vec![
            ("unadjusted", to_doubles(&found.unadjusted)),
            ("adjusted", to_doubles(&found.adjusted)),
            ("w", Matrix::new(&found.w, s, s).to_robj()?),
            ("derivatives", to_doubles(&found.derivatives)),
            ("components", to_integer(s)?),
        ])
    })
}

/// Prediction error variances of `rows`, relative to sigma^2, at `options$start`. `rows` is
/// `list(n =, x =, codes =, members =, terms =, residual =, weights =)`, codes 0 where a row has none of the known
/// levels, an element of `members` NULL where the factor has codes, one of terms NULL where the term is left out. With `residual`, the structure of the new
/// rows as that of the model's (codes of groups 0 for others), their residuals are predicted too.
/// @noRd
#[extendr]
fn rs_prediction_variances(model: Robj, options: Robj, rows: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::of_any(&model, &options, watch)?;
        let given = Named::new(&rows, "rows")?;
        let new_x = MatrixArgument::new(given.field("x")?)?;
        let n = convert::count(given.field("n")?, "n")?;
        let codes = convert::elements(given.field("codes")?, "codes")?;
        let columns = convert::elements(given.field("terms")?, "terms")?
            .iter()
            .map(|term| {
                if term.is_null() {
                    Ok(None)
                } else {
                    ColumnArgument::all(term, "terms").map(Some)
                }
            })
            .collect::<Result<Vec<Option<Vec<ColumnArgument>>>, Failure>>()?;
        let terms = columns
            .iter()
            .map(|term| {
                term.as_ref()
                    .map(|columns| {
                        columns
                            .iter()
                            .map(ColumnArgument::borrow)
                            .collect::<Result<Vec<Column<'_>>, Failure>>()
                    })
                    .transpose()
            })
            .collect::<Result<_, Failure>>()?;
        let residual = given
            .optional("residual")
            .map(ResidualArgument::new)
            .transpose()?;
        let weights = given.optional("weights");
        let members = convert::elements(given.field("members")?, "members")?
            .iter()
            .map(|own| {
                (!own.is_null())
                    .then(|| MembersArgument::new(own))
                    .transpose()
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let rows = NewRows {
            members: members
                .iter()
                .map(|own| own.as_ref().map(MembersArgument::borrow).transpose())
                .collect::<Result<_, Failure>>()?,
            n,
            x: new_x.borrow(n)?,
            codes: codes
                .iter()
                .map(|codes| convert::integers(codes, "codes"))
                .collect::<Result<_, Failure>>()?,
            terms,
            residual: match &residual {
                None => None,
                Some(residual) => Some(NewResiduals {
                    structure: residual.borrow()?,
                    weights: match weights {
                        None => None,
                        Some(weights) => Some(convert::doubles(weights, "weights")?),
                    },
                }),
            },
        };
        let find = match arguments.nobound {
            true => inference::prediction_variances_nobound,
            false => inference::prediction_variances,
        };
        let found = find(&arguments.borrow()?, &rows, &arguments.options, &|| {
            watch.poll()
        })?;
        Ok(vec![
            ("variances", to_doubles(&found.variances)),
            ("residual_means", to_doubles(&found.residual_means)),
            ("residual_variances", to_doubles(&found.residual_variances)),
        ])
    })
}

/// What the rows' leverages at `options$start` are made of, relative to sigma^2, and the changes in the fixed effects (rank x n)
/// that follow from them.
/// @noRd
#[extendr]
fn rs_leverages(model: Robj, options: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let found =
            inference::leverages(&arguments.borrow()?, &arguments.options, &|| watch.poll())?;
        let n = found.variances.len();
        Ok(vec![
            ("variances", to_doubles(&found.variances)),
            ("of_fixed", to_doubles(&found.of_fixed)),
            ("left", to_doubles(&found.left)),
            ("residuals", to_doubles(&found.residuals)),
            (
                "fixed",
                Matrix::new(&found.fixed, found.fixed.len() / n.max(1), n).to_robj()?,
            ),
        ])
    })
}

/// Estimates without each of `sets` (a list of row numbers from 1), from `options$start`. `update` is "none", "one-step" or
/// "exact". A column for each set; NA where the rows left do not determine the fixed effects.
/// @noRd
#[extendr]
fn rs_deletions(model: Robj, options: Robj, sets: Robj, update: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let data = arguments.borrow()?;
        let rows = convert::elements(&sets, "sets")?
            .iter()
            .map(|set| {
                convert::integers(set, "sets")?
                    .iter()
                    .map(|&row| {
                        convert::to_count(row, "sets")?
                            .checked_sub(1)
                            .ok_or_else(|| Failure::bug("rows count from 1"))
                    })
                    .collect::<Result<Vec<usize>, Failure>>()
            })
            .collect::<Result<Vec<Vec<usize>>, Failure>>()?;
        let update = match update.as_str() {
            Some("none") => Update::None,
            Some("one-step") => Update::Step,
            Some("exact") => Update::Exact,
            _ => return Err(Failure::bug("`update` is not known")),
        };
        let found =
            inference::deletions(&data, &rows, update, &arguments.options, &|| watch.poll())?;
        let (sets, m) = (
            found.len(),
            arguments.options.start.as_ref().map_or(0, UserTheta::len),
        );
        let r2 = found.iter().flatten().map(|d| d.vcov_unscaled.len()).max();
        let gather = |size: usize, values: fn(&Deletion) -> &[f64]| {
            let missing = vec![f64::NAN; size];
            let all: Vec<f64> = found
                .iter()
                .flat_map(|d| d.as_ref().map_or(&missing[..], values).iter().copied())
                .collect();
            let mut matrix = Matrix::new(&all, size, sets).to_robj()?;
            for value in matrix.as_real_slice_mut().into_iter().flatten() {
                if value.is_nan() {
                    *value = f64::na();
                }
            }
            Ok::<Robj, Failure>(matrix)
        };
        Ok(vec![
            ("theta", gather(m, |d| d.theta.values())?),
            ("beta", gather(data.p, |d| &d.beta)?),
            (
                "vcov_unscaled",
                gather(r2.unwrap_or(0), |d| &d.vcov_unscaled)?,
            ),
            ("sigma", gather(1, |d| std::slice::from_ref(&d.sigma))?),
            (
                "criterion",
                gather(1, |d| std::slice::from_ref(&d.criterion))?,
            ),
        ])
    })
}

/// Scores of clusters at `options$start`, see the engine's `inference::sandwich`. `clusters` are codes of the rows from 1 to
/// `count`; `adjustment` is "none", "root", "symmetric_root" or "inverse"; with `moments` what degrees of freedom are made of.
/// Clusters of undetermined directions count from 1.
/// @noRd
#[extendr]
fn rs_sandwich(
    model: Robj,
    options: Robj,
    clusters: Robj,
    count: Robj,
    adjustment: Robj,
    moments: Robj,
) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let adjustment = adjustment_of(&adjustment)?;
        let clusters = Clusters {
            codes: convert::integers(&clusters, "clusters")?,
            count: convert::count(&count, "count")?,
        };
        let found = inference::sandwich(
            &arguments.borrow()?,
            clusters,
            adjustment,
            convert::flag(&moments, "moments")?,
            &arguments.options,
            &|| watch.poll(),
        )?;
        sandwich_fields(&found, clusters.count)
    })
}

/// The adjustment of scores with a name.
pub(crate) fn adjustment_of(name: &Robj) -> Result<Adjustment, Failure> {
    match name.as_str() {
        Some("none") => Ok(Adjustment::None),
        Some("root") => Ok(Adjustment::Root),
        Some("symmetric_root") => Ok(Adjustment::SymmetricRoot),
        Some("inverse") => Ok(Adjustment::Inverse),
        _ => Err(Failure::bug("`adjustment` is not known")),
    }
}

/// What a sandwich estimate of `m` clusters is made of, as R takes it.
pub(crate) fn sandwich_fields(
    found: &Sandwich,
    m: usize,
) -> Result<Vec<(&'static str, Robj)>, Failure> {
    let r = found.rank;
    let own = found.undetermined_in.len();
    let codes: Vec<usize> = found.undetermined_in.iter().map(|j| j + 1).collect();
    Ok(vec![
        ("root", Matrix::new(&found.root, r, r).to_robj()?),
        ("scores", Matrix::new(&found.scores, r, m).to_robj()?),
        (
            "undetermined",
            Matrix::new(&found.undetermined, r, own).to_robj()?,
        ),
        ("undetermined_in", convert::to_counts(&codes)?),
        ("spread", to_doubles(&found.spread)),
        ("cross", to_doubles(&found.cross)),
        ("against", to_doubles(&found.against)),
    ])
}

/// Degrees of freedom of hypotheses (`rows`, rank x q, in the coordinates of the scores) from `pieces`, what
/// [rs_sandwich()] returned with moments: each by itself or, with `joint`, eta of all together, nothing where it is not determined.
/// @noRd
#[extendr]
fn rs_sandwich_ddf(pieces: Robj, rank: Robj, rows: Robj, joint: Robj) -> Robj {
    answer(|watch| {
        let pieces = Named::new(&pieces, "pieces")?;
        let moments = ScoreMoments {
            rank: convert::count(&rank, "rank")?,
            spread: convert::doubles(pieces.field("spread")?, "spread")?,
            cross: convert::doubles(pieces.field("cross")?, "cross")?,
            against: convert::doubles(pieces.field("against")?, "against")?,
        };
        let rows = convert::doubles(&rows, "rows")?;
        let ddf = if convert::flag(&joint, "joint")? {
            let eta = moments.joint(rows, &|| watch.poll())?;
            eta.into_iter().collect()
        } else {
            moments.single(rows, &|| watch.poll())?
        };
        Ok(vec![("ddf", to_doubles(&ddf))])
    })
}

/// The set of connected rows of each row, from 1, and the number of sets.
/// @noRd
#[extendr]
fn rs_connected_rows(model: Robj, options: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::new(&model, &options, watch)?;
        let data = arguments.borrow()?;
        data.validate()?;
        let (codes, count) = connected_rows(&data);
        let codes = codes
            .iter()
            .map(|&code| code as i32 + 1)
            .collect::<Vec<i32>>();
        Ok(vec![
            ("codes", convert::to_integers(&codes)),
            ("count", to_integer(count)?),
        ])
    })
}

/// l'Vl of each row l of a matrix.
/// @noRd
#[extendr]
fn rs_row_variances(rows: Robj, v: Robj) -> Robj {
    answer(|watch| {
        let values = convert::doubles(&rows, "rows")?;
        let v = convert::doubles(&v, "v")?;
        let r = v.len().isqrt();
        let sizes = (values.len() / r.max(1), r);
        let found = inference::row_variances(values, v, sizes, &|| watch.poll())?;
        Ok(vec![("variances", to_doubles(&found))])
    })
}

/// Eigenvalues of a symmetric matrix, ascending, and its eigenvectors, column after column.
/// @noRd
#[extendr]
fn rs_eigen(a: Robj) -> Robj {
    answer(|watch| {
        let a = convert::doubles(&a, "a")?;
        let (values, vectors) = inference::eigen(a, a.len().isqrt(), &|| watch.poll())?;
        Ok(vec![
            ("values", to_doubles(&values)),
            ("vectors", to_doubles(&vectors)),
        ])
    })
}

/// The inverse of a symmetric matrix and its pivots, found within some seconds (`NULL`: however long it takes); nothing where
/// the matrix is not positive definite.
/// @noRd
#[extendr]
fn rs_invert(a: Robj, seconds: Robj) -> Robj {
    answer(|watch| {
        let a = convert::doubles(&a, "a")?;
        let deadline = deadline((!seconds.is_null()).then_some(&seconds))?;
        let found = invert(a, a.len().isqrt(), deadline, &|| watch.poll())?;
        let Some(found) = found else {
            return Ok(Vec::new());
        };
        Ok(vec![
            ("inverse", to_doubles(&found.values)),
            ("pivots", to_doubles(&found.pivots)),
        ])
    })
}

/// Levels of a grouping factor as R hands them over: `list(codes =, n_levels =)`.
struct LevelsArgument {
    codes: Robj,
    count: usize,
}

impl LevelsArgument {
    fn new(value: &Robj) -> Result<Self, Failure> {
        let given = Named::new(value, "factors")?;
        Ok(Self {
            codes: given.field("codes")?.clone(),
            count: convert::count(given.field("n_levels")?, "n_levels")?,
        })
    }

    fn borrow(&self) -> Result<Levels<'_>, Failure> {
        let codes = convert::integers(&self.codes, "codes")?;
        if codes
            .iter()
            .any(|&code| code < 1 || code as usize > self.count)
        {
            return Err(Failure::bug("a code is of no level"));
        }
        Ok(Levels {
            codes,
            count: self.count,
        })
    }
}

/// Ranks of [X Z_1 ... Z_k], k = 1, 2, ..., of `x`, whose columns are independent, and `effects`, `list(factor =, columns =)`
/// with one of `factors`, from 1.
/// @noRd
#[extendr]
fn rs_design_ranks(x: Robj, factors: Robj, effects: Robj) -> Robj {
    answer(|watch| {
        let factors = convert::elements(&factors, "factors")?
            .iter()
            .map(LevelsArgument::new)
            .collect::<Result<Vec<_>, Failure>>()?;
        let effects = convert::elements(&effects, "effects")?
            .iter()
            .map(|effect| {
                let given = Named::new(effect, "effects")?;
                let factor = convert::count(given.field("factor")?, "factor")?;
                let factor = factor.checked_sub(1).filter(|&f| f < factors.len());
                let factor = factor.ok_or_else(|| Failure::bug("a factor is not there"))?;
                let columns = ColumnArgument::all(given.field("columns")?, "columns")?;
                Ok((factor, columns))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let design = Design {
            n: x.nrows(),
            x: convert::doubles(&x, "x")?,
            factors: factors
                .iter()
                .map(LevelsArgument::borrow)
                .collect::<Result<_, Failure>>()?,
            effects: effects
                .iter()
                .map(|(factor, columns)| {
                    Ok(Effects {
                        factor: *factor,
                        columns: columns
                            .iter()
                            .map(ColumnArgument::borrow)
                            .collect::<Result<_, Failure>>()?,
                    })
                })
                .collect::<Result<_, Failure>>()?,
        };
        let ranks = inference::design_ranks(&design, &|| watch.poll())?;
        Ok(vec![("ranks", convert::to_counts(&ranks)?)])
    })
}

/// Which columns of the matrix `x` have different values within some level of `factor`, `list(codes =, n_levels =)`.
/// @noRd
#[extendr]
fn rs_varies_within(x: Robj, factor: Robj) -> Robj {
    answer(|_| {
        let levels = LevelsArgument::new(&factor)?;
        let found = inference::varies_within(convert::doubles(&x, "x")?, levels.borrow()?)?;
        let found: Vec<i32> = found.into_iter().map(i32::from).collect();
        Ok(vec![("varies", convert::to_integers(&found))])
    })
}

extendr_module! {
    mod inference;
    fn rs_design_ranks;
    fn rs_varies_within;
    fn rs_leverages;
    fn rs_deletions;
    fn rs_satterthwaite;
    fn rs_kenward_roger;
    fn rs_prediction_variances;
    fn rs_row_variances;
    fn rs_sandwich;
    fn rs_sandwich_ddf;
    fn rs_connected_rows;
    fn rs_eigen;
    fn rs_invert;
}
