//! A disk of its own below a folder, which can be filled, frozen or written by nobody.
//!
//! An ext4 file system in a file, mounted: only for whoever may mount.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Room for a control plane, its proxy and a few small versions.
const SIZE: u64 = 96 << 20;

/// A mounted disk. Dropping it mends and unmounts it.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// An empty disk mounted at `at`, a folder that is made.
    ///
    /// # Errors
    /// Why this machine cannot have one.
    pub fn mount(at: &Path) -> Result<Self, String> {
        let image = at.with_extension("image");
        let file = File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(SIZE).map_err(|error| error.to_string())?;
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0", path(&image)?])?;
        run("mount", &["-o", "loop", path(&image)?, path(at)?])?;
        Ok(Self {
            at: at.to_owned(),
            image,
        })
    }

    /// Leaves no byte free.
    ///
    /// # Errors
    /// When it cannot be filled.
    pub fn fill(&self) -> io::Result<()> {
        let mut ballast = File::create(self.at.join("ballast"))?;
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![0_u8; size];
            while ballast.write_all(&block).is_ok() {}
        }
        // What is free must not come back when the rest is written out.
        match ballast.sync_all() {
            Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When it was not full.
    pub fn make_room(&self) -> io::Result<()> {
        fs::remove_file(self.at.join("ballast"))
    }

    /// Keeps every write waiting until [`Disk::thaw`].
    ///
    /// # Errors
    /// The command's own words.
    pub fn freeze(&self) -> Result<(), String> {
        run("fsfreeze", &["--freeze", path(&self.at)?])
    }

    /// Lets writes go on.
    ///
    /// # Errors
    /// The command's own words.
    pub fn thaw(&self) -> Result<(), String> {
        run("fsfreeze", &["--unfreeze", path(&self.at)?])
    }

    /// Refuses every write, to files that are open too.
    ///
    /// # Errors
    /// The command's own words.
    pub fn forbid_writes(&self) -> Result<(), String> {
        self.mark("+i")
    }

    /// Takes writes again.
    ///
    /// # Errors
    /// The command's own words.
    pub fn allow_writes(&self) -> Result<(), String> {
        self.mark("-i")
    }

    /// The marks of files and folders alike; sockets have none, so the rest is expected to
    /// be named by the command and not to stop it.
    fn mark(&self, how: &str) -> Result<(), String> {
        let marked = Command::new("find")
            .arg(&self.at)
            .args([
                "(", "-type", "f", "-o", "-type", "d", ")", "-exec", "chattr", how,
            ])
            .args(["{}", "+"])
            .output()
            .map_err(|error| error.to_string())?;
        if marked.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&marked.stderr).into_owned())
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.thaw();
        let _ = self.allow_writes();
        if let Ok(at) = path(&self.at) {
            // Whatever still runs there keeps it; the name is free at once.
            let _ = run("umount", &["--lazy", at]);
        }
        let _ = fs::remove_file(&self.image);
    }
}

fn path(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| "not a name".to_owned())
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let ran = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(format!("{program}: {}", said.trim()))
}
