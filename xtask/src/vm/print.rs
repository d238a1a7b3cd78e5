//! What people see of the guests: the table, and what failed.

use std::fmt::Write;

use super::{
    outcome::{Column, Outcome},
    scenario::{On, Scenario},
};

/// Prints the scenarios, and where they run.
pub fn list(scenarios: &[Scenario]) {
    for scenario in scenarios {
        let on = match scenario.on {
            On::All => "all kernels".to_owned(),
            On::From((major, minor), why) => format!("from {major}.{minor} on: {why}"),
            On::Between((major, minor), why, (end, end_minor), why_not) => {
                format!("from {major}.{minor} on: {why}; before {end}.{end_minor}: {why_not}")
            }
            On::Before((major, minor), why) => format!("before {major}.{minor}: {why}"),
        };
        println!("{}\n    {on}", scenario.name());
    }
}

/// Prints the table, then what failed.
pub fn results(columns: &[Column]) {
    print!("\n{}{}", table(columns), notes(columns));
    for column in columns {
        for (name, outcome) in &column.cells {
            if let Outcome::Failed { why, output } = outcome {
                let release = &column.release;
                println!("\n---- {name} on {release}: {why}\n{}", output.trim_end());
            }
        }
    }
}

/// A row for each scenario, a column for each kernel.
fn table(columns: &[Column]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in columns.iter().flat_map(|column| &column.cells) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut rows = vec![(
        "scenario",
        columns.iter().map(|column| column.release.replace("-cloud-amd64", "")).collect(),
    )];
    for name in names {
        let cell = |column: &Column| {
            let found = column.cells.iter().find(|(other, _)| other == name);
            found.map_or_else(String::new, |(_, outcome)| word(outcome))
        };
        rows.push((name, columns.iter().map(cell).collect::<Vec<_>>()));
    }
    let total = |column: &Column| format!("{:.0} s in all", column.seconds);
    rows.push(("", columns.iter().map(total).collect()));

    let width = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
    let first = width(&mut rows.iter().map(|(name, _)| name.len()));
    let mut text = String::new();
    for (name, cells) in &rows {
        let mut line = format!("{name:first$}");
        for (index, cell) in cells.iter().enumerate() {
            let width = width(&mut rows.iter().map(|(_, cells)| cells[index].len()));
            line += &format!("  {cell:width$}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(seconds) => format!("ok {seconds:5.1} s"),
        Outcome::Failed { .. } => "FAILED".to_owned(),
        Outcome::NotHere(_) => "not here".to_owned(),
    }
}

/// Why a scenario does not run somewhere, and which guests were booted again.
fn notes(columns: &[Column]) -> String {
    let mut reasons: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for column in columns {
        for (name, outcome) in &column.cells {
            if let Outcome::NotHere(why) = outcome {
                match reasons
                    .iter_mut()
                    .find(|(series, other, _)| *series == column.series && other == why)
                {
                    Some((.., names)) => names.push(name),
                    None => reasons.push((&column.series, why, vec![name])),
                }
            }
        }
    }
    let mut text = String::new();
    for (series, why, names) in reasons {
        let what = match names.as_slice() {
            [name] => (*name).to_owned(),
            names => format!("{} scenarios", names.len()),
        };
        let _ = writeln!(text, "not on {series}, {what}: {why}");
    }
    for column in columns.iter().filter(|column| !column.deaths.is_empty()) {
        let times = match column.deaths.len() {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        };
        let deaths = column.deaths.join("; ");
        let _ = writeln!(text, "{} was booted again {times}: {deaths}", column.release);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(series: &str, cells: &[(&str, Outcome)], deaths: &[&str]) -> Column {
        Column {
            series: series.to_owned(),
            release: format!("{series}.0-cloud-amd64"),
            cells: cells
                .iter()
                .map(|(name, outcome)| ((*name).to_owned(), outcome.clone()))
                .collect(),
            deaths: deaths.iter().map(|&death| death.to_owned()).collect(),
            doctors: Vec::new(),
            seconds: 61.4,
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed { why: "bad".to_owned(), output: "worse".to_owned() }
    }

    fn not_here() -> Outcome {
        Outcome::NotHere("too old".to_owned())
    }

    #[test]
    fn each_scenario_has_a_row_and_each_kernel_a_column() {
        let columns = [
            column("5.10", &[("boot", Outcome::Ok(3.25)), ("rows", not_here())], &[]),
            column("6.12", &[("boot", Outcome::Ok(13.0)), ("rows", failed())], &[]),
        ];
        assert_eq!(
            table(&columns),
            "scenario  5.10.0      6.12.0\n\
             boot      ok   3.2 s  ok  13.0 s\n\
             rows      not here    FAILED\n\
             \x20         61 s in all  61 s in all\n"
                .replace("5.10.0      6", "5.10.0       6")
                .replace("3.2 s  ok", "3.2 s   ok")
                .replace("not here    F", "not here     F")
        );
        assert_eq!(columns.each_ref().map(Column::failures), [0, 1]);
    }

    #[test]
    fn what_did_not_run_and_what_was_booted_again_is_said() {
        let columns = [
            column("5.10", &[("a", not_here()), ("b", not_here())], &["Oops: int3", "silence"]),
            column("6.1", &[("a", not_here()), ("b", failed())], &["Oops: int3"]),
            column("6.12", &[("a", Outcome::Ok(1.0))], &[]),
        ];
        assert_eq!(
            notes(&columns),
            "not on 5.10, 2 scenarios: too old\n\
             not on 6.1, a: too old\n\
             5.10.0-cloud-amd64 was booted again 2 times: Oops: int3; silence\n\
             6.1.0-cloud-amd64 was booted again once: Oops: int3\n"
        );
    }
}
