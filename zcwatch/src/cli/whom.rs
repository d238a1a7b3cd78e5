//! The options that say whom to watch; the same for every command that watches.

use clap::Args;

use crate::target::Target;

/// Bytes of a process's name that the kernel keeps.
const NAME: usize = 15;

/// Whom to watch. Each option adds processes; without any, all are watched.
#[derive(Clone, Debug, Default, Args)]
pub struct Whom {
    /// Process to watch; may be given more than once. Without -p, --comm, --cgroup and CMD, all
    /// processes are watched
    #[arg(short, long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// Watch also what the watched processes start, be it before or while they are watched
    #[arg(long)]
    pub follow: bool,
    /// Watch processes of exactly this name (as in /proc/PID/comm); may be given more than once
    #[arg(long, value_name = "NAME", value_parser = comm)]
    pub comm: Vec<String>,
    /// Watch the processes in this cgroup (v2) and below it; may be given more than once
    #[arg(long, value_name = "PATH", value_parser = path)]
    pub cgroup: Vec<String>,
    /// Run CMD as this user
    #[arg(long, value_name = "NAME", requires = "command")]
    pub user: Option<String>,
    /// Start this command, and watch it from its first send to its end
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

impl Whom {
    /// What was asked for, each process once.
    #[must_use]
    pub fn target(&self) -> Target {
        let mut pids = self.pids.clone();
        pids.sort_unstable();
        pids.dedup();
        Target {
            pids,
            comm: self.comm.clone(),
            cgroup: self.cgroup.clone(),
            follow: self.follow,
            command: (!self.command.is_empty()).then(|| self.command.clone()),
            user: self.user.clone(),
        }
    }
}

fn comm(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("a process has a name; give it as /proc/PID/comm shows it".into());
    }
    if name.len() <= NAME {
        return Ok(name.to_owned());
    }
    let kept = String::from_utf8_lossy(&name.as_bytes()[..NAME]);
    Err(format!("the kernel keeps {NAME} bytes of a name; such a process is called '{kept}'"))
}

fn path(path: &str) -> Result<String, String> {
    if path.is_empty() {
        return Err("it is empty; all processes are watched without this option".into());
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_at_most_fifteen_bytes() {
        assert_eq!(comm("exactly-fifteen"), Ok("exactly-fifteen".to_owned()));
        let refused = comm("exactly-fifteen-and-more").unwrap_err();
        assert!(refused.ends_with("called 'exactly-fifteen'"), "{refused}");
        assert!(comm("").is_err() && path("").is_err() && path("/").is_ok());
    }

    #[test]
    fn a_process_named_twice_is_watched_once() {
        let whom = Whom { pids: vec![7, 3, 7], ..Whom::default() };
        assert_eq!(whom.target(), Target::of(&[3, 7]));
        assert!(Whom::default().target().is_everything());
    }
}
