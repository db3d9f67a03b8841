//! The plugins of a job: chosen from the catalog, and bound to the job's config, once, before anything
//! is planned. Each has the name of its place in the job: `source`, `transform[1]`, `target`, `register`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use longshore_model::config::connector::Connector as ConnectorConfig;
use longshore_model::config::target::{LOAD_MODES, Sink as SinkConfig, To};
use longshore_model::config::{Access, Job, PluginRequirement, PolicyScope, Settings, Step, job};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::grant::Grant;
use longshore_sandbox::{Component, Connector, Kind, Sink, Transform};
use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::grants::{Secrets, bind};
use super::plugin::{Plugin, PluginDigests};

const SOURCE: &str = "source";
const TARGET: &str = "target";
const REGISTER: &str = "register";

fn step(index: usize) -> String {
    format!("transform[{index}]")
}

/// A plugin that is chosen for a place in a job, with its config and what that grants.
pub struct Binding {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Its config, as it gets it: secrets are only named in it.
    pub config: String,
    /// The grant of the plugin.
    pub grant: Grant,
}

impl Binding {
    /// Compiles the plugin, if it is not compiled yet.
    pub async fn compile<K: Kind>(self) -> Result<Arc<Bound<K>>> {
        let Self { plugin, config, grant } = self;
        let component = plugin.component().await?;
        Ok(Arc::new(Bound { plugin, component, config, grant }))
    }
}

/// A plugin of a kind, ready to be opened.
pub struct Bound<K: Kind> {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Makes its instances.
    pub component: Component<K>,
    /// Its config, as it gets it: secrets are only named in it.
    pub config: String,
    /// What it may touch.
    pub grant: Grant,
}

impl<K: Kind> Bound<K> {
    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.plugin.name()
    }

    /// Takes secrets out of an error that may hold the plugin's words.
    pub fn cleaned<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.told(|text| self.grant.clean(text)))
    }
}

impl<K: Kind> fmt::Debug for Bound<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bound({})", self.name())
    }
}

/// The plugins of a job.
#[derive(Clone, Default)]
pub struct PluginSet {
    /// What reads, unless the host reads files.
    pub source: Option<Arc<Bound<Connector>>>,
    /// What changes rows, by the number of the job's step.
    pub transforms: BTreeMap<usize, Arc<Bound<Transform>>>,
    /// What takes the rows, unless they go into files.
    pub sink: Option<Arc<Bound<Sink>>>,
    /// What makes tables of the target's folders, if the job asks for that.
    pub registrar: Option<Arc<Bound<Connector>>>,
}

impl PluginSet {
    /// All of them, with their places: the source, the transforms, the target, the catalog.
    pub fn all(&self) -> impl Iterator<Item = (String, &Plugin)> {
        let source = self.source.iter().map(|bound| (SOURCE.to_owned(), &*bound.plugin));
        let transforms =
            self.transforms.iter().map(|(index, bound)| (step(*index), &*bound.plugin));
        let sink = self.sink.iter().map(|bound| (TARGET.to_owned(), &*bound.plugin));
        let registrar = self.registrar.iter().map(|bound| (REGISTER.to_owned(), &*bound.plugin));
        source.chain(transforms).chain(sink).chain(registrar)
    }

    /// What each of them is granted, with its name.
    pub fn grants(&self) -> impl Iterator<Item = (&str, &Grant)> {
        fn of<K: Kind>(bound: &Arc<Bound<K>>) -> (&str, &Grant) {
            (bound.name(), &bound.grant)
        }
        let source = self.source.iter().map(of);
        let transforms = self.transforms.values().map(of);
        let sink = self.sink.iter().map(of);
        source.chain(transforms).chain(sink).chain(self.registrar.iter().map(of))
    }

    /// The digests of all, by place.
    pub fn digests(&self) -> PluginDigests {
        self.all().map(|(place, plugin)| (place, plugin.digest().to_owned())).collect()
    }
}

/// Chooses a job's plugins and works out what they are granted.
pub struct Resolver<'a> {
    /// The plugins that there are.
    pub catalog: &'a Catalog,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The plugins that a run began with: they are chosen again, if they are still there.
    pub pinned: PluginDigests,
    /// Only the job is checked: secrets have no values, and nothing is granted.
    pub is_dry: bool,
}

impl<'a> Resolver<'a> {
    /// A resolver for a job that is new.
    pub fn new(catalog: &'a Catalog, settings: &'a Settings) -> Self {
        Self { catalog, settings, pinned: PluginDigests::new(), is_dry: false }
    }

    /// Chooses, binds and compiles all plugins of a job.
    pub async fn resolve(&self, job: &Job) -> Result<PluginSet> {
        self.resolve_rest(job, self.resolve_target(job).await?).await
    }

    /// Those that write: all that is needed to publish a run, or to clean up after it.
    pub async fn resolve_target(&self, job: &Job) -> Result<PluginSet> {
        let sink = compiled(self.sink(job)?).await?;
        let registrar = compiled(self.registrar(job)?).await?;
        Ok(PluginSet { sink, registrar, ..PluginSet::default() })
    }

    /// Those that read and transform, beside those that write.
    pub async fn resolve_rest(&self, job: &Job, target: PluginSet) -> Result<PluginSet> {
        let source = compiled(self.source(job)?).await?;
        let mut transforms = BTreeMap::new();
        for (index, binding) in self.transforms(job)? {
            transforms.insert(index, binding.compile().await?);
        }
        Ok(PluginSet { source, transforms, ..target })
    }

    /// Chooses the connector of this digest as the job's source.
    pub fn pinned_source(mut self, digest: &str) -> Self {
        self.pinned.insert(SOURCE.to_owned(), digest.to_owned());
        self
    }

    /// Chooses, binds and compiles the job's connector alone.
    pub async fn resolve_source(&self, job: &Job) -> Result<PluginSet> {
        let source = compiled(self.source(job)?).await?;
        Ok(PluginSet { source, ..PluginSet::default() })
    }

    /// Chooses the job's connector, unless the host reads files.
    pub fn source(&self, job: &Job) -> Result<Option<Binding>> {
        let job::Source::Connector(from) = &job.source else { return Ok(None) };
        self.connector(SOURCE, from).context(SOURCE).map(Some)
    }

    /// Chooses the connector that makes tables of the target's folders, if the job names one.
    pub fn registrar(&self, job: &Job) -> Result<Option<Binding>> {
        let Some(register) = &job.register else { return Ok(None) };
        self.connector(REGISTER, &register.connector).context(REGISTER).map(Some)
    }

    fn connector(&self, place: &str, from: &ConnectorConfig) -> Result<Binding> {
        let find = |wanted: &PluginRequirement| self.catalog.connector(&from.scheme, wanted);
        let plugin = self.choose(place, &from.plugin, find)?;
        let scope = self.scope(&plugin)?;
        let (config, mut grant) = self.bind(&plugin, &from.config, &scope)?;
        if self.is_dry {
            grant.endpoints.clear();
            return Ok(Binding { plugin, config, grant });
        }
        if from.kerberos.is_some() && !plugin.stamp().asks_for_kerberos() {
            let error = format!("`kerberos`: {} does not log in by Kerberos", plugin.name());
            return Err(Error::config(error).with_hint("remove it"));
        }
        grant.odbc = plugin.stamp().asks_for_odbc().then(|| scope.odbc(&from.config));
        grant.kerberos = from.kerberos.clone();
        Ok(Binding { plugin, config, grant })
    }

    /// Chooses the job's transforms, by the number of the step.
    pub fn transforms(&self, job: &Job) -> Result<BTreeMap<usize, Binding>> {
        let mut bindings = BTreeMap::new();
        for (index, of) in job.steps.iter().enumerate() {
            if let Step::Plugin { wanted, config } = of {
                let place = step(index);
                let binding = self.transform(&place, wanted, config).context(place)?;
                bindings.insert(index, binding);
            }
        }
        Ok(bindings)
    }

    fn transform(
        &self,
        place: &str,
        wanted: &PluginRequirement,
        config: &Map<String, Value>,
    ) -> Result<Binding> {
        let plugin = self.choose(place, wanted, |wanted| self.catalog.transform(wanted))?;
        let (config, grant) = self.bind(&plugin, config, &self.scope(&plugin)?)?;
        Ok(Binding { plugin, config, grant })
    }

    /// Chooses the job's sink, unless rows go into files.
    pub fn sink(&self, job: &Job) -> Result<Option<Binding>> {
        let To::Sink(sink) = &job.target.to else { return Ok(None) };
        let access = Access::new(&self.settings.policy, &job.folder);
        self.bound_sink(sink, &access).context(TARGET).map(Some)
    }

    fn bound_sink(&self, sink: &SinkConfig, access: &Access<'_>) -> Result<Binding> {
        let find = |wanted: &PluginRequirement| self.catalog.sink(&sink.scheme, wanted);
        let plugin = self.choose(TARGET, &sink.plugin, find)?;
        let scope = self.scope(&plugin)?;
        for field in plugin.info.endpoints() {
            access.bound_sink(sink, &field.field, field.default_port, &scope)?;
        }
        if sink.config.contains_key(LOAD_MODES) && !plugin.info.takes(LOAD_MODES) {
            return Err(Error::config(format!("the sink `{}` has no load modes", plugin.name()))
                .with_hint("choose `mode: append`, or write into a folder"));
        }
        let (config, grant) = self.bind(&plugin, &sink.config, &scope)?;
        Ok(Binding { plugin, config, grant })
    }

    fn scope(&self, plugin: &Plugin) -> Result<PolicyScope<'a>> {
        self.settings.policy.powers(plugin.name(), &plugin.version, plugin.digest())
    }

    fn bind(
        &self,
        plugin: &Plugin,
        config: &Map<String, Value>,
        scope: &PolicyScope<'_>,
    ) -> Result<(String, Grant)> {
        let secrets = if self.is_dry {
            Secrets::Unread
        } else {
            Secrets::Folder(self.settings.secrets.as_deref())
        };
        bind(config, &plugin.info, secrets, scope)
    }

    /// The plugin that the run began with, if it is still there, or the one that the job wants.
    fn choose(
        &self,
        place: &str,
        wanted: &PluginRequirement,
        find: impl Fn(&PluginRequirement) -> Result<Arc<Plugin>>,
    ) -> Result<Arc<Plugin>> {
        let pinned = self.pinned.get(place);
        let pinned = pinned.and_then(|digest| find(&wanted.pinned(digest)).ok());
        pinned.map_or_else(|| find(wanted), Ok)
    }
}

async fn compiled<K: Kind>(binding: Option<Binding>) -> Result<Option<Arc<Bound<K>>>> {
    match binding {
        Some(binding) => binding.compile().await.map(Some),
        None => Ok(None),
    }
}
