//! The zcwatch command.

fn main() -> std::process::ExitCode {
    zcwatch::command::run()
}
