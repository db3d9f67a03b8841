//! `kerberos`: logins by Kerberos. A plugin sees tokens; tickets and keys stay here.

#[cfg(not(feature = "kerberos"))]
mod absent;
#[cfg(feature = "kerberos")]
mod gssapi;

use std::sync::Arc;
use std::time::Duration;

use longshore_model::error::{Error, Result};
use longshore_model::grant::{Grant, KerberosGrant};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

#[cfg(not(feature = "kerberos"))]
use absent::Context;
#[cfg(feature = "kerberos")]
use gssapi::Context;

/// How long one step may take: the library asks the realm's servers, one after the other.
pub const STEP_TIMEOUT_SECS: u64 = 60;

/// The longest name of a service.
const SERVICE_LIMIT_BYTES: usize = 64;

/// A login under way, or done.
pub struct Login(Arc<Mutex<Context>>);

/// A step of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The token; may be empty.
    pub token: Vec<u8>,
    /// Whether both sides are satisfied.
    pub done: bool,
}

impl Login {
    /// Begins one with a service of a host that the job names.
    pub async fn begin(grant: &Grant, service: &str, host: &str) -> Result<Self> {
        let KerberosGrant { principal, keytab } = grant.kerberos()?.clone();
        let is_granted =
            grant.endpoints.iter().any(|endpoint| endpoint.host.eq_ignore_ascii_case(host));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !is_granted || service.len() > SERVICE_LIMIT_BYTES || !service.chars().all(is_plain) {
            return Err(Error::auth(format!(
                "the plugin asked for a ticket for {service} on {host}, which its config in the job does not name"
            )));
        }
        let name = format!("{service}@{host}");
        let context =
            blocking(move || Context::begin(&name, principal.as_deref(), keytab.as_deref()));
        Ok(Self(Arc::new(Mutex::new(context.await?))))
    }

    /// Takes the server's token, and gives what is to be sent next.
    pub async fn step(&self, token: Vec<u8>) -> Result<Step> {
        let (token, done) = self.with(move |context| context.step(&token)).await?;
        Ok(Step { token, done })
    }

    /// Protects a message.
    pub async fn wrap(&self, message: Vec<u8>, encrypt: bool) -> Result<Vec<u8>> {
        self.with(move |context| context.wrap(&message, encrypt)).await
    }

    /// Takes the protection off a message.
    pub async fn unwrap(&self, message: Vec<u8>) -> Result<Vec<u8>> {
        self.with(move |context| context.unwrap(&message)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Context) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let context = self.0.clone();
        blocking(move || work(&mut context.lock())).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match timeout(Duration::from_secs(STEP_TIMEOUT_SECS), spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(Error::internal(format!("Kerberos: {error}"))),
        Err(_) => Err(Error::timeout(format!("Kerberos: no answer in {STEP_TIMEOUT_SECS} s"))
            .with_hint("check the realm's servers in krb5.conf")),
    }
}
