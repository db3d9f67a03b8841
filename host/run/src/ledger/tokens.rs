//! The tokens of the HTTP API. A token is `longshore_ID_SECRET`; the ledger has its id, and a hash of it all.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use longshore_model::error::{Error, Result};
use rusqlite::{OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use strum::{EnumString, IntoStaticStr};
use subtle::ConstantTimeEq;

use super::{Ledger, now};

/// What every token begins with, so that people and scanners know what it is.
const PREFIX: &str = "longshore_";

/// The random bytes of a token's id and of its secret.
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// The most tokens, logins and sessions together.
const TOKEN_LIMIT: u64 = 1_000;

/// The longest name of a token.
pub const TOKEN_NAME_LIMIT_BYTES: usize = 100;

/// The longest life of a token that ends.
pub const TOKEN_LIFE_LIMIT_DAYS: u32 = 36_500;

/// What somebody may do over the HTTP API; each role may also do what those before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    /// Looks at everything but tokens and the audit log.
    Viewer,
    /// Submits, cancels and retries runs, and asks sources.
    Operator,
    /// Manages plugins and tokens, and reads the audit log.
    Admin,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum TokenKind {
    /// A program sends it with each request.
    Token,
    /// A browser sends it as a cookie.
    Session,
    /// A browser exchanges it for a session, once.
    Login,
}

/// A token that is made.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// What people call it.
    pub name: &'a str,
    /// What it allows.
    pub role: Role,
    /// What it is for.
    pub kind: TokenKind,
    /// How long it is valid; for ever if absent.
    pub lifetime: Option<Duration>,
}

/// A token, without its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TokenRecord {
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created: String,
    /// When it ends; absent if it does not.
    pub expires: Option<String>,
}

impl Ledger {
    /// Makes a token and gives its text, which nothing else gives again.
    pub fn create_token(&self, new: NewToken<'_>) -> Result<String> {
        check_name(new.name)?;
        let (id, secret) = (random::<ID_BYTES>()?, random::<SECRET_BYTES>()?);
        let text = format!("{PREFIX}{id}_{secret}");
        let expires = new
            .lifetime
            .map(|lifetime| (Utc::now() + lifetime).to_rfc3339_opts(SecondsFormat::Millis, true));
        let kind: &str = new.kind.into();
        let role: &str = new.role.into();
        let is_new = self.change_for_good(|change| {
            change.execute("DELETE FROM tokens WHERE expires <= ?1", [now()])?;
            let count: u64 =
                change.query_row("SELECT count(*) FROM tokens", [], |row| row.get(0))?;
            if count >= TOKEN_LIMIT {
                return Err(too_many().into());
            }
            let added = change.execute(
                "INSERT OR IGNORE INTO tokens (id, hash, kind, name, role, created, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![id, hash(&text), kind, new.name, role, now(), expires],
            )?;
            Ok(added > 0)
        })?;
        if is_new {
            return Ok(text);
        }
        Err(Error::config(format!("there is a token `{}` already", new.name))
            .with_hint("revoke it first, or give another name"))
    }

    /// The token with this text, if it is of that kind and valid.
    pub fn authenticate(&self, text: &str, kind: TokenKind) -> Result<Option<TokenRecord>> {
        let Some((id, _)) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        let kind: &str = kind.into();
        let found = self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, role, created, expires, hash FROM tokens
                 WHERE id = ?1 AND kind = ?2 AND (expires IS NULL OR expires > ?3)",
            )?;
            let token = statement.query_row(params![id, kind, now()], |row| {
                Ok((token_record(row)?, row.get::<_, Vec<u8>>(4)?))
            });
            Ok(token.optional()?)
        })?;
        let is_it = |known: &[u8]| bool::from(hash(text).as_slice().ct_eq(known));
        Ok(found.filter(|(_, known)| is_it(known)).map(|(token, _)| token))
    }

    /// The same of a login, which is used up by it.
    pub fn redeem_login(&self, text: &str) -> Result<Option<TokenRecord>> {
        let Some(login) = self.authenticate(text, TokenKind::Login)? else { return Ok(None) };
        let was_there = self.change_for_good(|change| {
            Ok(change.execute("DELETE FROM tokens WHERE hash = ?1", [hash(text)])? > 0)
        })?;
        Ok(was_there.then_some(login))
    }

    /// Ends a session.
    pub fn end_session(&self, text: &str) -> Result<()> {
        self.change_for_good(|change| {
            change
                .execute("DELETE FROM tokens WHERE hash = ?1 AND kind = 'session'", [hash(text)])?;
            Ok(())
        })
    }

    /// The tokens of programs, by name.
    pub fn tokens(&self) -> Result<Vec<TokenRecord>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, role, created, expires FROM tokens WHERE kind = 'token' ORDER BY name",
            )?;
            Ok(statement.query_map([], token_record)?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Ends what is called so: a token, and sessions of that name. False: nothing is.
    pub fn revoke_token(&self, name: &str) -> Result<bool> {
        self.change_for_good(|change| {
            Ok(change.execute("DELETE FROM tokens WHERE name = ?1", [name])? > 0)
        })
    }
}

fn token_record(row: &Row<'_>) -> rusqlite::Result<TokenRecord> {
    let role: String = row.get(1)?;
    Ok(TokenRecord {
        name: row.get(0)?,
        // What a newer program allows is not known here: the least is allowed.
        role: role.parse().unwrap_or(Role::Viewer),
        created: row.get(2)?,
        expires: row.get(3)?,
    })
}

fn check_name(name: &str) -> Result<()> {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@ ".contains(c));
    if !name.is_empty() && name.len() <= TOKEN_NAME_LIMIT_BYTES && is_plain {
        return Ok(());
    }
    Err(Error::config("this is no name of a token").with_hint(format!(
        "use at most {TOKEN_NAME_LIMIT_BYTES} letters, digits, spaces and -_.@ characters"
    )))
}

fn too_many() -> Error {
    Error::config(format!("there are {TOKEN_LIMIT} tokens, logins and sessions"))
        .with_hint("revoke those that nobody needs")
}

fn random<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::resource(error.to_string()))?;
    Ok(hex::encode(bytes))
}

fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(ledger: &Ledger, kind: TokenKind, lifetime: Option<Duration>) -> Result<String> {
        ledger.create_token(NewToken { name: "ci", role: Role::Operator, kind, lifetime })
    }

    #[test]
    fn a_token_is_known_by_all_of_its_text_and_until_it_is_revoked() {
        let ledger = Ledger::in_memory().unwrap();
        let text = created(&ledger, TokenKind::Token, None).unwrap();
        let role =
            |text: &str, kind| ledger.authenticate(text, kind).unwrap().map(|token| token.role);
        assert_eq!(role(&text, TokenKind::Token), Some(Role::Operator));
        assert_eq!(role(&text, TokenKind::Session), None);
        let mut other = text.clone();
        let last = if other.pop() == Some('0') { '1' } else { '0' };
        other.push(last);
        for wrong in [other.as_str(), "", PREFIX, &text[..text.len() - 1], "longshore__"] {
            assert_eq!(role(wrong, TokenKind::Token), None, "{wrong}");
        }
        assert!(created(&ledger, TokenKind::Token, None).is_err(), "its name is taken");
        assert!(ledger.revoke_token("ci").unwrap());
        assert_eq!(role(&text, TokenKind::Token), None);
        assert!(!ledger.revoke_token("ci").unwrap());
    }

    #[test]
    fn a_login_is_used_once_and_only_in_time() {
        let ledger = Ledger::in_memory().unwrap();
        let text = created(&ledger, TokenKind::Login, Some(Duration::from_secs(300))).unwrap();
        assert!(ledger.redeem_login(&text).unwrap().is_some());
        assert!(ledger.redeem_login(&text).unwrap().is_none());
        let late = created(&ledger, TokenKind::Login, Some(Duration::ZERO)).unwrap();
        assert!(ledger.redeem_login(&late).unwrap().is_none());
    }

    #[test]
    fn roles_are_ordered() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }
}
