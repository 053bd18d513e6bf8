//! When the response is centred at estimates, and where.

use std::sync::Arc;

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::api::options::Options;
use crate::basis::covariances::Covariances;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::FLOOR;
use crate::basis::rows::Coordinates;
use crate::criterion::objective::RESIDUAL;
use crate::fit::estimates::{coefficients, effects_of_factor};
use crate::fit::prepared::Prepared;
use crate::moments::blocks::{Center, FactorMoments};
use crate::moments::source::{moments_of, source};
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::search::strategy::Plan;
use crate::system::equations::{Factor, System};
use crate::system::extended;
use crate::system::solution::Solution;

/// Variance of effects relative to that of the mean of the residuals of their level from which differences of cross-products
/// may have less than ten digits.
const CANCELLING: f64 = 1e6;

/// Angle between a residual correlation and its end below which a combination of rows has next to no variance.
const UNEVEN: f64 = 0.03;

/// Such a ratio from which next to no digits are left of what a grouping factor leaves of columns of X.
const BREAKING: f64 = 1e14;

impl Prepared {
    /// Takes the cross-products with as many digits as these parameters need, and centres [Q r] at what it is there, where
    /// differences would lose digits otherwise.
    pub(crate) fn settle(
        &mut self,
        data: &ModelData<'_>,
        theta: &InternalTheta,
        options: &Options,
        interrupt: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        // a factor that the fit avoided is too expensive for this; centres are those of levels that count once
        let exact = self.plan_of_fit(options) == Ok(Plan::Exact);
        if !exact || self.is_counted() {
            return Ok(());
        }
        if self.lacks_digits(theta) {
            self.extend(data, theta)?;
        }
        for round in 0..3 {
            if !self.is_extreme(theta) && !self.has_uneven_residuals(theta) {
                break;
            }
            let mut criterion = self.criterion(
                &self.center.b,
                options.reml,
                Clock::without_limit(interrupt),
            );
            // where the factorisation breaks down, smaller standard deviations may do
            let near = self.less_extreme(theta);
            let at = if criterion.value(theta).is_some() {
                theta
            } else if criterion.value(&near).is_some() {
                &near
            } else {
                break;
            };
            let Some(solution) = criterion.solution() else {
                break;
            };
            let Some(factor) = criterion.factor.as_ref() else {
                break;
            };
            // the first centre was found with the digits that were there
            if round != 1 && !has_lost_digits(&self.system, factor) {
                break;
            }
            let moved = new_center(self, factor, &solution);
            drop(criterion);
            self.recentre(data, moved, at)?;
        }
        if self.center.has_effects() && !self.can_be_evaluated(theta, options, interrupt) {
            self.uncentre(data, theta)?;
        }
        Ok(())
    }

    /// Whether the criterion has a value at these parameters.
    fn can_be_evaluated(
        &self,
        theta: &InternalTheta,
        options: &Options,
        interrupt: &dyn Fn() -> bool,
    ) -> bool {
        let clock = Clock::without_limit(interrupt);
        let mut criterion = self.criterion(&self.center.b, options.reml, clock);
        criterion.value(theta).is_some()
    }

    /// Puts the effects back into the response.
    pub(crate) fn uncentre(
        &mut self,
        data: &ModelData<'_>,
        theta: &InternalTheta,
    ) -> Result<(), EngineError> {
        let center = Center {
            beta: self.center.beta.clone(),
            b: vec![Vec::new(); self.center.b.len()],
        };
        self.recentre(data, center, theta)?;
        if self.can_extend() {
            self.extend(data, theta)?;
        }
        Ok(())
    }

    /// These parameters with standard deviations so much smaller that about half of the digits are left.
    fn less_extreme(&self, theta: &InternalTheta) -> InternalTheta {
        let factor = (1e8 / self.largest_share(theta)).sqrt().min(1.0);
        self.parameters.with_deviations_times(theta, factor)
    }

    /// Whether an effect explains so much of its level that the share of the residuals may be lost.
    fn is_extreme(&self, theta: &InternalTheta) -> bool {
        self.largest_share(theta) * RECENTER_FIXED > 0.1
    }

    /// Whether some combination of the rows of a group may weigh so much more than others that differences between groups are
    /// lost beside it, or the other way round.
    fn has_uneven_residuals(&self, theta: &InternalTheta) -> bool {
        self.residual.as_ref().is_some_and(|part| {
            let phi = self.parameters.of_residual(theta);
            part.model.has_scales() || part.model.reach(phi).any(|left| left < UNEVEN)
        })
    }

    /// Variance of an effect relative to that of the mean of the residuals of its level, at most.
    pub(crate) fn largest_share(&self, theta: &InternalTheta) -> f64 {
        let unit = self.unit / self.unit_at(theta);
        let share = |term: usize| {
            let k = self.parameters.place[term].2;
            let t = self.parameters.term_factor(theta, term);
            let most = |i: usize| self.most_information(term, i);
            let shares = (0..k).map(|i| (unit * t[i * k + i]).powi(2) * most(i));
            shares.fold(0.0, f64::max)
        };
        (0..self.bases.len()).map(share).fold(0.0, f64::max)
    }

    /// z'z of an effect of a term at the level that has most of it.
    pub(crate) fn most_information(&self, term: usize, i: usize) -> f64 {
        let (f, offset, _) = self.parameters.place[term];
        let levels = &self.parameters.levels[term];
        let FactorMoments { k: all, zz, .. } = &self.system.moments.factors[f];
        let own = zz.iter().skip((offset + i) * (all + 1)).step_by(all * all);
        let own = own.enumerate().filter(|(j, _)| levels.contains(*j));
        own.fold(0.0f64, |most, (_, v)| most.max(*v))
    }

    /// Whether the first evaluation of a fit has to be prepared for.
    pub(crate) fn starts_extreme(&self, theta: &InternalTheta) -> bool {
        self.lacks_digits(theta) || self.largest_share(theta) > BREAKING
    }

    /// Whether effects are so large that eliminating some of them may lose digits of the others, and cross-products with twice
    /// the digits are not there though they can be.
    pub(crate) fn lacks_digits(&self, theta: &InternalTheta) -> bool {
        let system = &self.system;
        (system.schur.q2 > 0 || system.k1() > 1)
            && system.moments.rest.is_none()
            && self.largest_share(theta) > CANCELLING
            && self.can_extend()
    }

    /// Whether a factorisation in twice the precision is affordable.
    pub(crate) fn can_extend(&self) -> bool {
        let system = &self.system;
        !self.is_counted() && extended::is_affordable(&system.schur, system.k1(), system.moments.p1)
    }

    /// Share of what is left of a row beside effects that double precision may lose: rounding of what they are relative to it,
    /// and the small variances that singular covariance matrices are given (see [`FLOOR`]).
    pub(crate) fn rounding_of_rows(&self, theta: &InternalTheta) -> f64 {
        let (parameters, workers) = (&self.parameters, &self.system.workers);
        let unit = self.unit_at(theta);
        let (_, changed) = parameters.regular_factors(theta, unit, workers, Covariances::default());
        let of_floor = if changed {
            let terms = parameters.place.iter().enumerate();
            let effects = terms.flat_map(|(term, &(_, _, k))| (0..k).map(move |i| (term, i)));
            let most = effects.map(|(term, i)| self.most_information(term, i));
            FLOOR.powi(2) * most.fold(0.0, f64::max)
        } else {
            0.0
        };
        f64::EPSILON * self.largest_share(theta) + of_floor
    }

    /// Whether so many rows may be solved for with a factor of twice the digits.
    pub(crate) fn can_solve_extended(&self, rows: usize) -> bool {
        self.can_extend() && extended::rows::are_affordable(&self.system, rows)
    }

    /// Takes the cross-products with twice the digits where so many rows need them.
    pub(crate) fn settle_rows(
        &mut self,
        data: &ModelData<'_>,
        theta: &InternalTheta,
        rows: usize,
    ) -> Result<(), EngineError> {
        let needed = self.residual.is_none()
            && !self.has_digits()
            && self.rounding_of_rows(theta) > f64::EPSILON * CANCELLING;
        if needed && self.can_solve_extended(rows) {
            self.extend(data, theta)?;
        }
        Ok(())
    }

    /// Whether cross-products have twice the digits.
    pub(crate) fn has_digits(&self) -> bool {
        self.system.moments.rest.is_some()
    }

    /// Whether, after so many centres, the last was found without all digits.
    pub(crate) fn is_near(&self, rounds: usize) -> bool {
        self.has_digits() && rounds < 2
    }

    /// Takes Z'[Z Q r], or Z'R^-1[Z Q r] at these parameters, with twice the digits.
    pub(crate) fn extend(
        &mut self,
        data: &ModelData<'_>,
        theta: &InternalTheta,
    ) -> Result<(), EngineError> {
        let at = Coordinates::new(&self.fixed, &self.layout, &self.bases);
        let System {
            moments, workers, ..
        } = &mut self.system;
        match &self.residual {
            None => source(data).extend(moments, at, &self.center, workers),
            Some(part) => {
                let phi = self.parameters.of_residual(theta);
                let whitening = part
                    .model
                    .at_with(phi, workers)
                    .ok_or(EngineError::numerical(RESIDUAL))?;
                *moments = part.moments(&whitening, moments, workers);
                part.extend(moments, &whitening, workers);
                self.unit = self.unit_at(theta);
            }
        }
        Ok(())
    }

    /// Centres [Q r] elsewhere and takes the cross-products again, at these parameters.
    pub(crate) fn recentre(
        &mut self,
        data: &ModelData<'_>,
        moved: Center,
        theta: &InternalTheta,
    ) -> Result<(), EngineError> {
        let workers = Arc::clone(&self.system.workers);
        if let Some(part) = &mut self.residual {
            let at = Coordinates::new(&self.fixed, &self.layout, &self.bases);
            *part = part.recentred(data, at, &moved, &workers);
            let phi = self.parameters.of_residual(theta);
            let whitening = part
                .model
                .at_with(phi, &workers)
                .ok_or(EngineError::numerical(RESIDUAL))?;
            self.system.moments = part.moments(&whitening, &self.system.moments, &workers);
            self.unit = self.unit_at(theta);
            self.center = moved;
            return Ok(());
        }
        let is_extended = self.system.moments.rest.is_some();
        self.system.moments = moments_of(data, self.coordinates(), &moved, &workers)?;
        if let Some(levels) = &self.levels {
            levels.apply(&mut self.system.moments, &self.layout)?;
        }
        self.center = moved;
        if is_extended {
            self.extend(data, theta)?;
        }
        Ok(())
    }
}

/// Share of the total sum of squares below which the residual one has lost too many digits: centre and start again.
pub(crate) const RECENTER: f64 = 1e-6;

/// Share of a column of Q that V^-1 leaves below which it has lost too many.
const RECENTER_FIXED: f64 = 1e-5;

/// Whether too many digits of the residual sum of squares or of the fixed effects' information were lost in differences.
pub(crate) fn has_lost_digits(system: &System, factor: &Factor) -> bool {
    let p1 = factor.rzx.m;
    let left = |j: usize| (0..=j).map(|c| factor.lx[c * p1 + j].powi(2)).sum::<f64>();
    let lost = |j: usize| left(j) < RECENTER_FIXED * factor.before(system, j);
    (factor.pwrss > 0.0 && factor.pwrss < RECENTER * factor.total) || (0..p1 - 1).any(lost)
}

/// Current estimates as the new centre: fixed effects always, random effects, and those that the columns of Q themselves have,
/// of factors (or classes of their levels) whose covariance is regular.
pub(crate) fn new_center(prepared: &Prepared, factor: &Factor, solution: &Solution) -> Center {
    let beta = coefficients(prepared, &solution.gamma);
    let system = &prepared.system;
    let b = (0..prepared.layout.len())
        .map(|f| {
            let k = prepared.layout[f].k;
            let is_regular = |t: &[f64]| (0..k).all(|i| t[i * k + i].abs() > 1e-4);
            let mut classes = (0..factor.t.classes(f)).map(|class| factor.t.of_class(f, class));
            if !classes.any(is_regular) {
                return Vec::new();
            }
            let u = effects_of_factor(system, &solution.u, f);
            let c = effects_of_factor(system, &solution.c, f);
            let (p, p1) = (solution.c.m, solution.c.m + 1);
            let mut b = memory::zeros(u.len() * p1);
            for (level, block) in b.chunks_exact_mut(k * p1).enumerate() {
                let t = factor.t.of(f, level);
                if !is_regular(t) {
                    continue;
                }
                for a in 0..k {
                    for i in 0..=a {
                        let (weight, from) = (t[i * k + a], level * k + i);
                        let to = &mut block[a * p1..(a + 1) * p1];
                        let own = &c[from * p..(from + 1) * p];
                        to.iter_mut().zip(own).for_each(|(x, c)| *x += weight * c);
                        to[p] += weight * u[from];
                    }
                }
            }
            b
        })
        .collect();
    Center { beta, b }
}
