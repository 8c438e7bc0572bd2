//! The dashboard's files, as the build found them in `ui/dist`.
//!
//! It holds no secret: what it shows, it asks the API for in its reader's name. A program
//! that was built without it has a small page in its place, which says so.

mod missing;

use esclusa_model::Digest;
use std::sync::OnceLock;

/// One file of the dashboard.
pub(crate) struct File {
    /// `index.html`, or `assets/` and a name with a hash of the content in it.
    name: &'static str,
    plain: &'static [u8],
    /// The same as gzip; absent where that would not make it smaller.
    packed: Option<&'static [u8]>,
}

const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// What browsers let the dashboard do: load its own files and ask its own server. No
/// script, style or address stands in the page itself, and no text becomes a script.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

impl File {
    /// The page itself.
    pub(crate) fn index() -> &'static Self {
        Self::find("index.html").unwrap_or(&missing::PAGE)
    }

    /// One of the files that it loads.
    pub(crate) fn asset(file: &str) -> Option<&'static Self> {
        Self::find(&format!("assets/{file}"))
    }

    fn find(name: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.name == name)
    }

    /// Its bytes, packed when the reader takes that and there is such a thing.
    pub(crate) fn bytes(&self, takes_gzip: bool) -> (&'static [u8], bool) {
        match self.packed.filter(|_| takes_gzip) {
            Some(packed) => (packed, true),
            None => (self.plain, false),
        }
    }

    /// Its media type, by the end of its name.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, end)| end) {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("woff2") => "font/woff2",
            Some("txt") => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }
}

/// Marks the page as it is in this program, for browsers that have it already.
pub(crate) fn index_tag() -> &'static str {
    static TAG: OnceLock<String> = OnceLock::new();
    TAG.get_or_init(|| format!("\"{}\"", &Digest::of(File::index().plain).hex()[..32]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_page() {
        let page = File::index();
        let text = String::from_utf8(page.plain.to_vec()).expect("text");
        assert_eq!(page.media_type(), "text/html; charset=utf-8");
        assert!(text.starts_with("<!doctype html>"), "{text}");
        assert!(index_tag().len() == 34);
        // Nothing inline: the policy would block it.
        for inline in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
            assert!(!text.contains(inline), "{inline}");
        }
        for outside in ["http://", "https://", "//"] {
            assert!(!text.contains(&format!("=\"{outside}")), "{outside}");
        }
        // What it loads is there.
        let loads = text.split("/assets/").skip(1);
        for name in loads.filter_map(|rest| rest.split('"').next()) {
            assert!(File::asset(name).is_some(), "{name}");
        }
    }

    #[test]
    fn only_listed_files_are_served() {
        for odd in ["", "..", "../index.html", "index.html", "nothing.js"] {
            assert!(File::asset(odd).is_none(), "{odd}");
        }
    }
}
