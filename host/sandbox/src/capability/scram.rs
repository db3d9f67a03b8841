//! `secrets.scram-sha256`: a login by SCRAM (RFC 5802, RFC 7677) takes only what is made of the
//! password; the password itself stays here.

use hmac::{Hmac, KeyInit, Mac};
use longshore_model::error::{Error, Result};
use longshore_model::grant::SecretValue;
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest, Sha256};

/// The most iterations that a server may ask for: some tenths of a second.
pub const SCRAM_ITERATIONS_LIMIT: u32 = 1_000_000;

/// What the client sends, and what the server must answer.
#[derive(Clone, Debug)]
pub struct Scram {
    /// For the client's last message.
    pub client_proof: Vec<u8>,
    /// What the server's last message must hold.
    pub server_signature: Vec<u8>,
}

/// Works out a login.
pub fn scram_sha256(
    password: &SecretValue,
    salt: &[u8],
    iterations: u32,
    auth_message: &str,
) -> Result<Scram> {
    if !(1..=SCRAM_ITERATIONS_LIMIT).contains(&iterations) {
        return Err(Error::config(format!(
            "the server asks for {iterations} iterations of SCRAM; 1 to {SCRAM_ITERATIONS_LIMIT} are carried out"
        ))
        .with_hint("set the password again with fewer iterations"));
    }
    // As servers do: what SASLprep refuses is taken as it is.
    let password = stringprep::saslprep(password.reveal())
        .unwrap_or_else(|_| password.reveal().to_owned().into());
    let mut salted = [0; 32];
    pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
    let client_key = keyed(&salted, b"Client Key")?;
    let signature = keyed(&Sha256::digest(&client_key), auth_message.as_bytes())?;
    let client_proof = client_key.iter().zip(signature).map(|(key, of)| key ^ of).collect();
    let server_key = keyed(&salted, b"Server Key")?;
    let server_signature = keyed(&server_key, auth_message.as_bytes())?;
    Ok(Scram { client_proof, server_signature })
}

fn keyed(key: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| Error::internal(format!("HMAC: {error}")))?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;

    use super::*;

    #[test]
    fn the_example_of_rfc_7677_is_worked_out() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let message = format!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
        );
        let made = scram_sha256(&SecretValue::new("pencil"), &salt, 4_096, &message).unwrap();
        assert_eq!(
            BASE64.encode(made.client_proof),
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(
            BASE64.encode(made.server_signature),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn a_server_that_asks_for_work_without_end_is_refused() {
        let password = SecretValue::new("pencil");
        for iterations in [0, SCRAM_ITERATIONS_LIMIT + 1, u32::MAX] {
            assert!(scram_sha256(&password, b"salt", iterations, "").is_err());
        }
    }
}
