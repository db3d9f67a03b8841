//! The operator's settings: `longshore.toml`, then `LONGSHORE_*`, then flags.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::cluster::{ClusterArgs, ClusterSettings};
use super::document::Document;
use super::job::PARALLEL_LIMIT;
use super::lineage::{Lineage, RawLineage};
use super::notify::raw::RawWebhook;
use super::notify::{Webhook, check_webhooks};
use super::policy::Policy;
use super::traces::Traces;
use crate::bundled::bundled;
use crate::error::{Error, Result, ResultExt};
use crate::limits::{Limits, within};
use crate::memory::{MIN_BUDGET_BYTES, automatic_budget};
use crate::retry::{RELATION_RETRY_LIMIT, RETRY_BACKOFF_MILLIS, RETRY_LIMIT, RetryPolicy};

/// How long a holder waits for a daemon to come back, unless the operator says.
pub const HOLD_SECS: u64 = 3_600;

/// The longest that a holder may wait: a year.
pub const HOLD_LIMIT_SECS: u64 = 31_536_000;

/// How many runs the ledger keeps, unless the operator says.
pub const DEFAULT_HISTORY_RUNS: u64 = 10_000;

/// The most runs that the ledger may keep.
pub const HISTORY_LIMIT_RUNS: u64 = 1_000_000_000;

/// Where `longshore.toml` is looked for, if it is not named.
const DEFAULT_FILES: [&str; 2] = ["longshore.toml", "/etc/longshore/longshore.toml"];

/// The folder of the bundled plugins, beside the program.
const PLUGINS: &str = "plugins";

/// The folders of plugins, as in PATH.
const PLUGINS_VARIABLE: &str = "LONGSHORE_PLUGINS";

/// Settings as flags; each has an environment variable and a key in `longshore.toml` too.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// The settings file [default: ./longshore.toml, then /etc/longshore/longshore.toml]
    #[arg(long, global = true, env = "LONGSHORE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// One more folder of plugins, before those of LONGSHORE_PLUGINS [default: `plugins` beside the
    /// program, or where its package has them]; may be repeated
    #[arg(long, global = true, value_name = "DIR")]
    plugins: Vec<PathBuf>,
    /// The folder of compiled plugins [default: ~/.cache/longshore]
    #[arg(long, global = true, env = "LONGSHORE_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    /// The folder of secrets, one file each [default: $CREDENTIALS_DIRECTORY]
    #[arg(long, global = true, env = "LONGSHORE_SECRETS", value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// The operator's policy: what plugins may be granted [default: whatever their jobs name]
    #[arg(long, global = true, env = "LONGSHORE_POLICY", value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How many chunks to read at the same time, unless the job says [default: the cores]
    #[arg(long, global = true, env = "LONGSHORE_PARALLEL", value_name = "N")]
    parallel: Option<usize>,
    /// The folder of the ledger [default: $STATE_DIRECTORY, else ~/.local/state/longshore]
    #[arg(long, global = true, env = "LONGSHORE_STATE", value_name = "DIR")]
    state: Option<PathBuf>,
    /// The folder of standing jobs, which the daemon runs by their schedules or by name; `--jobs` is how many
    /// jobs run at the same time [default: none]
    #[arg(long, global = true, env = "LONGSHORE_JOBS_DIR", value_name = "DIR")]
    jobs_dir: Option<PathBuf>,
    /// What the process may hold in memory, such as 512MiB [default: a quarter of the machine's]
    #[arg(long, global = true, env = "LONGSHORE_MEMORY", value_name = "SIZE")]
    memory: Option<String>,
    /// How often a chunk is tried again [default: 5]
    #[arg(long, global = true, env = "LONGSHORE_RETRIES", value_name = "N")]
    retries: Option<u32>,
    /// How often chunks whose retries are used up are tried again, after the rest of their relation [default: 1]
    #[arg(long, global = true, env = "LONGSHORE_RELATION_RETRIES", value_name = "N")]
    relation_retries: Option<u32>,
    /// The wait before the first retry; it doubles with each [default: 500]
    #[arg(long, global = true, env = "LONGSHORE_RETRY_BACKOFF_MILLIS", value_name = "MILLIS")]
    retry_backoff_millis: Option<u64>,
    /// How long a snapshot is held at the source while the daemon is away; 0: it is not held
    /// [default: 3600]
    #[arg(long, global = true, env = "LONGSHORE_HOLD_SECS", value_name = "SECS")]
    hold_secs: Option<u64>,
    /// How many runs the ledger remembers [default: 10000]
    #[arg(long, global = true, env = "LONGSHORE_HISTORY_RUNS", value_name = "N")]
    history_runs: Option<u64>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// `longshore.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawSettings {
    plugins: Option<OneOrMore>,
    cache: Option<PathBuf>,
    secrets: Option<PathBuf>,
    policy: Option<PathBuf>,
    parallel: Option<usize>,
    state: Option<PathBuf>,
    jobs_dir: Option<PathBuf>,
    memory: Option<String>,
    retries: Option<u32>,
    relation_retries: Option<u32>,
    retry_backoff_millis: Option<u64>,
    hold_secs: Option<u64>,
    history_runs: Option<u64>,
    limits: Limits,
    notify: Vec<RawWebhook>,
    lineage: Option<RawLineage>,
    cluster: Option<String>,
    cluster_tls: Option<PathBuf>,
    cluster_address: Option<String>,
}

/// A folder, or a list of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a folder, or a list of folders")]
enum OneOrMore {
    One(PathBuf),
    More(Vec<PathBuf>),
}

impl From<OneOrMore> for Vec<PathBuf> {
    fn from(folders: OneOrMore) -> Self {
        match folders {
            OneOrMore::One(folder) => vec![folder],
            OneOrMore::More(folders) => folders,
        }
    }
}

/// The folders of plugins: at least one.
#[derive(Clone, Debug)]
pub struct PluginFolders(Vec<PathBuf>);

impl PluginFolders {
    /// What flags add, then what the environment, the file, or else the program has.
    fn resolve(added: Vec<PathBuf>, file: Option<OneOrMore>) -> Result<Self> {
        let environment = env::var_os(PLUGINS_VARIABLE).filter(|value| !value.is_empty());
        let base = match (environment, file) {
            (Some(value), _) => env::split_paths(&value).collect(),
            (None, Some(folders)) => folders.into(),
            (None, None) => vec![bundled(PLUGINS)?],
        };
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in added.into_iter().chain(base) {
            let folder = absolute(&folder)?;
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        if folders.is_empty() {
            return Err(Error::config("`plugins` names no folder").with_hint("name one"));
        }
        Ok(Self(folders))
    }

    /// These, and no others.
    pub fn of(folders: &[PathBuf]) -> Result<Self> {
        folders.iter().map(|folder| absolute(folder)).collect::<Result<_>>().map(Self)
    }

    /// What the environment says, else `plugins` beside the program.
    pub fn of_environment() -> Result<Self> {
        Self::resolve(Vec::new(), None)
    }

    /// The one that `plugin install` and `plugin lock` work on.
    pub fn first(&self) -> &Path {
        &self.0[0]
    }

    /// All of them, in the order of their precedence.
    pub fn all(&self) -> &[PathBuf] {
        &self.0
    }
}

impl From<&Path> for PluginFolders {
    fn from(only: &Path) -> Self {
        Self(vec![only.to_owned()])
    }
}

impl Display for PluginFolders {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let folders = self.0.iter().map(|folder| folder.display().to_string());
        f.write_str(&folders.collect::<Vec<_>>().join(", "))
    }
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The settings file.
    pub file: Option<PathBuf>,
    /// The folders of plugins.
    pub plugins: PluginFolders,
    /// The folder of compiled plugins.
    pub cache: PathBuf,
    /// The folder of secrets.
    pub secrets: Option<PathBuf>,
    /// What plugins may be granted, and the file that says so.
    pub policy: Policy,
    /// Its file.
    pub policy_file: Option<PathBuf>,
    /// Chunks at the same time, unless the job says.
    pub parallel: usize,
    /// The folder of the ledger.
    pub state: PathBuf,
    /// The folder of standing jobs.
    pub jobs_dir: Option<PathBuf>,
    /// What the process may hold in memory.
    pub memory_bytes: u64,
    /// How failed work is tried again.
    pub retry: RetryPolicy,
    /// How long a snapshot is held while the daemon is away.
    pub hold_secs: u64,
    /// How many runs the ledger remembers.
    pub history_runs: u64,
    /// What one instance of a plugin may use.
    pub limits: Limits,
    /// Who is told what becomes of all runs.
    pub notify: Vec<Webhook>,
    /// Where traces are sent, if they are.
    pub traces: Option<Traces>,
    /// What jobs are called in lineage, and where events of their runs are sent.
    pub lineage: Lineage,
    /// What this process knows of its cluster.
    pub cluster: ClusterSettings,
}

impl Settings {
    /// What holds where nobody says otherwise. It tells nobody of runs, whatever the environment holds.
    pub fn with_defaults(plugins: PluginFolders, cache: PathBuf, state: PathBuf) -> Self {
        Self {
            file: None,
            plugins,
            cache,
            secrets: None,
            policy: Policy::default(),
            policy_file: None,
            parallel: cores(),
            state,
            jobs_dir: None,
            memory_bytes: automatic_budget(),
            retry: RetryPolicy::default(),
            hold_secs: HOLD_SECS,
            history_runs: DEFAULT_HISTORY_RUNS,
            limits: Limits::default(),
            notify: Vec::new(),
            traces: None,
            lineage: Lineage::default(),
            cluster: ClusterSettings::default(),
        }
    }

    /// Brings file, environment and flags together. Folders are absolute: others start in other folders.
    pub fn resolve(args: SettingsArgs) -> Result<Self> {
        let mut settings = Self::resolve_as_given(args)?;
        let whole = |path: &mut PathBuf| {
            *path = absolute(path)?;
            Ok::<_, Error>(())
        };
        let folders = [&mut settings.cache, &mut settings.state];
        let folders = folders.into_iter().chain(settings.secrets.as_mut());
        folders.chain(settings.jobs_dir.as_mut()).try_for_each(whole)?;
        Ok(settings)
    }

    fn resolve_as_given(args: SettingsArgs) -> Result<Self> {
        let file = match &args.config {
            Some(path) => Some(path.clone()),
            None => DEFAULT_FILES.iter().map(PathBuf::from).find(|path| path.is_file()),
        };
        let raw = match &file {
            Some(path) => {
                Document::read(path)?.typed::<RawSettings>().context(path.display().to_string())?
            }
            None => RawSettings::default(),
        };
        let parallel = match args.parallel.or(raw.parallel) {
            Some(given) => within("parallel", given as u64, 1..=PARALLEL_LIMIT)? as usize,
            None => cores(),
        };
        let hold_secs = args.hold_secs.or(raw.hold_secs).unwrap_or(HOLD_SECS);
        let hold_secs = within("hold_secs", hold_secs, 0..=HOLD_LIMIT_SECS)?;
        let history_runs = args.history_runs.or(raw.history_runs).unwrap_or(DEFAULT_HISTORY_RUNS);
        let history_runs = within("history_runs", history_runs, 0..=HISTORY_LIMIT_RUNS)?;
        raw.limits.check()?;
        let retry = retry_policy(&args, &raw);
        let policy_file = args.policy.or(raw.policy);
        let mut policy = policy_file.as_deref().map(Policy::read).transpose()?.unwrap_or_default();
        let secrets = args
            .secrets
            .or(raw.secrets)
            .or_else(|| env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
        let state = args.state.or(raw.state).unwrap_or_else(default_state);
        policy.keep_private(&state, secrets.as_deref());
        Ok(Self {
            file,
            policy,
            policy_file,
            plugins: PluginFolders::resolve(args.plugins, raw.plugins)?,
            cache: match args.cache.or(raw.cache) {
                Some(folder) => folder,
                None => default_cache(),
            },
            secrets,
            parallel,
            state,
            jobs_dir: args.jobs_dir.or(raw.jobs_dir),
            memory_bytes: match args.memory.or(raw.memory) {
                Some(text) => memory_bytes(&text)?,
                None => automatic_budget(),
            },
            retry,
            hold_secs,
            history_runs,
            limits: raw.limits,
            notify: check_webhooks(raw.notify)?,
            traces: Traces::of_environment(),
            lineage: Lineage::resolve(raw.lineage)?,
            cluster: ClusterSettings::resolve(
                args.cluster,
                ClusterArgs::of(raw.cluster, raw.cluster_tls, raw.cluster_address),
            )?,
        })
    }
}

fn retry_policy(args: &SettingsArgs, raw: &RawSettings) -> RetryPolicy {
    let backoff_millis = args.retry_backoff_millis.or(raw.retry_backoff_millis);
    let relation_limit = args.relation_retries.or(raw.relation_retries);
    RetryPolicy {
        limit: args.retries.or(raw.retries).unwrap_or(RETRY_LIMIT),
        relation_limit: relation_limit.unwrap_or(RELATION_RETRY_LIMIT),
        backoff_millis: backoff_millis.unwrap_or(RETRY_BACKOFF_MILLIS),
    }
}

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io(path.display(), error))
}

/// `512MiB` in bytes.
fn memory_bytes(text: &str) -> Result<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1u64 << 40)];
    let bytes = units.iter().find_map(|(unit, bytes)| {
        let number: u64 = text.trim().strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(*bytes)
    });
    match bytes {
        Some(bytes) if bytes >= MIN_BUDGET_BYTES => Ok(bytes),
        Some(_) => Err(Error::config(format!("`memory` is {text}"))
            .with_hint(format!("give {}MiB or more", MIN_BUDGET_BYTES >> 20))),
        None => Err(Error::config(format!("`memory`: `{text}` is not a size"))
            .with_hint("write it as in 512MiB or 2GiB")),
    }
}

/// Where systemd says, else where the user's programs keep such things.
fn default_state() -> PathBuf {
    if let Some(folder) = env::var_os("STATE_DIRECTORY") {
        return PathBuf::from(folder);
    }
    let base = env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".local/state")));
    base.unwrap_or_else(env::temp_dir).join("longshore")
}

/// Where compiled plugins are kept, unless somebody says otherwise: where the user's programs keep such things.
pub fn default_cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("longshore")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn a_number_that_cannot_be_reckoned_with_is_refused_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("longshore.toml");
        for (text, said) in [
            ("parallel = 0", "`parallel` is 0"),
            ("parallel = 1025", "`parallel` is 1025"),
            ("hold_secs = 9223372036854775807", "`hold_secs` is 9223372036854775807"),
            ("history_runs = 9223372036854775807", "`history_runs` is 9223372036854775807"),
            ("[limits]\ncall_secs = 0", "`limits.call_secs` is 0"),
            ("[limits]\ndescribe_secs = 86401", "`limits.describe_secs` is 86401"),
        ] {
            std::fs::write(&file, text).unwrap();
            let args = SettingsArgs { config: Some(file.clone()), ..SettingsArgs::default() };
            let error = Settings::resolve(args).err().unwrap();
            assert_eq!((error.to_string().as_str(), error.class()), (said, Class::Config));
            assert!(error.hint().is_some_and(|hint| hint.starts_with("give ")), "{text}");
        }
    }
}
