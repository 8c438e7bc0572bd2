//! Tokens and sessions as their holders meet them.

use super::failures::FAILURES_ALLOWED;
use super::tokens::TokenText;
use super::*;

async fn auth() -> (Auth, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path(), Timestamp(1)).await.expect("opens");
    let keys = Keys::of(&store).await.expect("made");
    let spent = Spent::of(&store).await.expect("read");
    (Auth::new(store, keys, spent), dir)
}

fn ask(name: &str, roles: &[&str]) -> TokenAsk {
    TokenAsk {
        name: name.to_owned(),
        roles: roles.iter().map(|&name| name.to_owned()).collect(),
        ..TokenAsk::default()
    }
}

// SEC-15
#[tokio::test]
async fn a_token_has_its_roles_and_the_levels_below() {
    let (auth, _dir) = auth().await;
    let text = auth
        .create(&ask("ci", &["operator", "security"]))
        .await
        .expect("made");
    let caller = auth.caller(text.reveal(), None).await.expect("known");
    assert_eq!(caller.actor.as_str(), "ci");
    assert!(caller.may(Scope::Needs(Access::Viewer)).is_ok());
    assert!(caller.may(Scope::Needs(Access::Operator)).is_ok());
    let refused = caller
        .may(Scope::Needs(Access::Admin))
        .expect_err("too small");
    assert_eq!(
        (refused.kind, refused.code.as_str()),
        (ErrorKind::Forbidden, "ESC-0403")
    );
    assert!(caller.may_sign_off("security").is_ok());
    assert!(caller.may_sign_off("tech-lead").is_err());
}

// SEC-15
#[tokio::test]
async fn who_signs_off_sees_what_and_moves_nothing() {
    let (auth, _dir) = auth().await;
    let text = auth
        .create(&ask("lead", &["tech-lead"]))
        .await
        .expect("made");
    let caller = auth.caller(text.reveal(), None).await.expect("known");
    assert!(caller.may(Scope::Needs(Access::Viewer)).is_ok());
    assert!(caller.may(Scope::Needs(Access::Approver)).is_err());
    assert!(caller.may_sign_off("tech-lead").is_ok());
}

// SEC-15
#[tokio::test]
async fn an_approver_decides_and_does_not_move() {
    let (auth, _dir) = auth().await;
    let text = auth.create(&ask("lead", &["approver", "dba"])).await;
    let caller = auth.caller(text.expect("made").reveal(), None).await;
    let caller = caller.expect("known");
    let may = Access::ALL.map(|level| caller.may(Scope::Needs(level)).is_ok());
    assert_eq!(may, [true, true, false, false]);
    // Also the role of that very name.
    let signs = ["approver", "dba", "security"].map(|role| caller.may_sign_off(role).is_ok());
    assert_eq!(signs, [true, true, false]);
    assert_eq!(caller.roles(), ["approver", "dba"]);
    let text = auth.create(&ask("ops", &["operator"])).await.expect("made");
    let operator = auth.caller(text.reveal(), None).await.expect("known");
    assert!(operator.may(Scope::Needs(Access::Approver)).is_ok());
    assert!(operator.may_sign_off("approver").is_err());
}

// SEC-15
#[tokio::test]
async fn a_token_ends_by_itself_and_shows_when_it_was_used() {
    let (auth, _dir) = auth().await;
    let short = TokenAsk {
        person: Some("ana".into()),
        lasts: Some(esclusa_model::Millis(1)),
        ..ask("short", &["viewer"])
    };
    let text = auth.create(&short).await.expect("made");
    let over = tokio::time::timeout(Duration::from_secs(20), async {
        while auth.caller(text.reveal(), None).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    assert!(over.await.is_ok(), "it ends");
    let text = auth.create(&ask("ci", &["viewer"])).await.expect("made");
    let listed = |tokens: Vec<TokenRecord>, name: &str| {
        let found = tokens.into_iter().find(|token| token.name.as_str() == name);
        found.expect("listed")
    };
    assert_eq!(listed(auth.list().await.expect("read"), "ci").used, None);
    auth.caller(text.reveal(), None).await.expect("known");
    let ci = listed(auth.list().await.expect("read"), "ci");
    assert!(ci.used.is_some_and(|used| used >= ci.created));
    let none_too_long = TokenAsk {
        lasts: Some(esclusa_model::Millis(u64::MAX)),
        ..ask("long", &["viewer"])
    };
    assert!(auth.create(&none_too_long).await.is_err());
}

// SEC-15: a session is worth what its token is worth.
#[tokio::test]
async fn a_session_ends_with_its_token_and_with_a_logout() {
    let (auth, _dir) = auth().await;
    let text = auth.create(&ask("ana", &["approver"])).await.expect("made");
    let login = async || auth.login(text.reveal(), None).await.expect("let in");
    let value = |session: &Session| {
        let cookie = session.cookie(false);
        let value = cookie.split(['=', ';']).nth(1);
        value.expect("a value").to_owned()
    };
    let ((caller, one), (_, two)) = (login().await, login().await);
    let known = auth.by_session(&value(&one)).await.expect("known");
    assert_eq!(known, (caller.clone(), one.clone()));
    auth.logout(&caller, &one);
    let refused = auth.by_session(&value(&one)).await.expect_err("ended");
    assert_eq!(refused.kind, ErrorKind::Unauthorized);
    assert!(auth.by_session(&value(&two)).await.is_ok(), "another one");
    auth.revoke("ana").await.expect("revoked");
    assert!(auth.by_session(&value(&two)).await.is_err());
    assert!(auth.login(text.reveal(), None).await.is_err());
    assert!(auth.by_session("1.2.3").await.is_err());
}

#[tokio::test]
async fn an_admin_does_not_agree_in_place_of_others() {
    let (auth, _dir) = auth().await;
    let text = auth.first().await.expect("stored").expect("the first");
    let caller = auth.caller(text.reveal(), None).await.expect("known");
    assert!(caller.may(Scope::Needs(Access::Admin)).is_ok());
    assert!(caller.may_sign_off("security").is_err());
    assert!(auth.first().await.expect("stored").is_none(), "only once");
}

#[tokio::test]
async fn only_the_whole_text_of_a_live_token_is_let_in() {
    let (auth, _dir) = auth().await;
    let text = auth.create(&ask("ci", &["viewer"])).await.expect("made");
    let secret = text.reveal().to_owned();
    let flipped = if secret.ends_with('0') { '1' } else { '0' };
    let changed = format!("{}{flipped}", &secret[..secret.len() - 1]);
    let renamed = secret.replace("_ci_", "_other_");
    for wrong in [
        "",
        "esclusa_ci_",
        &changed,
        &renamed,
        &secret.to_uppercase(),
    ] {
        let refused = auth.caller(wrong, None).await.expect_err("not let in");
        assert_eq!(refused.kind, ErrorKind::Unauthorized, "{wrong}");
    }
    auth.revoke("ci").await.expect("revoked");
    assert!(auth.caller(&secret, None).await.is_err());
    assert!(auth.revoke("nobody").await.is_err());
}

#[tokio::test]
async fn names_and_roles_follow_their_rule() {
    let (auth, _dir) = auth().await;
    for (name, role) in [
        ("a_b", "viewer"),
        ("local", "viewer"),
        ("link.ana", "viewer"),
        ("a", "x y"),
        ("", "viewer"),
    ] {
        let refused = auth.create(&ask(name, &[role])).await.expect_err("refused");
        assert_eq!(refused.kind, ErrorKind::BadInput, "{name} {role}");
    }
    assert!(auth.create(&ask("a", &[])).await.is_err());
    auth.create(&ask("a", &["viewer"])).await.expect("made");
    let taken = auth
        .create(&ask("a", &["viewer"]))
        .await
        .expect_err("taken");
    assert_eq!(taken.kind, ErrorKind::Conflict);
}

/// A good token is let in whatever others did from the same address.
#[tokio::test]
async fn a_good_token_is_never_locked_out() {
    let (auth, _dir) = auth().await;
    let text = auth.create(&ask("ci", &["operator"])).await.expect("made");
    let from = Some([192, 0, 2, 1].into());
    let mut last = None;
    for _ in 0..=FAILURES_ALLOWED {
        last = auth.caller("wrong", from).await.err();
    }
    assert_eq!(last.map(|error| error.kind), Some(ErrorKind::TooMany));
    assert!(auth.caller(text.reveal(), from).await.is_ok());
    assert!(format!("{:?}", TokenText("esclusa_a_b".into())).contains("hidden"));
}
