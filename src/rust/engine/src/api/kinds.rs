//! Kinds of structures: what is known of each before there are data. The lists are in `structure/`.

/// A kind of correlation, one of those that there are: `CorrelationKind::named("ar1")`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorrelationKind(pub(crate) CorrelationFacts);

impl CorrelationKind {
    /// What is known of it.
    #[must_use]
    pub fn facts(self) -> CorrelationFacts {
        self.0
    }

    /// What places rows on the axis of a factor of a product: all need a place, also those whose correlations do not depend
    /// on it.
    #[must_use]
    pub fn positions_on_axis(self) -> Positions {
        match self.0.position {
            Positions::None => Positions::Visits,
            other => other,
        }
    }
}

/// What is known of a kind of correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorrelationFacts {
    /// Its name.
    pub name: &'static str,
    /// What places two rows of a group, or two effects of a level.
    pub position: Positions,
    /// Whether the order of positions matters.
    pub order_matters: bool,
    /// Whether only the difference of two positions matters.
    pub by_lag: bool,
    /// What has a parameter of its own.
    pub each: Each,
    /// Whether it has orders p and q.
    pub has_orders: bool,
    /// Whether it may jump at distance 0.
    pub nugget: bool,
    /// Whether random effects can have it: correlations depend on the lag alone (`by_lag`, or one for all), and each parameter
    /// is the correlation of the first effect with a later one.
    pub effects: bool,
}

/// What places rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// Nothing.
    None,
    /// A whole number.
    Whole,
    /// A visit, one of so many.
    Visits,
    /// A number.
    Times,
    /// Coordinates.
    Points,
    /// A row of a known matrix.
    Rows,
    /// A place on each of several axes.
    Product,
}

impl Positions {
    /// "none", "whole", "visits", "times", "points", "rows" or "product".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Whole => "whole",
            Self::Visits => "visits",
            Self::Times => "times",
            Self::Points => "points",
            Self::Rows => "rows",
            Self::Product => "product",
        }
    }
}

/// What has a parameter of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// Nothing: the number of parameters does not depend on that of visits.
    None,
    /// Each lag.
    Lag,
    /// Each pair of visits.
    Pair,
    /// Each pair of neighbouring visits.
    Neighbours,
}

impl Each {
    /// "none", "lag", "pair" or "neighbours".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lag => "lag",
            Self::Pair => "pair",
            Self::Neighbours => "neighbours",
        }
    }
}

/// What is known of a structure of random effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomFacts {
    /// Its name.
    pub name: &'static str,
    /// Whether its parameters are entries of the relative covariance factor T, not standard deviations and correlations.
    pub factor: bool,
    /// Whether the effects of a level are correlated.
    pub correlated: bool,
    /// Whether all effects may share one variance.
    pub homogeneous: bool,
    /// Whether the order of the effects matters.
    pub order_matters: bool,
    /// Whether it has a number of factors.
    pub has_factors: bool,
}

/// What is known of a variance function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleFacts {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a function of a covariate.
    pub covariate: bool,
    /// Whether the covariate may be zero.
    pub zero: bool,
    /// Whether the first stratum is the reference of the others and has no parameter.
    pub reference: bool,
    /// Names of the parameters of a stratum; those of all strata follow one another.
    pub parameters: &'static [&'static str],
    /// What number each of them is: "positive" or "real".
    pub kinds: &'static [&'static str],
}
