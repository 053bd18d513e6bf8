//! What the integration tests share: a small random number generator, models of every shape, and a brute force that
//! knows nothing of the engine.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod brute;
pub mod internal;
pub mod residual;
pub mod shapes;

use ferrolmm_engine::{
    fit, Column, Correlation, CorrelationKind, EngineError, Fit, GroupingFactor, Metric, ModelData,
    Options, Position, RandomTerm, Structure,
};

/// The kind of correlation of this name.
pub fn kind(name: &str) -> CorrelationKind {
    CorrelationKind::named(name).unwrap()
}

/// The structure of random effects of this name.
pub fn structure(name: &str, homogeneous: bool) -> Structure {
    Structure::named(name, homogeneous).unwrap()
}

/// The function of distance of this name.
pub fn spatial<'a>(
    name: &str,
    nugget: bool,
    coordinates: Vec<&'a [f64]>,
    metric: Metric,
) -> Correlation<'a> {
    Correlation {
        nugget,
        ..Correlation::new(
            kind(name),
            Position::Points {
                coordinates,
                metric,
            },
        )
    }
}

/// SplitMix64: the same numbers on every machine and with every version of every crate.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n - 1)
    }

    /// Standard normal (Box & Muller).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    pub fn normals(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.normal()).collect()
    }

    /// A random order of 0..n (Fisher & Yates).
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

/// A random-effects term that owns its columns.
#[derive(Debug, Clone)]
pub struct Term {
    pub factor: usize,
    /// `None` is the constant 1.
    pub columns: Vec<Option<Vec<f64>>>,
    pub structure: Structure,
}

impl Term {
    pub fn k(&self) -> usize {
        self.columns.len()
    }

    pub fn parameters(&self) -> usize {
        match self.structure {
            Structure::Unstructured => self.k() * (self.k() + 1) / 2,
            Structure::Diagonal => self.k(),
            _ => panic!("not a shape of these tests"),
        }
    }

    /// Row and column in T of each parameter: the lower triangle by columns, or the diagonal.
    pub fn entries(&self) -> Vec<(usize, usize)> {
        let k = self.k();
        match self.structure {
            Structure::Unstructured => (0..k).flat_map(|j| (j..k).map(move |i| (i, j))).collect(),
            Structure::Diagonal => (0..k).map(|i| (i, i)).collect(),
            _ => panic!("not a shape of these tests"),
        }
    }

    pub fn value(&self, column: usize, row: usize) -> f64 {
        self.columns[column].as_ref().map_or(1.0, |v| v[row])
    }
}

/// A model that owns its data.
#[derive(Debug, Clone)]
pub struct Model {
    pub name: &'static str,
    pub y: Vec<f64>,
    /// n x p, column-major.
    pub x: Vec<f64>,
    pub p: usize,
    pub weights: Option<Vec<f64>>,
    pub offset: Option<Vec<f64>>,
    pub factors: Vec<(Vec<i32>, usize)>,
    pub terms: Vec<Term>,
    /// Columns of X that `lm()` keeps.
    pub kept: Vec<usize>,
}

impl Model {
    pub fn n(&self) -> usize {
        self.y.len()
    }

    pub fn data(&self) -> ModelData<'_> {
        ModelData {
            y: &self.y,
            x: Column::of_matrix(&self.x, self.n(), self.p),
            p: self.p,
            weights: self.weights.as_deref(),
            offset: self.offset.as_deref(),
            factors: self
                .factors
                .iter()
                .map(|(codes, n_levels)| GroupingFactor {
                    members: None,
                    counts: None,
                    precision: None,
                    codes,
                    n_levels: *n_levels,
                })
                .collect(),
            terms: self
                .terms
                .iter()
                .map(|term| RandomTerm {
                    factor: term.factor,
                    columns: term
                        .columns
                        .iter()
                        .map(|c| c.as_ref().map_or(Column::Constant, |v| Column::Values(v)))
                        .collect(),
                    structure: term.structure,
                    classes: None,
                })
                .collect(),
            residual: None,
            moments: None,
            stands_for: None,
        }
    }

    pub fn levels(&self, term: usize) -> usize {
        self.factors[self.terms[term].factor].1
    }

    pub fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| w[row])
    }

    pub fn n_theta(&self) -> usize {
        self.terms.iter().map(Term::parameters).sum()
    }

    /// T of each term, k x k column-major, at the user's theta.
    pub fn factors_at(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let mut at = 0;
        self.terms
            .iter()
            .map(|term| {
                let k = term.k();
                let mut t = vec![0.0; k * k];
                for (i, j) in term.entries() {
                    t[j * k + i] = theta[at];
                    at += 1;
                }
                t
            })
            .collect()
    }

    /// Random theta with positive diagonals of about `size`.
    pub fn random_theta(&self, rng: &mut Rng, size: f64) -> Vec<f64> {
        self.terms
            .iter()
            .flat_map(Term::entries)
            .map(|(i, j)| {
                if i == j {
                    size * rng.between(0.3, 1.5)
                } else {
                    size * 0.5 * rng.normal()
                }
            })
            .collect()
    }

    pub fn fit(&self, options: &Options) -> Result<Fit, EngineError> {
        fit(&self.data(), options, &|| false)
    }

    /// Fits, or stops the test.
    pub fn fitted(&self, reml: bool) -> Fit {
        let options = Options {
            reml,
            threads: 1,
            ..Options::default()
        };
        self.fit(&options)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// Evaluates at `theta` without moving.
    pub fn at(&self, theta: &[f64], reml: bool) -> Fit {
        let options = Options {
            reml,
            start: Some(theta.into()),
            optimize: false,
            threads: 1,
            ..Options::default()
        };
        self.fit(&options)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

/// Largest difference relative to the largest entry.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths differ");
    let size = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let difference = a.iter().zip(b).fold(0.0f64, |m, (x, y)| {
        let d = (x - y).abs();
        if d.is_nan() {
            f64::INFINITY
        } else {
            m.max(d)
        }
    });
    if size == 0.0 {
        difference
    } else {
        difference / size
    }
}

/// Both vectors agree to `tolerance` relative to the largest entry.
#[track_caller]
pub fn close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    let d = distance(a, b);
    assert!(
        d <= tolerance,
        "{what}: relative difference {d:.2e} > {tolerance:.0e}\n  {:?}\n  {:?}",
        &a[..a.len().min(8)],
        &b[..b.len().min(8)]
    );
}

/// Both numbers agree to `tolerance` relative to the second, or to one if that is smaller.
#[track_caller]
pub fn near(what: &str, a: f64, b: f64, tolerance: f64) {
    let d = (a - b).abs() / b.abs().max(1.0);
    assert!(
        d <= tolerance,
        "{what}: {a} is not {b} (relative difference {d:.2e})"
    );
}
