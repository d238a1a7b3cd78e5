//! What becomes of a kernel's scenarios while its guests live and die.

use std::time::Duration;

use super::super::{
    console::{self, Death},
    doctor::Doctor,
    judge,
    kernel::Kernel,
    module::Carried,
    outcome::{Column, Outcome},
    protocol::Word,
    qemu::Ended,
    scenario::{Run, Scenario},
};

/// What is known so far.
#[derive(Debug, Default)]
pub struct Life {
    series: String,
    /// Each scenario by its name; `None` while it has no outcome.
    cells: Vec<(String, Option<Outcome>)>,
    boot: Option<Outcome>,
    troubles: Vec<String>,
    deaths: Vec<String>,
    doctors: Vec<(String, Option<&'static str>, Doctor)>,
    running: Option<String>,
    done: bool,
}

impl Life {
    /// No scenario has an outcome yet, but those that are not for this kernel.
    pub fn new(scenarios: &[Scenario], kernel: &Kernel, carried: &Carried) -> Self {
        let cell = |scenario: &Scenario| {
            (scenario.name(), scenario.not_on(kernel, carried).map(Outcome::NotHere))
        };
        let series = kernel.series.name.to_owned();
        Self { series, cells: scenarios.iter().map(cell).collect(), ..Self::default() }
    }

    /// The scenarios that have no outcome.
    pub fn pending(&self, scenarios: &[Scenario]) -> Vec<Scenario> {
        let open = |scenario: &&Scenario| {
            let name = scenario.name();
            self.cells.iter().any(|(other, outcome)| *other == name && outcome.is_none())
        };
        scenarios.iter().filter(open).cloned().collect()
    }

    /// Takes a word of the guest that was started `ago`, and returns how long the next one may
    /// take.
    pub fn hear(&mut self, word: Word, pending: &[Scenario], ago: Duration) -> Duration {
        match word {
            Word::Booted(_) => {
                self.boot.get_or_insert(Outcome::Ok(ago.as_secs_f64()));
            }
            Word::Trouble(what) => self.troubles.push(what),
            Word::Began(name) => {
                let scenario = pending.iter().find(|scenario| scenario.name() == name);
                self.running = Some(name);
                return Duration::from_secs(scenario.map_or(0, |scenario| scenario.limit));
            }
            Word::Ended(ended) => {
                self.running = None;
                if let Some(scenario) = pending.iter().find(|s| s.name() == ended.name) {
                    let outcome = match judge::failure(scenario, &ended) {
                        None => {
                            if let (Run::Doctor(hooks), Ok(doctor)) =
                                (&scenario.run, Doctor::read(&ended.output))
                            {
                                self.doctors.push((scenario.name(), *hooks, doctor));
                            }
                            Outcome::Ok(ended.seconds)
                        }
                        Some(why) => Outcome::Failed { why, output: ended.output },
                    };
                    let word = if matches!(outcome, Outcome::Ok(_)) { "ok" } else { "FAILED" };
                    println!("{}: {} {word} in {:.1} s", self.series, ended.name, ended.seconds);
                    self.set(&ended.name, outcome);
                }
            }
            Word::Done => self.done = true,
        }
        Duration::ZERO
    }

    /// A guest has ended: what was running then has failed, unless the emulator did.
    pub fn end(&mut self, ended: Ended, console: &str) {
        let running = self.running.take();
        if std::mem::take(&mut self.done) {
            return;
        }
        let (why, by_emulator) = match (console::death(console), ended) {
            (_, Ended::Crashed(signal)) => {
                (format!("the emulator was killed by signal {signal}"), true)
            }
            (Some(Death::Emulator(said)), _) => (format!("the emulator failed: {said}"), true),
            (Some(Death::Kernel(said)), _) => (format!("the guest's kernel died: {said}"), false),
            (None, Ended::Silent) => ("the guest fell silent".to_owned(), false),
            (None, Ended::ByItself) => ("the guest ended without a word".to_owned(), false),
        };
        println!("{}: {why}", self.series);
        match running {
            Some(name) if !by_emulator => {
                let output = format!("The end of the guest's console:\n{}", console::end(console));
                self.set(&name, Outcome::Failed { why, output });
            }
            Some(name) => self.deaths.push(format!("{why}, in {name}")),
            None => self.deaths.push(why),
        }
    }

    fn set(&mut self, name: &str, outcome: Outcome) {
        if let Some((_, cell)) = self.cells.iter_mut().find(|(other, _)| other == name) {
            *cell = Some(outcome);
        }
    }

    /// All outcomes, of so many guests at most and so much time.
    pub fn column(self, kernel: &Kernel, boots: usize, took: Duration) -> Column {
        let no_result = || Outcome::Failed {
            why: format!("it had no result in {boots} guests"),
            output: self.deaths.join("\n"),
        };
        let boot = match self.boot {
            Some(_) if !self.troubles.is_empty() => Outcome::Failed {
                why: "the guest could not do all that it should".to_owned(),
                output: self.troubles.join("\n"),
            },
            Some(boot) => boot,
            None => no_result(),
        };
        let mut cells = vec![("boot".to_owned(), boot)];
        cells.extend(
            self.cells
                .iter()
                .map(|(name, outcome)| (name.clone(), outcome.clone().unwrap_or_else(no_result))),
        );
        Column {
            series: kernel.series.name.to_owned(),
            release: kernel.release.clone(),
            cells,
            deaths: self.deaths,
            doctors: self.doctors,
            seconds: took.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::protocol::{self, End};
    use super::*;

    const INT3: &str = "[    9.0] Oops: int3: 0000 [#1]\n[    9.1] Kernel panic - not syncing";

    fn scenarios() -> Vec<Scenario> {
        ["a", "b"].map(|test| Scenario::of_test("rows", test)).to_vec()
    }

    fn life() -> Life {
        Life::new(&scenarios(), &kernel(), &Carried::default())
    }

    fn kernel() -> Kernel {
        Kernel::for_test("6.12", "6.12.107+deb13-cloud-amd64")
    }

    fn hear(life: &mut Life, words: &[Word]) {
        for word in words {
            life.hear(word.clone(), &scenarios(), Duration::from_secs(3));
        }
    }

    fn booted() -> Word {
        Word::Booted("6.12".to_owned())
    }

    fn began(name: &str) -> Word {
        Word::Began(name.to_owned())
    }

    fn ended(name: &str, code: i32) -> Word {
        let output = "test result: ok. 1 passed".to_owned();
        Word::Ended(protocol::Ended {
            name: name.to_owned(),
            end: End::Exited(code),
            seconds: 1.0,
            output,
        })
    }

    fn names(life: &Life) -> Vec<String> {
        life.pending(&scenarios()).iter().map(Scenario::name).collect()
    }

    /// Each outcome in a word.
    fn words(life: Life) -> Vec<String> {
        let column = life.column(&kernel(), 3, Duration::ZERO);
        let word = |outcome: &Outcome| match outcome {
            Outcome::Ok(_) => "ok".to_owned(),
            Outcome::Failed { why, .. } => why.clone(),
            Outcome::NotHere(why) => format!("not here: {why}"),
        };
        column.cells.iter().map(|(_, outcome)| word(outcome)).collect()
    }

    #[test]
    fn what_ends_as_it_must_is_ok() {
        let mut life = life();
        assert_eq!(names(&life), ["rows::a", "rows::b"]);
        hear(&mut life, &[booted(), began("rows::a"), ended("rows::a", 0)]);
        hear(&mut life, &[began("rows::b"), ended("rows::b", 101), Word::Done]);
        life.end(Ended::ByItself, "");
        assert!(names(&life).is_empty());
        assert_eq!(words(life), ["ok", "ok", "its exit code was 101, not 0"]);
    }

    #[test]
    fn an_emulators_death_leaves_the_rest_for_the_next_guest() {
        let mut life = life();
        hear(&mut life, &[booted(), began("rows::a"), ended("rows::a", 101), began("rows::b")]);
        life.end(Ended::ByItself, INT3);
        // What had failed before stays failed.
        assert_eq!(names(&life), ["rows::b"]);
        hear(&mut life, &[booted(), began("rows::b"), ended("rows::b", 0), Word::Done]);
        life.end(Ended::ByItself, "");
        assert_eq!(life.deaths.len(), 1);
        assert!(life.deaths[0].contains("int3") && life.deaths[0].contains("rows::b"));
        assert_eq!(words(life)[1..], ["its exit code was 101, not 0", "ok"]);
    }

    #[test]
    fn what_the_emulator_never_lets_end_has_failed() {
        let mut life = life();
        for _ in 0..3 {
            hear(&mut life, &[booted(), began("rows::a")]);
            life.end(Ended::ByItself, INT3);
        }
        let why = "it had no result in 3 guests";
        assert_eq!(words(life), ["ok", why, why]);
        let mut unborn = self::life();
        unborn.end(Ended::Silent, "");
        assert_eq!(words(unborn), [why, why, why]);
    }

    #[test]
    fn any_other_death_is_the_scenarios_that_ran() {
        for (console, how, word) in [
            ("[    9.0] BUG: unable to handle page fault", Ended::ByItself, "page fault"),
            ("[    9.0] fine", Ended::Silent, "silent"),
            ("[    9.0] fine", Ended::ByItself, "without a word"),
        ] {
            let mut life = life();
            hear(&mut life, &[booted(), began("rows::a")]);
            life.end(how, console);
            assert_eq!(names(&life), ["rows::b"]);
            assert!(life.deaths.is_empty());
            assert!(words(life)[1].contains(word));
        }
    }

    #[test]
    fn what_the_guest_could_not_do_is_a_failure() {
        let mut life = life();
        hear(&mut life, &[booted(), Word::Trouble("no veth".to_owned())]);
        assert!(words(life)[0].contains("could not do"));
    }
}
