//! Models with less beside the best one: a variance left out, all effects of a term multiples of one.

use crate::api::error::EngineError;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::restriction::Restriction;
use crate::optimize::Stop;
use crate::runtime::memory;
use crate::search::charted::minimize_under;
use crate::search::optimum::settings;
use crate::search::starts::search::{Search, BETTER};
use crate::search::starts::units::Units;

/// What a model with a variance less may have over the best one to be reason to look at all directions of a perfect
/// correlation.
const CLOSE_BY: f64 = 2.0;

/// Directions of two effects with a perfect correlation that are tried, and sizes along them, relative to the present one.
const DIRECTIONS: usize = 12;
const LENGTHS: [f64; 5] = [0.03, 0.3, 1.0, 3.0, 30.0];

/// Rounds of looking at such models, each around a lower optimum.
const ROUNDS: usize = 3;

impl Search<'_, '_> {
    /// Looks at the optima of models with one variance less than the best one has, unless the criterion is higher by
    /// more than `within` where that variance is left out: beside an optimum with a strong correlation there may be a
    /// lower one with a perfect one, to which no step leads, for the criterion rises between them.
    pub(super) fn smaller_models(&mut self, within: f64) -> Result<(), EngineError> {
        if self.criterion.restriction.is_some() || self.criterion.scales().is_some() {
            return Ok(());
        }
        let parameters = self.criterion.parameters;
        for _ in 0..ROUNDS {
            let before = self.lowest();
            let Some(best) = self.best() else {
                return Ok(());
            };
            let x = best.outcome.x.clone();
            for (term, structure) in parameters.structures.iter().enumerate() {
                for without in structure.smaller(parameters.of_term(&x, term)) {
                    let mut y = x.clone();
                    parameters.set_term(&mut y, term, &without);
                    let value = self.criterion.value(&y).unwrap_or(f64::INFINITY);
                    if value < before + within {
                        self.smaller_model(&y, value)?;
                    }
                }
            }
            if self.lowest() >= before {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the optima of models in which all effects of an unstructured term are multiples of one: there may be one for
    /// each of several directions. The other terms are as in the best model.
    pub(super) fn perfect_correlations(&mut self) -> Result<(), EngineError> {
        if self.criterion.restriction.is_some() || self.criterion.scales().is_some() {
            return Ok(());
        }
        let parameters = self.criterion.parameters;
        for (term, structure) in parameters.structures.iter().enumerate() {
            let k = structure.k();
            let penalty = self.criterion.penalty;
            let may_be = k > 1 && structure.is_free() && !penalty.is_some_and(|p| p.is_on(term));
            let Some(best) = self.best().filter(|_| may_be) else {
                continue;
            };
            let x = best.outcome.x.clone();
            let own = parameters.of_term(&x, term);
            let natural = self.criterion.scale(&x)[parameters.start[term]];
            let size = own.iter().map(|v| v * v).sum::<f64>().sqrt().max(natural);
            let nothing = memory::zeros(structure.len());
            let mut tried: Vec<(f64, InternalTheta)> = Vec::new();
            let units = self.units;
            for direction in directions(&units[term]) {
                let lengths = LENGTHS.iter().map(|length| {
                    let variance = (length * size).powi(2);
                    let own = structure.with_variance(&nothing, &direction, variance);
                    let mut y = x.clone();
                    parameters.set_term(&mut y, term, &own);
                    (self.criterion.value(&y).unwrap_or(f64::INFINITY), y)
                });
                tried.extend(lengths.min_by(|a, b| a.0.total_cmp(&b.0)));
            }
            // those lower than their neighbours
            let count = tried.len();
            let value = |i: usize| tried[i % count].0;
            let lows: Vec<usize> = (0..count)
                .filter(|&i| {
                    value(i).is_finite()
                        && value(i) <= value(i + count - 1)
                        && value(i) < value(i + 1)
                })
                .collect();
            for i in lows {
                let (value, y) = tried[i].clone();
                self.smaller_model(&y, value)?;
            }
        }
        Ok(())
    }

    /// Walks from `x` with what is zero held there, and on where that leads below the best optimum.
    fn smaller_model(&mut self, x: &InternalTheta, value: f64) -> Result<(), EngineError> {
        if self.criterion.evaluations > self.last {
            return Ok(());
        }
        let parameters = self.criterion.parameters;
        let held = |a: usize| {
            parameters.list.get(a).is_some_and(|parameter| {
                let own = parameters.of_term(x, parameter.basis);
                parameters.structures[parameter.basis].is_null(own, parameter.index)
            })
        };
        let restriction = Restriction::holding(x, held);
        let (mut end, mut value) = (x.clone(), value);
        if restriction.variables() > 0 {
            let (criterion, settings) = (&mut *self.criterion, settings(&self.close));
            let outcome = minimize_under(criterion, Some(&restriction), x, value, settings);
            if outcome.stop == Stop::Interrupted {
                return Err(EngineError::Interrupted);
            }
            (end, value) = (outcome.x, outcome.value);
        }
        let lowest = self.lowest();
        self.is_close |= value < lowest + CLOSE_BY;
        if value < lowest - BETTER * lowest.abs().max(1.0) {
            return self.walk(&end);
        }
        Ok(())
    }
}

/// Directions of the effects of a term, neighbours one after the other: half a circle in the plane of each two of them, in
/// these units.
fn directions(units: &[Units]) -> Vec<Vec<f64>> {
    let k = units.len();
    let pairs = (0..k).flat_map(|a| (0..a).map(move |b| (a, b)));
    pairs
        .flat_map(|(a, b)| {
            (0..DIRECTIONS).map(move |i| {
                let angle = std::f64::consts::PI * (i as f64 + 0.25) / DIRECTIONS as f64;
                let mut direction = memory::zeros(k);
                let (cosine, sine) = (units[b].middle * angle.cos(), units[a].middle * angle.sin());
                let length = cosine.hypot(sine);
                direction[b] = cosine / length;
                direction[a] = sine / length;
                direction
            })
        })
        .collect()
}
