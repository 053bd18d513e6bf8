//! The Hessian by differences of the exact gradient.

use crate::basis::internal_theta::InternalTheta;
use crate::criterion::iterative::estimator::Estimator;
use crate::criterion::objective::Criterion;
use crate::runtime::clock::Clock;
use crate::runtime::memory;

/// Step of differences of the gradient, relative to the size of a parameter: the error is its square.
const DIFFERENCE: f64 = 1e-4;

/// Relative step of [`FOUR_POINTS`], whose error is its fourth power.
const WIDE_DIFFERENCE: f64 = 1e-3;

/// Numbers that factors at other points may take, all together, at one time (64 MB).
const MOST_NUMBERS: usize = 1 << 23;

/// Steps and weights of differences.
const FORWARD: [(f64, f64); 2] = [(1.0, 1.0), (0.0, -1.0)];
const CENTRAL: [(f64, f64); 2] = [(1.0, 0.5), (-1.0, -0.5)];
const FOUR_POINTS: [(f64, f64); 4] = [
    (1.0, 2.0 / 3.0),
    (-1.0, -2.0 / 3.0),
    (2.0, -1.0 / 12.0),
    (-2.0, 1.0 / 12.0),
];

impl Criterion<'_> {
    /// Differences of the exact gradient, central or forward; `None` where the criterion is not defined all around. It is
    /// left evaluated at `theta`.
    pub fn differenced_hessian(
        &mut self,
        theta: &InternalTheta,
        central: bool,
    ) -> Option<Vec<f64>> {
        let hessian = self.differences(theta, central);
        if !self.is_at(theta) {
            let _ = self.value(theta);
        }
        hessian
    }

    fn differences(&mut self, theta: &InternalTheta, central: bool) -> Option<Vec<f64>> {
        let m = theta.len();
        let scale = self.reach(theta);
        let own = self.latest()?.derivatives.gradient.clone();
        let (weights, size): (&[(f64, f64)], f64) = match (central, self.has_independent_rows()) {
            (false, true) => (&FORWARD, DIFFERENCE),
            (true, false) => (&FOUR_POINTS, WIDE_DIFFERENCE),
            _ => (&CENTRAL, DIFFERENCE),
        };
        let moved: Vec<(usize, f64, f64)> = (0..m)
            .flat_map(|a| weights.iter().map(move |&(by, weight)| (a, by, weight)))
            .filter(|&(_, by, _)| by != 0.0)
            .collect();
        let points: Vec<InternalTheta> = moved
            .iter()
            .map(|&(a, by, _)| {
                let mut x = theta.clone();
                x[a] += by * size * scale[a];
                x
            })
            .collect();
        let gradients = if self.may_be_at_once() {
            self.gradients_at_once(&points)?
        } else {
            self.gradients(theta, &points)?
        };
        let mut hessian = memory::zeros(m * m);
        for (&(a, _, weight), gradient) in moved.iter().zip(&gradients) {
            for b in 0..m {
                hessian[a * m + b] += weight * gradient[b] / (size * scale[a]);
            }
        }
        // what weighs on the point itself
        for &(_, weight) in weights.iter().filter(|(by, _)| *by == 0.0) {
            for e in 0..m * m {
                hessian[e] += weight * own[e % m] / (size * scale[e / m]);
            }
        }
        Some(memory::collect(
            (0..m * m).map(|e| 0.5 * (hessian[e] + hessian[(e % m) * m + e / m])),
        ))
    }

    /// Whether other points may have factors of their own at the same time.
    fn may_be_at_once(&self) -> bool {
        let system = self.base;
        let complement = (2.0 * system.schur.storage.numbers()) as usize;
        let (moments, k1) = (&system.moments, system.k1());
        let rows = (system.q1() + system.schur.q2) * 4 * moments.p1;
        let blocks = 2 * k1 * (system.schur.effect_row.len() + system.q1());
        // weighted rows of X, y and Z and cross-products of their own
        let effects: usize = moments.factors.iter().map(|factor| factor.k).sum();
        let data = self.residual.map_or(0, |part| {
            part.rows.n() * (2 * moments.p1 + effects) + moments.numbers()
        });
        let each = complement + rows + blocks + data;
        self.estimator.is_none() && each * system.workers.count() <= MOST_NUMBERS
    }

    /// Gradients at other points, as many at a time as there are threads; this criterion stays where it is.
    fn gradients_at_once(&mut self, points: &[InternalTheta]) -> Option<Vec<Vec<f64>>> {
        self.evaluations += points.len();
        self.clock.count(self.evaluations);
        let (base, parameters, center) = (self.base, self.parameters, self.center);
        let (reml, change) = (self.reml, self.log_det_change);
        let (residual, sigma2, inverse_sigma2) =
            (self.residual, self.known_sigma2, self.fixed_inverse_sigma2);
        let penalty = self.penalty;
        let share = points.len().div_ceil(base.workers.count()).max(1);
        let shares: Vec<&[InternalTheta]> = points.chunks(share).collect();
        let found = base.workers.map(shares.len(), |i| {
            let mut other = Criterion::new(
                base,
                parameters,
                reml,
                center,
                change,
                Clock::without_limit(&|| false),
            )
            .with_residual(residual)
            .with_sigma2(sigma2)
            .with_penalty(penalty);
            other.fixed_inverse_sigma2 = inverse_sigma2;
            let mut at = |x: &InternalTheta| {
                other.value(x)?;
                other.gradient()
            };
            shares[i].iter().map(&mut at).collect::<Option<Vec<_>>>()
        });
        let found: Option<Vec<Vec<Vec<f64>>>> = found.into_iter().collect();
        Some(found?.into_iter().flatten().collect())
    }

    /// Gradients at other points, one after the other in the place of the factor at `theta`, which is found again.
    fn gradients(
        &mut self,
        theta: &InternalTheta,
        points: &[InternalTheta],
    ) -> Option<Vec<Vec<f64>>> {
        // estimates are put back instead of made again
        let snapshot = self.estimator.as_mut().map(Estimator::take_snapshot);
        let kept = snapshot.map(|snapshot| (snapshot, self.factor.take(), self.latest.take()));
        let mut gradients = Vec::with_capacity(points.len());
        for x in points {
            self.value(x)?;
            gradients.push(self.gradient()?);
        }
        match (kept, &mut self.estimator) {
            (Some((snapshot, factor, latest)), Some(estimator)) => {
                estimator.restore(snapshot);
                (self.factor, self.latest) = (factor, latest);
                self.point.copy_from(theta);
            }
            _ => {
                self.value(theta)?;
                self.latest()?;
            }
        }
        Some(gradients)
    }
}
