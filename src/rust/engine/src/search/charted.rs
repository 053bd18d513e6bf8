//! The criterion in the variables of a chart.

use crate::basis::internal_theta::{FreeTheta, InternalTheta};
use crate::basis::restriction::Restriction;
use crate::criterion::objective::Criterion;
use crate::optimize::{minimize, HessianRequest, Objective, Outcome, Settings};
use crate::search::centred::Centred;
use crate::search::chart::{Chart, Derivatives};

/// A criterion in the variables of a chart, for the optimiser. What does not depend on coordinates (rounding errors, what the
/// Hessian misses) is the criterion's own; every method of [`Objective`] is required, so that none is left to a default.
struct Charted<'a, 'b, C> {
    criterion: &'a mut Criterion<'b>,
    chart: C,
    /// Variables at the last evaluation.
    z: FreeTheta,
}

impl<C: Chart> Charted<'_, '_, C> {
    fn parameters(&self, z: &FreeTheta) -> InternalTheta {
        InternalTheta::new(self.chart.to_parameters(z))
    }
}

impl<C: Chart> Objective for Charted<'_, '_, C> {
    fn value(&mut self, z: &[f64]) -> Option<f64> {
        self.z = FreeTheta(z.to_vec());
        let x = self.parameters(&self.z);
        if x.values().iter().any(|v| !v.is_finite()) {
            return None;
        }
        self.criterion.value(&x)
    }

    fn derivatives(&mut self, request: HessianRequest) -> (Vec<f64>, Vec<f64>, bool) {
        let (gradient, hessian, is_exact) = self.criterion.derivatives(request);
        let own = Derivatives {
            gradient,
            hessian,
            is_exact,
        };
        let pulled = self.chart.pull(&self.z, own);
        (pulled.gradient, pulled.hessian, pulled.is_exact)
    }

    fn uses_secant(&self) -> bool {
        self.criterion.uses_secant()
    }

    fn scale(&self, z: &[f64]) -> Vec<f64> {
        let z = FreeTheta(z.to_vec());
        let x = self.parameters(&z);
        self.chart.scale(&z, self.criterion.scale(&x))
    }

    fn noise(&self, f: f64) -> f64 {
        self.criterion.noise(f)
    }
}

/// Minimises from `x`, where the criterion has this value, over what `restriction` leaves free, random effects relative to the
/// rows' mean standard deviation where there are variance functions.
pub(crate) fn minimize_under(
    criterion: &mut Criterion<'_>,
    restriction: Option<&Restriction>,
    x: &InternalTheta,
    value: f64,
    settings: Settings,
) -> Outcome<InternalTheta> {
    let centred = criterion
        .scales()
        .map(|model| Centred::new(criterion.parameters, model, restriction));
    minimize_in((restriction, centred), criterion, x, value, settings)
}

/// Minimises from `x`, where the criterion has this value, in the variables of a chart.
fn minimize_in(
    chart: impl Chart,
    criterion: &mut Criterion<'_>,
    x: &InternalTheta,
    value: f64,
    settings: Settings,
) -> Outcome<InternalTheta> {
    let clock = criterion.clock;
    let z = chart.to_variables(x.values().to_vec());
    let mut charted = Charted {
        criterion,
        chart,
        z: z.clone(),
    };
    let outcome = minimize(&mut charted, &z.0, value, settings, clock);
    outcome.at_point(|z| charted.parameters(&FreeTheta(z)))
}

#[cfg(test)]
mod tests {
    use super::minimize_in;
    use crate::api::model::{
        Column, GroupingFactor, ModelData, RandomTerm, ResidualStructure, Scale, ScaleFunction,
        Structure,
    };
    use crate::api::options::Options;
    use crate::basis::internal_theta::InternalTheta;
    use crate::basis::restriction::Restriction;
    use crate::fit::prepare::prepare;
    use crate::optimize::Stop;
    use crate::runtime::clock::Clock;
    use crate::runtime::stop::StopFlag;
    use crate::search::centred::Centred;
    use crate::search::optimum::settings;

    /// Twenty levels of six rows with an intercept and a slope each, residuals with variances |v|^(2 delta).
    fn with_variance_function(check: impl FnOnce(&ModelData<'_>)) {
        let (levels, rows) = (20, 6);
        let n = levels * rows;
        let code: Vec<i32> = (0..n).map(|i| 1 + (i / rows) as i32).collect();
        // low-discrepancy numbers in (-1, 1)
        let noise = |i: usize, by: f64| 2.0 * ((i as f64 + 0.5) * by).fract() - 1.0;
        let x: Vec<f64> = (0..n).map(|i| noise(i, 0.754_877_666)).collect();
        let v: Vec<f64> = (0..n)
            .map(|i| 40.0 + 30.0 * noise(i, 0.569_840_29))
            .collect();
        let y: Vec<f64> = (0..n)
            .map(|i| {
                let (own, slope) = (noise(i / rows, 0.618_034), noise(i / rows, 0.414_214));
                let residual = noise(i, 0.324_717_957) + noise(i, 0.220_744_084);
                3.0 + 40.0 * own + (5.0 + 25.0 * slope) * x[i] + v[i].powf(0.8) * residual
            })
            .collect();
        check(&ModelData {
            moments: None,
            stands_for: None,
            y: &y,
            x: vec![Column::Constant, Column::Values(&x)],
            p: 2,
            weights: None,
            offset: None,
            factors: vec![GroupingFactor {
                members: None,
                counts: None,
                codes: &code,
                n_levels: levels,
                precision: None,
            }],
            terms: vec![RandomTerm {
                factor: 0,
                columns: vec![Column::Constant, Column::Values(&x)],
                structure: Structure::Diagonal,
                classes: None,
            }],
            residual: Some(ResidualStructure {
                groups: None,
                correlation: None,
                scales: vec![Scale::OfCovariate {
                    function: ScaleFunction::Power,
                    covariate: &v,
                    stratum: None,
                    strata: 0,
                }],
                start: Vec::new(),
                held: Vec::new(),
            }),
        });
    }

    #[test]
    fn held_parameters_beside_variance_functions_are_no_longer_way() {
        with_variance_function(|data| {
            let options = Options::default();
            let prepared = prepare(data, &options, &StopFlag::default()).unwrap();
            let model = &prepared.residual.as_ref().unwrap().model;
            let start = InternalTheta::new(vec![0.3, 0.4, 0.0]);
            // one held, both tied
            let held = Restriction::holding(&start, |a| a == 0);
            let tied = vec![Some((0, 1.0)), Some((0, 2.0)), Some((1, 1.0))];
            let tied = Restriction::new(tied, start.values().to_vec(), 2);
            for restriction in [&held, &tied] {
                let run = |centred: Option<Centred<'_>>| {
                    let clock = Clock::without_limit(&|| false);
                    let mut criterion = prepared.criterion(&prepared.center.b, true, clock);
                    let x = restriction.expand(&restriction.variables_at(&start));
                    let value = criterion.value(&x).unwrap();
                    let chart = (Some(restriction), centred);
                    minimize_in(chart, &mut criterion, &x, value, settings(&options))
                };
                let plain = run(None);
                let centred = Centred::new(&prepared.parameters, model, Some(restriction));
                let centred = run(Some(centred));
                assert_eq!(
                    (plain.stop, centred.stop),
                    (Stop::Converged, Stop::Converged)
                );
                assert!((plain.value - centred.value).abs() < 1e-9);
                for (a, b) in plain.x.values().iter().zip(centred.x.values()) {
                    assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{a} {b}");
                }
                let steps = (plain.evaluations, centred.evaluations);
                assert!(steps.1 <= steps.0, "{steps:?}");
            }
        });
    }
}
