//! What zcwatch must say of a socket, given the sender's own truth.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use zcwatch::lab::sender::{Protocol, Truth};

use crate::report::{Report, causes};

/// A socket's row, as it must be: values by their JSON pointers.
#[derive(Clone, Debug)]
pub struct Expected {
    cookie: u64,
    values: BTreeMap<&'static str, Value>,
    causes: BTreeMap<String, u64>,
}

impl Expected {
    /// Of a sender that has read all its notifications and still holds its socket: all that it
    /// knows itself, and nothing hidden, misled, unread, in flight or failed.
    #[must_use]
    pub fn of(truth: &Truth) -> Self {
        let sends = &truth.sends;
        let mut values = BTreeMap::from([
            ("/inode", json!(truth.inode)),
            ("/fds", json!([truth.fd])),
            ("/pid", json!(truth.pid)),
            ("/pids", json!([truth.pid])),
            ("/comm", json!("workload")),
            ("/api", json!("socket")),
            ("/family", json!(if truth.local.is_ipv6() { "ipv6" } else { "ipv4" })),
            ("/protocol", json!(if truth.protocol == Protocol::Tcp { "tcp" } else { "udp" })),
            ("/local", json!(endpoint(truth.local))),
            ("/remote", json!(truth.remote.map(endpoint))),
            ("/netns", json!(truth.netns)),
            ("/so_zerocopy", json!(truth.so_zerocopy)),
            ("/sends/count", json!(truth.ids())),
            ("/sends/bytes", json!(sends.bytes)),
            ("/sends/min", json!(sends.min)),
            ("/sends/max", json!(sends.max)),
            ("/sends/with_error", json!(truth.sends_with_error)),
            ("/failed/enobufs_optmem", json!(0)),
            ("/failed/enobufs_memlock", json!(0)),
            ("/failed/other", json!(0)),
            ("/ignored/count", json!(truth.ignored.count)),
            ("/ignored/bytes", json!(truth.ignored.bytes)),
            ("/ignored/sampled", json!(false)),
            ("/completed/count", json!(truth.notified)),
            ("/completed/copied", json!(truth.copied)),
            ("/completed/reported_zerocopy", json!(truth.notified - truth.copied)),
            ("/completed/before_attach", json!(0)),
            ("/hidden_copies", json!(0)),
            ("/misled", json!(0)),
            ("/in_flight", json!(0)),
            ("/closed_in_flight", json!(0)),
            ("/unread", json!(0)),
        ]);
        if sends.min == sends.max {
            values.insert("/sends/p50", json!(sends.min));
        }
        Self { cookie: truth.cookie, values, causes: BTreeMap::new() }
    }

    /// With another value at this pointer.
    #[must_use]
    pub fn but(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.values.insert(pointer, value.into());
        self
    }

    /// With so many sends copied by this cause on this device: `local_delivery@server0`. Without
    /// such a call, none is; a cause of no send is not told.
    #[must_use]
    pub fn cause(mut self, cause: &str, sends: u64) -> Self {
        if sends > 0 {
            self.causes.insert(cause.to_owned(), sends);
        }
        self
    }

    /// Holds the socket's row against it.
    ///
    /// # Errors
    /// When there is no such row, or something differs: then all that does.
    pub fn check(&self, report: &Report) -> Result<()> {
        let row = report.socket(self.cookie)?;
        let mut differences: Vec<String> = self
            .values
            .iter()
            .filter_map(|(pointer, value)| {
                let said = row.pointer(pointer);
                (said != Some(value)).then(|| match said {
                    Some(said) => format!("{pointer}: {said}, not {value}"),
                    None => format!("{pointer}: missing, not {value}"),
                })
            })
            .collect();
        let explained = causes(row);
        if explained != self.causes {
            let evidence = &row["causes"];
            differences.push(format!("causes: {explained:?}, not {:?}: {evidence:#}", self.causes));
        }
        differences.extend(impossible(row));
        if differences.is_empty() {
            return Ok(());
        }
        bail!("zcwatch is wrong about socket {}:\n  {}", self.cookie, differences.join("\n  "))
    }
}

/// What can't be, whatever was sent.
#[must_use]
pub fn impossible(counts: &Value) -> Vec<String> {
    let at = |pointer| counts.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (sends, completed) = (at("/sends/count"), at("/completed/count"));
    let before = at("/completed/before_attach");
    let (copied, reported) = (at("/completed/copied"), at("/completed/reported_zerocopy"));
    let open = at("/in_flight") + at("/closed_in_flight");
    let timed = at("/release_ns/count") + at("/completed/before_return");
    let mut wrong = Vec::new();
    if sends + before != completed + open {
        wrong.push(format!("{sends} sends ≠ {completed} completed − {before} + {open} open"));
    }
    if copied + reported + before != completed {
        wrong.push(format!("{copied} copied + {reported} not + {before} ≠ {completed} completed"));
    }
    if timed > completed {
        wrong.push(format!("{timed} release times of {completed} completed"));
    }
    if at("/hidden_copies") > reported {
        wrong.push(format!("{} hidden copies of {reported}", at("/hidden_copies")));
    }
    if let Some(all) = counts["causes"].as_array() {
        let explained: u64 = all.iter().filter_map(|cause| cause["sends"].as_u64()).sum();
        if explained != copied {
            wrong.push(format!("{explained} copies explained of {copied}"));
        }
    }
    wrong
}

/// As zcwatch writes it: `*` for no address.
fn endpoint(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("*:{}", address.port())
    } else {
        address.to_string()
    }
}
