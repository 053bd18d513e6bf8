//! The spectra behind the null distribution of the likelihood ratio of one variance, against their definition with n x n
//! matrices, and its draws against a plain search.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{brute, close, shapes, Model, Rng};
use ferrolmm_engine::inference::{likelihood_ratio_draws, variance_spectrum, Multiset};
use ferrolmm_engine::linalg::small::symmetric_eigen;
use ferrolmm_engine::Options;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Eigenvalues of Z'P_0Z and Z'V_0^-1Z of a term with one effect, V_0 formed n x n.
fn by_definition(model: &Model, theta: &[f64], term: usize) -> (Vec<f64>, Vec<f64>) {
    let n = model.n();
    let l = brute::cholesky(&brute::marginal(model, theta), n).unwrap();
    let mut fixed: Vec<Vec<f64>> = Vec::new();
    for &j in &model.kept {
        let mut x = model.x[j * n..(j + 1) * n].to_vec();
        let size = dot(&x, &x).sqrt();
        x.iter_mut().for_each(|v| *v /= size);
        brute::forward(&l, n, &mut x);
        for _ in 0..2 {
            for q in &fixed {
                let s = dot(&x, q);
                x.iter_mut().zip(q).for_each(|(a, b)| *a -= s * b);
            }
        }
        let length = dot(&x, &x).sqrt();
        x.iter_mut().for_each(|v| *v /= length);
        fixed.push(x);
    }
    let levels = model.levels(term);
    let codes = &model.factors[model.terms[term].factor].0;
    let mut z = vec![vec![0.0; n]; levels];
    for i in 0..n {
        z[codes[i] as usize - 1][i] = model.terms[term].value(0, i);
    }
    z.iter_mut()
        .for_each(|column| brute::forward(&l, n, column));
    let gram = |z: &[Vec<f64>]| -> Vec<f64> {
        let all: Vec<f64> = z
            .iter()
            .flat_map(|a| z.iter().map(|b| dot(a, b)).collect::<Vec<f64>>())
            .collect();
        symmetric_eigen(&all, levels).0
    };
    let marginal = gram(&z);
    for column in &mut z {
        for q in &fixed {
            let s = dot(column, q);
            column.iter_mut().zip(q).for_each(|(a, b)| *a -= s * b);
        }
    }
    (gram(&z), marginal)
}

#[test]
fn spectra_are_those_of_the_definition() {
    let mut rng = Rng::new(41);
    let mut checked = 0;
    for model in shapes::all() {
        if model.n() > 500 {
            continue;
        }
        let theta = model.random_theta(&mut rng, 0.8);
        let mut at = 0;
        for (t, term) in model.terms.iter().enumerate() {
            let first = at;
            at += term.parameters();
            if term.k() != 1 || model.levels(t) > 80 {
                continue;
            }
            let mut null = theta.clone();
            null[first] = 0.0;
            let options = Options {
                start: Some(null.clone().into()),
                threads: 1,
                ..Options::default()
            };
            let found = variance_spectrum(&model.data(), t, &options, &|| false).unwrap();
            let (restricted, marginal) = by_definition(&model, &null, t);
            // the engine's Z is a multiple of the user's: the statistic does not see it
            let scale = found.marginal.iter().sum::<f64>() / marginal.iter().sum::<f64>();
            let expected: Vec<f64> = marginal.iter().map(|v| v * scale).collect();
            close(model.name, &found.marginal, &expected, 1e-9);
            let largest = expected.iter().fold(0.0f64, |a, &v| a.max(v));
            for (a, b) in found.restricted.iter().zip(&restricted) {
                assert!(
                    (a - b * scale).abs() <= 1e-9 * largest,
                    "{}, term {t}: {a}, not {}",
                    model.name,
                    b * scale
                );
            }
            assert_eq!(found.residual_df, model.n() - model.kept.len());
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked} terms only");
}

#[test]
fn draws_are_suprema() {
    let mut rng = Rng::new(5);
    let (mu, times) = ([0.4, 2.0, 9.0], [2.0, 3.0, 1.0]);
    let (xi, xi_times) = ([0.5, 2.5, 9.5], [2.0, 3.0, 2.0]);
    for (marginal, degrees) in [((&mu, &times), 30.0), ((&xi, &xi_times), 33.0)] {
        let draws: Vec<f64> = (0..200)
            .flat_map(|_| {
                let mut chi = |df: usize| rng.normals(df).iter().map(|v| v * v).sum::<f64>();
                [chi(2), chi(3), chi(1), chi(24)]
            })
            .collect();
        let multiset = |values, times| Multiset { values, times };
        let at = |threads| {
            likelihood_ratio_draws(
                multiset(&mu, &times),
                multiset(marginal.0, marginal.1),
                degrees,
                &draws,
                threads,
                &|| false,
            )
            .unwrap()
        };
        let found = at(1);
        assert_eq!(found, at(2), "threads change the draws");
        for (draw, value) in draws.chunks_exact(4).zip(&found) {
            // equation 9 (REML) and 6 (ML) as they stand, on a fine grid
            let statistic = |lambda: f64| {
                let n: f64 = (0..3)
                    .map(|s| lambda * mu[s] * draw[s] / (1.0 + lambda * mu[s]))
                    .sum();
                let d: f64 = (0..3)
                    .map(|s| draw[s] / (1.0 + lambda * mu[s]))
                    .sum::<f64>()
                    + draw[3];
                let terms = marginal.0.iter().zip(marginal.1);
                degrees * (n / d).ln_1p()
                    - terms.map(|(x, m)| m * (lambda * x).ln_1p()).sum::<f64>()
            };
            let best = (0..40_000)
                .map(|i| statistic((-9.0 + 5e-4 * f64::from(i)).exp()))
                .fold(0.0f64, f64::max);
            assert!(
                (value - best).abs() <= 2e-6 * (1.0 + best),
                "{value} {best}"
            );
        }
        let zeros = found.iter().filter(|v| **v == 0.0).count();
        assert!((80..180).contains(&zeros), "{zeros} of 200 are zero");
    }
}

#[test]
fn a_term_with_two_effects_has_no_spectrum() {
    let model = shapes::one_slope();
    let options = Options {
        start: Some(vec![0.0; model.n_theta()].into()),
        ..Options::default()
    };
    assert!(variance_spectrum(&model.data(), 0, &options, &|| false).is_err());
    assert!(variance_spectrum(&model.data(), 7, &options, &|| false).is_err());
}
