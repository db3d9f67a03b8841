//! The operator's settings: `longshore.toml`, then `LONGSHORE_*`, then flags.

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::document::Document;
use crate::error::{Error, Result, ResultExt};

/// Where `longshore.toml` is looked for, if it is not named.
const DEFAULT_FILES: [&str; 2] = ["longshore.toml", "/etc/longshore/longshore.toml"];

/// Settings as flags; each has an environment variable and a key in `longshore.toml` too.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// The settings file [default: ./longshore.toml, then /etc/longshore/longshore.toml]
    #[arg(long, global = true, env = "LONGSHORE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of plugins [default: `plugins` beside the program]
    #[arg(long, global = true, env = "LONGSHORE_PLUGINS", value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// The folder of compiled plugins [default: ~/.cache/longshore]
    #[arg(long, global = true, env = "LONGSHORE_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    /// The folder of secrets, one file each [default: $CREDENTIALS_DIRECTORY]
    #[arg(long, global = true, env = "LONGSHORE_SECRETS", value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// How many chunks to read at the same time, unless the job says [default: the cores]
    #[arg(long, global = true, env = "LONGSHORE_PARALLEL", value_name = "N")]
    parallel: Option<usize>,
}

/// `longshore.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawSettings {
    plugins: Option<PathBuf>,
    cache: Option<PathBuf>,
    secrets: Option<PathBuf>,
    parallel: Option<usize>,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of plugins.
    pub plugins: PathBuf,
    /// The folder of compiled plugins.
    pub cache: PathBuf,
    /// The folder of secrets.
    pub secrets: Option<PathBuf>,
    /// Chunks at the same time, unless the job says.
    pub parallel: usize,
}

impl Settings {
    /// Brings file, environment and flags together.
    pub fn resolve(args: SettingsArgs) -> Result<Self> {
        let file = match &args.config {
            Some(path) => Some(path.clone()),
            None => DEFAULT_FILES.iter().map(PathBuf::from).find(|path| path.is_file()),
        };
        let raw = match &file {
            Some(path) => Document::read(path)?
                .into_typed::<RawSettings>()
                .context(path.display().to_string())?,
            None => RawSettings::default(),
        };
        let parallel = args.parallel.or(raw.parallel).unwrap_or_else(cores);
        if parallel == 0 {
            return Err(Error::config("`parallel` is 0").with_hint("give 1 or more"));
        }
        Ok(Self {
            plugins: match args.plugins.or(raw.plugins) {
                Some(folder) => folder,
                None => beside_the_program("plugins")?,
            },
            cache: match args.cache.or(raw.cache) {
                Some(folder) => folder,
                None => default_cache(),
            },
            secrets: args
                .secrets
                .or(raw.secrets)
                .or_else(|| env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)),
            parallel,
        })
    }
}

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn beside_the_program(name: &str) -> Result<PathBuf> {
    let program =
        env::current_exe().map_err(|error| Error::io("finding the program itself", error))?;
    Ok(program.parent().unwrap_or(Path::new(".")).join(name))
}

fn default_cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("longshore")
}
