//! The engine's own pieces put together as `fit()` does, so that tests can look at the criterion in internal coordinates.

use super::Model;
use ferrolmm_engine::basis::fixed::FixedBasis;
use ferrolmm_engine::basis::parameters::Parameters;
use ferrolmm_engine::basis::penalty::CovariancePenalty;
use ferrolmm_engine::basis::random::{lay_out, squares_of_rows, FactorLayout, TermBasis};
use ferrolmm_engine::basis::rows::Coordinates;
use ferrolmm_engine::criterion::objective::Criterion;
use ferrolmm_engine::moments::blocks::Center;
use ferrolmm_engine::moments::source::moments_of;
use ferrolmm_engine::runtime::parallel::Workers;
use ferrolmm_engine::system::elimination::Schur;
use ferrolmm_engine::system::equations::System;
use ferrolmm_engine::ModelData;

/// The response centred at least squares.
fn at_least_squares(fixed: &FixedBasis, layout: &[FactorLayout]) -> Center {
    Center {
        beta: fixed.beta_center.clone(),
        b: vec![Vec::new(); layout.len()],
    }
}

pub struct Prepared {
    pub fixed: FixedBasis,
    pub layout: Vec<FactorLayout>,
    pub bases: Vec<TermBasis>,
    pub parameters: Parameters,
    pub system: System,
    pub center: Center,
    pub penalty: Option<CovariancePenalty>,
}

impl Prepared {
    /// Centred at least squares, as the first round of a fit.
    pub fn new(model: &Model) -> Self {
        Self::of(&model.data())
    }

    /// Like [`Self::new`], for data that are not those of a [`Model`] alone.
    pub fn of(data: &ModelData<'_>) -> Self {
        Self::of_centred(data, at_least_squares, |_| ())
    }

    /// Like [`Self::of`], in the bases of the model without classes of levels.
    pub fn in_bases_of(data: &ModelData<'_>, plain: &Self) -> Self {
        Self::of_centred(data, at_least_squares, |basis| {
            basis.change.clone_from(&plain.bases[basis.term].change);
        })
    }

    pub fn centred(model: &Model, center: impl Fn(&FixedBasis, &[FactorLayout]) -> Center) -> Self {
        Self::of_centred(&model.data(), center, |_| ())
    }

    fn of_centred(
        data: &ModelData<'_>,
        center: impl Fn(&FixedBasis, &[FactorLayout]) -> Center,
        adjust: impl Fn(&mut TermBasis),
    ) -> Self {
        let workers = Workers::sequential();
        let fixed = FixedBasis::new(data, &workers);
        let (layout, mut bases) = lay_out(
            data,
            |factor| factor.user.is_some(),
            &[],
            squares_of_rows(data, &workers),
        );
        bases.iter_mut().for_each(adjust);
        let center = center(&fixed, &layout);
        let moments = moments_of(
            data,
            Coordinates::new(&fixed, &layout, &bases),
            &center,
            &workers,
        )
        .unwrap();
        let schur = Schur::new(&moments);
        let parameters = Parameters::new(&layout, &bases, 0);
        let system = System {
            moments,
            schur: schur.into(),
            workers: workers.into(),
        };
        Self {
            fixed,
            layout,
            bases,
            parameters,
            system,
            center,
            penalty: None,
        }
    }

    pub fn criterion(&self, reml: bool) -> Criterion<'_> {
        Criterion::new(
            &self.system,
            &self.parameters,
            reml,
            &self.center.b,
            -2.0 * self.fixed.log_det_rinv,
            ferrolmm_engine::runtime::clock::Clock::without_limit(&|| false),
        )
        .with_penalty(self.penalty.as_ref())
    }
}
