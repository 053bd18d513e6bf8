//! What an entry point answers: a tagged list, whatever happens inside.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, Once};
use std::time::Duration;

use extendr_api::prelude::*;

use crate::allocator;
use crate::interrupt::{take_jump, End, Watch};

/// The named elements of a result, in the order in which R shows them.
pub type Fields = Vec<(&'static str, Robj)>;

/// Why an entry point could not answer: becomes `list(ok = FALSE, class =, message =, ...)`.
#[derive(Debug)]
pub struct Failure {
    /// The last part of the condition's class, `ferrolmm_error_<class>`.
    class: &'static str,
    /// One fact, without advice: `R/design-errors.R` knows the user's names for things.
    message: String,
    /// Further facts, for the condition's fields.
    details: Fields,
}

impl Failure {
    /// A failure of the given class.
    pub fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            details: Fields::new(),
        }
    }

    /// A failure that only our own mistake explains.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new("bug", message)
    }

    /// Adds a named fact.
    pub fn with(mut self, name: &'static str, value: impl Into<Robj>) -> Self {
        self.details.push((name, value.into()));
        self
    }
}

/// A named list from its elements.
pub fn named_list(fields: Fields) -> Robj {
    let (names, values): (Vec<&str>, Vec<Robj>) = fields.into_iter().unzip();
    let mut list = List::from_values(values);
    // Names are as many as values, so this cannot fail; a list without names would be found by
    // the first test.
    let _ = list.set_names(names);
    list.into()
}

/// Runs the body of an entry point and packs what it returns, an error or a panic into the
/// tagged list that `R/engine-calls.R` expects. If R wanted to jump meanwhile, that comes first.
pub fn answer(body: impl FnOnce(&Watch) -> Result<Fields, Failure>) -> Robj {
    silence_panics();
    allocator::lay_by();
    let watch = Watch::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&watch)));
    let outcome = match (watch.end(), outcome) {
        _ if take_jump() => Ok(Err(Failure::new("jump", "R wants to leave"))),
        (Some(End::Time), Ok(Err(failure))) if failure.class == INTERRUPTED => {
            Ok(Err(Failure::new("time_limit", "the time limit is over")))
        }
        (_, outcome) => outcome,
    };
    let failure = match outcome {
        Ok(Ok(fields)) => {
            let mut all = Fields::with_capacity(fields.len() + 1);
            all.push(("ok", true.into()));
            all.extend(fields);
            return named_list(all);
        }
        Ok(Err(failure)) => failure,
        Err(payload) => Failure::bug(panic_text(payload.as_ref())),
    };
    let mut all: Fields = vec![
        ("ok", false.into()),
        ("class", failure.class.into()),
        ("message", failure.message.into()),
    ];
    all.extend(failure.details);
    named_list(all)
}

/// The class of `EngineError::Interrupted`.
const INTERRUPTED: &str = "interrupted";

/// Where the last panic happened, on whichever thread.
static PANIC_PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Replaces the default panic hook, which prints to stderr, by one that notes the place.
/// The hook belongs to this package's own copy of Rust's library, not to the process.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
            let place = info
                .location()
                .map(|at| format!("{}:{}", at.file(), at.line()));
            if let Ok(mut last) = PANIC_PLACE.lock() {
                *last = place;
            }
        }));
    });
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned());
    match PANIC_PLACE.lock().ok().and_then(|mut last| last.take()) {
        Some(place) => format!("{text} (at {place})"),
        None => text,
    }
}

/// Panics on purpose, with a percent sign in the message: the test that a panic becomes an R
/// error and that the session survives it.
/// @noRd
#[extendr]
#[allow(clippy::panic)]
fn rs_self_test_panic() -> Robj {
    answer(|_| panic!("a panic on purpose: 100%s of %d %n"))
}

/// Whether all threads that the engine left to themselves have ended; waits for them, so many seconds at most.
/// @noRd
#[extendr]
fn rs_wait_until_idle(seconds: f64) -> Robj {
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    ferrolmm_engine::runtime::detached::wait_until_idle(limit).into()
}

/// Whether this much memory is available, beyond what R and the engine need for everything else.
/// @noRd
#[extendr]
fn rs_has_room(bytes: f64) -> Robj {
    ferrolmm_engine::runtime::memory::fits(bytes).into()
}

extendr_module! {
    mod condition;
    fn rs_has_room;
    fn rs_wait_until_idle;
    fn rs_self_test_panic;
}
