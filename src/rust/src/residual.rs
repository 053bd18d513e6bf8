//! Residual structures as R hands them over; the format is described in `R/design-residual.R`.

use extendr_api::prelude::*;
use ferrolmm_engine::structure::residual::{
    apply_to_rows, correlation_matrix, correlation_parameters, Apply, RowsToApply,
};
use ferrolmm_engine::{Correlation, GroupingFactor, Metric, ResidualStructure, Scale, SpatialKind};

use crate::condition::{answer, Failure};
use crate::convert::{self, Matrix, Named};

/// `list(groups =, correlation =, scales =, start =, held =)`.
pub struct ResidualArgument {
    groups: Option<(Robj, usize)>,
    correlation: Option<CorrelationArgument>,
    scales: Vec<ScaleArgument>,
    start: Vec<f64>,
    held: Vec<bool>,
}

/// `list(type =, position =, ...)`.
struct CorrelationArgument {
    kind: String,
    position: Vec<Robj>,
    positions: usize,
    p: usize,
    q: usize,
    nugget: bool,
    metric: Metric,
}

/// `list(type =, covariate =, stratum =, n_strata =)`.
struct ScaleArgument {
    kind: String,
    covariate: Option<Robj>,
    stratum: Option<Robj>,
    strata: usize,
}

fn text(given: &Named, name: &str) -> Result<String, Failure> {
    given
        .field(name)?
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::bug(format!("internal argument `{name}` is not a string")))
}

fn optional_count(given: &Named, name: &str) -> Result<usize, Failure> {
    given
        .optional(name)
        .map_or(Ok(0), |count| convert::count(count, name))
}

impl CorrelationArgument {
    fn new(value: &Robj) -> Result<Self, Failure> {
        let given = Named::new(value, "correlation")?;
        let position = match given.optional("position") {
            None => Vec::new(),
            Some(position) if position.is_list() => convert::elements(position, "position")?,
            Some(position) => vec![position.clone()],
        };
        let metric = match given.optional("metric") {
            None => Metric::Euclidean,
            Some(metric) => match metric.as_str() {
                Some("euclidean") => Metric::Euclidean,
                Some("manhattan") => Metric::Manhattan,
                Some("maximum") => Metric::Maximum,
                _ => return Err(Failure::bug("`metric` is not known")),
            },
        };
        let kind = text(&given, "type")?;
        let order = |name| {
            if kind == "arma" {
                convert::count(given.field(name)?, name)
            } else {
                Ok(0)
            }
        };
        Ok(Self {
            position,
            positions: optional_count(&given, "n_positions")?,
            p: order("p")?,
            q: order("q")?,
            nugget: match given.optional("nugget") {
                Some(nugget) => convert::flag(nugget, "nugget")?,
                None => false,
            },
            metric,
            kind,
        })
    }

    /// Positions in one dimension; none where they are not asked for, which the engine checks.
    fn times(&self) -> Result<&[i32], Failure> {
        match self.position.first() {
            Some(position) => convert::integers(position, "position"),
            None => Ok(&[]),
        }
    }

    fn reals(&self) -> Result<&[f64], Failure> {
        match self.position.first() {
            Some(position) => convert::doubles(position, "position"),
            None => Ok(&[]),
        }
    }

    fn spatial(&self, kind: SpatialKind) -> Result<Correlation<'_>, Failure> {
        let coordinates = self.position.iter();
        Ok(Correlation::Spatial {
            kind,
            nugget: self.nugget,
            coordinates: coordinates
                .map(|c| convert::doubles(c, "position"))
                .collect::<Result<_, Failure>>()?,
            metric: self.metric,
        })
    }

    fn borrow(&self) -> Result<Correlation<'_>, Failure> {
        let visits = self.positions;
        Ok(match self.kind.as_str() {
            "ar1" => Correlation::Ar1 {
                time: self.times()?,
            },
            "car1" => Correlation::Car1 {
                time: self.reals()?,
            },
            "arma" => Correlation::Arma {
                p: self.p,
                q: self.q,
                time: self.times()?,
            },
            "cs" => Correlation::CompoundSymmetric,
            "us" => Correlation::Unstructured {
                visit: self.times()?,
                visits,
            },
            "toep" => Correlation::Toeplitz {
                visit: self.times()?,
                visits,
            },
            "ante" => Correlation::AnteDependence {
                visit: self.times()?,
                visits,
            },
            name => match SpatialKind::named(name) {
                Some(kind) => self.spatial(kind)?,
                None => return Err(Failure::bug("the type of a correlation is not known")),
            },
        })
    }
}

impl ScaleArgument {
    fn new(value: &Robj) -> Result<Self, Failure> {
        let given = Named::new(value, "scales")?;
        Ok(Self {
            kind: text(&given, "type")?,
            covariate: given.optional("covariate").cloned(),
            stratum: given.optional("stratum").cloned(),
            strata: optional_count(&given, "n_strata")?,
        })
    }

    fn borrow(&self) -> Result<Scale<'_>, Failure> {
        let stratum = match &self.stratum {
            Some(stratum) => Some(convert::integers(stratum, "stratum")?),
            None => None,
        };
        let covariate = || match &self.covariate {
            Some(covariate) => convert::doubles(covariate, "covariate"),
            None => Err(Failure::bug("a variance function lacks `covariate`")),
        };
        let strata = self.strata;
        Ok(match self.kind.as_str() {
            "ident" => Scale::Ident {
                stratum: stratum
                    .ok_or_else(|| Failure::bug("a variance function lacks `stratum`"))?,
                strata,
            },
            "power" => Scale::Power {
                covariate: covariate()?,
                stratum,
                strata,
            },
            "exp" => Scale::Exponential {
                covariate: covariate()?,
                stratum,
                strata,
            },
            "constpower" => Scale::ConstantPower {
                covariate: covariate()?,
                stratum,
                strata,
            },
            _ => return Err(Failure::bug("the type of a variance function is not known")),
        })
    }
}

impl ResidualArgument {
    /// Reads what R handed over; the vectors stay R's.
    pub fn new(value: &Robj) -> Result<Self, Failure> {
        let given = Named::new(value, "residual")?;
        let groups = match given.optional("groups") {
            None => None,
            Some(groups) => {
                let groups = Named::new(groups, "groups")?;
                Some((
                    groups.field("codes")?.clone(),
                    convert::count(groups.field("n_levels")?, "n_levels")?,
                ))
            }
        };
        let scales = match given.optional("scales") {
            None => Vec::new(),
            Some(scales) => convert::elements(scales, "scales")?,
        };
        let held = match given.optional("held") {
            None => Vec::new(),
            Some(held) => held
                .as_logical_slice()
                .ok_or_else(|| Failure::bug("`held` is not logical"))?
                .iter()
                .map(|flag| flag.is_true())
                .collect(),
        };
        let start = match given.optional("start") {
            None => Vec::new(),
            // NA is a NaN: the engine chooses
            Some(start) => convert::doubles(start, "start")?.to_vec(),
        };
        Ok(Self {
            groups,
            correlation: given
                .optional("correlation")
                .map(CorrelationArgument::new)
                .transpose()?,
            scales: scales
                .iter()
                .map(ScaleArgument::new)
                .collect::<Result<_, Failure>>()?,
            start,
            held,
        })
    }

    /// The engine's view of it.
    pub fn borrow(&self) -> Result<ResidualStructure<'_>, Failure> {
        let groups = match &self.groups {
            None => None,
            Some((codes, n_levels)) => Some(GroupingFactor {
                codes: convert::integers(codes, "codes")?,
                n_levels: *n_levels,
                precision: None,
            }),
        };
        Ok(ResidualStructure {
            groups,
            correlation: self
                .correlation
                .as_ref()
                .map(CorrelationArgument::borrow)
                .transpose()?,
            scales: self
                .scales
                .iter()
                .map(ScaleArgument::borrow)
                .collect::<Result<_, Failure>>()?,
            start: self.start.clone(),
            held: self.held.clone(),
        })
    }
}

/// A product of `rows` (n x c, in the order of the data) with R = W^-1/2 D C D W^-1/2 at the natural parameters `phi`, or
/// with a root of it: `what` is "whiten" (U, U'U = R^-1), "color" (U^-1), "times" (R) or "inverse". `residual` is the
/// structure of these rows or NULL, `weights` W or NULL.
/// @noRd
#[extendr]
fn rs_residual_rows(
    residual: Robj,
    weights: Robj,
    phi: Robj,
    rows: Robj,
    what: Robj,
    threads: Robj,
) -> Robj {
    answer(|watch| {
        let structure = if residual.is_null() {
            None
        } else {
            Some(ResidualArgument::new(&residual)?)
        };
        let what = match what.as_str() {
            Some("whiten") => Apply::Whiten,
            Some("color") => Apply::Color,
            Some("times") => Apply::Times,
            Some("inverse") => Apply::Inverse,
            _ => return Err(Failure::bug("`what` is not known")),
        };
        let given = RowsToApply {
            rows: convert::doubles(&rows, "rows")?,
            structure: structure
                .as_ref()
                .map(ResidualArgument::borrow)
                .transpose()?,
            weights: convert::doubles_or_null(&weights, "weights")?,
            phi: convert::doubles(&phi, "phi")?,
        };
        let (n, c) = (rows.nrows(), rows.ncols());
        let threads = convert::count(&threads, "threads")?;
        let found = apply_to_rows(&given, n, what, threads, &|| watch.poll())?;
        Ok(vec![("rows", Matrix::new(&found, n, c).to_robj()?)])
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

/// Names and bounds of the natural parameters of a correlation structure; `correlation` is as for `rs_correlation()`, its
/// positions are not looked at, `largest` the number of rows of the largest group.
/// @noRd
#[extendr]
fn rs_correlation_parameters(correlation: Robj, largest: Robj) -> Robj {
    answer(|_| {
        let given = CorrelationArgument::new(&correlation)?;
        let found = correlation_parameters(&given.borrow()?, convert::count(&largest, "largest")?);
        let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
        let lower: Vec<f64> = found.iter().map(|p| p.bounds.0).collect();
        let upper: Vec<f64> = found.iter().map(|p| p.bounds.1).collect();
        Ok(vec![
            ("names", Robj::from(names)),
            ("lower", convert::to_doubles(&lower)),
            ("upper", convert::to_doubles(&upper)),
        ])
    })
}

extendr_module! {
    mod residual;
    fn rs_residual_rows;
    fn rs_correlation_parameters;
    fn rs_correlation;
}
