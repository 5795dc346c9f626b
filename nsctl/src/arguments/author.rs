//! Who makes a change, if `--by` does not say it.

/// The user and the host, as the system knows them. Behind sudo, the user who called it.
pub(super) fn name() -> String {
    let user = std::env::var("SUDO_USER")
        .ok()
        .filter(|user| !user.is_empty());
    let user = user.or_else(|| whoami::username().ok());
    let host = whoami::hostname().ok();
    let unknown = || "unknown".to_string();
    format!(
        "{}@{}",
        user.unwrap_or_else(unknown),
        host.unwrap_or_else(unknown)
    )
}
