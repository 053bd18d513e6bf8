use super::*;
use crate::criterion::Criterion;
use crate::fit::{fit, prepare};
use crate::optimize::Objective;
use crate::parallel::StopFlag;
use crate::result::Fit;
use crate::terms::{Column, GroupingFactor, ModelData, RandomTerm, Structure};

/// Uniform numbers in (-1, 1).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1);
        (mix(self.0 << 7) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn level(&mut self, n: usize, skew: f64) -> usize {
        let u = (0.5 * (self.next() + 1.0)).powf(skew);
        ((u * n as f64) as usize).min(n - 1)
    }
}

/// Crossed factors with the given numbers of levels; the first has a random slope where `slope`, the second too.
struct Example {
    y: Vec<f64>,
    x: Vec<f64>,
    codes: Vec<Vec<i32>>,
    levels: Vec<usize>,
    slope: bool,
    skew: f64,
}

impl Example {
    fn new(n: usize, levels: &[usize], slope: bool, skew: f64) -> Self {
        let mut u = Uniform(levels.iter().sum::<usize>() as u64);
        let effects: Vec<Vec<[f64; 2]>> = levels
            .iter()
            .map(|&l| (0..l).map(|_| [u.next(), 0.5 * u.next()]).collect())
            .collect();
        let mut codes = vec![Vec::new(); levels.len()];
        let (mut x, mut y) = (vec![1.0; n], Vec::new());
        for i in 0..n {
            let z = u.next();
            let mut mean = 1.0 + z;
            for (f, &l) in levels.iter().enumerate() {
                let level = if i < l { i } else { u.level(l, skew) };
                codes[f].push(level as i32 + 1);
                mean += effects[f][level][0];
                if slope && f < 2 {
                    mean += z * effects[f][level][1];
                }
            }
            x.push(z);
            y.push(mean + u.next() + u.next());
        }
        Self {
            y,
            x,
            codes,
            levels: levels.to_vec(),
            slope,
            skew,
        }
    }

    fn data(&self) -> ModelData<'_> {
        let _ = self.skew;
        ModelData {
            y: &self.y,
            x: &self.x,
            p: 2,
            weights: None,
            offset: None,
            factors: self
                .codes
                .iter()
                .zip(&self.levels)
                .map(|(codes, &n_levels)| GroupingFactor {
                    codes,
                    n_levels,
                    precision: None,
                })
                .collect(),
            terms: (0..self.levels.len())
                .map(|factor| RandomTerm {
                    factor,
                    columns: if self.slope && factor < 2 {
                        vec![Column::Constant, Column::Values(&self.x[self.y.len()..])]
                    } else {
                        vec![Column::Constant]
                    },
                    structure: Structure::Unstructured,
                })
                .collect(),
            residual: None,
        }
    }

    fn fit(&self, solver: Solver, threads: usize) -> Fit {
        let options = Options {
            solver,
            threads,
            ..Options::default()
        };
        fit(&self.data(), &options, &|| false).unwrap()
    }

    /// Criterion and gradient at T = 0.4 I (with 0.1 below), and of each of some estimators with their standard errors.
    fn compare(&self, seeds: std::ops::Range<u64>, pairs: bool) {
        let data = self.data();
        let prepared = prepare(&data, &Options::default(), &StopFlag::default()).unwrap();
        let center = vec![Vec::new(); prepared.layout.len()];
        let theta: Vec<f64> = prepared
            .parameters
            .list
            .iter()
            .map(|p| if p.index == 1 { 0.1 } else { 0.4 })
            .collect();
        let never = || false;
        let mut exact = prepared.criterion(&center, true, &never);
        let value = exact.value(&theta).unwrap();
        let gradient = exact.latest().unwrap().derivatives.gradient.clone();
        let information = exact.latest().unwrap().derivatives.information.clone();
        let m = theta.len();
        let count = (seeds.end - seeds.start) as f64;
        let mut sums = vec![(0.0, 0.0); m + 1];
        for seed in seeds {
            let mut criterion = prepared.criterion(&center, true, &never);
            let mut estimator = Estimator::with_seed(&prepared.system, seed);
            estimator.with_pairs = pairs;
            criterion.estimator = Some(estimator);
            let own = criterion.value(&theta).unwrap();
            let latest = criterion.latest().unwrap();
            let slopes = latest.derivatives.gradient.clone();
            for (a, b) in latest.derivatives.information.iter().zip(&information) {
                assert!((a - b).abs() < 1e-6 * (1.0 + b.abs()), "{a} {b}");
            }
            let estimator = criterion.estimator.as_ref().unwrap();
            let covariance = estimator.gradient_covariance();
            sums[m].0 += own - value;
            sums[m].1 += estimator.value_error(&theta).powi(2);
            for a in 0..m {
                sums[a].0 += slopes[a] - gradient[a];
                sums[a].1 += covariance[a * m + a];
            }
        }
        for (i, (error, variance)) in sums.iter().enumerate() {
            println!(
                "{i}: mean error {:.3e}, its standard error {:.3e}, one {:.3e}",
                error / count,
                variance.sqrt() / count,
                (variance / count).sqrt()
            );
            assert!(
                error.abs() < 4.0 * variance.sqrt() + 1e-6 * value.abs().sqrt(),
                "{i}: {error} {}",
                variance.sqrt()
            );
        }
    }
}

#[test]
fn estimates_are_unbiased_two_factors() {
    Example::new(4000, &[300, 120], false, 1.0).compare(0..40, true);
}

#[test]
fn estimates_are_unbiased_without_pairs() {
    Example::new(4000, &[300, 120], false, 1.0).compare(0..40, false);
}

#[test]
fn estimates_are_unbiased_uneven() {
    Example::new(4000, &[600, 400], false, 3.0).compare(0..40, true);
}

#[test]
fn estimates_are_unbiased_slopes_three_factors() {
    Example::new(6000, &[300, 120, 60], true, 2.0).compare(0..40, true);
    Example::new(6000, &[300, 120, 60], true, 2.0).compare(0..40, false);
}
