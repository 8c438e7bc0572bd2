//! Which route a request is counted under: a bounded set of names per service.

use crate::registry::Key;
use esclusa_judge::{MAX_ROUTES, OTHER_ROUTE};
use esclusa_wire::RoutePattern;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// The number of [`OTHER_ROUTE`].
pub(crate) const OTHER: Key = 0;

/// A name that was not seen for so many seconds may give its place to another one.
const STALE_AFTER_S: u64 = 600;

/// Longer segments are ids, whatever is in them.
const MAX_SEGMENT: usize = 24;

#[derive(Debug)]
struct Known {
    key: Key,
    last_seen_s: AtomicU64,
}

/// A service's route names. They outlive generations.
#[derive(Debug, Default)]
pub(crate) struct RouteNames {
    inner: RwLock<Inner>,
    now_s: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    by_name: BTreeMap<String, Known>,
    /// Names by number; numbers start at 1 and are never used twice.
    names: BTreeMap<Key, String>,
    next: Key,
}

impl RouteNames {
    /// The number of `name`, or of [`OTHER_ROUTE`] when there are too many.
    pub(crate) fn key(&self, name: &str) -> Key {
        let now = self.now_s.load(Ordering::Relaxed);
        {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = inner.by_name.get(name) {
                known.last_seen_s.store(now, Ordering::Relaxed);
                return known.key;
            }
            if inner.by_name.len() >= MAX_ROUTES && !inner.has_stale(now) {
                return OTHER;
            }
        }
        self.inner
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, now)
    }

    /// The name of a number.
    pub(crate) fn name(&self, key: Key) -> String {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner
            .names
            .get(&key)
            .cloned()
            .unwrap_or_else(|| OTHER_ROUTE.to_owned())
    }

    /// Tells the time in seconds since the proxy's start.
    pub(crate) fn tick(&self, now_s: u64) {
        self.now_s.store(now_s, Ordering::Relaxed);
    }
}

impl Inner {
    fn has_stale(&self, now: u64) -> bool {
        self.by_name.values().any(|k| k.is_stale(now))
    }

    fn insert(&mut self, name: &str, now: u64) -> Key {
        if let Some(known) = self.by_name.get(name) {
            return known.key;
        }
        if self.by_name.len() >= MAX_ROUTES {
            let oldest = self
                .by_name
                .iter()
                .filter(|(_, k)| k.is_stale(now))
                .min_by_key(|(_, k)| k.last_seen_s.load(Ordering::Relaxed))
                .map(|(name, _)| name.clone());
            let Some(known) = oldest.and_then(|name| self.by_name.remove(&name)) else {
                return OTHER;
            };
            self.names.remove(&known.key);
        }
        self.next += 1;
        self.names.insert(self.next, name.to_owned());
        self.by_name.insert(
            name.to_owned(),
            Known {
                key: self.next,
                last_seen_s: AtomicU64::new(now),
            },
        );
        self.next
    }
}

impl Known {
    fn is_stale(&self, now: u64) -> bool {
        now.saturating_sub(self.last_seen_s.load(Ordering::Relaxed)) > STALE_AFTER_S
    }
}

/// A service's named routes, in the order of the plan; the first that fits wins.
#[derive(Debug)]
pub(crate) struct Patterns(Vec<(RoutePattern, String)>);

/// Why a route pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route pattern {0:?} must begin with / and may have * only as its last segment")]
pub(crate) struct PatternError(pub(crate) String);

impl Patterns {
    pub(crate) fn new(patterns: &[RoutePattern]) -> Result<Self, PatternError> {
        let mut list = Vec::new();
        for pattern in patterns {
            let inner = pattern.path.strip_suffix("/*").unwrap_or(&pattern.path);
            if !pattern.path.starts_with('/') || inner.contains('*') {
                return Err(PatternError(pattern.path.clone()));
            }
            let name = match &pattern.method {
                Some(method) => format!("{method} {}", pattern.path),
                None => pattern.path.clone(),
            };
            list.push((pattern.clone(), name));
        }
        Ok(Self(list))
    }

    fn find(&self, method: &str, path: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(p, _)| p.method.as_deref().is_none_or(|m| m == method) && fits(&p.path, path))
            .map(|(_, name)| name.as_str())
    }

    /// The number that a request is counted under.
    pub(crate) fn key(&self, names: &RouteNames, method: &str, path: &str) -> Key {
        match self.find(method, path) {
            Some(name) => names.key(name),
            None => names.key(&plain_name(method, path)),
        }
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => return true,
            (Some(w), Some(g)) if (w.starts_with(':') && !g.is_empty()) || w == g => {}
            _ => return false,
        }
    }
}

/// The method and the path's first two segments, ids as `:id`.
fn plain_name(method: &str, path: &str) -> String {
    let mut name = String::with_capacity(method.len() + 32);
    name.push_str(if method.len() <= 16 { method } else { "OTHER" });
    name.push(' ');
    let mut segments = path.split('/').filter(|s| !s.is_empty()).take(2).peekable();
    if segments.peek().is_none() {
        name.push('/');
    }
    for segment in segments {
        name.push('/');
        name.push_str(if is_id(segment) { ":id" } else { segment });
    }
    name
}

/// Numbers, UUIDs, long hex and anything long.
fn is_id(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    if bytes.len() > MAX_SEGMENT || bytes.iter().all(u8::is_ascii_digit) {
        return true;
    }
    bytes.len() >= 8
        && bytes.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
        && bytes.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_folded() {
        for (method, path, name) in [
            ("GET", "/", "GET /"),
            ("GET", "", "GET /"),
            ("GET", "/item/17", "GET /item/:id"),
            ("POST", "/item/17/buy", "POST /item/:id"),
            ("GET", "//cart///x", "GET /cart/x"),
            (
                "GET",
                "/u/6f1a2c3d-1111-2222-3333-444455556666",
                "GET /u/:id",
            ),
            ("GET", "/c/deadbeef01", "GET /c/:id"),
            ("GET", "/c/facade", "GET /c/facade"),
            ("GET", "/c/defaced-facade", "GET /c/defaced-facade"),
            ("GET", "/c/abcdefghijklmnopqrstuvwxyz", "GET /c/:id"),
        ] {
            assert_eq!(plain_name(method, path), name, "{path}");
        }
    }

    #[test]
    fn named_routes_come_first_and_in_order() {
        let pattern = |method: Option<&str>, path: &str| RoutePattern {
            method: method.map(str::to_owned),
            path: path.to_owned(),
        };
        let patterns = Patterns::new(&[
            pattern(Some("GET"), "/orders/:id/items"),
            pattern(None, "/orders/*"),
        ])
        .expect("valid");
        assert_eq!(
            patterns.find("GET", "/orders/7/items"),
            Some("GET /orders/:id/items")
        );
        assert_eq!(patterns.find("PUT", "/orders/7/items"), Some("/orders/*"));
        assert_eq!(patterns.find("GET", "/orders"), None);
        assert!(Patterns::new(&[pattern(None, "/a/*/b")]).is_err());
        assert!(Patterns::new(&[pattern(None, "a")]).is_err());
    }

    #[test]
    fn names_are_bounded_and_stale_ones_make_room() {
        let names = RouteNames::default();
        for n in 0..MAX_ROUTES {
            assert_ne!(names.key(&format!("GET /{n}x")), OTHER);
        }
        assert_eq!(names.key("GET /new"), OTHER);
        assert_eq!(names.name(OTHER), OTHER_ROUTE);
        names.tick(STALE_AFTER_S);
        let kept = names.key("GET /0x");
        names.tick(STALE_AFTER_S + 1);
        let fresh = names.key("GET /new");
        assert_ne!(fresh, OTHER);
        assert_eq!(names.name(fresh), "GET /new");
        assert_eq!(names.key("GET /0x"), kept);
    }
}
