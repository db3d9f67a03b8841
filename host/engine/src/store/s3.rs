//! Amazon S3 and what is compatible with it.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_model::config::place::{S3Options, S3Place};
use longshore_model::config::secret;
use longshore_model::error::{Error, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use serde_json::Value;

use super::client::{REQUEST_TIMEOUT_SECS, check_endpoint, client_options, retry_config};
use super::s3_uploads::S3Uploads;

/// Where nobody names a region: compatible stores take any.
const DEFAULT_REGION: &str = "us-east-1";

/// What lists the uploads that a bucket keeps open.
pub(crate) fn open_uploads(place: &S3Place, secrets: Option<&Path>) -> Result<Arc<S3Uploads>> {
    let store = clients(place, secrets)?(REQUEST_TIMEOUT_SECS)?;
    let profile = profile(&format!("{}.s3.profile", place.side), place.options.profile.as_deref())?;
    let plain_http =
        endpoint(&place.options, &profile).is_some_and(|url| url.starts_with("http://"));
    S3Uploads::new(store, region(&place.options, &profile), plain_http, REQUEST_TIMEOUT_SECS)
}

fn region(given: &S3Options, profile: &HashMap<String, String>) -> String {
    let region = given
        .region
        .clone()
        .or_else(|| env::var("AWS_REGION").ok())
        .or_else(|| env::var("AWS_DEFAULT_REGION").ok())
        .or_else(|| profile.get("region").cloned());
    region.unwrap_or_else(|| DEFAULT_REGION.into())
}

fn endpoint(given: &S3Options, profile: &HashMap<String, String>) -> Option<String> {
    given
        .endpoint
        .clone()
        .or_else(|| env::var("AWS_ENDPOINT_URL_S3").ok())
        .or_else(|| env::var("AWS_ENDPOINT_URL").ok())
        .or_else(|| profile.get("endpoint_url").cloned())
}

/// What is put into a request's header must be able to stand there.
fn check_key(field: &str, key: String) -> Result<String> {
    if !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(Error::config(format!("`{field}` holds a character that no key has"))
            .with_hint("look for line ends and blanks in what it is read from"));
    }
    Ok(key)
}

/// Makes clients of a bucket, whose requests may take so many seconds.
pub(crate) fn clients(
    place: &S3Place,
    secrets: Option<&Path>,
) -> Result<impl Fn(u64) -> Result<AmazonS3>> {
    let (given, side) = (&place.options, place.side);
    let profile = profile(&format!("{side}.s3.profile"), given.profile.as_deref())?;
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(&place.bucket);
    let region = region(given, &profile);
    if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Error::config(format!("`{side}.s3.region` is no region's name"))
            .with_hint("write it as in us-east-1"));
    }
    builder = builder.with_region(region);
    let endpoint = endpoint(given, &profile);
    if let Some(endpoint) = &endpoint {
        check_endpoint(&format!("{side}.s3.endpoint"), endpoint)?;
    }
    let plain_http = endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder = builder.with_virtual_hosted_style_request(given.virtual_hosted.unwrap_or(false));
    let resolved = |field: &str, written: &Option<Value>| {
        let field = format!("{side}.s3.{field}");
        let given = secret::resolve_given(&field, written, secrets)?;
        given.map(|key| check_key(&field, key)).transpose()
    };
    let keys = [
        (resolved("access_key_id", &given.access_key_id)?, "aws_access_key_id"),
        (resolved("secret_access_key", &given.secret_access_key)?, "aws_secret_access_key"),
        (resolved("session_token", &given.session_token)?, "aws_session_token"),
    ];
    let named = given.profile.is_some() || env::var_os("AWS_ACCESS_KEY_ID").is_none();
    let from_job = keys.iter().any(|(value, _)| value.is_some());
    let [id, key, token] = keys.map(|(value, name)| {
        value.or_else(|| profile.get(name).cloned().filter(|_| named && !from_job))
    });
    if let (Some(id), Some(key)) = (id, key) {
        builder = builder.with_access_key_id(id).with_secret_access_key(key);
        builder = builder.with_token(token.unwrap_or_default());
    }
    Ok(move |secs| {
        let options = client_options(plain_http, secs);
        let built = builder.clone().with_client_options(options).with_retry(retry_config()).build();
        built.map_err(|error| {
            Error::config(format!("`{side}.s3`: {error}"))
                .with_hint(format!("check `{side}.url` and `{side}.s3`"))
        })
    })
}

/// The settings of a profile, from AWS's own two files. One that the job names must be there.
fn profile(at: &str, named: Option<&str>) -> Result<HashMap<String, String>> {
    let from_env = env::var("AWS_PROFILE").ok();
    let name = named.or(from_env.as_deref()).unwrap_or("default");
    let home = env::home_dir().unwrap_or_default().join(".aws");
    let file = |variable: &str, default: &str| {
        env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| home.join(default))
    };
    let mut settings = HashMap::new();
    let sources = [
        (file("AWS_CONFIG_FILE", "config"), format!("profile {name}")),
        (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), name.to_owned()),
    ];
    let mut found = false;
    for (path, section) in &sources {
        let Ok(text) = fs::read_to_string(path) else { continue };
        for wanted in [section.as_str(), name] {
            if let Some(pairs) = ini_section(&text, wanted) {
                settings.extend(pairs);
                found = true;
                break;
            }
        }
    }
    match named {
        Some(name) if !found => Err(Error::config(format!("`{at}`: there is no profile `{name}`"))
            .with_hint(format!("add it to {}", sources[1].0.display()))),
        _ => Ok(settings),
    }
}

/// The pairs of one section of an INI file.
fn ini_section(text: &str, name: &str) -> Option<HashMap<String, String>> {
    let header = |line: &str| {
        line.trim().strip_prefix('[')?.split_once(']').map(|(name, _)| name.trim().to_owned())
    };
    let mut lines = text.lines().skip_while(|line| header(line).as_deref() != Some(name));
    lines.next()?;
    let pairs = lines.take_while(|line| header(line).is_none()).filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    });
    Some(pairs.filter(|(key, _)| !key.starts_with('#')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_among_others() {
        let text =
            "[default]\nregion = a\n\n[profile lake]\n# no\nregion=b\naws_access_key_id = k\n[x]\n";
        let lake = ini_section(text, "profile lake").unwrap();
        assert_eq!((lake["region"].as_str(), lake["aws_access_key_id"].as_str()), ("b", "k"));
        assert_eq!(lake.len(), 2);
        assert!(ini_section(text, "lake").is_none());
    }
}
