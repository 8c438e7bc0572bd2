//! Where data and plans lie on this machine.

use crate::args::Global;
use crate::exit::Failure;
use std::path::{Path, PathBuf};

/// Largest plan that is read.
const MAX_PLAN_BYTES: u64 = 1 << 20;
/// Largest text that is read otherwise; what is scraped can be long.
const MAX_TEXT_BYTES: u64 = 16 << 20;

/// The data folder: named, or the usual one for this user.
pub(crate) fn data(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(data) = &global.data {
        return Ok(data.clone());
    }
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/esclusa"));
    }
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("esclusa"))
        .ok_or_else(|| {
            Failure::input(
                "ESC-0505",
                "no data folder is known: neither XDG_STATE_HOME nor HOME is set",
                "name one with --data or ESCLUSA_DATA",
            )
        })
}

/// A plan, or another file of settings, as it was read.
pub(crate) struct PlanText {
    /// The name as it was typed.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The absolute folder that its relative paths start from.
    pub base_dir: PathBuf,
}

/// Reads a text that is no plan; `help` says what to name.
pub(crate) fn one_file(file: &Path, help: &str) -> Result<String, Failure> {
    let fail = |why: String| {
        let message = format!("{} cannot be read: {why}", file.display());
        Failure::input("ESC-0502", message, help)
    };
    let told = |error: std::io::Error| fail(error.to_string());
    let size = std::fs::metadata(file).map_err(told)?.len();
    if size > MAX_TEXT_BYTES {
        return Err(fail(format!(
            "it has {size} bytes, over the limit of {MAX_TEXT_BYTES}"
        )));
    }
    std::fs::read_to_string(file).map_err(told)
}

/// Reads a plan.
pub(crate) fn read_plan(file: &Path) -> Result<PlanText, Failure> {
    let help = "name the plan, or change to the folder that holds esclusa.yaml";
    read_settings(file, help)
}

/// Reads a file of settings, a plan or another one; `help` says what to name.
pub(crate) fn read_settings(file: &Path, help: &str) -> Result<PlanText, Failure> {
    let fail = |why: String| {
        let message = format!("{} cannot be read: {why}", file.display());
        Failure::input("ESC-0502", message, help)
    };
    let size = std::fs::metadata(file)
        .map_err(|error| fail(error.to_string()))?
        .len();
    if size > MAX_PLAN_BYTES {
        return Err(fail(format!(
            "it has {size} bytes, over the limit of {MAX_PLAN_BYTES}"
        )));
    }
    let text = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
    let whole = file
        .canonicalize()
        .map_err(|error| fail(error.to_string()))?;
    let base_dir = whole
        .parent()
        .ok_or_else(|| fail("it has no folder".into()))?
        .to_owned();
    Ok(PlanText {
        name: file.display().to_string(),
        text,
        base_dir,
    })
}
