//! Mail by SMTP, in plain text and HTML, to people who know it was written by a program.

use super::{Channel, Delivery, Findings, Kind, Message, SendError, Severity};
use super::{cut, fields, is_loopback, must, one_line, text};
use crate::error::Fault;
use crate::secret::SecretRef;
use async_trait::async_trait;
use esclusa_plan::{Field, FieldKind};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Longest subject in characters.
const SUBJECT: usize = 200;
/// Most recipients of one message.
const MOST_RECIPIENTS: usize = 50;
/// The port where mail is handed in.
const SUBMISSION: u16 = 587;
/// The same with TLS from the first byte.
const SUBMISSIONS: u16 = 465;
const PLAIN: u16 = 25;

pub(super) const KIND: Kind = Kind {
    name: "smtp",
    doc: "Mail, through a server that takes it by SMTP.",
    fields: table,
    build,
};

fn table() -> Vec<Field> {
    vec![
        must(text("host", "The mail server.")),
        fields::optional(
            "port",
            FieldKind::Integer {
                min: 1,
                max: 65_535,
            },
            "Its port; 587 for `starttls`, 465 for `tls`, 25 for `none` unless given.",
        ),
        fields::optional(
            "security",
            fields::choice(&["starttls", "tls", "none"]),
            "`starttls` unless given; `none` is for a server on this machine alone.",
        ),
        text("ca-file", "PEM file of a private certificate authority."),
        text("user", "Name to log in with."),
        text(
            "password",
            "Where the password stands: `env:NAME`, `file:/path` or `cmd:...`.",
        ),
        must(text(
            "from",
            "Sender, such as `esclusa <esclusa@example.com>`.",
        )),
        fields::required(
            "to",
            FieldKind::List(Box::new(FieldKind::Text)),
            "Recipients.",
        ),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Security {
    #[default]
    Starttls,
    Tls,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Block {
    host: String,
    port: Option<u16>,
    #[serde(default)]
    security: Security,
    ca_file: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
    from: String,
    to: Vec<String>,
}

struct Smtp {
    host: String,
    port: u16,
    security: Security,
    ca_file: Option<PathBuf>,
    login: Option<(String, SecretRef)>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

fn build(value: &Value, findings: &mut Findings<'_, '_>) -> Option<Arc<dyn Channel>> {
    let block: Block = findings.block(value)?;
    if block.security == Security::None && !is_loopback(&block.host) {
        findings.refuse(
            "ESC-0702",
            "security",
            "mail would leave this machine unencrypted".to_owned(),
            "use `starttls` or `tls`; `none` is for a server on 127.0.0.1",
        );
    }
    let login = match (block.user, &block.password) {
        (Some(user), Some(password)) => Some((user, findings.secret("password", password)?)),
        (None, None) => None,
        (Some(_), None) => {
            missing(findings, "user", "password");
            None
        }
        (None, Some(_)) => {
            missing(findings, "password", "user");
            None
        }
    };
    let from = mailbox(findings, "from", &block.from);
    if !(1..=MOST_RECIPIENTS).contains(&block.to.len()) {
        findings.refuse(
            "ESC-0115",
            "to",
            format!("mail goes to 1 to {MOST_RECIPIENTS} recipients"),
            "name an address, or a list of the mail server's own",
        );
        return None;
    }
    let to: Vec<Mailbox> = block
        .to
        .iter()
        .enumerate()
        .filter_map(|(index, text)| mailbox(findings, &format!("to[{index}]"), text))
        .collect();
    let complete = to.len() == block.to.len();
    let port = block.port.unwrap_or(match block.security {
        Security::Starttls => SUBMISSION,
        Security::Tls => SUBMISSIONS,
        Security::None => PLAIN,
    });
    let channel = Smtp {
        host: block.host,
        port,
        security: block.security,
        ca_file: block.ca_file,
        login,
        from: from?,
        to,
    };
    complete.then(|| Arc::new(channel) as Arc<dyn Channel>)
}

fn missing(findings: &mut Findings<'_, '_>, given: &str, other: &str) {
    let message = format!("`{given}` is given and `{other}` is not");
    findings.refuse("ESC-0111", given, message, "give both, or neither");
}

fn mailbox(findings: &mut Findings<'_, '_>, key: &str, text: &str) -> Option<Mailbox> {
    let read = text.parse().ok();
    if read.is_none() {
        findings.refuse(
            "ESC-0217",
            key,
            "this is no mail address".to_owned(),
            "write `name@example.com` or `Name <name@example.com>`",
        );
    }
    read
}

#[async_trait]
impl Channel for Smtp {
    async fn send(&self, delivery: &Delivery) -> Result<(), SendError> {
        let mail = self.mail(delivery)?;
        let transport = self.transport().await?;
        transport
            .send(mail)
            .await
            .map(drop)
            .map_err(|error| refused(&error))
    }
}

impl Smtp {
    /// A connection of its own for each mail: deliveries are rare.
    async fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
        let tls = match self.security {
            Security::Starttls => Tls::Required(self.tls().await?),
            Security::Tls => Tls::Wrapper(self.tls().await?),
            Security::None => Tls::None,
        };
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.host.as_str())
                .port(self.port)
                .tls(tls)
                .hello_name(ClientId::Domain(self.domain().to_owned()));
        if let Some((user, password)) = &self.login {
            let password = password.read().await?.reveal().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(builder.build())
    }

    async fn tls(&self) -> Result<TlsParameters, SendError> {
        let config = |why: String| SendError::later(Fault::Config, why);
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut builder = TlsParameters::builder(host.to_owned());
        if let Some(file) = &self.ca_file {
            let pem = tokio::fs::read(file).await;
            let pem = pem.map_err(|error| config(format!("{}: {error}", file.display())))?;
            let authority = Certificate::from_pem(&pem)
                .map_err(|error| config(format!("{}: {error}", file.display())))?;
            builder = builder.add_root_certificate(authority);
        }
        builder
            .build_rustls()
            .map_err(|error| config(format!("no TLS: {error}")))
    }

    fn domain(&self) -> &str {
        self.from.email.domain()
    }

    pub(super) fn mail(&self, delivery: &Delivery) -> Result<lettre::Message, SendError> {
        let message = &delivery.message;
        let domain = self.domain();
        let list = match message.service.as_str() {
            "" => format!("esclusa <esclusa.{domain}>"),
            service => format!("{service} on esclusa <{service}.esclusa.{domain}>"),
        };
        let sent = std::time::SystemTime::UNIX_EPOCH
            + std::time::Duration::from_micros(u64::try_from(delivery.sent_at.0).unwrap_or(0));
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .date(sent)
            .subject(subject(message))
            .message_id(Some(format!("<{}@{domain}>", delivery.id)))
            // People can sort it by rule, and programs do not answer it (RFC 3834).
            .raw_header(header("List-Id", list))
            .raw_header(header("Auto-Submitted", "auto-generated".to_owned()));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        if let Some(release) = &message.release {
            // Mail programs show what tells of one release together.
            builder = builder.references(format!("<release-{release}@{domain}>"));
        }
        builder
            .multipart(MultiPart::alternative_plain_html(
                plain(message),
                html(message),
            ))
            .map_err(|error| SendError::never(Fault::Us, format!("no mail was made: {error}")))
    }
}

/// What the server's refusal means. Its words hold no secret: those were sent to it.
fn refused(error: &lettre::transport::smtp::Error) -> SendError {
    let mut message = one_line(&error.to_string());
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = one_line(&inner.to_string());
        if !message.contains(&inner_text) {
            message = format!("{message}: {inner_text}");
        }
        cause = inner.source();
    }
    if error.is_permanent() {
        return SendError::never(Fault::Config, message);
    }
    if error.is_tls() {
        return SendError::later(Fault::Config, message);
    }
    SendError::later(Fault::Target, message)
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

fn subject(message: &Message) -> String {
    let title = one_line(&message.title);
    let mark = match message.severity {
        Severity::Info => String::new(),
        Severity::Warning | Severity::Critical => {
            format!("[{}] ", message.severity.as_str().to_uppercase())
        }
    };
    cut(&format!("{mark}{title}"), SUBJECT)
}

pub(super) fn plain(message: &Message) -> String {
    let mut out = format!("{}\n\n{}\n", one_line(&message.title), message.text);
    if !message.facts.is_empty() {
        out.push('\n');
    }
    for fact in &message.facts {
        out.push_str(&format!("{}: {}\n", fact.name, one_line(&fact.value)));
    }
    for link in &message.links {
        out.push_str(&format!("\n{}:\n{}\n", link.text, link.url));
    }
    out.push_str(&format!(
        "\n-- \n{} · {} · {}\n",
        message.severity, message.event, message.time
    ));
    out
}

fn safe(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

pub(super) fn html(message: &Message) -> String {
    let colour = match message.severity {
        Severity::Info => "#1a7f37",
        Severity::Warning => "#9a6700",
        Severity::Critical => "#cf222e",
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"></head>\n\
         <body style=\"font-family:sans-serif;max-width:42rem\">\n\
         <h2 style=\"border-left:6px solid {colour};padding-left:.6rem\">{}</h2>\n<p>{}</p>\n",
        message.language.as_str(),
        safe(&one_line(&message.title)),
        safe(&message.text).replace('\n', "<br>\n")
    );
    if !message.facts.is_empty() {
        out.push_str("<table>\n");
        for fact in &message.facts {
            out.push_str(&format!(
                "<tr><th align=\"left\" style=\"padding-right:1rem\">{}</th><td>{}</td></tr>\n",
                safe(&fact.name),
                safe(&fact.value)
            ));
        }
        out.push_str("</table>\n");
    }
    for link in &message.links {
        out.push_str(&format!(
            "<p><a href=\"{}\">{}</a></p>\n",
            safe(&link.url),
            safe(&link.text)
        ));
    }
    out.push_str(&format!(
        "<p style=\"color:#57606a\">{} · {} · {}</p>\n</body></html>\n",
        message.severity,
        safe(&message.event),
        message.time
    ));
    out
}
