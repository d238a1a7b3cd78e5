//! Whether what must hold does.

use super::{
    doctor::{self, Doctor},
    protocol::{End, Ended},
    scenario::{Run, Scenario},
};

/// Why a scenario failed; `None` where it did not.
pub fn failure(scenario: &Scenario, ended: &Ended) -> Option<String> {
    let code = match &ended.end {
        End::Exited(code) => *code,
        End::Killed(signal) => return Some(format!("it was killed by signal {signal}")),
        End::TimedOut => return Some(format!("it took longer than {} s", scenario.limit)),
        End::NotStarted(why) => return Some(format!("it was not started: {why}")),
    };
    let (expected, says) = match &scenario.run {
        // A name that no test has is no failure to the test program.
        Run::Test(..) => (0, "test result: ok. 1 passed"),
        Run::Command { code, says, .. } => (*code, *says),
        Run::Doctor(_) if code == doctor::REFUSES || doctor::unasked(scenario, code) => (code, ""),
        Run::Doctor(_) => (0, ""),
    };
    if code != expected {
        return Some(format!("its exit code was {code}, not {expected}"));
    }
    if matches!(scenario.run, Run::Doctor(_)) && !doctor::unasked(scenario, code) {
        return Doctor::read(&ended.output).err().map(|error| format!("{error:#}"));
    }
    (!ended.output.contains(says)).then(|| format!("its output has no {says:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(end: End, output: &str) -> Ended {
        Ended { name: String::new(), end, seconds: 1.0, output: output.to_owned() }
    }

    #[test]
    fn a_test_passes_only_if_it_ran() {
        let test = Scenario::of_test("rows", "a");
        let why = |end, output| failure(&test, &ended(end, output)).unwrap_or_default();
        let passed = "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed";
        assert_eq!(why(End::Exited(0), passed), "");
        assert!(why(End::Exited(0), "test result: ok. 0 passed").contains("1 passed"));
        assert!(why(End::Exited(101), passed).contains("exit code was 101, not 0"));
        assert!(why(End::Killed(9), passed).contains("signal 9"));
        assert!(why(End::TimedOut, passed).contains("240 s"));
        assert!(why(End::NotStarted("no file".to_owned()), "").contains("no file"));
    }

    #[test]
    fn a_command_may_have_to_fail() {
        let run = Run::Command { name: "r", words: &["zcwatch"], code: 4, says: "hooks" };
        let scenario = Scenario { run, ..Scenario::of_test("", "") };
        let why = |code, output| failure(&scenario, &ended(End::Exited(code), output));
        assert_eq!(why(4, "no hooks"), None);
        assert!(why(0, "no hooks").is_some_and(|why| why.contains("was 0, not 4")));
        assert!(why(4, "").is_some_and(|why| why.contains("\"hooks\"")));
    }

    #[test]
    fn doctor_must_answer() {
        let answers = r#"{"schema":"zcwatch.doctor/1","usable":true,"error":null,"questions":[]}"#;
        let why = |hooks, code, output| {
            let scenario = Scenario { run: Run::Doctor(hooks), ..Scenario::of_test("", "") };
            failure(&scenario, &ended(End::Exited(code), output)).unwrap_or_default()
        };
        let refused = format!("{answers}\nzcwatch: nothing here");
        assert_eq!(why(None, 0, answers), "");
        assert_eq!(why(None, 4, &refused), "");
        assert!(why(None, 1, answers).contains("was 1, not 0"));
        assert!(why(None, 0, "no").contains("doctor"));
        // It may have no such option.
        assert_eq!(why(Some("fentry"), 2, "unexpected argument '--hooks'"), "");
        assert!(why(None, 2, "unexpected argument").contains("was 2, not 0"));
    }
}
