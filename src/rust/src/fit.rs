//! Fitting, and what is recomputed from a fit's theta.
//!
//! One concept in slightly more than 500 lines: the model and the options as R hands them over ([`Arguments`], part by part),
//! and the fields of the fit that go back.

use std::time::{Duration, Instant};

use extendr_api::prelude::*;
use ferrolmm_engine as engine;
use ferrolmm_engine::{
    Certificate, Classes, Column, EngineError, Fit, GroupingFactor, ModelData, Options, Penalties,
    RandomTerm, RawMoments, RowResults, Solver, StandsFor, Structure, UserTheta,
};

use crate::condition::{answer, named_list, Failure, Fields};
use crate::convert::{self, to_doubles, to_integer, Matrix, Named};
use crate::interrupt::{Display, Watch};
use crate::known_matrix::KnownMatrixArgument;
use crate::members::MembersArgument;
use crate::residual::ResidualArgument;

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let failure = Self::new(error.class(), error.to_string());
        match error {
            EngineError::NotFinite { what, row } => failure
                .with("what", what)
                // As a double: a row number may exceed R's integers.
                .with("row", row as f64),
            EngineError::NoResidualDf { n, rank } => {
                failure.with("n", n as f64).with("rank", rank as f64)
            }
            EngineError::NotPositiveDefinite { factor } => {
                failure.with("factor", factor.map_or(f64::NAN, |f| f as f64 + 1.0))
            }
            EngineError::CoupledClasses { factor } => failure.with("factor", factor as f64 + 1.0),
            EngineError::DuplicatePosition {
                group,
                first,
                second,
            } => failure
                .with("group", group as f64)
                .with("first", first as f64)
                .with("second", second as f64),
            EngineError::Memory {
                needed, available, ..
            } => failure.with("needed", needed).with("available", available),
            EngineError::TooManyParameters { parameters, n } => failure
                .with("parameters", parameters as f64)
                .with("n", n as f64),
            EngineError::LongResidualGroup { group, .. } => failure.with("group", group as f64),
            EngineError::Restriction { parameter }
            | EngineError::HeldValue { parameter }
            | EngineError::HeldSign { parameter } => {
                failure.with("parameter", parameter as f64 + 1.0)
            }
            EngineError::ZeroCovariate { row } | EngineError::NoRoomInGroup { row } => {
                failure.with("row", row as f64)
            }
            _ => failure,
        }
    }
}

/// A grouping factor as R hands it over: `list(codes =, members =, n_levels =, precision =, counts =)`, either codes or members,
/// `precision` NULL or a symmetric matrix in compressed columns, `list(start =, row =, value =)`, `counts` NULL or a number a level.
struct FactorArgument {
    codes: Robj,
    members: Option<MembersArgument>,
    n_levels: usize,
    precision: Option<KnownMatrixArgument>,
    counts: Option<Robj>,
}

impl FactorArgument {
    fn new(value: &Robj) -> Result<Self, Failure> {
        let given = Named::new(value, "factors")?;
        Ok(Self {
            codes: given.field("codes")?.clone(),
            members: given
                .optional("members")
                .map(MembersArgument::new)
                .transpose()?,
            n_levels: convert::count(given.field("n_levels")?, "n_levels")?,
            precision: given
                .optional("precision")
                .map(|matrix| KnownMatrixArgument::new(matrix, "precision"))
                .transpose()?,
            counts: given.optional("counts").cloned(),
        })
    }

    fn borrow(&self) -> Result<GroupingFactor<'_>, Failure> {
        let precision = match &self.precision {
            None => None,
            Some(matrix) => Some(matrix.borrow()?),
        };
        Ok(GroupingFactor {
            members: match &self.members {
                None => None,
                Some(members) => Some(members.borrow()?),
            },
            codes: convert::integers(&self.codes, "codes")?,
            n_levels: self.n_levels,
            precision,
            counts: match &self.counts {
                None => None,
                Some(counts) => Some(convert::doubles(counts, "counts")?),
            },
        })
    }
}

/// A column as R hands it over: NULL for the constant, a double vector, or `list(codes =, values =)`.
pub enum ColumnArgument {
    Constant,
    Values(Robj),
    Coded(Robj, Robj),
}

impl ColumnArgument {
    pub fn new(value: &Robj) -> Result<Self, Failure> {
        Ok(if value.is_null() {
            Self::Constant
        } else if value.is_list() {
            let coded = Named::new(value, "columns")?;
            Self::Coded(
                coded.field("codes")?.clone(),
                coded.field("values")?.clone(),
            )
        } else {
            Self::Values(value.clone())
        })
    }

    /// The columns of a list.
    pub fn all(value: &Robj, name: &str) -> Result<Vec<Self>, Failure> {
        convert::elements(value, name)?
            .iter()
            .map(Self::new)
            .collect()
    }

    pub fn borrow(&self) -> Result<Column<'_>, Failure> {
        Ok(match self {
            Self::Constant => Column::Constant,
            Self::Values(values) => Column::Values(convert::doubles(values, "columns")?),
            Self::Coded(codes, values) => Column::Coded {
                codes: convert::integers(codes, "codes")?,
                values: convert::doubles(values, "values")?,
            },
        })
    }
}

/// X as R hands it over: a matrix, or a list of columns.
pub enum MatrixArgument {
    Matrix(Robj),
    Columns(Vec<ColumnArgument>),
}

impl MatrixArgument {
    pub fn new(value: &Robj) -> Result<Self, Failure> {
        if value.is_list() {
            ColumnArgument::all(value, "X").map(Self::Columns)
        } else {
            Ok(Self::Matrix(value.clone()))
        }
    }

    pub fn borrow(&self, n: usize) -> Result<Vec<Column<'_>>, Failure> {
        match self {
            Self::Matrix(x) => {
                let values = convert::doubles(x, "X")?;
                if values.len() != n * x.ncols() {
                    return Err(Failure::bug(
                        "internal argument `X` has the wrong number of rows",
                    ));
                }
                Ok(Column::of_matrix(values, n, x.ncols()))
            }
            Self::Columns(columns) => columns.iter().map(ColumnArgument::borrow).collect(),
        }
    }
}

/// A random-effects term as R hands it over: `list(factor =, columns =, structure =, hom =, classes =)`, the last one NULL or
/// `list(codes =, count =)`, the class of each level.
struct TermArgument {
    /// 0-based.
    factor: usize,
    columns: Vec<ColumnArgument>,
    structure: Structure,
    classes: Option<(Robj, usize)>,
}

impl TermArgument {
    fn new(value: &Robj) -> Result<Self, Failure> {
        let given = Named::new(value, "terms")?;
        let homogeneous = match given.optional("hom") {
            Some(hom) => convert::flag(hom, "hom")?,
            None => false,
        };
        let factors = match given.optional("factors") {
            Some(factors) => Some(convert::count(factors, "factors")?),
            None => None,
        };
        let structure = given.field("structure")?.as_str();
        let structure = structure
            .and_then(|name| match factors {
                Some(factors) => Structure::with_factors(name, factors),
                None => Structure::named(name, homogeneous),
            })
            .ok_or_else(|| Failure::bug("`structure` is not known"))?;
        Ok(Self {
            factor: convert::count(given.field("factor")?, "factor")?
                .checked_sub(1)
                .ok_or_else(|| Failure::bug("`factor` counts from 1"))?,
            columns: ColumnArgument::all(given.field("columns")?, "columns")?,
            structure,
            classes: match given.optional("classes") {
                None => None,
                Some(classes) => {
                    let classes = Named::new(classes, "classes")?;
                    let count = convert::count(classes.field("count")?, "count")?;
                    Some((classes.field("codes")?.clone(), count))
                }
            },
        })
    }

    /// The engine's view; where cross-products stand for the rows, only how many columns there are counts.
    fn borrow(&self, is_absent: bool) -> Result<RandomTerm<'_>, Failure> {
        Ok(RandomTerm {
            factor: self.factor,
            columns: self
                .columns
                .iter()
                .map(|column| match is_absent {
                    true => Ok(Column::Absent),
                    false => column.borrow(),
                })
                .collect::<Result<_, Failure>>()?,
            structure: self.structure,
            classes: match &self.classes {
                None => None,
                Some((codes, count)) => Some(Classes {
                    codes: convert::integers(codes, "codes")?,
                    count: *count,
                }),
            },
        })
    }
}

/// The arguments of every entry point that starts from the rows: `model`, a list of y, X, weights, offset, factors,
/// terms and residual (or moments in the place of rows), and `options`.
pub struct Arguments {
    y: Robj,
    x: MatrixArgument,
    weights: Robj,
    offset: Robj,
    factors: Vec<FactorArgument>,
    terms: Vec<TermArgument>,
    residual: Option<ResidualArgument>,
    /// Cross-products in the place of rows.
    moments: Option<RawMoments>,
    /// Counts and sums of log weights of condensed rows.
    stands_for: Option<(Robj, Robj)>,
    /// Whether covariance matrices of random effects have no bounds: `options.start` has their entries in the place of theta.
    pub nobound: bool,
    /// What the user chose.
    pub options: Options,
}

/// What condensed rows stand for: `list(counts =, log_weights =)`.
fn read_stands_for(value: &Robj) -> Result<(Robj, Robj), Failure> {
    let given = Named::new(value, "stands_for")?;
    Ok((
        given.field("counts")?.clone(),
        given.field("log_weights")?.clone(),
    ))
}

impl Arguments {
    /// Reads what R handed over; the vectors stay R's.
    /// `watch` is told the time limit, and where to show progress.
    pub fn new(model: &Robj, options: &Robj, watch: &Watch) -> Result<Self, Failure> {
        let arguments = Self::of_any(model, options, watch)?;
        if arguments.nobound {
            return Err(Failure::new(
                "nobound",
                "this is not known where covariance matrices of random effects have no bounds",
            ));
        }
        Ok(arguments)
    }

    /// Those of entry points that know models without bounds, too.
    pub fn of_any(model: &Robj, options: &Robj, watch: &Watch) -> Result<Self, Failure> {
        let given = Named::new(model, "model")?;
        let chosen = Named::new(options, "options")?;
        let mut chosen_options = read_options(&chosen)?;
        watch.limit(chosen_options.deadline.take());
        let display = chosen.optional("progress").map(Display::new).transpose()?;
        chosen_options.progress = display.as_ref().map(Display::progress);
        watch.show(display);
        let factors = convert::elements(given.field("factors")?, "factors")?;
        let terms = convert::elements(given.field("terms")?, "terms")?;
        Ok(Self {
            y: given.field("y")?.clone(),
            x: MatrixArgument::new(given.field("X")?)?,
            weights: given.field("weights")?.clone(),
            offset: given.field("offset")?.clone(),
            factors: factors
                .iter()
                .map(FactorArgument::new)
                .collect::<Result<_, Failure>>()?,
            terms: terms
                .iter()
                .map(TermArgument::new)
                .collect::<Result<_, Failure>>()?,
            residual: given
                .optional("residual")
                .map(ResidualArgument::new)
                .transpose()?,
            moments: given
                .optional("moments")
                .map(crate::moments::read)
                .transpose()?,
            stands_for: given
                .optional("stands_for")
                .map(read_stands_for)
                .transpose()?,
            nobound: match chosen.optional("nobound") {
                Some(nobound) => convert::flag(nobound, "nobound")?,
                None => false,
            },
            options: chosen_options,
        })
    }

    /// The engine's view of them.
    pub fn borrow(&self) -> Result<ModelData<'_>, Failure> {
        let y = convert::doubles(&self.y, "y")?;
        let x = match &self.moments {
            None => self.x.borrow(y.len())?,
            Some(moments) => vec![Column::Absent; moments.p],
        };
        Ok(ModelData {
            y,
            p: x.len(),
            x,
            weights: convert::doubles_or_null(&self.weights, "weights")?,
            offset: convert::doubles_or_null(&self.offset, "offset")?,
            factors: self
                .factors
                .iter()
                .map(FactorArgument::borrow)
                .collect::<Result<_, Failure>>()?,
            terms: self
                .terms
                .iter()
                .map(|term| term.borrow(self.moments.is_some()))
                .collect::<Result<_, Failure>>()?,
            moments: self.moments.as_ref(),
            stands_for: match &self.stands_for {
                None => None,
                Some((counts, log_weights)) => Some(StandsFor {
                    counts: convert::doubles(counts, "counts")?,
                    log_weights: convert::doubles(log_weights, "log_weights")?,
                }),
            },
            residual: self
                .residual
                .as_ref()
                .map(ResidualArgument::borrow)
                .transpose()?,
        })
    }
}

fn read_options(given: &Named) -> Result<Options, Failure> {
    let number = |name| convert::count(given.field(name)?, name);
    Ok(Options {
        reml: convert::flag(given.field("reml")?, "reml")?,
        start: convert::doubles_or_null(given.field("start")?, "start")?.map(UserTheta::from),
        search: engine::api::options::Search::default(),
        starts: given
            .optional("starts")
            .map(|starts| convert::count(starts, "starts"))
            .transpose()?,
        optimize: convert::flag(given.field("optimize")?, "optimize")?,
        max_evaluations: number("max_evaluations")?,
        detour: engine::api::options::Detour::default(),
        tolerance: convert::double(given.field("tolerance")?, "tolerance")?,
        threads: number("threads")?,
        solver: match given.optional("solver") {
            Some(solver) => read_solver(solver)?,
            None => Solver::Auto,
        },
        sigma: given
            .optional("sigma")
            .map(|sigma| convert::double(sigma, "sigma"))
            .transpose()?,
        hold: match given.optional("hold") {
            Some(hold) => convert::doubles(hold, "hold")?.into(),
            None => UserTheta::default(),
        },
        penalties: match given.optional("penalties") {
            Some(penalties) => crate::penalty::read(penalties)?,
            None => Penalties::default(),
        },
        deadline: deadline(given.optional("time_limit"))?,
        progress: None,
        tie: match given.optional("tie") {
            Some(tie) => convert::integers(tie, "tie")?
                .iter()
                .map(|&set| convert::to_count(set, "tie"))
                .collect::<Result<_, Failure>>()?,
            None => Vec::new(),
        },
    })
}

/// The deadline after so many seconds; `None` where there is no limit, or none that a clock can show.
pub fn deadline(seconds: Option<&Robj>) -> Result<Option<Instant>, Failure> {
    let seconds = seconds
        .map(|seconds| convert::double(seconds, "time_limit"))
        .transpose()?;
    Ok(seconds
        .and_then(|seconds| Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?)))
}

fn read_solver(value: &Robj) -> Result<Solver, Failure> {
    match value.as_str() {
        Some("auto") => Ok(Solver::Auto),
        Some("exact") => Ok(Solver::Exact),
        Some("iterative") => Ok(Solver::Iterative),
        _ => Err(Failure::bug("`solver` is not one of the known ones")),
    }
}

fn certificate_fields(certificate: &Certificate) -> Result<Fields, Failure> {
    let m = certificate.gradient.len();
    let trace = named_list(vec![
        ("criterion", to_doubles(&certificate.trace_criterion)),
        ("max_gradient", to_doubles(&certificate.trace_gradient)),
    ]);
    let chance = &certificate.monte_carlo;
    let monte_carlo = named_list(vec![
        ("vectors", to_integer(chance.vectors)?),
        ("criterion", chance.criterion.into()),
        ("theta", to_doubles(&chance.theta)),
    ]);
    Ok(vec![
        ("status", certificate.status.name().into()),
        ("path", certificate.path.name().into()),
        ("monte_carlo", monte_carlo),
        ("message", certificate.message.as_str().into()),
        ("max_gradient", certificate.max_gradient.into()),
        (
            "min_eigenvalue",
            convert::to_doubles_or_na(&[certificate.min_eigenvalue]),
        ),
        ("gradient", to_doubles(&certificate.gradient)),
        (
            "hessian",
            Matrix::new(&certificate.hessian, m, m).to_robj()?,
        ),
        ("hessian_kind", certificate.hessian_kind.name().into()),
        (
            "multipliers",
            convert::to_doubles_or_na(&certificate.multipliers),
        ),
        ("rank", convert::to_counts(&certificate.rank)?),
        ("residual_zero", certificate.residual_zero.into()),
        ("rounding", certificate.rounding.into()),
        ("rounding_of_phi", certificate.rounding_of_phi.into()),
        ("starts", to_integer(certificate.starts)?),
        ("agree", to_integer(certificate.agree)?),
        ("vanishing", to_integer(certificate.vanishing)?),
        ("evaluations", to_integer(certificate.evaluations)?),
        ("iterations", to_integer(certificate.iterations)?),
        ("trace", trace),
    ])
}

fn fit_fields(fit: &Fit, fitted: Robj, residuals: Robj) -> Result<Fields, Failure> {
    let rank = fit.rank;
    let from_one = |values: &[usize]| -> Vec<usize> { values.iter().map(|v| v + 1).collect() };
    Ok(vec![
        ("theta", to_doubles(fit.theta.values())),
        ("phi", to_doubles(&fit.phi)),
        ("beta", convert::to_doubles_or_na(&fit.beta)),
        ("rank", to_integer(rank)?),
        ("eliminated", to_integer(fit.eliminated)?),
        ("unseen", convert::to_counts(&from_one(&fit.unseen))?),
        ("pivot", convert::to_counts(&from_one(&fit.pivot))?),
        ("rx", Matrix::new(&fit.rx, rank, rank).to_robj()?),
        (
            "vcov_unscaled",
            Matrix::new(&fit.vcov_unscaled, rank, rank).to_robj()?,
        ),
        ("sigma", fit.sigma.into()),
        ("criterion", fit.criterion.into()),
        ("penalty", fit.penalty.into()),
        ("ldL2", fit.ld_l2.into()),
        ("ldRX2", fit.ld_rx2.into()),
        ("pwrss", fit.pwrss.into()),
        ("wrss", fit.wrss.into()),
        ("ussq", fit.ussq.into()),
        ("u", to_doubles(&fit.u)),
        ("b", to_doubles(&fit.b)),
        ("fitted", fitted),
        ("residuals", residuals),
        // not kept in the fit: for bench/
        ("optimizer_seconds", fit.optimizer_seconds.into()),
        (
            "certificate",
            named_list(certificate_fields(&fit.certificate)?),
        ),
    ])
}

/// A fit with its fitted values and residuals in vectors of R's own, so that nothing of the length of the data is copied.
fn with_rows<T>(
    n: usize,
    fit: impl FnOnce(RowResults<'_>) -> Result<T, EngineError>,
) -> Result<(T, Robj, Robj), Failure> {
    let mut fitted = convert::new_doubles(n);
    let mut residuals = convert::new_doubles(n);
    let rows = RowResults {
        fitted: convert::doubles_mut(&mut fitted)?,
        residuals: convert::doubles_mut(&mut residuals)?,
    };
    let found = fit(rows)?;
    Ok((found, fitted, residuals))
}

/// Fits a linear mixed model.
/// @noRd
#[extendr]
fn rs_fit(model: Robj, options: Robj) -> Robj {
    answer(|watch| {
        let mut arguments = Arguments::new(&model, &options, watch)?;
        // a fit out of time ends with the best point so far
        arguments.options.deadline = watch.take_limit();
        let data = arguments.borrow()?;
        let (fit, fitted, residuals) = with_rows(data.y.len(), |rows| {
            engine::fit_into(&data, &arguments.options, &|| watch.poll(), rows)
        })?;
        fit_fields(&fit, fitted, residuals)
    })
}

/// Fits without bounds on covariance matrices of random effects, from theta of the fit with bounds; with `covariances`, their entries
/// relative to sigma^2 in the order of theta.
/// @noRd
#[extendr]
fn rs_fit_nobound(model: Robj, options: Robj) -> Robj {
    answer(|watch| {
        let mut arguments = Arguments::of_any(&model, &options, watch)?;
        arguments.options.deadline = watch.take_limit();
        let data = arguments.borrow()?;
        let (found, fitted, residuals) = with_rows(data.y.len(), |rows| {
            engine::fit_nobound(&data, &arguments.options, &|| watch.poll(), rows)
        })?;
        let mut fields = fit_fields(&found.fit, fitted, residuals)?;
        fields.push(("covariances", to_doubles(&found.covariances)));
        Ok(fields)
    })
}

/// Conditional variances of the random effects at `options$start`, relative to sigma^2: for each
/// term an array k x k x number of levels.
/// @noRd
#[extendr]
fn rs_conditional_variances(model: Robj, options: Robj) -> Robj {
    answer(|watch| {
        let arguments = Arguments::of_any(&model, &options, watch)?;
        let find = match arguments.nobound {
            true => engine::inference::conditional_variances_nobound,
            false => engine::conditional_variances,
        };
        let variances = find(&arguments.borrow()?, &arguments.options, &|| watch.poll())?;
        let arrays = variances.iter().map(|array| to_doubles(array));
        Ok(vec![(
            "variances",
            List::from_values(arrays.collect::<Vec<Robj>>()).into(),
        )])
    })
}

extendr_module! {
    mod fit;
    fn rs_fit;
    fn rs_fit_nobound;
    fn rs_conditional_variances;
}
