//! Rows by the factor with twice the digits, where rows weigh so much that effects are all but determined by them.

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::basis::covariances::Covariances;
use crate::basis::random::FactorLayout;
use crate::basis::rows::combine;
use crate::fit::prepared::Prepared;
use crate::inference::new_rows::NewRows;
use crate::linalg::double2::Double2;
use crate::moments::centred_rows::CenteredRows;
use crate::system::equations::Factor;
use crate::system::extended::rows::{RowSolver, SolvedEffects, SolvedRow};

/// What every row needs.
pub(super) struct ExtendedRows<'a> {
    prepared: &'a Prepared,
    solver: RowSolver<'a>,
    centred: CenteredRows<'a>,
    /// T, columns without variance zero.
    t: Covariances,
}

impl<'a> ExtendedRows<'a> {
    /// At a factor; `None` where cross-products have no more than double precision, where they are not of rows that are
    /// independent, or where so many rows are too many.
    ///
    /// # Errors
    /// [`EngineError::Numerical`].
    pub fn new(
        data: &'a ModelData<'a>,
        prepared: &'a Prepared,
        factor: &Factor,
        rows: usize,
    ) -> Result<Option<Self>, EngineError> {
        if prepared.residual.is_some() || !prepared.can_solve_extended(rows) {
            return Ok(None);
        }
        let solver = RowSolver::new(&prepared.system, factor)?;
        Ok(solver.map(|solver| Self {
            prepared,
            centred: CenteredRows::new(data, prepared.coordinates(), &prepared.center),
            t: factor.without_added(solver.covariances().clone()),
            solver,
        }))
    }

    /// Row `i` of `rows`, unweighted, with this in the place of y - offset.
    pub fn row(
        &self,
        rows: &NewRows<'_>,
        i: usize,
        response: Double2,
        work: &mut SolvedEffects,
    ) -> SolvedRow {
        let levels = |factor: &FactorLayout| rows.levels(factor.user, i);
        let columns = |term: usize| rows.terms[term].as_deref();
        let at = self.prepared.coordinates();
        let mut touched = Vec::new();
        for (f, factor) in at.layout.iter().enumerate() {
            for (level, weight) in levels(factor) {
                let mut z = vec![Double2::default(); factor.k];
                for &first in &factor.terms {
                    let basis = at.of_class(first, factor.class(level));
                    let own = &mut z[basis.offset..basis.offset + basis.k];
                    if let Some(columns) = columns(basis.term) {
                        combine(columns, &basis.change, i, Double2::from(weight), own);
                    }
                }
                let (t, k) = (self.t.of(f, level), factor.k);
                let times = |a: usize| {
                    let mut sum = Double2::default();
                    (a..k).for_each(|b| sum += z[b] * Double2::from(t[a * k + b]));
                    sum
                };
                touched.push((f, level, (0..k).map(times).collect()));
            }
        }
        self.solver.solve(touched, work);
        let border = self.centred.row_of(i, &rows.x, response, levels, columns);
        self.solver.row(work, border.collect())
    }
}
