//! A model whose moments have been taken: all that an evaluation of the criterion needs.

use std::sync::Arc;

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::fixed::FixedBasis;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::Parameters;
use crate::basis::penalty::CovariancePenalty;
use crate::basis::random::{FactorLayout, TermBasis};
use crate::basis::restriction::Restriction;
use crate::basis::rows::Coordinates;
use crate::criterion::objective::{Criterion, RESIDUAL};
use crate::moments::blocks::Center;
use crate::moments::fixed_levels::FixedLevels;
use crate::moments::level_precision;
use crate::moments::residual_part::ResidualPart;
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::search::strategy::Plan;
use crate::structure::residual::Residual;
use crate::system::equations::System;

/// Bases, layout and moments of one model.
pub(crate) struct Prepared {
    pub fixed: FixedBasis,
    pub layout: Vec<FactorLayout>,
    pub bases: Vec<TermBasis>,
    pub parameters: Parameters,
    pub system: System,
    pub center: Center,
    pub residual: Option<ResidualPart>,
    /// The rows' mean standard deviation, in units of the standard deviation used for the moments.
    pub unit: f64,
    pub restriction: Option<Restriction>,
    /// Known residual variance.
    pub sigma2: Option<f64>,
    /// What is added to the likelihood.
    pub penalty: Option<CovariancePenalty>,
    /// Fixed effects of levels.
    pub levels: Option<FixedLevels>,
}

impl Prepared {
    /// Rank of the columns of fixed effects of levels.
    pub(crate) fn eliminated(&self) -> usize {
        self.levels.as_ref().map_or(0, |levels| levels.rank)
    }

    /// The rows' mean standard deviation relative to sigma; sigma is that of a row with d = 1, which may be unlike any row.
    pub(crate) fn unit_at(&self, theta: &InternalTheta) -> f64 {
        let phi = self.parameters.of_residual(theta);
        self.residual_model().unit(phi)
    }

    /// The residual structure: that of independent rows where the model has none.
    pub(crate) fn residual_model(&self) -> &Residual {
        let part = self.residual.as_ref();
        part.map_or(Residual::independent(), |part| &part.model)
    }

    /// A sum of squares in units of the rows' mean variance.
    pub(crate) fn in_rows(&self, theta: &InternalTheta, squares: f64) -> f64 {
        squares * self.unit_at(theta).powi(2)
    }

    /// Residual sum of squares of the fixed effects alone, in units of the rows' mean variance.
    pub(crate) fn fixed_rss(&self) -> f64 {
        self.system.moments.residual() * self.unit * self.unit
    }

    /// Inverse variances of the residuals of all rows of the data, relative to sigma^2; residuals are not correlated.
    ///
    /// # Errors
    /// [`EngineError::Numerical`] where the residual structure has no value.
    pub(crate) fn residual_precision(
        &self,
        data: &ModelData<'_>,
        theta: &InternalTheta,
    ) -> Result<Vec<f64>, EngineError> {
        let mut out: Vec<f64> = (0..data.rows())
            .map(|i| data.weights.map_or(1.0, |w| w[i]))
            .collect();
        if let Some(part) = &self.residual {
            let phi = self.parameters.of_residual(theta);
            let whitening = part.whole().at_with(phi, &self.system.workers);
            let whitening = whitening.ok_or(EngineError::numerical(RESIDUAL))?;
            let rows = part.whole().order().iter().zip(&whitening.inverse_scale);
            rows.for_each(|(&row, scale)| out[row as usize] *= scale * scale);
        }
        Ok(out)
    }

    /// The coordinates that moments are taken in.
    pub(crate) fn coordinates(&self) -> Coordinates<'_> {
        Coordinates::new(&self.fixed, &self.layout, &self.bases)
    }

    /// A copy for another response, without threads of its own.
    pub fn share(&self) -> Self {
        memory::require::<f64>(self.system.moments.numbers());
        Self {
            fixed: self.fixed.clone(),
            layout: self.layout.clone(),
            bases: self.bases.clone(),
            parameters: Parameters::new(&self.layout, &self.bases, self.parameters.residual),
            system: System {
                moments: self.system.moments.clone(),
                schur: Arc::clone(&self.system.schur),
                workers: Workers::sequential().into(),
            },
            center: self.center.clone(),
            residual: self.residual.clone(),
            unit: self.unit,
            restriction: self.restriction.clone(),
            sigma2: self.sigma2,
            penalty: self.penalty.clone(),
            levels: self.levels.clone(),
        }
    }

    /// The criterion of this model, not evaluated yet.
    pub fn criterion<'a>(
        &'a self,
        center: &'a [Vec<f64>],
        reml: bool,
        clock: Clock<'a>,
    ) -> Criterion<'a> {
        self.criterion_of(&self.system, center, reml, clock)
    }

    /// The criterion of this model with other cross-products, not evaluated yet.
    pub fn criterion_of<'a>(
        &'a self,
        system: &'a System,
        center: &'a [Vec<f64>],
        reml: bool,
        clock: Clock<'a>,
    ) -> Criterion<'a> {
        Criterion::new(
            system,
            &self.parameters,
            reml,
            center,
            -2.0 * self.fixed.log_det_rinv,
            clock.with_flag(self.system.workers.flag()),
        )
        .with_residual(self.residual.as_ref())
        .with_restriction(self.restriction.as_ref())
        .with_sigma2(self.sigma2)
        .with_penalty(self.penalty.as_ref())
    }

    /// Whether levels count as many, as in a pseudo-likelihood.
    pub(crate) fn is_counted(&self) -> bool {
        let mut factors = self.system.moments.factors.iter();
        factors.any(|factor| !factor.multiplicity.is_empty())
    }

    /// Whether levels and residuals are independent, all parameters free and without penalty, and grouping factors more than one.
    fn is_plain(&self) -> bool {
        self.residual.is_none()
            && self.restriction.is_none()
            && self.penalty.is_none()
            && !self.is_counted()
            && self.system.schur.q2 > 0
            && !self
                .system
                .moments
                .pairs
                .iter()
                .any(|pair| pair.f == pair.g)
            && !level_precision::any(&self.system.moments)
    }

    /// How the criterion is evaluated.
    ///
    /// # Errors
    /// [`EngineError::Memory`] where there is no other way than a factor that does not fit in memory.
    pub(crate) fn plan(&self, options: &Options) -> Result<Plan, EngineError> {
        Plan::new(&self.system, self.is_plain(), options)
    }

    /// How the criterion was evaluated when the fit looked for its optimum.
    pub(crate) fn plan_of_fit(&self, options: &Options) -> Result<Plan, EngineError> {
        let as_fitted = Options {
            optimize: true,
            ..options.clone()
        };
        self.plan(&as_fitted)
    }
}
