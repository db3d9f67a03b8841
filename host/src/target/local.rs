//! Folders of this machine. Parts are staged under `.longshore/staging/RUN` of the target, so that
//! publishing is a rename within one file system.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{PartFile, Published, Staging};
use crate::config::job::Mode;
use crate::error::{Error, Result};

/// The target's hidden folder.
const HIDDEN: &str = ".longshore";

/// How many versions of a relation are looked through for a free name.
const VERSION_LIMIT: u32 = 100_000;

/// A target folder.
#[derive(Clone, Debug)]
pub struct LocalTarget {
    folder: PathBuf,
}

impl LocalTarget {
    /// A folder, which need not exist yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where a run's manifest is kept.
    pub fn manifest_path(&self, run: &str) -> PathBuf {
        self.folder.join(HIDDEN).join("runs").join(format!("{run}.json"))
    }

    /// Begins a run: makes its staging folder, which shows that the target can be written.
    pub fn begin(&self, run: &str, relations: &[String], mode: Mode) -> Result<LocalStaging> {
        if mode == Mode::Error {
            relations.iter().try_for_each(|relation| self.refuse_existing(relation))?;
        }
        let staging = self.staging_path(run);
        let created = missing_folders(&staging);
        let guard = LocalStaging { target: self.clone(), run: run.to_owned(), staging, created };
        for relation in relations {
            let folder = guard.staging.join(relation);
            fs::create_dir_all(&folder)
                .map_err(|error| Error::io(format!("target {}", folder.display()), error))?;
        }
        Ok(guard)
    }

    /// Removes what a run that died left in staging.
    pub fn discard_leftovers(&self, run: &str) {
        drop(LocalStaging {
            target: self.clone(),
            run: run.to_owned(),
            staging: self.staging_path(run),
            created: vec![self.folder.join(HIDDEN).join("staging"), self.folder.join(HIDDEN)],
        });
    }

    fn staging_path(&self, run: &str) -> PathBuf {
        self.folder.join(HIDDEN).join("staging").join(run)
    }

    fn refuse_existing(&self, relation: &str) -> Result<()> {
        let folder = self.folder.join(relation);
        match folder.exists() {
            true => Err(Error::config(format!(
                "{} is already there, and the mode is `error`",
                folder.display()
            ))
            .with_hint("remove it, or use `mode: version`")),
            false => Ok(()),
        }
    }
}

/// The folders of a path that do not exist, innermost first.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    path.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect()
}

/// One run's staging folder. Dropped, it goes, with the folders above it that it brought and that
/// are empty.
#[derive(Debug)]
pub struct LocalStaging {
    target: LocalTarget,
    run: String,
    staging: PathBuf,
    created: Vec<PathBuf>,
}

impl Staging for LocalStaging {
    fn create_part(&self, relation: &str, file: &str) -> Result<Box<dyn PartFile>> {
        let path = self.staging.join(relation).join(file);
        let file = File::create(&path)
            .map_err(|error| Error::io(format!("creating {}", path.display()), error))?;
        Ok(Box::new(LocalPart { file, path }))
    }

    fn remove_part(&self, relation: &str, file: &str) {
        // It may not have been created.
        let _ = fs::remove_file(self.staging.join(relation).join(file));
    }

    fn publish(
        &self,
        relations: &[String],
        mode: Mode,
        manifest: &dyn Fn(&[Published]) -> Result<Vec<u8>>,
    ) -> Result<(Vec<Published>, PathBuf)> {
        let mut published = Vec::new();
        let done = self.publish_all(relations, mode, manifest, &mut published);
        if done.is_err() {
            for one in published.iter().rev() {
                let back = self.staging.join(&one.relation);
                if let Err(error) = fs::rename(&one.folder, &back) {
                    tracing::error!(
                        "cannot take back {}: {error}: remove it",
                        one.folder.display()
                    );
                }
            }
        }
        Ok((published, done?))
    }
}

impl LocalStaging {
    fn publish_all(
        &self,
        relations: &[String],
        mode: Mode,
        manifest: &dyn Fn(&[Published]) -> Result<Vec<u8>>,
        published: &mut Vec<Published>,
    ) -> Result<PathBuf> {
        for relation in relations {
            let staged = self.staging.join(relation);
            sync_folder(&staged)?;
            published.push(self.publish_one(relation, &staged, mode)?);
        }
        sync_folder(&self.target.folder)?;
        let path = self.target.manifest_path(&self.run);
        write_manifest(&path, &manifest(published)?)?;
        Ok(path)
    }

    fn publish_one(&self, relation: &str, staged: &Path, mode: Mode) -> Result<Published> {
        for version in 1..=VERSION_LIMIT {
            let name = match version {
                1 => relation.to_owned(),
                _ => format!("{relation}_v{version}"),
            };
            let folder = self.target.folder.join(&name);
            if mode == Mode::Error {
                self.target.refuse_existing(relation)?;
            }
            if folder.symlink_metadata().is_ok() {
                continue;
            }
            match fs::rename(staged, &folder) {
                Ok(()) => return Ok(Published { relation: relation.to_owned(), name, folder }),
                // Another run took the name in the meantime.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
                    ) => {}
                Err(error) => {
                    return Err(Error::io(format!("publishing {}", folder.display()), error));
                }
            }
        }
        Err(Error::config(format!("there are more than {VERSION_LIMIT} versions of {relation}"))
            .with_hint("remove old ones"))
    }
}

impl Drop for LocalStaging {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.staging) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::error!("cannot remove {}: {error}: remove it", self.staging.display());
            }
            _ => {}
        }
        for folder in &self.created {
            // Stops at the first that is not empty: it holds something that is not ours to remove.
            if *folder != self.staging && fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

fn write_manifest(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| Error::io(format!("writing the manifest {}", path.display()), error))
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::io(format!("publishing {}", folder.display()), error))
}

struct LocalPart {
    file: File,
    path: PathBuf,
}

impl Write for LocalPart {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl PartFile for LocalPart {
    fn finish(self: Box<Self>) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|error| Error::io(format!("writing {}", self.path.display()), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(target: &LocalTarget, run: &str, relations: &[&str]) -> LocalStaging {
        let names: Vec<String> = relations.iter().map(|r| r.to_string()).collect();
        let staging = target.begin(run, &names, Mode::Version).unwrap();
        for relation in relations {
            let mut part = staging.create_part(relation, "part-0").unwrap();
            part.write_all(run.as_bytes()).unwrap();
            part.finish().unwrap();
        }
        staging
    }

    fn publish(staging: &LocalStaging, relations: &[&str]) -> Result<Vec<Published>> {
        let names: Vec<String> = relations.iter().map(|r| r.to_string()).collect();
        Ok(staging.publish(&names, Mode::Version, &|_| Ok(b"{}".to_vec()))?.0)
    }

    #[test]
    fn what_is_there_is_kept_and_the_new_one_gets_a_version() {
        let folder = tempfile::tempdir().unwrap();
        let target = LocalTarget::new(&folder.path().join("lake/shop"));
        for (run, name) in [("r1", "orders"), ("r2", "orders_v2"), ("r3", "orders_v3")] {
            let published = publish(&staged(&target, run, &["orders"]), &["orders"]).unwrap();
            assert_eq!(published[0].name, name);
            assert_eq!(fs::read_to_string(published[0].folder.join("part-0")).unwrap(), run);
        }
        assert!(!folder.path().join("lake/shop/.longshore/staging").exists());
        assert!(target.manifest_path("r2").exists());
    }

    #[test]
    fn what_is_not_published_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let target = LocalTarget::new(&folder.path().join("lake/shop"));
        drop(staged(&target, "r1", &["orders"]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn all_relations_are_published_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let target = LocalTarget::new(folder.path());
        let staging = staged(&target, "r1", &["a", "b"]);
        let names = ["a".to_string(), "b".to_string()];
        let failed =
            staging.publish(&names, Mode::Version, &|_| Err(Error::internal("no manifest")));
        assert!(failed.is_err());
        drop(staging);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn under_mode_error_an_existing_relation_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("orders")).unwrap();
        let target = LocalTarget::new(folder.path());
        assert!(target.begin("r1", &["orders".into()], Mode::Error).is_err());
    }
}
