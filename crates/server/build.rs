//! Lists the built dashboard for `src/page/`, where it was built (`cargo xtask ui`).
//!
//! It only looks: nothing is built here, so that cargo alone is enough to build the
//! program. Without the dashboard the list is empty.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = here.join("../../ui/dist");
    // The folder is always there (it holds a README), so this notices a first build too.
    println!("cargo::rerun-if-changed={}", dist.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("dashboard.rs"), listed(&dist)?)
}

/// The files as a Rust expression: `&[(name, plain, gzip)]`.
fn listed(dist: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    if dist.join("index.html").is_file() {
        names.push("index.html".to_owned());
        for entry in fs::read_dir(dist.join("assets"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".gz") {
                names.push(format!("assets/{name}"));
            }
        }
    }
    names.sort();
    let mut list = "&[".to_owned();
    for name in names {
        let path = fs::canonicalize(dist.join(&name))?;
        let packed = dist.join(format!("{name}.gz"));
        let packed = match fs::canonicalize(&packed) {
            Ok(packed) => format!("Some(include_bytes!({:?}))", packed.display().to_string()),
            Err(_) => "None".to_owned(),
        };
        let plain = path.display().to_string();
        // Writing to a string cannot fail.
        let _ = write!(
            list,
            "File {{ name: {name:?}, plain: include_bytes!({plain:?}), packed: {packed} }},"
        );
    }
    list.push(']');
    Ok(list)
}
