//! Which relation has which checks.

use super::raw::RawCheck;
use super::rule::Rule;
use super::{Check, Severity};
use crate::config::keys::nearest_or_all;
use crate::error::{Error, Result, ResultExt};

/// The most checks of a relation.
const CHECK_LIMIT: usize = 200;

/// Checks as a job gives them, before its relations are known.
#[derive(Debug, Default)]
pub(in crate::config) struct RawChecks {
    /// Those of the job.
    pub(in crate::config) of_job: Vec<RawCheck>,
    /// Those of each entry of `relations`.
    pub(in crate::config) of_entries: Vec<Vec<RawCheck>>,
}

/// The parts of a job that its checks depend on.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Relations<'a> {
    /// The names of its relations.
    pub(in crate::config) names: &'a [String],
    /// Whether it has `sql`: its one relation is made of its entries.
    pub(in crate::config) is_joined: bool,
    /// Whether its source can be asked queries.
    pub(in crate::config) has_queries: bool,
    /// Whether the rows that are read are those that are published.
    pub(in crate::config) publishes_what_it_reads: bool,
    /// Whether its target has a place for rows that fail.
    pub(in crate::config) has_quarantine: bool,
}

impl RawChecks {
    /// The checks of each relation.
    pub(in crate::config) fn of(self, relations: Relations<'_>) -> Result<Vec<Vec<Check>>> {
        let mut checks = vec![Vec::new(); relations.names.len()];
        for (index, raw) in self.of_entries.into_iter().enumerate() {
            let at = format!("relations[{index}].checks");
            if relations.is_joined && !raw.is_empty() {
                return Err(Error::config(format!("`{at}`: the entry is an input of `sql`"))
                    .with_hint("give `checks` to the job: they check what its `sql` makes"));
            }
            for (position, raw) in raw.into_iter().enumerate() {
                let at = format!("`{at}[{position}]`");
                if raw.relations.is_some() {
                    return Err(Error::config(format!("{at}: `relations` is not needed here"))
                        .with_hint("remove it, or move the check to the job's own `checks`"));
                }
                let check = relations.read(raw).context(at.clone())?;
                add(&mut checks[index], check, &relations.names[index]).context(at)?;
            }
        }
        for (position, raw) in self.of_job.into_iter().enumerate() {
            let at = format!("`checks[{position}]`");
            relations.add_to_all(raw, &mut checks).context(at)?;
        }
        Ok(checks)
    }
}

impl Relations<'_> {
    /// Gives a check of the job to the relations that it names.
    fn add_to_all(self, raw: RawCheck, checks: &mut [Vec<Check>]) -> Result<()> {
        let wanted = raw.relations.clone();
        for name in wanted.iter().flatten() {
            self.find(name)?;
        }
        let check = self.read(raw)?;
        for (name, checks) in self.names.iter().zip(checks) {
            if wanted.as_ref().is_none_or(|wanted| wanted.contains(name)) {
                add(checks, check.clone(), name)?;
            }
        }
        Ok(())
    }

    fn read(self, raw: RawCheck) -> Result<Check> {
        let check = Check::read(raw)?;
        if check.severity == Severity::Quarantine && !self.has_quarantine {
            let text = "`severity`: sinks, single files, and the modes merge, snapshot and scd2 have no quarantine";
            return Err(Error::config(text)
                .with_hint("choose `fail` or `warn`, or a folder of files with another mode"));
        }
        if matches!(check.rule, Rule::Rows { change: Some(_), .. }) && !self.publishes_what_it_reads
        {
            return Err(Error::config(
                "`rows.change`: the modes merge, snapshot and scd2 publish other rows than they read",
            )
            .with_hint("remove `change`, or compare with `min` and `max`"));
        }
        if matches!(check.rule, Rule::Sum { .. }) && !self.has_queries {
            return Err(Error::config("`sum.query`: files have no queries of their own")
                .with_hint("check the rows with `sql`, or remove it"));
        }
        if let Rule::References { relation, .. } = &check.rule {
            self.find(relation).context("`references.relation`")?;
        }
        Ok(check)
    }

    fn find(self, name: &str) -> Result<()> {
        if self.names.iter().any(|known| known == name) {
            return Ok(());
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        Err(Error::config(format!("the job has no relation `{name}`")).with_hint(nearest_or_all(
            name,
            "relations",
            &names,
        )))
    }
}

fn add(checks: &mut Vec<Check>, check: Check, relation: &str) -> Result<()> {
    if checks.iter().any(|other| other.name == check.name) {
        let check = check.name;
        return Err(Error::config(format!("two checks of `{relation}` are called `{check}`"))
            .with_hint("give one of them another `name`"));
    }
    if checks.len() == CHECK_LIMIT {
        return Err(Error::config(format!("`{relation}` has more than {CHECK_LIMIT} checks"))
            .with_hint("name several columns in one `not_null`"));
    }
    checks.push(check);
    Ok(())
}
