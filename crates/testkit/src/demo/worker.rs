//! A worker or singleton without HTTP: while it may act, it writes a line every so
//! often. It starts on the track it is told and obeys changes: its track file is read
//! again on SIGUSR1 or SIGHUP.

use super::singleton::{ActiveMarker, append};
use esclusa_model::Track;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Which kind of component it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerKind {
    /// Any number may act at once.
    Worker,
    /// Exactly one may act.
    Singleton,
}

/// A demo worker.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Which kind it is.
    pub kind: WorkerKind,
    /// What it calls itself.
    pub version: String,
    /// Where it writes `tick <pid> <version> <track>`, and `track` for each change.
    pub ticks: PathBuf,
    /// Where active singletons leave their markers.
    pub active_dir: PathBuf,
    /// The track it starts on.
    pub track: Track,
    /// Where a changed track is read from.
    pub track_file: Option<PathBuf>,
    /// How often it acts.
    pub every: Duration,
}

/// Why a worker ended early.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A file could not be read or written.
    #[error("cannot use a file: {0}")]
    File(#[from] io::Error),
    /// The track file holds something else.
    #[error("{0:?} is no track: use stable, canary or standby")]
    Track(String),
}

/// Runs until SIGTERM or SIGINT; then it stops acting and returns.
///
/// # Errors
/// When a file fails or names no track: it stops acting rather than guess.
pub async fn run_worker(config: WorkerConfig) -> Result<(), WorkerError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut changed = signal(SignalKind::user_defined1())?;
    let mut reload = signal(SignalKind::hangup())?;
    let mut ticks = tokio::time::interval(config.every);
    let mut worker = Worker {
        pid: std::process::id(),
        track: config.track,
        marker: None,
        config,
    };
    worker.enter(worker.config.track)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = changed.recv() => worker.read_track()?,
            _ = reload.recv() => worker.read_track()?,
            _ = ticks.tick() => worker.tick()?,
        }
    }
}

struct Worker {
    config: WorkerConfig,
    pid: u32,
    track: Track,
    marker: Option<ActiveMarker>,
}

impl Worker {
    fn read_track(&mut self) -> Result<(), WorkerError> {
        if let Some(file) = &self.config.track_file {
            let track = parse_track(&std::fs::read_to_string(file)?)?;
            self.enter(track)?;
        }
        Ok(())
    }

    /// Quiesces before it says so, and says so before it begins to act.
    fn enter(&mut self, track: Track) -> Result<(), WorkerError> {
        self.track = track;
        let acts = track != Track::Standby;
        if !acts {
            self.marker = None;
        }
        self.say("track")?;
        if acts && self.marker.is_none() && self.config.kind == WorkerKind::Singleton {
            self.marker = Some(ActiveMarker::take(&self.config.active_dir, self.pid)?);
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), WorkerError> {
        if self.track == Track::Standby {
            return Ok(());
        }
        if let Some(marker) = &mut self.marker {
            marker.look()?;
        }
        self.say("tick")
    }

    fn say(&self, what: &str) -> Result<(), WorkerError> {
        let (pid, version, track) = (self.pid, &self.config.version, self.track);
        append(
            &self.config.ticks,
            &format!("{what} {pid} {version} {track}\n"),
        )?;
        Ok(())
    }
}

/// The track that a file or variable names.
pub(crate) fn parse_track(text: &str) -> Result<Track, WorkerError> {
    let text = text.trim();
    [Track::Stable, Track::Canary, Track::Standby]
        .into_iter()
        .find(|track| track.as_str() == text)
        .ok_or_else(|| WorkerError::Track(text.to_owned()))
}

impl WorkerConfig {
    /// The track named by `text`, as in `ESCLUSA_TRACK`.
    ///
    /// # Errors
    /// [`WorkerError::Track`] when it names none.
    pub fn track_named(text: &str) -> Result<Track, WorkerError> {
        parse_track(text)
    }
}
