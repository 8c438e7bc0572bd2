//! Flags: one set a server, recorded as events, published to the data planes.
//!
//! Order: what turns something on is recorded first and published then. A kill is the
//! other way round: it acts at the data planes at once, whatever the store does, and is
//! recorded as soon as that can be. One task ([`writer`]) changes the record; one lock
//! orders what is published ([`plane`]); kills wait for neither.

mod for_releases;
mod history;
mod kill;
mod ledger;
mod live;
mod naming;
mod plane;
pub(crate) mod propagation;
mod sink;
mod standing;
mod startup;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use history::Entry;
pub(crate) use ledger::{FlagEvent, Ledger};
pub(crate) use naming::{hint as flag_hint, no_flag};
pub(crate) use plane::FlagContact;
pub(crate) use sink::run as run_sinks;
pub use sink::{NoSql, SinkView, SqlByHand, check as check_sinks, sink_by_hand};
pub use standing::StandingView;
pub(crate) use startup::{StartVariables, refused_variables};
pub(crate) use writer::Made;

use crate::clock;
use crate::dataplane::DataPlane;
use crate::error::{ApiError, ErrorKind};
use esclusa_flags::{FlagSet, Patch, Problem, ProblemCode};
use esclusa_model::{Actor, ServiceName};
use esclusa_store::Store;
use esclusa_wire::{FlagToken, TesterGrant, TesterKey};
use ledger::Granted;
use live::Live;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use writer::{Order, Writer};

/// Orders that wait for the store.
const WAITING: usize = 256;
/// The setting that holds the key of addresses of event streams.
const KEY: &str = "flags-key";

/// The flags of this server.
pub(crate) struct Flags {
    store: Store,
    dataplane: Arc<DataPlane>,
    orders: mpsc::Sender<Order>,
    /// As recorded.
    ledger: watch::Sender<Arc<Ledger>>,
    /// Why the record cannot be read, if it cannot. Nothing is published then: data planes
    /// go on with what they have.
    damaged: Option<ApiError>,
    live: Mutex<Live>,
    pushed: tokio::sync::Mutex<plane::Pushed>,
    contact: watch::Sender<FlagContact>,
    standing: watch::Receiver<standing::StandingBoard>,
    /// How long changes take to arrive.
    pub(crate) propagation: propagation::Propagation,
    /// Tables that follow.
    sinks: sink::Board,
    /// Something is to be published.
    wake: Notify,
    key: String,
}

impl Flags {
    /// Takes up what is recorded, and stays in touch with the data planes.
    ///
    /// # Errors
    /// When the store cannot be read. A record that is damaged is no error: see above.
    pub(crate) async fn start(
        store: Store,
        dataplane: Arc<DataPlane>,
        services: Vec<ServiceName>,
    ) -> Result<Arc<Self>, ApiError> {
        let (ledger, damaged) = match writer::read(&store).await {
            Ok(ledger) => (ledger, None),
            Err(error) if error.code == "ESC-0901" => {
                tracing::error!(%error, "Flags cannot be taken up: proxies keep what they have");
                (Ledger::default(), Some(error))
            }
            Err(error) => return Err(error),
        };
        let key = kept_secret(&store, KEY).await?;
        let mut live = Live::new(ledger.kills.clone(), tokens(&store).await?);
        live.wait_for(services);
        let (orders, asked) = mpsc::channel(WAITING);
        let (board, standing) = watch::channel(standing::StandingBoard::default());
        let flags = Arc::new(Self {
            store: store.clone(),
            dataplane,
            orders,
            ledger: watch::channel(Arc::new(ledger.shown())).0,
            damaged,
            live: Mutex::new(live),
            pushed: tokio::sync::Mutex::default(),
            contact: watch::channel(FlagContact::default()).0,
            standing,
            propagation: propagation::Propagation::default(),
            sinks: sink::Board::default(),
            wake: Notify::new(),
            key,
        });
        tokio::spawn(Writer::new(store, ledger, Arc::clone(&flags)).run(asked));
        tokio::spawn(plane::keep(Arc::clone(&flags)));
        tokio::spawn(standing::keep(Arc::clone(&flags), board));
        Ok(flags)
    }

    /// Measures from now on how long changes take to reach a subscriber at `address`.
    pub(crate) fn measure_at(self: &Arc<Self>, address: SocketAddr) {
        self.propagation.measure(address);
        tokio::spawn(propagation::keep(Arc::clone(self), address));
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As recorded.
    ///
    /// # Errors
    /// When the record is damaged.
    pub(crate) fn ledger(&self) -> Result<Arc<Ledger>, ApiError> {
        match &self.damaged {
            Some(error) => Err(error.clone()),
            None => Ok(self.ledger.borrow().clone()),
        }
    }

    /// How the standing rules stand.
    pub(crate) fn standing(&self) -> Vec<StandingView> {
        self.standing.borrow().views(crate::clock::now())
    }

    /// Appends what there is to count of standing rules as Prometheus text.
    pub(crate) fn standing_metrics(&self, out: &mut String) {
        self.standing.borrow().metrics(crate::clock::now(), out);
    }

    /// A state of all that a table follows, to tell whether it changes.
    fn mark(&self) -> sink::Mark {
        let revision = self.ledger.borrow().set.revision;
        let version = self.live().version;
        sink::Mark { revision, version }
    }

    /// Whether everybody has said what is in force: the releases what they turn, the proxy
    /// which kills it knows.
    fn is_settled(&self) -> bool {
        self.live().is_settled() && self.contact.borrow().in_force.is_some()
    }

    /// How the tables stand that follow the flags.
    pub(crate) fn sinks(&self) -> Vec<SinkView> {
        self.sinks.views(self.mark())
    }

    /// Why the file that names tables is not in force, if it is not.
    pub(crate) fn sinks_trouble(&self) -> Option<String> {
        self.sinks.trouble()
    }

    /// Appends what there is to count of tables as Prometheus text.
    pub(crate) fn sink_metrics(&self, out: &mut String) {
        self.sinks.metrics(self.mark(), out);
    }

    /// What is killed right now, recorded or not.
    pub(crate) fn kills(&self) -> esclusa_flags::Kills {
        self.live().kills.clone()
    }

    /// Changes fields of the set: all, or none.
    ///
    /// # Errors
    /// Everything that is wrong with it, by field; or when it cannot be recorded.
    pub(crate) async fn change(
        &self,
        patch: Patch,
        reason: &str,
        by: &Actor,
    ) -> Result<Made, ApiError> {
        let reason = reason.to_owned();
        let by = by.clone();
        self.order(|reply| Order::Change {
            patch,
            reason,
            by,
            reply,
        })
        .await
    }

    fn tester_key(&self) -> Result<TesterKey, ApiError> {
        TesterKey::new(&self.key).ok_or_else(|| {
            let help = "restore the state from a backup";
            ApiError::new(
                ErrorKind::Internal,
                "ESC-0900",
                "the key of flags is none",
                help,
            )
        })
    }

    /// What a tester's token shows in an environment right now.
    ///
    /// # Errors
    /// When it is not genuine, has run out, or counts elsewhere.
    pub(crate) fn granted(&self, token: &str, environment: &str) -> Result<TesterGrant, ApiError> {
        let second = u64::try_from(clock::now().0 / 1_000_000).unwrap_or_default();
        let refuse = |why: String| {
            let help = "applications leave such a token out; `esclusa flag tester` gives another";
            ApiError::new(ErrorKind::BadInput, "ESC-0408", why, help)
        };
        let grant = self
            .tester_key()?
            .read(token.trim(), second)
            .ok_or_else(|| {
                refuse("the tester's token was not given by this server, or has run out".into())
            })?;
        match grant.environment == environment {
            true => Ok(grant),
            false => Err(refuse(format!(
                "the tester's token counts in {}, not in {environment}",
                grant.environment
            ))),
        }
    }

    /// A token that shows a tester variants. Recorded first, given then.
    ///
    /// # Errors
    /// When it cannot be recorded; there is no token then.
    pub(crate) async fn grant(
        &self,
        grant: TesterGrant,
        reason: String,
        by: &Actor,
    ) -> Result<String, ApiError> {
        let token = self.tester_key()?.sign(&grant);
        let (granted, by) = (Granted { grant, reason }, by.clone());
        self.order(|reply| Order::Grant { granted, by, reply })
            .await?;
        Ok(token)
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, ApiError>>) -> Order,
    ) -> Result<T, ApiError> {
        self.ledger()?;
        let (reply, answer) = oneshot::channel();
        let sent = self.orders.send(order(reply)).await;
        sent.map_err(|_| crate::app::gone())?;
        crate::app::in_time(answer).await
    }

    /// Reads the tokens anew, and has them published.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn tokens_changed(&self) -> Result<(), ApiError> {
        let tokens = tokens(&self.store).await?;
        let mut live = self.live();
        if live.tokens != tokens {
            live.tokens = tokens;
            live.version += 1;
        }
        Ok(())
    }

    /// The set of this moment.
    pub(crate) fn set(&self) -> Result<Arc<FlagSet>, ApiError> {
        Ok(Arc::clone(&self.ledger()?.set))
    }
}

/// A secret by name, made at the first call.
async fn kept_secret(store: &Store, name: &str) -> Result<String, ApiError> {
    if let Some(secret) = store.setting(name).await? {
        return Ok(secret);
    }
    let secret = clock::new_secret();
    store.put_setting(name, &secret, clock::now()).await?;
    Ok(secret)
}

/// The tokens of flags that are not revoked.
async fn tokens(store: &Store) -> Result<Vec<FlagToken>, ApiError> {
    let live = store.tokens().await?.into_iter();
    let live = live.filter(|token| token.revoked.is_none());
    let tokens = live.filter_map(|token| {
        let grant = token.flags?;
        Some(FlagToken {
            name: token.name.to_string(),
            hash: token.hash,
            kind: match grant.client {
                true => esclusa_wire::FlagTokenKind::Client,
                false => esclusa_wire::FlagTokenKind::Server,
            },
            environment: grant.environment,
            project: grant.project,
            strict: grant.strict,
            expires: token.expires,
        })
    });
    Ok(tokens.collect())
}

/// What is wrong with a change, field by field.
pub(crate) fn refused(problems: &[Problem]) -> ApiError {
    let conflict = problems.iter().any(|p| p.code == ProblemCode::Conflict);
    let first = problems.first().map(ToString::to_string);
    let first = first.unwrap_or_default();
    let more = match problems.len() {
        0 | 1 => String::new(),
        n => format!(", and {} more", n - 1),
    };
    let mut error = match conflict {
        true => ApiError::new(
            ErrorKind::Conflict,
            "ESC-0741",
            format!("somebody else changed this first: {first}{more}"),
            "nothing was changed; read the flags again and decide anew",
        ),
        false => ApiError::new(
            ErrorKind::BadInput,
            "ESC-0740",
            format!("the flags would not be valid: {first}{more}"),
            "nothing was changed; each detail names its field as a JSON pointer",
        ),
    };
    error.details = problems
        .iter()
        .map(|problem| serde_json::to_value(problem).unwrap_or_default())
        .collect();
    error
}
