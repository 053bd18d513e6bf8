//! Units of a response whose squares would overflow or underflow.

use crate::api::model::ModelData;

/// Sums of squares of the response that are far from over- and underflow.
const SAFE_SQUARE: std::ops::Range<f64> = 1e-190..1e190;

/// Response magnitudes whose squares neither overflow nor underflow.
const SAFE_MAGNITUDE: std::ops::Range<f64> = 1e-100..1e100;

/// The response, and its offset, divided by a unit.
pub(crate) struct InUnits {
    pub unit: f64,
    y: Vec<f64>,
    offset: Option<Vec<f64>>,
}

impl InUnits {
    /// In units of the largest value, where the squares, which add up to `total`, come near over- or underflow.
    pub fn of(data: &ModelData<'_>, total: f64) -> Option<Self> {
        if SAFE_SQUARE.contains(&total) {
            return None;
        }
        let unit = (0..data.rows()).fold(0.0f64, |a, i| {
            a.max((data.y[i] - data.offset.map_or(0.0, |o| o[i])).abs())
        });
        if unit == 0.0 || !unit.is_finite() || SAFE_MAGNITUDE.contains(&unit) {
            return None;
        }
        let divided = |values: &[f64]| values.iter().map(|v| v / unit).collect();
        Some(Self {
            unit,
            y: divided(data.y),
            offset: data.offset.map(divided),
        })
    }

    /// The model of this response.
    pub fn model<'a>(&'a self, data: &ModelData<'a>) -> ModelData<'a> {
        ModelData {
            y: &self.y,
            offset: self.offset.as_deref(),
            ..data.clone()
        }
    }
}
