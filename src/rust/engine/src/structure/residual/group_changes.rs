//! R of one group and its derivatives as dense matrices, for what needs all of their entries.

use crate::linalg::hyperdual::HyperDual;
use crate::runtime::memory;
use crate::structure::residual::residual::Residual;

/// C of a pattern, C_a of each correlation parameter, and sum_ab w_ab C_ab; m x m.
pub(crate) struct PatternChanges {
    c: Vec<f64>,
    first: Vec<Vec<f64>>,
    second: Vec<f64>,
}

/// R of a group, R_a of each parameter, and sum_ab w_ab R_ab; m x m.
pub(crate) struct GroupChanges {
    pub r: Vec<f64>,
    pub first: Vec<Vec<f64>>,
    pub second: Vec<f64>,
}

impl Residual {
    /// The correlations of a pattern at `phi`; `weights` are w of all parameters, len() x len().
    pub(crate) fn pattern_changes(
        &self,
        phi: &[f64],
        pattern: usize,
        weights: &[f64],
    ) -> PatternChanges {
        let (layout, own) = (&self.layout, &self.layout.patterns[pattern]);
        let (m, count, width) = (own.m(), self.first[0], self.len());
        let (start, class) = (own.places.start, own.class);
        let at = |a: usize, b: usize, part: fn(HyperDual) -> f64| -> Vec<f64> {
            let Some(correlation) = self.correlation else {
                return memory::collect((0..m * m).map(|e| f64::from(u8::from(e % m == e / m))));
            };
            let x = HyperDual::seeded(&phi[..count], a, b);
            let law = &correlation.laws(&x, layout.lags)[class];
            let all = law.matrix(m, |i| layout.point(start + i));
            memory::collect(all.into_iter().map(part))
        };
        let mut second = memory::zeros(m * m);
        for b in 0..count {
            for a in 0..=b {
                let weight = if a == b { 1.0 } else { 2.0 } * weights[b * width + a];
                if weight != 0.0 {
                    let own = at(a, b, |v| v.ab);
                    second
                        .iter_mut()
                        .zip(own)
                        .for_each(|(x, y)| *x += weight * y);
                }
            }
        }
        PatternChanges {
            c: at(usize::MAX, usize::MAX, |v| v.v),
            first: (0..count).map(|a| at(a, usize::MAX, |v| v.a)).collect(),
            second,
        }
    }

    /// The same of a group whose pattern has these correlations. With l = log d, R_a = D C_a D for a correlation parameter and
    /// R_ij (l_ia + l_ja) for one of a scale; R_ab likewise, and R_ij ((l_ia + l_ja)(l_ib + l_jb) + l_iab + l_jab) for two of
    /// scales.
    pub(crate) fn group_changes(
        &self,
        phi: &[f64],
        g: usize,
        pattern: &PatternChanges,
        weights: &[f64],
    ) -> GroupChanges {
        let (places, count, width) = (self.group(g), self.first[0], self.len());
        let m = places.len();
        let d: Vec<f64> = places
            .clone()
            .map(|place| self.log_scale(phi, place).exp())
            .collect();
        let scaled = |c: &[f64]| -> Vec<f64> {
            memory::collect((0..m * m).map(|e| c[e] * d[e % m] * d[e / m]))
        };
        // slopes of log d of each place along two parameters of scales
        let owner = |a: usize| (0..self.scales.len()).find(|&k| self.own(k).contains(&a));
        let slope = |a: usize, place: usize| -> f64 {
            owner(a).map_or(0.0, |k| {
                let own = self.own(k);
                let at = a - own.start;
                self.scales[k].slopes(&phi[own], at, at, place).a
            })
        };
        let bend = |a: usize, b: usize, place: usize| -> f64 {
            match (owner(a), owner(b)) {
                (Some(k), Some(other)) if k == other => {
                    let own = self.own(k);
                    let start = own.start;
                    self.scales[k]
                        .slopes(&phi[own], a - start, b - start, place)
                        .ab
                }
                _ => 0.0,
            }
        };
        let r = scaled(&pattern.c);
        let mut first: Vec<Vec<f64>> = pattern.first.iter().map(|c| scaled(c)).collect();
        let slopes: Vec<Vec<f64>> = (count..width)
            .map(|a| places.clone().map(|place| slope(a, place)).collect())
            .collect();
        for own in &slopes {
            let values = (0..m * m).map(|e| r[e] * (own[e % m] + own[e / m]));
            first.push(memory::collect(values));
        }
        let mut second = scaled(&pattern.second);
        for b in count..width {
            let right = &slopes[b - count];
            for a in 0..=b {
                let weight = if a == b { 1.0 } else { 2.0 } * weights[b * width + a];
                if weight == 0.0 {
                    continue;
                }
                if a < count {
                    for (e, value) in second.iter_mut().enumerate() {
                        *value += weight * first[a][e] * (right[e % m] + right[e / m]);
                    }
                    continue;
                }
                let left = &slopes[a - count];
                let bends: Vec<f64> = places.clone().map(|place| bend(a, b, place)).collect();
                for (e, value) in second.iter_mut().enumerate() {
                    let (i, j) = (e % m, e / m);
                    let both = (left[i] + left[j]) * (right[i] + right[j]) + bends[i] + bends[j];
                    *value += weight * r[e] * both;
                }
            }
        }
        GroupChanges { r, first, second }
    }
}
