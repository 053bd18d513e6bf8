//! Quasi-Newton steps if wanted, then Newton's.

use crate::api::options::Detour;
use crate::optimize::quasi_newton;
use crate::optimize::trust_region::{self, Objective, Outcome, Settings, Stop};
use crate::runtime::clock::Clock;

/// Minimises from `start`, where `value` is the function's value (as the last evaluation), as long as `clock` lets it: by
/// Newton steps, after a detour if there is to be one.
pub fn minimize(
    objective: &mut dyn Objective,
    start: &[f64],
    value: f64,
    settings: Settings,
    clock: Clock<'_>,
) -> Outcome {
    let detour = Detour {
        evaluations: settings.detour.evaluations.min(settings.max_evaluations),
        ..settings.detour
    };
    if detour.evaluations == 0 {
        return trust_region::minimize(objective, start, value, settings, clock);
    }
    let mut before = quasi_newton::descend(objective, start, value, detour, clock);
    if matches!(before.stop, Stop::Interrupted | Stop::Time) {
        return before;
    }
    let Some(value) = objective.value(&before.x) else {
        return before;
    };
    let rest = Settings {
        max_evaluations: settings.max_evaluations - before.evaluations,
        ..settings
    };
    let mut out = trust_region::minimize(objective, &before.x, value, rest, clock);
    out.evaluations += before.evaluations;
    // the point where one ends and the other begins is in both traces
    before.trace_value.extend(out.trace_value.drain(1..));
    before.trace_gradient.truncate(before.trace_value.len() - 1);
    before.trace_gradient.append(&mut out.trace_gradient);
    out.trace_value = before.trace_value;
    out.trace_gradient = before.trace_gradient;
    out
}
