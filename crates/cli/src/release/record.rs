//! What a release was judged by, as a recording that can be judged again.

use super::pick;
use crate::args::Record;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

pub(super) async fn record(
    client: &Client,
    asked: &Record,
    output: &Output,
) -> Result<Exit, Failure> {
    let id = pick::release(client, &asked.which).await?;
    let path = format!("/api/v1/releases/{}/recording", pick::path_part(&id));
    let mut body = client.body(&path).await?;
    let out = asked.out.as_deref();
    let mut to: Box<dyn Write> = match out {
        Some(file) => Box::new(File::create(file).map_err(|error| unwritable(out, &error))?),
        None => Box::new(io::stdout()),
    };
    while let Some(piece) = body.piece().await? {
        match to.write_all(&piece) {
            Ok(()) => {}
            // Whoever read it has seen enough.
            Err(error) if out.is_none() && error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Done);
            }
            Err(error) => return Err(unwritable(out, &error)),
        }
    }
    to.flush().map_err(|error| unwritable(out, &error))?;
    if let Some(file) = out {
        output.say(&format!("written: {}", file.display()));
    }
    Ok(Exit::Done)
}

fn unwritable(file: Option<&Path>, error: &io::Error) -> Failure {
    let place = file.map_or_else(
        || "standard output".to_owned(),
        |file| file.display().to_string(),
    );
    Failure::input(
        "ESC-0512",
        format!("the recording cannot be written to {place}: {error}"),
        "name a file that can be written",
    )
}
