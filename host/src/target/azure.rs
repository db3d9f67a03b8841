//! Azure Blob Storage.

use std::env;
use std::path::Path;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::by_completion::ByCompletion;
use super::object_files::{REQUEST_TIMEOUT_SECS, client_options, retry_config};
use super::upload::WRITE_TIMEOUT_SECS;
use crate::config::secret;
use crate::config::target::AzurePlace;
use crate::error::{Error, Result};

pub(super) fn open(place: &AzurePlace, secrets: Option<&Path>) -> Result<ByCompletion> {
    let given = &place.options;
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
        builder = builder.with_endpoint(endpoint);
    }
    let key = secret::resolve_given("target.azure.access_key", &given.access_key, secrets)?;
    if let Some(key) = key {
        builder = builder.with_access_key(key);
    }
    if let Some(sas) = secret::resolve_given("target.azure.sas", &given.sas, secrets)? {
        builder = builder.with_config(AzureConfigKey::SasKey, sas);
    }
    let client = |secs| {
        let options = client_options(plain_http, secs);
        let built = builder.clone().with_client_options(options).with_retry(retry_config()).build();
        built.map_err(|error| {
            Error::config(format!("`target.azure`: {error}"))
                .with_hint("name the account with `azure.account` or AZURE_STORAGE_ACCOUNT_NAME")
        })
    };
    let (store, uploads) = (client(REQUEST_TIMEOUT_SECS)?, client(WRITE_TIMEOUT_SECS)?);
    Ok(ByCompletion::new(
        store,
        uploads,
        format!("azure://{}", place.container),
        place.prefix.clone(),
    ))
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
