//! The verbs of `release`.

mod ask;
mod checkout;
mod follow;
mod lines;
mod link;
mod look;
mod pick;
mod record;
mod report;
mod start;

use crate::args::{Global, ReleaseVerb};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(crate) use pick::path_part;

pub(crate) async fn run(
    verb: ReleaseVerb,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let client = Client::new(global)?;
    match verb {
        ReleaseVerb::Start(asked) => start::start(&client, asked, output).await,
        ReleaseVerb::Watch(asked) => follow::watch(&client, &asked, output).await,
        ReleaseVerb::Status(which) => look::status(&client, &which, output).await,
        ReleaseVerb::History(asked) => look::history(&client, &asked, output).await,
        ReleaseVerb::CanReturn(of) => look::can_return(&client, &of, output).await,
        ReleaseVerb::Report(asked) => report::report(&client, &asked, output).await,
        ReleaseVerb::Record(asked) => record::record(&client, &asked, output).await,
        ReleaseVerb::Pause(asked) => ask::because(&client, &asked, "pause", output).await,
        ReleaseVerb::Resume(asked) => ask::because(&client, &asked, "resume", output).await,
        ReleaseVerb::Promote(asked) => ask::because(&client, &asked, "promote", output).await,
        ReleaseVerb::Skip(asked) => ask::because(&client, &asked, "skip", output).await,
        ReleaseVerb::Abort(asked) => ask::because(&client, &asked, "abort", output).await,
        ReleaseVerb::Rollback(asked) => ask::because(&client, &asked, "rollback", output).await,
        ReleaseVerb::SignOff(asked) => ask::sign_off(&client, asked, output).await,
        ReleaseVerb::Link { verb } => link::link(&client, verb, output).await,
    }
}
