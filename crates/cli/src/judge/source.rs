//! Where a recording comes from: a file, standard input, or a server's store.

use crate::args::Global;
use crate::client::Client;
use crate::exit::Failure;
use crate::release::path_part;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line of a recording; longer ones are no recording.
const MAX_LINE_BYTES: usize = 16 << 20;

/// One recording.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A file; `-` is standard input.
    File(PathBuf),
    /// What a server stored of a release.
    Release(String),
    /// The traffic of a service's stable version in the last hours.
    Service(String, u16),
}

impl Source {
    /// For messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Release(id) => format!("release {id}"),
            Self::Service(name, hours) => format!("the last {hours} h of {name}"),
        }
    }

    /// A recording that is none, or that breaks off.
    pub(crate) fn bad(&self, why: impl std::fmt::Display) -> Failure {
        Failure::input(
            "ESC-0602",
            format!("{}: {why}", self.name()),
            "docs/judge.md says what a recording contains",
        )
    }

    /// Gives every line to `take`, first to last.
    pub(crate) fn each_line(
        &self,
        global: &Global,
        take: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), Failure> {
        let path = match self {
            Self::File(file) => return self.each_line_of(file, take),
            Self::Release(id) => format!("/api/v1/releases/{}/recording", path_part(id)),
            Self::Service(name, hours) => format!(
                "/api/v1/services/{}/recording?hours={hours}",
                path_part(name)
            ),
        };
        let mut lines = Lines {
            source: self,
            number: 0,
            rest: Vec::new(),
            take,
        };
        crate::one_thread()?.block_on(async {
            let client = Client::new(global)?;
            let mut body = client.body(&path).await?;
            while let Some(piece) = body.piece().await? {
                lines.feed(&piece)?;
            }
            lines.end()
        })
    }

    fn each_line_of(
        &self,
        file: &Path,
        take: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), Failure> {
        let mut reader = open(file).map_err(|error| self.bad(error))?;
        let mut lines = Lines {
            source: self,
            number: 0,
            rest: Vec::new(),
            take,
        };
        loop {
            let number = lines.number;
            let piece = reader
                .fill_buf()
                .map_err(|error| self.bad(format!("after line {number}: {error}")))?;
            let length = piece.len();
            if length == 0 {
                return lines.end();
            }
            lines.feed(piece)?;
            reader.consume(length);
        }
    }
}

/// Cuts pieces into lines.
struct Lines<'a, F> {
    source: &'a Source,
    number: usize,
    rest: Vec<u8>,
    take: F,
}

impl<F: FnMut(&str) -> Result<(), String>> Lines<'_, F> {
    fn feed(&mut self, mut piece: &[u8]) -> Result<(), Failure> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, later) = piece.split_at(end);
            piece = later.get(1..).unwrap_or_default();
            if self.rest.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole)?;
            }
        }
        self.rest.extend_from_slice(piece);
        if self.rest.len() > MAX_LINE_BYTES {
            let line = self.number + 1;
            return Err(self
                .source
                .bad(format!("line {line}: longer than {MAX_LINE_BYTES} bytes")));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return Ok(());
        }
        self.line(&rest)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.number += 1;
        let text = std::str::from_utf8(line)
            .map_err(|_| self.source.bad(format!("line {}: not UTF-8", self.number)))?;
        (self.take)(text).map_err(|why| self.source.bad(why))
    }
}

fn open(file: &Path) -> std::io::Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let raw = File::open(file)?;
    if file.extension().is_some_and(|ext| ext == "gz") {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(raw))));
    }
    let reader: Box<dyn Read> = Box::new(raw);
    Ok(Box::new(BufReader::new(reader)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines_wherever_they_were_cut() {
        let text = "one\ntwo\n\nlast";
        for cut in 0..text.len() {
            let source = Source::File("x".into());
            let mut seen = Vec::new();
            let mut lines = Lines {
                source: &source,
                number: 0,
                rest: Vec::new(),
                take: |line: &str| {
                    seen.push(line.to_owned());
                    Ok(())
                },
            };
            let (a, b) = text.as_bytes().split_at(cut);
            lines.feed(a).expect("fed");
            lines.feed(b).expect("fed");
            lines.end().expect("ended");
            assert_eq!(seen, ["one", "two", "", "last"], "{cut}");
        }
    }
}
