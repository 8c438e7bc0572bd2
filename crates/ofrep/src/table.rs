//! Everything that requests are answered from, made of one document.

use crate::exposures::UnitHasher;
use crate::guards::Guard;
pub(crate) use crate::scope::{Access, Scope, Subject};
use crate::scope::{neighbour, scope_of, short, watcher};
use crate::tester::{self, Grants};
use crate::ticket::Signer;
use esclusa_flags::{ExposureRules, Kills, Problem, ProblemCode, Snapshot, check_guards};
use esclusa_model::{Digest, GenerationId};
use esclusa_wire::{FlagDocument, TesterKey};
use http::HeaderMap;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// A flag document, checked and compiled, with the kills that hold.
#[derive(Debug, Clone)]
pub struct FlagTable {
    pub(crate) id: GenerationId,
    pub(crate) revision: u64,
    /// Whether there was a document at all.
    pub(crate) ready: bool,
    pub(crate) kills: Kills,
    /// The set and the rollouts, whatever is killed.
    content: u64,
    /// What clients can notice a difference by.
    pub(crate) state: State,
    environments: BTreeMap<String, Arc<Snapshot>>,
    tokens: HashMap<[u8; 16], Arc<Access>>,
    /// Whether nobody but the control plane has a token.
    open: bool,
    /// Who asks without a token, by environment.
    neighbours: BTreeMap<String, Arc<Access>>,
    guards: BTreeMap<String, Arc<Guard>>,
    /// The guards of each service, in the order of their names.
    services: BTreeMap<String, Vec<Arc<Guard>>>,
    pub(crate) signer: Option<Signer>,
    pub(crate) testers: Option<TesterKey>,
    pub(crate) units: Option<UnitHasher>,
    keep_days: u16,
}

/// One state of everything that answers depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// Two states with one tag answer alike.
    pub(crate) tag: u64,
    pub(crate) revision: u64,
    pub(crate) kill_epoch: u64,
    /// Since when, in seconds since 1970.
    pub(crate) since: u64,
}

impl FlagTable {
    /// A table before the first document: it answers nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            id: GenerationId::default(),
            revision: 0,
            ready: false,
            kills: Kills::default(),
            content: 0,
            state: State::default(),
            environments: BTreeMap::new(),
            tokens: HashMap::new(),
            open: true,
            neighbours: BTreeMap::new(),
            guards: BTreeMap::new(),
            services: BTreeMap::new(),
            signer: None,
            testers: None,
            units: None,
            keep_days: ExposureRules::default().keep_days,
        }
    }

    /// Checks a document and compiles all of its environments with the kills that hold.
    /// Reads the files that guards verify claims with; what cannot be read verifies
    /// nothing, and is logged.
    ///
    /// # Errors
    /// Everything that is wrong with the set while its rollouts run, with the places.
    pub fn compile(document: &FlagDocument) -> Result<Self, Vec<Problem>> {
        let set = document.set.while_running(&document.rollouts);
        let mut problems = Vec::new();
        let mut environments = BTreeMap::new();
        // Without environments there is one without a name.
        let unnamed = [String::new()];
        let mut names: Vec<&String> = set.environments.iter().collect();
        if names.is_empty() {
            names.extend(&unnamed);
        }
        for name in names {
            match Snapshot::compile_with(&set, name, &document.kills) {
                Ok(snapshot) => {
                    environments.insert(name.clone(), Arc::new(snapshot));
                }
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(check_guards(&set));
        let testers = TesterKey::new(&document.key);
        let mut guards = BTreeMap::new();
        let mut services: BTreeMap<String, Vec<Arc<Guard>>> = BTreeMap::new();
        for (name, definition) in &set.guards {
            let compiled = Guard::compile(name, definition).map(|mut guard| {
                guard.heed_testers(testers.as_ref());
                guard
            });
            match compiled {
                Ok(guard) => {
                    let guard = Arc::new(guard);
                    if let Some(service) = guard.service() {
                        let list = services.entry(service.to_owned()).or_default();
                        list.push(Arc::clone(&guard));
                    }
                    guards.insert(name.clone(), guard);
                }
                Err(found) => problems.extend(found),
            }
        }
        let signer = Signer::new(&document.key);
        if signer.is_none() {
            problems.push(Problem {
                path: "/key".into(),
                code: ProblemCode::BadValue,
                message: "the key is not 32 bytes, written as 64 hex digits".into(),
                hint: None,
            });
        }
        if !problems.is_empty() {
            problems.sort();
            problems.dedup();
            return Err(problems);
        }
        let scopes = document.tokens.iter().map(|token| {
            let id = short(&token.hash);
            let access = Access::new(scope_of(token, id), Some(token), signer.as_ref());
            (id, access)
        });
        let first = environments.keys().next();
        let watching = first.and_then(|first| watcher(&document.key, first, signer.as_ref()));
        let neighbours = match document.tokens.is_empty() {
            true => environments.keys().map(|name| neighbour(name)).collect(),
            false => Vec::new(),
        };
        let mut table = Self {
            id: document.id,
            revision: set.revision,
            ready: true,
            kills: document.kills.clone(),
            content: hash_of(&(&document.set, &document.rollouts)),
            state: State::default(),
            tokens: scopes.chain(watching).collect(),
            open: document.tokens.is_empty(),
            neighbours: neighbours
                .into_iter()
                .map(|scope| {
                    let name = scope.environment.clone();
                    (name, Access::new(scope, None, signer.as_ref()))
                })
                .collect(),
            environments,
            guards,
            services,
            signer,
            testers,
            units: UnitHasher::new(&document.key),
            keep_days: set.exposures.clone().unwrap_or_default().keep_days,
        };
        table.mark();
        Ok(table)
    }

    /// One environment, ready to be asked.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&Snapshot> {
        self.environments.get(name).map(Arc::as_ref)
    }

    /// What a tester's token shows who asks: by a header, a cookie or the context.
    pub(crate) fn grants(&self, headers: &HeaderMap, body: &[u8], asked: &Snapshot) -> Grants {
        let (key, environment) = (self.testers.as_ref(), asked.environment());
        let by_request = tester::of_request(key, headers, environment);
        match by_request.is_empty() {
            true => tester::of_body(key, body, environment),
            false => by_request,
        }
    }

    /// The document's name; `0.0` before the first.
    #[must_use]
    pub fn id(&self) -> GenerationId {
        self.id
    }

    /// The revision of its set.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The kills that hold.
    #[must_use]
    pub fn kills(&self) -> &Kills {
        &self.kills
    }

    /// A guard by its name.
    #[must_use]
    pub fn guard(&self, name: &str) -> Option<&Arc<Guard>> {
        self.guards.get(name)
    }

    /// The guards before a service's requests, in the order in which they are asked.
    #[must_use]
    pub fn guards_of(&self, service: &str) -> &[Arc<Guard>] {
        self.services.get(service).map_or(&[], Vec::as_slice)
    }

    /// All guards, by name.
    pub fn guards(&self) -> impl Iterator<Item = (&str, &Arc<Guard>)> {
        self.guards
            .iter()
            .map(|(name, guard)| (name.as_str(), guard))
    }

    /// For how many days exposures are kept.
    #[must_use]
    pub fn keep_exposures_days(&self) -> u16 {
        self.keep_days
    }

    /// The environments in which answers are recorded.
    pub(crate) fn recorded_environments(&self) -> Vec<String> {
        let all = self.environments.iter();
        let recorded = all.filter(|(_, snapshot)| snapshot.sampling().is_some());
        recorded.map(|(name, _)| name.clone()).collect()
    }

    /// Takes over whatever `kills` knows later; nothing is compiled again.
    pub fn merge_kills(&mut self, kills: &Kills) {
        self.kills.merge(kills);
        for snapshot in self.environments.values_mut() {
            Arc::make_mut(snapshot).merge_kills(kills);
        }
        self.mark();
    }

    fn mark(&mut self) {
        let kills = hash_of(&self.kills);
        self.state = State {
            tag: hash_of(&(self.content, kills)),
            revision: self.revision,
            kill_epoch: self.kills.epoch(),
            since: self.state.since,
        };
    }

    pub(crate) fn environment_names(&self) -> impl Iterator<Item = &str> {
        self.environments.keys().map(String::as_str)
    }

    /// Whether nobody needs a token, and only this machine may ask.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn by_secret(&self, secret: &[u8]) -> Option<&Arc<Access>> {
        let hash = Digest::of(secret);
        let access = self.tokens.get(&short(&hash))?;
        access.is_of(&hash).then_some(access)
    }

    pub(crate) fn by_id(&self, id: &[u8; 16]) -> Option<&Arc<Access>> {
        self.tokens.get(id)
    }

    pub(crate) fn neighbour(&self, environment: &str) -> Option<&Arc<Access>> {
        self.neighbours.get(environment)
    }
}

/// A hash of what is written as JSON, without writing it anywhere.
pub(crate) fn hash_of(value: &impl serde::Serialize) -> u64 {
    struct Into(Xxh3);
    impl std::io::Write for Into {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut into = Into(Xxh3::new());
    // Cannot fail: the writer takes everything and all keys are text.
    let _ = serde_json::to_writer(&mut into, value);
    into.0.digest()
}
