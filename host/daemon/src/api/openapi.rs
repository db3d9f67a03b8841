//! The OpenAPI document, made from the table of endpoints.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::answer::ErrorAnswer;
use super::endpoint::{Access, AnswerBody, Endpoint, RequestBody};

/// The formats in which a job can be sent.
const JOB_TYPES: [&str; 3] = ["application/yaml", "application/json", "application/toml"];

/// The OpenAPI document of these endpoints.
pub(super) fn document_of(endpoints: &[Endpoint]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &mut schemas);
        let methods = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        methods[endpoint.method.as_str().to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Longshore",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The HTTP API of the Longshore daemon.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": super::caller::SESSION_COOKIE },
            },
        },
    })
}

fn operation(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "summary": endpoint.summary,
        "operationId": operation_id(endpoint),
        "responses": responses(endpoint, schemas),
    });
    let parameters = parameters(endpoint, schemas);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = endpoint.body {
        operation["requestBody"] = request_body(body, schemas);
    }
    if let Access::Role(role) = endpoint.access {
        let role: &str = role.into();
        operation["security"] = json!([{ "token": [] }, { "session": [] }]);
        operation["description"] = format!("Needs the role {role}.").into();
    }
    operation
}

fn responses(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    let answer = answer(endpoint, schemas);
    let mut responses = json!({
        endpoint.status.to_string(): answer,
        "default": {
            "description": "What went wrong, who must act, and what to do",
            "content": content(&["application/json"], &schema_of::<ErrorAnswer>(schemas)),
        },
    });
    if endpoint.asks_once {
        responses["200"] = answer;
    }
    responses
}

/// `GET /api/v1/runs/{run}/log` is `get-runs-run-log`.
fn operation_id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.trim_start_matches("/api/v1");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let method = endpoint.method.as_str().to_ascii_lowercase();
    [method.as_str()].into_iter().chain(words).collect::<Vec<_>>().join("-")
}

fn answer(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    match endpoint.answer {
        AnswerBody::Json(schema) => json!({
            "description": endpoint.summary,
            "content": content(&["application/json"], &schema(schemas)),
        }),
        AnswerBody::AnyJson => json!({
            "description": endpoint.summary,
            "content": content(&["application/json"], &Schema::default()),
        }),
        AnswerBody::Text => json!({
            "description": endpoint.summary,
            "content": content(&["text/plain"], &json_schema_of_text()),
        }),
        AnswerBody::Events => json!({
            "description": "Events `run` (with ids), `progress` and `log`, with JSON as their data",
            "content": content(&["text/event-stream"], &json_schema_of_text()),
        }),
        AnswerBody::Empty => json!({ "description": endpoint.summary }),
    }
}

fn request_body(body: RequestBody, schemas: &mut SchemaGenerator) -> Value {
    let content = match body {
        RequestBody::Json(schema) => content(&["application/json"], &schema(schemas)),
        RequestBody::Job => content(&JOB_TYPES, &Schema::default()),
    };
    json!({ "required": true, "content": content })
}

fn content(types: &[&str], schema: &Schema) -> Value {
    let each = types.iter().map(|name| ((*name).to_owned(), json!({ "schema": schema })));
    Value::Object(each.collect())
}

fn parameters(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters: Vec<Value> = names_in(endpoint.path)
        .map(|name| {
            let kind = if name == "chunk" { "integer" } else { "string" };
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": kind } })
        })
        .collect();
    if let Some(query) = endpoint.query {
        parameters.extend(query_parameters(&query(schemas), schemas));
    }
    if endpoint.takes_parameters {
        parameters.push(json!({
            "name": "param", "in": "query", "style": "form", "explode": true,
            "description": "Values for the parameters of the job: each property of this object, named \
                            `param.NAME`",
            "schema": {
                "type": "object",
                "patternProperties": { "^param\\.": { "type": "string" } },
                "additionalProperties": false,
            },
        }));
    }
    for (name, what) in &endpoint.headers {
        let text = json!({ "type": "string" });
        parameters
            .push(json!({ "name": name, "in": "header", "description": what, "schema": text }));
    }
    parameters
}

/// The properties of a query's type, each as a parameter.
fn query_parameters(query: &Schema, schemas: &SchemaGenerator) -> Vec<Value> {
    let query = query.as_value();
    let name = query["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let whole = match name.and_then(|name| schemas.definitions().get(name)) {
        Some(definition) => definition,
        None => query,
    };
    let required: Vec<&str> =
        whole["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = whole["properties"].as_object().into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| {
        json!({
            "name": name,
            "in": "query",
            "required": required.contains(&name.as_str()),
            "schema": without_null(schema),
        })
    };
    properties.map(parameter).collect()
}

/// A query has no null: what may be absent is not required.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(types) = schema["type"].as_array() {
        let kinds: Vec<&Value> = types.iter().filter(|kind| *kind != "null").collect();
        if let [only] = kinds[..] {
            schema["type"] = only.clone();
        }
    }
    schema
}

/// The names of a path's parts: `{run}` is `run`.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn schema_of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

fn json_schema_of_text() -> Schema {
    schemars::json_schema!({ "type": "string" })
}
