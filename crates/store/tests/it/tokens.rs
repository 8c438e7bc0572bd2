//! Tokens, settings, and what is spent.

use crate::world::{NOW, actor, folder, open};
use esclusa_model::{Actor, Digest, Timestamp};
use esclusa_store::{FlagGrant, NewToken, Revocation, StoreError, TokenError, TokenRecord};

fn token<'a>(name: &'a Actor, roles: &'a [String], hash: &'a Digest) -> NewToken<'a> {
    NewToken {
        name,
        roles,
        hash,
        person: None,
        expires: None,
        flags: None,
    }
}

fn roles(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_until_it_is_revoked() {
    let dir = folder();
    let store = open(dir.path()).await;
    let (ci, hash) = (actor("ci"), Digest::of(b"secret"));
    store
        .put_token(&token(&ci, &roles(&["deploy"]), &hash), NOW)
        .await
        .expect("stored");
    let expected = TokenRecord {
        name: ci.clone(),
        roles: roles(&["deploy"]),
        hash,
        created: NOW,
        revoked: None,
        person: None,
        expires: None,
        used: None,
        flags: None,
    };
    assert_eq!(store.find_token(&hash).await.expect("read"), Some(expected));
    let other = Digest::of(b"other");
    assert_eq!(store.find_token(&other).await.expect("read"), None);

    let later = Timestamp(NOW.0 + 1);
    let revoke = store.revoke_token(&ci, later).await.expect("revoked");
    assert_eq!(revoke, Revocation::Revoked);
    let again = store.revoke_token(&ci, later).await.expect("asked");
    assert_eq!(again, Revocation::AlreadyRevoked);
    let nobody = store.revoke_token(&actor("x"), later).await.expect("asked");
    assert_eq!(nobody, Revocation::Unknown);
    assert_eq!(store.find_token(&hash).await.expect("read"), None);
    assert_eq!(store.tokens().await.expect("read")[0].revoked, Some(later));
}

#[tokio::test]
async fn a_live_name_is_not_given_twice() {
    let dir = folder();
    let store = open(dir.path()).await;
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    store
        .put_token(&token(&actor("ci"), &roles(&["a"]), &one), NOW)
        .await
        .expect("stored");
    let taken = store
        .put_token(&token(&actor("ci"), &roles(&["b"]), &two), NOW)
        .await;
    assert!(matches!(taken, Err(TokenError::NameTaken(_))), "{taken:?}");
    assert!(store.find_token(&one).await.expect("read").is_some());

    store
        .revoke_token(&actor("ci"), NOW)
        .await
        .expect("revoked");
    store
        .put_token(&token(&actor("ci"), &roles(&["b"]), &two), NOW)
        .await
        .expect("stored");
    assert!(store.find_token(&one).await.expect("read").is_none());
    let now_live = store.find_token(&two).await.expect("read").expect("live");
    assert_eq!(now_live.roles, roles(&["b"]));
}

// SEC-15
#[tokio::test]
async fn a_token_has_a_person_an_end_and_a_last_use() {
    let dir = folder();
    let store = open(dir.path()).await;
    let (name, hash, ends) = (actor("ana-ci"), Digest::of(b"1"), Timestamp(NOW.0 + 50));
    let may = roles(&["viewer"]);
    let made = NewToken {
        person: Some("ana"),
        expires: Some(ends),
        flags: None,
        ..token(&name, &may, &hash)
    };
    store.put_token(&made, NOW).await.expect("stored");
    for (at, noted) in [(20, 20), (10, 20), (30, 30)] {
        let used = Timestamp(NOW.0 + at);
        let unknown = (Digest::of(b"nobody"), used);
        let uses = [(hash, used), unknown];
        store.note_token_uses(&uses).await.expect("noted");
        let found = store.find_token(&hash).await.expect("read").expect("live");
        assert_eq!(found.used, Some(Timestamp(NOW.0 + noted)));
        assert_eq!(
            (found.person.as_deref(), found.expires),
            (Some("ana"), Some(ends))
        );
    }
    let other = Digest::of(b"2");
    let again = token(&name, &may, &other);
    let taken = store.put_token(&again, NOW).await;
    assert!(matches!(taken, Err(TokenError::NameTaken(_))), "{taken:?}");
    store.put_token(&again, ends).await.expect("it has expired");
    assert_eq!(store.find_token(&hash).await.expect("read"), None);
    let found = store.find_token(&other).await.expect("read").expect("live");
    assert_eq!(
        (found.person, found.expires, found.used),
        (None, None, None)
    );
}

// SEC-15: what was used once is used up, also after a restart.
#[tokio::test]
async fn what_is_spent_is_spent_once() {
    let dir = folder();
    let store = open(dir.path()).await;
    let (soon, late) = (Timestamp(NOW.0 + 10), Timestamp(NOW.0 + 100));
    let spend = async |store: &esclusa_store::Store, id: &str, until, at| {
        store.spend(id, until, at).await.expect("stored")
    };
    assert!(spend(&store, "link/a", late, NOW).await);
    assert!(!spend(&store, "link/a", late, NOW).await);
    assert!(spend(&store, "link/b", soon, NOW).await);
    store.close().await;
    let store = open(dir.path()).await;
    assert!(!spend(&store, "link/a", late, NOW).await);
    assert_eq!(store.spent(NOW).await.expect("read").len(), 2);
    store.give_back("link/a").await.expect("forgotten");
    assert!(spend(&store, "link/a", late, NOW).await);
    let after = Timestamp(soon.0 + 1);
    let left = vec![("link/a".to_owned(), late)];
    assert_eq!(store.spent(after).await.expect("read"), left);
    // Forgotten with the next one.
    assert!(spend(&store, "link/c", late, after).await);
    assert_eq!(store.spent(NOW).await.expect("read").len(), 2);
}

#[tokio::test]
async fn settings_are_kept_and_never_quoted() {
    let dir = folder();
    let store = open(dir.path()).await;
    store
        .put_setting("cookie-key/shop", &"hunter2", NOW)
        .await
        .expect("stored");
    store
        .put_setting("cookie-key/shop", &"hunter3", NOW)
        .await
        .expect("stored");
    store
        .put_setting("proxy/p1", &7_u64, NOW)
        .await
        .expect("stored");
    store.close().await;
    let store = open(dir.path()).await;
    let key: Option<String> = store.setting("cookie-key/shop").await.expect("read");
    assert_eq!(key.as_deref(), Some("hunter3"));
    let names = store.setting_names("cookie-key/").await.expect("read");
    assert_eq!(names, ["cookie-key/shop"]);

    let wrong = store
        .setting::<u64>("cookie-key/shop")
        .await
        .expect_err("no number");
    assert!(matches!(wrong, StoreError::Corrupt { .. }), "{wrong:?}");
    assert!(
        !format!("{wrong} {wrong:?}").contains("hunter"),
        "{wrong:?}"
    );

    store.remove_setting("proxy/p1").await.expect("removed");
    assert_eq!(store.setting::<u64>("proxy/p1").await.expect("read"), None);
}

/// What a token of flags may ask for comes back as it was given.
#[tokio::test]
async fn a_token_of_flags_keeps_what_it_may_ask() {
    let dir = folder();
    let store = open(dir.path()).await;
    let grant = FlagGrant {
        client: true,
        environment: "production".into(),
        project: Some("reports".into()),
        strict: true,
    };
    let name = Actor::new("web").expect("a name");
    let hash = Digest::of(b"web");
    let made = NewToken {
        name: &name,
        roles: &[],
        hash: &hash,
        person: None,
        expires: None,
        flags: Some(&grant),
    };
    store.put_token(&made, Timestamp(1)).await.expect("stored");
    let found = store.find_token(&hash).await.expect("read").expect("there");
    assert_eq!((found.roles, found.flags), (Vec::new(), Some(grant)));
}
