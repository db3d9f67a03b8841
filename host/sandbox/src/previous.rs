//! What the host does for components of the previous contract: their imports are those of the current one
//! under other names, and what their exports give is turned into the current types.

use wasmtime::Store;
use wasmtime::component::{HasSelf, Linker, Resource};

use super::capability::host_env::{Answer, OdbcSession, Stream, Ticket};
use super::contract::v0_5;
use super::contract::v0_5::capabilities::longshore::plugin0_5_0 as imports;
use super::contract::v0_5::connector::exports::longshore::plugin0_5_0::connector_api;
use super::contract::v0_5::transform::exports::longshore::plugin0_5_0::transform_api;
use super::contract::v0_6::connector_types::{ConnectorFeatures, SnapshotResult};
use super::contract::v0_6::types::Description;
use super::contract::v0_6::{
    clock, connection, http, kerberos, log, odbc, odbc_types, random, secrets,
};
use super::plugin_info::PluginInfo;
use super::store::{State, ToGuest};

/// Binds what a plugin of the previous contract can import.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    // One by one: the world as a whole would bind the current interfaces that these take types from again.
    imports::log::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::clock::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::random::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::secrets::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::connection::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::http::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::odbc::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    imports::kerberos::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

/// Asks a connector what it is.
pub(super) async fn describe_connector(
    of: &v0_5::connector::Connector,
    store: &mut Store<State>,
) -> wasmtime::Result<PluginInfo> {
    let connector_api::Description {
        name,
        version,
        summary,
        schemes,
        config_schema,
        endpoints,
        secrets,
        pushdown,
        consistency,
    } = of.api().call_describe(store).await?;
    let description =
        Description { name, version, summary, schemes, config_schema, endpoints, secrets };
    let features = Some(ConnectorFeatures { pushdown, consistency });
    Ok(PluginInfo { description, features })
}

/// Asks a transform what it is.
pub(super) async fn describe_transform(
    of: &v0_5::transform::Transform,
    store: &mut Store<State>,
) -> wasmtime::Result<PluginInfo> {
    let transform_api::Description { name, version, summary, config_schema, secrets } =
        of.api().call_describe(store).await?;
    let (schemes, endpoints) = (Vec::new(), Vec::new());
    let description =
        Description { name, version, summary, schemes, config_schema, endpoints, secrets };
    Ok(PluginInfo { description, features: None })
}

/// Asks a sink what it is.
pub(super) async fn describe_sink(
    of: &v0_5::sink::Sink,
    store: &mut Store<State>,
) -> wasmtime::Result<PluginInfo> {
    let description = of.api().call_describe(store).await?;
    Ok(PluginInfo { description, features: None })
}

impl From<connector_api::Hold> for SnapshotResult {
    fn from(hold: connector_api::Hold) -> Self {
        match hold {
            connector_api::Hold::Held(snapshot) => Self::Opened(snapshot),
            connector_api::Hold::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl imports::log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        log::Host::write(self, level, message)
    }
}

impl imports::clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        clock::Host::now(self)
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        clock::Host::monotonic(self)
    }

    async fn sleep(&mut self, milliseconds: u32) -> wasmtime::Result<()> {
        clock::Host::sleep(self, milliseconds).await
    }
}

impl imports::random::Host for State {
    async fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        random::Host::bytes(self, len).await
    }
}

impl imports::secrets::Host for State {
    async fn get(&mut self, field: String) -> ToGuest<String> {
        secrets::Host::get(self, field).await
    }

    async fn scram_sha256(
        &mut self,
        field: String,
        salt: Vec<u8>,
        iterations: u32,
        auth_message: String,
    ) -> ToGuest<secrets::Scram> {
        secrets::Host::scram_sha256(self, field, salt, iterations, auth_message).await
    }
}

impl imports::connection::Host for State {}

impl imports::connection::HostConnection for State {
    async fn connect(&mut self, endpoint: connection::Endpoint) -> ToGuest<Resource<Stream>> {
        connection::HostConnection::connect(self, endpoint).await
    }

    async fn start_tls(
        &mut self,
        stream: Resource<Stream>,
        options: connection::TlsOptions,
    ) -> ToGuest<()> {
        connection::HostConnection::start_tls(self, stream, options).await
    }

    async fn read(&mut self, stream: Resource<Stream>, max: u32) -> ToGuest<Vec<u8>> {
        connection::HostConnection::read(self, stream, max).await
    }

    async fn write(&mut self, stream: Resource<Stream>, bytes: Vec<u8>) -> ToGuest<()> {
        connection::HostConnection::write(self, stream, bytes).await
    }

    async fn farewell(&mut self, stream: Resource<Stream>, bytes: Vec<u8>) -> ToGuest<()> {
        connection::HostConnection::set_cancel_message(self, stream, bytes).await
    }

    async fn drop(&mut self, stream: Resource<Stream>) -> wasmtime::Result<()> {
        connection::HostConnection::drop(self, stream).await
    }
}

impl imports::http::Host for State {}

impl imports::http::HostResponse for State {
    async fn send(&mut self, request: http::Request) -> ToGuest<Resource<Answer>> {
        http::HostResponse::send(self, request).await
    }

    async fn status(&mut self, answer: Resource<Answer>) -> wasmtime::Result<u16> {
        http::HostResponse::status(self, answer).await
    }

    async fn headers(&mut self, answer: Resource<Answer>) -> wasmtime::Result<Vec<http::Header>> {
        http::HostResponse::headers(self, answer).await
    }

    async fn read(&mut self, answer: Resource<Answer>, max: u32) -> ToGuest<Vec<u8>> {
        http::HostResponse::read(self, answer, max).await
    }

    async fn drop(&mut self, answer: Resource<Answer>) -> wasmtime::Result<()> {
        http::HostResponse::drop(self, answer).await
    }
}

impl imports::odbc::Host for State {
    async fn drivers(&mut self) -> ToGuest<Vec<String>> {
        odbc::Host::drivers(self).await
    }
}

impl imports::odbc::HostSession for State {
    async fn connect(&mut self, login: odbc_types::Login) -> ToGuest<Resource<OdbcSession>> {
        odbc::HostSession::connect(self, login).await
    }

    async fn product(&mut self, session: Resource<OdbcSession>) -> ToGuest<odbc::Product> {
        odbc::HostSession::product(self, session).await
    }

    async fn catalog(
        &mut self,
        session: Resource<OdbcSession>,
        what: odbc::Catalog,
    ) -> ToGuest<Vec<Vec<Option<String>>>> {
        odbc::HostSession::catalog(self, session, what).await
    }

    async fn describe(
        &mut self,
        session: Resource<OdbcSession>,
        sql: String,
    ) -> ToGuest<Vec<odbc::Column>> {
        odbc::HostSession::describe(self, session, sql).await
    }

    async fn query(
        &mut self,
        session: Resource<OdbcSession>,
        sql: String,
        parameters: Vec<odbc_types::Value>,
        max_rows: u32,
    ) -> ToGuest<Vec<Vec<Option<String>>>> {
        odbc::HostSession::query(self, session, sql, parameters, max_rows).await
    }

    async fn drop(&mut self, session: Resource<OdbcSession>) -> wasmtime::Result<()> {
        odbc::HostSession::drop(self, session).await
    }
}

impl imports::kerberos::Host for State {
    async fn granted(&mut self) -> wasmtime::Result<bool> {
        kerberos::Host::granted(self).await
    }
}

impl imports::kerberos::HostLogin for State {
    async fn begin(&mut self, service: String, host: String) -> ToGuest<Resource<Ticket>> {
        kerberos::HostLogin::begin(self, service, host).await
    }

    async fn step(&mut self, login: Resource<Ticket>, token: Vec<u8>) -> ToGuest<kerberos::Step> {
        kerberos::HostLogin::step(self, login, token).await
    }

    async fn wrap(
        &mut self,
        login: Resource<Ticket>,
        message: Vec<u8>,
        encrypt: bool,
    ) -> ToGuest<Vec<u8>> {
        kerberos::HostLogin::wrap(self, login, message, encrypt).await
    }

    async fn unwrap(&mut self, login: Resource<Ticket>, message: Vec<u8>) -> ToGuest<Vec<u8>> {
        kerberos::HostLogin::unwrap(self, login, message).await
    }

    async fn drop(&mut self, login: Resource<Ticket>) -> wasmtime::Result<()> {
        kerberos::HostLogin::drop(self, login).await
    }
}
