//! `cargo xtask setup`: are the tools there that the gate needs?
//!
//! Installs only what `xtask/system-packages.txt` names and what is really missing,
//! and only where it may: as root, or through a sudo that asks for no password.
//! It never installs toolchains; it says which command would.

use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// What the dashboard's build tool asks for.
const NODE_AT_LEAST: Version = Version(20, 19);

/// Folders whose locked Node packages the gate needs: the dashboard, programs of others that
/// tests send messages to, what drives a browser, clients of flags, and the example with flags.
const NODE_PACKAGES: &[&str] = &[
    "ui",
    "crates/cli/tests/peers",
    "crates/cli/tests/browser",
    "crates/ofrep/tests/clients/server",
    "crates/ofrep/tests/clients/web",
    "examples/exec-reports",
];

/// Folders with Python programs of others that tests speak to, each with a
/// `requirements.txt` that names every version.
const PYTHON_PACKAGES: &[&str] = &["crates/ofrep/tests/clients/python"];

/// Major and minor number of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// A line of the list: a program and the package that brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SystemPackage {
    program: String,
    package: String,
}

/// Checks tools, installs system packages that are missing.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let cargo = version_of(shell::cargo(root).arg("--version"));
    println!("setup: cargo {}", shown(cargo));
    check_node(root)?;
    if !shell::is_on_path("cargo-nextest") {
        println!("setup: cargo-nextest is missing; `cargo test` takes its place");
    }
    let list = root.join("xtask/system-packages.txt");
    let text = std::fs::read_to_string(&list)
        .with_context(|| format!("failed to read {}", list.display()))?;
    let missing: Vec<SystemPackage> = parse(&text)?
        .into_iter()
        .filter(|entry| !is_there(&entry.program))
        .collect();
    install(&missing)?;
    for folder in NODE_PACKAGES {
        install_node_packages(&root.join(folder))?;
    }
    for folder in PYTHON_PACKAGES {
        install_python_packages(&root.join(folder))?;
    }
    println!("setup: ok");
    Ok(ExitCode::SUCCESS)
}

/// Node builds the dashboard, and runs programs of others that tests speak to.
fn check_node(root: &Path) -> Result<()> {
    let found = version_of(Command::new("node").arg("--version"));
    println!("setup: node {}", shown(found));
    let good = found.is_some_and(|version| version >= NODE_AT_LEAST);
    let mut needed = NODE_PACKAGES.iter();
    if good || !needed.any(|folder| root.join(folder).join("package.json").is_file()) {
        return Ok(());
    }
    bail!(
        "the dashboard and the tests need Node {}.{} or newer on the PATH; found {}",
        NODE_AT_LEAST.0,
        NODE_AT_LEAST.1,
        shown(found)
    )
}

/// Installs exactly what the lock file says, where that has not been done since it changed.
pub(crate) fn install_node_packages(folder: &Path) -> Result<()> {
    if are_installed(folder)? {
        return Ok(());
    }
    println!("setup: npm ci in {}", folder.display());
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdin(Stdio::null());
    let status = shell::status(&mut npm).context("npm comes with Node; is it on the PATH?")?;
    if !status.success() {
        bail!(
            "npm ci failed in {}: is the registry reachable? Run it there by hand to see more",
            folder.display()
        );
    }
    Ok(())
}

/// Installs exactly what the list says into an environment of its own, once.
fn install_python_packages(folder: &Path) -> Result<()> {
    let list = folder.join("requirements.txt");
    let wanted = std::fs::read_to_string(&list)
        .with_context(|| format!("failed to read {}", list.display()))?;
    let environment = folder.join(".venv");
    let record = environment.join("installed.txt");
    if std::fs::read_to_string(&record).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("setup: pip install in {}", folder.display());
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&environment);
    if !shell::status(create.stdin(Stdio::null()))?.success() {
        bail!("python3 -m venv failed; on Debian, apt-get install python3-venv brings it");
    }
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args([
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "-r",
    ])
    .arg(&list)
    .stdin(Stdio::null());
    if !shell::status(&mut pip)?.success() {
        bail!(
            "pip install failed in {}: is the index reachable?",
            folder.display()
        );
    }
    std::fs::write(&record, wanted).context("failed to note what is installed")
}

/// Whether npm has installed what the lock file says now. It writes down what it installed.
fn are_installed(folder: &Path) -> Result<bool> {
    let lock = folder.join("package-lock.json");
    let changed = |path: &Path| std::fs::metadata(path)?.modified();
    let locked = changed(&lock).with_context(|| format!("failed to read {}", lock.display()))?;
    let installed = changed(&folder.join("node_modules/.package-lock.json"));
    Ok(installed.is_ok_and(|installed| installed >= locked))
}

fn install(missing: &[SystemPackage]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|m| m.package.as_str()).collect();
    let packages = packages.join(" ");
    let by_hand = format!("install them by hand: apt-get install {packages}");
    if !shell::is_on_path("apt-get") {
        bail!("missing system packages and no apt-get: {packages}");
    }
    let Some(privileged) = privilege() else {
        bail!("missing system packages and no right to install them; {by_hand}");
    };
    for arguments in [
        "update --quiet".to_owned(),
        format!("install --yes --quiet --no-install-recommends {packages}"),
    ] {
        println!("setup: apt-get {arguments}");
        let mut words = privileged.iter().copied().chain(["apt-get"]);
        let mut command = Command::new(words.next().unwrap_or("apt-get"));
        command
            .args(words)
            .args(arguments.split_whitespace())
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null());
        if !shell::status(&mut command)?.success() {
            bail!("apt-get {arguments} failed; {by_hand}");
        }
    }
    match missing.iter().find(|m| !is_there(&m.program)) {
        Some(entry) => bail!(
            "package {} is installed and brings no {}",
            entry.package,
            entry.program
        ),
        None => Ok(()),
    }
}

/// Whether a program is on the PATH, or where Debian keeps those of PostgreSQL: in a folder a
/// version, which is on nobody's PATH.
fn is_there(program: &str) -> bool {
    shell::is_on_path(program) || is_in_versions(Path::new("/usr/lib/postgresql"), program)
}

fn is_in_versions(folder: &Path, program: &str) -> bool {
    let versions = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut programs = versions.map(|version| version.path().join("bin").join(program));
    programs.any(|path| path.is_file())
}

/// The words to put before a command that needs root; `None` where nobody may.
fn privilege() -> Option<&'static [&'static str]> {
    let user = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&user.stdout).trim() == "0" {
        return Some(&[]);
    }
    let sudo = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    sudo.status.success().then_some(&["sudo", "-n"])
}

/// Reads `program package  # why` lines.
fn parse(text: &str) -> Result<Vec<SystemPackage>> {
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        match words.as_slice() {
            [] => {}
            [program, package] => entries.push(SystemPackage {
                program: (*program).to_owned(),
                package: (*package).to_owned(),
            }),
            _ => bail!(
                "line {} of xtask/system-packages.txt is not `program package`",
                number + 1
            ),
        }
    }
    Ok(entries)
}

fn version_of(command: &mut Command) -> Option<Version> {
    let output = command.output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// The first `x.y` in a text such as `v20.20.2` or `cargo 1.95.0 (...)`.
fn parse_version(text: &str) -> Option<Version> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .find_map(|word| {
            let (major, rest) = word.split_once('.')?;
            let minor = rest.split('.').next()?;
            Some(Version(major.parse().ok()?, minor.parse().ok()?))
        })
}

fn shown(version: Option<Version>) -> String {
    version.map_or_else(
        || "is missing".to_owned(),
        |Version(major, minor)| format!("{major}.{minor}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(parse_version("v20.20.2\n"), Some(Version(20, 20)));
        assert_eq!(
            parse_version("cargo 1.95.0 (f2d3ce0bd 2026-03-21)"),
            Some(Version(1, 95))
        );
        assert_eq!(parse_version("not found"), None);
        assert!(Version(20, 9) < NODE_AT_LEAST && Version(22, 0) > NODE_AT_LEAST);
    }

    #[test]
    fn what_npm_has_to_install_is_noticed() {
        use std::fs::File;
        use std::time::{Duration, SystemTime};
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        assert!(are_installed(path).is_err(), "no lock file is a fault");
        let lock = path.join("package-lock.json");
        std::fs::write(&lock, "{}").expect("written");
        assert!(!are_installed(path).expect("read"), "nothing is installed");
        std::fs::create_dir(path.join("node_modules")).expect("created");
        let record = path.join("node_modules/.package-lock.json");
        std::fs::write(record, "{}").expect("written");
        let at = |file: &std::path::Path, seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let file = File::options().append(true).open(file).expect("opens");
            file.set_modified(time).expect("set");
        };
        at(&lock, 10);
        assert!(are_installed(path).expect("read"));
        at(&path.join("node_modules/.package-lock.json"), 5);
        assert!(
            !are_installed(path).expect("read"),
            "the lock file is newer"
        );
    }

    #[test]
    fn a_program_in_a_folder_of_its_version_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!is_in_versions(&folder.path().join("none"), "initdb"));
        let bin = folder.path().join("15/bin");
        std::fs::create_dir_all(&bin).expect("created");
        assert!(!is_in_versions(folder.path(), "initdb"));
        std::fs::write(bin.join("initdb"), "").expect("written");
        assert!(is_in_versions(folder.path(), "initdb"));
    }

    #[test]
    fn the_list_is_read_and_its_mistakes_are_named() {
        let text = "# why\n\ncc gcc # links\npsql postgresql-client\n";
        let entries = parse(text).expect("reads");
        let pairs: Vec<(&str, &str)> = entries
            .iter()
            .map(|e| (e.program.as_str(), e.package.as_str()))
            .collect();
        assert_eq!(pairs, [("cc", "gcc"), ("psql", "postgresql-client")]);
        assert!(parse("gcc").is_err());
        assert!(parse("a b c").is_err());
    }

    #[test]
    fn the_repositorys_own_list_is_good() {
        assert!(parse(include_str!("../system-packages.txt")).is_ok());
    }
}
