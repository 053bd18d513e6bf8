//! BFGS steps with backtracking (Nocedal & Wright 2006, Algorithms 3.1 and 6.1), in the natural scale of each variable at the
//! start, or in one for all.
//!
//! They find other optima. Newton steps follow the local curvature: from many starts they reach few optima, and hardly ever
//! some singular ones. The first of these steps follow the gradient, however far, until the value decreases.

use crate::api::options::Detour;
use crate::linalg::row_sums::dot;
use crate::optimize::trust_region::{HessianRequest, Objective, Outcome, Stop};
use crate::runtime::clock::Clock;
use crate::runtime::memory;

/// Share of the decrease that the slope promises which makes a step acceptable.
const ARMIJO: f64 = 1e-4;

/// Length of the next trial relative to one that was not acceptable.
const SHORTER: f64 = 0.2;

/// Shortest trial, relative to the whole step.
const SHORTEST: f64 = 1e-10;

/// Slope along a step (twice the decrease that it promises) and gain of the last one below which another minimum is not likely
/// to be on the way.
const NEAR: f64 = 1e-2;

/// The inverse of a Hessian, as far as it is known, m x m.
struct Inverse {
    entries: Vec<f64>,
    m: usize,
    /// It is the identity: no step has been seen.
    is_unit: bool,
}

impl Inverse {
    fn unit(m: usize) -> Self {
        let mut entries = memory::zeros(m * m);
        entries.iter_mut().step_by(m + 1).for_each(|v| *v = 1.0);
        Self {
            entries,
            m,
            is_unit: true,
        }
    }

    fn times(&self, v: &[f64]) -> Vec<f64> {
        self.entries
            .chunks_exact(self.m)
            .map(|row| dot(row, v))
            .collect()
    }

    /// Updates from a `step` along which the gradient changed by `change`; starts again where the curvature is not positive.
    fn learn(&mut self, step: &[f64], change: &[f64]) {
        let curvature = dot(step, change);
        if curvature <= 0.0 {
            *self = Self::unit(self.m);
            return;
        }
        let moved = self.times(change);
        let weight = 1.0 + dot(&moved, change) / curvature;
        for i in 0..self.m {
            for j in 0..self.m {
                let mixed = moved[i] * step[j] + step[i] * moved[j];
                self.entries[i * self.m + j] += (weight * step[i] * step[j] - mixed) / curvature;
            }
        }
        self.is_unit = false;
    }
}

/// Takes steps from `start`, where `value` is the function's value (as the last evaluation), for as many evaluations as
/// `detour` has, as long as `clock` lets it. Says [`Stop::Stuck`] where no step decreases the value, or promises much: whether
/// that is a minimum is decided by the caller.
pub(super) fn descend(
    objective: &mut dyn Objective,
    start: &[f64],
    value: f64,
    detour: Detour,
    clock: Clock<'_>,
) -> Outcome {
    let mut out = Outcome::at(start, value);
    let m = start.len();
    let mut unit = objective.scale(start);
    if detour.in_one_scale {
        let mean = (dot(&unit, &unit) / m as f64).sqrt();
        unit.fill(mean);
    }
    let gradient_at_last = |objective: &mut dyn Objective| -> Vec<f64> {
        let (gradient, ..) = objective.derivatives(HessianRequest::Model);
        gradient.iter().zip(&unit).map(|(g, u)| g * u).collect()
    };
    let mut inverse = Inverse::unit(m);
    let mut gradient = gradient_at_last(objective);
    let mut last_gain = f64::INFINITY;
    loop {
        let largest = gradient.iter().fold(0.0, |a: f64, g| a.max(g.abs()));
        out.trace_gradient.push(largest);
        clock.report(out.value, largest);
        let mut step: Vec<f64> = inverse.times(&gradient).iter().map(|v| -v).collect();
        if dot(&step, &gradient) >= 0.0 && !inverse.is_unit {
            inverse = Inverse::unit(m);
            step = gradient.iter().map(|g| -g).collect();
        }
        let slope = dot(&step, &gradient);
        if -slope < NEAR && last_gain < NEAR {
            out.stop = Stop::Stuck;
            return out;
        }
        let mut share = 1.0;
        let reached = loop {
            if clock.interrupted() {
                out.stop = Stop::Interrupted;
                return out;
            }
            if out.evaluations >= detour.evaluations {
                return out;
            }
            if clock.out_of_time() {
                out.stop = Stop::Time;
                return out;
            }
            if slope >= 0.0 || share < SHORTEST {
                out.stop = Stop::Stuck;
                return out;
            }
            let along = out.x.iter().zip(&step).zip(&unit);
            let trial: Vec<f64> = along.map(|((x, s), u)| x + share * u * s).collect();
            out.evaluations += 1;
            let least = out.value + ARMIJO * share * slope;
            if let Some(reached) = objective.value(&trial).filter(|reached| *reached <= least) {
                out.x = trial;
                break reached;
            }
            share *= SHORTER;
        };
        last_gain = out.value - reached;
        out.value = reached;
        out.trace_value.push(reached);
        let next = gradient_at_last(objective);
        step.iter_mut().for_each(|s| *s *= share);
        let change: Vec<f64> = next.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        inverse.learn(&step, &change);
        gradient = next;
    }
}

#[cfg(test)]
mod tests {
    use super::{descend, Detour, HessianRequest, Inverse, Objective};
    use crate::api::options::Options;
    use crate::optimize::Stop;
    use crate::runtime::clock::Clock;

    /// (1 - x)^2 + 100 (y - x^2)^2 (Rosenbrock 1960), and the calls of its value.
    struct Valley {
        at: [f64; 2],
        calls: usize,
    }

    impl Objective for Valley {
        fn value(&mut self, x: &[f64]) -> Option<f64> {
            self.at = [x[0], x[1]];
            self.calls += 1;
            Some((1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2))
        }
        fn derivatives(&mut self, _: HessianRequest) -> (Vec<f64>, Vec<f64>, bool) {
            let [x, y] = self.at;
            let off = y - x * x;
            let gradient = vec![-2.0 * (1.0 - x) - 400.0 * x * off, 200.0 * off];
            (gradient, vec![f64::NAN; 4], false)
        }
        fn uses_secant(&self) -> bool {
            false
        }
        fn scale(&self, _: &[f64]) -> Vec<f64> {
            vec![0.5, 2.0]
        }
        fn noise(&self, _: f64) -> f64 {
            0.0
        }
    }

    fn descent(evaluations: usize, in_one_scale: bool) -> (crate::optimize::Outcome, usize) {
        let start = [-1.2, 1.0];
        let mut valley = Valley {
            at: start,
            calls: 0,
        };
        let value = valley.value(&start).unwrap();
        let options = Options::default();
        let clock = Clock::new(&options, &|| false);
        let detour = Detour {
            evaluations,
            in_one_scale,
        };
        let out = descend(&mut valley, &start, value, detour, clock);
        (out, valley.calls)
    }

    #[test]
    fn every_step_goes_down_and_they_lead_close_to_the_minimum_without_a_hessian() {
        for in_one_scale in [false, true] {
            let (out, calls) = descent(500, in_one_scale);
            assert_eq!(out.stop, Stop::Stuck);
            assert_eq!(out.evaluations, calls);
            // about as near as is wanted
            assert!(out.value < 5.0 * super::NEAR, "{:?}", out.x);
            assert!(out.trace_value.windows(2).all(|pair| pair[1] < pair[0]));
            assert_eq!(out.trace_value.len(), out.trace_gradient.len());
        }
        // other scales are other ways
        assert_ne!(descent(10, false).0.x, descent(10, true).0.x);
    }

    #[test]
    fn evaluations_end_it() {
        let (out, calls) = descent(12, false);
        assert_eq!((out.stop, calls), (Stop::Evaluations, 12));
    }

    #[test]
    fn the_inverse_satisfies_the_secant_equation() {
        let mut inverse = Inverse::unit(3);
        inverse.learn(&[1.0, 0.5, -0.2], &[0.7, 0.1, 0.3]);
        let (step, change) = ([0.3, -1.0, 2.0], [0.2, -0.4, 1.5]);
        inverse.learn(&step, &change);
        let again = inverse.times(&change);
        for (a, b) in again.iter().zip(&step) {
            assert!((a - b).abs() < 1e-12);
        }
        // without positive curvature nothing is known
        inverse.learn(&step, &[-1.0, 0.0, 0.0]);
        assert!(inverse.is_unit && inverse.times(&step) == step);
    }
}
