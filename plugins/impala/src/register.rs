//! Tables of the catalog over folders that a run has published: made, or brought up to date.

use longshore_sdk::host::{self, Level};
use longshore_sdk::schema::SchemaRef;
use longshore_sdk::{Error, ErrorClass, Mode, Result, ResultExt, TableRegistration};

use crate::address::Product;
use crate::ddl::{self, TableColumn};
use crate::facts::Facts;
use crate::session::{Session, quote, quote_text};

/// The property that names the run which made a table.
const MADE_BY: &str = "longshore.run";

/// The property by which dropping a table would remove its files.
const PURGE: &str = "external.table.purge";

/// A table to be.
struct WantedTable<'a> {
    /// Quoted, with its database.
    name: String,
    columns: Vec<TableColumn>,
    /// Columns that folders tell.
    partitions: Vec<TableColumn>,
    of: &'a TableRegistration,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Create,
    /// It is as it should be.
    Keep,
    /// These are new, behind the others.
    Add(Vec<TableColumn>),
    /// Its columns are other ones.
    Change,
}

/// Whether all of it can be done, as far as can be told.
pub fn check(session: &mut Session, tables: &[TableRegistration]) -> Result<()> {
    for table in tables {
        let wanted = wanted(session, table)?;
        let facts = Facts::look_up(session, &wanted.name)?;
        step(facts.as_ref(), &wanted)?;
    }
    Ok(())
}

/// Does it. What of it was done is undone when the rest cannot be.
pub fn register(
    session: &mut Session,
    tables: &[TableRegistration],
    statistics: bool,
) -> Result<Vec<String>> {
    let mut undo = Vec::new();
    for table in tables {
        let wanted = wanted(session, table)?;
        if let Err(error) = apply(session, &wanted, &mut undo) {
            for statement in undo.iter().rev() {
                if let Err(error) = session.run(statement) {
                    host::log(Level::Warn, &format!("{statement}: {error}"));
                }
            }
            return Err(error).context(wanted.name);
        }
    }
    let mut names = Vec::new();
    for table in tables {
        let name = full_name(session, &table.name);
        if !table.partitions.is_empty() {
            recover_partitions(session, &name).context(name.clone())?;
        }
        refresh(session, &name).context(name.clone())?;
        if statistics {
            compute_statistics(session, &name);
        }
        names.push(name.replace('`', ""));
    }
    Ok(names)
}

/// Takes back what [`register`] did: tables that the run made are dropped, without their files.
pub fn unregister(session: &mut Session, tables: &[TableRegistration]) -> Result<()> {
    for table in tables {
        let name = full_name(session, &table.name);
        let Some(facts) = Facts::look_up(session, &name)? else { continue };
        if facts.property(MADE_BY) == Some(&table.run) && facts.is_external() {
            session.run(&format!("DROP TABLE {name}"))?
        } else {
            refresh(session, &name)?
        }
    }
    Ok(())
}

fn full_name(session: &Session, table: &str) -> String {
    match &session.address.database {
        Some(database) => format!("{}.{}", quote(database), quote(table)),
        None => quote(table),
    }
}

fn wanted<'a>(session: &Session, table: &'a TableRegistration) -> Result<WantedTable<'a>> {
    let columns = columns(session.address.product, &table.schema).context(table.name.clone())?;
    Ok(WantedTable::new(full_name(session, &table.name), columns, table))
}

impl<'a> WantedTable<'a> {
    fn new(name: String, mut columns: Vec<TableColumn>, of: &'a TableRegistration) -> Self {
        let partitions = columns.split_off(columns.len().saturating_sub(of.partitions.len()));
        Self { name, columns, partitions, of }
    }

    fn is_partitioned_as(&self, facts: &Facts) -> bool {
        facts.partitioned_by.len() == self.partitions.len()
            && facts.partitioned_by.iter().zip(&self.partitions).all(|(is, own)| own.is_called(is))
    }
}

fn columns(product: Product, schema: &SchemaRef) -> Result<Vec<TableColumn>> {
    let mut columns: Vec<TableColumn> = Vec::new();
    for field in schema.fields() {
        let column = ddl::column(product, field)?;
        if let Some(other) = columns.iter().find(|other| other.is_called(&column.name)) {
            return Err(Error::data(format!(
                "columns `{}` and `{}`: the catalog does not tell capitals apart",
                other.name, column.name
            ))
            .with_hint("give one of them another name with the job's `transform`"));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// What is to be done; refused where somebody else's table would be changed.
fn step(existing: Option<&Facts>, wanted: &WantedTable<'_>) -> Result<Step> {
    let Some(facts) = existing else { return Ok(Step::Create) };
    let name = wanted.name.replace('`', "");
    let refused = |what: String| {
        Err(Error::config(format!("{name} is there already, {what}")).with_hint(
            "drop it, or register in another database: the one that `register.url` names",
        ))
    };
    if facts.is_view() {
        return refused("and it is a view".into());
    }
    if !facts.is_external() {
        return refused("and its files are the catalog's own".into());
    }
    let location = facts.location.as_deref().unwrap_or_default();
    if !ddl::is_same_place(location, &wanted.of.location) {
        return refused(format!("over {location}, not {}", wanted.of.location));
    }
    if !wanted.is_partitioned_as(facts) {
        return if facts.partitioned_by.is_empty() {
            refused("and it has no partitions".into())
        } else {
            refused(format!("with partitions by {}", facts.partitioned_by.join(", ")))
        };
    }
    let there = facts.own_columns();
    let same = there.iter().zip(&wanted.columns).take_while(|(is, ours)| ours.is(is)).count();
    match (same == there.len(), same == wanted.columns.len(), wanted.of.mode) {
        // Partitions that are no more must go.
        (_, _, Mode::Replace) if !wanted.partitions.is_empty() => Ok(Step::Change),
        (true, true, _) => Ok(Step::Keep),
        (true, false, _) => Ok(Step::Add(wanted.columns[same..].to_vec())),
        // Rows without the last columns: they are NULL there.
        (false, true, Mode::Append) => Ok(Step::Keep),
        (false, false, Mode::Append) => {
            let (has, is) = &there[same];
            let ours = &wanted.columns[same];
            Err(Error::data(format!(
                "{name}: its column {} is `{has}` {is}, and ours is `{}` {}",
                same + 1,
                ours.name,
                ours.sql
            ))
            .with_hint("make them alike with the job's `transform`, or use `mode: replace`"))
        }
        _ => Ok(Step::Change),
    }
}

/// Does what is to be done with one table, and says how it is undone.
fn apply(session: &mut Session, wanted: &WantedTable<'_>, undo: &mut Vec<String>) -> Result<()> {
    let facts = Facts::look_up(session, &wanted.name)?;
    let name = &wanted.name;
    match (step(facts.as_ref(), wanted)?, facts) {
        (Step::Keep, _) | (Step::Change, None) => Ok(()),
        (Step::Create, _) => {
            let created = session.run(&create(wanted, &wanted.columns, Some(&wanted.of.run)));
            match created {
                Err(error) if session.address.product == Product::Impala && exists(&error) => {
                    // Another engine has made it, and Impala has not heard of it.
                    session.run(&format!("INVALIDATE METADATA {name}"))?;
                    match Facts::look_up(session, name)? {
                        Some(_) => apply(session, wanted, undo),
                        None => Err(error),
                    }
                }
                created => {
                    created?;
                    undo.push(format!("DROP TABLE {name}"));
                    Ok(())
                }
            }
        }
        (Step::Add(columns), _) => {
            // Without a value in the files that are there, they do no harm if they stay.
            session.run(&format!("ALTER TABLE {name} ADD COLUMNS ({})", ddl::list(&columns)))
        }
        (Step::Change, Some(facts)) => change(session, wanted, &facts, undo),
    }
}

fn create(wanted: &WantedTable<'_>, columns: &[TableColumn], run: Option<&str>) -> String {
    let made_by = run.map(|run| format!(", '{MADE_BY}' = {}", quote_text(run)));
    let partitioned = match wanted.partitions.as_slice() {
        [] => String::new(),
        by => format!(" PARTITIONED BY ({})", ddl::list(by)),
    };
    format!(
        "CREATE EXTERNAL TABLE {} ({}){partitioned} STORED AS PARQUET LOCATION {} \
         TBLPROPERTIES ('{PURGE}' = 'false'{})",
        wanted.name,
        ddl::list(columns),
        quote_text(&wanted.of.location),
        made_by.unwrap_or_default()
    )
}

/// Gives a table other columns. Where it cannot be changed, as in Spark, it is created again over its files.
fn change(
    session: &mut Session,
    wanted: &WantedTable<'_>,
    facts: &Facts,
    undo: &mut Vec<String>,
) -> Result<()> {
    let (name, before) = (&wanted.name, ddl::as_it_is(&facts.own_columns()));
    let replace = |columns| format!("ALTER TABLE {name} REPLACE COLUMNS ({})", ddl::list(columns));
    if wanted.partitions.is_empty() {
        match session.run(&replace(&wanted.columns)) {
            Ok(()) => {
                undo.push(replace(&before));
                return Ok(());
            }
            Err(error) if error.class() == ErrorClass::Data => {}
            Err(error) => return Err(error),
        }
    }
    if facts.property(PURGE).is_some_and(|purges| purges.eq_ignore_ascii_case("true")) {
        session.run(&format!("ALTER TABLE {name} SET TBLPROPERTIES ('{PURGE}' = 'false')"))?;
    }
    session.run(&format!("DROP TABLE {name}"))?;
    let made_by = facts.property(MADE_BY).filter(|run| *run != wanted.of.run);
    undo.push(create(wanted, &before, made_by));
    session.run(&create(wanted, &wanted.columns, made_by))?;
    undo.push(format!("DROP TABLE {name}"));
    Ok(())
}

fn exists(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("already exists") || text.contains("AlreadyExists")
}

/// Has the server find the folders of partitions.
fn recover_partitions(session: &mut Session, name: &str) -> Result<()> {
    match session.address.product {
        Product::Impala => session.run(&format!("ALTER TABLE {name} RECOVER PARTITIONS")),
        Product::Hive => session.run(&format!("MSCK REPAIR TABLE {name}")),
    }
}

/// Has the server look at the table's files.
fn refresh(session: &mut Session, name: &str) -> Result<()> {
    match session.address.product {
        Product::Impala => session.run(&format!("REFRESH {name}")),
        Product::Hive => match session.run(&format!("REFRESH TABLE {name}")) {
            // Hive itself remembers no files, and does not know the word.
            Err(error) if error.class() == ErrorClass::Data => Ok(()),
            done => done,
        },
    }
}

/// The table is there with them or without.
fn compute_statistics(session: &mut Session, name: &str) {
    let sql = match session.address.product {
        Product::Impala => format!("COMPUTE STATS {name}"),
        Product::Hive => format!("ANALYZE TABLE {name} COMPUTE STATISTICS"),
    };
    if let Err(error) = session.run(&sql) {
        host::log(Level::Warn, &format!("{sql}: {error}: the table is without statistics"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longshore_sdk::schema::{DataType, Field, Schema};

    use super::*;

    fn registration(mode: Mode, names: &[&str]) -> TableRegistration {
        let fields: Vec<Field> =
            names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
        TableRegistration {
            run: "r2".into(),
            name: "orders".into(),
            location: "hdfs://nn:8020/lake/orders".into(),
            schema: Arc::new(Schema::new(fields)),
            partitions: Vec::new(),
            mode,
        }
    }

    fn facts(location: &str, names: &[&str]) -> Facts {
        Facts::external(
            location,
            names.iter().map(|name| ((*name).into(), "bigint".into())).collect(),
        )
    }

    fn told(existing: Option<Facts>, mode: Mode, names: &[&str]) -> Result<Step> {
        told_of(existing, &registration(mode, names))
    }

    fn told_of(existing: Option<Facts>, of: &TableRegistration) -> Result<Step> {
        let columns = columns(Product::Hive, &of.schema)?;
        step(existing.as_ref(), &WantedTable::new("`lake`.`orders`".into(), columns, of))
    }

    #[test]
    fn partitions_are_the_last_columns() {
        let by_b = |mode| TableRegistration {
            partitions: vec!["b".into()],
            ..registration(mode, &["a", "b"])
        };
        let there = |partitioned_by: &[&str]| {
            let mut facts = facts("hdfs://nn:8020/lake/orders", &["a", "b"]);
            facts.partitioned_by = partitioned_by.iter().map(|name| (*name).into()).collect();
            Some(facts)
        };
        assert_eq!(told_of(there(&["B"]), &by_b(Mode::Append)).unwrap(), Step::Keep);
        assert_eq!(told_of(there(&["b"]), &by_b(Mode::Replace)).unwrap(), Step::Change);
        let error = told_of(there(&[]), &by_b(Mode::Append)).unwrap_err();
        assert!(error.to_string().ends_with("and it has no partitions"));
        let error = told_of(there(&["a"]), &by_b(Mode::Append)).unwrap_err();
        assert!(error.to_string().ends_with("with partitions by a"));
    }

    #[test]
    fn what_is_there_decides_what_is_done() {
        let there = || Some(facts("hdfs://nn:8020/lake/orders/", &["a", "b"]));
        assert_eq!(told(None, Mode::Append, &["a"]).unwrap(), Step::Create);
        assert_eq!(told(there(), Mode::Append, &["A", "b"]).unwrap(), Step::Keep);
        assert_eq!(told(there(), Mode::Append, &["a"]).unwrap(), Step::Keep);
        assert!(
            matches!(told(there(), Mode::Append, &["a", "b", "c"]).unwrap(), Step::Add(new) if new.len() == 1)
        );
        assert_eq!(told(there(), Mode::Replace, &["x"]).unwrap(), Step::Change);
        let error = told(there(), Mode::Append, &["a", "x"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "lake.orders: its column 2 is `b` bigint, and ours is `x` bigint"
        );
    }

    #[test]
    fn nobody_elses_table_is_touched() {
        let elsewhere = facts("hdfs://nn:8020/other", &["a"]);
        let error = told(Some(elsewhere), Mode::Replace, &["a"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "lake.orders is there already, over hdfs://nn:8020/other, not hdfs://nn:8020/lake/orders"
        );
        let managed = told(Some(Facts::default()), Mode::Replace, &["a"]).unwrap_err();
        assert!(managed.to_string().contains("its files are the catalog's own"));
        let twice = told(None, Mode::Append, &["a", "A"]).unwrap_err();
        assert!(twice.to_string().contains("does not tell capitals apart"));
    }
}
