//! Folders that go away, and names and ports that nobody else has.

use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A number that no other call in this process gets.
pub(crate) fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A folder of its own, removed with all that is in it when the value goes.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes one.
    pub fn new() -> Self {
        let path =
            std::env::temp_dir().join(format!("nsd-test-{}-{}", std::process::id(), unique()));
        std::fs::create_dir_all(&path)
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        TempDir(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A process that was just killed may still have been writing; what is left then is in /tmp.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A TCP port on 127.0.0.1 that nothing listens on, for a process that cannot be told to choose its own
/// and that must find it free again after a restart. Below the range from which the kernel takes ports
/// for outgoing connections, so that none of those takes it meanwhile.
pub fn free_port() -> u16 {
    static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let left = blocks.last_mut().and_then(|block| block.left.next());
        match left {
            Some(port) if is_free(port) => return port,
            Some(_) => (),
            None => blocks.push(Block::take()),
        }
    }
}

/// Ports for this process alone: test processes side by side could find the same port free.
struct Block {
    /// Listens on the first port of the block, so that no other process takes the block while this one runs.
    _claim: TcpListener,
    /// Ports that were not handed out yet.
    left: Range<u16>,
}

impl Block {
    fn take() -> Self {
        const FIRST: u16 = 12_000;
        const END: u16 = 32_000;
        const SIZE: u16 = 100;
        let mut blocks = (FIRST..END).step_by(SIZE.into());
        let taken = blocks.find_map(|first| {
            Some(Block {
                _claim: TcpListener::bind(("127.0.0.1", first)).ok()?,
                left: first + 1..first + SIZE,
            })
        });
        taken.expect("a block of ports that no other test process has")
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_ports_is_taken_once() {
        let (one, other) = (Block::take(), Block::take());
        assert_ne!(one.left, other.left);
    }
}
