//! From the generated import traits to the capabilities.

use longshore_model::grant::Endpoint;
use longshore_model::memory::memory;
use wasmtime::component::{HasSelf, Linker, Resource};

use super::contract::v0_6::capabilities::Capabilities;
use super::contract::v0_6::{clock, connection, digest, http, log, random, secrets, types};
use super::store::{State, ToGuest, to_wire};
use crate::capability::digest::{Encoding, sha256};
use crate::capability::host_env::{Answer, Stream};
use crate::capability::http::Request;
use crate::capability::log::Level;
use crate::capability::scram::Scram;
use crate::capability::tls::{TlsOptions, TlsVerify};

/// Binds all that a plugin of the current contract can import, and nothing else.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    Capabilities::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.count()?;
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        let message = self.env.grant.clean(&message);
        self.log.write(&self.plugin, level, &message);
        Ok(())
    }
}

impl clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.count()?;
        Ok(self.env.now()?)
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        self.count()?;
        Ok(self.env.monotonic()?)
    }

    async fn sleep(&mut self, milliseconds: u32) -> wasmtime::Result<()> {
        self.count()?;
        self.env.sleep(milliseconds).await;
        Ok(())
    }
}

impl random::Host for State {
    async fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.count()?;
        Ok(self.env.random(len).await??)
    }
}

impl secrets::Host for State {
    async fn get(&mut self, field: String) -> ToGuest<String> {
        self.count()?;
        Ok(self.env.secret(&field).await?.map_err(|error| to_wire(&error)))
    }

    async fn scram_sha256(
        &mut self,
        field: String,
        salt: Vec<u8>,
        iterations: u32,
        auth_message: String,
    ) -> ToGuest<secrets::Scram> {
        self.count()?;
        let scram = self.env.scram_sha256(&field, &salt, iterations, &auth_message).await?;
        Ok(match scram {
            Ok(Scram { client_proof, server_signature }) => {
                Ok(secrets::Scram { client_proof, server_signature })
            }
            Err(error) => Err(to_wire(&error)),
        })
    }
}

impl digest::Host for State {
    /// The same arguments always give the same: it is the same live, recorded and replayed.
    fn sha256(
        &mut self,
        values: Vec<u8>,
        offsets: Vec<i32>,
        key: Option<Vec<u8>>,
        encoding: digest::Encoding,
    ) -> ToGuest<Vec<u8>> {
        self.count()?;
        let encoding = match encoding {
            digest::Encoding::Bytes => Encoding::Bytes,
            digest::Encoding::Hex => Encoding::Hex,
        };
        let mut held = memory().account();
        held.set(values.len() + offsets.len() * (size_of::<i32>() + encoding.size()));
        let digests = self.computed(|| sha256(&values, &offsets, key.as_deref(), encoding));
        Ok(digests.map_err(|error| to_wire(&error)))
    }
}

impl connection::Host for State {}

impl connection::HostConnection for State {
    async fn connect(&mut self, endpoint: connection::Endpoint) -> ToGuest<Resource<Stream>> {
        self.count()?;
        let endpoint = Endpoint { host: endpoint.host, port: endpoint.port };
        match self.env.connect(&self.io, endpoint).await? {
            Ok(stream) => Ok(Ok(self.keep(stream)?)),
            Err(error) => Ok(Err(to_wire(&error))),
        }
    }

    async fn start_tls(
        &mut self,
        stream: Resource<Stream>,
        options: connection::TlsOptions,
    ) -> ToGuest<()> {
        self.count()?;
        let options = TlsOptions {
            server_name: options.server_name,
            verify: match options.verify {
                connection::TlsVerify::None => TlsVerify::None,
                connection::TlsVerify::Authority => TlsVerify::Authority,
                connection::TlsVerify::Full => TlsVerify::Full,
            },
            authorities: options.authorities,
        };
        let stream = self.objects.get_mut(&stream)?;
        Ok(self.env.start_tls(stream, &options).await?.map_err(|error| to_wire(&error)))
    }

    async fn read(&mut self, stream: Resource<Stream>, max: u32) -> ToGuest<Vec<u8>> {
        self.count()?;
        let stream = self.objects.get_mut(&stream)?;
        Ok(self.env.read(stream, max).await?.map_err(|error| to_wire(&error)))
    }

    async fn write(&mut self, stream: Resource<Stream>, bytes: Vec<u8>) -> ToGuest<()> {
        self.count()?;
        let stream = self.objects.get_mut(&stream)?;
        Ok(self.env.write(stream, &bytes).await.map_err(|error| to_wire(&error)))
    }

    async fn set_cancel_message(
        &mut self,
        stream: Resource<Stream>,
        bytes: Vec<u8>,
    ) -> ToGuest<()> {
        self.count()?;
        let stream = self.objects.get_mut(&stream)?;
        Ok(self.env.set_cancel_message(stream, bytes).await.map_err(|error| to_wire(&error)))
    }

    async fn drop(&mut self, stream: Resource<Stream>) -> wasmtime::Result<()> {
        self.objects.delete(stream)?;
        Ok(())
    }
}

impl http::Host for State {}

impl http::HostResponse for State {
    async fn send(&mut self, request: http::Request) -> ToGuest<Resource<Answer>> {
        self.count()?;
        let request = Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout_millis: request.timeout_ms,
            authorities: request.authorities,
        };
        match self.env.send(&self.io, request).await? {
            Ok(answer) => Ok(Ok(self.keep(answer)?)),
            Err(error) => Ok(Err(to_wire(&error))),
        }
    }

    async fn status(&mut self, answer: Resource<Answer>) -> wasmtime::Result<u16> {
        self.count()?;
        Ok(self.objects.get(&answer)?.status)
    }

    async fn headers(
        &mut self,
        answer: Resource<Answer>,
    ) -> wasmtime::Result<Vec<(String, String)>> {
        self.count()?;
        Ok(self.objects.get(&answer)?.headers.clone())
    }

    async fn read(&mut self, answer: Resource<Answer>, max: u32) -> ToGuest<Vec<u8>> {
        self.count()?;
        let answer = self.objects.get_mut(&answer)?;
        Ok(self.env.body(answer, max).await?.map_err(|error| to_wire(&error)))
    }

    async fn drop(&mut self, answer: Resource<Answer>) -> wasmtime::Result<()> {
        self.objects.delete(answer)?;
        Ok(())
    }
}
