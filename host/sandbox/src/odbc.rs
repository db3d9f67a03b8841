//! From the generated `odbc` to the capability.

use longshore_model::error::Result;
use longshore_model::grant::odbc::{Login, Setting};
use longshore_odbc_wire as wire;
use serde::de::DeserializeOwned;
use wasmtime::component::Resource;

use super::contract::v0_6::{odbc, odbc_types, types};
use super::store::{State, ToGuest, to_wire};
use crate::capability::host_env::OdbcSession;
use crate::capability::odbc::{QUERY_LIMIT_ROWS, parsed};

impl From<&odbc_types::Login> for Login {
    fn from(login: &odbc_types::Login) -> Self {
        let attribute = |attribute: &odbc_types::Attribute| {
            let setting = match &attribute.value {
                odbc_types::Setting::Text(text) => Setting::Text(text.clone()),
                odbc_types::Setting::Secret(field) => Setting::Secret(field.clone()),
            };
            (attribute.name.clone(), setting)
        };
        Self {
            attributes: login.attributes.iter().map(attribute).collect(),
            setup: login.setup.clone(),
            timeout_secs: login.timeout_secs,
        }
    }
}

impl odbc_types::Host for State {}

impl odbc::Host for State {
    async fn drivers(&mut self) -> ToGuest<Vec<String>> {
        self.count()?;
        let listed = self.env.odbc_drivers(&self.io).await?;
        Ok(self.answer(listed))
    }
}

impl odbc::HostSession for State {
    async fn connect(&mut self, login: odbc_types::Login) -> ToGuest<Resource<OdbcSession>> {
        self.count()?;
        match self.env.odbc_connect(&self.io, &Login::from(&login)).await? {
            Ok(session) => Ok(Ok(self.keep(session)?)),
            Err(error) => Ok(Err(self.refusal(error))),
        }
    }

    async fn product(&mut self, session: Resource<OdbcSession>) -> ToGuest<odbc::Product> {
        self.ask(&session, wire::Request::Product).await
    }

    async fn catalog(
        &mut self,
        session: Resource<OdbcSession>,
        what: odbc::Catalog,
    ) -> ToGuest<wire::Rows> {
        let table =
            |odbc::TableName { catalog, schema, name }| wire::TableName { catalog, schema, name };
        let what = match what {
            odbc::Catalog::Tables => wire::Catalog::Tables,
            odbc::Catalog::PrimaryKey(of) => wire::Catalog::PrimaryKey(table(of)),
            odbc::Catalog::Statistics(of) => wire::Catalog::Statistics(table(of)),
        };
        self.ask(&session, wire::Request::Catalog(what)).await
    }

    async fn describe(
        &mut self,
        session: Resource<OdbcSession>,
        sql: String,
    ) -> ToGuest<Vec<odbc::Column>> {
        self.ask(&session, wire::Request::Describe(sql)).await
    }

    async fn query(
        &mut self,
        session: Resource<OdbcSession>,
        sql: String,
        parameters: Vec<odbc_types::Value>,
        max_rows: u32,
    ) -> ToGuest<wire::Rows> {
        let value = |value| match value {
            odbc_types::Value::Integer(number) => wire::Value::Integer(number),
            odbc_types::Value::Text(text) => wire::Value::Text(text),
        };
        let parameters = parameters.into_iter().map(value).collect();
        let max_rows = max_rows.min(QUERY_LIMIT_ROWS);
        self.ask(&session, wire::Request::Query { sql, parameters, max_rows }).await
    }

    async fn drop(&mut self, session: Resource<OdbcSession>) -> wasmtime::Result<()> {
        self.objects.delete(session)?;
        Ok(())
    }
}

impl State {
    async fn ask<T: DeserializeOwned>(
        &mut self,
        session: &Resource<OdbcSession>,
        request: wire::Request,
    ) -> ToGuest<T> {
        self.count()?;
        let session = self.objects.get_mut(session)?;
        let answered = self.env.odbc_ask(session, &request).await?;
        Ok(self.answer(answered))
    }

    fn answer<T: DeserializeOwned>(&self, answered: Result<Vec<u8>>) -> Result<T, types::Error> {
        let answer = answered.and_then(|answer| parsed(&answer));
        answer.map_err(|error| self.refusal(error))
    }

    /// A driver's words may hold the connection string that it was given.
    fn refusal(&self, error: longshore_model::error::Error) -> types::Error {
        let code = error.code().map(str::to_owned);
        let error = error.with_code(None).told(|text| self.env.grant.clean(text));
        types::Error { code, ..to_wire(&error) }
    }
}
