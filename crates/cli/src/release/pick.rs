//! Which release or service is meant when it is not named.

use crate::args::{OfService, Which};
use crate::client::Client;
use crate::exit::Failure;
use esclusa_server::ServiceView;

/// The release that is named, or the running or last one of the service that is meant.
pub(super) async fn release(client: &Client, which: &Which) -> Result<String, Failure> {
    if let Some(named) = &which.release {
        return Ok(named.clone());
    }
    let service = service(client, &which.of).await?;
    service
        .release
        .map(|release| release.release)
        .ok_or_else(|| {
            Failure::input(
                "ESC-0503",
                format!("service {} has no release yet", service.service),
                "start one: `esclusa release start --version ...`",
            )
        })
}

/// The service that is named, or the only one.
pub(super) async fn service(client: &Client, of: &OfService) -> Result<ServiceView, Failure> {
    match &of.service {
        Some(name) => {
            client
                .get(&format!("/api/v1/services/{}", path_part(name)))
                .await
        }
        None => only(client.get("/api/v1/services").await?),
    }
}

fn only(mut services: Vec<ServiceView>) -> Result<ServiceView, Failure> {
    match services.len() {
        0 => Err(Failure::input(
            "ESC-0503",
            "no service is known yet",
            "start its first release: `esclusa release start --version ...`",
        )),
        1 => Ok(services.remove(0)),
        n => {
            let names: Vec<String> = services
                .into_iter()
                .map(|service| service.service)
                .collect();
            Err(Failure::input(
                "ESC-0503",
                format!("there are {n} services: {}", names.join(", ")),
                "say which one with --service, or name the release",
            ))
        }
    }
}

/// A word as one part of an address: whatever is no plain character is quoted, so that
/// a name with a slash names nothing else.
pub(crate) fn path_part(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            out.push(char::from(byte));
        } else if byte == b'.' && word.bytes().any(|b| b != b'.') {
            out.push('.');
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_part_of_the_address() {
        assert_eq!(path_part("0191-a.b_c"), "0191-a.b_c");
        assert_eq!(path_part("a/../b?x"), "a%2F..%2Fb%3Fx");
        assert_eq!(path_part(".."), "%2E%2E");
        assert_eq!(path_part("é"), "%C3%A9");
    }

    #[test]
    fn several_services_must_be_told_apart() {
        let view = |name: &str| -> ServiceView {
            serde_json::from_value(serde_json::json!({
                "service": name, "stable": null, "warm": null, "can_return": false,
                "cannot_return_because": null, "release": null, "queue": [], "traffic": [],
                "traffic_second": null
            }))
            .expect("a view")
        };
        assert_eq!(
            only(vec![view("shop")]).expect("the only one").service,
            "shop"
        );
        let two = only(vec![view("shop"), view("blog")]).expect_err("which");
        assert!(two.error.message.contains("shop, blog"));
        assert!(only(Vec::new()).is_err());
    }
}
