//! A segment: slices of one proxy, boot and service, as JSON packed with zlib.
//!
//! Version 1. zlib's checksum finds damage. A reader refuses other versions.

use crate::StoreError;
use crate::sqlite::{Connection, Row};
use crate::store::signed;
use esclusa_model::{BootId, ProxyId, ServiceName};
use esclusa_wire::StampedSlice;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use sqlx::Row as _;
use std::io::Read;

/// The shape of a segment's body.
const SEGMENT_VERSION: i64 = 1;

/// The most slices of one segment; reading one second unpacks no more than this.
pub(crate) const MAX_SEGMENT_SLICES: usize = 300;

/// What a body may unpack to. A damaged length must not take the machine's memory.
const MAX_UNPACKED_BYTES: u64 = 512 << 20;

/// Slices about to be stored as one row.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) proxy: &'a ProxyId,
    pub(crate) boot: &'a BootId,
    pub(crate) service: &'a ServiceName,
    /// In order of sequence, at least one.
    pub(crate) slices: &'a [StampedSlice],
}

/// Whether a segment was joined with its neighbours; each one is at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    AsReceived,
    Joined,
}

impl Joined {
    pub(crate) const fn column(self) -> i64 {
        match self {
            Self::AsReceived => 0,
            Self::Joined => 1,
        }
    }
}

impl Segment<'_> {
    /// Writes it as a row; gives the packed size in bytes.
    pub(crate) async fn insert(
        &self,
        connection: &mut Connection,
        joined: Joined,
    ) -> Result<u64, StoreError> {
        let Some(first) = self.slices.first() else {
            return Ok(0);
        };
        let seconds = || self.slices.iter().map(|slice| slice.slice.second);
        let body = pack(self.slices)?;
        let bytes = body.len() as u64;
        sqlx::query(
            "insert into segments (proxy, boot, service, first_sequence, from_second, \
             to_second, slices, bytes, v, joined, body) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(self.proxy.as_str())
        .bind(self.boot.as_str())
        .bind(self.service.as_str())
        .bind(signed(first.sequence, "the sequence")?)
        .bind(seconds().min())
        .bind(seconds().max())
        .bind(signed(self.slices.len() as u64, "the number of slices")?)
        .bind(signed(bytes, "the segment's size")?)
        .bind(SEGMENT_VERSION)
        .bind(joined.column())
        .bind(body)
        .execute(connection)
        .await?;
        Ok(bytes)
    }
}

fn pack(slices: &[StampedSlice]) -> Result<Vec<u8>, StoreError> {
    let failed = |_| StoreError::refused("a slice cannot be written as JSON");
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut encoder, slices).map_err(|e| failed(e.into()))?;
    encoder.finish().map_err(failed)
}

/// The slices in a row with `v` and `body`.
pub(crate) fn unpack(row: &Row) -> Result<Vec<StampedSlice>, StoreError> {
    let v: i64 = row.try_get("v")?;
    if v != SEGMENT_VERSION {
        return Err(StoreError::TooNew {
            what: "segment version",
            found: v,
            known: SEGMENT_VERSION,
        });
    }
    let damaged = || StoreError::corrupt("a segment of slices cannot be unpacked");
    let mut text = Vec::new();
    ZlibDecoder::new(row.try_get::<&[u8], _>("body")?)
        .take(MAX_UNPACKED_BYTES)
        .read_to_end(&mut text)
        .map_err(|_| damaged())?;
    serde_json::from_slice(&text).map_err(|_| damaged())
}
