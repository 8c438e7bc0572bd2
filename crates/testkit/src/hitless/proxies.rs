//! The real proxy as a process, replaced again and again, and the process that holds its
//! sockets.

use crate::process::Running;
use crate::{TempDir, ports, wait_until};
use esclusa_flags::SplitSpec;
use esclusa_model::{
    BasisPoints, Digest, Epoch, GenerationId, InstanceId, Millis, ReleaseId, Salt, ServiceName,
    VersionName,
};
use esclusa_proxy::client::ControlClient;
use esclusa_wire::{
    Generation, Instance, LostControl, LostControlThen, RouteMatch, ServiceRoute, StickySource,
    Upstream, WIRE_VERSION,
};
use nix::sys::signal::Signal;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for a process to answer or to end.
const LIMIT: Duration = Duration::from_secs(60);
/// How long connections have when a proxy is told to end: half of it for those that were
/// open then, which is more than the longest answer takes, and half for those that came
/// later.
const DRAIN: &str = "10s";
/// And when another has taken over.
const HAND_OVER_DRAIN: &str = "10s";
/// The salt of all splits here.
pub const SALT: &str = "hitless";

/// One folder, its holder, the proxy in charge and those that drain.
pub struct Proxies {
    binary: PathBuf,
    folder: TempDir,
    /// Ended with this.
    _holder: Running,
    current: Option<Running>,
    draining: Vec<Running>,
    versions: [SocketAddr; 2],
    listen: SocketAddr,
    number: u64,
    share: u16,
}

impl Proxies {
    /// Starts a holder and a proxy that serves `versions`, stable and canary, with `binary`.
    ///
    /// # Errors
    /// When a process does not come up.
    pub async fn start(binary: &Path, versions: [SocketAddr; 2]) -> io::Result<Self> {
        let folder = TempDir::new("hitless")?;
        let held = folder.path().join("held");
        let holder = Running::start(binary, &["shim", "hold", &held.display().to_string()])?;
        let socket = held.join("hold.sock");
        wait_until("the holder", LIMIT, async || socket.exists().then_some(()))
            .await
            .map_err(io::Error::other)?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port()?));
        let mut proxies = Self {
            binary: binary.to_owned(),
            folder,
            _holder: holder,
            current: None,
            draining: Vec::new(),
            versions,
            listen,
            number: 0,
            share: 0,
        };
        proxies.begin(&[]).await?;
        proxies.share(0).await?;
        proxies.held().await?;
        Ok(proxies)
    }

    /// Where clients connect.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Speaks to whoever is in charge.
    #[must_use]
    pub fn control(&self) -> ControlClient {
        ControlClient::new(self.folder.path().join("data/proxy.sock"))
    }

    async fn begin(&mut self, more: &[&str]) -> io::Result<()> {
        let running = self.spawn(more)?;
        let pid = running.pid();
        self.current = Some(running);
        self.answers(pid).await
    }

    fn spawn(&self, more: &[&str]) -> io::Result<Running> {
        let data = self.folder.path().join("data").display().to_string();
        let held = self.folder.path().join("held").display().to_string();
        let mut words = vec!["proxy", "--id", "p1", "--data", &data, "--holder", &held];
        words.extend(["--drain", DRAIN, "--hand-over-drain", HAND_OVER_DRAIN]);
        words.extend(more);
        Running::start(&self.binary, &words)
    }

    async fn answers(&mut self, pid: u32) -> io::Result<()> {
        let control = self.control();
        let found = wait_until("the proxy's answer", LIMIT, async || {
            let hello = control.hello().await.ok()?;
            (hello.pid == pid).then_some(())
        })
        .await;
        found.map_err(|error| io::Error::other(format!("{error}\n{}", self.output())))
    }

    async fn held(&self) -> io::Result<()> {
        let folder = self.folder.path().join("held");
        wait_until("the socket in the holder", LIMIT, async || {
            let list = esclusa_shim::hold::HoldClient::connect(&folder).and_then(|mut h| h.list());
            (!list.ok()?.is_empty()).then_some(())
        })
        .await
        .map_err(io::Error::other)
    }

    /// What the proxies said.
    #[must_use]
    pub fn output(&self) -> String {
        let all = self.draining.iter().chain(&self.current);
        all.map(Running::output).collect::<Vec<_>>().join("\n--\n")
    }

    /// Lets a new process take over. The older one drains by itself.
    ///
    /// # Errors
    /// When the new one does not come up.
    pub async fn upgrade(&mut self) -> io::Result<()> {
        let old = self.current.take();
        let begun = self.begin(&["--take-over"]).await;
        self.draining.extend(old);
        begun?;
        self.collect().await
    }

    /// Ends the proxy in order and starts it again, one after the other, as a supervisor
    /// does.
    ///
    /// # Errors
    /// When one does not end or does not come up.
    pub async fn restart(&mut self) -> io::Result<()> {
        if let Some(mut old) = self.current.take() {
            old.signal(Signal::SIGTERM)?;
            old.ended(LIMIT).await.map_err(io::Error::other)?;
        }
        self.begin(&[]).await?;
        self.collect().await
    }

    /// Kills the proxy as a crash would.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn kill(&mut self) -> io::Result<()> {
        if let Some(mut old) = self.current.take() {
            old.signal(Signal::SIGKILL)?;
            old.ended(LIMIT).await.map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Starts a proxy where none runs, and tells it what was in force as a controller
    /// does: the one that was killed may not have had the time to write it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn revive(&mut self) -> io::Result<()> {
        self.begin(&[]).await?;
        publish(&self.control(), &self.generation(self.number, self.share)).await
    }

    /// Starts a process that takes over and kills it `after` its start. Whether the older
    /// one is still in charge.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn kill_newcomer(&mut self, after: Duration) -> io::Result<bool> {
        let mut newcomer = self.spawn(&["--take-over"])?;
        tokio::time::sleep(after).await;
        newcomer.signal(Signal::SIGKILL)?;
        newcomer.ended(LIMIT).await.map_err(io::Error::other)?;
        let pid = self.current.as_ref().map_or(0, Running::pid);
        let control = self.control();
        // The older one notices at once; nobody answers when it had handed over.
        let hello = wait_until("an answer", Duration::from_secs(3), async || {
            control.hello().await.ok()
        })
        .await;
        Ok(hello.is_ok_and(|hello| hello.pid == pid))
    }

    /// Gives up on those that have drained.
    async fn collect(&mut self) -> io::Result<()> {
        let mut left = Vec::new();
        for mut running in std::mem::take(&mut self.draining) {
            if running.ended(Duration::from_millis(1)).await.is_err() {
                left.push(running);
            }
        }
        self.draining = left;
        Ok(())
    }

    /// Waits until all that were replaced have drained.
    ///
    /// # Errors
    /// When one hangs.
    pub async fn drained(&mut self) -> io::Result<()> {
        for mut running in std::mem::take(&mut self.draining) {
            running.ended(LIMIT).await.map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Puts a share in force.
    ///
    /// # Errors
    /// When the proxy does not take it.
    pub async fn share(&mut self, basis_points: u16) -> io::Result<()> {
        self.number += 1;
        self.share = basis_points;
        let generation = self.generation(self.number, basis_points);
        publish(&self.control(), &generation).await
    }

    /// A generation with the canary at a share.
    #[must_use]
    pub fn generation(&self, number: u64, basis_points: u16) -> Generation {
        generation(self.listen, self.versions, number, basis_points)
    }

    /// Numbers of generations below this are used up.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.number + 1
    }
}

/// Publishes as a controller does: again, until somebody in charge has answered.
///
/// # Errors
/// When nobody does for long, or the generation is refused.
pub async fn publish(control: &ControlClient, generation: &Generation) -> io::Result<()> {
    let published = wait_until("an answer to a change", LIMIT, async || {
        match control.publish(generation).await {
            Ok(_) => Some(Ok(())),
            Err(esclusa_proxy::client::ControlError::Refused(refusal)) => {
                Some(Err(io::Error::other(refusal.reason)))
            }
            Err(_) => None,
        }
    })
    .await;
    published.map_err(io::Error::other)?
}

/// One service with a stable version and a canary at a share.
///
/// # Panics
/// Never: the names in it are fixed and valid.
#[must_use]
#[expect(clippy::expect_used, reason = "the names are fixed and valid")]
pub fn generation(
    listen: SocketAddr,
    [stable, canary]: [SocketAddr; 2],
    number: u64,
    basis_points: u16,
) -> Generation {
    let digest = |name: &str| Digest::of(name.as_bytes());
    let upstream = |name: &str, address: SocketAddr| Upstream {
        digest: digest(name),
        name: VersionName::new(name).expect("a name"),
        instances: vec![Instance {
            id: InstanceId::new(name).expect("an id"),
            address: address.to_string(),
            host_header: None,
            tls: None,
            path_prefix: String::new(),
        }],
        parts: Vec::new(),
    };
    Generation {
        v: WIRE_VERSION,
        id: GenerationId {
            epoch: Epoch(1),
            number,
        },
        services: vec![ServiceRoute {
            service: ServiceName::new("shop").expect("a name"),
            listen: listen.to_string(),
            matches: RouteMatch::default(),
            sticky: vec![StickySource::Header("x-tenant".into())],
            cookie_key: "ab".repeat(32),
            upstreams: vec![upstream("stable", stable), upstream("canary", canary)],
            stable: digest("stable"),
            split: (basis_points > 0).then(|| SplitSpec {
                release: ReleaseId::new(SALT).expect("an id"),
                salt: Salt::new(SALT).expect("a salt"),
                canary: digest("canary"),
                share: BasisPoints::new(basis_points).unwrap_or(BasisPoints::FULL),
                segments: Vec::new(),
                population: Vec::new(),
                by_flag: None,
            }),
            lost_control: LostControl {
                after: Millis::from_secs(3_600),
                then: LostControlThen::Hold,
            },
            routes: Vec::new(),
            response_timeout: Millis::from_secs(60),
            max_body_bytes: 10_000_000,
            trusted_proxies: Vec::new(),
        }],
        journal: Vec::new(),
    }
}
