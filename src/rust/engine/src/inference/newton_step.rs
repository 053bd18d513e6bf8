//! A Newton step of the criterion from a point near its optimum, as after the deletion of a few rows.

use crate::basis::internal_theta::InternalTheta;
use crate::criterion::objective::Criterion;
use crate::linalg::small;
use crate::runtime::memory;

/// Eigenvalues of the scaled Hessian below this share of the largest one carry no information.
const FLAT: f64 = 1e-9;

/// Corrections of the Newton step.
const CORRECTIONS: usize = 2;

/// A step that lowers the criterion by less than this changes theta by a few hundredths of its standard error.
const SMALL: f64 = 1e-3;

/// A step that promises more does not begin with the Hessian of all rows.
const MODERATE: f64 = 0.1;

/// Share of the promise of a step that the next may have: the Hessians differ by some tenths at most then.
const NEARER: f64 = 0.1;

/// A correction that lowers it by less is not made.
const NEGLIGIBLE: f64 = 1e-7;

/// One Newton step, and corrections with the same Hessian by the gradient where it leads: the step's error is of the order of
/// the square of the change in theta, and each correction takes that one order further. Where the rows that go change the Hessian
/// little, that of all rows does ([`small_step`]).
pub(super) fn newton_step(
    criterion: &mut Criterion<'_>,
    x: &InternalTheta,
    value: f64,
    whole: Option<&Curvature>,
) -> Option<InternalTheta> {
    if let Some(x) = whole.and_then(|whole| small_step(criterion, x, value, whole)) {
        return Some(x);
    }
    if !criterion.is_at(x) {
        criterion.value(x)?;
    }
    let model = Curvature::new(criterion, x)?;
    let (mut x, mut value) = (x.clone(), value);
    for _ in 0..=CORRECTIONS {
        let slopes = model.slopes(criterion)?;
        let Some((to, reached)) = model.descend(criterion, &x, value, &slopes) else {
            break;
        };
        if !criterion.is_at(&to) {
            criterion.value(&to)?;
        }
        (x, value) = (to, reached);
        if model.promise(&model.slopes(criterion)?) < NEGLIGIBLE {
            break;
        }
    }
    Some(x)
}

/// Steps by the Hessian of all rows, until what a step promised is so little that there is nothing to correct; `None` where they
/// promise so much, or come nearer by so little, that this Hessian will not do.
pub(super) fn small_step(
    criterion: &mut Criterion<'_>,
    x: &InternalTheta,
    value: f64,
    whole: &Curvature,
) -> Option<InternalTheta> {
    let (mut x, mut value) = (x.clone(), value);
    let mut most = MODERATE;
    loop {
        let slopes = whole.slopes_of(&criterion.gradient()?);
        let promise = whole.promise(&slopes);
        if promise >= most {
            return None;
        }
        let Some((to, reached)) = whole.descend(criterion, &x, value, &slopes) else {
            return Some(x);
        };
        if promise < SMALL {
            return Some(to);
        }
        if !criterion.is_at(&to) {
            criterion.value(&to)?;
        }
        (x, value) = (to, reached);
        most = NEARER * promise;
    }
}

/// A scaled Hessian by its eigenvalues and eigenvectors.
pub(super) struct Curvature {
    values: Vec<f64>,
    vectors: Vec<f64>,
    scale: Vec<f64>,
}

impl Curvature {
    /// At the point where the criterion was evaluated.
    pub(super) fn new(criterion: &mut Criterion<'_>, x: &InternalTheta) -> Option<Self> {
        let m = x.len();
        let hessian = criterion.exact_hessian()?;
        let scale = criterion.scale(x);
        let scaled: Vec<f64> =
            memory::collect((0..m * m).map(|e| hessian[e] * scale[e % m] * scale[e / m]));
        let (values, vectors) = small::symmetric_eigen(&scaled, m);
        Some(Self {
            values,
            vectors,
            scale,
        })
    }

    /// Slope of the criterion along each eigenvector, where it was evaluated; zero along those without curvature.
    fn slopes(&self, criterion: &mut Criterion<'_>) -> Option<Vec<f64>> {
        Some(self.slopes_of(&criterion.latest()?.derivatives.gradient))
    }

    /// Slopes along each eigenvector from the gradient.
    fn slopes_of(&self, gradient: &[f64]) -> Vec<f64> {
        let limit = FLAT * self.values.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        let along = |(vector, value): (&[f64], &f64)| {
            let parts = vector.iter().zip(gradient).zip(&self.scale);
            match value.abs() > limit {
                true => parts.map(|((v, g), s)| v * g * s).sum(),
                false => 0.0,
            }
        };
        let vectors = self.vectors.chunks_exact(self.scale.len().max(1));
        vectors.zip(&self.values).map(along).collect()
    }

    /// Decrease that the Newton step promises.
    fn promise(&self, slopes: &[f64]) -> f64 {
        let lost = slopes.iter().zip(&self.values).filter(|(s, _)| **s != 0.0);
        0.5 * lost.map(|(s, v)| s * s / v.abs()).sum::<f64>()
    }

    /// A step downhill from the point where the criterion was evaluated: at most as long as theta itself in the units of
    /// [`Criterion::scale`], variances not below zero, halved while it does not lower the criterion. Directions in which the
    /// criterion is not convex are followed downhill. Where it leads and the value there; `None` if it does not lower the
    /// criterion.
    fn descend(
        &self,
        criterion: &mut Criterion<'_>,
        x: &InternalTheta,
        value: f64,
        slopes: &[f64],
    ) -> Option<(InternalTheta, f64)> {
        let m = x.len();
        let mut step = memory::zeros(m);
        for ((vector, value), slope) in self
            .vectors
            .chunks_exact(m.max(1))
            .zip(&self.values)
            .zip(slopes)
            .filter(|(_, slope)| **slope != 0.0)
        {
            step.iter_mut()
                .zip(vector)
                .for_each(|(s, v)| *s -= slope / value.abs() * v);
        }
        let length = step.iter().map(|s| s * s).sum::<f64>().sqrt();
        let mut factor = if length > 1.0 { 1.0 / length } else { 1.0 };
        for _ in 0..10 {
            let trial = (0..m)
                .map(|a| {
                    let moved = x[a] + factor * step[a] * self.scale[a];
                    let parameter = criterion.parameters.list.get(a);
                    let entry = parameter.and_then(|parameter| parameter.entries.first());
                    if entry.is_some_and(|e| e.0 == e.1) {
                        moved.max(0.0)
                    } else {
                        moved
                    }
                })
                .collect();
            let trial = InternalTheta::new(trial);
            if let Some(reached) = criterion.value(&trial).filter(|reached| *reached < value) {
                return Some((trial, reached));
            }
            factor *= 0.5;
        }
        None
    }
}
