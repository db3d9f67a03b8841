//! Azure Blob Storage.

use std::env;
use std::path::Path;

use longshore_model::config::place::AzurePlace;
use longshore_model::config::secret;
use longshore_model::error::{Error, Result};
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use serde_json::Value;

use super::client::{check_endpoint, client_options, retry_config};

/// Makes clients of a container, whose requests may take so many seconds.
pub(crate) fn clients(
    place: &AzurePlace,
    secrets: Option<&Path>,
) -> Result<impl Fn(u64) -> Result<MicrosoftAzure>> {
    let (given, side) = (&place.options, place.side);
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(&place.container);
    if let Ok(connection) = env::var("AZURE_STORAGE_CONNECTION_STRING") {
        builder = from_connection_string(builder, &connection);
    }
    if let Some(account) = &given.account {
        builder = builder.with_account(account);
    }
    let endpoint = given.endpoint.clone().or_else(|| env::var("AZURE_STORAGE_ENDPOINT").ok());
    let plain_http = endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    if let Some(endpoint) = endpoint {
        check_endpoint(&format!("{side}.azure.endpoint"), &endpoint)?;
        builder = builder.with_endpoint(endpoint);
    }
    let resolved = |field: &str, written: &Option<Value>| {
        secret::resolve_given(&format!("{side}.azure.{field}"), written, secrets)
    };
    if let Some(key) = resolved("access_key", &given.access_key)? {
        builder = builder.with_access_key(key);
    }
    if let Some(sas) = resolved("sas", &given.sas)? {
        builder = builder.with_config(AzureConfigKey::SasKey, sas);
    }
    Ok(move |secs| {
        let options = client_options(plain_http, secs);
        let built = builder.clone().with_client_options(options).with_retry(retry_config()).build();
        built.map_err(|error| {
            Error::config(format!("`{side}.azure`: {error}"))
                .with_hint("name the account with `azure.account` or AZURE_STORAGE_ACCOUNT_NAME")
        })
    })
}

/// `AccountName=..;AccountKey=..;BlobEndpoint=..`
fn from_connection_string(
    builder: MicrosoftAzureBuilder,
    connection: &str,
) -> MicrosoftAzureBuilder {
    connection.split(';').filter_map(|pair| pair.split_once('=')).fold(
        builder,
        |builder, (key, value)| match key {
            "AccountName" => builder.with_account(value),
            "AccountKey" => builder.with_access_key(value),
            "BlobEndpoint" => builder.with_endpoint(value.to_owned()),
            "SharedAccessSignature" => builder.with_config(AzureConfigKey::SasKey, value),
            _ => builder,
        },
    )
}
