//! The first pass over rows of one JSON object each, for `ecompulse`.
//!
//! Conservative: a row that is not plainly simple and certain is a suspect, which ecompulse judges itself.

pub mod columns;
pub mod keys;
pub mod members;
pub mod number;
#[cfg(feature = "python")]
mod python;
pub mod scan;
pub mod text;
pub mod time;

/// The row is not certain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspect;

/// What is certain, or nothing is.
pub type Sure<T> = Result<T, Suspect>;
