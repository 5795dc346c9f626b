//! Where figures were measured.

use std::process::Command;

/// The machine, the kernel and the commit, as in `on 2 cores of AMD EPYC, Linux 6.1, commit 65bca6f`.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
    let changed = if changes.is_empty() {
        ""
    } else {
        " and changes"
    };
    format!(
        "on {cores} cores of {model}, Linux {}, commit {}{changed}",
        kernel.trim(),
        commit.trim()
    )
}

fn git(args: &[&str]) -> String {
    let output = Command::new("git").args(args).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}
