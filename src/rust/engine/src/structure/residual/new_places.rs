//! Correlations and scales of rows that were not fitted.

use crate::api::error::EngineError;
use crate::api::model::ResidualStructure;
use crate::runtime::memory;
use crate::structure::correlation::law::Law;
use crate::structure::residual::layout::{lags as lags_over, new_classes, new_positions, pair};
use crate::structure::residual::natural::symmetric;
use crate::structure::residual::residual::Residual;
use crate::structure::residual::scale;

/// New rows under a residual structure: their positions, and their variance covariates and strata.
#[derive(Debug, Clone)]
pub struct NewPlaces {
    n: usize,
    position: Vec<f64>,
    /// Class of the group of each row; empty: there is one.
    classes: Vec<usize>,
    scales: Vec<scale::Term>,
}

impl NewPlaces {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }
}

/// Correlations of new rows of one group.
#[derive(Debug, Clone)]
pub struct CrossCorrelation {
    /// With the group's fitted rows in their order, one new row after another.
    pub with_fitted: Vec<f64>,
    /// With one another, full symmetric.
    pub among: Vec<f64>,
}

impl Residual {
    /// Checks `n` new rows, described as those of the model were: the same structures with the new rows' positions,
    /// covariates and strata. Groups, start and held are not looked at.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NotFinite`] or [`EngineError::ZeroCovariate`].
    pub fn new_rows(
        &self,
        structure: &ResidualStructure<'_>,
        n: usize,
    ) -> Result<NewPlaces, EngineError> {
        let (position, classes) = match (self.correlation, &structure.correlation) {
            (None, None) => (Vec::new(), Vec::new()),
            (Some(own), Some(correlation)) => (
                new_positions(own.family, correlation, n)?,
                new_classes(own, correlation, n)?,
            ),
            _ => {
                return Err(EngineError::Dimension(
                    "new rows must have the correlation structure of the model".to_owned(),
                ))
            }
        };
        if self.scales.len() != structure.scales.len() {
            return Err(EngineError::Dimension(
                "new rows must have the variance functions of the model".to_owned(),
            ));
        }
        let scales = self
            .scales
            .iter()
            .zip(&structure.scales)
            .map(|(term, scale)| term.of_new_rows(scale, n))
            .collect::<Result<_, _>>()?;
        Ok(NewPlaces {
            n,
            position,
            classes,
            scales,
        })
    }

    /// d of each new row.
    #[must_use]
    pub fn scale_at(&self, phi: &[f64], new: &NewPlaces) -> Vec<f64> {
        let log = |row: usize| -> f64 {
            let scales = new.scales.iter().enumerate();
            scales
                .map(|(k, scale)| scale.log_at(&phi[self.own(k)], row))
                .sum()
        };
        (0..new.n).map(|row| log(row).exp()).collect()
    }

    /// d of each fitted place in [`Self::order`].
    #[must_use]
    pub fn scale(&self, phi: &[f64]) -> Vec<f64> {
        (0..self.layout.order.len())
            .map(|place| self.log_scale(phi, place).exp())
            .collect()
    }

    /// Correlations of the new rows `rows` (from 0), all of one group: with the fitted rows of group `group` (`None`: the
    /// group is new) and with one another. Two rows at one position of a structure without nugget are the same
    /// measurement: their correlation is 1.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] where times are too far apart to be tabulated.
    pub fn cross(
        &self,
        phi: &[f64],
        group: Option<usize>,
        new: &NewPlaces,
        rows: &[usize],
    ) -> Result<CrossCorrelation, EngineError> {
        let places = group.map_or(0..0, |g| self.group(g));
        let k = rows.len();
        let mut out = CrossCorrelation {
            with_fitted: memory::zeros(k * places.len()),
            among: memory::zeros(k * k),
        };
        (0..k).for_each(|i| out.among[i * k + i] = 1.0);
        let d = self.layout.dimensions;
        let point = |i: usize| &new.position[rows[i] * d..(rows[i] + 1) * d];
        let class = rows.first().and_then(|&row| new.classes.get(row));
        let Some(law) = self.law_over(
            phi,
            class.copied().unwrap_or(0),
            (0..k).map(point),
            self.layout.positions(places.clone()),
        )?
        else {
            return Ok(out);
        };
        for i in 0..k {
            for (j, place) in places.clone().enumerate() {
                out.with_fitted[i * places.len() + j] =
                    law.between(self.layout.point(place), point(i));
            }
            for j in 0..i {
                let value = law.between(point(i), point(j));
                out.among[i * k + j] = value;
                out.among[j * k + i] = value;
            }
        }
        Ok(out)
    }

    /// The law of a class, tabulated as far as the positions of new and fitted rows ask for.
    fn law_over<'a>(
        &self,
        phi: &[f64],
        class: usize,
        new: impl Iterator<Item = &'a [f64]>,
        fitted: &'a [f64],
    ) -> Result<Option<Law<f64>>, EngineError> {
        let Some(correlation) = self.correlation else {
            return Ok(None);
        };
        let family = correlation.family;
        let mut lags = 0;
        if family.dimensions() == 1 {
            let all = new.flatten().chain(fitted);
            let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| {
                (l.min(v), h.max(v))
            });
            let span = (high - low).max(0.0);
            lags = lags_over(family, span)?;
        }
        Ok(Some(family.law(&phi[correlation.own(class)], lags)))
    }

    /// C of one group, m x m.
    ///
    /// # Errors
    /// [`EngineError::LongResidualGroup`].
    pub fn correlation(&self, phi: &[f64], g: usize) -> Result<Vec<f64>, EngineError> {
        let places = self.group(g);
        let m = places.len();
        let gigabytes = 8e-9 * (m as f64).powi(2);
        if gigabytes > 16.0 {
            return Err(EngineError::LongResidualGroup {
                group: g + 1,
                rows: m,
                gigabytes,
            });
        }
        let fitted = self.layout.positions(places.clone());
        let pattern = &self.layout.patterns[self.pattern_of(g)];
        let law = self.law_over(phi, pattern.class, std::iter::empty(), fitted)?;
        let point = |s: usize| self.layout.point(places.start + s);
        Ok(symmetric(m, |s, t| match &law {
            Some(Law::Known) => pattern.known[pair(s, t)],
            Some(law) => law.between(point(s), point(t)),
            None => 0.0,
        }))
    }
}
