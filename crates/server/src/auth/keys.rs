//! What the server signs: sessions, what they must send along, and links.
//!
//! One key, kept in the store, with a purpose in front of everything that is signed, so
//! that nothing that was signed as one thing can be shown as another. A mark is compared
//! in constant time. The key stands in backups: whoever has one can sign.

use crate::clock;
use crate::error::{ApiError, ErrorKind};
use esclusa_store::Store;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::fmt;

/// Where the key stands.
const SETTING: &str = "access-key";

/// What something is signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Says who a browser is.
    Session,
    /// Shows that a request comes from our page in that browser.
    Csrf,
    /// Lets whoever holds it act once.
    Link,
}

impl Purpose {
    const fn words(self) -> &'static [u8] {
        match self {
            Self::Session => b"esclusa-session:",
            Self::Csrf => b"esclusa-csrf:",
            Self::Link => b"esclusa-link:",
        }
    }
}

/// The server's signing key. Its debug form shows nothing of it.
#[derive(Clone)]
pub(crate) struct Keys(Hmac<Sha256>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

impl Keys {
    /// The key of a data folder, made at the first call.
    ///
    /// # Errors
    /// When the store fails, or what stands there is no key.
    pub(crate) async fn of(store: &Store) -> Result<Self, ApiError> {
        let key = match store.setting::<String>(SETTING).await? {
            Some(key) => key,
            None => {
                let key = clock::new_secret();
                store.put_setting(SETTING, &key, clock::now()).await?;
                key
            }
        };
        let wrong = || {
            ApiError::new(
                ErrorKind::Internal,
                "ESC-0901",
                "the key that signs sessions and links cannot be read",
                "restore the data folder from a backup",
            )
        };
        let bytes = hex::decode(key).ok().filter(|bytes| bytes.len() == 32);
        let mac = Hmac::new_from_slice(&bytes.ok_or_else(wrong)?).map_err(|_| wrong())?;
        Ok(Self(mac))
    }

    /// The mark of a text, as hex.
    pub(crate) fn sign(&self, purpose: Purpose, text: &str) -> String {
        hex::encode(self.mac(purpose, text).finalize().into_bytes())
    }

    /// Whether a text has this mark.
    pub(crate) fn is_signed(&self, purpose: Purpose, text: &str, mark: &str) -> bool {
        let mut bytes = [0; 32];
        hex::decode_to_slice(mark, &mut bytes).is_ok()
            && self.mac(purpose, text).verify_slice(&bytes).is_ok()
    }

    fn mac(&self, purpose: Purpose, text: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(purpose.words());
        mac.update(text.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esclusa_model::Timestamp;

    #[tokio::test]
    async fn a_mark_is_good_for_its_text_and_purpose_alone_and_lasts() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
        let keys = Keys::of(&store).await.expect("made");
        let mark = keys.sign(Purpose::Link, "abort r-1");
        assert!(keys.is_signed(Purpose::Link, "abort r-1", &mark));
        let wrong = [
            keys.is_signed(Purpose::Session, "abort r-1", &mark),
            keys.is_signed(Purpose::Link, "abort r-2", &mark),
            keys.is_signed(Purpose::Link, "abort r-1", &mark[..62]),
            keys.is_signed(Purpose::Link, "abort r-1", ""),
            keys.is_signed(Purpose::Link, "abort r-1", &mark.replace(['0', '1'], "2")),
        ];
        assert_eq!(wrong, [false; 5]);
        let again = Keys::of(&store).await.expect("read");
        assert!(again.is_signed(Purpose::Link, "abort r-1", &mark));
        assert_eq!(format!("{keys:?}"), "Keys(hidden)");
        store
            .put_setting(SETTING, &"short", Timestamp(2))
            .await
            .expect("stored");
        assert_eq!(Keys::of(&store).await.expect_err("no key").code, "ESC-0901");
    }
}
