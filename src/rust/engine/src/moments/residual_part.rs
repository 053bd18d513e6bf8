//! Cross-products [Z Q r]'R^-1[Z Q r] where the residuals of a group of rows are correlated: the rows are kept, and summed
//! again for every R.
//!
//! With R = D C D and B the rows divided by D, the cross-products are sums over groups of B'C^-1B. Rows s and t of a group
//! whose entry of C^-1 is not zero couple the levels that they belong to, also those of one grouping factor.

use std::borrow::Cow;

use crate::api::model::ModelData;
use crate::basis::random::FactorLayout;
use crate::basis::rows::Coordinates;
use crate::linalg::double2::Double2;
use crate::moments::blocks::{Center, Moments, Rest};
use crate::moments::compress::condense;
use crate::moments::coupling::{symmetric, Coupling, Sum};
use crate::moments::residual_rows::ResidualRows;
use crate::moments::twice::Sums;
use crate::runtime::parallel::Workers;
use crate::structure::residual::{Residual, Stand, Whitening};

/// Least number of groups with one R for which fewer are sought.
const MANY: usize = 16;

/// Groups that are replaced by fewer at a time, for each row and column of a group: where the new ones are more than half as
/// many, evaluations with them are not cheap enough to pay for finding them.
const BLOCK: usize = 16;

/// A residual structure and the rows that it applies to.
///
/// Without random effects the groups with one R are replaced by as few as have the same sum of cross-products of their rows
/// (see [`crate::structure::residual::Residual::classes`]), so that no evaluation depends on the number of subjects.
#[derive(Debug, Clone)]
pub(crate) struct ResidualPart {
    pub model: Residual,
    pub rows: ResidualRows,
    pub layout: Vec<FactorLayout>,
    /// The structure of all rows, where `model` is that of fewer.
    whole: Option<Residual>,
}

impl ResidualPart {
    pub fn new(
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
        model: Residual,
        workers: &Workers,
    ) -> Self {
        let part = Self::of_all_rows(data, at, center, model);
        part.condensed(workers).unwrap_or(part)
    }

    /// The rows as they are.
    pub fn of_all_rows(
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
        model: Residual,
    ) -> Self {
        Self {
            rows: ResidualRows::new(data, at, center, &model),
            model,
            layout: at.layout.to_vec(),
            whole: None,
        }
    }

    /// This model with its response centred elsewhere.
    pub fn recentred(
        &self,
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
        workers: &Workers,
    ) -> Self {
        let model = self.whole().clone();
        Self::new(data, at, center, model, workers)
    }

    /// This model with all of its rows, where fewer stand for them.
    pub fn with_all_rows<'a>(
        &'a self,
        data: &ModelData<'_>,
        at: Coordinates<'_>,
        center: &Center,
    ) -> Cow<'a, Self> {
        match &self.whole {
            None => Cow::Borrowed(self),
            Some(model) => Cow::Owned(Self::of_all_rows(data, at, center, model.clone())),
        }
    }

    /// The structure of all rows of the data.
    pub fn whole(&self) -> &Residual {
        self.whole.as_ref().unwrap_or(&self.model)
    }

    /// Fewer groups; `None` where there are random effects, or no groups enough with one R.
    fn condensed(&self, workers: &Workers) -> Option<Self> {
        if self.layout.iter().any(|factor| factor.n_levels > 0) {
            return None;
        }
        let (model, rows) = (&self.model, &self.rows);
        let p1 = rows.p1;
        let own = |g: u32| {
            let places = model.group(g as usize);
            &rows.x[places.start * p1..places.end * p1]
        };
        let mut stands = Vec::new();
        let mut x = Vec::new();
        for class in model.classes()? {
            let first = *class.first()?;
            let m = model.group(first as usize).len();
            let mut here: Vec<f64> = class.iter().flat_map(|&g| own(g)).copied().collect();
            if class.len() >= MANY && m > 0 {
                if let Some(few) = condense(&here, m * p1, BLOCK * (m + p1), workers) {
                    here = few;
                }
            }
            stands.push(Stand {
                like: first as usize,
                groups: if m == 0 {
                    class.len()
                } else {
                    here.len() / (m * p1)
                },
                count: class.len(),
            });
            x.extend(here);
        }
        if 2 * x.len() > rows.x.len() {
            return None;
        }
        let few = model.over(&stands);
        Some(Self {
            rows: rows.with_rows(x, &few),
            model: few,
            layout: self.layout.clone(),
            whole: Some(model.clone()),
        })
    }

    /// All cross-products at one R; what does not depend on R is taken from those at another.
    pub fn moments(&self, whitening: &Whitening, other: &Moments, workers: &Workers) -> Moments {
        let mut moments = self
            .rows
            .moments(&self.model, whitening, &self.layout, workers);
        moments.take_level_precisions(other);
        if other.rest.is_some() {
            self.extend(&mut moments, whitening, workers);
        }
        moments
    }

    /// Takes Z'R^-1[Z Q r] of the same R with twice the digits.
    pub fn extend(&self, moments: &mut Moments, whitening: &Whitening, workers: &Workers) {
        let scaled = self.rows.scaled(whitening);
        let (rows, layout) = (&self.rows, &self.layout);
        let couple = Coupling::new(rows, &self.model, whitening, layout, &scaled);
        let (own, pairs) = couple.all(workers);
        let pairs = pairs.into_iter().map(|(_, sums)| sums).collect();
        let p1 = self.rows.p1;
        let weighted = whitening.inverse_times(&self.model, &self.rows.x, p1, workers);
        let factors = self.layout.iter().enumerate();
        let zx = factors.map(|(f, factor)| {
            self.rows
                .level_products::<Double2>(f, factor, &weighted, workers)
        });
        let zx = zx.collect();
        let mut xx = vec![Double2::default(); p1 * p1];
        let rows = self.rows.x.chunks_exact(p1).zip(weighted.chunks_exact(p1));
        rows.for_each(|(x, y)| Sum::add(&mut xx, 1.0, x, y));
        let xx = symmetric(&xx, p1);
        Rest::split(moments, Sums { xx, own, zx, pairs });
    }
}
