//! Small cargo workspaces on disk that need no registry.

use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A workspace of `esclusa-model` and `esclusa-judge` that breaks no rule.
pub(crate) struct Planted {
    folder: TempDir,
}

impl Planted {
    pub(crate) fn new() -> Self {
        let planted = Self {
            folder: TempDir::new().expect("a folder"),
        };
        planted.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\nexclude = [\"vendor\"]\n\
             [workspace.lints.rust]\nunsafe_code = \"forbid\"\n",
        );
        planted.add_crate("model", "");
        planted.add_crate("judge", "esclusa-model = { path = \"../model\" }\n");
        planted
    }

    /// Adds a crate with these lines under `[dependencies]`.
    pub(crate) fn add_crate(&self, name: &str, dependencies: &str) {
        self.write(
            &format!("crates/{name}/Cargo.toml"),
            &format!(
                "[package]\nname = \"esclusa-{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                 [dependencies]\n{dependencies}\n[lints]\nworkspace = true\n"
            ),
        );
        self.write(
            &format!("crates/{name}/src/lib.rs"),
            "//! A planted crate.\n",
        );
    }

    /// Adds a package outside the workspace, in place of one from a registry.
    pub(crate) fn add_vendored(&self, name: &str) {
        self.write(
            &format!("vendor/{name}/Cargo.toml"),
            &format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        );
        self.write(&format!("vendor/{name}/src/lib.rs"), "");
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("makes the folder");
        std::fs::write(path, text).expect("writes");
    }

    /// Runs `xtask tidy` on it: whether it passed, and what it said.
    pub(crate) fn tidy(&self) -> (bool, String) {
        tidy(self.folder.path())
    }
}

pub(crate) fn tidy(root: &Path) -> (bool, String) {
    let root = root.to_str().expect("a plain path");
    let output = xtask(&["tidy", "--root", root]);
    (output.status.success(), said(&output))
}

pub(crate) fn xtask(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .output()
        .expect("xtask starts")
}

pub(crate) fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}
