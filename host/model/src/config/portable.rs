//! A job as another machine reads it: the files of its queries are in it, its parameters are bound, and its secrets
//! have their values. It goes nowhere but over TLS, and is never written to a disk.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::access::Access;
use super::job::Job;
use super::parameters::Arguments;
use super::policy::Policy;
use super::query_file::read_query_file;
use super::secret::resolve;
use super::secret_origins::SecretOrigins;
use crate::error::Result;

/// What a job says to the process that runs it, and to nobody who reads a part of it.
const OF_THE_RUN: [&str; 4] = ["parameters", "schedule", "notify", "cluster"];

/// The parts in which secrets stand.
const WITH_SECRETS: [&str; 4] = ["source", "target", "register", "transform"];

/// A job for another machine.
#[derive(Clone, Serialize, Deserialize)]
pub struct PortableJob {
    /// The tree of its file.
    tree: Value,
    /// What relative paths in it are relative to.
    folder: PathBuf,
    /// Where its secrets were read.
    origins: SecretOrigins,
}

/// It holds secrets.
impl fmt::Debug for PortableJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortableJob")
    }
}

impl PortableJob {
    /// A job that was read here, and may be: its files and its secrets are read again.
    pub fn new(job: &Job, policy: &Policy, secrets: Option<&Path>) -> Result<Self> {
        let mut tree = (*job.tree).clone();
        let mut origins = SecretOrigins::default();
        if let Some(root) = tree.as_object_mut() {
            root.retain(|key, _| !OF_THE_RUN.contains(&key.as_str()));
            root.insert("name".into(), json!(job.name));
            inline_files(root, Access::new(policy, &job.folder))?;
            let parts = WITH_SECRETS.iter().filter_map(|part| Some((*part, root.remove(*part)?)));
            for (part, mut value) in parts.collect::<Vec<_>>() {
                reveal(part, &mut value, secrets, &mut origins);
                root.insert(part.to_owned(), value);
            }
        }
        Ok(Self { tree, folder: job.folder.clone(), origins })
    }

    /// This machine's policy for it: what that says of secrets holds for the places where they were read.
    pub fn policy(&self, policy: &Policy) -> Policy {
        policy.of_origins(self.origins.clone())
    }

    /// Checks it as a job of this machine's, also against its policy.
    pub fn check(&self, policy: &Policy) -> Result<Job> {
        let text = serde_json::to_string(&self.tree)?;
        Job::of_text(&text, "job.json", &self.folder, &Arguments::none(), policy)
    }
}

/// Puts queries in the places of their files: of the job, its relations and its steps.
fn inline_files(root: &mut Map<String, Value>, access: Access<'_>) -> Result<()> {
    inline_of("", root, access)?;
    for list in ["relations", "transform"] {
        let items = root.get_mut(list).and_then(Value::as_array_mut);
        for (index, item) in items.into_iter().flatten().enumerate() {
            if let Some(item) = item.as_object_mut() {
                inline_of(&format!("{list}[{index}]."), item, access)?;
            }
        }
    }
    Ok(())
}

fn inline_of(at: &str, map: &mut Map<String, Value>, access: Access<'_>) -> Result<()> {
    for key in ["query", "sql"] {
        let file_key = format!("{key}_file");
        let Some(file) = map.get(&file_key).and_then(Value::as_str) else { continue };
        let text = read_query_file(&format!("{at}{file_key}"), file, access)?;
        map.remove(&file_key);
        map.insert(key.to_owned(), text.into());
    }
    Ok(())
}

/// Puts values in the places of secrets. What cannot be read is no secret, or is not needed where the job is run.
fn reveal(at: &str, value: &mut Value, secrets: Option<&Path>, origins: &mut SecretOrigins) {
    match value {
        Value::Object(map) if is_reference(map) => {
            if let Ok(secret) = resolve(at, value, secrets) {
                let written = std::mem::replace(value, secret.reveal().into());
                origins.add(secret.reveal(), written);
            }
        }
        Value::Object(map) => {
            map.values_mut().for_each(|inner| reveal(at, inner, secrets, origins));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|inner| reveal(at, inner, secrets, origins));
        }
        _ => {}
    }
}

fn is_reference(map: &Map<String, Value>) -> bool {
    let mut entries = map.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else { return false };
    ["env", "file", "secret"].contains(&key.as_str()) && value.is_string()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn another_machine_needs_neither_the_jobs_files_nor_its_secrets() {
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("q.sql"), "SELECT {{ n }}").unwrap();
        fs::write(here.path().join("step.sql"), "SELECT 1 FROM data").unwrap();
        fs::create_dir(here.path().join("secrets")).unwrap();
        fs::write(here.path().join("secrets/db"), "s3cret\n").unwrap();
        let text = "
            parameters: { n: integer }
            source: { url: 'postgres://ada@db/shop', password: { secret: db } }
            relations: [{ query_file: q.sql, as: rows }]
            transform: [{ sql_file: step.sql }]
            target: { url: lake }
            notify: [{ url: 'http://127.0.0.1:9/' }]
            schedule: { every: 1h }";
        let (policy, arguments) =
            (Policy::default(), Arguments::of_flags(&["n=7".into()]).unwrap());
        let job = Job::of_text(text, "nightly.yaml", here.path(), &arguments, &policy).unwrap();
        let secrets = here.path().join("secrets");
        let portable = PortableJob::new(&job, &policy, Some(&secrets)).unwrap();
        fs::remove_file(here.path().join("q.sql")).unwrap();
        let there: PortableJob =
            serde_json::from_slice(&serde_json::to_vec(&portable).unwrap()).unwrap();
        let again = there.check(&policy).unwrap();
        assert_eq!((again.name.as_str(), again.notify.len()), ("nightly", 0));
        assert_eq!(format!("{:?}", again.relations), format!("{:?}", job.relations));
        assert_eq!(again.target.url, job.target.url);
        assert_eq!(there.tree["source"]["password"], "s3cret");
        assert!(!format!("{portable:?}").contains("s3cret"));
    }

    #[test]
    fn a_policy_there_holds_for_the_places_of_secrets_here() {
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("db"), "s3cret").unwrap();
        let text = "
            source: { url: 's3://in/rows.parquet', s3: { secret_access_key: { secret: db } } }
            target: { url: lake }";
        let (anything, none) = (Policy::default(), Arguments::none());
        let job = Job::of_text(text, "nightly.yaml", here.path(), &none, &anything).unwrap();
        let portable = PortableJob::new(&job, &anything, Some(here.path())).unwrap();
        let of_places = |places: &str| {
            let file = here.path().join("policy.toml");
            fs::write(&file, format!("[[rule]]\nplugin = \"*\"\nsecrets = [\"{places}\"]\n"))
                .unwrap();
            portable.policy(&Policy::read(&file).unwrap())
        };
        assert!(portable.check(&of_places("secret")).is_ok());
        let error = portable.check(&of_places("inline")).unwrap_err();
        assert!(error.to_string().contains("may not come from there"), "{error}");
        assert!(!format!("{:?}", of_places("secret")).contains("s3cret"));
    }
}
