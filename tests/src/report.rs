//! What zcwatch printed as JSON.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

/// A `zcwatch.report/1`.
#[derive(Clone, Debug)]
pub struct Report(pub Value);

impl Report {
    /// Reads one document.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self(serde_json::from_str(text).context("not one JSON document")?))
    }

    /// The value at a JSON pointer; null also where there is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The rows of the sockets.
    #[must_use]
    pub fn sockets(&self) -> &[Value] {
        self.at("/sockets").as_array().map_or(&[], Vec::as_slice)
    }

    /// The row of one socket.
    ///
    /// # Errors
    /// When there is none.
    pub fn socket(&self, cookie: u64) -> Result<&Value> {
        let id = cookie.to_string();
        let row = self.sockets().iter().find(|row| row["id"] == id.as_str());
        row.with_context(|| format!("no socket {id} in {:#}", self.0))
    }

    /// What answers a question: `fentry`, `tp_btf`… `none`.
    ///
    /// # Errors
    /// When there is no such question.
    pub fn hook(&self, question: &str) -> Result<&str> {
        self.answer(question, "kind")
    }

    /// The kernel's functions or tracepoints that answer a question.
    ///
    /// # Errors
    /// When nothing does.
    pub fn hook_name(&self, question: &str) -> Result<&str> {
        self.answer(question, "hook")
    }

    fn answer(&self, question: &str, what: &str) -> Result<&str> {
        let all = self.at("/host/hooks").as_array().into_iter().flatten();
        let row = all.into_iter().find(|row| row["question"] == question);
        row.and_then(|row| row[what].as_str()).with_context(|| format!("no answer to {question}"))
    }

    /// Which findings hold, each with its cause: `copied/tap_tx`, `healthy`.
    #[must_use]
    pub fn findings(&self) -> BTreeSet<String> {
        let name = |finding: &Value| {
            let id = finding["id"].as_str().unwrap_or("?");
            finding["cause"].as_str().map_or_else(|| id.to_owned(), |cause| format!("{id}/{cause}"))
        };
        self.at("/findings").as_array().into_iter().flatten().map(name).collect()
    }

    /// One finding, by the name that [`Report::findings`] gives it.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn finding(&self, name: &str) -> Result<&Value> {
        let (id, cause) = name.split_once('/').map_or((name, None), |(id, c)| (id, Some(c)));
        let all = self.at("/findings").as_array().into_iter().flatten();
        all.into_iter()
            .find(|finding| finding["id"] == id && finding["cause"].as_str() == cause)
            .with_context(|| format!("no finding {name} among {:?}", self.findings()))
    }
}

/// How many sends each cause explains, on which device: `local_delivery@server0`.
#[must_use]
pub fn causes(counts: &Value) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for cause in counts["causes"].as_array().into_iter().flatten() {
        let key = cause["key"].as_str().unwrap_or("?");
        let device = cause["device"].as_str().unwrap_or("?");
        *all.entry(format!("{key}@{device}")).or_default() += cause["sends"].as_u64().unwrap_or(0);
    }
    all
}
