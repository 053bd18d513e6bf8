//! Both factors of M, and what is known of them.

use crate::api::model::{Column, GroupingFactor, KnownMatrix, ModelData, RandomTerm, Structure};
use crate::api::options::Options;
use crate::basis::covariances::{Covariances, LevelClasses};
use crate::basis::internal_theta::InternalTheta;
use crate::fit::prepare::prepare;
use crate::fit::prepared::Prepared;
use crate::runtime::stop::StopFlag;
use crate::system::complement::Complement;
use crate::system::equations::Factor;

/// Levels of two grouping factors, a predictor and the response.
struct Data {
    g: Vec<i32>,
    h: Vec<i32>,
    x: Vec<f64>,
    y: Vec<f64>,
}

fn data(rows: impl Iterator<Item = (usize, usize)>) -> Data {
    let (mut g, mut h) = (Vec::new(), Vec::new());
    for (a, b) in rows {
        g.push(a as i32 + 1);
        h.push(b as i32 + 1);
    }
    let wave = |i: usize, step: f64| (i as f64 * step).sin();
    Data {
        x: (0..g.len()).map(|i| 3.0 + wave(i, 1.7)).collect(),
        y: (0..g.len()).map(|i| wave(i, 2.9) + wave(i, 0.3)).collect(),
        g,
        h,
    }
}

impl Data {
    fn prepared(&self, slopes: bool, precision: Option<KnownMatrix<'_>>) -> Prepared {
        let levels = |codes: &[i32]| codes.iter().max().map_or(0, |&v| v as usize);
        let factor = |codes, precision| GroupingFactor {
            members: None,
            counts: None,
            codes,
            n_levels: levels(codes),
            precision,
        };
        let of_term = |factor, columns| RandomTerm {
            factor,
            columns,
            structure: Structure::Unstructured,
            classes: None,
        };
        let mut columns = vec![Column::Constant];
        if slopes {
            columns.push(Column::Values(&self.x));
        }
        let model = ModelData {
            y: &self.y,
            x: Vec::new(),
            p: 0,
            weights: None,
            offset: None,
            factors: vec![factor(&self.g, None), factor(&self.h, precision)],
            terms: vec![of_term(0, columns.clone()), of_term(1, columns)],
            residual: None,
            moments: None,
            stands_for: None,
        };
        let mut prepared =
            prepare(&model, &Options::default(), &StopFlag::default()).expect("prepared");
        prepared
            .extend(&model, &InternalTheta::default())
            .expect("extended");
        prepared
    }
}

/// T of about this size, larger for each other level where there are classes.
fn covariances(prepared: &Prepared, size: f64, classes: bool) -> Covariances {
    let t = |k: usize| -> Vec<f64> {
        let entry = |e: usize| match (e % k, e / k) {
            (i, j) if i == j => size * (1.0 + 0.3 * i as f64),
            (i, j) if i > j => 0.4 * size,
            _ => 0.0,
        };
        (0..k * k).map(entry).collect()
    };
    let k: Vec<usize> = prepared.layout.iter().map(|f| f.k).collect();
    if !classes {
        let all: Vec<_> = k.iter().map(|&k| t(k)).collect();
        return all.into();
    }
    let of_levels = prepared.layout.iter().map(|f| {
        let codes: Vec<i32> = (0..f.n_levels).map(|level| level as i32 % 2 + 1).collect();
        Some(LevelClasses::new(&codes, 2))
    });
    let mut out = Covariances::default();
    out.clear(&k, &of_levels.collect::<Vec<_>>());
    for (f, &k) in k.iter().enumerate() {
        for class in 0..2 {
            let own = t(k).into_iter().map(|v| v * (1.0 + class as f64));
            let to = out.of_class_mut(f, class).iter_mut();
            to.zip(own).for_each(|(to, v)| *to = v);
        }
    }
    out
}

fn factor(prepared: &Prepared, t: Covariances) -> Factor {
    Factor::new(&prepared.system, t, &prepared.center.b, Factor::default()).expect("a factor")
}

/// All that stands in a factor.
fn values(prepared: &Prepared, factor: &Factor) -> Vec<f64> {
    let (order, k1) = (prepared.system.schur.q2, prepared.system.k1());
    let below = |n: usize| {
        (0..n * n)
            .map(move |e| (e % n, e / n))
            .filter(|(i, j)| i >= j)
    };
    let s = match &factor.s {
        Complement::Sparse { values, .. } => values.clone(),
        Complement::Dense(s) => below(order).map(|(i, j)| s.entry(i, j)).collect(),
    };
    let blocks = factor.l1.chunks_exact(k1 * k1);
    let l1 = blocks.flat_map(|l| below(k1).map(|(i, j)| l[j * k1 + i]));
    let l1: Vec<f64> = l1.collect();
    [&l1[..], &factor.w, &s, &[factor.log_det_m]].concat()
}

/// Where doubles have all digits the factors are the same, whatever the complement is stored in.
#[test]
fn both_factors_agree_at_moderate_parameters() {
    let crossed = data((0..240).map(|i| (i % 24, (5 * i + i / 24) % 11)));
    // 260 outer levels: a sparse complement
    let nested = data((0..1560).map(|i| (i / 2, i / 6)));
    let n = 11;
    let (mut start, mut row, mut value) = (vec![0], Vec::new(), Vec::new());
    for j in 0..n {
        for l in 0..n {
            if i32::abs(j - l) < 2 {
                row.push(l);
                value.push(if j == l { 2.0 } else { -0.7 });
            }
        }
        start.push(row.len() as i32);
    }
    let known = KnownMatrix {
        start: &start,
        row: &row,
        value: &value,
    };
    for (data, slopes, known) in [
        (&crossed, false, None),
        (&crossed, true, None),
        (&crossed, true, Some(known)),
        (&nested, false, None),
        (&nested, true, None),
    ] {
        for classes in [false, true] {
            let mut prepared = data.prepared(slopes, known);
            let t = covariances(&prepared, 2.0, classes);
            let extended = values(&prepared, &factor(&prepared, t.clone()));
            prepared.system.moments.rest = None;
            let doubles = values(&prepared, &factor(&prepared, t));
            assert_eq!(extended.len(), doubles.len());
            for (x, y) in extended.iter().zip(&doubles) {
                assert!((x - y).abs() <= 1e-11 * y.abs().max(1.0), "{x} {y}");
            }
        }
    }
}

/// |M| of balanced crossed factors from its eigenvalues.
#[test]
fn determinants_keep_their_digits() {
    let (a, b, n) = (7, 5, 3);
    let data = data((0..a * b * n).map(|i| (i / n % a, i / n / a)));
    let prepared = data.prepared(false, None);
    for size in [1.0, 1e3, 1e5, 1e7, 1e8, 1e9] {
        let found = factor(&prepared, covariances(&prepared, size, false));
        // the bases are scaled to columns of unit mean square
        let ratio = |f: usize| {
            let moments = &prepared.system.moments.factors[f];
            size * size * moments.zz[0]
        };
        let (of_g, of_h) = (ratio(0), ratio(1));
        let right = (a as f64 - 1.0) * (1.0 + of_g).ln()
            + (b as f64 - 1.0) * (1.0 + of_h).ln()
            + (1.0 + of_g + of_h).ln();
        let error = (found.log_det_m - right).abs() / right;
        assert!(error < 1e-13, "{size}: {} {right}", found.log_det_m);
        assert!(found.rounding(&prepared.system) < 1e-15);
    }
    // which doubles do not, and say so
    let mut prepared = prepared;
    prepared.system.moments.rest = None;
    let found = factor(&prepared, covariances(&prepared, 1e5, false));
    let rounding = found.rounding(&prepared.system);
    assert!((1e-8..1e-2).contains(&rounding), "{rounding}");
}
