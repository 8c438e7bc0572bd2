//! What the README and the guides show is what the program prints.
//!
//! A file's `console` blocks behind a mark `<!-- run -->` are typed into a shell, in
//! order, and what comes back is compared with what the file shows. `UPDATE=1` writes it
//! into the file instead. Numbers, ids and times differ from run to run and are compared
//! as such; so do lines about what passes within a moment, which a slow machine shows and
//! a fast one does not. All else must be the same.

use esclusa_testkit::ports;
use esclusa_testkit::process::built_binary;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Ports that the texts name; a run takes free ones in their place.
const PORTS: [u16; 4] = [SERVER, FLAGS, 8080, 9000];
/// Where a server listens.
const SERVER: u16 = 7300;
/// Where its proxy answers flags.
const FLAGS: u16 = 8016;
/// What a release says on its way, if one looks at the right moment.
const PASSING: [&str; 15] = [
    ": preparing",
    ": preflight",
    ": before",
    ": deploying",
    ": canary checks",
    ": after",
    ": hand-over",
    ": returning users",
    ": handing back",
    ": stopping the canary",
    ": undoing",
    ": promoted,",
    ": ended,",
    "  judge: ",
    "  waits: ",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// One command of a text and what the text shows of its output.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    command: String,
    output: Vec<String>,
    /// Lines of the file that the output takes, first and one past the last.
    lines: (usize, usize),
}

/// The commands of the blocks that are marked to be run.
fn commands(text: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let (mut marked, mut inside) = (false, false);
    for (number, line) in text.lines().enumerate() {
        if inside && line == "```" {
            (marked, inside) = (false, false);
        } else if inside {
            if let Some(command) = line.strip_prefix("$ ") {
                found.push(Shown {
                    command: command.to_owned(),
                    output: Vec::new(),
                    lines: (number + 1, number + 1),
                });
            } else if let Some(last) = found.last_mut() {
                last.output.push(line.to_owned());
                last.lines.1 = number + 1;
            }
        } else if line == "<!-- run -->" {
            marked = true;
        } else if marked && line == "```console" {
            inside = true;
        }
    }
    found
}

/// A shell's surroundings: a home with a copy of the examples, and the programs.
struct Desk {
    home: tempfile::TempDir,
    free: Vec<(u16, u16)>,
    background: Vec<Child>,
}

impl Desk {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let bin = home.path().join("bin");
        std::fs::create_dir_all(&bin).expect("created");
        let programs = [
            Path::new(env!("CARGO_BIN_EXE_esclusa")).to_path_buf(),
            built_binary("esclusa-demo-app").expect("built"),
            built_binary("esclusa-demo-load").expect("built"),
        ];
        for program in programs {
            let name = program.file_name().expect("a name");
            std::os::unix::fs::symlink(&program, bin.join(name)).expect("linked");
        }
        let copied = Command::new("cp")
            .arg("-r")
            .arg(root().join("examples"))
            .arg(home.path())
            .status();
        assert!(copied.expect("cp runs").success());
        let free = PORTS.map(|port| (port, ports::free_port().expect("a port")));
        let desk = Self {
            home,
            free: free.to_vec(),
            background: Vec::new(),
        };
        desk.move_ports(&desk.home.path().join("examples"));
        desk
    }

    /// The examples' files name the ports of the texts too.
    fn move_ports(&self, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.move_ports(&path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                let text = std::fs::read_to_string(&path).expect("read");
                std::fs::write(&path, self.here(&text)).expect("written");
            }
        }
    }

    /// A text of the file as it is typed here.
    fn here(&self, text: &str) -> String {
        let moved = self.free.iter();
        moved.fold(text.to_owned(), |text, (shown, free)| {
            text.replace(&format!(":{shown}"), &format!(":{free}"))
        })
    }

    fn free_for(&self, port: u16) -> u16 {
        let found = self.free.iter().find(|(shown, _)| *shown == port);
        found.expect("a port of the texts").1
    }

    /// What was printed here as the file shows it.
    fn shown(&self, text: &str) -> String {
        let home = self.home.path().display().to_string();
        let moved = self.free.iter();
        moved.fold(text.replace(&home, "~"), |text, (shown, free)| {
            text.replace(&format!(":{free}"), &format!(":{shown}"))
        })
    }

    fn shell(&self, command: &str, folder: &Path) -> Command {
        let home = self.home.path();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell
            .args(["-c", command])
            .current_dir(folder)
            .env_clear()
            .env("HOME", home)
            .env("PATH", format!("{}:{path}", home.join("bin").display()))
            .env("ESCLUSA_DATA", home.join(".local/state/esclusa"))
            .stdin(Stdio::null());
        shell
    }

    /// Types one command; gives what it printed.
    fn run(&mut self, command: &str, folder: &mut PathBuf) -> String {
        if let Some(to) = command.strip_prefix("cd ") {
            *folder = folder.join(to);
            return String::new();
        }
        let typed = self.here(command);
        if let Some(typed) = typed.strip_suffix(" &") {
            return self.start(typed, folder);
        }
        let output = self
            .shell(&format!("{{ {typed}; }} 2>&1"), folder)
            .output()
            .expect("bash runs");
        self.shown(&String::from_utf8_lossy(&output.stdout))
    }

    /// Starts what goes on in the background; a server until it says that it is ready.
    fn start(&mut self, typed: &str, folder: &Path) -> String {
        let serves = typed.contains(" serve ");
        let typed = typed.replace(
            "esclusa serve",
            &format!(
                "esclusa serve --listen 127.0.0.1:{} --flags-listen 127.0.0.1:{}",
                self.free_for(SERVER),
                self.free_for(FLAGS)
            ),
        );
        let mut child = self
            .shell(&format!("exec {typed}"), folder)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("bash runs");
        let stdout = child.stdout.take().expect("piped");
        self.background.push(child);
        let mut lines = BufReader::new(stdout);
        let mut said = String::new();
        while serves && !said.lines().any(|line| line.starts_with("ready ")) {
            let read = lines.read_line(&mut said).expect("a line");
            assert!(read > 0, "serve said {said:?}");
        }
        // Somebody must read on, or what is started stands still one day.
        std::thread::spawn(move || std::io::copy(&mut lines.take(u64::MAX), &mut std::io::sink()));
        self.shown(&said)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for child in &mut self.background {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ =
            esclusa_testkit::machine::power_failure(&self.home.path().join(".local/state/esclusa"));
    }
}

/// What must be the same in every run.
fn lasting(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| !PASSING.iter().any(|passing| line.contains(passing)))
        .map(|line| without_chance(line))
        .collect()
}

/// A line without what differs from run to run: ids, times, counts, and the numbers of
/// what the judge says.
fn without_chance(line: &str) -> String {
    let line = line.split("ROLLBACK: ").next().unwrap_or_default();
    let mut out = String::new();
    for word in line.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let stem = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let hex = stem.len() >= 12 && stem.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let version = stem.split('.').count() == 3 && !stem.contains(':');
        if version {
            out.push_str(word);
        } else if hex || stem.starts_with(|c: char| c.is_ascii_digit()) || stem.contains("sha256") {
            out.push('#');
        } else {
            out.push_str(word);
        }
    }
    // A rule under a table is as wide as its cells.
    if out.chars().all(|c| "-|─ ".contains(c)) {
        return String::new();
    }
    out
}

/// Runs a file's commands; the file as it should be, and what differs.
fn check(text: &str) -> (String, String) {
    let mut desk = Desk::new();
    let mut folder = desk.home.path().to_path_buf();
    let mut lines: Vec<Vec<String>> = text.lines().map(|line| vec![line.to_owned()]).collect();
    let mut differences = String::new();
    for shown in commands(text) {
        let printed = desk.run(&shown.command, &mut folder);
        let printed: Vec<String> = printed.trim_end().lines().map(str::to_owned).collect();
        if lasting(&printed) != lasting(&shown.output) {
            let _ = writeln!(
                differences,
                "$ {}\n--- shown\n{}\n--- printed\n{}\n",
                shown.command,
                shown.output.join("\n"),
                printed.join("\n")
            );
        }
        for line in &mut lines[shown.lines.0..shown.lines.1] {
            line.clear();
        }
        lines[shown.lines.0 - 1].extend(printed);
    }
    let mut whole: Vec<String> = lines.into_iter().flatten().collect();
    whole.push(String::new());
    (whole.join("\n"), differences)
}

fn check_file(name: &str) {
    let path = root().join(name);
    let text = std::fs::read_to_string(&path).expect("read");
    let (whole, differences) = check(&text);
    assert!(whole.contains("<!-- run -->"), "{name} shows nothing");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, whole).expect("written");
        return;
    }
    assert!(
        differences.is_empty(),
        "{name} shows what the program does not print; UPDATE=1 writes it anew\n{differences}"
    );
}

#[test]
fn the_readme_shows_what_is_printed() {
    check_file("README.md");
}

#[test]
fn the_guide_shows_what_is_printed() {
    check_file("docs/guide/first-release.md");
}

#[test]
fn a_text_that_has_rotted_is_found() {
    let text = "before\n\n<!-- run -->\n```console\n$ echo one 12 ms\none 9 ms\n$ esclusa --version\n\
                esclusa 0.0.1 rotten\n```\n\n```console\n$ exit 1\n```\n";
    let (whole, differences) = check(text);
    assert!(
        differences.starts_with("$ esclusa --version"),
        "{differences}"
    );
    assert!(!differences.contains("echo"), "{differences}");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        whole.contains(&format!("\nesclusa {version}\n```")),
        "{whole}"
    );
    assert!(whole.contains("\none 12 ms\n") && whole.ends_with("$ exit 1\n```\n"));
}

#[test]
fn what_is_of_the_moment_is_not_compared_and_all_else_is() {
    let same = |a: &str, b: &str| {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        lasting(&lines(a)) == lasting(&lines(b))
    };
    assert!(same(
        "shop 2.0.0: deploying, users on it: 0%\nshop 2.0.0: stage 1 of 3, users on it: 5%",
        "shop 2.0.0: stage 1 of 3, users on it: 5%\n  judge: HOLD: something"
    ));
    assert!(!same(
        "shop 2.0.0: stage 1 of 3, users on it: 5%",
        "shop 3.0.0: stage 1 of 3, users on it: 5%"
    ));
    assert!(!same(
        "promoted: reached all users",
        "rolled_back: reached all users"
    ));
    assert!(same(
        "release 01a22512-f3cf-774e-99e2-0a71ce3d3026 took 3 s",
        "release 01a22513-aa38-7391-baf1-667d77d442c9 took 41 s"
    ));
}
