//! Models whose levels have classes: their data, V formed n x n in the user's terms, and the same model with a term for each class.

use ferrolmm_engine::{
    Classes, Column, Correlation, GroupingFactor, KnownMatrix, ModelData, Position, RandomTerm,
    ResidualStructure, Structure,
};

use crate::common::brute::{backward, cholesky, forward, qr};
use crate::common::{kind, structure, Rng};

/// A matrix in compressed columns.
#[derive(Clone)]
pub struct Known {
    pub start: Vec<i32>,
    pub row: Vec<i32>,
    pub value: Vec<f64>,
    /// Its inverse, J x J.
    pub covariance: Vec<f64>,
}

#[derive(Clone)]
pub struct Factor {
    pub codes: Vec<i32>,
    pub levels: usize,
    /// Classes for its terms.
    pub classes: Option<(Vec<i32>, usize)>,
    pub known: Option<Known>,
}

#[derive(Clone)]
pub struct Term {
    pub factor: usize,
    /// `None` is the constant.
    pub columns: Vec<Option<Vec<f64>>>,
    pub structure: Structure,
    /// Class of each level from 1, and their number.
    pub classes: Option<(Vec<i32>, usize)>,
}

/// A model that owns its data.
#[derive(Clone)]
pub struct Model {
    pub name: String,
    pub y: Vec<f64>,
    /// Two columns.
    pub x: Vec<f64>,
    pub weights: Option<Vec<f64>>,
    pub factors: Vec<Factor>,
    pub terms: Vec<Term>,
    /// AR(1) of the residuals within the levels of the first factor, in the order of the rows.
    pub time: Option<Vec<i32>>,
}

/// `rows` rows; each factor has so many levels in the order that `code` says, of so many classes (none: 0).
pub struct Builder {
    pub rng: Rng,
    pub model: Model,
}

impl Builder {
    pub fn new(name: &str, seed: u64, rows: usize) -> Self {
        let mut rng = Rng::new(seed);
        let x: Vec<f64> = (0..rows).map(|_| 1.0).chain(rng.normals(rows)).collect();
        let model = Model {
            name: name.to_owned(),
            y: Vec::new(),
            x,
            weights: None,
            factors: Vec::new(),
            terms: Vec::new(),
            time: None,
        };
        Self { rng, model }
    }

    pub fn rows(&self) -> usize {
        self.model.x.len() / 2
    }

    pub fn factor(mut self, levels: usize, classes: usize, code: impl Fn(usize) -> usize) -> Self {
        let codes = (0..self.rows()).map(|i| code(i) as i32 + 1).collect();
        let of_level = |level: usize| ((level * 7 % 5 + level) % classes + 1) as i32;
        self.model.factors.push(Factor {
            codes,
            levels,
            classes: (classes > 0).then(|| ((0..levels).map(of_level).collect(), classes)),
            known: None,
        });
        self
    }

    /// A factor of which one class has a single level.
    pub fn with_single(mut self) -> Self {
        let factor = self.model.factors.last_mut().unwrap();
        let classes = (0..factor.levels).map(|level| if level == 2 { 2 } else { 1 });
        factor.classes = Some((classes.collect(), 2));
        self
    }

    /// Known precision of the last factor's levels, which couples neighbours of one class.
    pub fn known(mut self) -> Self {
        let factor = self.model.factors.last_mut().unwrap();
        let n = factor.levels;
        let class = |level: usize| factor.classes.as_ref().map_or(0, |own| own.0[level]);
        let mut q = vec![0.0; n * n];
        for i in 0..n {
            q[i * n + i] = 2.0 + 0.1 * (i % 3) as f64;
            let later = (i + 1..n).filter(|&j| class(j) == class(i)).take(2);
            for j in later {
                let value = self.rng.between(-0.6, 0.2);
                (q[i * n + j], q[j * n + i]) = (value, value);
            }
        }
        let (mut start, mut row, mut value) = (vec![0], Vec::new(), Vec::new());
        for j in 0..n {
            for i in (0..n).filter(|i| q[j * n + i] != 0.0) {
                row.push(i as i32);
                value.push(q[j * n + i]);
            }
            start.push(row.len() as i32);
        }
        factor.known = Some(Known {
            start,
            row,
            value,
            covariance: inverse(&q, n),
        });
        self
    }

    /// Columns: the constant (0), a covariate (1), or indicators of the positions 0.. of a row in its level (2..).
    pub fn term(mut self, factor: usize, structure: Structure, k: usize) -> Self {
        let rows = self.rows();
        let columns = match structure {
            Structure::Correlated { .. } => {
                let mut seen = vec![0; self.model.factors[factor].levels];
                let codes = self.model.factors[factor].codes.iter();
                let visit: Vec<usize> = codes
                    .map(|&code| {
                        let own = &mut seen[code as usize - 1];
                        *own += 1;
                        (*own - 1) % k
                    })
                    .collect();
                let of = |v: usize| visit.iter().map(move |&own| f64::from(u8::from(own == v)));
                (0..k).map(|v| Some(of(v).collect())).collect()
            }
            _ => (0..k)
                .map(|c| (c > 0).then(|| self.rng.normals(rows)))
                .collect(),
        };
        self.push(factor, columns, structure)
    }

    pub fn push(
        mut self,
        factor: usize,
        columns: Vec<Option<Vec<f64>>>,
        structure: Structure,
    ) -> Self {
        let classes = self.model.factors[factor].classes.clone();
        self.model.terms.push(Term {
            factor,
            columns,
            structure,
            classes,
        });
        self
    }

    /// Other classes for the last term, so many; 0: none.
    pub fn otherwise(mut self, classes: usize) -> Self {
        let term = self.model.terms.last_mut().unwrap();
        let levels = 0..self.model.factors[term.factor].levels;
        let of_level = |level: usize| (level / 3 % classes + 1) as i32;
        term.classes = (classes > 0).then(|| (levels.map(of_level).collect(), classes));
        self
    }

    /// A slope alone.
    pub fn slope(mut self, factor: usize) -> Self {
        let column = self.rng.normals(self.rows());
        self.push(factor, vec![Some(column)], Structure::Unstructured)
    }

    pub fn weighted(mut self) -> Self {
        let rows = self.rows();
        self.model.weights = Some((0..rows).map(|_| self.rng.between(0.4, 2.5)).collect());
        self
    }

    pub fn correlated(mut self) -> Self {
        self.model.time = Some((0..self.rows() as i32).collect());
        self
    }

    /// Effects of class c with standard deviations of about 0.6 + 0.7 c, correlated ones where there are several.
    pub fn build(mut self) -> Model {
        let rows = self.rows();
        let mut y: Vec<f64> = (0..rows)
            .map(|i| 1.0 + 0.5 * self.model.x[rows + i])
            .collect();
        for term in &self.model.terms {
            let factor = &self.model.factors[term.factor];
            let k = term.columns.len();
            for level in 0..factor.levels {
                let (size, common) = (0.6 + 0.7 * term.class(level) as f64, self.rng.normal());
                let b: Vec<f64> = (0..k)
                    .map(|_| size * (0.5 * common + 0.9 * self.rng.normal()))
                    .collect();
                for i in (0..rows).filter(|&i| factor.codes[i] as usize == level + 1) {
                    y[i] += (0..k).map(|c| term.value(c, i) * b[c]).sum::<f64>();
                }
            }
        }
        let mut last = 0.0;
        for (i, y) in y.iter_mut().enumerate() {
            let noise = self.rng.normal();
            last = if self.model.time.is_some() {
                0.5 * last + 0.8 * noise
            } else {
                noise
            };
            *y += last / self.model.weights.as_ref().map_or(1.0, |w| w[i].sqrt());
        }
        self.model.y = y;
        self.model
    }
}

impl Term {
    pub fn value(&self, column: usize, row: usize) -> f64 {
        self.columns[column].as_ref().map_or(1.0, |v| v[row])
    }

    /// Number of its classes.
    pub fn count(&self) -> usize {
        self.classes.as_ref().map_or(1, |own| own.1)
    }

    /// Class of a level, from 0.
    pub fn class(&self, level: usize) -> usize {
        let classes = self.classes.as_ref();
        classes.map_or(0, |own| own.0[level] as usize - 1)
    }
}

pub fn borrowed(columns: &[Option<Vec<f64>>]) -> Vec<Column<'_>> {
    columns
        .iter()
        .map(|c| c.as_ref().map_or(Column::Constant, |v| Column::Values(v)))
        .collect()
}

impl Model {
    pub fn n(&self) -> usize {
        self.y.len()
    }

    pub fn residual(&self) -> Option<ResidualStructure<'_>> {
        let time = self.time.as_ref()?;
        Some(self.residual_at(time))
    }

    pub fn residual_at<'a>(&'a self, time: &'a [i32]) -> ResidualStructure<'a> {
        ResidualStructure {
            groups: Some(GroupingFactor {
                members: None,
                counts: None,
                codes: &self.factors[0].codes,
                n_levels: self.factors[0].levels,
                precision: None,
            }),
            correlation: Some(Correlation::new(kind("ar1"), Position::Whole(time))),
            scales: Vec::new(),
            start: Vec::new(),
            held: Vec::new(),
        }
    }

    pub fn without_terms(&self) -> ModelData<'_> {
        ModelData {
            moments: None,
            stands_for: None,
            y: &self.y,
            x: Column::of_matrix(&self.x, self.n(), 2),
            p: 2,
            weights: self.weights.as_deref(),
            offset: None,
            factors: (self.factors.iter())
                .map(|f| GroupingFactor {
                    members: None,
                    counts: None,
                    codes: &f.codes,
                    n_levels: f.levels,
                    precision: f.known.as_ref().map(|k| KnownMatrix {
                        start: &k.start,
                        row: &k.row,
                        value: &k.value,
                    }),
                })
                .collect(),
            terms: Vec::new(),
            residual: self.residual(),
        }
    }

    pub fn data(&self) -> ModelData<'_> {
        let mut data = self.without_terms();
        let terms = self.terms.iter().map(|term| RandomTerm {
            factor: term.factor,
            columns: borrowed(&term.columns),
            structure: term.structure,
            classes: term.classes.as_ref().map(|(codes, count)| Classes {
                codes,
                count: *count,
            }),
        });
        data.terms = terms.collect();
        data
    }

    /// A term for each term and class, with columns that are zero outside of it.
    pub fn dummies(&self) -> Vec<Term> {
        let mut out = Vec::new();
        for term in &self.terms {
            let codes = &self.factors[term.factor].codes;
            for class in 0..term.count() {
                let inside = |i: usize| {
                    let own = term.class(codes[i] as usize - 1) == class;
                    f64::from(u8::from(own))
                };
                let column = |c: usize| -> Vec<f64> {
                    (0..self.n())
                        .map(|i| inside(i) * term.value(c, i))
                        .collect()
                };
                out.push(Term {
                    factor: term.factor,
                    columns: (0..term.columns.len()).map(|c| Some(column(c))).collect(),
                    structure: term.structure,
                    classes: None,
                });
            }
        }
        out
    }

    pub fn plain<'a>(&'a self, dummies: &'a [Term]) -> ModelData<'a> {
        let mut data = self.without_terms();
        let terms = dummies.iter().map(|term| RandomTerm {
            factor: term.factor,
            columns: borrowed(&term.columns),
            structure: term.structure,
            classes: None,
        });
        data.terms = terms.collect();
        data
    }

    /// What each level has in the dummy term of its class, of what the dummy terms have one after the other, so many numbers for k
    /// effects of a level.
    pub fn gathered(&self, values: &[f64], of_level: impl Fn(usize) -> usize) -> Vec<f64> {
        let mut rest = values;
        let mut out = Vec::new();
        for term in &self.terms {
            let (levels, each) = (
                self.factors[term.factor].levels,
                of_level(term.columns.len()),
            );
            let (own, later) = rest.split_at(term.count() * levels * each);
            for level in 0..levels {
                let at = (term.class(level) * levels + level) * each;
                out.extend_from_slice(&own[at..at + each]);
            }
            rest = later;
        }
        assert!(rest.is_empty());
        out
    }

    /// V / sigma^2 in the user's terms, without a residual structure.
    pub fn marginal(&self, theta: &[f64]) -> Vec<f64> {
        let n = self.n();
        let mut v = vec![0.0; n * n];
        for i in 0..n {
            v[i * n + i] = 1.0 / self.weights.as_ref().map_or(1.0, |w| w[i]);
        }
        let mut rest = theta;
        for term in &self.terms {
            let (factor, k) = (&self.factors[term.factor], term.columns.len());
            for class in 0..term.count() {
                let (g, used) = g_of(term.structure, k, rest);
                rest = &rest[used..];
                for i in 0..n {
                    for j in 0..n {
                        let [a, b] = [i, j].map(|row| factor.codes[row] as usize - 1);
                        if [a, b].iter().any(|&l| term.class(l) != class) {
                            continue;
                        }
                        let between = match &factor.known {
                            Some(known) => known.covariance[a * factor.levels + b],
                            None => f64::from(u8::from(a == b)),
                        };
                        let zgz: f64 = (0..k * k)
                            .map(|e| term.value(e % k, i) * g[e] * term.value(e / k, j))
                            .sum();
                        v[i * n + j] += between * zgz;
                    }
                }
            }
        }
        assert!(rest.is_empty());
        v
    }

    /// Whether G of each class is positive definite.
    pub fn is_covariance(&self, theta: &[f64]) -> bool {
        let mut rest = theta;
        let terms = self.terms.iter();
        let mut classes = terms.flat_map(|term| vec![term; term.count()]);
        classes.all(|term| {
            let k = term.columns.len();
            let (g, used) = g_of(term.structure, k, rest);
            rest = &rest[used..];
            cholesky(&g, k).is_some()
        })
    }

    /// The criterion by definition.
    pub fn brute(&self, theta: &[f64], reml: bool) -> f64 {
        let n = self.n();
        let l = cholesky(&self.marginal(theta), n).expect("V is positive definite");
        let mut columns: Vec<Vec<f64>> = (self.x.chunks_exact(n)).map(<[f64]>::to_vec).collect();
        columns.push(self.y.clone());
        columns.iter_mut().for_each(|column| forward(&l, n, column));
        let (_, upper) = qr(&columns);
        let diagonal = |c: usize| upper[c * 3 + c].abs();
        let log_det = |v: f64| 2.0 * v.ln();
        let of_v: f64 = (0..n).map(|i| log_det(l[i * n + i])).sum();
        let of_x = if reml {
            log_det(diagonal(0)) + log_det(diagonal(1))
        } else {
            0.0
        };
        let degrees = n as f64 - if reml { 2.0 } else { 0.0 };
        let scale = 2.0 * std::f64::consts::PI * diagonal(2).powi(2) / degrees;
        of_v + of_x + degrees * (1.0 + scale.ln())
    }
}

pub fn inverse(a: &[f64], n: usize) -> Vec<f64> {
    let l = cholesky(a, n).expect("positive definite");
    let mut out = vec![0.0; n * n];
    for (j, column) in out.chunks_exact_mut(n).enumerate() {
        column[j] = 1.0;
        forward(&l, n, column);
        backward(&l, n, column);
    }
    out
}

/// G of one class at its natural parameters, and how many these are.
pub fn g_of(structure: Structure, k: usize, theta: &[f64]) -> (Vec<f64>, usize) {
    let mut t = vec![0.0; k * k];
    match structure {
        Structure::Unstructured => {
            let mut values = theta.iter();
            for j in 0..k {
                (j..k).for_each(|i| t[j * k + i] = *values.next().unwrap());
            }
        }
        Structure::Diagonal => (0..k).for_each(|i| t[i * k + i] = theta[i]),
        Structure::Identity => (0..k).for_each(|i| t[i * k + i] = theta[0]),
        Structure::Fixed => panic!("not a shape of these tests"),
        Structure::Correlated {
            correlation,
            homogeneous,
        } => {
            let d = if homogeneous { 1 } else { k };
            let sd = |i: usize| theta[if homogeneous { 0 } else { i }];
            let correlation_of = |lag: usize| match correlation.facts().name {
                _ if lag == 0 => 1.0,
                "ar1" => theta[d].powi(lag as i32),
                "toep" => theta[d + lag - 1],
                _ => theta[d],
            };
            let cell = |e: usize| {
                let (i, j) = (e % k, e / k);
                sd(i) * sd(j) * correlation_of(i.abs_diff(j))
            };
            let toeplitz = correlation == kind("toep");
            let used = d + if toeplitz { k - 1 } else { 1 };
            return ((0..k * k).map(cell).collect(), used);
        }
        Structure::ReducedRank { .. } | Structure::FactorAnalytic { .. } => {
            panic!("not a case of these tests")
        }
    }
    let cell = |e: usize| (0..k).map(|c| t[c * k + e % k] * t[c * k + e / k]).sum();
    let used = match structure {
        Structure::Unstructured => k * (k + 1) / 2,
        Structure::Diagonal => k,
        _ => 1,
    };
    ((0..k * k).map(cell).collect(), used)
}

/// One term, two crossed ones, nested ones, several on one factor; each structure; weights, correlated residuals, known precisions.
pub fn all_models() -> Vec<Model> {
    let us = Structure::Unstructured;
    let one = |name: &str, seed, structure, k| {
        Builder::new(name, seed, 480)
            .factor(60, 2, |i| i / 8)
            .term(0, structure, k)
            .build()
    };
    vec![
        one("intercepts", 1, us, 1),
        one("slopes", 2, us, 2),
        one("diagonal", 3, Structure::Diagonal, 2),
        one("identity", 4, Structure::Identity, 3),
        one("cs", 5, structure("cs", false), 3),
        one("ar1", 6, structure("ar1", true), 3),
        one("toep", 7, structure("toep", false), 3),
        Builder::new("three classes, weighted", 8, 200)
            .weighted()
            .factor(33, 3, |i| i % 33)
            .term(0, us, 2)
            .build(),
        Builder::new("crossed, both with classes", 9, 220)
            .factor(22, 2, |i| i % 22)
            .factor(10, 3, |i| (i / 22 + i * i) % 10)
            .term(0, us, 1)
            .term(1, us, 1)
            .build(),
        Builder::new("crossed, classes in the second", 10, 220)
            .factor(22, 0, |i| i % 22)
            .factor(12, 2, |i| (i / 22 + i * i) % 12)
            .term(0, us, 2)
            .term(1, us, 1)
            .build(),
        Builder::new("crossed, classes in the first", 11, 220)
            .factor(22, 2, |i| i % 22)
            .factor(10, 0, |i| (i / 22 + i * i) % 10)
            .term(0, Structure::Diagonal, 2)
            .term(1, us, 1)
            .build(),
        Builder::new("two terms on one factor", 12, 360)
            .factor(40, 2, |i| i / 9)
            .term(0, structure("cs", false), 3)
            .slope(0)
            .build(),
        Builder::new("terms with classes of their own", 18, 420)
            .factor(60, 2, |i| i / 7)
            .term(0, us, 2)
            .slope(0)
            .otherwise(3)
            .slope(0)
            .otherwise(0)
            .build(),
        Builder::new(
            "terms with classes of their own beside a larger factor",
            19,
            480,
        )
        .factor(80, 0, |i| i / 6)
        .factor(36, 2, |i| (i * 5 + i / 36) % 36)
        .term(0, us, 1)
        .term(1, us, 1)
        .slope(1)
        .otherwise(3)
        .build(),
        Builder::new("a class with one level", 13, 200)
            .factor(25, 0, |i| i / 8)
            .with_single()
            .term(0, us, 1)
            .build(),
        Builder::new("nested", 14, 240)
            .factor(60, 2, |i| i / 4)
            .factor(20, 2, |i| i / 12)
            .term(0, us, 1)
            .term(1, us, 1)
            .build(),
        Builder::new("known precision", 15, 200)
            .factor(24, 2, |i| i % 24)
            .known()
            .term(0, us, 1)
            .build(),
        Builder::new("known precision beside another factor", 16, 240)
            .factor(40, 2, |i| i / 6)
            .factor(16, 2, |i| (i * 7 + i / 16) % 16)
            .known()
            .term(0, us, 1)
            .term(1, us, 2)
            .build(),
    ]
}

pub fn named(name: &str) -> Model {
    let found = all_models().into_iter().find(|model| model.name == name);
    found.unwrap()
}

pub fn with_residuals() -> Vec<Model> {
    vec![
        Builder::new("correlated residuals", 21, 240)
            .correlated()
            .factor(30, 2, |i| i / 8)
            .term(0, Structure::Unstructured, 1)
            .build(),
        Builder::new("correlated residuals beside a crossed factor", 22, 240)
            .correlated()
            .factor(24, 2, |i| i / 10)
            .factor(10, 2, |i| (i * 7 + i / 10) % 10)
            .term(0, Structure::Unstructured, 2)
            .term(1, Structure::Unstructured, 1)
            .build(),
    ]
}
