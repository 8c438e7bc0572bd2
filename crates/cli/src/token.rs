//! `token create | list | revoke`.

use crate::args::{Global, TokenVerb};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::release::path_part;
use crate::table::table;
use esclusa_model::Timestamp;
use esclusa_server::body::{CreateToken, CreatedToken, TokenView};
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
            person,
            expires,
        } => {
            let asked = CreateToken {
                name,
                roles,
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
                            token.roles.join(","),
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
