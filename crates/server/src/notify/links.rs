//! Ways from a message back to here.

use super::Notifier;
use super::notice::{Act, Notice};
use esclusa_drivers::notify::ChannelConfig;

/// Makes links that act.
pub(crate) trait LinkMaker: Send + Sync {
    /// Under which address browsers reach this server, without a slash at the end; none
    /// where nobody said.
    fn front(&self) -> Option<String>;

    /// The path of a link that does `act` to this release in the name of whoever reads
    /// `channel`, or none where it must not be done by link.
    fn path(&self, release: &str, act: &Act, channel: &str) -> Option<String>;
}

impl Notifier {
    /// The address that people reach the server under: the file's word, else the server's.
    pub(super) fn base_url(&self) -> Option<String> {
        let said = self.loaded().config.base_url.clone();
        said.or_else(|| self.links.get().and_then(|maker| maker.front()))
    }

    /// The links of a notice to a channel, where people can reach the server. Each is a new
    /// one: a link that was sent twice is good twice, and each once.
    pub(super) fn links_of(&self, notice: &Notice, channel: &ChannelConfig) -> Vec<(Act, String)> {
        let (Some(base), Some(release)) = (self.base_url(), &notice.release) else {
            return Vec::new();
        };
        let path = |act: &Act| match act {
            Act::Look => Some(format!("/#/releases/{release}")),
            // Whoever reads the channel could decide: only where that is wanted.
            Act::Approve(_) | Act::Abort if !channel.decide => None,
            Act::Approve(_) | Act::Abort => self.links.get()?.path(release, act, &channel.name),
        };
        let links = notice.acts.iter().filter_map(|act| Some((act, path(act)?)));
        links
            .map(|(act, path)| (act.clone(), format!("{base}{path}")))
            .collect()
    }
}
