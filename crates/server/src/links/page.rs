//! The page of a link: what it will do, and what came of it.
//!
//! One small document without any script, so that it works in whatever opens a mail. Every
//! word that comes from a plan, a person or a link is escaped.

use super::act::{Came, too_late};
use super::{Fault, Link, LinkAction};
use crate::error::ErrorKind;
use crate::report::rfc3339;
use crate::view::{ItemView, ReleaseView};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use esclusa_model::Digest;
use std::fmt::Write as _;
use std::sync::OnceLock;

const STYLE: &str = include_str!("page.css");

/// A page and its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The status.
    pub status: StatusCode,
    /// The document.
    pub html: String,
}

/// What browsers may do with these pages.
pub(crate) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let digest = Digest::of(STYLE.as_bytes()).hex();
        // A digest's hex is always an even number of hex digits.
        let bytes = hex::decode(digest).unwrap_or_default();
        format!(
            "default-src 'none'; style-src 'sha256-{}'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
            STANDARD.encode(bytes)
        )
    })
}

/// What a link will do, with a form to send it back. `view` is absent where the release
/// cannot be looked at: an abort does not wait for that.
pub(crate) fn ask_page(link: &Link, view: Option<&ReleaseView>) -> Told {
    if let Some(why) = view.and_then(|view| too_late(link, view)) {
        return told_page(link_words(link), &Came::TooLate(why));
    }
    let (title, will, button, class) = match (link.action, &link.role) {
        (LinkAction::Abort, _) => (
            "Abort this release?".to_owned(),
            "Everybody is sent back to the version before, and everything that the release \
             changed is returned."
                .to_owned(),
            "Abort the release",
            "stop",
        ),
        (LinkAction::Approve, Some(role)) => (
            format!("Sign off as {role}?"),
            format!(
                "The release has the sign-off of {role}, and goes on once nothing else is missing."
            ),
            "Sign off",
            "go-button",
        ),
        (LinkAction::Approve, None) => (
            "Let this release go on?".to_owned(),
            "The release advances again, and users may be exposed to the new version.".to_owned(),
            "Let it go on",
            "go-button",
        ),
    };
    let mut body = format!(
        "<h1>{}</h1>\n<p>{}</p>\n<dl>",
        escape(&title),
        escape(&will)
    );
    let mut fact = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = write!(body, "<dt>{name}</dt><dd>{}</dd>", escape(value));
    };
    if let Some(view) = view {
        fact("Service", &view.service);
        fact("Version", &view.version);
        fact("Stands at", &format!("{} ({})", view.phase, view.share));
    }
    fact("Release", link.release.as_str());
    fact("Recorded as", &format!("link.{}", link.label));
    fact("Given by", &link.by);
    fact("Good until", &rfc3339(link.expires));
    body.push_str("</dl>\n<form method=\"post\">");
    body.push_str(&checklist(view, link.role.as_deref()));
    let _ = write!(
        body,
        "<label>Why, in your words (may be left out)\
         <textarea name=\"reason\" rows=\"3\" maxlength=\"1000\"></textarea></label>\
         <button class=\"{class}\" type=\"submit\">{button}</button></form>\n\
         <p class=\"soft\">Nothing has happened yet. This link works once.</p>"
    );
    Told {
        status: StatusCode::OK,
        html: document(&title, &body),
    }
}

/// The items that go with a sign-off, each to be ticked.
fn checklist(view: Option<&ReleaseView>, role: Option<&str>) -> String {
    let items = role.map_or_else(Vec::new, |role| items_of(view, role));
    if items.is_empty() {
        return String::new();
    }
    let mut out = "<fieldset><legend>I confirm that this is done</legend>".to_owned();
    for (index, item) in items.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<label><input type=\"checkbox\" name=\"item-{index}\" required>{}</label>",
            escape(&item.item)
        );
    }
    out.push_str("</fieldset>");
    out
}

/// The checklist of a role.
pub(crate) fn items_of<'a>(view: Option<&'a ReleaseView>, role: &str) -> Vec<&'a ItemView> {
    let found = view.and_then(|view| view.sign_offs.iter().find(|one| one.role == role));
    found.map_or_else(Vec::new, |one| one.items.iter().collect())
}

/// What came of a link.
pub(crate) fn told_page(what: &str, came: &Came) -> Told {
    let next = "ask whoever sent it for a new one, or look at the release with your own token";
    let (status, title, words, help, code) = match came {
        Came::Done => (
            StatusCode::OK,
            "Done",
            format!("{what}: it is recorded."),
            "this page can be closed".to_owned(),
            "",
        ),
        Came::Not(Fault::Forged) => (
            StatusCode::FORBIDDEN,
            "This link is not valid",
            "It was not given by this server, or a part of it is missing.".to_owned(),
            format!("open the whole link from the message; else {next}"),
            "ESC-0434",
        ),
        Came::Not(Fault::Expired) => (
            StatusCode::GONE,
            "This link is too old",
            "Its time is over. Nothing was done.".to_owned(),
            next.to_owned(),
            "ESC-0435",
        ),
        Came::Not(Fault::Used) => (
            StatusCode::GONE,
            "This link was used",
            "A link works once, and this one has.".to_owned(),
            "look at the release to see what came of it".to_owned(),
            "ESC-0435",
        ),
        Came::TooLate(why) => (
            StatusCode::GONE,
            "There is nothing left to decide",
            format!("Nothing was done: {why}."),
            "look at the release to see how it stands".to_owned(),
            "ESC-0435",
        ),
        Came::Refused(error) => (
            error.status(),
            if error.kind == ErrorKind::Unavailable {
                "It could not be done now"
            } else {
                "It was refused"
            },
            error.message.clone(),
            error.help.clone(),
            error.code.as_str(),
        ),
    };
    let class = if *came == Came::Done {
        "go"
    } else {
        "stop-words"
    };
    let mut body = format!(
        "<h1 class=\"{class}\">{title}</h1>\n<p>{}</p>\n<p class=\"soft\">Next step: {}.</p>",
        escape(&words),
        escape(&help)
    );
    if !code.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(body, "<p class=\"soft\">{}</p>", escape(code));
    }
    Told {
        status,
        html: document(title, &body),
    }
}

/// What a link is for, in few words.
pub(crate) fn link_words(link: &Link) -> &'static str {
    match (link.action, &link.role) {
        (LinkAction::Abort, _) => "The release is aborted",
        (LinkAction::Approve, Some(_)) => "The release is signed off",
        (LinkAction::Approve, None) => "The release goes on",
    }
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{} - esclusa</title>\
         <style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n",
        escape(title)
    )
}

/// A text as it stands in a document or between an attribute's quotes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ApiError;

    #[test]
    fn words_of_others_are_words_and_nothing_else() {
        let error = ApiError::new(
            ErrorKind::Conflict,
            "ESC-0303",
            "<script>alert('x')</script> & \"y\"\u{7}",
            "try again",
        );
        let told = told_page("x", &Came::Refused(error));
        assert_eq!(told.status, StatusCode::CONFLICT);
        assert!(!told.html.contains("<script"), "{}", told.html);
        assert!(
            told.html
                .contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot; ")
        );
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        let told = told_page("It", &Came::Done);
        for outside in [
            "http://", "https://", "src=", "@import", "url(", " style=", "<script",
        ] {
            assert!(!told.html.contains(outside), "{outside}");
        }
        assert!(told.html.contains(STYLE) && !STYLE.contains('<'));
        assert!(policy().contains("style-src 'sha256-") && !policy().contains("unsafe"));
    }

    #[test]
    fn every_end_has_its_status_and_a_next_step() {
        for (came, status) in [
            (Came::Not(Fault::Forged), 403),
            (Came::Not(Fault::Expired), 410),
            (Came::Not(Fault::Used), 410),
            (Came::TooLate("the release is over".into()), 410),
            (Came::Done, 200),
        ] {
            let told = told_page("The release is aborted", &came);
            assert_eq!(told.status.as_u16(), status, "{came:?}");
            assert!(told.html.contains("Next step: "), "{came:?}");
        }
    }
}
