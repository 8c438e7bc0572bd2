//! An instance's own folder: `instances/<service>/<component>/<instance>` below the data
//! folder, with its supervisor's files, `port` and `track`.

use super::InstanceSpec;
use super::named::{canonical, digest_of};
use super::ports;
use crate::error::{DriverError, blocking};
use esclusa_model::Track;
use esclusa_shim::{ShimClient, write_atomic};
use std::fs;
use std::path::{Path, PathBuf};

const PORT: &str = "port";
const TRACK: &str = "track";
/// Longest instance id that names its folder itself.
const LONGEST_NAME: usize = 64;

pub(super) struct Folder {
    root: PathBuf,
    path: PathBuf,
    identity: String,
}

impl Folder {
    pub(super) fn of(spec: &InstanceSpec) -> Result<Self, DriverError> {
        let who = &spec.identity;
        let data = std::path::absolute(&spec.data_dir)
            .map_err(DriverError::io(spec.data_dir.display()))?;
        let root = data.join("instances");
        let path = root
            .join(who.service.as_str())
            .join(who.component.as_str())
            .join(file_name(who.instance.as_str()));
        // Neither release nor track: a judged instance stays itself when it is promoted.
        let identity = digest_of(&[
            "esclusa-instance-v1",
            who.service.as_str(),
            who.component.as_str(),
            who.instance.as_str(),
            &who.version.digest.to_string(),
            &canonical(&spec.config),
        ]);
        Ok(Self {
            root,
            path,
            identity: identity.to_string(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the instance's process is recognised by.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn shim(&self) -> ShimClient {
        ShimClient::new(&self.path)
    }

    pub(super) fn track_file(&self) -> PathBuf {
        self.path.join(TRACK)
    }

    pub(super) fn write_track(&self, track: Track) -> Result<(), DriverError> {
        let path = self.track_file();
        fs::create_dir_all(&self.path)
            .and_then(|()| write_atomic(&path, format!("{track}\n").as_bytes()))
            .map_err(DriverError::io(path.display()))
    }

    /// The recorded port.
    pub(super) fn port(&self) -> Result<Option<u16>, DriverError> {
        let path = self.path.join(PORT);
        ports::read(&path).map_err(DriverError::io(path.display()))
    }

    /// The recorded port if it is free, else a free one, recorded.
    pub(super) async fn claim_port(&self) -> Result<u16, DriverError> {
        let (root, path) = (self.root.clone(), self.path.join(PORT));
        let shown = path.display().to_string();
        blocking(move || ports::claim(&root, &path))
            .await?
            .map_err(DriverError::io(shown))
    }

    /// Nothing runs here any more: others may have the port.
    pub(super) fn release_port(&self) {
        // One that stays recorded is only not given out.
        fs::remove_file(self.path.join(PORT)).ok();
    }
}

/// The id where it can name a folder, else a digest of it.
fn file_name(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+".contains(c);
    if id.len() <= LONGEST_NAME && id.chars().all(plain) {
        id.to_owned()
    } else {
        // A dot is in no plain id, so that the two kinds never meet.
        format!("id.{}", digest_of(&[id]).short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_leaves_its_folder_or_shares_it() {
        assert_eq!(file_name("web-2-a1b2"), "web-2-a1b2");
        let odd = ["..", ".", "a/b", "a:b", "a.b", "../../etc"];
        let mut names: Vec<String> = odd.iter().map(|id| file_name(id)).collect();
        for name in &names {
            assert!(name.starts_with("id.") && !name.contains('/'), "{name}");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), odd.len());
    }
}
