//! Factor-analytic covariance matrices: G = Lambda Lambda' + diag(psi) with d factors and specific variances psi_i = s_i^2
//! (Jennrich & Schluchter 1986, Biometrics 42; Smith, Cullis & Thompson 2001, Biometrics 57).
//!
//! Parameters are Lambda, then the specific deviations s_i. With S = d criterion / dG an optimum has S Lambda = 0 and S_ii = 0
//! where psi_i > 0. Where psi_i = 0, Heywood's case, d criterion / d psi_i = S_ii has to be no less than zero: that is its
//! multiplier. Where Lambda has fewer columns than it may, v'Sv has to be no less than zero for any column v: Lambda = 0 has
//! gradient zero and is no optimum.

use crate::linalg::hyperdual::HyperDual;
use crate::linalg::small;
use crate::structure::random::covariance::Covariance;
use crate::structure::random::{linear, loadings};

/// Loadings, then specific deviations.
#[derive(Debug)]
pub struct FactorAnalytic {
    /// Effects of a level.
    pub k: usize,
    /// Factors.
    pub factors: usize,
}

impl FactorAnalytic {
    /// Number of loadings.
    fn loadings(&self) -> usize {
        loadings::count(self.k, self.factors)
    }

    /// Lambda, k x d.
    fn lambda(&self, theta: &[f64]) -> Vec<f64> {
        loadings::matrix(&theta[..self.loadings()], self.k, self.factors)
    }

    fn matrix(&self, theta: &[f64]) -> Vec<f64> {
        let mut g = loadings::square(&self.lambda(theta), self.k);
        for (i, s) in theta[self.loadings()..].iter().enumerate() {
            g[i * self.k + i] += s * s;
        }
        g
    }

    fn of(&self, lambda: &[f64], deviations: &[f64]) -> Vec<f64> {
        [&loadings::parameters(lambda, self.k), deviations].concat()
    }

    /// Row and column of a loading; `None` of a specific deviation, whose effect is the second.
    fn place(&self, a: usize) -> Result<(usize, usize), usize> {
        let own = self.loadings();
        let mut places = loadings::places(self.k, self.factors);
        places.nth(a).ok_or_else(|| a - own)
    }

    /// Loadings with columns along eigenvalues below `limit` exactly zero, and how many are left.
    fn without_small(&self, theta: &[f64], limit: f64) -> (Vec<f64>, usize) {
        let lambda = self.lambda(theta);
        let square = loadings::square(&lambda, self.k);
        let (m, rank, _) = loadings::nearest(&square, self.k, self.factors, limit);
        if rank < self.factors {
            (m, rank)
        } else {
            (lambda, rank)
        }
    }

    fn is_zero(&self, lambda: &[f64], column: usize) -> bool {
        let own = &lambda[column * self.k..(column + 1) * self.k];
        own.iter().all(|v| *v == 0.0)
    }
}

impl Covariance for FactorAnalytic {
    fn k(&self) -> usize {
        self.k
    }

    fn len(&self) -> usize {
        self.loadings() + self.k
    }

    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>> {
        None
    }

    fn is_deviation(&self, _: usize) -> bool {
        true
    }

    fn row(&self, a: usize) -> Option<usize> {
        Some(self.place(a).map_or_else(|i| i, |(i, _)| i))
    }

    fn factor(&self, theta: &[f64]) -> Vec<f64> {
        small::semidefinite_cholesky(&self.matrix(theta), self.k, 1e-14)
    }

    // of G itself: its root leaves out deviations that are small next to others
    fn between(&self, theta: &[f64], x: &[f64], y: &[f64]) -> f64 {
        let (k, g) = (self.k, self.matrix(theta));
        (0..k * k).map(|e| x[e % k] * g[e] * y[e / k]).sum()
    }

    fn derivative(&self, theta: &[f64], a: usize) -> Vec<f64> {
        let k = self.k;
        match self.place(a) {
            Ok(place) => {
                let mut lambda = self.lambda(theta);
                lambda.resize(k * k, 0.0);
                linear::derivative(k, &[place], &lambda)
            }
            Err(i) => {
                let mut g = vec![0.0; k * k];
                g[i * k + i] = 2.0 * theta[a];
                g
            }
        }
    }

    fn second(&self, _: &[f64], a: usize, b: usize) -> Vec<f64> {
        let k = self.k;
        match (self.place(a), self.place(b)) {
            (Ok(x), Ok(y)) => linear::second(k, &[x], &[y]),
            (Err(i), Err(j)) if i == j => {
                let mut g = vec![0.0; k * k];
                g[i * k + i] = 2.0;
                g
            }
            _ => vec![0.0; k * k],
        }
    }

    /// Without factors: those that lower the criterion most come one after the other, as steps off this boundary.
    fn start(&self, tau: f64) -> Vec<f64> {
        let mut theta = vec![0.0; self.len()];
        theta[self.loadings()..].fill(tau);
        theta
    }

    fn steps_from_start(&self) -> usize {
        self.factors
    }

    /// With a unit vector for each specific variance of zero: G itself need not be singular there.
    fn reduced(&self, theta: &[f64], limit: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        let deviations = &theta[self.loadings()..];
        let zero: Vec<usize> = (0..self.k)
            .filter(|&i| deviations[i].powi(2) < limit)
            .collect();
        let (lambda, rank) = self.without_small(theta, limit);
        if zero.is_empty() && rank == self.factors {
            return None;
        }
        let mut deviations = deviations.to_vec();
        zero.iter().for_each(|&i| deviations[i] = 0.0);
        let null = zero.into_iter().map(|i| linear::unit(self.k, i)).collect();
        Some((self.of(&lambda, &deviations), null))
    }

    fn multiplier(&self, theta: &[f64], score: &[f64], null: &[Vec<f64>]) -> (f64, Vec<f64>) {
        let k = self.k;
        let lambda = self.lambda(theta);
        let along =
            |v: &Vec<f64>| -> f64 { (0..k * k).map(|e| v[e % k] * score[e] * v[e / k]).sum() };
        let specific = null.iter().map(|v| (along(v), v.clone()));
        let least = specific.min_by(|a, b| a.0.total_cmp(&b.0));
        let of_column = (0..self.factors)
            .any(|c| self.is_zero(&lambda, c))
            .then(|| {
                let all: Vec<Vec<f64>> = (0..k).map(|i| linear::unit(k, i)).collect();
                linear::smallest_multiplier(score, k, &all)
            });
        match (least, of_column) {
            (Some(a), Some(b)) => {
                if b.0 < a.0 {
                    b
                } else {
                    a
                }
            }
            (one, other) => one.or(other).unwrap_or((f64::NAN, vec![0.0; k])),
        }
    }

    /// To the specific variance of an effect where the direction is that effect alone; else to the loadings, of which there
    /// are so many: what is beyond them on the diagonal goes to the specific variances.
    fn with_variance(&self, theta: &[f64], direction: &[f64], variance: f64) -> Vec<f64> {
        let (k, own) = (self.k, self.loadings());
        let mut deviations = theta[own..].to_vec();
        let mut lambda = self.lambda(theta);
        let of_one = direction.iter().filter(|v| **v != 0.0).count() < 2;
        if of_one {
            for (s, d) in deviations.iter_mut().zip(direction) {
                *s = (*s * *s + variance * d * d).sqrt();
            }
            return self.of(&lambda, &deviations);
        }
        let root = variance.sqrt();
        let column: Vec<f64> = direction.iter().map(|d| root * d).collect();
        lambda.extend(column);
        let all = loadings::square(&lambda, k);
        let (lambda, _, _) = loadings::nearest(&all, k, self.factors, 0.0);
        let kept = loadings::square(&lambda, k);
        for (i, s) in deviations.iter_mut().enumerate() {
            let beyond = (all[i * k + i] - kept[i * k + i]).max(0.0);
            if beyond > 1e-14 * all[i * k + i] {
                *s = (*s * *s + beyond).sqrt();
            }
        }
        self.of(&lambda, &deviations)
    }

    /// Any loadings, and any share of them in the variance of each effect.
    fn anywhere(&self, deviations: &[f64], chance: &mut dyn FnMut() -> f64) -> Option<Vec<f64>> {
        let (k, d) = (self.k, self.factors);
        let mut lambda = vec![0.0; k * d];
        let mut specific = Vec::with_capacity(k);
        for (i, deviation) in deviations.iter().enumerate() {
            let share = chance();
            // a direction of chance, by the logistic distribution
            let row: Vec<f64> = (0..d)
                .map(|_| {
                    let u = chance();
                    (u / (1.0 - u)).ln()
                })
                .collect();
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            let length = length.max(f64::MIN_POSITIVE);
            for (c, v) in row.iter().enumerate() {
                lambda[c * k + i] = deviation * share.sqrt() * v / length;
            }
            specific.push(deviation * (1.0 - share).sqrt());
        }
        loadings::turn(&mut lambda, k);
        Some(self.of(&lambda, &specific))
    }

    /// Each specific variance zero in its turn.
    fn smaller(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let own = self.loadings();
        let some = (own..theta.len()).filter(|&a| theta[a] != 0.0);
        some.map(|a| {
            let mut without = theta.to_vec();
            without[a] = 0.0;
            without
        })
        .collect()
    }

    fn inflated(&self, theta: &[f64], variance: f64) -> Vec<f64> {
        let mut out = theta.to_vec();
        let specific = out[self.loadings()..].iter_mut();
        specific.for_each(|s| *s = (*s * *s + variance).sqrt());
        out
    }

    fn scale(&self, theta: &[f64], natural: f64) -> Vec<f64> {
        linear::scale(self.k, theta, natural)
    }

    fn is_null(&self, theta: &[f64], a: usize) -> bool {
        match self.place(a) {
            Ok((_, column)) => self.is_zero(&self.lambda(theta), column),
            Err(_) => theta[a] == 0.0,
        }
    }

    fn natural(&self, theta: &[f64], scales: &[f64]) -> Vec<f64> {
        let k = self.k;
        let mut lambda = self.lambda(theta);
        for column in lambda.chunks_exact_mut(k) {
            column.iter_mut().zip(scales).for_each(|(v, s)| *v *= s);
        }
        loadings::turn(&mut lambda, k);
        let specific = theta[self.loadings()..].iter().zip(scales);
        let specific: Vec<f64> = specific.map(|(s, scale)| s.abs() * scale).collect();
        self.of(&lambda, &specific)
    }

    fn components(&self, theta: &[HyperDual]) -> Vec<HyperDual> {
        theta.to_vec()
    }

    fn variances(&self) -> usize {
        0
    }

    fn internal(&self, natural: &[f64], scales: &[f64]) -> Option<Vec<f64>> {
        let own = self.loadings();
        if natural[own..].iter().any(|s| *s < 0.0) {
            return None;
        }
        let divided = |a: usize| natural[a] / self.row(a).map_or(1.0, |i| scales[i]);
        Some((0..natural.len()).map(divided).collect())
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::structure::random::covariance::derivatives_are_differences;

    fn point(structure: &FactorAnalytic) -> Vec<f64> {
        let mut chance = [0.3, 0.9, 0.2, 0.6, 0.45, 0.7, 0.11].into_iter().cycle();
        let sizes = [0.5, 1.0, 2.0, 0.7, 1.4];
        structure
            .anywhere(&sizes[..structure.k], &mut || {
                chance.next().expect("it goes on")
            })
            .expect("these have shapes")
    }

    fn structures() -> [FactorAnalytic; 3] {
        [(3, 1), (4, 1), (5, 2)].map(|(k, factors)| FactorAnalytic { k, factors })
    }

    #[test]
    fn derivatives_are_those_of_g() {
        for s in structures() {
            derivatives_are_differences(&s, &|theta| s.matrix(theta), &point(&s));
        }
    }

    #[test]
    fn natural_and_internal_are_inverse() {
        for s in structures() {
            let scales = [2.5, 1e3, 1e-3, 0.3, 1.0];
            let natural = s.natural(&point(&s), &scales);
            let back = s.internal(&natural, &scales).expect("possible values");
            for (x, y) in s.matrix(&point(&s)).iter().zip(s.matrix(&back)) {
                assert!((x - y).abs() < 1e-12, "{s:?}");
            }
            let t = s.factor(&back);
            for (x, y) in loadings::square(&t, s.k).iter().zip(s.matrix(&back)) {
                assert!((x - y).abs() < 1e-12, "{s:?}");
            }
        }
    }

    #[test]
    fn zeros_have_multipliers_and_variance_leads_off_them() {
        let s = FactorAnalytic { k: 3, factors: 1 };
        let start = s.start(0.5);
        let (same, null) = s.reduced(&start, 1e-10).expect("no loadings yet");
        assert!(null.is_empty() && same == start);
        // S falls along (1, -1, 0)
        let score = [1.0, 3.0, 0.0, 3.0, 1.0, 0.0, 0.0, 0.0, 2.0];
        let (value, direction) = s.multiplier(&start, &score, &null);
        assert!((value + 2.0).abs() < 1e-12 && (direction[0] + direction[1]).abs() < 1e-12);
        let away = s.with_variance(&start, &direction, 0.04);
        let (g, before) = (s.matrix(&away), s.matrix(&start));
        for e in 0..9 {
            let added = 0.04 * direction[e % 3] * direction[e / 3];
            assert!((g[e] - before[e] - added).abs() < 1e-12);
        }
        // Heywood's case
        let heywood = [0.7, 0.2, 0.4, 0.6, 1e-9, 0.3];
        let (reduced, null) = s.reduced(&heywood, 1e-10).expect("a variance of zero");
        assert!(reduced[4] == 0.0 && null == [linear::unit(3, 1)]);
        assert!((0..6).all(|a| s.is_null(&reduced, a) == (a == 4)));
        let (value, _) = s.multiplier(&reduced, &score, &null);
        assert!((value - 1.0).abs() < 1e-12);
        let away = s.with_variance(&reduced, &null[0], 0.01);
        assert!((away[4] - 0.1).abs() < 1e-12 && away[..4] == reduced[..4]);
    }
}
