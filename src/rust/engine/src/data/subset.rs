//! Some of the rows of a model, copied.

use crate::api::model::{
    Classes, Column, Correlation, GroupingFactor, KnownMatrix, ModelData, Position, RandomTerm,
    ResidualStructure, Scale,
};

/// Copies of vectors; [`Subset::data`] puts them back together.
pub(crate) struct Subset<'a> {
    from: &'a ModelData<'a>,
    keep: &'a [usize],
    doubles: Vec<Vec<f64>>,
    integers: Vec<Vec<i32>>,
}

/// Hands out copied vectors in the order in which they were asked for.
struct Shelf<'a> {
    doubles: std::slice::Iter<'a, Vec<f64>>,
    integers: std::slice::Iter<'a, Vec<i32>>,
}

/// What becomes of the vectors of a model: they are copied, or taken from the shelf.
trait Visitor<'a> {
    fn doubles(&mut self, values: &[f64]) -> &'a [f64];
    fn coded(&mut self, column: Column<'_>) -> &'a [f64];
    fn integers(&mut self, values: &[i32]) -> &'a [i32];
}

struct Copier<'c> {
    keep: &'c [usize],
    doubles: &'c mut Vec<Vec<f64>>,
    integers: &'c mut Vec<Vec<i32>>,
}

impl Visitor<'static> for Copier<'_> {
    fn doubles(&mut self, values: &[f64]) -> &'static [f64] {
        self.doubles
            .push(self.keep.iter().map(|&i| values[i]).collect());
        &[]
    }

    fn coded(&mut self, column: Column<'_>) -> &'static [f64] {
        self.doubles
            .push(self.keep.iter().map(|&i| column.at(i)).collect());
        &[]
    }

    fn integers(&mut self, values: &[i32]) -> &'static [i32] {
        self.integers
            .push(self.keep.iter().map(|&i| values[i]).collect());
        &[]
    }
}

impl<'a> Visitor<'a> for Shelf<'a> {
    fn doubles(&mut self, _: &[f64]) -> &'a [f64] {
        self.doubles.next().map_or(&[], |v| v.as_slice())
    }

    fn coded(&mut self, _: Column<'_>) -> &'a [f64] {
        self.doubles(&[])
    }

    fn integers(&mut self, _: &[i32]) -> &'a [i32] {
        self.integers.next().map_or(&[], |v| v.as_slice())
    }
}

/// The model with each vector of rows replaced by what the visitor makes of it.
fn visit<'a>(data: &ModelData<'_>, visitor: &mut impl Visitor<'a>) -> ModelData<'a> {
    ModelData {
        y: visitor.doubles(data.y),
        x: columns(&data.x, visitor),
        p: data.p,
        weights: data.weights.map(|w| visitor.doubles(w)),
        offset: data.offset.map(|o| visitor.doubles(o)),
        factors: data
            .factors
            .iter()
            .map(|factor| GroupingFactor {
                members: None,
                counts: None,
                codes: visitor.integers(factor.codes),
                n_levels: factor.n_levels,
                precision: None,
            })
            .collect(),
        terms: data
            .terms
            .iter()
            .map(|term| RandomTerm {
                factor: term.factor,
                columns: columns(&term.columns, visitor),
                structure: term.structure,
                classes: None,
            })
            .collect(),
        residual: data.residual.as_ref().map(|r| residual(r, visitor)),
        moments: None,
        stands_for: None,
    }
}

fn columns<'a>(columns: &[Column<'_>], visitor: &mut impl Visitor<'a>) -> Vec<Column<'a>> {
    columns
        .iter()
        .map(|column| match column {
            Column::Constant => Column::Constant,
            Column::Absent => Column::Absent,
            Column::Values(v) => Column::Values(visitor.doubles(v)),
            Column::Coded { .. } => Column::Values(visitor.coded(*column)),
        })
        .collect()
}

fn position<'a>(given: &Position<'_>, visitor: &mut impl Visitor<'a>) -> Position<'a> {
    match given {
        Position::None => Position::None,
        Position::Whole(time) => Position::Whole(visitor.integers(time)),
        Position::Visits { visit, visits } => Position::Visits {
            visit: visitor.integers(visit),
            visits: *visits,
        },
        Position::Times(time) => Position::Times(visitor.doubles(time)),
        Position::Points {
            coordinates,
            metric,
        } => Position::Points {
            coordinates: coordinates.iter().map(|c| visitor.doubles(c)).collect(),
            metric: *metric,
        },
        Position::Rows { row, .. } => Position::Rows {
            row: visitor.integers(row),
            matrix: KnownMatrix::empty(),
        },
        Position::Product { axes } => Position::Product {
            axes: axes
                .iter()
                .map(|(kind, own)| (*kind, position(own, visitor)))
                .collect(),
        },
    }
}

fn residual<'a>(
    structure: &ResidualStructure<'_>,
    visitor: &mut impl Visitor<'a>,
) -> ResidualStructure<'a> {
    let correlation = structure.correlation.as_ref().map(|c| Correlation {
        position: position(&c.position, visitor),
        kind: c.kind,
        orders: c.orders,
        nugget: c.nugget,
        classes: c.classes.map(|classes| Classes {
            codes: visitor.integers(classes.codes),
            count: classes.count,
        }),
    });
    let groups = structure.groups.as_ref().map(|groups| GroupingFactor {
        members: None,
        counts: None,
        codes: visitor.integers(groups.codes),
        n_levels: groups.n_levels,
        precision: None,
    });
    let scales = structure.scales.iter().map(|scale| match scale {
        Scale::Ident { stratum, strata } => Scale::Ident {
            stratum: visitor.integers(stratum),
            strata: *strata,
        },
        Scale::OfCovariate {
            function,
            covariate,
            stratum,
            strata,
        } => Scale::OfCovariate {
            function: *function,
            covariate: visitor.doubles(covariate),
            stratum: stratum.map(|s| visitor.integers(s)),
            strata: *strata,
        },
    });
    ResidualStructure {
        scales: scales.collect(),
        groups,
        correlation,
        start: structure.start.clone(),
        held: structure.held.clone(),
    }
}

/// The known correlations of the residuals.
fn known_matrix<'a>(data: &ModelData<'a>) -> Option<KnownMatrix<'a>> {
    match data.residual.as_ref()?.correlation.as_ref()?.position {
        Position::Rows { matrix, .. } => Some(matrix),
        _ => None,
    }
}

impl<'a> Subset<'a> {
    /// The rows `keep` (ascending); levels stay, also those that lose all their rows.
    pub fn new(from: &'a ModelData<'a>, keep: &'a [usize]) -> Self {
        let (mut doubles, mut integers) = (Vec::new(), Vec::new());
        visit(
            from,
            &mut Copier {
                keep,
                doubles: &mut doubles,
                integers: &mut integers,
            },
        );
        Self {
            from,
            keep,
            doubles,
            integers,
        }
    }

    /// The model of these rows.
    pub fn data(&self) -> ModelData<'_> {
        let mut shelf = Shelf {
            doubles: self.doubles.iter(),
            integers: self.integers.iter(),
        };
        let mut data = visit(self.from, &mut shelf);
        debug_assert_eq!(data.y.len(), self.keep.len());
        // what belongs to levels or to all rows, not to each
        if let Some(matrix) = known_matrix(self.from) {
            if let Some(Position::Rows { matrix: own, .. }) = data
                .residual
                .as_mut()
                .and_then(|r| r.correlation.as_mut())
                .map(|c| &mut c.position)
            {
                *own = matrix;
            }
        }
        for (own, factor) in data.factors.iter_mut().zip(&self.from.factors) {
            own.precision = factor.precision;
        }
        for (own, term) in data.terms.iter_mut().zip(&self.from.terms) {
            own.classes = term.classes;
        }
        data
    }
}
