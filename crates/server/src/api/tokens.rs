//! Tokens: give, list, take away.

use super::ApiState;
use super::answer::{Body, Named};
use crate::auth::TokenAsk;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use esclusa_model::Millis;
use esclusa_store::FlagGrant;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name, recorded with everything that it does.
    pub name: String,
    /// `viewer`, `approver`, `operator` or `admin`, and roles of plans in which it may sign
    /// off.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What it may ask for, when it is a token of flags: it has no roles then, and opens
    /// nothing but answers of flags at a proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<FlagScope>,
    /// Whose it is. Several tokens may be one person's, who counts once where a plan wants
    /// somebody else than who asked for a release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// After how many seconds it is worthless by itself; it lasts when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 316_224_000)]
    pub expires_in_s: Option<u64>,
}

/// What a token of flags may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagScope {
    /// Whom it is for.
    pub kind: FlagTokenFor,
    /// The environment it asks in.
    pub environment: String,
    /// The only project whose flags it sees; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Whether an answer that is a default has no value and no variant, as the protocol
    /// has it, in place of the off value.
    #[serde(default)]
    pub strict: bool,
}

/// Whom a token of flags is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlagTokenFor {
    /// A server: all flags.
    Server,
    /// Code in people's hands: only flags that browsers may read.
    Client,
}

impl FlagScope {
    fn of(grant: FlagGrant) -> Self {
        Self {
            kind: match grant.client {
                true => FlagTokenFor::Client,
                false => FlagTokenFor::Server,
            },
            environment: grant.environment,
            project: grant.project,
            strict: grant.strict,
        }
    }

    fn grant(self) -> FlagGrant {
        FlagGrant {
            client: self.kind == FlagTokenFor::Client,
            environment: self.environment,
            project: self.project,
            strict: self.strict,
        }
    }
}

/// A token just made. Its text is shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// Its name.
    pub name: String,
    /// The token itself; it is stored nowhere.
    pub token: String,
}

/// A token without its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub roles: Vec<String>,
    /// When it was made, microseconds since 1970.
    pub created_at_us: i64,
    /// When it was revoked; absent while it is live.
    pub revoked_at_us: Option<i64>,
    /// Whose it is, where that was said.
    #[serde(default)]
    pub person: Option<String>,
    /// From when on it is worthless by itself; absent for one that lasts.
    #[serde(default)]
    pub expires_at_us: Option<i64>,
    /// When it was used last, to the minute; absent for one that was not, or not since this
    /// is noted.
    #[serde(default)]
    pub last_used_at_us: Option<i64>,
    /// What it may ask for, when it is a token of flags. When it was used is not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<FlagScope>,
}

/// Makes a token
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses(
        (status = 201, body = CreatedToken),
        (status = 400, body = ApiError),
        (status = 409, description = "The name is taken", body = ApiError),
    )
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Body(asked): Body<CreateToken>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    if let Some(scope) = &asked.flags {
        let set = state.app.shared.flags.set()?;
        if !set.environments.contains(&scope.environment) {
            return Err(super::flags::no_environment(&set, &scope.environment));
        }
    }
    let of_flags = asked.flags.is_some();
    let ask = TokenAsk {
        name: asked.name,
        roles: asked.roles,
        person: asked.person,
        lasts: asked
            .expires_in_s
            .map(|seconds| Millis(seconds.saturating_mul(1_000))),
        flags: asked.flags.map(FlagScope::grant),
    };
    let token = state.auth.create(&ask).await?;
    if of_flags {
        publish(&state).await?;
    }
    let created = CreatedToken {
        name: ask.name,
        token: token.reveal().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Has proxies know the tokens that are good now. One that does not answer hears it as soon
/// as it does.
async fn publish(state: &ApiState) -> Result<(), ApiError> {
    let flags = &state.app.shared.flags;
    flags.tokens_changed().await?;
    if let Err(error) = flags.publish().await {
        tracing::warn!(%error, "The proxy does not know the change of tokens yet");
    }
    Ok(())
}

/// All tokens, revoked ones too
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, body = Vec<TokenView>))
)]
pub(super) async fn list(State(state): State<ApiState>) -> Result<Json<Vec<TokenView>>, ApiError> {
    let tokens = state.auth.list().await?;
    let view = tokens.into_iter().map(|token| TokenView {
        name: token.name.to_string(),
        roles: token.roles,
        created_at_us: token.created.0,
        revoked_at_us: token.revoked.map(|at| at.0),
        person: token.person,
        expires_at_us: token.expires.map(|at| at.0),
        last_used_at_us: token.used.map(|at| at.0),
        flags: token.flags.map(FlagScope::of),
    });
    Ok(Json(view.collect()))
}

/// Makes a token worthless
#[utoipa::path(
    delete, path = "/api/v1/tokens/{name}", tag = "tokens",
    params(("name" = String, Path, description = "The token's name")),
    responses((status = 204), (status = 404, body = ApiError))
)]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    Named(name): Named<String>,
) -> Result<StatusCode, ApiError> {
    state.auth.revoke(&name).await?;
    publish(&state).await?;
    Ok(StatusCode::NO_CONTENT)
}
