//! docs/kernels.md: what `zcwatch doctor` answers on each kernel.

use std::fmt::Write;

use anyhow::{Result, bail, ensure};

use super::{
    doctor::{Answer, Doctor, HOOKS},
    outcome::Column,
};

/// Where it is, in the tree.
pub const FILE: &str = "docs/kernels.md";
/// What makes it.
pub const COMMAND: &str = "cargo xtask vm --page";

const NONE: &str = "none";

/// The page, of these kernels.
///
/// # Errors
/// When doctor did not answer on one.
pub fn page(columns: &[Column]) -> Result<String> {
    for column in columns {
        let asked = column.doctors.iter().any(|(_, hooks, _)| hooks.is_none());
        ensure!(asked, "doctor did not answer on {}: {FILE} is left as it is", column.release);
    }
    let mut text = format!(
        "# Kernels\n\n\
         What answers each of zcwatch's questions on Debian's kernels, as `zcwatch doctor` says it in \
         guests, where everything is permitted. Made by `{COMMAND}`; `cargo xtask vm` fails where a \
         kernel that it boots answers otherwise. [hooks.md](hooks.md) has all hooks.\n"
    );
    text += &section(columns, None);
    for hooks in HOOKS {
        text += &section(columns, Some(hooks));
    }
    if columns.iter().all(|column| column.doctors.iter().all(|(_, hooks, _)| hooks.is_none())) {
        text += "\n`doctor` has no `--hooks` in this version: what `report --hooks` would use is not \
                 asked.\n";
    }
    text += &missing(columns);
    Ok(text)
}

fn title(hooks: Option<&str>) -> String {
    match hooks {
        None => "## By default".to_owned(),
        Some(hooks) => format!("## With `--hooks {hooks}`"),
    }
}

/// The table of one way to choose hooks; nothing where it was asked nowhere.
fn section(columns: &[Column], hooks: Option<&str>) -> String {
    let answers: Vec<_> = columns.iter().map(|column| said(column, hooks)).collect();
    let Some(first) = answers.iter().flatten().next() else { return String::new() };
    let row = |first: &str, cells: &mut dyn Iterator<Item = String>| {
        format!("| {first} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut text = format!("\n{}\n", title(hooks));
    text += &row("", &mut columns.iter().map(|column| column.series.clone()));
    text += &format!("|---|{}\n", "---|".repeat(columns.len()));
    text += &row("made on", &mut columns.iter().map(|column| column.release.clone()));
    for question in &first.questions {
        let cells = answers.iter().map(|doctor| {
            let of = |doctor: &&Doctor| cell(doctor, &question.asks);
            doctor.as_ref().map_or_else(|| "not asked".to_owned(), of)
        });
        text += &row(&question.asks, &mut cells.into_iter());
    }
    text
}

fn said<'a>(column: &'a Column, hooks: Option<&str>) -> Option<&'a Doctor> {
    column.doctors.iter().find(|(_, asked, _)| *asked == hooks).map(|(.., doctor)| doctor)
}

fn cell(doctor: &Doctor, asks: &str) -> String {
    let answer = doctor.questions.iter().find(|answer| answer.asks == asks);
    let Some((answer, hook)) = answer.and_then(|a| Some((a, a.hook.as_ref()?))) else {
        return NONE.to_owned();
    };
    let sure = answer.certainty.as_deref().unwrap_or("?");
    format!("`{hook}` {}, {sure}", answer.kind)
}

/// What each kernel lacks, in words.
fn missing(columns: &[Column]) -> String {
    let mut text = "\n## What is missing\n".to_owned();
    for column in columns {
        let Some(doctor) = said(column, None) else { continue };
        let _ = writeln!(text, "\n### {}", column.series);
        let open: Vec<&Answer> =
            doctor.questions.iter().filter(|answer| answer.hook.is_none()).collect();
        match &doctor.error {
            Some(error) if !doctor.usable => {
                let _ = writeln!(text, "zcwatch refuses it: {}", inert(error));
            }
            _ if open.is_empty() => text += "Nothing: each question has its answer.\n",
            _ => {}
        }
        for answer in open.iter().filter(|_| doctor.usable) {
            let why: Vec<_> = answer
                .refused
                .iter()
                .map(|refused| format!("`{}`: {}", refused.hook, inert(&refused.reason)))
                .collect();
            let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
            let _ = writeln!(text, "- {} {}{why}", answer.asks, upper(&answer.without_it));
        }
    }
    text
}

fn upper(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// What the kernel said, so that it is no Markdown.
fn inert(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;")
}

/// Compares what doctor answered with the page.
///
/// # Errors
/// When an answer differs; not when only the release does, or what a refusal says.
pub fn compare(page: &str, columns: &[Column]) -> Result<()> {
    let mut wrong = Vec::new();
    for column in columns {
        for (name, hooks, doctor) in &column.doctors {
            for question in &doctor.questions {
                let (asks, here) = (&question.asks, cell(doctor, &question.asks));
                let there = written(page, *hooks, &column.series, asks);
                if there.as_deref() != Some(here.as_str()) {
                    let there = there.unwrap_or_else(|| "nothing".to_owned());
                    wrong.push(format!(
                        "{name} on {}: {asks} {here}; the page says {there}",
                        column.release
                    ));
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "doctor answers otherwise than {FILE} says: run `{COMMAND}`, if it should\n  {}",
        wrong.join("\n  ")
    )
}

/// What a table of the page says.
fn written(page: &str, hooks: Option<&str>, series: &str, asks: &str) -> Option<String> {
    let mut lines = page.lines().skip_while(|line| *line != title(hooks)).skip(1);
    let heads = cells(lines.next()?);
    let index = heads.iter().position(|head| *head == series)?;
    let rows = lines.take_while(|line| line.starts_with('|'));
    let row = rows.map(cells).find(|row| row.first() == Some(&asks))?;
    row.get(index).map(|&cell| cell.to_owned())
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doctor(usable: bool, hook: Option<&str>, reason: &str) -> Doctor {
        let answer = |asks: &str, hook: Option<&str>| {
            serde_json::json!({
                "question": "q", "asks": asks, "hook": hook,
                "kind": if hook.is_some() { "tp_btf" } else { "none" },
                "certainty": hook.map(|_| "measured"), "without_it": "nothing is seen",
                "refused": [{ "hook": "other", "reason": reason, "help": null }],
            })
        };
        let said = serde_json::json!({
            "schema": "zcwatch.doctor/1", "kernel": "6.1", "usable": usable,
            "error": (!usable).then_some("nothing can be watched"),
            "questions": [answer("which?", hook), answer("when?", None)],
        });
        Doctor::read(&format!("{said:#}\nzcwatch: nothing can be watched")).unwrap()
    }

    fn column(series: &str, doctors: Vec<(Option<&'static str>, Doctor)>) -> Column {
        let release = format!("{series}.0-cloud-amd64");
        let named = |(hooks, doctor)| ("answers".to_owned(), hooks, doctor);
        let doctors = doctors.into_iter().map(named).collect();
        Column { series: series.to_owned(), release, doctors, ..Column::default() }
    }

    fn columns() -> Vec<Column> {
        vec![
            column("5.10", vec![(None, doctor(false, None, ""))]),
            column("6.1", vec![(None, doctor(true, Some("send, queue"), "R1 | *bad* <reg>"))]),
        ]
    }

    #[test]
    fn each_question_is_a_row_and_each_kernel_a_column() {
        let page = page(&columns()).unwrap();
        for line in [
            "|  | 5.10 | 6.1 |",
            "| made on | 5.10.0-cloud-amd64 | 6.1.0-cloud-amd64 |",
            "| which? | none | `send, queue` tp_btf, measured |",
            "zcwatch refuses it: nothing can be watched",
            "- when? Nothing is seen. (`other`: R1 \\| \\*bad\\* &lt;reg>)",
        ] {
            assert!(page.lines().any(|found| found == line), "{line:?} is not in\n{page}");
        }
        assert!(page.contains("`doctor` has no `--hooks`") && !page.contains("## With"));
    }

    #[test]
    fn only_another_answer_is_a_difference() {
        let text = page(&columns()).unwrap();
        compare(&text, &columns()).unwrap();
        let mut newer = columns();
        newer[1].release = "6.1.99".to_owned();
        newer[1].doctors[0].2 = doctor(true, Some("send, queue"), "R2");
        compare(&text, &newer[1..]).unwrap();
        for other in [doctor(true, Some("send"), ""), doctor(true, None, "")] {
            newer[1].doctors[0].2 = other;
            let error = compare(&text, &newer).unwrap_err().to_string();
            assert!(error.contains("cargo xtask vm --page") && error.contains("which?"), "{error}");
            assert!(!error.contains("when?"), "{error}");
        }
        let other = column("6.12", vec![(None, doctor(true, Some("send, queue"), ""))]);
        let unknown = compare(&text, &[other]).unwrap_err();
        assert!(unknown.to_string().contains("the page says nothing"), "{unknown}");
        assert!(compare("", &columns()).is_err());
    }

    #[test]
    fn other_hooks_have_a_table_of_their_own() {
        let mut all = columns();
        all[1].doctors.push((
            "answers::fentry".to_owned(),
            Some("fentry"),
            doctor(true, Some("realloc"), ""),
        ));
        let text = page(&all).unwrap();
        assert!(text.contains("## With `--hooks fentry`\n|  | 5.10 | 6.1 |"), "{text}");
        assert!(text.contains("| which? | not asked | `realloc` tp_btf, measured |"), "{text}");
        compare(&text, &all).unwrap();
        all[1].doctors[1].2 = doctor(true, Some("callback"), "");
        let error = compare(&text, &all).unwrap_err().to_string();
        assert!(error.contains("answers::fentry on 6.1.0-cloud-amd64: which?"), "{error}");
    }

    #[test]
    fn a_kernel_without_answers_makes_no_page() {
        let error = page(&[column("6.1", Vec::new())]).unwrap_err().to_string();
        assert!(error.contains("doctor did not answer on 6.1.0"), "{error}");
    }
}
