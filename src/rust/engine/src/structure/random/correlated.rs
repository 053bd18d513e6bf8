//! Effects with a correlation structure: G = D C D, C of few parameters.
//!
//! | parameter | natural scale | internal, unconstrained |
//! |---|---|---|
//! | common relative standard deviation | s | x, s = abs(x) (G is even in it) |
//! | own relative standard deviations | s_1, ..., s_k | x, r_2, ..., r_k: s_i = abs(x) v_i^2, v on the unit sphere |
//! | correlations | those of [`crate::structure::correlation`], which may be at their ends | |
//!
//! v = (2 - d, 2 r_2, ..., 2 r_k) / d, d = 1 + sum r_i^2, is the stereographic projection: abs(x) is the sum of the
//! deviations, and v_i^2 the share of each. The sine makes a correlation at its boundary an ordinary smooth minimum, as the
//! square does a share of zero, and a variance of zero is one in x.

use crate::api::kinds::CorrelationKind;
use crate::linalg::hyperdual::{HyperDual, Scalar};
use crate::linalg::small;
use crate::runtime::memory;
use crate::structure::correlation::registry::Family;
use crate::structure::correlation::structure::Components;
use crate::structure::random::covariance::Covariance;
use crate::structure::random::linear;

/// Rounding errors of the square root of a share of the standard deviations.
const ROUNDING: f64 = 1e-14;

/// Rounding of an angle at its end.
const AT_END: f64 = 1e-8;

/// Deviation next to the largest one on the way off a G of zero.
const SMALL_RATIO: f64 = 0.05;

/// G = D C D.
#[derive(Debug)]
pub struct Correlated {
    /// Effects of a level.
    pub k: usize,
    /// C.
    family: Family,
    /// Whether all effects have the same variance.
    homogeneous: bool,
}

impl Correlated {
    /// Of k effects.
    pub fn new(correlation: CorrelationKind, k: usize, homogeneous: bool) -> Self {
        Self {
            k,
            family: Family::of_effects(correlation, k),
            homogeneous,
        }
    }

    fn deviations(&self) -> usize {
        if self.homogeneous {
            1
        } else {
            self.k
        }
    }

    fn correlations(&self) -> usize {
        self.family.len()
    }

    /// Whether G is linear in a variance and covariances.
    fn has_covariances(&self) -> bool {
        self.homogeneous && self.family.components() == Components::Covariances
    }

    /// Internal correlation parameters: those at hand, and strong and moderate ones of either sign.
    fn correlations_to_try(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let mut out = vec![theta[self.deviations()..].to_vec()];
        for first in [-1.3, -0.5, 0.5, 1.3] {
            let mut y = vec![0.0; self.correlations()];
            y[0] = first;
            out.push(y);
        }
        out
    }

    /// Internal shares of deviations along which a small G may lower the criterion most: all the same, one effect
    /// alone, and the smallest eigenvector of the score times C, entry by entry.
    fn deviations_to_try(&self, unit: &[f64], score: &[f64]) -> Vec<Vec<f64>> {
        if self.homogeneous {
            return vec![Vec::new()];
        }
        let k = self.k;
        let mut equal = unit.to_vec();
        equal[0] = k as f64;
        equal[1..k].copy_from_slice(&shares(&vec![1.0; k]));
        let c = self.matrix(&equal);
        let product: Vec<f64> = memory::collect((0..k * k).map(|e| score[e] * c[e]));
        let (_, vectors) = small::symmetric_eigen(&product, k);
        let mut directions = vec![vec![1.0; k], vectors[..k].to_vec()];
        directions.extend((0..k).map(|i| linear::unit(k, i)));
        directions
            .iter()
            .map(|v| {
                let largest = v.iter().fold(0.0f64, |a, x| a.max(x.abs()));
                let safe: Vec<f64> = v
                    .iter()
                    .map(|x| (x.abs() / largest).max(SMALL_RATIO))
                    .collect();
                shares(&safe)
            })
            .collect()
    }

    /// Parameters at standard deviations of each effect and at internal correlations.
    fn at(&self, deviations: &[f64], correlations: &[f64]) -> Vec<f64> {
        let mut out = vec![deviations.iter().sum()];
        out.extend(shares(deviations));
        out.extend_from_slice(correlations);
        out
    }

    /// The same as [`Covariance::multiplier`] where some standard deviations are zero beside others, and where the way off
    /// leads: parameters with one of those as large as the largest. A share is a square, so that nothing moves with its root, but
    /// covariances are of the first order in the deviation s_i: d criterion / d s_i = 2 sum_j S_ij s_j rho_ij, over the
    /// largest deviation to be one in a variance. Where no two effects vary, correlations are whatever makes that least.
    fn multiplier_beside(&self, theta: &[f64], score: &[f64]) -> Option<(f64, Vec<f64>)> {
        let (k, deviations) = (self.k, self.sds(theta));
        let largest = deviations.iter().fold(0.0f64, |a, s| a.max(s.abs()));
        let is_open = deviations.iter().filter(|s| **s != 0.0).count() < 2;
        let mut correlations = self.correlations_to_try(theta);
        if !is_open {
            correlations.truncate(1);
        }
        let mut best: Option<(f64, Vec<f64>)> = None;
        for own in &correlations {
            let rho = self.by_lag(own);
            for i in (0..k).filter(|&i| deviations[i] == 0.0) {
                let others = (0..k).filter(|&j| j != i);
                let along =
                    |j: usize| score[j * k + i] * deviations[j].abs() * rho[i.abs_diff(j) - 1];
                let slope = 2.0 * others.map(along).sum::<f64>() / largest;
                // no slope: its own variance decides
                let value = if slope > 0.0 {
                    slope
                } else {
                    slope + score[i * k + i].min(0.0)
                };
                if best.as_ref().is_none_or(|best| value < best.0) {
                    let mut there = deviations.clone();
                    there[i] = largest;
                    best = Some((value, self.at(&there, own)));
                }
            }
        }
        best
    }

    /// Standard deviations.
    fn sds<S: Scalar>(&self, theta: &[S]) -> Vec<S> {
        if self.homogeneous {
            return vec![theta[0]; self.k];
        }
        let r = &theta[1..self.k];
        let d = r.iter().fold(S::constant(1.0), |d, r| d + r.square());
        let first = ((-d + 2.0) / d).square() * theta[0];
        let others = r.iter().map(|r| (*r * 2.0 / d).square() * theta[0]);
        std::iter::once(first).chain(others).collect()
    }

    /// Correlations of effects at distance 1, 2, ..., k - 1, the same for all pairs at this distance.
    fn by_lag<S: Scalar>(&self, y: &[S]) -> Vec<S> {
        let law = self.family.law(y, self.k - 1);
        let lags = 1..self.k;
        lags.map(|lag| law.between(&[1.0], &[1.0 + lag as f64]))
            .collect()
    }

    fn matrix<S: Scalar>(&self, theta: &[S]) -> Vec<S> {
        let k = self.k;
        let rho = self.by_lag(&theta[self.deviations()..]);
        let deviation = self.sds(theta);
        memory::collect((0..k * k).map(|e| {
            let (i, j) = (e % k, e / k);
            let product = deviation[i] * deviation[j];
            if i == j {
                product
            } else {
                product * rho[i.abs_diff(j) - 1]
            }
        }))
    }

    fn hyper(&self, theta: &[f64], a: usize, b: usize) -> Vec<HyperDual> {
        self.matrix(&HyperDual::seeded(theta, a, b))
    }
}

/// r_2, ..., r_k of standard deviations.
fn shares(deviations: &[f64]) -> Vec<f64> {
    let total: f64 = deviations.iter().sum();
    let equal = 1.0 / deviations.len() as f64;
    let v = |s: f64| if total > 0.0 { s / total } else { equal }.sqrt();
    let first = v(deviations[0]);
    deviations[1..]
        .iter()
        .map(|s| v(*s) / (1.0 + first))
        .collect()
}

impl Covariance for Correlated {
    fn k(&self) -> usize {
        self.k
    }

    fn len(&self) -> usize {
        self.deviations() + self.correlations()
    }

    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>> {
        None
    }

    fn factor(&self, theta: &[f64]) -> Vec<f64> {
        small::semidefinite_cholesky(&self.matrix(theta), self.k, 1e-14)
    }

    // of G itself: its root leaves out deviations that are small next to others, and their correlations
    fn between(&self, theta: &[f64], x: &[f64], y: &[f64]) -> f64 {
        let (k, g) = (self.k, self.matrix(theta));
        (0..k * k).map(|e| x[e % k] * g[e] * y[e / k]).sum()
    }

    fn derivative(&self, theta: &[f64], a: usize) -> Vec<f64> {
        self.hyper(theta, a, a).iter().map(|v| v.a).collect()
    }

    fn second(&self, theta: &[f64], a: usize, b: usize) -> Vec<f64> {
        self.hyper(theta, a, b).iter().map(|v| v.ab).collect()
    }

    fn start(&self, tau: f64) -> Vec<f64> {
        let mut theta = vec![0.0; self.len()];
        let deviations = vec![tau; self.deviations()];
        theta[0] = deviations.iter().sum();
        theta[1..self.deviations()].copy_from_slice(&shares(&deviations));
        let family = self.family;
        if let Some(correlations) = family.internal(&family.start(1.0)) {
            theta[self.deviations()..].copy_from_slice(&correlations);
        }
        theta
    }

    fn reduced(&self, theta: &[f64], limit: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        let k = self.k;
        let g = self.matrix(theta);
        if (0..k).all(|i| g[i * k + i] < limit) {
            let mut zero = theta.to_vec();
            zero[0] = 0.0;
            return Some((zero, (0..k).map(|i| linear::unit(k, i)).collect()));
        }
        let mut theta = theta.to_vec();
        if !self.homogeneous {
            // a share of zero up to rounding
            let mut deviations = self.sds(&theta);
            let small = |s: &f64| s * s < limit;
            if deviations.iter().any(small) {
                deviations.iter_mut().for_each(|s| {
                    *s = if small(s) { 0.0 } else { s.abs() };
                });
                theta[0] = deviations.iter().sum();
                theta[1..k].copy_from_slice(&shares(&deviations));
            }
        }
        let (values, vectors) = small::symmetric_eigen(&g, k);
        let null: Vec<Vec<f64>> = (0..k)
            .filter(|&i| values[i] < limit)
            .map(|i| vectors[i * k..(i + 1) * k].to_vec())
            .collect();
        (!null.is_empty()).then_some((theta, null))
    }

    fn multiplier(&self, theta: &[f64], score: &[f64], _: &[Vec<f64>]) -> (f64, Vec<f64>) {
        let k = self.k;
        let mut unit = theta.to_vec();
        if unit[0] != 0.0 {
            // a correlation at its end: the sine makes it an ordinary minimum
            let beside = self.multiplier_beside(theta, score);
            return beside.unwrap_or((f64::NAN, vec![0.0; k]));
        }
        // G = 0 leaves the ratios of the deviations and C open: the way off is looked for over them
        let slope = |unit: &[f64]| {
            let g = self.matrix(unit);
            let trace: f64 = (0..k).map(|i| g[i * k + i]).sum();
            small::trace_product(score, &g, k) / trace
        };
        unit[0] = 1.0;
        let mut best = (slope(&unit), unit);
        for correlations in self.correlations_to_try(theta) {
            let mut unit = vec![0.0; self.len()];
            unit[0] = 1.0;
            unit[self.deviations()..].copy_from_slice(&correlations);
            for deviations in self.deviations_to_try(&unit, score) {
                unit[1..self.deviations()].copy_from_slice(&deviations);
                let along = slope(&unit);
                if along < best.0 {
                    best = (along, unit.clone());
                }
            }
        }
        best
    }

    fn with_variance(&self, theta: &[f64], direction: &[f64], variance: f64) -> Vec<f64> {
        // a direction from `multiplier` is a whole set of parameters
        let from = if direction.len() == theta.len() && theta[0] == 0.0 {
            direction
        } else {
            theta
        };
        let mut out = from.to_vec();
        if !self.homogeneous && direction.len() == theta.len() && theta[0] != 0.0 {
            // from `multiplier_beside`: what is zero but not there gets the variance
            let own = self.sds(theta);
            let mut deviations = self.sds(direction);
            for (deviation, own) in deviations.iter_mut().zip(own) {
                if own == 0.0 && *deviation != 0.0 {
                    *deviation = variance.sqrt();
                } else {
                    *deviation = own.abs();
                }
            }
            return self.at(&deviations, &direction[self.deviations()..]);
        }
        let equal = self.deviations() as f64;
        out[0] = (theta[0].powi(2) + equal * equal * variance).sqrt();
        out
    }

    fn sizes(&self) -> usize {
        1
    }

    /// Strong and moderate correlations of either sign; one standard deviation much larger than the others.
    fn shapes(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let d = self.deviations();
        let mut out: Vec<Vec<f64>> = self.correlations_to_try(theta)[1..]
            .iter()
            .map(|correlations| [&theta[..d], correlations].concat())
            .collect();
        let alone = if self.homogeneous { 0 } else { self.k.min(16) };
        out.extend((0..alone).map(|i| {
            let mut deviations = vec![SMALL_RATIO; self.k];
            deviations[i] = 1.0;
            let mut shape = theta.to_vec();
            shape[1..d].copy_from_slice(&shares(&deviations));
            shape
        }));
        out
    }

    fn anywhere(&self, deviations: &[f64], chance: &mut dyn FnMut() -> f64) -> Option<Vec<f64>> {
        let deviations = &deviations[..self.deviations()];
        let mut out = vec![deviations.iter().sum()];
        out.extend(shares(deviations));
        // effects are at positions 1, ..., k
        out.extend(self.family.anywhere(chance, (1.0, self.k as f64)));
        Some(out)
    }

    fn smaller(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let mut without = theta.to_vec();
        without[0] = 0.0;
        Vec::from_iter((theta[0] != 0.0).then_some(without))
    }

    fn inflated(&self, theta: &[f64], variance: f64) -> Vec<f64> {
        let deviations: Vec<f64> = self.sds(theta)[..self.deviations()]
            .iter()
            .map(|s| (s * s + variance).sqrt())
            .collect();
        let mut out = theta.to_vec();
        out[0] = deviations.iter().sum();
        out[1..self.deviations()].copy_from_slice(&shares(&deviations));
        out
    }

    fn scale(&self, theta: &[f64], natural: f64) -> Vec<f64> {
        let mut out = vec![0.5; self.len()];
        out[0] = theta[0].abs().max(natural);
        out
    }

    /// What is left of an angle to its end, where 1 - r^2 is its square; at the end itself nothing is.
    fn reach(&self, theta: &[f64]) -> Vec<f64> {
        let angles = self.deviations()..self.deviations() + self.family.angles();
        let of_angle = |x: f64| match x.cos().abs() {
            left if left < AT_END => 1.0,
            left => left,
        };
        let parameters = theta.iter().enumerate();
        parameters
            .map(|(a, &x)| {
                if angles.contains(&a) {
                    of_angle(x)
                } else {
                    1.0
                }
            })
            .collect()
    }

    fn variances(&self) -> usize {
        if self.has_covariances() {
            self.len()
        } else {
            self.deviations()
        }
    }

    fn components(&self, theta: &[HyperDual]) -> Vec<HyperDual> {
        let d = self.deviations();
        let g = self.matrix(theta);
        let mut out: Vec<HyperDual> = (0..d).map(|i| g[i * self.k + i]).collect();
        let correlations = self.family.natural(&theta[d..]);
        if self.has_covariances() {
            let variance = out[0];
            out.extend(correlations.into_iter().map(|rho| rho * variance));
        } else {
            out.extend(correlations);
        }
        out
    }

    /// Correlations mean nothing where fewer than two effects vary.
    fn is_null(&self, theta: &[f64], a: usize) -> bool {
        let varying = self.sds(theta).iter().filter(|s| **s != 0.0).count();
        varying == 0 || a >= self.deviations() && varying < 2
    }

    fn natural(&self, theta: &[f64], scales: &[f64]) -> Vec<f64> {
        let d = self.deviations();
        let deviations = self.sds(theta);
        // a share is a square, that of the first one of a difference, exact to rounding
        let nothing = ROUNDING * ROUNDING * theta[0].abs();
        let size = |(s, scale): (&f64, &f64)| {
            if s.abs() <= nothing {
                0.0
            } else {
                s.abs() * scale
            }
        };
        let mut out: Vec<f64> = deviations[..d].iter().zip(scales).map(size).collect();
        out.extend(self.family.natural(&theta[d..]));
        out
    }

    fn internal(&self, natural: &[f64], scales: &[f64]) -> Option<Vec<f64>> {
        let d = self.deviations();
        let (deviations, rho) = natural.split_at(d);
        if deviations.iter().any(|s| *s < 0.0) || rho.iter().any(|r| r.abs() > 1.0) {
            return None;
        }
        let own = deviations.iter().zip(scales).map(|(s, scale)| s / scale);
        let deviations: Vec<f64> = own.collect();
        let mut out = vec![deviations.iter().sum()];
        out.extend(shares(&deviations));
        out.extend(self.family.internal(rho)?);
        Some(out)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::structure::random::covariance::derivatives_are_differences;

    fn structures() -> Vec<Correlated> {
        let mut out = Vec::new();
        for name in ["cs", "ar1", "toep"] {
            let correlation = CorrelationKind::named(name).expect("a known kind");
            for homogeneous in [true, false] {
                for k in 2..5 {
                    out.push(Correlated::new(correlation, k, homogeneous));
                }
            }
        }
        out
    }

    fn point(structure: &Correlated) -> Vec<f64> {
        (0..structure.len())
            .map(|i| 0.7 - 0.31 * i as f64 + 0.04 * (i * i) as f64)
            .collect()
    }

    #[test]
    fn derivatives_are_those_of_g() {
        for s in structures() {
            derivatives_are_differences(&s, &|theta| s.matrix(theta), &point(&s));
        }
    }

    #[test]
    fn deviations_and_correlations_can_be_anything() {
        for s in structures() {
            let sizes = &[0.1, 1.0, 10.0, 100.0][..s.k];
            let mut chance = [0.01, 0.4, 0.99].into_iter().cycle();
            let theta = s
                .anywhere(sizes, &mut || chance.next().expect("it goes on"))
                .expect("these structures have shapes");
            let natural = s.natural(&theta, &[1.0; 4]);
            let (deviations, correlations) = natural.split_at(s.deviations());
            for (own, size) in deviations.iter().zip(sizes) {
                assert!((own / size - 1.0).abs() < 1e-9, "{s:?}: {own}");
            }
            assert!(correlations[0] < -0.3, "{s:?}: {correlations:?}");
        }
    }

    #[test]
    fn natural_and_internal_are_inverse() {
        for s in structures() {
            let theta = point(&s);
            let scales = [2.5, 1e9, 1e-9, 0.3];
            let natural = s.natural(&theta, &scales);
            for (i, own) in natural[..s.deviations()].iter().enumerate() {
                let expected = scales[i] * s.sds(&theta)[i].abs();
                assert!((own / expected - 1.0).abs() < 1e-12, "{s:?}");
            }
            let back = s.internal(&natural, &scales).expect("possible values");
            for (x, y) in s.matrix(&theta).iter().zip(s.matrix(&back)) {
                assert!((x - y).abs() < 1e-12, "{s:?}");
            }
        }
    }

    #[test]
    fn t_is_the_factor_of_g() {
        for s in structures() {
            let theta = point(&s);
            let t = s.factor(&theta);
            let mut g = vec![0.0; s.k * s.k];
            small::mul_nt(&t, &t, s.k, s.k, s.k, &mut g);
            for (x, y) in g.iter().zip(s.matrix(&theta)) {
                assert!((x - y).abs() < 1e-12, "{s:?}");
            }
        }
    }
}
