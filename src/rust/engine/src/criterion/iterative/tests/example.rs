//! Crossed factors on which estimates are tried.

use crate::api::model::{Column, GroupingFactor, ModelData, RandomTerm, Structure};
use crate::api::options::{Options, Solver};
use crate::api::result::Fit;
use crate::basis::internal_theta::InternalTheta;
use crate::criterion::iterative::start_vectors::mix;
use crate::fit::pipeline::fit;
use crate::fit::prepared::Prepared;

/// Uniform numbers in (-1, 1).
pub(super) struct Uniform(pub u64);

impl Uniform {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1);
        (mix(self.0 << 7) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn level(&mut self, n: usize, skew: f64) -> usize {
        let u = (0.5 * (self.next() + 1.0)).powf(skew);
        ((u * n as f64) as usize).min(n - 1)
    }
}

/// Crossed factors with the given numbers of levels; the first has a random slope where `slope`, the second too.
pub(super) struct Example {
    pub y: Vec<f64>,
    x: Vec<f64>,
    pub codes: Vec<Vec<i32>>,
    levels: Vec<usize>,
    slope: bool,
}

impl Example {
    pub fn new(n: usize, levels: &[usize], slope: bool, skew: f64) -> Self {
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
        }
    }

    pub fn data(&self) -> ModelData<'_> {
        ModelData {
            moments: None,
            stands_for: None,
            y: &self.y,
            x: Column::of_matrix(&self.x, self.y.len(), 2),
            p: 2,
            weights: None,
            offset: None,
            factors: self
                .codes
                .iter()
                .zip(&self.levels)
                .map(|(codes, &n_levels)| GroupingFactor {
                    members: None,
                    counts: None,
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
                    classes: None,
                })
                .collect(),
            residual: None,
        }
    }

    pub fn fit(&self, solver: Solver, threads: usize) -> Fit {
        let options = Options {
            solver,
            threads,
            ..Options::default()
        };
        fit(&self.data(), &options, &|| false).unwrap()
    }
}

/// Standard deviations of 0.4 sigma, little correlation.
pub(super) fn point(prepared: &Prepared) -> InternalTheta {
    let list = &prepared.parameters.list;
    list.iter()
        .map(|p| if p.index == 1 { 0.1 } else { 0.4 })
        .collect()
}
