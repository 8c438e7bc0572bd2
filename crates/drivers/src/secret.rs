//! Secrets by reference: a file says where one stands, never what it is.
//!
//! A reference is read again for each use, so that a secret can be changed without a
//! restart. Deliberately absent: a way to write the secret itself into the file.

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// Longest wait for a command that prints a secret.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest secret in bytes; a key or a password has a few dozen.
const MOST: u64 = 16 * 1024;

/// A secret. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret itself, for the one place where it is used.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A secret that is not where it should be, and why. Somebody may put it there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a secret is missing: {0}")]
pub(crate) struct Missing(String);

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretRef {
    /// A variable of the server's environment.
    Env(String),
    /// A file that holds nothing else.
    File(PathBuf),
    /// A command that prints it.
    Cmd(String),
}

impl SecretRef {
    /// Reads `env:NAME`, `file:/path` or `cmd:line`; nothing for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let rest = rest.trim();
        if rest.is_empty() {
            return None;
        }
        match kind {
            "env" if is_variable(rest) => Some(Self::Env(rest.to_owned())),
            "file" if rest.starts_with('/') => Some(Self::File(rest.into())),
            "cmd" => Some(Self::Cmd(rest.to_owned())),
            _ => None,
        }
    }

    /// The secret as it is now, without the line end that files and commands add.
    pub(crate) async fn read(&self) -> Result<Secret, Missing> {
        let text = match self {
            Self::Env(name) => {
                std::env::var(name).map_err(|_| missing(format!("{self} is not set")))?
            }
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await;
                let file = file.map_err(|error| missing(format!("{self}: {error}")))?;
                self.text_of(file).await?
            }
            Self::Cmd(line) => self.printed(line).await?,
        };
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(missing(format!("{self} is empty")));
        }
        Ok(Secret(text.to_owned()))
    }

    async fn printed(&self, line: &str) -> Result<String, Missing> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| missing(format!("{self}: {error}")))?;
        let out = child.stdout.take();
        let read = async {
            let text = match out {
                Some(out) => self.text_of(out).await?,
                None => String::new(),
            };
            let ended = child.wait().await;
            match ended {
                Ok(status) if status.success() => Ok(text),
                // What it printed may be half of a secret.
                Ok(status) => Err(missing(format!("{self} ended with {status}"))),
                Err(error) => Err(missing(format!("{self}: {error}"))),
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.unwrap_or_else(|_| {
            let limit = PATIENCE.as_secs();
            Err(missing(format!("{self} did not end within {limit} s")))
        })
    }

    async fn text_of(
        &self,
        from: impl tokio::io::AsyncRead + Unpin + Send,
    ) -> Result<String, Missing> {
        let mut bytes = Vec::new();
        let read = from.take(MOST + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| missing(format!("{self}: {error}")))?;
        if bytes.len() as u64 > MOST {
            return Err(missing(format!("{self} is larger than {MOST} bytes")));
        }
        String::from_utf8(bytes).map_err(|_| missing(format!("{self} is no text")))
    }
}

/// Names the place. A command's words may hold a secret, so only its program is named.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Cmd(line) => {
                let program = line.split_whitespace().next().unwrap_or_default();
                write!(f, "the command `{program} ...`")
            }
        }
    }
}

const fn missing(message: String) -> Missing {
    Missing(message)
}

fn is_variable(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_place_and_nothing_else() {
        for good in ["env:SLACK_URL", "file:/run/secrets/x", "cmd:pass show x"] {
            assert!(SecretRef::parse(good).is_some(), "{good}");
        }
        for bad in [
            "https://hooks.slack.com/services/T0/B0/x",
            "hunter2",
            "env:",
            "env:A B",
            "file:relative",
            "vault:x",
            "",
        ] {
            assert_eq!(SecretRef::parse(bad), None, "{bad}");
        }
        let words = SecretRef::parse("cmd:curl -H token:abc").expect("a command");
        assert_eq!(words.to_string(), "the command `curl ...`");
        assert_eq!(format!("{:?}", Secret("hunter2".into())), "***");
    }

    #[tokio::test]
    async fn a_secret_is_read_without_its_line_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("secret");
        let of = |text: String| SecretRef::parse(&text).expect("a reference");
        let file = of(format!("file:{}", path.display()));
        let gone = file.read().await.expect_err("no file");
        assert!(gone.to_string().contains("a secret is missing"), "{gone}");
        std::fs::write(&path, "one two\n").expect("written");
        assert_eq!(file.read().await.expect("read").reveal(), "one two");
        let cmd = of(format!("cmd:cat {}", path.display()));
        assert_eq!(cmd.read().await.expect("read").reveal(), "one two");
        // What a command that failed has printed is not told.
        let bad = of("cmd:echo hunter2; exit 3".into());
        let why = bad.read().await.expect_err("failed");
        assert!(!why.to_string().contains("hunter2"), "{why}");
        std::fs::write(&path, "\n").expect("written");
        assert!(file.read().await.is_err(), "empty");
        std::fs::write(&path, "x".repeat(20_000)).expect("written");
        assert!(file.read().await.is_err(), "too large");
    }
}
