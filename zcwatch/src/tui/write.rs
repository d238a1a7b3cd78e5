//! `w`: the report of what is shown, as files for a ticket.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

use jiff::{Timestamp, tz::TimeZone};

use super::moment::Moment;
use crate::output::{json::Report, style::Style, text};

/// Writes it as text and as JSON into the current folder, and says how that went.
#[must_use]
pub fn report(moment: &Moment, unicode: bool) -> String {
    let Moment { about, snapshot, findings, .. } = moment;
    let now = Timestamp::now().to_zoned(TimeZone::system());
    let name = format!("zcwatch-{}", now.strftime("%Y%m%d-%H%M%S"));
    let words = text::report(about, snapshot, findings, Style { colour: false, unicode });
    let json = serde_json::to_string_pretty(&Report::new(about, snapshot, findings));
    let written = json.map_err(io::Error::from).and_then(|json| {
        put(Path::new(&format!("{name}.txt")), &words)?;
        put(Path::new(&format!("{name}.json")), &format!("{json}\n"))
    });
    match written {
        Ok(()) => format!("written: {name}.txt and {name}.json"),
        Err(e) => format!("could not write {name}.txt and {name}.json here: {e}"),
    }
}

/// A new file: nothing that is there is lost.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}
