//! Guards that do not do what they seem to: nothing else would say so before somebody is let in,
//! or kept out.

use crate::app::App;
use esclusa_flags::FlagSet;
use esclusa_wire::FlagStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is wrong with a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuardTroubleKind {
    /// Its service is not known: the proxy asks it about no request.
    UnknownService,
    /// What verifies its claims cannot be read: claims name nobody to it.
    UnreadableKey,
}

/// A guard that does not do what it seems to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GuardTroubleView {
    /// The guard.
    pub guard: String,
    /// The service that it names, if it names one.
    #[serde(default)]
    pub service: Option<String>,
    /// What is wrong.
    pub kind: GuardTroubleKind,
    /// The same for people.
    pub trouble: String,
}

/// The guards of a set whose service is not known, and those whose key the proxy cannot read.
pub(super) fn troubles(
    app: &App,
    set: &FlagSet,
    proxy: Option<&FlagStatus>,
) -> Vec<GuardTroubleView> {
    let known = app.service_names();
    let mut found = Vec::new();
    for (guard, definition) in &set.guards {
        let trouble = |kind, trouble| GuardTroubleView {
            guard: guard.clone(),
            service: definition.service.clone(),
            kind,
            trouble,
        };
        if let Some(service) = &definition.service
            && !known.iter().any(|name| name.as_str() == service)
        {
            let names: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
            let names = match names.is_empty() {
                true => "none is known yet".to_owned(),
                false => format!("known are {}", names.join(", ")),
            };
            let message =
                format!("no service {service} is known ({names}): at the proxy it guards nothing");
            found.push(trouble(GuardTroubleKind::UnknownService, message));
        }
        let keyless = proxy.and_then(|proxy| proxy.keyless.iter().find(|k| k.guard == *guard));
        if let Some(keyless) = keyless {
            let message = format!(
                "its key cannot be read, so that claims name nobody: {}",
                keyless.trouble
            );
            found.push(trouble(GuardTroubleKind::UnreadableKey, message));
        }
    }
    found
}
