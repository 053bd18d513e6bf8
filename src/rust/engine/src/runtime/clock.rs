//! What ends a search from outside, and where its progress is shown.

use std::time::Instant;

use crate::api::options::Options;
use crate::api::progress::Progress;
use crate::runtime::stop::StopFlag;

/// Handed to the optimiser itself: objectives may wrap each other and have nothing to pass on.
#[derive(Clone, Copy)]
pub struct Clock<'a> {
    interrupt: &'a dyn Fn() -> bool,
    deadline: Option<Instant>,
    flag: Option<&'a StopFlag>,
    progress: Option<&'a Progress>,
}

impl<'a> Clock<'a> {
    /// `interrupt` says whether to stop; the deadline and the progress bar are in the options.
    #[must_use]
    pub fn new(options: &'a Options, interrupt: &'a dyn Fn() -> bool) -> Self {
        Self {
            deadline: options.deadline,
            progress: options.progress.as_deref(),
            ..Self::without_limit(interrupt)
        }
    }

    /// All the time that it takes, unless `interrupt` says yes.
    #[must_use]
    pub fn without_limit(interrupt: &'a dyn Fn() -> bool) -> Self {
        Self {
            interrupt,
            deadline: None,
            flag: None,
            progress: None,
        }
    }

    /// Gives it the flag of work that may be left in the middle.
    #[must_use]
    pub fn with_flag(self, flag: &'a StopFlag) -> Self {
        Self {
            flag: Some(flag),
            ..self
        }
    }

    /// Whether work may have been left in the middle because its time was over.
    #[must_use]
    pub fn has_cut(&self) -> bool {
        self.flag.is_some_and(StopFlag::is_late)
    }

    /// Whether to stop now.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        (self.interrupt)()
    }

    /// Whether to stop with the best point so far.
    #[must_use]
    pub fn out_of_time(&self) -> bool {
        self.has_cut()
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Told after each evaluation: how many there were.
    pub fn count(&self, evaluations: usize) {
        if let Some(progress) = self.progress {
            progress.count(evaluations);
        }
    }

    /// Told after each accepted step: value and largest scaled gradient.
    pub fn report(&self, value: f64, gradient: f64) {
        if let Some(progress) = self.progress {
            progress.set(value, gradient);
        }
    }
}

impl std::fmt::Debug for Clock<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
