//! A clock that a test sets, for one process, through libfaketime.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::TempDir;

/// The wall clock of the processes that have its variables; the monotonic clock stays honest, as the kernel's does.
pub(crate) struct Clock {
    library: Option<PathBuf>,
    folder: TempDir,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let mut folders = vec![PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")];
        folders.extend(
            std::fs::read_dir("/usr/lib")
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        );
        let paths = folders
            .iter()
            .map(|folder| folder.join("faketime/libfaketime.so.1"));
        let clock = Clock {
            library: paths.into_iter().find(|path| path.is_file()),
            folder: TempDir::new(),
        };
        clock.jump(0);
        clock
    }

    pub(crate) fn can_jump(&self) -> bool {
        self.library.is_some()
    }

    /// So many days from the true time.
    pub(crate) fn jump(&self, days: i32) {
        self.folder.write("time", &format!("{days:+}d\n"));
    }

    /// The variables of a process that has this clock.
    pub(crate) fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        let Some(library) = &self.library else {
            return Vec::new();
        };
        vec![
            ("LD_PRELOAD", library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.folder.path().join("time")),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    /// The day that the clock shows, as in `24 Nov 2026`.
    pub(crate) fn date(&self) -> String {
        let variables = self.variables();
        let output = Command::new("date")
            .args(["-u", "+%d %b %Y"])
            .env("LC_ALL", "C")
            .envs(
                variables
                    .iter()
                    .map(|(name, value)| (name, OsStr::new(value))),
            )
            .output();
        let output = output.expect("date is everywhere");
        String::from_utf8_lossy(&output.stdout).trim().into()
    }
}

impl Drop for Clock {
    /// Removes what the library has left in shared memory for processes that were killed.
    fn drop(&mut self) {
        let left = std::fs::read_dir("/dev/shm")
            .into_iter()
            .flatten()
            .flatten();
        for file in left {
            let name = file.file_name().to_string_lossy().into_owned();
            let process = name
                .strip_prefix("faketime_shm_")
                .or_else(|| name.strip_prefix("sem.faketime_sem_"));
            if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
                // Another one may have removed it.
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}
