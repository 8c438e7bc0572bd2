//! `token create | list | revoke`.

use crate::args::{Global, TokenVerb};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::flag::args::TokenFor;
use crate::output::Output;
use crate::release::path_part;
use crate::table::table;
use esclusa_model::Timestamp;
use esclusa_server::body::{CreateToken, CreatedToken, FlagScope, FlagTokenFor, TokenView};
use esclusa_server::report::rfc3339;

pub(crate) async fn run(
    verb: TokenVerb,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let client = Client::new(global)?;
    match verb {
        TokenVerb::Create {
            name,
            roles,
            flags,
            environment,
            project,
            strict,
            person,
            expires,
        } => {
            let flags = flags.map(|whom| FlagScope {
                kind: match whom {
                    TokenFor::Server => FlagTokenFor::Server,
                    TokenFor::Client => FlagTokenFor::Client,
                },
                environment: environment.unwrap_or_default(),
                project,
                strict,
            });
            let asked = CreateToken {
                name,
                roles,
                flags,
                person,
                expires_in_s: expires.map(esclusa_model::Millis::as_secs),
            };
            let made: CreatedToken = client.post("/api/v1/tokens", &asked).await?;
            if !output.json(&made) {
                output.line(&made.token);
                output.say(
                    "this is the only time the token is shown; keep it where secrets are kept",
                );
            }
        }
        TokenVerb::List => {
            let tokens: Vec<TokenView> = client.get("/api/v1/tokens").await?;
            if !output.json(&tokens) {
                let time = |at: i64| rfc3339(Timestamp(at));
                let rows: Vec<Vec<String>> = tokens
                    .iter()
                    .map(|token| {
                        vec![
                            token.name.clone(),
                            what(token),
                            token.person.clone().unwrap_or_default(),
                            time(token.created_at_us),
                            token.last_used_at_us.map_or_else(String::new, time),
                            token.expires_at_us.map_or_else(String::new, time),
                            token.revoked_at_us.map_or_else(String::new, time),
                        ]
                    })
                    .collect();
                let head = [
                    "NAME",
                    "ROLES",
                    "PERSON",
                    "CREATED",
                    "LAST USED",
                    "EXPIRES",
                    "REVOKED",
                ];
                for line in table(&head, &rows) {
                    output.line(&line);
                }
            }
        }
        TokenVerb::Revoke { name } => {
            client
                .delete(&format!("/api/v1/tokens/{}", path_part(&name)))
                .await?;
            output.say(&format!("{name} is worthless from now on"));
        }
    }
    Ok(Exit::Done)
}

/// What a token may do.
fn what(token: &TokenView) -> String {
    let Some(flags) = &token.flags else {
        return token.roles.join(",");
    };
    let whom = match flags.kind {
        FlagTokenFor::Server => "server",
        FlagTokenFor::Client => "client",
    };
    let project = flags.project.as_ref();
    let project = project.map_or_else(String::new, |name| format!(" of {name}"));
    let strict = if flags.strict { ", strict" } else { "" };
    format!(
        "flags for a {whom} in {}{project}{strict}",
        flags.environment
    )
}
