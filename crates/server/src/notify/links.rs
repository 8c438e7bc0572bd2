//! Ways from a message back to here.

use super::Notifier;
use super::notice::{Act, Notice};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Longest wait for a link: a message without one is better than none.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes links that act.
pub(crate) trait LinkMaker: Send + Sync {
    /// The path of a link that does `act` to this release, or none where it must not be
    /// done by link.
    fn link<'a>(
        &'a self,
        release: &'a str,
        act: &'a Act,
    ) -> Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>>;
}

impl Notifier {
    /// The links of a notice, where people can reach the server.
    pub(super) async fn links_of(&self, notice: &Notice) -> Vec<(Act, String)> {
        let Some(base) = self.loaded().config.base_url.clone() else {
            return Vec::new();
        };
        let Some(release) = &notice.release else {
            return Vec::new();
        };
        let mut links = Vec::new();
        for act in &notice.acts {
            let path = match act {
                Act::Look => Some(format!("/#/releases/{release}")),
                Act::Approve(_) | Act::Abort => self.acting(release, act).await,
            };
            links.extend(path.map(|path| (act.clone(), format!("{base}{path}"))));
        }
        links
    }

    async fn acting(&self, release: &str, act: &Act) -> Option<String> {
        let maker = self.links.get()?;
        let made = tokio::time::timeout(PATIENCE, maker.link(release, act)).await;
        made.unwrap_or_default()
    }
}
