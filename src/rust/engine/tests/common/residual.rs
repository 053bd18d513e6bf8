//! Residual structures that own their data, and their dense matrices from the textbook formulas.

use ferrolmm_engine::structure::residual::Residual;
use ferrolmm_engine::{
    Classes, Correlation, GroupingFactor, KnownMatrix, Metric, Position, ResidualStructure, Scale,
    ScaleFunction,
};

use super::{kind, spatial, Rng};

/// A correlation structure.
#[derive(Debug, Clone, PartialEq)]
pub enum Law {
    Independent,
    Ar1,
    Car1,
    Arma {
        p: usize,
        q: usize,
    },
    CompoundSymmetric,
    Unstructured {
        visits: usize,
    },
    Toeplitz {
        visits: usize,
    },
    AnteDependence {
        visits: usize,
    },
    Spatial {
        kind: &'static str,
        nugget: bool,
        dimensions: usize,
        metric: Metric,
    },
    /// Of two axes: visits 1 to 3 are places 1 to 3 on the second one, at 1 on the first, visits 4 to 6 the same at 2.
    Product {
        first: &'static str,
        second: &'static str,
        nugget: bool,
    },
    /// Entries of a matrix, which has the rows in the opposite order.
    Known,
}

/// A variance function.
#[derive(Debug, Clone)]
pub enum Scaling {
    Ident { strata: usize },
    Power { strata: usize },
    Exponential { strata: usize },
    ConstantPower { strata: usize },
    ConstantProportion { strata: usize },
}

impl Scaling {
    fn strata(&self) -> usize {
        match *self {
            Self::Ident { strata }
            | Self::Power { strata }
            | Self::Exponential { strata }
            | Self::ConstantPower { strata }
            | Self::ConstantProportion { strata } => strata,
        }
    }

    fn len(&self) -> usize {
        match *self {
            Self::Ident { strata } => strata - 1,
            Self::Power { strata } | Self::Exponential { strata } => strata,
            Self::ConstantPower { strata } | Self::ConstantProportion { strata } => 2 * strata,
        }
    }
}

/// Rows with everything that some structure needs.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub law: Law,
    pub scalings: Vec<Scaling>,
    pub groups: usize,
    pub codes: Vec<i32>,
    /// Number of classes of groups, and the class of each row's group.
    pub classes: usize,
    pub class: Vec<i32>,
    /// Whole times 1 to `visits`, different within a group.
    pub time: Vec<i32>,
    /// Any times.
    pub real: Vec<f64>,
    pub coordinates: Vec<Vec<f64>>,
    /// Places on the two axes of a product, those on the second one as times as well.
    axes: [Vec<i32>; 2],
    times: Vec<f64>,
    pub covariate: Vec<f64>,
    /// One vector of codes for each scaling.
    pub strata: Vec<Vec<i32>>,
    pub start: Vec<f64>,
    pub held: Vec<bool>,
    known: Known,
}

/// Known correlations in compressed columns, and the row of the matrix of each row.
#[derive(Debug, Clone, Default)]
struct Known {
    place: Vec<i32>,
    start: Vec<i32>,
    row: Vec<i32>,
    value: Vec<f64>,
}

/// A positive definite function of the distance, of both signs.
fn known_correlation(distance: f64) -> f64 {
    (-0.4 * distance).exp() * (1.5 * distance).cos()
}

impl Known {
    fn new(codes: &[i32], real: &[f64]) -> Self {
        let n = codes.len();
        let mut known = Self {
            place: (0..n).map(|i| (n - i) as i32).collect(),
            start: vec![0],
            ..Self::default()
        };
        for j in (0..n).rev() {
            for i in (0..n).rev().filter(|&i| codes[i] == codes[j]) {
                known.row.push((n - 1 - i) as i32);
                known
                    .value
                    .push(known_correlation((real[i] - real[j]).abs()));
            }
            known.start.push(known.row.len() as i32);
        }
        known
    }
}

impl Case {
    /// Groups of 1 to `visits` rows in mixed order; half of the groups have the positions of another.
    pub fn new(law: Law, scalings: Vec<Scaling>, groups: usize, visits: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut rows: Vec<(i32, i32, f64, [f64; 3])> = Vec::new();
        let mut previous: Vec<(i32, f64, [f64; 3])> = Vec::new();
        for g in 0..groups {
            if g % 2 == 0 {
                let m = if g == 0 {
                    visits
                } else if g == 2 {
                    1
                } else {
                    1 + rng.below(visits)
                };
                let mut times: Vec<usize> = rng.order(visits)[..m].to_vec();
                times.sort_unstable();
                previous = times
                    .into_iter()
                    .map(|t| {
                        let real = t as f64 * 0.7 + rng.between(0.0, 0.5);
                        let point = [real, rng.between(0.0, 3.0), rng.between(0.0, 3.0)];
                        (t as i32 + 1, real, point)
                    })
                    .collect();
            }
            rows.extend(previous.iter().map(|&(t, r, p)| (g as i32 + 1, t, r, p)));
        }
        let rows: Vec<_> = rng.order(rows.len()).into_iter().map(|i| rows[i]).collect();
        let n = rows.len();
        let strata = scalings
            .iter()
            .map(|s| {
                (0..n)
                    .map(|i| {
                        let s = s.strata();
                        1 + if i < s { i as i32 } else { rng.below(s) as i32 }
                    })
                    .collect()
            })
            .collect();
        let codes: Vec<i32> = rows.iter().map(|r| r.0).collect();
        let real: Vec<f64> = rows.iter().map(|r| r.2).collect();
        Self {
            known: Known::new(&codes, &real),
            name: format!("{law:?} {scalings:?}"),
            law,
            scalings,
            groups,
            codes,
            classes: 1,
            class: vec![1; n],
            time: rows.iter().map(|r| r.1).collect(),
            real,
            axes: [
                rows.iter().map(|r| (r.1 - 1) / 3 + 1).collect(),
                rows.iter().map(|r| (r.1 - 1) % 3 + 1).collect(),
            ],
            times: rows
                .iter()
                .map(|r| 0.7 * f64::from((r.1 - 1) % 3))
                .collect(),
            coordinates: (0..3)
                .map(|d| rows.iter().map(|r| r.3[d]).collect())
                .collect(),
            covariate: (0..n)
                .map(|i| rng.between(0.5, 4.0) * if i % 5 == 0 { -1.0 } else { 1.0 })
                .collect(),
            strata,
            start: Vec::new(),
            held: Vec::new(),
        }
    }

    /// The same rows, their groups in so many classes: groups with the same positions are in different ones.
    pub fn by_class(mut self, classes: usize) -> Self {
        self.name = format!("{} in {classes} classes", self.name);
        self.classes = classes;
        let class = |&code: &i32| 1 + (code - 1) % classes as i32;
        self.class = self.codes.iter().map(class).collect();
        self
    }

    pub fn n(&self) -> usize {
        self.codes.len()
    }

    pub fn structure(&self) -> ResidualStructure<'_> {
        let time = &self.time;
        let correlation = match self.law {
            Law::Independent => None,
            Law::Ar1 => Some(Correlation::new(kind("ar1"), Position::Whole(time))),
            Law::Car1 => Some(Correlation::new(kind("car1"), Position::Times(&self.real))),
            Law::Arma { p, q } => Some(Correlation {
                orders: (p, q),
                ..Correlation::new(kind("arma"), Position::Whole(time))
            }),
            Law::CompoundSymmetric => Some(Correlation::new(kind("cs"), Position::None)),
            Law::Unstructured { visits } => Some(Correlation::new(
                kind("us"),
                Position::Visits {
                    visit: time,
                    visits,
                },
            )),
            Law::Toeplitz { visits } => Some(Correlation::new(
                kind("toep"),
                Position::Visits {
                    visit: time,
                    visits,
                },
            )),
            Law::AnteDependence { visits } => Some(Correlation::new(
                kind("ante"),
                Position::Visits {
                    visit: time,
                    visits,
                },
            )),
            Law::Spatial {
                kind,
                nugget,
                dimensions,
                metric,
            } => Some(spatial(
                kind,
                nugget,
                self.coordinates[..dimensions]
                    .iter()
                    .map(Vec::as_slice)
                    .collect(),
                metric,
            )),
            Law::Product {
                first,
                second,
                nugget,
            } => Some(Correlation {
                nugget,
                ..Correlation::new(
                    kind("product"),
                    Position::Product {
                        axes: vec![
                            (kind(first), self.axis(first, 0)),
                            (kind(second), self.axis(second, 1)),
                        ],
                    },
                )
            }),
            Law::Known => Some(Correlation::new(
                kind("known"),
                Position::Rows {
                    row: &self.known.place,
                    matrix: KnownMatrix {
                        start: &self.known.start,
                        row: &self.known.row,
                        value: &self.known.value,
                    },
                },
            )),
        };
        let correlation = correlation.map(|correlation| Correlation {
            classes: (self.classes > 1).then_some(Classes {
                codes: &self.class,
                count: self.classes,
            }),
            ..correlation
        });
        let scales = self
            .scalings
            .iter()
            .zip(&self.strata)
            .map(|(scaling, codes)| {
                let strata = scaling.strata();
                let of_covariate = |function| Scale::OfCovariate {
                    function,
                    covariate: self.covariate.as_slice(),
                    stratum: (strata > 1).then_some(codes.as_slice()),
                    strata,
                };
                match scaling {
                    Scaling::Ident { .. } => Scale::Ident {
                        stratum: codes,
                        strata,
                    },
                    Scaling::Power { .. } => of_covariate(ScaleFunction::Power),
                    Scaling::Exponential { .. } => of_covariate(ScaleFunction::Exponential),
                    Scaling::ConstantPower { .. } => of_covariate(ScaleFunction::ConstantPower),
                    Scaling::ConstantProportion { .. } => {
                        of_covariate(ScaleFunction::ConstantProportion)
                    }
                }
            })
            .collect();
        ResidualStructure {
            groups: Some(GroupingFactor {
                members: None,
                counts: None,
                precision: None,
                codes: &self.codes,
                n_levels: self.groups,
            }),
            correlation,
            scales,
            start: self.start.clone(),
            held: self.held.clone(),
        }
    }

    fn axis(&self, name: &str, axis: usize) -> Position<'_> {
        match name {
            "ar1" => Position::Whole(&self.axes[axis]),
            "car1" => Position::Times(&self.times),
            _ => Position::Visits {
                visit: &self.axes[axis],
                visits: SIZES[axis],
            },
        }
    }

    pub fn residual(&self) -> Residual {
        Residual::new(&self.structure(), self.n())
            .unwrap_or_else(|e| panic!("{}: {e:?}", self.name))
    }

    /// These rows alone.
    pub fn subset(&self, rows: &[usize]) -> Self {
        fn pick<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&i| values[i]).collect()
        }
        Self {
            known: Known {
                place: pick(&self.known.place, rows),
                ..self.known.clone()
            },
            codes: pick(&self.codes, rows),
            class: pick(&self.class, rows),
            time: pick(&self.time, rows),
            real: pick(&self.real, rows),
            coordinates: self.coordinates.iter().map(|c| pick(c, rows)).collect(),
            axes: [pick(&self.axes[0], rows), pick(&self.axes[1], rows)],
            times: pick(&self.times, rows),
            covariate: pick(&self.covariate, rows),
            strata: self.strata.iter().map(|s| pick(s, rows)).collect(),
            ..self.clone()
        }
    }

    fn point(&self, row: usize, dimensions: usize) -> Vec<f64> {
        (0..dimensions).map(|d| self.coordinates[d][row]).collect()
    }

    fn distance(&self, i: usize, j: usize) -> f64 {
        let Law::Spatial {
            dimensions, metric, ..
        } = self.law
        else {
            return 0.0;
        };
        let (x, y) = (self.point(i, dimensions), self.point(j, dimensions));
        let gaps = x.iter().zip(&y).map(|(a, b)| (a - b).abs());
        match metric {
            Metric::Euclidean => gaps.map(|g| g * g).sum::<f64>().sqrt(),
            Metric::Manhattan => gaps.sum(),
            Metric::Maximum => gaps.fold(0.0, f64::max),
        }
    }

    /// How far distances are from the range, where linear and spherical correlations have kinks; relative.
    pub fn kinks(&self, natural: &[f64]) -> f64 {
        let mut nearest = f64::INFINITY;
        if let Law::Spatial {
            kind: "lin" | "spher",
            ..
        } = self.law
        {
            for i in 0..self.n() {
                for j in 0..i {
                    if self.codes[i] == self.codes[j] {
                        assert!(self.classes == 1, "kinks of one class");
                        let s = self.distance(i, j) / natural[0];
                        nearest = nearest.min((s - 1.0).abs());
                    }
                }
            }
        }
        nearest
    }

    /// Correlation of rows i and j if they were in one group; where a law allows equal positions, these are different rows.
    pub fn between(&self, natural: &[f64], i: usize, j: usize) -> f64 {
        let tied = match self.law {
            Law::Car1 => self.real[i].to_bits() == self.real[j].to_bits(),
            Law::CompoundSymmetric
            | Law::Spatial { .. }
            | Law::Product { nugget: true, .. }
            | Law::Independent => false,
            _ => self.time[i] == self.time[j],
        };
        if tied {
            1.0
        } else {
            self.correlation(natural, i, j)
        }
    }

    /// Correlation of rows i and j of one group.
    pub fn correlation(&self, natural: &[f64], i: usize, j: usize) -> f64 {
        let lag = (self.time[i] - self.time[j]).unsigned_abs() as usize;
        let pair = {
            let (a, b) = (self.time[i] as usize, self.time[j] as usize);
            (a.min(b) - 1, a.max(b) - 1)
        };
        if i == j {
            return 1.0;
        }
        let scales: usize = self.scalings.iter().map(Scaling::len).sum();
        let each = (natural.len() - scales) / self.classes;
        let natural = &natural[(self.class[i] as usize - 1) * each..][..each];
        match self.law {
            Law::Independent => 0.0,
            Law::Ar1 => natural[0].powi(lag as i32),
            Law::Car1 => natural[0].powf((self.real[i] - self.real[j]).abs()),
            Law::Arma { p, q } => arma_autocorrelation(natural, p, q, lag),
            Law::CompoundSymmetric => natural[0],
            Law::Known => known_correlation((self.real[i] - self.real[j]).abs()),
            Law::Unstructured { visits } => {
                let mut k = 0;
                for column in 0..visits {
                    for row in column + 1..visits {
                        if (column, row) == pair {
                            return natural[k];
                        }
                        k += 1;
                    }
                }
                panic!("no such pair");
            }
            Law::Product {
                first,
                second,
                nugget,
            } => {
                let own = axis_parameters(first, SIZES[0]);
                let on = |axis: usize, name, natural: &[f64]| {
                    axis_correlation(name, natural, self.axes[axis][i], self.axes[axis][j])
                };
                on(0, first, &natural[..own])
                    * on(1, second, &natural[own..])
                    * if nugget {
                        1.0 - natural[natural.len() - 1]
                    } else {
                        1.0
                    }
            }
            Law::Toeplitz { .. } => natural[lag - 1],
            Law::AnteDependence { .. } => natural[pair.0..pair.1].iter().product(),
            Law::Spatial { kind, nugget, .. } => {
                let s = self.distance(i, j) / natural[0];
                let value = match kind {
                    "exp" | "matern0.5" => (-s).exp(),
                    "gaus" => (-s * s).exp(),
                    "lin" => (1.0 - s).max(0.0),
                    "ratio" => 1.0 / (1.0 + s * s),
                    "spher" if s < 1.0 => 1.0 - 1.5 * s + 0.5 * s.powi(3),
                    "spher" => 0.0,
                    "matern1.5" => {
                        let a = 3f64.sqrt() * s;
                        (1.0 + a) * (-a).exp()
                    }
                    "matern2.5" => {
                        let a = 5f64.sqrt() * s;
                        (1.0 + a + 5.0 * s * s / 3.0) * (-a).exp()
                    }
                    _ => panic!("no formula of {kind}"),
                };
                value * if nugget { 1.0 - natural[1] } else { 1.0 }
            }
        }
    }

    pub fn scale(&self, natural: &[f64], row: usize) -> f64 {
        let scales: usize = self.scalings.iter().map(Scaling::len).sum();
        let mut first = natural.len() - scales;
        let mut d = 1.0;
        for (scaling, codes) in self.scalings.iter().zip(&self.strata) {
            let v = self.covariate[row];
            let s = codes[row] as usize - 1;
            let own = &natural[first..first + scaling.len()];
            d *= match *scaling {
                Scaling::Ident { .. } if s == 0 => 1.0,
                Scaling::Ident { .. } => own[s - 1],
                Scaling::Power { .. } => v.abs().powf(own[s]),
                Scaling::Exponential { .. } => (own[s] * v).exp(),
                Scaling::ConstantPower { strata } => own[s] + v.abs().powf(own[strata + s]),
                Scaling::ConstantProportion { strata } => own[s].hypot(own[strata + s] * v),
            };
            first += scaling.len();
        }
        d
    }

    /// R, n x n, rows in the order of `residual`.
    pub fn dense(&self, residual: &Residual, natural: &[f64]) -> Vec<f64> {
        let n = self.n();
        let mut r = vec![0.0; n * n];
        for s in 0..n {
            for t in 0..n {
                let (i, j) = (residual.order()[s] as usize, residual.order()[t] as usize);
                if i == j || (self.codes[i] == self.codes[j] && self.law != Law::Independent) {
                    r[s * n + t] = self.correlation(natural, i, j)
                        * self.scale(natural, i)
                        * self.scale(natural, j);
                }
            }
        }
        r
    }
}

/// Places on the axes of a product.
const SIZES: [usize; 2] = [2, 3];

fn axis_parameters(name: &str, size: usize) -> usize {
    match name {
        "us" => size * (size - 1) / 2,
        "toep" | "ante" => size - 1,
        _ => 1,
    }
}

/// Correlation of two places of an axis, which count from 1; times are 0.7 apart.
fn axis_correlation(name: &str, natural: &[f64], x: i32, y: i32) -> f64 {
    let (x, y) = (x.min(y) as usize - 1, x.max(y) as usize - 1);
    if x == y {
        return 1.0;
    }
    match name {
        "ar1" => natural[0].powi((y - x) as i32),
        "car1" => natural[0].powf(0.7 * (y - x) as f64),
        "cs" => natural[0],
        "toep" => natural[y - x - 1],
        "ante" => natural[x..y].iter().product(),
        // pairs (2,1), (3,1), (3,2)
        "us" => natural[x + y - 1],
        _ => panic!("no formula of {name}"),
    }
}

/// From the first 400 coefficients of the infinite moving average.
fn arma_autocorrelation(natural: &[f64], p: usize, q: usize, lag: usize) -> f64 {
    let mut psi = vec![0.0; 400];
    for k in 0..psi.len() {
        let mut value = if k == 0 {
            1.0
        } else if k <= q {
            natural[p + k - 1]
        } else {
            0.0
        };
        for j in 1..=p.min(k) {
            value += natural[j - 1] * psi[k - j];
        }
        psi[k] = value;
    }
    let covariance = |lag: usize| -> f64 { psi.iter().zip(&psi[lag..]).map(|(a, b)| a * b).sum() };
    covariance(lag) / covariance(0)
}

/// Lower Cholesky factor, row-major.
pub fn factor(a: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let s: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let value = a[i * n + j] - s;
            if i == j {
                if value <= 0.0 || value.is_nan() {
                    return None;
                }
                l[i * n + i] = value.sqrt();
            } else {
                l[i * n + j] = value / l[j * n + j];
            }
        }
    }
    Some(l)
}

/// Inverse of a positive definite matrix.
pub fn dense_inverse(a: &[f64], n: usize) -> Option<Vec<f64>> {
    let l = factor(a, n)?;
    let mut inverse = vec![0.0; n * n];
    for column in 0..n {
        let mut x = vec![0.0; n];
        x[column] = 1.0;
        for i in 0..n {
            let s: f64 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
            x[i] = (x[i] - s) / l[i * n + i];
        }
        for i in (0..n).rev() {
            let s: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
            x[i] = (x[i] - s) / l[i * n + i];
        }
        for i in 0..n {
            inverse[i * n + column] = x[i];
        }
    }
    Some(inverse)
}
