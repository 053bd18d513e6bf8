//! Where moments come from: rows in memory, or cross-products that stand for them.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::raw_moments::RawMoments;
use crate::basis::covariances::Levels;
use crate::basis::gram::gram_with_response;
use crate::basis::random::squares_of_rows;
use crate::basis::rank::householder_r;
use crate::basis::rows::Coordinates;
use crate::moments::blocks::{Center, Moments};
use crate::moments::centred_rows::CenteredRows;
use crate::runtime::parallel::Workers;
use crate::runtime::stop::StopFlag;

/// Z'WZ of the columns of a term over all rows of some levels, k x k.
pub type Squares<'a> = dyn Fn(usize, &Levels) -> Vec<f64> + 'a;

/// What knows the cross-products of a model without a residual structure, in any coordinates.
pub trait MomentSource {
    /// [X y]'W[X y], y less the offset; (p + 1) x (p + 1), both triangles.
    fn gram(&self, workers: &Workers) -> Vec<f64>;

    /// A matrix whose columns have the lengths and angles of those of W^{1/2} X, of which the rank is told where
    /// cross-products in double precision do not tell it.
    fn triangle(&self, stop: &StopFlag) -> Vec<f64>;

    /// Z'WZ of the columns of each term over the rows of any levels.
    fn squares<'a>(&'a self, workers: &'a Workers) -> Box<Squares<'a>>;

    /// The moments about a centre, without known precision matrices.
    fn moments(&self, at: Coordinates<'_>, center: &Center, workers: &Workers) -> Moments;

    /// Gives moments about a centre twice the digits.
    fn extend(
        &self,
        moments: &mut Moments,
        at: Coordinates<'_>,
        center: &Center,
        workers: &Workers,
    );
}

/// The source of a model's moments.
#[must_use]
pub fn source<'a>(data: &'a ModelData<'a>) -> Box<dyn MomentSource + 'a> {
    match data.moments {
        None => Box::new(RowsInMemory(data)),
        Some(moments) => Box::new(CrossProducts { data, raw: moments }),
    }
}

/// The moments of a model, with its known precision matrices.
///
/// # Errors
/// [`EngineError::NotPositiveDefinite`] where a known precision matrix is not.
pub fn moments_of(
    data: &ModelData<'_>,
    at: Coordinates<'_>,
    center: &Center,
    workers: &Workers,
) -> Result<Moments, EngineError> {
    let mut moments = source(data).moments(at, center, workers);
    moments.add_level_precisions(data, at.layout, workers.flag())?;
    moments.count_levels(data, at.layout);
    Ok(moments)
}

/// Rows that R, or another caller, has in memory.
struct RowsInMemory<'a>(&'a ModelData<'a>);

impl MomentSource for RowsInMemory<'_> {
    fn gram(&self, workers: &Workers) -> Vec<f64> {
        gram_with_response(self.0, workers)
    }

    fn triangle(&self, stop: &StopFlag) -> Vec<f64> {
        householder_r(self.0, stop)
    }

    fn squares<'a>(&'a self, workers: &'a Workers) -> Box<Squares<'a>> {
        Box::new(squares_of_rows(self.0, workers))
    }

    fn moments(&self, at: Coordinates<'_>, center: &Center, workers: &Workers) -> Moments {
        Moments::of_rows(self.0, at, center, workers)
    }

    fn extend(
        &self,
        moments: &mut Moments,
        at: Coordinates<'_>,
        center: &Center,
        workers: &Workers,
    ) {
        let rows = CenteredRows::new(self.0, at, center);
        moments.extend(self.0, at, &rows, workers);
    }
}

/// Cross-products in the user's columns, and the terms that those are of.
struct CrossProducts<'a> {
    data: &'a ModelData<'a>,
    raw: &'a RawMoments,
}

impl MomentSource for CrossProducts<'_> {
    fn gram(&self, _: &Workers) -> Vec<f64> {
        self.raw.xx.iter().map(|v| v[0]).collect()
    }

    fn triangle(&self, _: &StopFlag) -> Vec<f64> {
        self.raw.triangle()
    }

    fn squares<'a>(&'a self, _: &'a Workers) -> Box<Squares<'a>> {
        Box::new(|term, levels| self.raw.squares(self.data, term, levels))
    }

    fn moments(&self, at: Coordinates<'_>, center: &Center, workers: &Workers) -> Moments {
        let mut moments = self.raw.moments(at, center, workers);
        moments.rest = None;
        moments
    }

    fn extend(
        &self,
        moments: &mut Moments,
        at: Coordinates<'_>,
        center: &Center,
        workers: &Workers,
    ) {
        let mut extended = self.raw.moments(at, center, workers);
        extended.take_level_precisions(moments);
        *moments = extended;
    }
}
