//! How long is waited for whom, and whose fault it is when nothing comes.

use super::body::{Progress, Upload};
use super::reply::Reply;
use super::ticket::Ticket;
use crate::upstream::send::SendError;
use esclusa_judge::EventClass;
use std::time::{Duration, Instant};

/// How a request ended without an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    Send(SendError),
    Timeout,
    SlowClient,
}

/// How long a request waits for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the version's head.
    pub(super) response: Duration,
    /// For the client's next bytes.
    pub(super) body: Duration,
    pub(super) arrived: Instant,
}

impl Patience {
    /// Waits for `answer`. The version's time begins when it has the whole request; time
    /// that a client takes to send it is not the version's.
    pub(super) async fn on<T>(
        self,
        answer: impl Future<Output = Result<T, SendError>>,
        upload: Option<&Upload>,
    ) -> Result<T, Failure> {
        let mut answer = std::pin::pin!(answer);
        let first = if upload.is_some() {
            self.response.min(self.body)
        } else {
            self.response
        };
        let mut alarm = std::pin::pin!(tokio::time::sleep_until((self.arrived + first).into()));
        loop {
            tokio::select! {
                biased;
                result = &mut answer => return result.map_err(Failure::Send),
                () = &mut alarm => match self.next_alarm(upload) {
                    Ok(next) => alarm.as_mut().reset(next.into()),
                    Err(failure) => return Err(failure),
                },
            }
        }
    }

    fn next_alarm(&self, upload: Option<&Upload>) -> Result<Instant, Failure> {
        let (until, failure) = match upload.map(Upload::progress) {
            None => (self.arrived + self.response, Failure::Timeout),
            Some(Progress::Complete(since) | Progress::Version(since)) => {
                (since + self.response, Failure::Timeout)
            }
            Some(Progress::Client(since)) => (since + self.body, Failure::SlowClient),
        };
        if until > Instant::now() {
            Ok(until)
        } else {
            Err(failure)
        }
    }
}

impl Failure {
    /// Decides whose fault it is and says so.
    pub(super) fn settle(self, mut ticket: Ticket, upload: Option<&Upload>) -> Reply {
        if let Some(fault) = upload.and_then(Upload::fault) {
            ticket.client_fault();
            return Reply::upload(fault);
        }
        match self {
            Self::SlowClient => {
                ticket.client_fault();
                Reply::slow_client()
            }
            Self::Timeout => {
                ticket.failed(EventClass::Timeout);
                Reply::timeout(ticket)
            }
            Self::Send(SendError::NoInstance) => {
                ticket.failed(EventClass::Connect);
                Reply::unavailable(ticket)
            }
            Self::Send(SendError::Connect) => {
                ticket.failed(EventClass::Connect);
                Reply::bad_gateway("connection_refused", ticket)
            }
            Self::Send(SendError::Reset) => {
                ticket.failed(EventClass::Reset);
                Reply::bad_gateway("connection_terminated", ticket)
            }
        }
    }
}
