//! Login by SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding. What needs the password is
//! done by the host: it never comes in here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use longshore_sdk::{Error, Result, Secret, host};

/// Bytes of the nonce, before they are made text.
const NONCE_BYTES: u32 = 18;

/// No channel binding, and no other name than that of the startup message.
const HEADER: &str = "n,,";

/// A login under way.
pub(crate) struct Exchange<'a> {
    password: &'a Secret,
    nonce: String,
    /// Known after the server's first message.
    server_signature: Vec<u8>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(password: &'a Secret) -> Self {
        let nonce = BASE64.encode(host::random_bytes(NONCE_BYTES));
        Self { password, nonce, server_signature: Vec::new() }
    }

    /// The client's first message.
    pub(crate) fn first(&self) -> String {
        format!("{HEADER}{}", self.bare())
    }

    /// The client's last message, in answer to the server's first.
    pub(crate) fn last(&mut self, server_first: &[u8]) -> Result<String> {
        let server_first = text(server_first)?;
        let (nonce, rest) = field(server_first, "r=")?;
        let (salt, rest) = field(rest, "s=")?;
        let (iterations, _) = field(rest, "i=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(disorder("the server's nonce is not made of ours"));
        }
        let salt = BASE64.decode(salt).map_err(|_| disorder("the salt is not base64"))?;
        let iterations =
            iterations.parse().map_err(|_| disorder("the iterations are not a number"))?;
        let unproved = format!("c={},r={nonce}", BASE64.encode(HEADER));
        let auth_message = format!("{},{server_first},{unproved}", self.bare());
        let host::Scram { client_proof, server_signature } =
            self.password.scram_sha256(&salt, iterations, &auth_message)?;
        self.server_signature = server_signature;
        Ok(format!("{unproved},p={}", BASE64.encode(client_proof)))
    }

    /// Whether the server's last message proves that it knows the password too.
    pub(crate) fn verify(&self, server_last: &[u8]) -> Result<()> {
        let (signature, _) = field(text(server_last)?, "v=")?;
        let signature = BASE64.decode(signature).unwrap_or_default();
        if !signature.is_empty() && signature == self.server_signature {
            Ok(())
        } else {
            Err(Error::auth("the server did not prove that it knows the password")
                .with_hint("check that the URL names the right server"))
        }
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }
}

fn text(message: &[u8]) -> Result<&str> {
    std::str::from_utf8(message).map_err(|_| disorder("a message is not text"))
}

/// The value of the field that a message begins with, and what comes after it.
fn field<'a>(message: &'a str, name: &str) -> Result<(&'a str, &'a str)> {
    let value = message.strip_prefix(name);
    let value = value.ok_or_else(|| disorder(&format!("`{name}` is missing")))?;
    Ok(value.split_once(',').unwrap_or((value, "")))
}

fn disorder(what: &str) -> Error {
    Error::auth(format!("SCRAM login failed: {what}")).with_hint("check the user and the password")
}

#[cfg(test)]
mod tests {
    use longshore_sdk::testkit::FakeHost;

    use super::*;

    /// RFC 7677's example, but for the user's name, which PostgreSQL leaves out.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &[u8] = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn on_host<T>(test: impl FnOnce(Exchange<'_>) -> T) -> T {
        let password = Secret::named("password");
        let exchange =
            Exchange { password: &password, nonce: NONCE.into(), server_signature: Vec::new() };
        FakeHost::new().secret("password", "pencil").run(|| test(exchange)).0
    }

    #[test]
    fn a_login_proves_the_password_and_asks_for_the_same() {
        on_host(|mut exchange| {
            assert_eq!(exchange.first(), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
            let last = exchange.last(SERVER_FIRST).unwrap();
            assert!(
                last.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")
            );
            let right = format!("v={}", BASE64.encode(&exchange.server_signature));
            assert!(exchange.verify(right.as_bytes()).is_ok());
            for wrong in ["v=", "v=AAAA", "", "e=other-error", "v=%"] {
                assert!(exchange.verify(wrong.as_bytes()).is_err(), "{wrong}");
            }
        });
    }

    #[test]
    fn a_server_in_disorder_is_refused() {
        for first in ["", "r=x", "r=other,s=AAAA,i=1", "r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=1"] {
            assert!(on_host(|mut exchange| exchange.last(first.as_bytes())).is_err(), "{first}");
        }
    }
}
