//! `zcwatch demo`: real traffic, watched.
pub(super) fn run(_: &crate::cli::Demo) -> anyhow::Result<super::Exit> {
    Ok(super::Exit::Done)
}
pub(super) fn traffic(_: &str) -> anyhow::Result<super::Exit> {
    Ok(super::Exit::Done)
}
pub(super) fn sniffer() -> anyhow::Result<super::Exit> {
    Ok(super::Exit::Done)
}
