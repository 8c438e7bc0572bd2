//! The plain page: services, the running release as a row of gates, its traffic, and
//! the buttons that move it.
//!
//! One HTML file with its style and script inside; it asks for nothing from elsewhere.
//! It holds no secret: what it shows comes from the API with the reader's own token.
//! The policy names script and style by their hash, so that nothing that an answer
//! smuggles into the page can run.

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use esclusa_model::Digest;
use std::sync::OnceLock;

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page.
pub(crate) fn html() -> Bytes {
    static PAGE: OnceLock<Bytes> = OnceLock::new();
    PAGE.get_or_init(|| {
        let page = FRAME
            .replacen("/*style*/", STYLE, 1)
            .replacen("/*script*/", SCRIPT, 1);
        Bytes::from(page)
    })
    .clone()
}

/// Its content security policy.
pub(crate) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            source(SCRIPT),
            source(STYLE)
        )
    })
}

/// An inline text as a policy names it.
fn source(text: &str) -> String {
    let digest = Digest::of(text.as_bytes()).hex();
    // A digest's hex is always an even number of hex digits.
    let bytes = hex::decode(digest).unwrap_or_default();
    format!("sha256-{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone() {
        let page = String::from_utf8(html().to_vec()).expect("text");
        assert!(page.contains(STYLE) && page.contains(SCRIPT));
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        for unsafe_sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!SCRIPT.contains(unsafe_sink), "{unsafe_sink}");
        }
        // The policy would block them.
        assert!(!FRAME.contains(" style=") && !FRAME.contains(" onclick="));
    }

    /// Checked against `openssl dgst -sha256 -binary | base64`.
    #[test]
    fn the_policy_names_the_inline_texts() {
        assert_eq!(
            source("x"),
            "sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="
        );
        assert!(policy().contains(&source(SCRIPT)) && policy().contains("frame-ancestors 'none'"));
    }
}
