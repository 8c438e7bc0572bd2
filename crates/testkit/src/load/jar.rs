//! One person's cookies: name and value, set and taken away by replies.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use std::collections::BTreeMap;

/// Cookies of one origin. Paths, domains and ages but "gone now" are not kept.
#[derive(Debug, Default)]
pub(crate) struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Puts the cookies into a request.
    pub(crate) fn send(&self, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if let Ok(line) = HeaderValue::try_from(pairs.join("; ")) {
            headers.insert(COOKIE, line);
        }
    }

    /// Takes what a reply sets.
    pub(crate) fn receive(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let Ok(line) = line.to_str() else { continue };
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let gone = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
            if gone {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(jar: &Jar) -> String {
        let mut headers = HeaderMap::new();
        jar.send(&mut headers);
        headers
            .get(COOKIE)
            .map_or("", |line| line.to_str().expect("text"))
            .to_owned()
    }

    #[test]
    fn cookies_are_kept_replaced_and_taken_away() {
        let mut jar = Jar::default();
        assert_eq!(sent(&jar), "");
        let mut reply = HeaderMap::new();
        for line in [
            "esclusa=a.b=; Path=/; HttpOnly; Max-Age=600",
            "x=1",
            "broken",
        ] {
            reply.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        jar.receive(&reply);
        assert_eq!(sent(&jar), "esclusa=a.b=; x=1");
        let mut reply = HeaderMap::new();
        reply.append(SET_COOKIE, HeaderValue::from_static("x=2"));
        reply.append(SET_COOKIE, HeaderValue::from_static("esclusa=; Max-Age=0"));
        jar.receive(&reply);
        assert_eq!(sent(&jar), "x=2");
    }
}
