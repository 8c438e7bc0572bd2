//! One request's account: opened when its version is chosen, closed exactly once.
//!
//! Dropping it closes it. A ticket dropped while it waits for a head means that the
//! client went away, so nothing can leave the proxy uncounted.

use super::body::Upload;
use crate::count::cutter::this_second;
use crate::count::shard::{CellKey, Finished, Shard};
use crate::registry::{Key, VersionLoad};
use crate::table::Target;
use esclusa_judge::EventClass;
use http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For a head of the version.
    Waiting,
    /// Decided; counted when the response is complete.
    Answered,
    /// Nothing is left to count.
    Closed,
}

/// One request's account.
#[derive(Debug)]
pub(crate) struct Ticket {
    shard: Arc<Shard>,
    key: CellKey,
    unit: Option<u64>,
    arrived: Instant,
    latency_us: u64,
    slot: usize,
    phase: Phase,
    class: Option<EventClass>,
    version: Arc<VersionLoad>,
    target: Option<Arc<Target>>,
    upload: Option<Arc<Upload>>,
}

impl Ticket {
    /// Opens the account of a request that `version` is meant to answer.
    pub(crate) fn open(
        shard: Arc<Shard>,
        key: CellKey,
        unit: Option<u64>,
        arrived: Instant,
        version: Arc<VersionLoad>,
    ) -> Self {
        version.in_flight.fetch_add(1, Ordering::Relaxed);
        let slot = shard.wait(key, arrived);
        Self {
            shard,
            key,
            unit,
            arrived,
            latency_us: 0,
            slot,
            phase: Phase::Waiting,
            class: None,
            version,
            target: None,
            upload: None,
        }
    }

    /// Watches the request's body, to tell who broke what off.
    pub(crate) fn watch(&mut self, upload: Arc<Upload>) {
        self.upload = Some(upload);
    }

    /// The instance that is asked now.
    pub(crate) fn asks(&mut self, target: &Arc<Target>) {
        self.leave_instance();
        target.load.in_flight.fetch_add(1, Ordering::Relaxed);
        self.key.instance = Some(target.key);
        self.shard.moved(self.slot, Some(target.key));
        self.target = Some(Arc::clone(target));
    }

    fn leave_instance(&mut self) {
        if let Some(old) = self.target.take() {
            old.load.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn decide(&mut self, class: Option<EventClass>) {
        if self.phase == Phase::Waiting {
            self.shard.waited(self.slot);
            self.latency_us = u64::try_from(self.arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.phase = Phase::Answered;
            self.class = class;
        }
    }

    /// The version's head has arrived. `served` is its number.
    pub(crate) fn answered(&mut self, served: Key, status: StatusCode, grpc: Option<bool>) {
        self.key.served = Some(served);
        let class = if status.is_server_error() {
            Some(EventClass::ServerError)
        } else if status.is_client_error() {
            Some(EventClass::ClientError)
        } else if grpc == Some(false) {
            Some(EventClass::GrpcStatus)
        } else {
            None
        };
        self.decide(class);
    }

    /// The version itself says that a feature is off: no failure of anybody.
    pub(crate) fn feature_is_off(&mut self, served: Key) {
        self.key.served = Some(served);
        self.decide(Some(EventClass::FeatureDisabled));
    }

    /// The version's trailers say how a call ended.
    pub(crate) fn grpc_ended(&mut self, ok: bool) {
        if !ok && self.class.is_none() {
            self.class = Some(EventClass::GrpcStatus);
        }
    }

    /// The version broke its answer off.
    pub(crate) fn cut_off(&mut self) {
        if !self.class.is_some_and(EventClass::is_failure) {
            self.class = Some(EventClass::Reset);
        }
    }

    /// The version gave no answer.
    pub(crate) fn failed(&mut self, class: EventClass) {
        self.decide(Some(class));
    }

    /// The client broke its request; no version is charged.
    pub(crate) fn client_fault(&mut self) {
        self.shard.waited(self.slot);
        self.shard
            .client_fault(this_second(), Some(self.key.service));
        self.phase = Phase::Closed;
    }

    /// The proxy gave the request up; no version is charged.
    pub(crate) fn proxy_fault(&mut self) {
        self.shard.waited(self.slot);
        self.shard
            .proxy_fault(this_second(), Some(self.key.service));
        self.phase = Phase::Closed;
    }

    /// Puts a tunnel on the version's account in place of the request.
    pub(crate) fn into_tunnel(self) -> TunnelTicket {
        let version = Arc::clone(&self.version);
        version.tunnels.fetch_add(1, Ordering::Relaxed);
        let target = self.target.clone();
        if let Some(target) = &target {
            target.load.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        TunnelTicket { version, target }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.phase == Phase::Waiting {
            if self.shard.is_ending() {
                self.proxy_fault();
            } else if self.upload.as_ref().is_some_and(|u| !u.is_complete()) {
                self.client_fault();
            } else {
                self.decide(Some(EventClass::Cancelled));
            }
        }
        if self.phase == Phase::Answered {
            let (class, latency_us, unit) = (self.class, self.latency_us, self.unit);
            let done = Finished {
                key: self.key,
                class,
                latency_us,
                unit,
            };
            self.shard.finish(this_second(), done);
        }
        self.leave_instance();
        self.version.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An upgraded connection on a version's account.
#[derive(Debug)]
pub(crate) struct TunnelTicket {
    version: Arc<VersionLoad>,
    /// Keeps the instance's load: a tunnel is work too.
    target: Option<Arc<Target>>,
}

impl TunnelTicket {
    /// Becomes true when the version is taken back from its users.
    pub(crate) fn recalled(&self) -> watch::Receiver<bool> {
        self.version.recalled.subscribe()
    }
}

impl Drop for TunnelTicket {
    fn drop(&mut self) {
        self.version.tunnels.fetch_sub(1, Ordering::Relaxed);
        if let Some(target) = &self.target {
            target.load.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
