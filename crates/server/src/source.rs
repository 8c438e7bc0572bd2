//! Where a version comes from, as it is sent and shown.

use esclusa_model::Timestamp;
use esclusa_release::{Commit, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most commits of one release.
const MAX_COMMITS: usize = 100;
/// Longest text of a field in characters; longer ones are cut.
const MAX_TEXT: usize = 200;

/// The commit that a release was asked from, and what is new in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceView {
    /// The commit's whole hash.
    pub commit: String,
    /// When it was committed, microseconds since 1970.
    pub committed_at_us: i64,
    /// The branch, where one was checked out.
    #[serde(default)]
    pub branch: Option<String>,
    /// The commit of the version before, where that is known; the range begins behind it.
    #[serde(default)]
    pub since: Option<String>,
    /// The commits of the range, newest first, at most 100; empty when its beginning is not
    /// known.
    #[serde(default)]
    pub commits: Vec<CommitView>,
    /// How many more there are.
    #[serde(default)]
    pub left_out: u64,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitView {
    /// Its short hash.
    pub hash: String,
    /// Its first line.
    pub subject: String,
    /// Who wrote it.
    pub author: String,
    /// When it was committed, microseconds since 1970.
    pub committed_at_us: i64,
}

impl SourceView {
    /// What is recorded: long texts cut, control characters taken out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn checked(self) -> Result<Source, String> {
        if self.commits.len() > MAX_COMMITS {
            return Err(format!("source has more than {MAX_COMMITS} commits"));
        }
        let commits = self.commits.into_iter().map(|commit| {
            Ok(Commit {
                hash: hash(commit.hash)?,
                subject: text(&commit.subject),
                author: text(&commit.author),
                committed_at: Timestamp(commit.committed_at_us),
            })
        });
        Ok(Source {
            commit: hash(self.commit)?,
            committed_at: Timestamp(self.committed_at_us),
            branch: self.branch.as_deref().map(text),
            since: self.since.map(hash).transpose()?,
            commits: commits.collect::<Result<_, String>>()?,
            left_out: self.left_out,
        })
    }
}

/// A commit's hash, whole or shortened.
fn hash(hash: String) -> Result<String, String> {
    let is_hash = (4..=64).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash {
        Ok(hash)
    } else {
        Err("a commit in source is not 4 to 64 hex digits".into())
    }
}

fn text(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(MAX_TEXT).collect()
}

impl From<&Source> for SourceView {
    fn from(source: &Source) -> Self {
        let commit = |commit: &Commit| CommitView {
            hash: commit.hash.clone(),
            subject: commit.subject.clone(),
            author: commit.author.clone(),
            committed_at_us: commit.committed_at.0,
        };
        Self {
            commit: source.commit.clone(),
            committed_at_us: source.committed_at.0,
            branch: source.branch.clone(),
            since: source.since.clone(),
            commits: source.commits.iter().map(commit).collect(),
            left_out: source.left_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> SourceView {
        SourceView {
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            committed_at_us: 5,
            branch: Some("main".into()),
            since: Some("89abcdef".into()),
            commits: vec![CommitView {
                hash: "0123456".into(),
                subject: "Say what it costs".into(),
                author: "Ana".into(),
                committed_at_us: 5,
            }],
            left_out: 0,
        }
    }

    #[test]
    fn what_is_recorded_is_shown_as_it_was_sent() {
        let recorded = view().checked().expect("fine");
        assert_eq!(SourceView::from(&recorded), view());
    }

    #[test]
    fn what_is_too_much_is_refused_or_cut() {
        let mut many = view();
        many.commits = vec![many.commits[0].clone(); MAX_COMMITS + 1];
        assert!(many.checked().is_err());
        let mut odd = view();
        odd.commit = "--output=x".into();
        assert!(odd.checked().is_err());
        let mut long = view();
        long.commits[0].subject = format!("{}\u{1b}[31m", "x".repeat(MAX_TEXT - 1));
        let recorded = long.checked().expect("cut");
        assert_eq!(
            recorded.commits[0].subject,
            format!("{}[", "x".repeat(MAX_TEXT - 1))
        );
    }
}
