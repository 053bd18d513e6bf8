//! Trust-region Newton (Conn, Gould & Toint 2000, chapter 7) with the exact solution of the subproblem from an
//! eigendecomposition: the number of parameters is small and the function is dear.
//!
//! Where the Hessian is only a model of it, what the model misses is learnt from the change of the gradient along each step,
//! by the symmetric rank-one update (Dennis, Gay & Welsch 1981, ACM Trans. Math. Softw. 7, with the update of Conn, Gould &
//! Toint 1991, Math. Program. 50): the convergence is superlinear all the same. Long steps update only an objective that asks
//! for it ([`Objective::uses_secant`]), short ones near the minimum any model.

use crate::api::options::Detour;
use crate::linalg::small::symmetric_eigen;
use crate::runtime::clock::Clock;
use crate::runtime::memory;

/// Eigenvalues below this, relative to the largest, count as flat.
const FLAT: f64 = 1e-10;

/// Smallest cosine between a step and what the model misses along it at which the rank-one update is safe.
const SAFE_UPDATE: f64 = 1e-6;

/// Share of the model's slope at the edge of the region that is made up along a direction of negative curvature.
const SADDLE: f64 = 0.05;

/// Decrement (half the squared Newton decrement) below which a point is close: an exact Hessian pays.
const CLOSE: f64 = 0.5;

/// Decrement below which steps are short enough for the update of any model.
const SHORT: f64 = 1e-2;

/// Share of the decrement that a step with a Hessian that is not exact may leave, close to the minimum.
const SLOW: f64 = 0.1;

/// So many steps that gain no more than this together are the end: along a curved valley each may promise more than the
/// tolerance and change only the last digits of the value.
const STEPS: usize = 10;
const NOTHING: f64 = 1e-9;

/// Which Hessian is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HessianRequest {
    /// A model.
    Model,
    /// The exact one if it costs less than the steps that it saves.
    Cheap,
    /// The exact one if it is affordable: steps with the model get nowhere.
    Exact,
}

/// A function to minimise.
pub trait Objective {
    /// Value at `x`; `None` where it is not defined.
    fn value(&mut self, x: &[f64]) -> Option<f64>;
    /// Gradient and Hessian (m x m) at the point of the last call of [`Objective::value`], and whether that Hessian is exact.
    fn derivatives(&mut self, wanted: HessianRequest) -> (Vec<f64>, Vec<f64>, bool);
    /// Whether secant updates pay along long steps too, where the Hessian is not exact: a good model is better left alone until
    /// steps are short.
    fn uses_secant(&self) -> bool;
    /// Natural size of each variable at `x`, positive.
    fn scale(&self, x: &[f64]) -> Vec<f64>;
    /// Size of rounding errors in the value `f`.
    fn noise(&self, f: f64) -> f64;
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Half the squared Newton decrement at which the point is optimal.
    pub tolerance: f64,
    /// Most evaluations of the value.
    pub max_evaluations: usize,
    /// Quasi-Newton steps before Newton's.
    pub detour: Detour,
}

/// Why it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The Newton decrement is below the tolerance (or below what rounding allows).
    Converged,
    /// Out of evaluations.
    Evaluations,
    /// Out of time.
    Time,
    /// Asked to.
    Interrupted,
    /// No step decreases the value although the gradient says there should be one.
    Stuck,
}

/// Where it stopped, in the variables that were moved or, as `X`, in others.
#[derive(Debug, Clone)]
pub struct Outcome<X = Vec<f64>> {
    /// The point.
    pub x: X,
    /// Its value.
    pub value: f64,
    /// Why.
    pub stop: Stop,
    /// Evaluations used.
    pub evaluations: usize,
    /// What another Newton step promises, half the squared Newton decrement.
    pub decrement: f64,
    /// Value after each accepted step, start included.
    pub trace_value: Vec<f64>,
    /// Largest scaled gradient at those points.
    pub trace_gradient: Vec<f64>,
}

impl<X> Outcome<X> {
    /// This outcome, its point in other coordinates.
    pub(crate) fn at_point<Y>(self, to: impl FnOnce(X) -> Y) -> Outcome<Y> {
        Outcome {
            x: to(self.x),
            value: self.value,
            stop: self.stop,
            evaluations: self.evaluations,
            decrement: self.decrement,
            trace_value: self.trace_value,
            trace_gradient: self.trace_gradient,
        }
    }
}

impl Outcome {
    /// Before the first step.
    pub(super) fn at(start: &[f64], value: f64) -> Self {
        Self {
            x: start.to_vec(),
            value,
            stop: Stop::Evaluations,
            evaluations: 1,
            decrement: f64::INFINITY,
            trace_value: vec![value],
            trace_gradient: Vec::new(),
        }
    }
}

/// Local quadratic model in scaled variables, diagonalised.
struct Model {
    scale: Vec<f64>,
    gradient: Vec<f64>,
    values: Vec<f64>,
    vectors: Vec<f64>,
    rotated: Vec<f64>,
}

impl Model {
    pub(crate) fn new(scale: Vec<f64>, gradient: &[f64], hessian: &[f64]) -> Self {
        let m = scale.len();
        let gradient: Vec<f64> = gradient.iter().zip(&scale).map(|(g, s)| g * s).collect();
        let scaled: Vec<f64> =
            memory::collect((0..m * m).map(|e| hessian[e] * scale[e % m] * scale[e / m]));
        let (values, vectors) = symmetric_eigen(&scaled, m);
        let rotated = (0..m)
            .map(|i| (0..m).map(|r| vectors[i * m + r] * gradient[r]).sum())
            .collect();
        Self {
            scale,
            gradient,
            values,
            vectors,
            rotated,
        }
    }

    fn floor(&self) -> f64 {
        FLAT * self.values.iter().fold(1.0, |a: f64, v| a.max(v.abs()))
    }

    /// Whether there is a direction of negative curvature.
    fn bends_down(&self) -> bool {
        let floor = self.floor();
        self.values.iter().any(|v| *v < -10.0 * floor)
    }

    fn max_gradient(&self) -> f64 {
        self.gradient.iter().fold(0.0, |a, g| a.max(g.abs()))
    }

    /// Half the squared Newton decrement; infinite at a point with negative curvature.
    fn decrement(&self) -> f64 {
        if self.bends_down() {
            return f64::INFINITY;
        }
        let floor = self.floor();
        0.5 * self
            .values
            .iter()
            .zip(&self.rotated)
            .map(|(v, g)| g * g / v.max(floor))
            .sum::<f64>()
    }

    /// Minimiser of the model within the radius: step in rotated coordinates, and the decrease that it promises.
    fn step(&self, radius: f64) -> (Vec<f64>, f64) {
        let floor = self.floor();
        let lowest = self.values.first().copied().unwrap_or(0.0);
        // At a saddle the gradient says nothing about the way down (the "hard case"): a little of it is made up there.
        let mut gradient = self.rotated.clone();
        let least = SADDLE * lowest.abs() * radius;
        if lowest < -floor && gradient[0].abs() < least {
            gradient[0] = least.copysign(gradient[0]);
        }
        let at = |shift: f64| -> Vec<f64> {
            self.values
                .iter()
                .zip(&gradient)
                .map(|(v, g)| -g / (v + shift).max(floor))
                .collect()
        };
        let length = |step: &[f64]| step.iter().map(|s| s * s).sum::<f64>().sqrt();
        let mut step = at(0.0);
        if lowest < floor || length(&step) > radius {
            // (H + shift) positive definite: bisect on the length, which decreases in the shift
            let mut low = (-lowest).max(0.0);
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let mut high = low + norm / radius + floor;
            step = at(high);
            for _ in 0..200 {
                let middle = 0.5 * (low + high);
                let trial = at(middle);
                if length(&trial) > radius {
                    low = middle;
                } else {
                    high = middle;
                    step = trial;
                }
                if high - low <= 1e-12 * high {
                    break;
                }
            }
        }
        let promised = -step
            .iter()
            .zip(&self.rotated)
            .zip(&self.values)
            .map(|((s, g), v)| s * g + 0.5 * v * s * s)
            .sum::<f64>();
        (step, promised)
    }

    fn move_from(&self, x: &[f64], step: &[f64]) -> Vec<f64> {
        let m = x.len();
        (0..m)
            .map(|r| {
                x[r] + self.scale[r]
                    * (0..m)
                        .map(|i| self.vectors[i * m + r] * step[i])
                        .sum::<f64>()
            })
            .collect()
    }
}

/// What a model of the Hessian misses.
struct Secant {
    /// m x m.
    missing: Vec<f64>,
    /// Point and gradient before the step.
    before: Option<(Vec<f64>, Vec<f64>)>,
}

impl Secant {
    pub(crate) fn new(m: usize) -> Self {
        Self {
            missing: memory::zeros(m * m),
            before: None,
        }
    }

    /// The model with its update. Where the update is the only reason that a `good` model has negative curvature, it is
    /// dropped.
    fn model(&mut self, gradient: &[f64], hessian: &[f64], scale: Vec<f64>, good: bool) -> Model {
        let corrected: Vec<f64> =
            memory::collect(hessian.iter().zip(&self.missing).map(|(a, b)| a + b));
        let model = Model::new(scale, gradient, &corrected);
        if good && model.bends_down() && self.missing.iter().any(|v| *v != 0.0) {
            let plain = Model::new(model.scale.clone(), gradient, hessian);
            if !plain.bends_down() {
                self.missing.fill(0.0);
                return plain;
            }
        }
        model
    }

    /// Learns from the step that led to `x`.
    fn learn(&mut self, x: &[f64], gradient: &[f64], model: &[f64], scale: &[f64]) {
        let m = x.len();
        if let Some((from, old)) = &self.before {
            // in scaled variables
            let step: Vec<f64> = (0..m).map(|i| (x[i] - from[i]) / scale[i]).collect();
            let gap: Vec<f64> = (0..m)
                .map(|i| {
                    let known: f64 = (0..m)
                        .map(|j| {
                            (model[j * m + i] + self.missing[j * m + i])
                                * scale[i]
                                * scale[j]
                                * step[j]
                        })
                        .sum();
                    (gradient[i] - old[i]) * scale[i] - known
                })
                .collect();
            let product: f64 = gap.iter().zip(&step).map(|(g, s)| g * s).sum();
            let length = |v: &[f64]| v.iter().map(|a| a * a).sum::<f64>().sqrt();
            if product.abs() > SAFE_UPDATE * length(&gap) * length(&step) {
                for j in 0..m {
                    for i in 0..m {
                        self.missing[j * m + i] +=
                            gap[i] * gap[j] / (product * scale[i] * scale[j]);
                    }
                }
            }
        }
    }
}

/// Whether the last steps have gained next to nothing.
fn has_stalled(values: &[f64]) -> bool {
    let before = values.len().checked_sub(STEPS + 1);
    before.is_some_and(|before| values[before] - values[values.len() - 1] <= NOTHING)
}

/// Minimises from `start`, where `value` is the function's value (as the last evaluation), as long as `clock` lets it.
pub(super) fn minimize(
    objective: &mut dyn Objective,
    start: &[f64],
    value: f64,
    settings: Settings,
    clock: Clock<'_>,
) -> Outcome {
    let mut out = Outcome::at(start, value);
    let mut wanted = HessianRequest::Model;
    let mut radius = 1.0;
    let mut last_decrement = f64::INFINITY;
    let mut last_finite = f64::INFINITY;
    let mut last_gradient = f64::INFINITY;
    let mut secant = Secant::new(start.len());
    loop {
        let scale = objective.scale(&out.x);
        let (gradient, hessian, is_exact) = objective.derivatives(wanted);
        // where time was over there may be no derivatives
        if clock.has_cut() {
            out.stop = Stop::Time;
            return out;
        }
        let mut model = if is_exact {
            Model::new(scale, &gradient, &hessian)
        } else {
            let uses_secant = objective.uses_secant();
            if uses_secant || last_finite < SHORT {
                secant.learn(&out.x, &gradient, &hessian, &scale);
            }
            secant.before = Some((out.x.clone(), gradient.clone()));
            secant.model(&gradient, &hessian, scale, !uses_secant)
        };
        let mut decrement = model.decrement();
        let more = match wanted {
            HessianRequest::Model if decrement < CLOSE => HessianRequest::Cheap,
            HessianRequest::Cheap if !is_exact && decrement > SLOW * last_decrement => {
                HessianRequest::Exact
            }
            as_before => as_before,
        };
        if more != wanted {
            wanted = more;
            // where time is over there are none: those at hand will do
            if let (gradient, hessian, true) = objective.derivatives(wanted) {
                model = Model::new(model.scale, &gradient, &hessian);
                decrement = model.decrement();
            }
        }
        if wanted != HessianRequest::Model {
            last_decrement = decrement;
        }
        out.decrement = decrement;
        if decrement.is_finite() {
            last_finite = decrement;
        }
        out.trace_gradient.push(model.max_gradient());
        clock.report(out.value, model.max_gradient());
        let noise = objective.noise(out.value);
        let at_limit = decrement < noise && model.max_gradient() > 0.3 * last_gradient;
        if decrement <= settings.tolerance || at_limit || has_stalled(&out.trace_value) {
            out.stop = Stop::Converged;
            return out;
        }
        last_gradient = model.max_gradient();
        loop {
            if clock.interrupted() {
                out.stop = Stop::Interrupted;
                return out;
            }
            if out.evaluations >= settings.max_evaluations {
                return out;
            }
            if clock.out_of_time() {
                out.stop = Stop::Time;
                return out;
            }
            let (step, promised) = model.step(radius);
            let trial = model.move_from(&out.x, &step);
            let length = step.iter().map(|s| s * s).sum::<f64>().sqrt();
            out.evaluations += 1;
            let reached = objective.value(&trial);
            let gain = reached.map_or(f64::NEG_INFINITY, |f| out.value - f);
            let ratio = if promised <= noise && gain.abs() <= 4.0 * noise {
                1.0
            } else {
                gain / promised
            };
            if ratio > 0.75 && length > 0.8 * radius {
                radius *= 3.0;
            } else if ratio < 0.25 {
                radius = 0.25 * length.min(radius);
            }
            if ratio > 1e-4 {
                if let Some(f) = reached {
                    out.x = trial;
                    out.value = f;
                    out.trace_value.push(f);
                    break;
                }
            }
            if radius < 1e-12 {
                out.stop = if decrement < 1e3 * noise {
                    Stop::Converged
                } else {
                    Stop::Stuck
                };
                return out;
            }
        }
    }
}
