//! `tcp`: a port accepts a connection.
//!
//! Refused is a failure; what cannot be reached or resolved is unknown.

use super::{Adapter, Answer, Check, CheckContext};
use crate::fields::{entry, read, required};
use crate::template::fill;
use async_trait::async_trait;
use esclusa_model::CheckResult;
use esclusa_plan::{Capability, DriverEntry, FieldKind};
use serde::Deserialize;
use std::io::ErrorKind;
use std::sync::Arc;
use tokio::net::TcpStream;

const NAME: &str = "tcp";
pub(super) const ADAPTER: Adapter = Adapter {
    entry: describe,
    build: |config| Ok(Arc::new(read::<Tcp>(NAME, config)?)),
};

fn describe() -> DriverEntry {
    entry(
        NAME,
        "A port accepts a connection.",
        vec![required(
            "address",
            FieldKind::Template,
            "Host and port, such as db.internal:5432.",
        )],
        &[Capability::Early],
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Tcp {
    address: String,
}

#[async_trait]
impl Check for Tcp {
    async fn ask(&self, context: &CheckContext) -> CheckResult {
        self.answer(context).await.now()
    }
}

impl Tcp {
    async fn answer(&self, context: &CheckContext) -> Answer {
        let address = match fill(&self.address, &context.placeholders) {
            Ok(address) => address,
            Err(e) => return e.into(),
        };
        let limit = context.timeout;
        match tokio::time::timeout(limit.as_std(), TcpStream::connect(&address)).await {
            Ok(Ok(_)) => Answer::pass(format!("{address} accepts a connection")),
            Ok(Err(e)) if e.kind() == ErrorKind::ConnectionRefused => {
                Answer::fail(format!("{address} refuses connections"))
            }
            Ok(Err(e)) => Answer::unknown(format!("{address}: {e}")),
            Err(_) => Answer::unknown(format!("{address}: no answer within {limit}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_and_the_block_agree() {
        crate::fields::samples::agrees::<Tcp>(&describe());
    }
}
