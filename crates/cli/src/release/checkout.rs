//! What the checkout that a plan stands in says of the version. Without a checkout, or
//! without `git`, nothing is known, and that is no error.

use super::pick;
use crate::client::Client;
use esclusa_server::{CommitView, ReleaseView, ServiceView, SourceView};
use std::path::Path;
use std::process::{Command, Stdio};

/// Most commits that are sent.
const MAX_COMMITS: usize = 100;
/// Between fields; in no field that is asked for.
const FIELD: char = '\u{1f}';

/// Where the version comes from.
pub(super) async fn source(
    client: &Client,
    service: Option<&str>,
    folder: &Path,
) -> Option<SourceView> {
    let head = commits(folder, &["-1", "HEAD"])?.into_iter().next()?;
    let commit = git(folder, &["rev-parse", "--verify", "HEAD"])?;
    let branch = git(folder, &["symbolic-ref", "--quiet", "--short", "HEAD"]);
    let since = match service {
        Some(service) => released(client, service).await,
        None => None,
    };
    // Unless the commit before is in this checkout, the range has no beginning here.
    let range = since.as_ref().map(|since| format!("{since}..{commit}"));
    let listed = range.as_ref().and_then(|range| {
        let most = format!("--max-count={MAX_COMMITS}");
        commits(folder, &[&most, range])
    });
    let counted = range
        .as_ref()
        .and_then(|range| git(folder, &["rev-list", "--count", range]));
    let all = counted.and_then(|count| count.parse::<u64>().ok());
    let shown = listed.as_ref().map_or(0, Vec::len) as u64;
    Some(SourceView {
        commit,
        committed_at_us: head.committed_at_us,
        branch,
        since: listed.is_some().then_some(since).flatten(),
        commits: listed.unwrap_or_default(),
        left_out: all.unwrap_or(shown).saturating_sub(shown),
    })
}

/// The commit of what the service serves now, where its release said one.
async fn released(client: &Client, service: &str) -> Option<String> {
    let part = pick::path_part(service);
    let now: ServiceView = client.get(&format!("/api/v1/services/{part}")).await.ok()?;
    let digest = now.stable?.digest;
    let path = format!("/api/v1/releases?limit=50&service={part}");
    let before: Vec<ReleaseView> = client.get(&path).await.ok()?;
    let mut brought = before
        .into_iter()
        .filter(|release| release.digest.as_ref() == Some(&digest));
    let commit = brought.find_map(|release| release.source)?.commit;
    // It becomes a word of a command line.
    commit
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some(commit)
}

fn commits(folder: &Path, range: &[&str]) -> Option<Vec<CommitView>> {
    let format = format!("--format=%h{FIELD}%ct{FIELD}%an{FIELD}%s");
    let mut words = vec!["log", &format];
    words.extend(range);
    words.push("--");
    git(folder, &words)?.lines().map(commit).collect()
}

fn commit(line: &str) -> Option<CommitView> {
    let mut fields = line.split(FIELD);
    let (hash, seconds) = (fields.next()?, fields.next()?.parse::<i64>().ok()?);
    Some(CommitView {
        hash: hash.to_owned(),
        committed_at_us: seconds.checked_mul(1_000_000)?,
        author: fields.next()?.to_owned(),
        subject: fields.next()?.to_owned(),
    })
}

/// What `git` says, when it says it gladly.
fn git(folder: &Path, words: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(words)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&done.stdout);
    done.status.success().then(|| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_commit_or_nothing() {
        let line = "abc1234\u{1f}1795341600\u{1f}Ana\u{1f}Say what: it costs";
        let read = commit(line).expect("a commit");
        assert_eq!(
            (read.hash.as_str(), read.author.as_str()),
            ("abc1234", "Ana")
        );
        assert_eq!(read.committed_at_us, 1_795_341_600_000_000);
        assert_eq!(read.subject, "Say what: it costs");
        assert_eq!(commit("abc1234"), None);
    }

    #[test]
    fn outside_a_checkout_nothing_is_known() {
        let dir = tempfile::tempdir().expect("a folder");
        // A folder above may be a checkout; one that is named as none is none.
        std::fs::write(dir.path().join(".git"), "gitdir: /nowhere\n").expect("written");
        assert_eq!(git(dir.path(), &["rev-parse", "HEAD"]), None);
    }
}
