//! Endpoints: each says all that the router, the authorisation and the OpenAPI document need of it.

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use longshore_run::ledger::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::state::SharedState;

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Public,
    /// Who has this role, or a greater one.
    Role(Role),
}

/// What an endpoint takes as its body.
#[derive(Clone, Copy)]
pub(super) enum RequestBody {
    /// JSON of a type.
    Json(SchemaOf),
    /// The text of a job, in any of its formats.
    Job,
}

/// What an endpoint answers, if all goes well.
#[derive(Clone, Copy)]
pub(super) enum AnswerBody {
    /// JSON of a type.
    Json(SchemaOf),
    /// JSON that no type describes.
    AnyJson,
    /// Text.
    Text,
    /// Server-sent events.
    Events,
    /// Nothing.
    Empty,
}

/// An endpoint of the API.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) summary: &'static str,
    pub(super) query: Option<SchemaOf>,
    /// Whether its query also has `param.NAME=VALUE`.
    pub(super) takes_parameters: bool,
    /// The headers that it looks at, and what each is for.
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: Option<RequestBody>,
    pub(super) status: u16,
    /// Whether it answers 200 where what it would make is there already.
    pub(super) asks_once: bool,
    pub(super) answer: AnswerBody,
    /// Whether it changes something: then the audit log tells of it.
    pub(super) is_change: bool,
    pub(super) route: MethodRouter<SharedState>,
}

/// An endpoint that is looked at, by viewers.
pub(super) fn get<H, T>(path: &'static str, summary: &'static str, handler: H) -> Endpoint
where
    H: Handler<T, SharedState>,
    T: 'static,
{
    Endpoint {
        method: Method::GET,
        path,
        access: Access::Role(Role::Viewer),
        summary,
        query: None,
        takes_parameters: false,
        headers: Vec::new(),
        body: None,
        status: 200,
        asks_once: false,
        answer: AnswerBody::AnyJson,
        is_change: false,
        route: on(MethodFilter::GET, handler),
    }
}

/// An endpoint that does something, for operators.
pub(super) fn post<H, T>(path: &'static str, summary: &'static str, handler: H) -> Endpoint
where
    H: Handler<T, SharedState> + Clone,
    T: 'static,
{
    let route = on(MethodFilter::POST, handler.clone());
    let access = Access::Role(Role::Operator);
    Endpoint { method: Method::POST, access, route, ..get(path, summary, handler) }
}

/// An endpoint that removes something, for operators.
pub(super) fn delete<H, T>(path: &'static str, summary: &'static str, handler: H) -> Endpoint
where
    H: Handler<T, SharedState> + Clone,
    T: 'static,
{
    let route = on(MethodFilter::DELETE, handler.clone());
    Endpoint { method: Method::DELETE, route, ..post(path, summary, handler) }.changes()
}

impl Endpoint {
    pub(super) fn public(self) -> Self {
        Self { access: Access::Public, ..self }
    }

    pub(super) fn role(self, role: Role) -> Self {
        Self { access: Access::Role(role), ..self }
    }

    pub(super) fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(SchemaGenerator::subschema_for::<T>), ..self }
    }

    pub(super) fn parameters(self) -> Self {
        Self { takes_parameters: true, ..self }
    }

    pub(super) fn header(mut self, name: &'static str, what: &'static str) -> Self {
        self.headers.push((name, what));
        self
    }

    pub(super) fn body<T: JsonSchema>(self) -> Self {
        Self { body: Some(RequestBody::Json(SchemaGenerator::subschema_for::<T>)), ..self }
    }

    pub(super) fn job_body(self) -> Self {
        Self { body: Some(RequestBody::Job), ..self }
    }

    pub(super) fn answer<T: JsonSchema>(self) -> Self {
        Self { answer: AnswerBody::Json(SchemaGenerator::subschema_for::<T>), ..self }
    }

    pub(super) fn events(self) -> Self {
        Self { answer: AnswerBody::Events, ..self }
    }

    pub(super) fn text(self) -> Self {
        Self { answer: AnswerBody::Text, ..self }
    }

    pub(super) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) fn asks_once(self) -> Self {
        Self { asks_once: true, ..self }
    }

    pub(super) fn empty(self) -> Self {
        Self { answer: AnswerBody::Empty, status: 204, ..self }
    }

    pub(super) fn changes(self) -> Self {
        Self { is_change: true, ..self }
    }
}
