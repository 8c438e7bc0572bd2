//! Which version a request is for, and whom it belongs to.

use crate::choose::Asking;
use crate::flags::serves;
use crate::sign::SYNTHETIC_HEADER;
use crate::table::Service;
use crate::unit::{Unit, unit_of};
use esclusa_flags::Units;
use esclusa_model::Digest;
use esclusa_ofrep::FlagTable;
use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;

/// Which version, and for whom.
pub(super) struct Choice {
    /// Its place among the service's versions.
    pub(super) version: usize,
    pub(super) unit_hash: Option<u64>,
    pub(super) synthetic: bool,
    /// For a client that is given a unit.
    pub(super) set_cookie: Option<HeaderValue>,
}

/// Chooses by the request's generation, which `service` is part of.
///
/// A split by a flag asks that flag, of the revision in `flags`, for the unit and for whom
/// the service's guards know it to be of.
pub(super) fn choose(
    service: &Service,
    parts: &Parts,
    host: &str,
    flags: &FlagTable,
    units: Option<&Units<'_>>,
) -> Choice {
    if let Some(version) = synthetic_version(service, &parts.headers) {
        return Choice {
            version,
            unit_hash: None,
            synthetic: true,
            set_cookie: None,
        };
    }
    let unit = unit_of(
        &service.sources,
        &service.signer,
        &parts.headers,
        service.is_partial(),
    );
    let tenant = if let Unit::Header(id) = &unit {
        id.clone()
    } else {
        String::new()
    };
    let (id, set_cookie) = match unit {
        Unit::Header(id) | Unit::Cookie(id) => (Some(id), None),
        Unit::New { id, set_cookie } => (Some(id), HeaderValue::try_from(set_cookie).ok()),
        Unit::None => (None, None),
    };
    let version = match &service.split {
        None => service.stable,
        Some(active) => {
            // Without any source of units each request is its own.
            let own = (id.is_none() && service.sources.is_empty())
                .then(|| format!("{:032x}", rand::random::<u128>()));
            let unit = id.as_deref().or(own.as_deref()).unwrap_or("");
            let asking = Asking {
                parts,
                host,
                tenant: &tenant,
            };
            let to_canary = match &active.by_flag {
                Some(side) => serves(flags, side, id.as_deref(), units),
                None => active.split.to_canary(unit, asking),
            };
            if to_canary {
                active.canary
            } else {
                service.stable
            }
        }
    };
    let unit_hash = id.as_deref().map(esclusa_flags::unit_hash);
    Choice {
        version,
        unit_hash,
        synthetic: false,
        set_cookie,
    }
}

/// The version that esclusa's own request is for. A token that is not genuine, or names
/// a version that is not here, makes it an ordinary request.
fn synthetic_version(service: &Service, headers: &HeaderMap) -> Option<usize> {
    let token = headers.get(SYNTHETIC_HEADER)?.to_str().ok()?;
    let digest: Digest = service.signer.synthetic_target(token)?;
    service.version(&digest)
}
