//! What `zcwatch doctor` answers.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::scenario::{Run, Scenario};

/// Its exit code where the kernel is refused.
pub const REFUSES: i32 = 4;
/// Its exit code where it has no such option.
const USAGE: i32 = 2;

/// The ways to choose hooks that it is asked for, besides none.
pub const HOOKS: [&str; 2] = ["tp_btf", "fentry"];

/// `zcwatch.doctor/1`, as far as docs/kernels.md has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Doctor {
    schema: String,
    /// Whether anything can be watched.
    pub usable: bool,
    /// Why not.
    pub error: Option<String>,
    /// All questions.
    pub questions: Vec<Answer>,
}

/// What answers a question.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Answer {
    /// As a person asks it.
    pub asks: String,
    /// The kernel's word for it; without: nothing does.
    pub hook: Option<String>,
    /// What it is attached with.
    pub kind: String,
    /// Measured, or inferred.
    pub certainty: Option<String>,
    /// What is missing without an answer.
    pub without_it: String,
    /// The hooks that were tried, and are not used.
    pub refused: Vec<Refused>,
}

/// Why a hook does not answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Refused {
    /// The hook.
    pub hook: String,
    /// Why.
    pub reason: String,
}

impl Doctor {
    /// Finds it in what the program printed; an error of its own may follow.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read(output: &str) -> Result<Self> {
        let start = output.find('{').context("doctor printed no JSON")?;
        let mut values = serde_json::Deserializer::from_str(&output[start..]).into_iter::<Self>();
        let doctor = values.next().context("doctor printed nothing")?;
        let doctor = doctor.context("doctor printed other JSON than expected")?;
        ensure!(doctor.schema == "zcwatch.doctor/1", "doctor printed {}", doctor.schema);
        Ok(doctor)
    }
}

/// Whether this exit code says that doctor has no such option.
pub fn unasked(scenario: &Scenario, code: i32) -> bool {
    matches!(scenario.run, Run::Doctor(Some(_))) && code == USAGE
}
