//! The results, for a person.

use super::{
    columns::columns,
    result::{Compared, Probed, Results, Verdict},
};

/// Unwatched windows that differ by more say that the machine was busy with something else.
const NOISY: f64 = 0.05;
/// A process that is less on the CPU waits for something, which hides what watching costs.
const SATURATED: f64 = 0.9;

/// All tables, and what to know about them.
pub fn report(results: &Results) -> String {
    let mut text = heading(results);
    text.push('\n');
    text.push_str(&ratios(&results.rows));
    text.push('\n');
    text.push_str(&watchers(&results.rows));
    for probed in &results.probes {
        text.push('\n');
        text.push_str(&programs(probed));
    }
    let mut notes = warnings(&results.rows);
    notes.extend(results.missing.iter().cloned());
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        text.push_str(&format!("! {note}\n"));
    }
    text
}

fn heading(results: &Results) -> String {
    let Results { machine, cpus, pairs, seconds, versions, .. } = results;
    let load = machine.load_average.map_or("unknown".to_owned(), |load| format!("{load:.2}"));
    let versions = versions.values().cloned().collect::<Vec<_>>().join(", ");
    format!(
        "Linux {}, {}, {} CPUs, load average {load} before\n{cpus}\n{versions}\n\
         {pairs} pairs of {seconds} s each; ratio: watched ÷ unwatched throughput, the median \
         over the pairs\n",
        machine.kernel, machine.cpu, machine.cpus
    )
}

fn ratios(rows: &[Compared]) -> String {
    let heading = [
        "row",
        "tool",
        "unwatched",
        "busy",
        "spread",
        "ratio",
        "interval",
        "sure",
        "by CPU time",
        "aim",
        "",
    ];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    for row in rows {
        let (interval, sure) = row.ratio.interval.map_or_else(
            || ("needs 6 pairs".to_owned(), String::new()),
            |i| (format!("{:.3} to {:.3}", i.low, i.high), percent(i.confidence)),
        );
        table.push(vec![
            row.row.name(),
            row.tool.name().to_owned(),
            format!("{:.0}/s", row.unwatched_per_second),
            percent(row.busy),
            percent(row.spread),
            format!("{:.3}", row.ratio.median),
            interval,
            sure,
            format!("{:.3}", row.cpu_ratio.median),
            row.aim.map_or_else(String::new, |aim| format!("{aim:.2}")),
            row.verdict.map_or("", verdict).to_owned(),
        ]);
    }
    columns(&table, &[0, 1, 10])
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::MetUnsurely => "met, within the noise",
        Verdict::MissedUnsurely => "missed, within the noise",
        Verdict::Missed => "missed",
    }
}

/// What the watchers took for themselves.
fn watchers(rows: &[Compared]) -> String {
    let heading = ["row", "tool", "own CPU", "own memory", "events lost"];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    for row in rows {
        let lost = row.watcher.events_lost;
        table.push(vec![
            row.row.name(),
            row.tool.name().to_owned(),
            format!("{:.1} %", row.watcher.cpu * 100.0),
            format!("{:.1} MiB", row.watcher.peak_kib as f64 / 1024.0),
            lost.map_or_else(String::new, |lost| lost.to_string()),
        ]);
    }
    columns(&table, &[0, 1])
}

/// What the probes took, by operation of the row's process.
fn programs(probed: &Probed) -> String {
    let heading = [probed.row.name().as_str(), "runs/op", "ns/run", "ns/op", "skipped"]
        .map(str::to_owned)
        .to_vec();
    let mut table = vec![heading];
    let operations = probed.operations as f64;
    for program in probed.programs.iter().filter(|program| program.runs > 0) {
        table.push(vec![
            program.name.clone(),
            format!("{:.3}", program.runs as f64 / operations),
            format!("{:.0}", program.ns as f64 / program.runs as f64),
            format!("{:.0}", program.ns as f64 / operations),
            program.skipped.to_string(),
        ]);
    }
    let sum = format!("{:.0}", probed.ns_of_programs());
    table.push(vec!["all".to_owned(), String::new(), String::new(), sum, String::new()]);
    let share = probed.ns_of_programs() / probed.ns_per_operation;
    format!(
        "{}an operation took {:.0} ns, with run statistics on: {} of it in probes\n",
        columns(&table, &[0]),
        probed.ns_per_operation,
        percent(share)
    )
}

fn warnings(rows: &[Compared]) -> Vec<String> {
    let mut all = Vec::new();
    let noisy = which(rows, |row| (row.spread > NOISY).then(|| percent(row.spread)));
    if let Some(noisy) = noisy {
        all.push(format!(
            "Unwatched windows differ ({noisy}), so something else was using the machine: run this \
             again when it is quiet."
        ));
    }
    let waiting = which(rows, |row| (row.busy < SATURATED).then(|| percent(row.busy)));
    if let Some(waiting) = waiting {
        all.push(format!(
            "Some processes were on a CPU for part of the time only ({waiting}): where they wait \
             for other than their peer, throughput hides some of the cost; see the ratio by CPU \
             time."
        ));
    }
    let lost = which(rows, |row| {
        row.watcher.events_lost.filter(|lost| *lost > 0).map(|lost| lost.to_string())
    });
    if let Some(lost) = lost {
        all.push(format!(
            "Events were lost ({lost}), and what is lost costs less: zcwatch needs more CPU than \
             it got."
        ));
    }
    all
}

/// The rows of which there is something to say, with what.
fn which(rows: &[Compared], what: impl Fn(&Compared) -> Option<String>) -> Option<String> {
    let said: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            Some(format!("{} by {}: {}", row.row.name(), row.tool.name(), what(row)?))
        })
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}
