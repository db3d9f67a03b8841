//! The policies of a job, checked against its target.

use super::policy::{DriftPolicy, OnAdded, OnNarrowed, OnWidened, RawDrift};
use crate::config::target::{Format, Target, To};
use crate::error::{Error, Result};

/// The policies of a job's relations, each with what the job says for all. Where `sql` makes one relation of
/// all inputs, only the job says it.
pub(in crate::config) fn check_drift(
    of_job: Option<RawDrift>,
    of_relations: &[Option<RawDrift>],
    has_sql: bool,
    target: &Target,
) -> Result<Vec<Option<DriftPolicy>>> {
    if has_sql && let Some(index) = of_relations.iter().position(Option::is_some) {
        let at = format!("relations[{index}].schema");
        return Err(Error::config(format!("`{at}`: the job's `sql` makes one relation of all"))
            .with_hint("give `schema` beside `sql`"));
    }
    let own = of_relations.iter().enumerate().map(|(index, own)| match own {
        Some(own) => (format!("relations[{index}].schema"), Some(own.over(of_job))),
        None => ("schema".to_owned(), of_job),
    });
    // Files that are named by their URL alone are a relation, too.
    let all = own.chain(of_relations.is_empty().then(|| ("schema".to_owned(), of_job)));
    all.map(|(at, raw)| raw.map(|raw| raw.check(&at, target)).transpose()).collect()
}

impl RawDrift {
    fn check(self, at: &str, target: &Target) -> Result<DriftPolicy> {
        let policy = DriftPolicy {
            on_added: self.on_added.unwrap_or_default(),
            on_removed: self.on_removed.unwrap_or_default(),
            on_widened: self.on_widened.unwrap_or_default(),
            on_narrowed: self.on_narrowed.unwrap_or_default(),
        };
        if target.mode.reads_first() {
            let mode = target.mode.name();
            return Err(Error::config(format!("`{at}`: `target.mode` {mode} keeps the columns that are there"))
                .with_hint("remove `schema`; when the source has changed, make its columns the same in an `sql` step"));
        }
        if target.file.is_some() {
            return Err(Error::config(format!("`{at}`: a single file is written whole"))
                .with_hint("remove `schema`, or name a folder: end `target.url` with `/`"));
        }
        match &target.to {
            To::Sink(_) => policy.check_sink(at)?,
            To::Folder(_, Format::Csv(..))
                if target.mode.adds_beside() && policy.on_added == OnAdded::Evolve =>
            {
                return Err(Error::config(format!(
                    "`{at}.on_added`: readers of a folder of CSV files take the columns of one for those \
                     of all"
                ))
                .with_hint("use `on_added: ignore` or `fail`, or another format"));
            }
            To::Folder(..) => {}
        }
        Ok(policy)
    }
}

impl DriftPolicy {
    /// A sink's table belongs to its database: nothing here changes its columns.
    fn check_sink(self, at: &str) -> Result<()> {
        let changes = [
            ("on_added: evolve", self.on_added == OnAdded::Evolve),
            ("on_widened: evolve", self.on_widened == OnWidened::Evolve),
            ("on_narrowed: version", self.on_narrowed == OnNarrowed::Version),
        ];
        let Some((key, _)) = changes.into_iter().find(|(_, is_set)| *is_set) else { return Ok(()) };
        Err(Error::config(format!("`{at}.{key}`: a sink's table is not changed from here"))
            .with_hint(
                "remove it; when the source has changed, change the table in its database, and say \
                 `longshore schema accept JOB`",
            ))
    }
}
