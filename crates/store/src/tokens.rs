//! API tokens: who may do what. Only hashes are stored; making and hashing the
//! secret is the server's job.

use crate::sqlite::Row;
use crate::{Store, StoreError, TokenError};
use esclusa_model::{Actor, Digest, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

/// What a token of flags may ask for. Such a token opens nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagGrant {
    /// Whether it may be in people's hands: only flags that browsers may read.
    pub client: bool,
    /// The environment it asks in.
    pub environment: String,
    /// The only project whose flags it sees; all without.
    pub project: Option<String>,
    /// Whether an answer without a value has no value.
    pub strict: bool,
}

/// A stored token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its name, which is the actor of what it does.
    pub name: Actor,
    /// What it may do.
    pub roles: Vec<String>,
    /// The hash of its secret.
    pub hash: Digest,
    /// When it was stored.
    pub created: Timestamp,
    /// When it was revoked; absent while it is live.
    pub revoked: Option<Timestamp>,
    /// Whose it is, where that was said: several tokens may be one person's.
    pub person: Option<String>,
    /// From when on it is worthless by itself; absent for one that lasts.
    pub expires: Option<Timestamp>,
    /// When it was used last, as far as that was noted.
    pub used: Option<Timestamp>,
    /// What it may ask for, when it is a token of flags.
    pub flags: Option<FlagGrant>,
}

/// A token to store.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// Its name, which is the actor of what it does.
    pub name: &'a Actor,
    /// What it may do.
    pub roles: &'a [String],
    /// The hash of its secret.
    pub hash: &'a Digest,
    /// Whose it is, where that is said.
    pub person: Option<&'a str>,
    /// From when on it is worthless by itself.
    pub expires: Option<Timestamp>,
    /// What it may ask for, when it is a token of flags.
    pub flags: Option<&'a FlagGrant>,
}

/// What revoking found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It was live and is revoked now.
    Revoked,
    /// It had been revoked before.
    AlreadyRevoked,
    /// Nobody has this name.
    Unknown,
}

impl Store {
    /// Stores a token. The name of one that is revoked or has expired may be given again.
    ///
    /// # Errors
    /// [`TokenError::NameTaken`] when a live token has this name.
    pub async fn put_token(&self, token: &NewToken<'_>, at: Timestamp) -> Result<(), TokenError> {
        let mut tx = self.begin().await?;
        let roles = serde_json::Value::from(token.roles.to_vec()).to_string();
        let flags = token.flags.map(serde_json::to_string).transpose();
        let flags = flags.map_err(|_| StoreError::refused("what a token may ask is no JSON"))?;
        let stored = sqlx::query(
            "insert into tokens (name, roles, hash, created, revoked, person, expires, used, flags) \
             values ($1, $2, $3, $4, null, $5, $6, null, $7) on conflict (name) do update \
             set roles = excluded.roles, hash = excluded.hash, created = excluded.created, \
             person = excluded.person, expires = excluded.expires, used = null, \
             flags = excluded.flags, revoked = null where tokens.revoked is not null or tokens.expires <= $4",
        )
        .bind(token.name.as_str())
        .bind(roles)
        .bind(token.hash.hex())
        .bind(at.0)
        .bind(token.person)
        .bind(token.expires.map(|at| at.0))
        .bind(flags)
        .execute(&mut *tx)
        .await?;
        if stored.rows_affected() == 0 {
            return Err(TokenError::NameTaken(token.name.to_string()));
        }
        tx.commit().await?;
        Ok(())
    }

    /// The token with this hash. A revoked one is not found; one that has expired is, with
    /// the time at which it did.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_token(&self, hash: &Digest) -> Result<Option<TokenRecord>, StoreError> {
        sqlx::query(
            "select name, roles, hash, created, revoked, person, expires, used, flags from tokens \
             where hash = $1 and revoked is null",
        )
        .bind(hash.hex())
        .fetch_optional(self.inner.log.readers())
        .await?
        .as_ref()
        .map(record)
        .transpose()
    }

    /// All tokens, revoked ones too, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let rows = sqlx::query(
            "select name, roles, hash, created, revoked, person, expires, used, flags from tokens",
        )
        .fetch_all(self.inner.log.readers())
        .await?;
        let mut tokens = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tokens)
    }

    /// Makes a token worthless, durably, from now on.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn revoke_token(
        &self,
        name: &Actor,
        at: Timestamp,
    ) -> Result<Revocation, StoreError> {
        let mut tx = self.begin().await?;
        let revoked =
            sqlx::query("update tokens set revoked = $2 where name = $1 and revoked is null")
                .bind(name.as_str())
                .bind(at.0)
                .execute(&mut *tx)
                .await?
                .rows_affected();
        let known: i64 = sqlx::query_scalar("select count(*) from tokens where name = $1")
            .bind(name.as_str())
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(match (revoked, known) {
            (1.., _) => Revocation::Revoked,
            (0, 1..) => Revocation::AlreadyRevoked,
            (0, _) => Revocation::Unknown,
        })
    }

    /// Notes when tokens were used last. For people who look at the list: nothing rests on
    /// it, and a time that is older than the one that is noted changes nothing.
    ///
    /// # Errors
    /// When the store failed; none of them is noted then.
    pub async fn note_token_uses(&self, uses: &[(Digest, Timestamp)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (hash, at) in uses {
            sqlx::query(
                "update tokens set used = $2 where hash = $1 and (used is null or used < $2)",
            )
            .bind(hash.hex())
            .bind(at.0)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

fn record(row: &Row) -> Result<TokenRecord, StoreError> {
    let damaged = |_| StoreError::corrupt("a token has no valid name");
    let time = |column| -> Result<Option<Timestamp>, StoreError> {
        let at: Option<i64> = row.try_get(column)?;
        Ok(at.map(Timestamp))
    };
    let flags: Option<String> = row.try_get("flags")?;
    Ok(TokenRecord {
        name: Actor::new(row.try_get::<String, _>("name")?).map_err(damaged)?,
        roles: serde_json::from_str(row.try_get("roles")?)
            .map_err(|_| StoreError::corrupt("a token has no valid roles"))?,
        hash: crate::events::digest(row, "hash")?,
        created: Timestamp(row.try_get("created")?),
        revoked: time("revoked")?,
        person: row.try_get("person")?,
        expires: time("expires")?,
        used: time("used")?,
        flags: flags
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| StoreError::corrupt("a token of flags has another shape"))?,
    })
}
