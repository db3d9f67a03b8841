//! From the generated import traits to the capabilities.

use wasmtime::component::{HasSelf, Linker, Resource};

use super::bindings::{Capabilities, clock, connection, http, log, random, secrets, types};
use super::store::{State, to_wire};
use crate::capability::connection::{Connection, TlsOptions, TlsVerify};
use crate::capability::http::{Request, Response};
use crate::capability::{self, Endpoint, log::Level};

/// Binds all that a plugin can import, and nothing else.
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
        let message = self.grant.clean(&message);
        self.log.write(&self.plugin, level, &message);
        Ok(())
    }
}

impl clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.count()?;
        Ok(capability::now_ns())
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        self.count()?;
        Ok(capability::monotonic_ns(self.started))
    }

    async fn sleep(&mut self, milliseconds: u32) -> wasmtime::Result<()> {
        self.count()?;
        capability::sleep(milliseconds).await;
        Ok(())
    }
}

impl random::Host for State {
    fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.count()?;
        capability::random_bytes(len).map_err(wasmtime::Error::new)
    }
}

impl secrets::Host for State {
    fn get(&mut self, field: String) -> wasmtime::Result<Result<String, types::Error>> {
        self.count()?;
        let secret = self.grant.secret(&field);
        Ok(secret.map(|value| value.reveal().to_owned()).map_err(|error| to_wire(&error)))
    }
}

impl connection::Host for State {}

impl connection::HostConnection for State {
    async fn connect(
        &mut self,
        endpoint: connection::Endpoint,
    ) -> wasmtime::Result<Result<Resource<Connection>, types::Error>> {
        self.count()?;
        let endpoint = Endpoint { host: endpoint.host, port: endpoint.port };
        match Connection::connect(&self.io, &self.grant, endpoint).await {
            Ok(connection) => Ok(Ok(self.objects.push(connection)?)),
            Err(error) => Ok(Err(to_wire(&error))),
        }
    }

    async fn start_tls(
        &mut self,
        connection: Resource<Connection>,
        options: connection::TlsOptions,
    ) -> wasmtime::Result<Result<(), types::Error>> {
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
        let connection = self.objects.get_mut(&connection)?;
        Ok(connection.start_tls(&options).await.map_err(|error| to_wire(&error)))
    }

    async fn read(
        &mut self,
        connection: Resource<Connection>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, types::Error>> {
        self.count()?;
        let connection = self.objects.get_mut(&connection)?;
        Ok(connection.read(max).await.map_err(|error| to_wire(&error)))
    }

    async fn write(
        &mut self,
        connection: Resource<Connection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        self.count()?;
        let connection = self.objects.get_mut(&connection)?;
        Ok(connection.write(&bytes).await.map_err(|error| to_wire(&error)))
    }

    async fn farewell(
        &mut self,
        connection: Resource<Connection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        self.count()?;
        let connection = self.objects.get_mut(&connection)?;
        Ok(connection.farewell(bytes).map_err(|error| to_wire(&error)))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.objects.delete(connection)?;
        Ok(())
    }
}

impl http::Host for State {}

impl http::HostResponse for State {
    async fn send(
        &mut self,
        request: http::Request,
    ) -> wasmtime::Result<Result<Resource<Response>, types::Error>> {
        self.count()?;
        let request = Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout_millis: request.timeout_ms,
            authorities: request.authorities,
        };
        match self.http.send(&self.io, &self.grant, request).await {
            Ok(response) => Ok(Ok(self.objects.push(response)?)),
            Err(error) => Ok(Err(to_wire(&error))),
        }
    }

    async fn status(&mut self, response: Resource<Response>) -> wasmtime::Result<u16> {
        self.count()?;
        Ok(self.objects.get(&response)?.status())
    }

    async fn headers(
        &mut self,
        response: Resource<Response>,
    ) -> wasmtime::Result<Vec<(String, String)>> {
        self.count()?;
        Ok(self.objects.get(&response)?.headers())
    }

    async fn read(
        &mut self,
        response: Resource<Response>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, types::Error>> {
        self.count()?;
        let response = self.objects.get_mut(&response)?;
        Ok(response.read(max).await.map_err(|error| to_wire(&error)))
    }

    async fn drop(&mut self, response: Resource<Response>) -> wasmtime::Result<()> {
        self.objects.delete(response)?;
        Ok(())
    }
}
