//! Standard deviations of rows relative to sigma: the variance functions of Pinheiro & Bates (2000), 5.2.
//!
//! Each gives log d_i, which depends on at most two of its parameters; several multiply (nlme's `varComb`).

use crate::api::error::EngineError;
use crate::api::kinds::ScaleFacts;
use crate::api::model::{Scale, ScaleFunction};
use crate::data::validate::finite;
use crate::linalg::hyperdual::{HyperDual, Scalar};
use crate::runtime::memory;
use crate::structure::correlation::domain::Domain;

/// Standard deviation of a covariate relative to its largest value that is rounding.
const ROUNDING: f64 = 1e-12;

/// Logarithm of the ratio between standard deviations of rows at starts that are drawn by chance.
const DECADE: f64 = std::f64::consts::LN_10;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ident,
    Of(ScaleFunction),
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Ident,
        Self::Of(ScaleFunction::Power),
        Self::Of(ScaleFunction::Exponential),
        Self::Of(ScaleFunction::ConstantPower),
        Self::Of(ScaleFunction::ConstantProportion),
    ];

    fn facts(self) -> ScaleFacts {
        let of_covariate = ScaleFacts {
            name: "",
            covariate: true,
            zero: true,
            reference: false,
            parameters: &[],
            kinds: &["real"],
        };
        match self {
            Self::Ident => ScaleFacts {
                name: "ident",
                covariate: false,
                reference: true,
                parameters: &["sd.ratio"],
                kinds: &["positive"],
                ..of_covariate
            },
            Self::Of(ScaleFunction::Power) => ScaleFacts {
                name: "power",
                zero: false,
                parameters: &["power"],
                ..of_covariate
            },
            Self::Of(ScaleFunction::Exponential) => ScaleFacts {
                name: "exp",
                parameters: &["exp"],
                ..of_covariate
            },
            Self::Of(ScaleFunction::ConstantPower) => ScaleFacts {
                name: "constpower",
                parameters: &["const", "power"],
                kinds: &["positive", "real"],
                ..of_covariate
            },
            Self::Of(ScaleFunction::ConstantProportion) => ScaleFacts {
                name: "constprop",
                parameters: &["const", "prop"],
                kinds: &["positive", "positive"],
                ..of_covariate
            },
        }
    }
}

/// What is known of the variance functions that there are.
#[must_use]
pub fn scale_facts() -> Vec<ScaleFacts> {
    Kind::ALL.iter().map(|kind| kind.facts()).collect()
}

impl<'a> Scale<'a> {
    /// The variance function of this name; `None` where there is none, or what it needs is missing.
    #[must_use]
    pub fn named(
        name: &str,
        covariate: Option<&'a [f64]>,
        stratum: Option<&'a [i32]>,
        strata: usize,
    ) -> Option<Self> {
        let kind = Kind::ALL.into_iter().find(|k| k.facts().name == name)?;
        Some(match kind {
            Kind::Ident => Self::Ident {
                stratum: stratum?,
                strata,
            },
            Kind::Of(function) => Self::OfCovariate {
                function,
                covariate: covariate?,
                stratum,
                strata,
            },
        })
    }
}

/// One variance function, its data in the order of the rows' places.
#[derive(Debug, Clone)]
pub(super) struct Term {
    kind: Kind,
    strata: usize,
    /// Stratum of each place, from 0; empty: one stratum.
    stratum: Vec<u32>,
    /// log|v| or, for the exponential, v / unit.
    value: Vec<f64>,
    /// Standard deviation of v: the exponential's internal parameter is delta times this, free of v's unit.
    unit: f64,
}

/// Where [`Term::add_total`] adds: derivatives are those with respect to all residual parameters.
pub(super) struct Total<'a> {
    pub value: f64,
    pub gradient: &'a mut [f64],
    pub hessian: &'a mut [f64],
    /// The term's first parameter among all.
    pub first: usize,
    pub parameters: usize,
}

/// What a scale holds, whichever it is.
struct Parts<'a> {
    kind: Kind,
    covariate: Option<&'a [f64]>,
    stratum: Option<&'a [i32]>,
    strata: usize,
}

fn parts<'a>(scale: &Scale<'a>) -> Parts<'a> {
    let (kind, covariate, stratum, strata) = match *scale {
        Scale::Ident { stratum, strata } => (Kind::Ident, None, Some(stratum), strata),
        Scale::OfCovariate {
            function,
            covariate,
            stratum,
            strata,
        } => (Kind::Of(function), Some(covariate), stratum, strata),
    };
    Parts {
        kind,
        covariate,
        stratum,
        strata: if stratum.is_some() { strata } else { 1 },
    }
}

fn check(parts: &Parts<'_>, n: usize) -> Result<(), EngineError> {
    let dimension = |text: &str| Err(EngineError::Dimension(text.to_owned()));
    if let Some(stratum) = parts.stratum {
        if stratum.len() != n {
            return dimension("a variance stratum must have one code for each observation");
        }
        let limit = i32::try_from(parts.strata).unwrap_or(i32::MAX);
        if stratum.iter().any(|&s| s < 1 || s > limit) {
            return dimension("variance strata must lie in 1..n_strata");
        }
    }
    if let Some(v) = parts.covariate {
        if v.len() != n {
            return dimension("a variance covariate must have one value for each observation");
        }
        finite("a variance covariate", v, n)?;
    }
    Ok(())
}

/// Refuses a variance of zero.
fn check_zeros(parts: &Parts<'_>) -> Result<(), EngineError> {
    let zero = match parts.covariate {
        Some(v) if !parts.kind.facts().zero => v.iter().position(|&v| v == 0.0),
        _ => None,
    };
    zero.map_or(Ok(()), |i| Err(EngineError::ZeroCovariate { row: i + 1 }))
}

impl Term {
    /// What kind of number each natural parameter is.
    pub fn kinds(&self) -> Vec<Domain> {
        use Domain::{Positive, Real};
        match self.kind {
            Kind::Ident | Kind::Of(ScaleFunction::ConstantProportion) => vec![Positive; self.len()],
            Kind::Of(ScaleFunction::Power) | Kind::Of(ScaleFunction::Exponential) => {
                vec![Real; self.len()]
            }
            Kind::Of(ScaleFunction::ConstantPower) => {
                let mut kinds = vec![Positive; self.strata];
                kinds.resize(self.len(), Real);
                kinds
            }
        }
    }

    pub fn new(scale: &Scale<'_>, order: &[u32]) -> Result<Self, EngineError> {
        check_zeros(&parts(scale))?;
        Self::any(scale, order)
    }

    /// The function of rows in their own order, whose covariate may be zero.
    pub fn of_rows(scale: &Scale<'_>, n: usize) -> Result<Self, EngineError> {
        let order: Vec<u32> = (0..n as u32).collect();
        Self::any(scale, &order)
    }

    fn any(scale: &Scale<'_>, order: &[u32]) -> Result<Self, EngineError> {
        let parts = parts(scale);
        check(&parts, order.len())?;
        let unit = match parts.covariate {
            Some(v) if parts.kind == Kind::Of(ScaleFunction::Exponential) => deviation(v),
            _ => 1.0,
        };
        let value = |v: f64| match parts.kind {
            Kind::Of(ScaleFunction::Exponential) => v / unit,
            _ => v.abs().ln(),
        };
        Ok(Self {
            kind: parts.kind,
            strata: parts.strata,
            stratum: parts.stratum.map_or_else(Vec::new, |s| {
                order.iter().map(|&i| s[i as usize] as u32 - 1).collect()
            }),
            value: parts.covariate.map_or_else(Vec::new, |v| {
                order.iter().map(|&i| value(v[i as usize])).collect()
            }),
            unit,
        })
    }

    /// This function for new rows, in their own order.
    pub fn of_new_rows(&self, scale: &Scale<'_>, n: usize) -> Result<Self, EngineError> {
        let parts = parts(scale);
        if parts.kind != self.kind || parts.strata != self.strata {
            return Err(EngineError::Dimension(
                "new rows must have the variance functions of the model".to_owned(),
            ));
        }
        let order: Vec<u32> = (0..n as u32).collect();
        let mut term = Self::new(scale, &order)?;
        let ratio = term.unit / self.unit;
        if self.kind == Kind::Of(ScaleFunction::Exponential) {
            term.value.iter_mut().for_each(|v| *v *= ratio);
        }
        term.unit = self.unit;
        Ok(term)
    }

    /// This function for the rows at these places.
    pub fn at_places(&self, places: &[usize]) -> Self {
        let pick = |v: &Vec<f64>| places.iter().filter_map(|&i| v.get(i).copied()).collect();
        Self {
            kind: self.kind,
            strata: self.strata,
            stratum: places
                .iter()
                .filter_map(|&i| self.stratum.get(i).copied())
                .collect(),
            value: pick(&self.value),
            unit: self.unit,
        }
    }

    /// Adds what d depends on at this place: equal for places with the same d at all parameters.
    pub fn mark(&self, place: usize, key: &mut Vec<u64>) {
        key.extend(self.stratum.get(place).map(|&s| u64::from(s)));
        key.extend(self.value.get(place).map(|v| v.to_bits()));
    }

    pub fn len(&self) -> usize {
        match self.kind {
            Kind::Ident => self.strata.saturating_sub(1),
            Kind::Of(ScaleFunction::Power) | Kind::Of(ScaleFunction::Exponential) => self.strata,
            Kind::Of(ScaleFunction::ConstantPower)
            | Kind::Of(ScaleFunction::ConstantProportion) => 2 * self.strata,
        }
    }

    pub fn natural<S: Scalar>(&self, x: &[S]) -> Vec<S> {
        let exp = |x: &S| x.exp();
        match self.kind {
            Kind::Ident | Kind::Of(ScaleFunction::ConstantProportion) => {
                x.iter().map(exp).collect()
            }
            Kind::Of(ScaleFunction::Power) => x.to_vec(),
            Kind::Of(ScaleFunction::Exponential) => x.iter().map(|x| *x / self.unit).collect(),
            Kind::Of(ScaleFunction::ConstantPower) => {
                let (constant, power) = x.split_at(self.strata);
                constant
                    .iter()
                    .map(exp)
                    .chain(power.iter().copied())
                    .collect()
            }
        }
    }

    pub fn internal(&self, natural: &[f64]) -> Option<Vec<f64>> {
        let x = self.unbounded(natural);
        x.iter().all(|v| v.is_finite()).then_some(x)
    }

    /// Internal parameters, infinite at the ends of what is possible and NaN beyond.
    pub fn unbounded(&self, natural: &[f64]) -> Vec<f64> {
        let ln = |v: &f64| v.ln();
        match self.kind {
            Kind::Ident | Kind::Of(ScaleFunction::ConstantProportion) => {
                natural.iter().map(ln).collect()
            }
            Kind::Of(ScaleFunction::Power) => natural.to_vec(),
            Kind::Of(ScaleFunction::Exponential) => natural.iter().map(|v| v * self.unit).collect(),
            Kind::Of(ScaleFunction::ConstantPower) => {
                let (constant, power) = natural.split_at(self.strata);
                constant
                    .iter()
                    .map(ln)
                    .chain(power.iter().copied())
                    .collect()
            }
        }
    }

    /// Equal variances, or nearly: the constant power has no slope along its constant at power 0.
    pub fn start(&self) -> Vec<f64> {
        match self.kind {
            Kind::Ident => vec![1.0; self.len()],
            Kind::Of(ScaleFunction::Power) | Kind::Of(ScaleFunction::Exponential) => {
                memory::zeros(self.len())
            }
            Kind::Of(ScaleFunction::ConstantPower) => {
                let mut start = vec![0.1; self.strata];
                start.resize(2 * self.strata, 0.2);
                start
            }
            // of a row with a typical covariate half of the standard deviation
            Kind::Of(ScaleFunction::ConstantProportion) => {
                let mut start = vec![1.0; self.strata];
                start.resize(2 * self.strata, 0.5 * (-typical(&self.value)).exp());
                start
            }
        }
    }

    /// Internal parameters as `chance`, uniform in (0, 1), has them: standard deviations of rows that differ by up to a decade or
    /// so, whatever the unit of the covariate.
    pub fn anywhere(&self, chance: &mut dyn FnMut() -> f64) -> Vec<f64> {
        let mut around = |size: f64| size * (2.0 * chance() - 1.0);
        let slope = match self.kind {
            Kind::Ident => DECADE,
            _ => DECADE / deviation(&self.value),
        };
        // constants as large as the power or the proportion of a typical value, or a decade more or less
        let typical = typical(&self.value);
        if self.kind == Kind::Of(ScaleFunction::ConstantProportion) {
            let mut out: Vec<f64> = (0..self.strata).map(|_| around(DECADE)).collect();
            out.extend((0..self.strata).map(|_| around(DECADE) - typical));
            return out;
        }
        if self.kind != Kind::Of(ScaleFunction::ConstantPower) {
            return (0..self.len()).map(|_| around(slope)).collect();
        }
        let powers: Vec<f64> = (0..self.strata).map(|_| around(slope)).collect();
        let constant = |power: &f64| power * typical + around(DECADE);
        let mut out: Vec<f64> = powers.iter().map(constant).collect();
        out.extend(powers);
        out
    }

    /// Whether each stratum has its own standard deviation.
    pub fn is_ident(&self) -> bool {
        self.kind == Kind::Ident
    }

    /// Stratum of a place, from 0.
    pub fn stratum(&self, place: usize) -> usize {
        self.stratum.get(place).map_or(0, |&s| s as usize)
    }

    /// The parameters on which d depends at this place.
    pub fn touched(&self, place: usize) -> [Option<usize>; 2] {
        let s = self.stratum(place);
        match self.kind {
            Kind::Ident => [s.checked_sub(1), None],
            Kind::Of(ScaleFunction::Power) | Kind::Of(ScaleFunction::Exponential) => {
                [Some(s), None]
            }
            Kind::Of(ScaleFunction::ConstantPower)
            | Kind::Of(ScaleFunction::ConstantProportion) => [Some(s), Some(self.strata + s)],
        }
    }

    /// log d from the parameters that it depends on, 0 for those that are not there; not finite where d is 0 or infinite.
    pub fn log<S: Scalar>(&self, own: [S; 2], place: usize) -> S {
        match self.kind {
            Kind::Ident => own[0],
            // |0|^0
            Kind::Of(ScaleFunction::Power)
                if own[0].value() == 0.0 && self.value[place] == f64::NEG_INFINITY =>
            {
                S::constant(0.0)
            }
            Kind::Of(ScaleFunction::Power) | Kind::Of(ScaleFunction::Exponential) => {
                own[0] * self.value[place]
            }
            Kind::Of(ScaleFunction::ConstantPower) => {
                let [constant, power] = own;
                let v = self.value[place];
                if v == f64::NEG_INFINITY {
                    // |0|^delta
                    return match power.value() {
                        p if p > 0.0 => constant,
                        0.0 => constant.exp().ln_1p(),
                        _ => S::constant(f64::INFINITY),
                    };
                }
                let power = power * v;
                log_sum(constant, power)
            }
            // log sqrt(c^2 + p^2 v^2)
            Kind::Of(ScaleFunction::ConstantProportion) => {
                let [constant, proportion] = own;
                let v = self.value[place];
                if v == f64::NEG_INFINITY {
                    return constant;
                }
                log_sum(constant * 2.0, (proportion + v) * 2.0) * 0.5
            }
        }
    }

    /// log d at parameters `x`.
    pub fn log_at(&self, x: &[f64], place: usize) -> f64 {
        let own = self.touched(place).map(|t| t.map_or(0.0, |t| x[t]));
        self.log(own, place)
    }

    /// Derivatives of log d with respect to parameters `a` and `b`, and both.
    pub fn slopes(&self, x: &[f64], a: usize, b: usize, place: usize) -> HyperDual {
        let one = |hit: bool| f64::from(u8::from(hit));
        let own = self.touched(place).map(|t| {
            t.map_or(HyperDual::constant(0.0), |t| {
                HyperDual::variable(x[t], one(t == a), one(t == b))
            })
        });
        self.log(own, place)
    }

    /// Adds log d of a place, so many times, to `sum`, with its first and second derivatives with respect to the term's
    /// parameters.
    pub fn add_total(&self, x: &[f64], place: usize, times: f64, sum: &mut Total<'_>) {
        let m = sum.parameters;
        let [first, second] = self.touched(place);
        let Some(first) = first else { return };
        let pair = self.slopes(x, first, second.unwrap_or(first), place);
        sum.value += times * pair.v;
        sum.gradient[sum.first + first] += times * pair.a;
        if let Some(second) = second {
            sum.gradient[sum.first + second] += times * pair.b;
            for (a, b) in [(first, first), (second, second)] {
                let own = self.slopes(x, a, b, place).ab;
                sum.hessian[(sum.first + b) * m + sum.first + a] += times * own;
            }
            for (a, b) in [(first, second), (second, first)] {
                sum.hessian[(sum.first + b) * m + sum.first + a] += times * pair.ab;
            }
        }
    }

    /// Adds `weight` d log d / dx to `gradient`.
    pub fn add_slopes(&self, x: &[f64], place: usize, weight: f64, gradient: &mut [f64]) {
        let [first, second] = self.touched(place);
        let Some(first) = first else { return };
        let slopes = self.slopes(x, first, second.unwrap_or(usize::MAX), place);
        gradient[first] += weight * slopes.a;
        if let Some(second) = second {
            gradient[second] += weight * slopes.b;
        }
    }
}

/// log(exp x + exp y).
fn log_sum<S: Scalar>(x: S, y: S) -> S {
    if x < y {
        y + (x - y).exp().ln_1p()
    } else {
        x + (y - x).exp().ln_1p()
    }
}

/// The mean of the logarithms of covariates that are not zero.
fn typical(v: &[f64]) -> f64 {
    let finite: Vec<f64> = v.iter().copied().filter(|v| v.is_finite()).collect();
    mean(&finite)
}

fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len().max(1) as f64
}

/// Standard deviation; where values differ by rounding only, as fitted values of an intercept do, their size; 1 where all are 0.
fn deviation(v: &[f64]) -> f64 {
    let (n, mean) = (v.len().max(1) as f64, mean(v));
    let square = v.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let sd = square.sqrt();
    let size = v.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let unit = if sd > ROUNDING * size { sd } else { size };
    if unit > 0.0 && unit.is_finite() {
        unit
    } else {
        1.0
    }
}
