//! `scd2`: the history of each key, as versions. A row begins a version where its values are others than before,
//! wherever in history that is.
//!
//! For each key of the run there is a list of instants, in the order of time: the start of each version in the table,
//! the end of each closed version, and each row that was read. An instant with the tracked values of the one before it
//! is left out. The others are the new versions; each ends at the next instant.

use longshore_postgres_client::{quote_ident, quote_literal};
use longshore_sdk::load_modes::Scd2;
use longshore_sdk::{Error, Result};

use super::Counts;
use super::key::NullPattern;
use super::table::{LoadTable, listed};
use crate::fit::TableColumn;

/// The type of times where the rows have none.
const RUN_TIME: &str = "timestamp with time zone";

/// The columns of versions: surrogate key, from, to, current, and those of the rows but for their time.
pub(super) fn columns(staged: &[TableColumn], how: &Scd2) -> Result<Vec<TableColumn>> {
    let time = time_type(staged, how)?;
    let column = |name: &str, sql_type: &str, is_not_null| TableColumn {
        name: name.to_owned(),
        sql_type: sql_type.to_owned(),
        is_not_null,
    };
    let key = how.surrogate_key.as_ref().map(|name| column(name, "uuid", true));
    let from = column(&how.valid_from, &time, true);
    let to = column(&how.valid_to, &time, how.end.is_some());
    let current = how.current.as_ref().map(|name| column(name, "boolean", true));
    let values = staged.iter().filter(|own| Some(&own.name) != how.changed_at.as_ref()).cloned();
    Ok(key.into_iter().chain([from, to]).chain(current).chain(values).collect())
}

fn time_type(staged: &[TableColumn], how: &Scd2) -> Result<String> {
    let Some(name) = &how.changed_at else { return Ok(RUN_TIME.to_owned()) };
    let column = staged.iter().find(|column| column.name == *name);
    let column = column.ok_or_else(|| Error::internal(format!("no column `{name}` is staged")))?;
    Ok(column.sql_type.clone())
}

/// Has the server say what it would say of the versions, before anything is read.
pub(super) fn check(table: &mut LoadTable<'_>, how: &Scd2) -> Result<()> {
    let versions = columns(&table.columns, how)?;
    refuse_other_times(table, how)?;
    let names = listed(versions.iter().map(|column| &column.name));
    let value = |column: &TableColumn| {
        // A table may keep its UUIDs as texts.
        let sql_type = if Some(&column.name) == how.surrogate_key.as_ref() {
            table.there(&column.name)?.sql_type.clone()
        } else {
            column.sql_type.clone()
        };
        Ok(format!("NULL::{sql_type}"))
    };
    let values: Vec<String> = versions.iter().map(value).collect::<Result<_>>()?;
    let insert = format!("INSERT INTO {} ({names}) SELECT {}", table.target, values.join(", "));
    table.explain(&insert)
}

/// Refuses times that would be others in the table: versions of one day would be one version.
fn refuse_other_times(table: &LoadTable<'_>, how: &Scd2) -> Result<()> {
    let time = time_type(&table.columns, how)?;
    for name in [&how.valid_from, &how.valid_to] {
        let there = &table.there(name)?.sql_type;
        if *there != time {
            return Err(Error::config(format!("`{name}` is {there} in the table, and the times are {time}"))
                .with_hint("cast the column that `scd2.changed_at` names in an `sql` step, or change the table's"));
        }
    }
    Ok(())
}

/// Keeps the histories. `began` is when the run began, as an expression.
pub(super) fn keep(table: &mut LoadTable<'_>, how: &Scd2, began: &str) -> Result<Counts> {
    let mut key = how.key.clone();
    if let Some(changed_at) = &how.changed_at {
        table.refuse_nulls(changed_at)?;
        key.push(changed_at.clone());
    }
    table.keep_sole_rows(&key, &how.duplicates)?;
    // Without rows, no key is known to be absent.
    if table.is_empty()? {
        return Ok(Counts::default());
    }
    let patterns = table.null_patterns(&how.key)?;
    let time = table.there(&how.valid_from)?.sql_type.clone();
    let history = History { how, patterns, now: in_type(began, &time), time };
    history.refuse_other_ends(table)?;
    let mut counts = history.write(table)?;
    if how.closes_absent {
        counts.deleted += history.close_absent(table)?;
    }
    Ok(counts)
}

/// A moment in the type of the times; those without a zone are UTC.
fn in_type(moment: &str, time: &str) -> String {
    if time.ends_with("with time zone") {
        format!("{moment}::{time}")
    } else {
        format!("({moment} AT TIME ZONE 'UTC')::{time}")
    }
}

/// What tells how the histories of a table are kept.
struct History<'a> {
    how: &'a Scd2,
    /// Which columns of the keys that come are NULL together.
    patterns: Vec<NullPattern>,
    /// When the run began, in the type of the times.
    now: String,
    /// The type of the times.
    time: String,
}

impl History<'_> {
    /// The end of a version that has none.
    fn end(&self) -> String {
        match &self.how.end {
            None => format!("NULL::{}", self.time),
            Some(day) => in_type(
                &format!("{}::timestamptz", quote_literal(&format!("{day} 00:00:00+00"))),
                &self.time,
            ),
        }
    }

    /// That version `t` has no end.
    fn is_open(&self) -> String {
        let to = quote_ident(&self.how.valid_to);
        format!("(t.{to} IS NULL OR t.{to} IS NOT DISTINCT FROM {})", self.end())
    }

    /// Refuses versions that are open by another mark than the one of this job.
    fn refuse_other_ends(&self, table: &mut LoadTable<'_>) -> Result<()> {
        let (to, end) = (quote_ident(&self.how.valid_to), self.end());
        let found = table.client.value(&format!(
            "SELECT coalesce(t.{to}::text, 'NULL') FROM ({}) t WHERE t.{to} IS DISTINCT FROM {end} \
             AND (t.{to} IS NULL OR t.{to} >= '9999-12-31' OR t.{to} > {end}) LIMIT 1",
            self.there(table)
        ))?;
        let Some(other) = found else { return Ok(()) };
        let own = self.how.end.as_deref().unwrap_or("null");
        Err(Error::config(format!(
            "a version that holds has {other} in `{}`, and `scd2.end` is {own}",
            self.how.valid_to
        ))
        .with_hint("give the `end` that the table has, or change it in the table"))
    }

    /// That the key of version `t` comes.
    fn comes(&self, table: &LoadTable<'_>) -> String {
        let comes = |pattern: &NullPattern| {
            format!("EXISTS (SELECT FROM {} s WHERE {})", table.staging, pattern.is_same())
        };
        self.patterns.iter().map(comes).collect::<Vec<_>>().join(" OR ")
    }

    /// The versions that are there of the keys that come.
    fn there(&self, table: &LoadTable<'_>) -> String {
        let there = |pattern: &NullPattern| {
            format!(
                "SELECT t.*, t.tableoid AS \"longshore table\", t.ctid AS \"longshore place\" FROM {} t \
                 WHERE EXISTS (SELECT FROM {} s WHERE {})",
                table.target,
                table.staging,
                pattern.is_same()
            )
        };
        self.patterns.iter().map(there).collect::<Vec<_>>().join(" UNION ALL ")
    }

    /// The columns of versions that come from the rows.
    fn values<'t>(&self, table: &'t LoadTable<'_>) -> Vec<&'t String> {
        let names = table.columns.iter().map(|column| &column.name);
        names.filter(|name| Some(*name) != self.how.changed_at.as_ref()).collect()
    }

    /// The query of the versions of all keys that come: their values, `longshore from`, `longshore to`,
    /// `longshore open`, and the place of the version that is there, if one is.
    fn query(&self, table: &LoadTable<'_>) -> Result<String> {
        let (key, own) = (listed(self.how.key.iter()), listed(self.values(table).iter().copied()));
        Ok(format!(
            "WITH there AS ({}), known AS ({}), placed AS ({}), instants AS ({}), kept AS (\
               SELECT *, lead(\"longshore at\") OVER (PARTITION BY {key} ORDER BY \"longshore at\") \
                 AS \"longshore next\" FROM instants \
               WHERE NOT \"longshore begins\" OR NOT \"longshore is same\"\
             ) SELECT {own}, \"longshore at\" AS \"longshore from\", \"longshore next\" AS \"longshore to\", \
                 \"longshore next\" IS NULL AS \"longshore open\", \"longshore there table\" AS \"longshore table\", \
                 \"longshore there place\" AS \"longshore place\" FROM kept WHERE \"longshore begins\"{}",
            self.there(table),
            self.known(table)?,
            placed(&key),
            instants(&key, &self.is_same(table)),
            self.reopened(table),
        ))
    }

    /// The events of the keys: the start of a version (side 1), the end of a version (0), a row that was read (2).
    fn known(&self, table: &LoadTable<'_>) -> Result<String> {
        let (values, time) = (self.values(table), &self.time);
        let as_read = |name: &&String| {
            Ok(format!("{} AS {}", table.cast(&quote_ident(name), name)?, quote_ident(name)))
        };
        let as_read: Vec<String> = values.iter().map(as_read).collect::<Result<_>>()?;
        let at = match &self.how.changed_at {
            Some(name) => format!("{}::{time}", quote_ident(name)),
            None => self.now.clone(),
        };
        let (from, to) = (quote_ident(&self.how.valid_from), quote_ident(&self.how.valid_to));
        let own = listed(values.iter().copied());
        Ok(format!(
            "SELECT {own}, t.{from} AS \"longshore at\", 1 AS \"longshore side\", \"longshore table\", \
               \"longshore place\" FROM there t \
             UNION ALL SELECT {own}, t.{to}, 0, NULL, NULL FROM there t WHERE NOT {} \
             UNION ALL SELECT {}, {at}, 2, NULL, NULL FROM {} s",
            self.is_open(),
            as_read.join(", "),
            table.staging,
        ))
    }

    /// That an instant has the tracked values of the one before it, to the last byte: a change from `a` to `A` is one,
    /// whatever the collation.
    fn is_same(&self, table: &LoadTable<'_>) -> String {
        let tracked: Vec<&String> = match &self.how.track {
            Some(track) => track.iter().collect(),
            None => {
                let values = self.values(table).into_iter();
                values.filter(|name| !self.how.key.contains(name)).collect()
            }
        };
        if tracked.is_empty() {
            return String::new();
        }
        let before = |name: &&String| format!("lag({}) OVER w", quote_ident(name));
        let before: Vec<String> = tracked.iter().map(before).collect();
        let own = listed(tracked.into_iter());
        format!(" AND record_image_eq(ROW({}), ROW({own}))", before.join(", "))
    }

    /// The versions of keys that come and are closed: they begin with the run, with the values that were read last.
    fn reopened(&self, table: &LoadTable<'_>) -> String {
        if !self.how.closes_absent {
            return String::new();
        }
        format!(
            " UNION ALL SELECT {}, {}, NULL, TRUE, NULL, NULL FROM instants WHERE \"longshore side\" = 2 \
             AND \"longshore number\" = 1 AND NOT \"longshore is last begin\"",
            listed(self.values(table).iter().copied()),
            self.now
        )
    }

    /// Writes the versions of the keys that come, as far as they are not there just so.
    fn write(&self, table: &mut LoadTable<'_>) -> Result<Counts> {
        let (target, how) = (table.target, self.how);
        let versions = format!("{}_versions\"", table.staging.trim_end_matches('"'));
        let query = self.query(table)?;
        table.client.query(&format!("CREATE TABLE {versions} AS {query}; ANALYZE {versions}"))?;
        let is_kept = "t.tableoid = v.\"longshore table\" AND t.ctid = v.\"longshore place\"";
        let comes = self.comes(table);
        // An update moves a row to another place, so the delete comes before it.
        let deleted = table.change(&format!(
            "DELETE FROM {target} t WHERE ({comes}) AND NOT EXISTS (SELECT FROM {versions} v WHERE {is_kept})"
        ))?;
        let to = format!(
            "CASE WHEN v.\"longshore open\" THEN {} ELSE v.\"longshore to\" END",
            self.end()
        );
        let mut set: Vec<(String, String)> = vec![(quote_ident(&how.valid_to), to.clone())];
        set.extend(
            how.current.as_ref().map(|name| (quote_ident(name), "v.\"longshore open\"".to_owned())),
        );
        let values = self.values(table);
        set.extend(
            values.iter().map(|name| (quote_ident(name), format!("v.{}", quote_ident(name)))),
        );
        let old: Vec<String> = set.iter().map(|(column, _)| format!("t.{column}")).collect();
        let new: Vec<String> = set.iter().map(|(_, new)| new.clone()).collect();
        let differs = format!("record_image_ne(ROW({}), ROW({}))", old.join(", "), new.join(", "));
        let sets: Vec<String> =
            set.iter().map(|(column, new)| format!("{column} = {new}")).collect();
        let updated = table.change(&format!(
            "UPDATE {target} t SET {} FROM {versions} v WHERE {is_kept} AND ({})",
            sets.join(", "),
            differs
        ))?;
        let mut names = vec![quote_ident(&how.valid_from)];
        let mut news = vec!["v.\"longshore from\"".to_owned()];
        for (name, new) in set {
            names.push(name);
            news.push(new);
        }
        if let Some(name) = &how.surrogate_key {
            names.push(quote_ident(name));
            news.push(table.cast("gen_random_uuid()", name)?);
        }
        let inserted = table.change(&format!(
            "INSERT INTO {target} ({}) SELECT {} FROM {versions} v WHERE v.\"longshore place\" IS NULL",
            names.join(", "),
            news.join(", ")
        ))?;
        table.client.query(&format!("DROP TABLE {versions}"))?;
        Ok(Counts { inserted, updated, deleted })
    }

    /// Ends the open versions of keys that do not come.
    fn close_absent(&self, table: &mut LoadTable<'_>) -> Result<u64> {
        let (target, comes, is_open) = (table.target, self.comes(table), self.is_open());
        let (from, to) = (quote_ident(&self.how.valid_from), quote_ident(&self.how.valid_to));
        let current = self.how.current.as_ref();
        let current = current.map(|name| format!(", {} = FALSE", quote_ident(name)));
        let now = &self.now;
        table.change(&format!(
            "UPDATE {target} t SET {to} = {now}{} WHERE {is_open} AND t.{from} < {now} AND NOT ({comes})",
            current.unwrap_or_default()
        ))
    }
}

/// The events, each with its rank among those of the same instant, and with the place of the version that starts then.
fn placed(key: &str) -> String {
    format!(
        "SELECT *, max(\"longshore side\") OVER instant > 0 AS \"longshore begins\", \
           row_number() OVER (PARTITION BY {key}, \"longshore at\" ORDER BY \"longshore side\" DESC) \
             AS \"longshore rank\", \
           first_value(\"longshore table\") OVER there_first AS \"longshore there table\", \
           first_value(\"longshore place\") OVER there_first AS \"longshore there place\" FROM known \
         WINDOW instant AS (PARTITION BY {key}, \"longshore at\"), \
           there_first AS (PARTITION BY {key}, \"longshore at\" ORDER BY \"longshore side\" = 1 DESC \
             ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
    )
}

/// One row for each instant of a key: a row that was read goes before the version that is there.
fn instants(key: &str, is_same: &str) -> String {
    format!(
        "SELECT *, coalesce(lag(\"longshore begins\") OVER w{is_same}, FALSE) AS \"longshore is same\", \
           row_number() OVER (PARTITION BY {key}, \"longshore side\" ORDER BY \"longshore at\" DESC) \
             AS \"longshore number\", \
           last_value(\"longshore begins\") OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) \
             AS \"longshore is last begin\" \
         FROM placed WHERE \"longshore rank\" = 1 WINDOW w AS (PARTITION BY {key} ORDER BY \"longshore at\")"
    )
}
