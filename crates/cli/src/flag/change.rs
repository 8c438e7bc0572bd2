//! Changing what one flag serves.

use super::args::{At, Delete, Set, Switch, Unset};
use super::say_changed;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone};
use crate::release::path_part;
use crate::table::one_line;
use esclusa_flags::Change;
use esclusa_model::BasisPoints;
use esclusa_server::body::{ChangeFlags, ChangedView, DeleteFlag, FlagView, WhoView};
use serde_json::{Value, json};

pub(super) async fn set(client: &Client, asked: &Set, output: &Output) -> Result<Exit, Failure> {
    let found = flag(client, &asked.key).await?;
    let everybody = asked.tenant.is_none() && asked.user.is_none() && asked.share.is_none();
    let here = place(&found, &asked.at, everybody)?;
    let mut at: Vec<&str> = here.iter().map(String::as_str).collect();
    let after = match (&asked.tenant, &asked.user, asked.share) {
        (Some(id), _, _) => {
            at.extend(["tenants", id]);
            json!(asked.variant)
        }
        (_, Some(id), _) => {
            at.extend(["users", id]);
            json!(asked.variant)
        }
        (_, _, Some(share)) => {
            at.push("rules");
            let rules = look(&found.definition, &at);
            let of = asked.of.as_deref();
            json!(shared(rules, &asked.variant, share, of))
        }
        _ => {
            at.push("default");
            json!(asked.variant)
        }
    };
    let change = field(&found, &at, Some(after));
    make(client, &found, change, &asked.reason, output).await?;
    say_if_unknown(client, asked, output).await;
    if everybody {
        say_what_comes_first(&found, &here, output);
    }
    Ok(Exit::Done)
}

pub(super) async fn unset(
    client: &Client,
    asked: &Unset,
    output: &Output,
) -> Result<Exit, Failure> {
    let found = flag(client, &asked.key).await?;
    let here = place(&found, &asked.at, asked.default)?;
    let mut at: Vec<&str> = here.iter().map(String::as_str).collect();
    match (&asked.tenant, &asked.user) {
        (Some(id), _) => at.extend(["tenants", id]),
        (_, Some(id)) => at.extend(["users", id]),
        _ => at.push("default"),
    }
    let change = field(&found, &at, None);
    make(client, &found, change, &asked.reason, output).await
}

/// Disables a flag in one environment, or enables it again.
pub(super) async fn switch(
    client: &Client,
    asked: &Switch,
    on: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let found = flag(client, &asked.key).await?;
    let here = place(&found, &asked.at, false)?;
    let mut at: Vec<&str> = here.iter().map(String::as_str).collect();
    at.push("state");
    // What is not said is enabled.
    let change = field(&found, &at, (!on).then(|| json!("disabled")));
    make(client, &found, change, &asked.reason, output).await
}

pub(super) async fn delete(
    client: &Client,
    asked: &Delete,
    output: &Output,
) -> Result<Exit, Failure> {
    let path = format!("/api/v1/flags/{}/delete", path_part(&asked.key));
    let body = DeleteFlag {
        reason: asked.reason.clone(),
    };
    let done: ChangedView = client.post(&path, &body).await?;
    say_changed(&done, output);
    Ok(Exit::Done)
}

async fn flag(client: &Client, key: &str) -> Result<FlagView, Failure> {
    let path = format!("/api/v1/flags/{}", path_part(key));
    client.get(&path).await
}

/// Makes a change of one field, if it is one.
async fn make(
    client: &Client,
    found: &FlagView,
    change: Option<Change>,
    reason: &str,
    output: &Output,
) -> Result<Exit, Failure> {
    let body = ChangeFlags {
        revision: found.revision,
        changes: change.into_iter().collect(),
        reason: reason.to_owned(),
    };
    let done: ChangedView = client.patch("/api/v1/flag-set", &body).await?;
    say_changed(&done, output);
    Ok(Exit::Done)
}

/// Where the settings stand that are meant: in an environment, or where there is none and
/// everybody is meant, the flag itself.
fn place(found: &FlagView, at: &At, everybody: bool) -> Result<Vec<String>, Failure> {
    let known: Vec<&String> = found.flag.environments.keys().collect();
    let within = |name: &str| vec!["environments".to_owned(), name.to_owned()];
    match (&at.environment, known.as_slice()) {
        (Some(name), _) => Ok(within(name)),
        (None, [only]) => Ok(within(only)),
        (None, []) if everybody => Ok(Vec::new()),
        (None, []) => Err(Failure::input(
            "ESC-0743",
            "no environment is declared, so nobody can be told apart in one",
            "declare one with `esclusa flag apply`: {\"environments\": [\"production\"]}",
        )),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(Failure::input(
                "ESC-0743",
                "there are several environments of flags, and none is named",
                format!("name one with --environment: {}", names.join(", ")),
            ))
        }
    }
}

/// A tenant that the directory does not have is most likely misspelt. What cannot be found out
/// is left: the change is made.
async fn say_if_unknown(client: &Client, asked: &Set, output: &Output) {
    let Some(id) = &asked.tenant else { return };
    let environment = asked.at.environment.as_deref();
    let query = environment.map_or_else(String::new, |name| {
        format!("?environment={}", path_part(name))
    });
    let path = format!("/api/v1/flags/{}/who{query}", path_part(&asked.key));
    let Ok(found) = client.get::<WhoView>(&path).await else {
        return;
    };
    let known = || found.variants.iter().flat_map(|one| &one.tenants);
    if known().next().is_none() || known().any(|known| known == id) {
        return;
    }
    let meant = esclusa_flags::nearest(id, known().map(String::as_str));
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    let word = output.talk_colour.paint(Tone::Warn, "warning");
    let id = one_line(id);
    output.say(&format!("{word}: the directory has no tenant {id}{meant}"));
}

fn say_what_comes_first(found: &FlagView, here: &[String], output: &Output) {
    let settings = here
        .last()
        .and_then(|name| found.flag.environments.get(name));
    if let Some(settings) = settings {
        let first = settings.rules + settings.users + settings.tenants;
        if first > 0 {
            output.say(&format!(
                "its {first} rules and overrides decide before that; see `esclusa flag get`"
            ));
        }
        if !settings.enabled {
            output.say("it is disabled there: everybody gets its off variant");
        }
    }
    if found.flag.killed {
        output.say("it is killed: everybody gets its off variant");
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn look<'v>(value: &'v Value, at: &[&str]) -> Option<&'v Value> {
    at.iter().try_fold(value, |value, key| value.get(key))
}

/// The change of one field of a flag. None when the field is that already.
fn field(found: &FlagView, at: &[&str], after: Option<Value>) -> Option<Change> {
    let before = look(&found.definition, at).cloned();
    let steps = ["flags", &found.flag.key]
        .into_iter()
        .chain(at.iter().copied());
    let path: String = steps.map(|step| format!("/{}", escaped(step))).collect();
    (before != after).then_some(Change {
        path,
        before,
        after,
    })
}

/// The rules with this share of the units in place of an earlier one, at the end.
fn shared(
    rules: Option<&Value>,
    variant: &str,
    share: BasisPoints,
    of: Option<&str>,
) -> Vec<Value> {
    let known = rules.and_then(Value::as_array).cloned();
    let mut rules = known.unwrap_or_default();
    let ours = |rule: &Value| {
        rule.get("share")
            .is_some_and(|share| share.get("of").and_then(Value::as_str) == of)
            && rule.get("when").is_none()
            && rule.get("segment").is_none()
            && rule["variant"] == variant
    };
    let earlier = rules.iter().find(|rule| ours(rule)).cloned();
    rules.retain(|rule| !ours(rule));
    if share > BasisPoints::ZERO {
        // Its name and salt stay: whoever was in the smaller share is in the larger.
        let mut rule = earlier.unwrap_or_else(|| json!({ "share": {}, "variant": variant }));
        rule["share"]["basis-points"] = json!(share.get());
        if let Some(of) = of {
            rule["share"]["of"] = json!(of);
        }
        rules.push(rule);
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_the_place_of_its_earlier_one() {
        let share = |points| BasisPoints::new(points).expect("a share");
        let rules = json!([
            { "segment": "team", "variant": "on" },
            { "name": "ring", "share": { "basis-points": 500, "of": "tenant", "salt": "s" }, "variant": "on" },
        ]);
        let wider = shared(Some(&rules), "on", share(2_500), Some("tenant"));
        assert_eq!(
            json!(wider),
            json!([
                { "segment": "team", "variant": "on" },
                { "name": "ring", "share": { "basis-points": 2500, "of": "tenant", "salt": "s" }, "variant": "on" },
            ])
        );
        assert_eq!(
            shared(Some(&rules), "on", share(0), Some("tenant")).len(),
            1
        );
        // Another unit is another share.
        assert_eq!(shared(Some(&rules), "on", share(100), None).len(), 3);
    }
}
