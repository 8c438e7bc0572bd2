//! Tokens that show testers a variant before anybody else has it.

use super::args::Tester;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use esclusa_model::Timestamp;
use esclusa_server::body::{GrantTester, GrantedView};
use esclusa_server::report::rfc3339;
use std::collections::BTreeMap;

fn variants(shown: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut variants = BTreeMap::new();
    for pair in shown {
        let parts = pair
            .split_once('=')
            .filter(|(f, v)| !f.is_empty() && !v.is_empty());
        let (flag, variant) = parts.ok_or_else(|| {
            let help = "write it like --show exec-reports=on";
            Failure::input("ESC-0408", format!("{pair:?} names no variant"), help)
        })?;
        if let Some(other) = variants.insert(flag.to_owned(), variant.to_owned()) {
            let message = format!("{flag} is to be {other} and {variant} at once");
            let help = "name each flag once, with the variant that the token shows";
            return Err(Failure::input("ESC-0408", message, help));
        }
    }
    Ok(variants)
}

pub(super) async fn run(client: &Client, asked: Tester, output: &Output) -> Result<Exit, Failure> {
    let body = GrantTester {
        variants: variants(&asked.show)?,
        who: asked.who,
        environment: asked.at.environment,
        for_s: asked.for_.0 / 1_000,
        reason: asked.reason,
    };
    let given: GrantedView = client.post("/api/v1/flag-set/testers", &body).await?;
    if !output.json(&given) {
        output.line(&given.token);
        let (name, until) = (&given.name, rfc3339(Timestamp(given.until_us)));
        output.say(&format!(
            "send it as the header, the cookie or the value of the context {name}; it counts \
             until {until} and is not shown again"
        ));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    // ROL-08: nothing that is asked for is left out in silence.
    #[test]
    fn a_flag_is_shown_in_one_variant() {
        let asked = |pairs: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
            variants(&pairs)
        };
        let two = asked(&["a=on", "b=off"]).expect("two flags");
        assert_eq!(two.len(), 2);
        for pairs in [&["a=on", "a=off"][..], &["a=on", "a=on"], &["a"], &["a="]] {
            let refused = asked(pairs).expect_err("refused");
            assert_eq!(refused.error.code, "ESC-0408", "{pairs:?}");
        }
    }
}
