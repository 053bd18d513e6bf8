//! Simulated models of every shape that the engine treats differently.

use super::{Model, Rng, Term};
use ferrolmm_engine::Structure::{Diagonal, Unstructured};
use ferrolmm_engine::{Penalties, Penalty};

/// Builds one model step by step; the response is simulated last.
pub struct Builder {
    pub rng: Rng,
    n: usize,
    model: Model,
}

impl Builder {
    pub fn new(name: &'static str, n: usize, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            n,
            model: Model {
                name,
                y: vec![0.0; n],
                x: Vec::new(),
                p: 0,
                weights: None,
                offset: None,
                factors: Vec::new(),
                terms: Vec::new(),
                kept: Vec::new(),
            },
        }
    }

    /// Adds a fixed-effects column that `lm()` keeps.
    pub fn column(mut self, values: Vec<f64>) -> Self {
        self.model.kept.push(self.model.p);
        self.aliased(values)
    }

    /// Adds a column that `lm()` drops.
    fn aliased_column(self, values: Vec<f64>) -> Self {
        self.aliased(values)
    }

    fn aliased(mut self, values: Vec<f64>) -> Self {
        assert_eq!(values.len(), self.n);
        self.model.x.extend(values);
        self.model.p += 1;
        self
    }

    pub fn intercept(self) -> Self {
        let ones = vec![1.0; self.n];
        self.column(ones)
    }

    /// Adds `count` standard normal columns.
    pub fn covariates(mut self, count: usize) -> Self {
        for _ in 0..count {
            let values = self.rng.normals(self.n);
            self = self.column(values);
        }
        self
    }

    pub fn weighted(mut self) -> Self {
        let weights = (0..self.n).map(|_| self.rng.between(0.2, 4.0)).collect();
        self.model.weights = Some(weights);
        self
    }

    pub fn shifted(mut self) -> Self {
        self.model.offset = Some(self.rng.normals(self.n).iter().map(|v| 3.0 * v).collect());
        self
    }

    /// A factor with about equally many rows in each level, in random order.
    pub fn factor(mut self, levels: usize) -> Self {
        let order = self.rng.order(self.n);
        let mut codes = vec![0; self.n];
        for (at, &row) in order.iter().enumerate() {
            codes[row] = (at % levels + 1) as i32;
        }
        self.model.factors.push((codes, levels));
        self
    }

    /// A factor with few large and many small levels, some of one row.
    pub fn skewed_factor(mut self, levels: usize) -> Self {
        let order = self.rng.order(self.n);
        let mut codes = vec![0; self.n];
        for (at, &row) in order.iter().enumerate() {
            let level = if at < levels {
                at
            } else {
                (self.rng.uniform().powi(4) * levels as f64) as usize
            };
            codes[row] = (level + 1) as i32;
        }
        self.model.factors.push((codes, levels));
        self
    }

    pub fn factor_codes(mut self, codes: Vec<i32>, levels: usize) -> Self {
        self.model.factors.push((codes, levels));
        self
    }

    /// Factor `outer` cut into `per_level` parts a level: nested, every level occurs.
    pub fn nested_in(mut self, outer: usize, per_level: usize) -> Self {
        let (codes, levels) = self.model.factors[outer].clone();
        let mut seen = vec![0; levels];
        let inner: Vec<i32> = codes
            .iter()
            .map(|&c| {
                let level = c as usize - 1;
                let part = seen[level] % per_level;
                seen[level] += 1;
                (level * per_level + part + 1) as i32
            })
            .collect();
        self.model.factors.push((inner, levels * per_level));
        self
    }

    /// The levels of factor `inner` gathered into `levels` groups.
    pub fn coarser(mut self, inner: usize, levels: usize) -> Self {
        let codes = self.model.factors[inner]
            .0
            .iter()
            .map(|&c| (c - 1) % levels as i32 + 1)
            .collect();
        self.model.factors.push((codes, levels));
        self
    }

    /// (1 | factor)
    pub fn random_intercept(mut self, factor: usize) -> Self {
        self.model.terms.push(Term {
            factor,
            columns: vec![None],
            structure: Unstructured,
        });
        self
    }

    /// (1 + x + ... | factor), the first `slopes` covariates after the intercept column.
    pub fn random_slopes(mut self, factor: usize, slopes: usize) -> Self {
        let mut columns = vec![None];
        for _ in 0..slopes {
            columns.push(Some(self.rng.normals(self.n)));
        }
        self.model.terms.push(Term {
            factor,
            columns,
            structure: Unstructured,
        });
        self
    }

    pub fn term(
        mut self,
        factor: usize,
        columns: Vec<Option<Vec<f64>>>,
        structure: ferrolmm_engine::Structure,
    ) -> Self {
        self.model.terms.push(Term {
            factor,
            columns,
            structure,
        });
        self
    }

    /// (0 + x | factor)
    pub fn random_slope_only(mut self, factor: usize) -> Self {
        let column = self.rng.normals(self.n);
        self.model.terms.push(Term {
            factor,
            columns: vec![Some(column)],
            structure: Unstructured,
        });
        self
    }

    /// Simulates the response: coefficients of the size of each column, random effects of `spread`, noise of 1 / sqrt(w).
    pub fn response(mut self, spread: f64) -> Model {
        let n = self.n;
        let mut y = self.model.offset.clone().unwrap_or_else(|| vec![0.0; n]);
        for j in 0..self.model.p {
            let column = &self.model.x[j * n..(j + 1) * n];
            let size = (column.iter().map(|v| v * v).sum::<f64>() / n as f64)
                .sqrt()
                .max(f64::MIN_POSITIVE);
            let beta = self.rng.normal() / size;
            y.iter_mut().zip(column).for_each(|(y, x)| *y += beta * x);
        }
        for term in &self.model.terms {
            let k = term.k();
            let (codes, levels) = &self.model.factors[term.factor];
            let mut b = vec![0.0; k * levels];
            for level in b.chunks_exact_mut(k) {
                let common = self.rng.normal();
                for (c, value) in level.iter_mut().enumerate() {
                    let size = (0..n).map(|i| term.value(c, i).powi(2)).sum::<f64>() / n as f64;
                    *value = spread * (0.8 * self.rng.normal() + 0.6 * common) / size.sqrt();
                }
            }
            for i in 0..n {
                let level = codes[i] as usize - 1;
                y[i] += (0..k)
                    .map(|c| term.value(c, i) * b[level * k + c])
                    .sum::<f64>();
            }
        }
        for (i, y) in y.iter_mut().enumerate() {
            *y += self.rng.normal() / self.model.weight(i).sqrt();
        }
        self.model.y = y;
        self.model
    }
}

pub fn one_intercept() -> Model {
    Builder::new("one intercept", 60, 1)
        .intercept()
        .covariates(1)
        .factor(12)
        .random_intercept(0)
        .response(0.8)
}

pub fn one_slope() -> Model {
    Builder::new("one slope", 90, 2)
        .intercept()
        .covariates(1)
        .factor(15)
        .random_slopes(0, 1)
        .response(0.8)
}

/// Every shape small enough for the brute force.
pub fn all() -> Vec<Model> {
    vec![
        one_intercept(),
        one_slope(),
        Builder::new("two slopes", 120, 3)
            .intercept()
            .factor(15)
            .random_slopes(0, 2)
            .response(0.8),
        Builder::new("four slopes", 150, 4)
            .intercept()
            .covariates(2)
            .factor(18)
            .random_slopes(0, 4)
            .response(0.7),
        Builder::new("three terms on one factor", 120, 5)
            .intercept()
            .covariates(1)
            .factor(14)
            .random_slopes(0, 1)
            .random_slope_only(0)
            .random_slope_only(0)
            .response(0.8),
        Builder::new("double bar", 100, 6)
            .intercept()
            .factor(12)
            .random_intercept(0)
            .random_slope_only(0)
            .response(0.8),
        diagonal(),
        Builder::new("nested, two levels", 120, 8)
            .intercept()
            .covariates(2)
            .factor(6)
            .nested_in(0, 5)
            .random_intercept(1)
            .random_intercept(0)
            .response(0.8),
        Builder::new("nested, three levels", 180, 9)
            .intercept()
            .factor(5)
            .nested_in(0, 3)
            .nested_in(1, 4)
            .random_intercept(2)
            .random_intercept(1)
            .random_intercept(0)
            .response(0.8),
        Builder::new("crossed, two factors", 120, 10)
            .intercept()
            .covariates(1)
            .factor(14)
            .factor(9)
            .random_intercept(0)
            .random_intercept(1)
            .response(0.8),
        Builder::new("crossed, three factors", 150, 11)
            .intercept()
            .covariates(1)
            .factor(16)
            .factor(10)
            .factor(7)
            .random_intercept(0)
            .random_intercept(1)
            .random_intercept(2)
            .response(0.8),
        Builder::new("crossed, slopes on both", 160, 12)
            .intercept()
            .covariates(1)
            .factor(14)
            .factor(10)
            .random_slopes(0, 1)
            .random_slopes(1, 1)
            .response(0.7),
        Builder::new("crossed, slopes of different number", 160, 13)
            .intercept()
            .factor(12)
            .factor(11)
            .random_slopes(0, 2)
            .random_slopes(1, 1)
            .random_slope_only(0)
            .response(0.7),
        Builder::new("nested and crossed", 180, 14)
            .intercept()
            .covariates(1)
            .factor(6)
            .nested_in(0, 4)
            .factor(9)
            .random_slopes(1, 1)
            .random_slopes(2, 1)
            .random_intercept(0)
            .response(0.7),
        unbalanced(),
        Builder::new("weights and offset, crossed slopes", 140, 16)
            .intercept()
            .covariates(1)
            .weighted()
            .shifted()
            .factor(12)
            .factor(8)
            .random_slopes(0, 1)
            .random_slopes(1, 2)
            .response(0.7),
        Builder::new("no fixed effects", 80, 17)
            .factor(10)
            .random_slopes(0, 1)
            .response(0.8),
        Builder::new("no fixed effects, crossed", 90, 18)
            .factor(10)
            .factor(7)
            .random_intercept(0)
            .random_intercept(1)
            .response(0.8),
        Builder::new("one fixed effect, not the intercept", 80, 19)
            .covariates(1)
            .factor(10)
            .random_intercept(0)
            .response(0.8),
        Builder::new("many fixed effects", 160, 20)
            .intercept()
            .covariates(13)
            .factor(16)
            .factor(6)
            .random_slopes(0, 1)
            .random_intercept(1)
            .response(0.8),
        badly_scaled(),
        rank_deficient(),
        uncentred_year(),
        wide_schur(),
        sparse_nested(),
        sparse_slopes(),
        sparse_crossed(),
    ]
}

pub fn diagonal() -> Model {
    let mut builder = Builder::new("diagonal structure", 120, 7)
        .intercept()
        .covariates(1)
        .factor(14);
    let (a, b) = (builder.rng.normals(120), builder.rng.normals(120));
    builder
        .term(0, vec![None, Some(a), Some(b)], Diagonal)
        .response(0.8)
}

pub fn unbalanced() -> Model {
    Builder::new("unbalanced with singletons", 140, 15)
        .intercept()
        .covariates(2)
        .weighted()
        .shifted()
        .skewed_factor(30)
        .skewed_factor(12)
        .random_slopes(0, 1)
        .random_intercept(1)
        .response(0.9)
}

pub fn badly_scaled() -> Model {
    let mut builder = Builder::new("badly scaled X", 120, 21);
    let large: Vec<f64> = builder.rng.normals(120).iter().map(|v| v * 1e12).collect();
    let small: Vec<f64> = builder.rng.normals(120).iter().map(|v| v * 1e-9).collect();
    let slope: Vec<f64> = large.iter().map(|v| v * 1e-3).collect();
    builder
        .intercept()
        .column(large)
        .column(small.clone())
        .factor(14)
        .factor(8)
        .term(0, vec![None, Some(slope)], Unstructured)
        .term(1, vec![None, Some(small)], Unstructured)
        .response(0.8)
}

pub fn rank_deficient() -> Model {
    let mut builder = Builder::new("rank-deficient X", 100, 22);
    let a = builder.rng.normals(100);
    let b = builder.rng.normals(100);
    let sum: Vec<f64> = a.iter().map(|v| 1.0 + v).collect();
    let twice: Vec<f64> = b.iter().zip(&a).map(|(b, a)| 2.0 * b - a).collect();
    builder
        .intercept()
        .column(a)
        .aliased_column(sum)
        .column(b)
        .aliased_column(vec![0.0; 100])
        .aliased_column(twice)
        .covariates(1)
        .factor(12)
        .random_slopes(0, 1)
        .response(0.8)
}

pub fn uncentred_year() -> Model {
    let mut builder = Builder::new("uncentred year as a slope", 150, 23);
    let year: Vec<f64> = (0..150)
        .map(|_| (1990 + builder.rng.below(31)) as f64)
        .collect();
    builder
        .intercept()
        .column(year.clone())
        .factor(15)
        .term(0, vec![None, Some(year)], Unstructured)
        .response(0.8)
}

/// Two fully crossed factors: the off-diagonal part is full, and products with it are dense.
pub fn dense_w() -> Model {
    let codes = |period: usize, levels: usize| -> Vec<i32> {
        (0..240)
            .map(|i| ((i / period) % levels + 1) as i32)
            .collect()
    };
    Builder::new("fully crossed", 240, 24)
        .intercept()
        .covariates(1)
        .factor_codes(codes(1, 20), 20)
        .factor_codes(codes(20, 12), 12)
        .random_slopes(0, 1)
        .random_slopes(1, 1)
        .response(0.7)
}

/// A dense complement of several strips, both factors with two effects a level.
pub fn strips() -> Model {
    Builder::new("dense complement of order 420", 900, 27)
        .intercept()
        .covariates(2)
        .factor(230)
        .factor(210)
        .random_slopes(0, 1)
        .random_slopes(1, 1)
        .response(0.7)
}

/// A complement of order above 160 that is too full for sparse storage.
pub fn wide_schur() -> Model {
    Builder::new("dense complement of order 170", 400, 25)
        .intercept()
        .covariates(1)
        .factor(90)
        .factor(85)
        .random_slopes(0, 1)
        .random_slopes(1, 1)
        .response(0.7)
}

/// Pupils in 300 classes in 20 schools: the complement is sparse.
pub fn sparse_nested() -> Model {
    let n = 420;
    let inner: Vec<i32> = (0..n)
        .map(|i| if i < 330 { i + 1 } else { (i * 7) % 330 + 1 })
        .collect();
    Builder::new("sparse complement, nested", n as usize, 26)
        .intercept()
        .covariates(1)
        .factor_codes(inner, 330)
        .coarser(0, 300)
        .coarser(1, 20)
        .random_intercept(0)
        .random_intercept(1)
        .random_intercept(2)
        .response(0.8)
}

/// Two factors with slopes whose levels meet only few of each other, nested in a third: sparse, with blocks of 2.
pub fn sparse_slopes() -> Model {
    let n = 400;
    let a: Vec<i32> = (0..n).map(|i| i / 4 + 1).collect();
    // level i of a meets levels i and i + 1 of b
    let b: Vec<i32> = (0..n).map(|i| (i / 4 + (i % 2)).min(94) + 1).collect();
    let c: Vec<i32> = (0..n).map(|i| i / 80 + 1).collect();
    Builder::new("sparse complement, slopes", n as usize, 27)
        .intercept()
        .covariates(1)
        .weighted()
        .factor_codes(a, 100)
        .factor_codes(b, 95)
        .factor_codes(c, 5)
        .random_slopes(0, 1)
        .random_slopes(1, 1)
        .random_intercept(2)
        .random_slope_only(1)
        .response(0.7)
}

/// Like a chain, with a third factor that crosses the second without regard to its order.
pub fn sparse_crossed() -> Model {
    let n = 450;
    let a: Vec<i32> = (0..n).map(|i| i / 2 + 1).collect();
    let b: Vec<i32> = (0..n).map(|i| (i / 2 + i % 2).min(179) + 1).collect();
    let c: Vec<i32> = (0..n).map(|i| (i / 150 * 5 + i % 5) + 1).collect();
    Builder::new("sparse complement, crossed", n as usize, 28)
        .intercept()
        .factor_codes(a, 225)
        .factor_codes(b, 180)
        .factor_codes(c, 15)
        .random_intercept(0)
        .random_intercept(1)
        .random_intercept(2)
        .response(0.8)
}

/// A random small model with an intercept and two covariates, for property tests.
pub fn random(seed: u64) -> Model {
    let mut rng = Rng::new(seed ^ 0xABCD);
    let n = 70 + rng.below(60);
    let spread = rng.between(0.5, 1.5);
    let (a, b) = (8 + rng.below(8), 5 + rng.below(6));
    let mut builder = Builder::new("random", n, seed).intercept().covariates(2);
    if rng.below(3) == 0 {
        builder = builder.weighted();
    }
    if rng.below(3) == 0 {
        builder = builder.shifted();
    }
    match rng.below(6) {
        0 => builder.factor(a).random_intercept(0),
        1 => builder.skewed_factor(a).random_slopes(0, 1),
        2 => builder
            .factor(a)
            .factor(b)
            .random_slopes(0, 1)
            .random_intercept(1),
        3 => builder
            .factor(b)
            .nested_in(0, 3)
            .random_intercept(1)
            .random_intercept(0),
        4 => builder
            .factor(a)
            .factor(b)
            .random_slopes(0, 1)
            .random_slopes(1, 1),
        _ => builder.factor(a).random_intercept(0).random_slope_only(0),
    }
    .response(spread)
}

/// A penalty on each term: all that there may be in one.
pub fn penalties(model: &Model, rng: &mut Rng, log_sigma2: f64) -> Penalties {
    let mut of_term = |term: &Term| {
        let k = term.k();
        let mut positive = || {
            let root = rng.normals(k * k);
            (0..k * k)
                .map(|e| {
                    let square: f64 = (0..k)
                        .map(|i| root[i * k + e % k] * root[i * k + e / k])
                        .sum();
                    0.3 * square + f64::from(u8::from(e % (k + 1) == 0))
                })
                .collect::<Vec<f64>>()
        };
        let (linear, inverse) = (positive(), positive());
        Some(Penalty {
            log_det: rng.between(0.5, 2.0),
            linear,
            inverse: inverse.iter().map(|v| 0.05 * v).collect(),
            root: rng.between(0.1, 1.0),
            inverse_root: rng.between(0.01, 0.1),
        })
    };
    Penalties {
        terms: model.terms.iter().map(&mut of_term).collect(),
        log_sigma2,
    }
}
