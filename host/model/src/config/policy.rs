//! The operator's policy: what plugins may be granted, whatever the jobs say. One file, named by the
//! settings; without it, a plugin is granted what its job names.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use semver::Version;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::document::Document;
use super::plugin_requirement::PluginRequirement;
use super::secret_origins::SecretOrigins;
use super::signer::Signer;
use super::territory::{Territory, Usage, real_path};
use crate::error::{Error, Result, ResultExt};
use crate::grant::Endpoint;
use crate::grant::odbc::{AllowedKeywords, OdbcGrant};
use crate::layout::{INBOX_FOLDERS, PRIVATE};

/// A policy as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawPolicy {
    /// Public keys of minisign: of these, one must have signed each component of the plugin folder,
    /// in a file FILE.wasm.minisig beside it.
    signers: Vec<String>,
    /// Whether an admin may install plugins over the HTTP API.
    remote_install: bool,
    unlisted: UnlistedPolicy,
    rule: Vec<RawRule>,
}

/// What becomes of plugins that no rule fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum UnlistedPolicy {
    /// They are granted what their jobs name.
    #[default]
    Allow,
    /// They are not used.
    Forbid,
}

/// A rule as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRule {
    plugin: String,
    #[serde(default)]
    forbid: bool,
    only: Option<Vec<String>>,
    odbc: Option<Vec<String>>,
    #[serde(default)]
    also: Vec<String>,
    secrets: Option<Vec<String>>,
    read: Option<Vec<String>>,
    write: Option<Vec<String>>,
}

/// A checked policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    file: PathBuf,
    signers: Vec<Signer>,
    allows_remote_install: bool,
    forbids_unlisted: bool,
    rules: Vec<Rule>,
    /// What no job reads, whatever the rules say; where it really lies.
    private: Vec<Territory>,
    /// Where secrets were read that came here with their values.
    origins: SecretOrigins,
}

#[derive(Clone, Debug)]
struct Rule {
    plugin: PluginRequirement,
    forbid: bool,
    /// The endpoints that a job may name; all if absent.
    only: Option<Vec<Pattern>>,
    /// The ODBC drivers and data sources that a job may name; all if absent.
    odbc: Option<Vec<String>>,
    /// Endpoints that are granted besides.
    also: Vec<Endpoint>,
    /// Where a job's secrets may come from; anywhere if absent.
    secrets: Option<Vec<Place>>,
    /// What the host may read for a job; anything if absent.
    read: Option<Vec<Area>>,
    /// Where the host may write for a job; anywhere if absent.
    write: Option<Vec<Area>>,
}

/// A folder of files, of this machine or a store, or what a sink writes to, with all that is beneath it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Area {
    /// `inbox:`, the folder that the job file lay in.
    JobFolder,
    Territory(Territory),
}

/// The name under which rules fit the host itself.
const HOST: &str = "longshore";

/// `db.internal:5432`, `*.internal:5432`, `*:443`, `db.internal:*`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    host: String,
    port: Option<u16>,
}

/// Where a secret may come from: `secret`, `inline`, `env:NAME`, `file:FOLDER`, `profile:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Secrets,
    Inline,
    Profile(String),
    Environment(String),
    Folder(PathBuf),
}

impl Policy {
    /// Reads and checks a policy.
    pub fn read(path: &Path) -> Result<Self> {
        let raw: RawPolicy = Document::read(path)?.typed().context(path.display().to_string())?;
        let rules = raw.rule.into_iter().enumerate().map(|(index, rule)| {
            Rule::check(rule).context(format!("{}: `rule[{index}]`", path.display()))
        });
        let signers = raw.signers.iter().map(|text| Signer::parse(text));
        Ok(Self {
            file: path.to_owned(),
            signers: signers.collect::<Result<_>>().context(path.display().to_string())?,
            allows_remote_install: raw.remote_install,
            forbids_unlisted: raw.unlisted == UnlistedPolicy::Forbid,
            rules: rules.collect::<Result<_>>()?,
            private: Vec::new(),
            origins: SecretOrigins::default(),
        })
    }

    /// The same for a job whose secrets were read elsewhere.
    pub(super) fn of_origins(&self, origins: SecretOrigins) -> Self {
        Self { origins, ..self.clone() }
    }

    /// Who must have signed what serves, if anybody must.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// Whether plugins may be installed over the HTTP API.
    pub fn allows_remote_install(&self) -> bool {
        self.allows_remote_install
    }

    /// Keeps what Longshore has of its own from jobs: in its state folder, and the folder of secrets.
    pub fn keep_private(&mut self, state: &Path, secrets: Option<&Path>) {
        let own = PRIVATE.iter().map(|name| state.join(name));
        let all = own.chain(secrets.map(Path::to_owned));
        self.private = all.map(|path| Territory::Local(real_path(&path))).collect();
    }

    /// Whether no job reads this.
    pub(super) fn is_private(&self, territory: &Territory) -> bool {
        self.private.iter().any(|own| territory.is_under(own))
    }

    /// What the host may touch for a job.
    pub fn host(&self) -> HostScope<'_> {
        let is_host = |rule: &&Rule| {
            rule.plugin == PluginRequirement::default() || rule.plugin.name.as_deref() == Some(HOST)
        };
        HostScope(PolicyScope { policy: self, rules: self.rules.iter().filter(is_host).collect() })
    }

    /// What a plugin may be granted, if it may be used at all.
    pub fn powers(&self, name: &str, version: &Version, digest: &str) -> Result<PolicyScope<'_>> {
        let rules = self.rules.iter().filter(|rule| rule.plugin.fits(name, version, digest));
        let powers = PolicyScope { policy: self, rules: rules.collect() };
        let forbidden = if powers.rules.is_empty() {
            self.forbids_unlisted
        } else {
            powers.rules.iter().any(|rule| rule.forbid)
        };
        if forbidden {
            return Err(powers.refusal(format!("{name} {version} may not be used")));
        }
        Ok(powers)
    }
}

impl Area {
    fn read(usage: Usage, text: &str) -> Result<Self> {
        let territory = match (usage, text) {
            (_, "inbox:") => return Ok(Self::JobFolder),
            // Connectors are held by `only`.
            (Usage::Read, url) => Territory::read(url),
            (Usage::Write, url) => Territory::read_target(url),
        };
        territory.map(Self::Territory)
    }
}

/// What the host may touch for a job: what all rules for every plugin, and those for `longshore`, allow.
#[derive(Clone, Debug)]
pub struct HostScope<'a>(PolicyScope<'a>);

impl HostScope<'_> {
    /// Whether a folder, a file or a server may be used so; `job_folder` is where the job file lay.
    pub fn allows(&self, usage: Usage, territory: &Territory, job_folder: &Path) -> bool {
        let fits = |area: &Area| match area {
            Area::JobFolder => {
                let is_under = |folder| territory.is_under(&Territory::Local(folder));
                // Job files of others lie there, which may hold secrets.
                let is_of_others = INBOX_FOLDERS.iter().any(|part| is_under(job_folder.join(part)));
                is_under(job_folder.to_owned()) && !is_of_others
            }
            Area::Territory(area) => territory.is_under(area),
        };
        self.areas(usage).all(|areas| areas.iter().any(fits))
    }

    /// Whether any rule limits what may be used so.
    pub fn limits(&self, usage: Usage) -> bool {
        self.areas(usage).next().is_some()
    }

    fn areas(&self, usage: Usage) -> impl Iterator<Item = &Vec<Area>> {
        self.0.rules.iter().filter_map(move |rule| match usage {
            Usage::Read => rule.read.as_ref(),
            Usage::Write => rule.write.as_ref(),
        })
    }

    /// Whether any rule limits the servers.
    pub fn limits_endpoints(&self) -> bool {
        self.0.rules.iter().any(|rule| rule.only.is_some())
    }

    /// Whether a job may name this server.
    pub fn endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        self.0.endpoint(endpoint)
    }

    /// Whether a secret may come from where the job says.
    pub fn secret(&self, field: &str, written: &Value) -> Result<()> {
        self.0.secret(field, written)
    }

    /// Whether a profile of the host's own credentials may be used.
    pub fn profile(&self, field: &str, name: &str) -> Result<()> {
        self.0.secret(field, &serde_json::json!({ "profile": name }))
    }

    /// Why not, and whom to ask.
    pub fn refusal(&self, key: &str, what: String) -> Error {
        let file = self.0.policy.file.display();
        Error::auth(format!("{what}: the policy forbids it"))
            .with_hint(format!("ask the operator to add it to `{key}` in {file}"))
    }
}

/// What a plugin may be granted: what all rules that fit it allow.
#[derive(Clone, Debug)]
pub struct PolicyScope<'a> {
    policy: &'a Policy,
    rules: Vec<&'a Rule>,
}

impl<'a> PolicyScope<'a> {
    /// What these rules say of where rows may be read and written.
    pub(super) fn places(&self) -> HostScope<'a> {
        HostScope(self.clone())
    }

    /// Whether a job may name this endpoint.
    pub fn endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        let fits = |only: &Vec<Pattern>| only.iter().any(|pattern| pattern.fits(endpoint));
        if !self.rules.iter().filter_map(|rule| rule.only.as_ref()).all(fits) {
            return Err(self.refusal(format!("{endpoint} may not be reached")));
        }
        Ok(())
    }

    /// Whether a secret may come from where the job says.
    pub fn secret(&self, field: &str, written: &Value) -> Result<()> {
        let origins = self.policy.origins.of(written);
        let fits = |places: &Vec<Place>| {
            places.iter().any(|place| origins.iter().any(|origin| place.fits(origin)))
        };
        if !self.rules.iter().filter_map(|rule| rule.secrets.as_ref()).all(fits) {
            return Err(self.refusal(format!("`{field}` may not come from there")));
        }
        Ok(())
    }

    /// What may be connected to over ODBC, of what a config says. Drivers make connections of their own,
    /// which nobody sees: where endpoints are limited, drivers must be allowed by name.
    pub fn odbc(&self, config: &Map<String, Value>) -> OdbcGrant {
        let limits = self.rules.iter().filter_map(|rule| match &rule.odbc {
            Some(names) => Some(names.clone()),
            // Drivers open connections and files that nobody sees.
            None if rule.only.is_some() || rule.read.is_some() || rule.write.is_some() => {
                Some(Vec::new())
            }
            None => None,
        });
        let both = |limit: Vec<String>, other: Vec<String>| {
            limit.into_iter().filter(|name| other.contains(name)).collect()
        };
        let policy = self.policy.file.clone();
        OdbcGrant::new(config, limits.reduce(both).map(|names| AllowedKeywords { names, policy }))
    }

    /// Endpoints that are granted besides those of the job.
    pub fn also(&self) -> impl Iterator<Item = &Endpoint> {
        self.rules.iter().flat_map(|rule| &rule.also)
    }

    fn refusal(&self, what: String) -> Error {
        Error::auth(format!("{what}: the policy forbids it"))
            .with_hint(format!("ask the operator of {}", self.policy.file.display()))
    }
}

impl Rule {
    fn check(raw: RawRule) -> Result<Self> {
        let plugin = match raw.plugin.as_str() {
            "*" => PluginRequirement::default(),
            text => text.parse().context("`plugin`")?,
        };
        let patterns = |texts: Vec<String>| texts.iter().map(|text| Pattern::read(text)).collect();
        let also = raw.also.iter().map(|text| match Pattern::read(text)? {
            Pattern { host, port: Some(port) } if !host.starts_with('*') => {
                Ok(Endpoint { host, port })
            }
            _ => Err(Error::config(format!("`also`: `{text}` is not one endpoint"))
                .with_hint("write it as in kdc.internal:88")),
        });
        let areas = |usage, texts: Vec<String>| {
            texts.iter().map(|text| Area::read(usage, text)).collect::<Result<Vec<_>>>()
        };
        let places = |texts: Vec<String>| texts.iter().map(|text| Place::read(text)).collect();
        Ok(Self {
            plugin,
            forbid: raw.forbid,
            also: also.collect::<Result<_>>()?,
            odbc: raw.odbc,
            only: raw.only.map(patterns).transpose().context("`only`")?,
            secrets: raw.secrets.map(places).transpose().context("`secrets`")?,
            read: raw.read.map(|read| areas(Usage::Read, read)).transpose().context("`read`")?,
            write: raw.write.map(|to| areas(Usage::Write, to)).transpose().context("`write`")?,
        })
    }
}

impl Pattern {
    fn read(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!("`{text}` is not an endpoint"))
                .with_hint("write it as in db.internal:5432, *.internal:5432 or *:443")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let stars = host.matches('*').count();
        let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || "*.-_:".contains(c));
        if host.is_empty()
            || !is_name
            || stars > 1
            || (stars == 1 && host != "*" && !host.starts_with("*."))
        {
            return Err(wrong());
        }
        let port = match port {
            "*" => None,
            port => Some(port.parse().map_err(|_| wrong())?),
        };
        Ok(Self { host, port })
    }

    fn fits(&self, endpoint: &Endpoint) -> bool {
        let host = endpoint.host.to_ascii_lowercase();
        let host_fits = match self.host.strip_prefix('*') {
            Some(ending) => host.ends_with(ending),
            None => host == self.host,
        };
        host_fits && self.port.is_none_or(|port| port == endpoint.port)
    }
}

impl Place {
    fn read(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text == "secret" => Ok(Self::Secrets),
            None if text == "inline" => Ok(Self::Inline),
            Some(("profile", name)) if !name.is_empty() => Ok(Self::Profile(name.to_owned())),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", folder)) if folder.starts_with('/') => Ok(Self::Folder(folder.into())),
            _ => Err(Error::config(format!("`{text}` is no place of secrets"))
                .with_hint("write secret, inline, env:NAME, file:/FOLDER or profile:NAME")),
        }
    }

    fn fits(&self, written: &Value) -> bool {
        let given = |key: &str| written.get(key).and_then(Value::as_str);
        match self {
            Self::Inline => written.is_string(),
            Self::Profile(name) => given("profile") == Some(name),
            Self::Secrets => given("secret").is_some(),
            Self::Environment(name) => given("env") == Some(name),
            // Where the file really lies: a link could lead anywhere.
            Self::Folder(folder) => {
                let file = given("file").and_then(|file| Path::new(file).canonicalize().ok());
                file.is_some_and(|file| file.starts_with(real_path(folder)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn policy(text: &str) -> Result<Policy> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        fs::write(&path, text).unwrap();
        Policy::read(&path)
    }

    fn powers<'a>(policy: &'a Policy, name: &str) -> Result<PolicyScope<'a>> {
        policy.powers(name, &Version::new(1, 2, 3), "0123456789abcdef")
    }

    fn endpoint(text: &str) -> Endpoint {
        let (host, port) = text.rsplit_once(':').unwrap();
        Endpoint { host: host.into(), port: port.parse().unwrap() }
    }

    #[test]
    fn a_plugin_is_forbidden_by_name_version_or_digest_or_because_nobody_lists_it() {
        let policy = policy(
            "unlisted = 'forbid'\n[[rule]]\nplugin = 'postgres'\n[[rule]]\nplugin = 'tpch@1.2'\nforbid = true\n\
             [[rule]]\nplugin = 'mask@sha256:01234567'\n",
        )
        .unwrap();
        assert!(powers(&policy, "postgres").is_ok() && powers(&policy, "mask").is_ok());
        assert!(powers(&policy, "tpch").is_err() && powers(&policy, "other").is_err());
        assert!(powers(&Policy::default(), "other").is_ok());
    }

    #[test]
    fn endpoints_are_those_that_every_rule_allows() {
        let policy = policy(
            "[[rule]]\nplugin = '*'\nonly = ['*.internal:*', 'localhost:5432']\n\
             [[rule]]\nplugin = 'postgres'\nonly = ['*:5432']\nalso = ['kdc.internal:88']\n",
        )
        .unwrap();
        let powers = powers(&policy, "postgres").unwrap();
        for fine in ["db.internal:5432", "DB.Internal:5432", "localhost:5432"] {
            assert!(powers.endpoint(&endpoint(fine)).is_ok(), "{fine}");
        }
        for refused in ["db.internal:22", "internal:5432", "evil-internal:5432", "example.org:5432"]
        {
            assert!(powers.endpoint(&endpoint(refused)).is_err(), "{refused}");
        }
        assert_eq!(powers.also().cloned().collect::<Vec<_>>(), [endpoint("kdc.internal:88")]);
    }

    #[test]
    fn secrets_come_only_from_where_they_may() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, link) = (folder.path().join("inside"), folder.path().join("link"));
        fs::write(&inside, "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let real = folder.path().canonicalize().unwrap();
        let text = format!(
            "[[rule]]\nplugin = '*'\nsecrets = ['secret', 'env:PGPASSWORD', 'file:{}']\n",
            real.display()
        );
        let policy = policy(&text).unwrap();
        let powers = powers(&policy, "postgres").unwrap();
        let fine =
            [json!({ "secret": "x" }), json!({ "env": "PGPASSWORD" }), json!({ "file": inside })];
        assert!(fine.iter().all(|written| powers.secret("password", written).is_ok()));
        let refused = [json!("inline"), json!({ "env": "HOME" }), json!({ "file": link })];
        assert!(refused.iter().all(|written| powers.secret("password", written).is_err()));
    }

    #[test]
    fn what_is_wrong_in_a_policy_is_told_with_its_place() {
        let told = |text: &str| policy(text).unwrap_err().to_string();
        assert!(told("[[rule]]\nplugin = 'a@'\n").contains("`rule[0]`"));
        assert!(told("[[rule]]\nplugin = 'a'\nonly = ['db']\n").contains("`only`: `db`"));
        assert!(
            told("[[rule]]\nplugin = 'a'\nonly = ['10.0.0.0/8:1']\n").contains("`10.0.0.0/8:1`")
        );
        assert!(told("[[rule]]\nplugin = 'a'\nalso = ['*:1']\n").contains("`*:1`"));
        assert!(told("[[rule]]\nplugin = 'a'\nonyl = []\n").contains("onyl"));
    }
}
