//! Findings about one block of a file that people write, at their places in it.

use crate::secret::SecretRef;
use esclusa_plan::Settings;
use serde::de::DeserializeOwned;

/// Where findings go, and what they are about.
pub(crate) struct Findings<'a, 't> {
    pub(crate) settings: &'a mut Settings<'t>,
    /// The block's path, such as `channels[0].slack`.
    pub(crate) path: String,
    /// What is said of a secret that stands in the file.
    pub(crate) secret_code: &'static str,
}

impl Findings<'_, '_> {
    /// Refuses a field, or with an empty key the block itself.
    pub(crate) fn refuse(&mut self, code: &'static str, key: &str, message: String, help: &str) {
        let path = match key {
            "" => self.path.clone(),
            key => format!("{}.{key}", self.path),
        };
        self.settings.refuse(code, &path, message, help.to_owned());
    }

    /// Reads a block that the table described; a part that was wrong is told already.
    pub(crate) fn block<T: DeserializeOwned>(&self, value: &serde_json::Value) -> Option<T> {
        T::deserialize(value).ok()
    }

    /// A reference to a secret. The text is not repeated: it may be the secret itself.
    pub(crate) fn secret(&mut self, key: &str, text: &str) -> Option<SecretRef> {
        let found = SecretRef::parse(text);
        if found.is_none() {
            let path = format!("{}.{key}", self.path);
            self.settings.refuse_secret(
                self.secret_code,
                &path,
                "a secret is named by where it stands, and does not stand here".to_owned(),
                "write `env:NAME`, `file:/path` or `cmd:command that prints it`; if this was a \
                 secret, change it"
                    .to_owned(),
            );
        }
        found
    }
}
