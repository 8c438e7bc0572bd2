//! A folder that goes away, unless somebody has reason to look into it.

use std::io;
use std::path::{Path, PathBuf};

/// A temporary folder. Removed when dropped; kept and named on stderr when the test
/// panics or `ESCLUSA_KEEP` is set.
#[derive(Debug)]
pub struct TempDir {
    dir: Option<tempfile::TempDir>,
    path: PathBuf,
    kept: bool,
}

impl TempDir {
    /// A new, empty folder whose name begins with `name`. Its path is short enough for
    /// Unix sockets in it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn new(name: &str) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir()?;
        Ok(Self {
            path: dir.path().to_owned(),
            dir: Some(dir),
            kept: false,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it when this is dropped.
    pub const fn keep(&mut self) {
        self.kept = true;
    }

    /// The path of `name` in the folder.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let keep =
            self.kept || std::thread::panicking() || std::env::var_os("ESCLUSA_KEEP").is_some();
        if let Some(dir) = self.dir.take().filter(|_| keep) {
            eprintln!("Kept {}", dir.keep().display());
        }
    }
}
