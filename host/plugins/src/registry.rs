//! Components from an OCI registry, as `oras push`, `wkg oci push` and others put them there: an image
//! whose one layer of type `application/wasm` is the component.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::grant::SecretValue;
use longshore_sandbox::capability::connection::CONNECT_TIMEOUT_SECS;
use longshore_sandbox::capability::tls::{TlsOptions, TlsVerify, client_config};
use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use url::Url;

use super::admission::signature_of;
use super::component_file::COMPONENT_LIMIT_BYTES;

/// The most bytes of a manifest, and of whatever a registry says besides components.
pub const MANIFEST_LIMIT_BYTES: u64 = 4 << 20;

/// How long a registry may be silent.
pub const REGISTRY_TIMEOUT_SECS: u64 = 30;

const SCHEME: &str = "oci://";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const COMPONENT_TYPE: &str = "application/wasm";

/// The annotation that holds a layer's file name.
const TITLE: &str = "org.opencontainers.image.title";

/// `oci://registry.example.org/team/shop:1.2`, or `@sha256:DIGEST` in the tag's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// A host, perhaps with a port.
    registry: String,
    repository: String,
    /// A tag, or a digest.
    wanted: String,
}

impl Reference {
    /// Whether a text is meant as one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The repository's own name.
    fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!("`{text}` names nothing in a registry")).with_hint(
                "write it as in oci://registry.example.org/team/shop:1.2, or with @sha256:DIGEST",
            )
        };
        let (registry, path) =
            text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let named = path.split_once('@').or_else(|| path.rsplit_once(':'));
        let (repository, wanted) = named.unwrap_or((path, "latest"));
        let is_of = |text: &str, more: &str| {
            let is_fine = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
                && text.chars().all(is_fine)
        };
        let is_fine = is_of(registry, ".-:[]")
            && repository.split('/').all(|part| is_of(part, "._-"))
            && is_of(wanted, "._-:");
        if is_fine {
            Ok(Self {
                registry: registry.to_owned(),
                repository: repository.to_owned(),
                wanted: wanted.to_owned(),
            })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, wanted } = self;
        let sign = if wanted.contains(':') { '@' } else { ':' };
        write!(f, "{SCHEME}{registry}/{repository}{sign}{wanted}")
    }
}

/// An image, as far as it matters here.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Layer {
    fn is_signature(&self) -> bool {
        self.annotations.get(TITLE).is_some_and(|title| title.ends_with(".minisig"))
    }
}

/// The credentials for a registry.
#[derive(Clone)]
struct Login {
    user: String,
    password: SecretValue,
}

/// A registry's repository, as far as one pull needs it.
struct Repository<'a> {
    client: Client,
    reference: &'a Reference,
    login: Option<Login>,
    /// The token of a token server.
    token: Option<SecretValue>,
}

/// Fetches a component into a folder, with its signature if there is one, and gives its path. Logs in
/// as `docker login`, `oras login` or `podman login` has written it down.
pub async fn pull(reference: &Reference, folder: &Path) -> Result<PathBuf> {
    let login = Login::find(&reference.registry)?;
    let mut repository = Repository { client: client()?, reference, login, token: None };
    let pulled = repository.pull(folder).await;
    pulled.context(reference.to_string())
}

impl Repository<'_> {
    async fn pull(&mut self, folder: &Path) -> Result<PathBuf> {
        let manifest = self.manifest().await?;
        let components: Vec<&Layer> =
            manifest.layers.iter().filter(|layer| layer.media_type == COMPONENT_TYPE).collect();
        let [component] = components.as_slice() else {
            return Err(Error::config(format!(
                "it has {} layers of type {COMPONENT_TYPE}, and must have one",
                components.len()
            ))
            .with_hint("push it as in `oras push REFERENCE shop.wasm:application/wasm`"));
        };
        let path = folder.join(format!("{}.wasm", self.reference.name()));
        self.blob(component, COMPONENT_LIMIT_BYTES, &path).await?;
        if let Some(signature) = manifest.layers.iter().find(|layer| layer.is_signature()) {
            self.blob(signature, MANIFEST_LIMIT_BYTES, &signature_of(&path)).await?;
        }
        Ok(path)
    }

    async fn manifest(&mut self) -> Result<Manifest> {
        let wanted = &self.reference.wanted;
        let answer = self.get(&format!("manifests/{wanted}"), Some(MANIFEST_TYPE)).await?;
        let bytes = body(answer, MANIFEST_LIMIT_BYTES).await?;
        if wanted.contains(':') {
            check(&bytes, wanted)?;
        }
        read(&bytes, "the manifest")
    }

    async fn blob(&mut self, layer: &Layer, limit_bytes: u64, to: &Path) -> Result<()> {
        let Layer { digest, size, .. } = layer;
        if *size > limit_bytes {
            return Err(Error::config(format!(
                "{digest} has {size} bytes, the limit is {limit_bytes}"
            )));
        }
        tracing::info!("{}: fetching {size} bytes", self.reference);
        let answer = self.get(&format!("blobs/{digest}"), None).await?;
        let bytes = body(answer, *size).await?;
        check(&bytes, digest)?;
        fs::write(to, bytes).map_err(|error| Error::io(to.display(), error))
    }

    /// Asks; where the registry wants to know who does, once more with what it wants.
    async fn get(&mut self, what: &str, accept: Option<&str>) -> Result<Response> {
        let Reference { registry, repository, .. } = self.reference;
        let scheme = if is_this_machine(registry) { "http" } else { "https" };
        let url = format!("{scheme}://{registry}/v2/{repository}/{what}");
        let ask = |repository: &Self| {
            let request = repository.client.get(&url);
            let request =
                accept.iter().fold(request, |request, accept| request.header(ACCEPT, *accept));
            match &repository.token {
                Some(token) => request.bearer_auth(token.reveal()),
                None => with_login(request, repository.login.as_ref()),
            }
        };
        let answer = sent(ask(self)).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || self.token.is_some() {
            return good(answer);
        }
        let Some(challenge) = Challenge::of(&answer) else { return good(answer) };
        self.token = Some(self.token(&challenge).await?);
        good(sent(ask(self)).await?)
    }

    async fn token(&self, challenge: &Challenge) -> Result<SecretValue> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let scope = format!("repository:{}:pull", self.reference.repository);
        let mut url = challenge.realm.clone();
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = &challenge.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let answer = sent(with_login(self.client.get(url), self.login.as_ref())).await?;
        let given: Token = read(&body(good(answer)?, MANIFEST_LIMIT_BYTES).await?, "the token")?;
        let token = given.token.or(given.access_token);
        token.map(SecretValue::new).ok_or_else(|| Error::auth("the server of tokens gave none"))
    }
}

/// `Bearer realm="https://auth.example.org/token",service="registry.example.org"`.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: Url,
    service: Option<String>,
}

impl Challenge {
    fn of(answer: &Response) -> Option<Self> {
        let header = answer.headers().get(WWW_AUTHENTICATE)?;
        Self::read(header.to_str().ok()?)
    }

    /// Nothing for a way that is not known, or one that would show a password to everybody.
    fn read(header: &str) -> Option<Self> {
        let (way, fields) = header.split_once(' ')?;
        let field = |name: &str| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"'))
        };
        let realm = Url::parse(field("realm")?).ok()?;
        let host = realm.host_str().unwrap_or_default();
        let is_safe = realm.scheme() == "https" || is_this_machine(host);
        let service = field("service").map(str::to_owned);
        (way.eq_ignore_ascii_case("bearer") && is_safe).then_some(Self { realm, service })
    }
}

/// What `docker login` and its like write.
#[derive(Deserialize)]
struct Logins {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, StoredLogin>,
}

#[derive(Deserialize)]
struct StoredLogin {
    auth: Option<String>,
}

impl Login {
    /// The login for a registry in the first of the usual files that has one.
    fn find(registry: &str) -> Result<Option<Self>> {
        for file in login_files() {
            let Ok(bytes) = fs::read(&file) else { continue };
            let logins: Logins = read(&bytes, &file.display().to_string())?;
            let stored = logins.auths.get(registry).and_then(|login| login.auth.as_deref());
            let Some(stored) = stored else { continue };
            let login = BASE64.decode(stored).ok().and_then(|text| String::from_utf8(text).ok());
            let login = login.as_deref().and_then(|text| text.split_once(':'));
            let (user, password) = login.ok_or_else(|| {
                Error::config(format!("{}: the login for {registry} is damaged", file.display()))
                    .with_hint("log in again, for example by `oras login`")
            })?;
            return Ok(Some(Self { user: user.to_owned(), password: SecretValue::new(password) }));
        }
        Ok(None)
    }
}

fn login_files() -> impl Iterator<Item = PathBuf> {
    let within =
        |variable: &str, file: &str| Some(PathBuf::from(env::var_os(variable)?).join(file));
    let auth_file = env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from);
    let files = [
        auth_file,
        within("DOCKER_CONFIG", "config.json"),
        within("XDG_RUNTIME_DIR", "containers/auth.json"),
        within("HOME", ".docker/config.json"),
    ];
    files.into_iter().flatten()
}

/// Only a registry of this machine is spoken to without TLS.
fn is_this_machine(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        // An address in brackets has colons of its own.
        Some((host, port)) if !port.ends_with(']') => host,
        _ => registry,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn client() -> Result<Client> {
    let tls = TlsOptions { server_name: String::new(), verify: TlsVerify::Full, authorities: None };
    // Blobs may lie elsewhere: redirects are followed, and what comes is checked by its digest.
    Client::builder()
        .use_preconfigured_tls(Arc::unwrap_or_clone(client_config(&tls)?))
        .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_SECS))
        .read_timeout(Duration::from_secs(REGISTRY_TIMEOUT_SECS))
        .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::internal(format!("an HTTP client: {error}")))
}

fn with_login(request: RequestBuilder, login: Option<&Login>) -> RequestBuilder {
    match login {
        Some(login) => request.basic_auth(&login.user, Some(login.password.reveal())),
        None => request,
    }
}

async fn sent(request: RequestBuilder) -> Result<Response> {
    request.send().await.map_err(|error| unreachable(&error))
}

fn unreachable(error: &reqwest::Error) -> Error {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Error::connection(format!("the registry cannot be reached: {cause}"))
        .with_hint("check its name and port; TLS is spoken with all but this machine's own")
}

fn good(answer: Response) -> Result<Response> {
    match answer.status() {
        status if status.is_success() => Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(Error::auth(format!("the registry refuses it: {}", answer.status()))
                .with_hint("log in, for example by `oras login`, as somebody who may pull it"))
        }
        StatusCode::NOT_FOUND => {
            Err(Error::not_found("the registry does not have it").with_hint("check name and tag"))
        }
        StatusCode::TOO_MANY_REQUESTS => {
            Err(Error::new(longshore_model::error::Class::Throttled, "the registry asks for less"))
        }
        status => Err(Error::connection(format!("the registry answered {status}"))),
    }
}

/// A whole answer, if it is not longer than this.
async fn body(mut answer: Response, limit_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > limit_bytes {
            return Err(Error::data(format!("the registry sent more than {limit_bytes} bytes")));
        }
    }
    Ok(bytes)
}

fn check(bytes: &[u8], digest: &str) -> Result<()> {
    match digest.strip_prefix("sha256:") {
        Some(wanted) if hex::encode(Sha256::digest(bytes)) == wanted => Ok(()),
        Some(_) => Err(Error::data(format!("what the registry sent is not {digest}"))
            .with_hint("it is damaged, or somebody is in the middle: do not use it")),
        None => Err(Error::config(format!("`{digest}` is not a SHA-256"))),
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::config(format!("{what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_registry_repository_and_version() {
        let parts = |text: &str| {
            let Reference { registry, repository, wanted } = text.parse().unwrap();
            [registry, repository, wanted]
        };
        assert_eq!(parts("oci://r.example/team/shop:1.2"), ["r.example", "team/shop", "1.2"]);
        assert_eq!(parts("oci://localhost:5000/shop"), ["localhost:5000", "shop", "latest"]);
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(parts(&format!("oci://r:1/shop@{digest}")), ["r:1", "shop", &digest]);
        for wrong in [
            "oci://",
            "oci://r",
            "oci:///shop",
            "oci://r/",
            "oci://r/a//b",
            "oci://r/../shop:1",
            "oci://r/shop:",
            "oci://r/shop:a b",
            "oci://u:p@r/shop:1",
            "oci://r/shop?x=1",
        ] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_shown_to_no_realm_without_tls() {
        let realm =
            |header: &str| Challenge::read(header).map(|challenge| challenge.realm.to_string());
        assert_eq!(
            realm(r#"Bearer realm="https://a.example/token",service="r",scope="x""#),
            Some("https://a.example/token".into())
        );
        assert!(realm(r#"Bearer realm="http://127.0.0.1:1/token""#).is_some());
        assert!(realm(r#"Bearer realm="http://[::1]:1/token""#).is_some());
        assert_eq!(realm(r#"Bearer realm="http://[::2]/token""#), None);
        assert_eq!(realm(r#"Bearer realm="http://a.example/token""#), None);
        assert_eq!(realm(r#"Basic realm="https://a.example""#), None);
        assert_eq!(realm("Bearer"), None);
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        assert!(is_this_machine("localhost:5000") && is_this_machine("127.0.0.1"));
        assert!(is_this_machine("[::1]:5000") && !is_this_machine("127.0.0.1.example:5000"));
        assert!(is_this_machine("[::1]") && !is_this_machine("[::2]"));
        assert!(!is_this_machine("registry.example"));
    }
}
