//! Residual structures as R hands them over; the format is described in `R/design-residual.R`.

use extendr_api::prelude::*;
use ferrolmm_engine::structure::residual::{apply_to_rows, Apply, RowsToApply};
use ferrolmm_engine::{
    Classes, Correlation, CorrelationKind, GroupingFactor, KnownMatrix, Metric, Position,
    Positions, ResidualStructure, Scale,
};

use crate::condition::{answer, Failure};
use crate::convert::{self, Matrix, Named};
use crate::known_matrix::KnownMatrixArgument;

/// `list(groups =, correlation =, scales =, start =, held =)`.
pub struct ResidualArgument {
    groups: Option<(Robj, usize)>,
    correlation: Option<CorrelationArgument>,
    scales: Vec<ScaleArgument>,
    start: Vec<f64>,
    held: Vec<bool>,
}

/// `list(type =, position =, matrix =, classes =, ...)`.
pub struct CorrelationArgument {
    kind: CorrelationKind,
    position: Vec<Robj>,
    positions: usize,
    orders: (usize, usize),
    nugget: bool,
    metric: Metric,
    matrix: Option<KnownMatrixArgument>,
    axes: Vec<CorrelationArgument>,
    classes: Option<(Robj, usize)>,
}

/// `list(type =, covariate =, stratum =, n_strata =)`.
pub struct ScaleArgument {
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
    pub fn new(value: &Robj) -> Result<Self, Failure> {
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
        let kind = CorrelationKind::named(&text(&given, "type")?)
            .ok_or_else(|| Failure::bug("the type of a correlation is not known"))?;
        let order = |name| {
            if kind.facts().has_orders {
                convert::count(given.field(name)?, name)
            } else {
                Ok(0)
            }
        };
        Ok(Self {
            kind,
            position,
            positions: optional_count(&given, "n_positions")?,
            orders: (order("p")?, order("q")?),
            nugget: match given.optional("nugget") {
                Some(nugget) => convert::flag(nugget, "nugget")?,
                None => false,
            },
            metric,
            matrix: given
                .optional("matrix")
                .map(|matrix| KnownMatrixArgument::new(matrix, "matrix"))
                .transpose()?,
            axes: match given.optional("axes") {
                None => Vec::new(),
                Some(axes) => convert::elements(axes, "axes")?
                    .iter()
                    .map(Self::new)
                    .collect::<Result<_, _>>()?,
            },
            classes: given.optional("classes").map(coded_classes).transpose()?,
        })
    }

    /// Positions in one dimension; none where they are not asked for, which the engine checks.
    fn whole_numbers(&self) -> Result<&[i32], Failure> {
        match self.position.first() {
            Some(position) => convert::integers(position, "position"),
            None => Ok(&[]),
        }
    }

    fn numbers(&self) -> Result<&[f64], Failure> {
        match self.position.first() {
            Some(position) => convert::doubles(position, "position"),
            None => Ok(&[]),
        }
    }

    /// Places of the rows, of the kind that is asked for.
    fn place(&self, kind: Positions) -> Result<Position<'_>, Failure> {
        Ok(match kind {
            Positions::None => Position::None,
            Positions::Whole => Position::Whole(self.whole_numbers()?),
            Positions::Visits => Position::Visits {
                visit: self.whole_numbers()?,
                visits: self.positions,
            },
            Positions::Times => Position::Times(self.numbers()?),
            Positions::Points => Position::Points {
                coordinates: self
                    .position
                    .iter()
                    .map(|c| convert::doubles(c, "position"))
                    .collect::<Result<_, Failure>>()?,
                metric: self.metric,
            },
            Positions::Rows => Position::Rows {
                row: self.whole_numbers()?,
                matrix: match &self.matrix {
                    Some(matrix) => matrix.borrow()?,
                    None => KnownMatrix {
                        start: &[],
                        row: &[],
                        value: &[],
                    },
                },
            },
            Positions::Product => Position::Product {
                axes: self
                    .axes
                    .iter()
                    .map(|axis| Ok((axis.kind, axis.place(axis.kind.positions_on_axis())?)))
                    .collect::<Result<_, Failure>>()?,
            },
        })
    }

    pub fn borrow(&self) -> Result<Correlation<'_>, Failure> {
        let position = self.place(self.kind.facts().position)?;
        Ok(Correlation {
            kind: self.kind,
            position,
            orders: self.orders,
            nugget: self.nugget,
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

/// `list(codes =, count =)`.
fn coded_classes(value: &Robj) -> Result<(Robj, usize), Failure> {
    let given = Named::new(value, "classes")?;
    Ok((
        given.field("codes")?.clone(),
        convert::count(given.field("count")?, "count")?,
    ))
}

impl ScaleArgument {
    pub fn new(value: &Robj) -> Result<Self, Failure> {
        let given = Named::new(value, "scales")?;
        Ok(Self {
            kind: text(&given, "type")?,
            covariate: given.optional("covariate").cloned(),
            stratum: given.optional("stratum").cloned(),
            strata: optional_count(&given, "n_strata")?,
        })
    }

    pub fn borrow(&self) -> Result<Scale<'_>, Failure> {
        let stratum = match &self.stratum {
            Some(stratum) => Some(convert::integers(stratum, "stratum")?),
            None => None,
        };
        let covariate = match &self.covariate {
            Some(covariate) => Some(convert::doubles(covariate, "covariate")?),
            None => None,
        };
        Scale::named(&self.kind, covariate, stratum, self.strata)
            .ok_or_else(|| Failure::bug("the type of a variance function is not known"))
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
                members: None,
                counts: None,
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

extendr_module! {
    mod residual;
    fn rs_residual_rows;
}
