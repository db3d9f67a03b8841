//! What the server says of relations: their columns, and what holds their rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_sdk::schema::{Schema, SchemaRef};
use longshore_sdk::sql::{self, Lexis};
use longshore_sdk::{Error, ErrorClass, Relation, Result};
use longshore_values::unique_names;
use serde::{Deserialize, Serialize};

use crate::policy::Policy;
use crate::session::{Session, StatementColumn};
use crate::types::{Column, Described, Types};
use longshore_postgres_client::{Rows, Server, fault, quote_ident, quote_literal};

/// So many tables of one chunk are watched for being rewritten.
const FILE_LIMIT: usize = 200;

/// A relation, looked up.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What stands after FROM.
    pub(crate) from: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) form: Form,
}

/// What a relation is.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// A table, with all that hold rows of it: itself, or its partitions and children.
    Table { oid: u32, leaves: Vec<Leaf> },
    /// A view or a foreign table.
    View { oid: u32 },
    /// A query, and where its columns come from.
    Query { columns: Vec<StatementColumn> },
}

/// A table that holds rows itself.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) file: File,
    /// What stands after FROM.
    pub(crate) from: String,
    /// Its schema and name, unquoted.
    pub(crate) place: (String, String),
    /// Pages of its own; none for what has no pages to name.
    pub(crate) pages: Option<u64>,
    /// With what is stored out of line.
    pub(crate) bytes: u64,
    pub(crate) rows: Option<u64>,
    /// The user may read it by its own name.
    readable: bool,
    row_security: bool,
    /// Its rows are on another server.
    pub(crate) foreign: bool,
}

/// A table, and the file that its rows were in when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    /// Its name, quoted where it must be.
    pub(crate) name: String,
    pub(crate) oid: u32,
    /// Changes when the table is rewritten or truncated.
    pub(crate) node: u32,
}

impl Table {
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    /// The files of a table's leaves.
    pub(crate) fn files(&self) -> Vec<File> {
        match &self.form {
            Form::Table { leaves, .. } => {
                let own = leaves.iter().filter(|leaf| !leaf.foreign);
                own.take(FILE_LIMIT).map(|leaf| leaf.file.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The named columns, in that order.
    pub(crate) fn project(&self, names: Option<&[String]>) -> Result<Vec<Column>> {
        match names {
            None => Ok(self.columns.clone()),
            Some(names) => names.iter().map(|name| self.column(name).cloned()).collect(),
        }
    }

    pub(crate) fn column(&self, name: &str) -> Result<&Column> {
        let found = self.columns.iter().find(|column| column.name == *name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            Error::not_found(format!("no column `{name}`"))
                .with_hint(format!("its columns are {}", names.join(", ")))
        })
    }

    /// The SELECT of some columns under some conditions.
    pub(crate) fn select(
        columns: &[Column],
        from: &str,
        conditions: &[&str],
        limit: Option<u64>,
    ) -> String {
        let column = |column: &Column| format!("{}{}", quote_ident(&column.name), column.cast);
        let list: Vec<String> = columns.iter().map(column).collect();
        let conditions: Vec<String> = conditions.iter().map(|c| format!("({c})")).collect();
        let condition = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        format!("SELECT {} FROM {from}{condition}{limit}", list.join(", "))
    }
}

#[cfg(test)]
impl Leaf {
    pub(crate) fn of_pages(pages: u64) -> Self {
        Self {
            file: File { name: "t".into(), oid: 1, node: 1 },
            from: "t".into(),
            place: Default::default(),
            pages: Some(pages),
            bytes: pages * 8192,
            rows: None,
            readable: true,
            row_security: false,
            foreign: false,
        }
    }
}

/// Looks a table or query up.
pub(crate) fn look_up(
    session: &mut Session,
    relation: &Relation,
    policy: Policy,
    types: &mut Types,
) -> Result<Table> {
    match relation {
        Relation::Table(name) => look_up_table(session, name, policy, types),
        Relation::Query(query) => look_up_query(session, query, policy, types),
    }
}

/// The files of the tables of a statement, by their schemas and names, as far as the user may read
/// them.
pub(crate) fn files(
    session: &mut Session,
    places: &BTreeSet<(String, String)>,
) -> Result<Vec<File>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let place = |(schema, name): &(String, String)| {
        format!("({}, {})", quote_literal(schema), quote_literal(name))
    };
    let rows = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname), c.oid, coalesce(pg_relation_filenode(c.oid), 0) \
         FROM (VALUES {}) AS v(schema, name) JOIN pg_catalog.pg_namespace n ON n.nspname = v.schema \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.name \
         WHERE has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') AND c.relkind IN ('r', 'p', 'm') ORDER BY c.oid LIMIT {FILE_LIMIT}",
        places.iter().map(place).collect::<Vec<_>>().join(", ")
    ))?;
    let file = |row: &Vec<Option<String>>| {
        let [Some(name), Some(oid), Some(node)] = row.as_slice() else { return None };
        Some(File { name: name.clone(), oid: oid.parse().ok()?, node: node.parse().ok()? })
    };
    let files: Option<Vec<File>> = rows.iter().map(file).collect();
    files.ok_or_else(|| fault::protocol("a table that cannot be read"))
}

/// Makes sure that tables still are in the files that they were planned for, also when seen from
/// the run's snapshot, and that they stay there until the transaction ends: a snapshot does not
/// protect from a table that is truncated, rewritten or replaced.
pub(crate) fn guard(session: &mut Session, files: &[File]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let locks: String =
        files.iter().map(|file| format!("SELECT 1 FROM ONLY {} LIMIT 0; ", file.name)).collect();
    let names: Vec<String> =
        files.iter().map(|file| format!("({}::regclass)", quote_literal(&file.name))).collect();
    // Functions see the catalog as it is now, a query sees it as the snapshot does.
    let found = session.query(&format!(
        "{locks}SELECT v.r::oid, coalesce(pg_relation_filenode(v.r), 0), \
           CASE c.relfilenode WHEN 0 THEN coalesce(pg_relation_filenode(c.oid), 0) ELSE c.relfilenode END \
         FROM (VALUES {}) AS v(r) LEFT JOIN pg_catalog.pg_class c ON c.oid = v.r",
        names.join(", ")
    ));
    let found = match found {
        Ok(rows) => rows,
        Err(error) if error.class() == ErrorClass::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let unchanged = |file: &File| {
        let (oid, node) = (Some(file.oid.to_string()), Some(file.node.to_string()));
        found.contains(&vec![oid, node.clone(), node])
    };
    match files.iter().find(|file| !unchanged(file)) {
        None => Ok(()),
        Some(file) => Err(Error::stale(format!("table {} was rewritten or replaced", file.name))
            .with_hint("run the job when no VACUUM FULL, CLUSTER, TRUNCATE or ALTER TABLE runs")),
    }
}

/// All that can be read, ours to name again. Partitions are read with their table.
pub(crate) fn list(session: &mut Session) -> Result<Vec<String>> {
    let whole =
        if session.server().version >= PARTITIONS_SINCE { "NOT c.relispartition" } else { "true" };
    let rows = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {whole} \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
           AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
         ORDER BY 1"
    ))?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next()?).collect())
}

/// The first version with declared partitions.
const PARTITIONS_SINCE: u32 = 100_000;

/// The first version with other ways to store a table than PostgreSQL's own.
const ACCESS_METHODS_SINCE: u32 = 120_000;

/// The first version whose collations may be non-deterministic.
const DETERMINISM_SINCE: u32 = 120_000;

fn look_up_table(
    session: &mut Session,
    name: &str,
    policy: Policy,
    types: &mut Types,
) -> Result<Table> {
    let Found { oid, from, kind, has_children } = find_table(session, name)?;
    let is_table = matches!(kind.as_str(), "r" | "p" | "m");
    let asked = columns_query(session.server(), oid);
    let (columns, leaves) = if is_table {
        session.query_both(&asked, &leaves_query(session.server(), oid, has_children))?
    } else {
        (session.query(&asked)?, Vec::new())
    };
    let columns = table_columns(session, &columns, policy, types)?;
    if columns.is_empty() {
        return Err(Error::data("a table with no columns cannot be a file"));
    }
    if !is_table {
        let form = Form::View { oid };
        return Ok(Table { from, columns, rows: None, bytes: None, form });
    }
    let leaves = leaves.iter().map(|row| parse_leaf(row)).collect::<Result<Vec<Leaf>>>()?;
    let rows: Option<Vec<u64>> = leaves.iter().map(|leaf| leaf.rows).collect();
    Ok(Table {
        columns,
        rows: rows.map(|rows| rows.iter().sum()),
        bytes: Some(leaves.iter().map(|leaf| leaf.bytes).sum()),
        form: Form::Table { oid, leaves: whole_or_parts(oid, &from, leaves) },
        from,
    })
}

/// More partitions than this are not read one by one.
const LEAF_LIMIT: usize = 5_000;

/// A table whose rows the user may see only through the table itself, not through its partitions,
/// or that has very many of them, is read as one: with as many pages as the largest of them has.
fn whole_or_parts(oid: u32, from: &str, leaves: Vec<Leaf>) -> Vec<Leaf> {
    let alone = leaves.len() == 1 && leaves[0].file.oid == oid;
    let guarded = leaves.iter().any(|leaf| !leaf.readable || leaf.row_security);
    if alone || (!guarded && leaves.len() <= LEAF_LIMIT) {
        return leaves;
    }
    let known: Option<Vec<u64>> = leaves.iter().map(|leaf| leaf.rows).collect();
    let pages: Option<Vec<u64>> = leaves.iter().map(|leaf| leaf.pages).collect();
    let own = leaves.iter().find(|leaf| leaf.file.oid == oid);
    let node = own.map_or(0, |leaf| leaf.file.node);
    vec![Leaf {
        file: File { name: from.to_owned(), oid, node },
        from: from.to_owned(),
        place: Default::default(),
        pages: pages.and_then(|pages| pages.into_iter().max()),
        bytes: leaves.iter().map(|leaf| leaf.bytes).sum(),
        rows: known.map(|rows| rows.iter().sum()),
        readable: true,
        row_security: false,
        foreign: false,
    }]
}

/// Asks for the table and what inherits from it, as far as they hold rows.
fn leaves_query(server: &Server, table: u32, has_children: bool) -> String {
    let tree = if has_children {
        format!(
            "WITH RECURSIVE tree(oid) AS (SELECT {table}::oid UNION \
             SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
        )
    } else {
        format!("WITH tree(oid) AS (SELECT {table}::oid)")
    };
    // Pages of other storages than the heap are not to be named.
    let heap =
        if server.version >= ACCESS_METHODS_SINCE { "c.relam = 2" } else { "c.relkind <> 'f'" };
    let row_security = if server.version >= ROW_SECURITY_SINCE {
        format!("(SELECT relrowsecurity FROM pg_catalog.pg_class WHERE oid = {table})")
    } else {
        "false".into()
    };
    format!(
        "{tree} SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relkind = 'r' AND c.relhassubclass, \
           CASE WHEN {heap} THEN pg_relation_size(c.oid) / current_setting('block_size')::int END, \
           coalesce(pg_table_size(c.oid), 0), CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END, \
           coalesce(pg_relation_filenode(c.oid), 0), \
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), \
           {row_security}, n.nspname, c.relname, c.relkind = 'f' \
         FROM tree JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'm', 'f') ORDER BY c.oid"
    )
}

/// The first version with row-level security.
const ROW_SECURITY_SINCE: u32 = 90_500;

/// The column that says whether the user may read a leaf.
const LEAF_READABLE: usize = 7;

fn parse_leaf(row: &[Option<String>]) -> Result<Leaf> {
    let text = |at: usize| row.get(at)?.as_deref();
    let number = |at: usize| text(at)?.parse::<u64>().ok();
    // Functions see the catalog as it is now, a query sees it as its snapshot does: of a table that was dropped
    // meanwhile, nobody's rights are known.
    if let (Some(name), None) = (text(1), text(LEAF_READABLE)) {
        return Err(Error::stale(format!(
            "table {name} was dropped or replaced since the snapshot"
        )));
    }
    let parsed = || {
        let name = text(1)?.to_owned();
        let from = if text(2)? == "t" { format!("ONLY {name}") } else { name.clone() };
        Some(Leaf {
            file: File { name, oid: number(0)? as u32, node: number(6)? as u32 },
            from,
            place: (text(9)?.to_owned(), text(10)?.to_owned()),
            pages: number(3),
            bytes: number(4)?,
            rows: number(5),
            readable: text(LEAF_READABLE)? == "t",
            row_security: text(8)? == "t",
            foreign: text(11)? == "t",
        })
    };
    parsed().ok_or_else(|| fault::protocol("a table that cannot be read"))
}

/// A table's row of `pg_class`.
struct Found {
    oid: u32,
    /// Its whole name, quoted.
    from: String,
    kind: String,
    /// Whether other tables may hold rows of it.
    has_children: bool,
}

fn find_table(session: &mut Session, name: &str) -> Result<Found> {
    let rows = session.query(&format!(
        "SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind, c.relhassubclass \
         FROM (SELECT to_regclass({})::oid AS oid) t LEFT JOIN (pg_catalog.pg_class c \
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) ON c.oid = t.oid",
        quote_literal(name)
    ))?;
    if let Some([Some(oid), Some(from), Some(kind), Some(has)]) = rows.first().map(Vec::as_slice) {
        let oid = oid.parse().map_err(|_| fault::protocol("an oid that cannot be read"))?;
        let (from, kind, has_children) = (from.clone(), kind.clone(), has == "t");
        return Ok(Found { oid, from, kind, has_children });
    }
    // Functions see the catalog as it is now, a query sees it as the snapshot does.
    if let Some([Some(_), ..]) = rows.first().map(Vec::as_slice) {
        return Err(Error::stale(format!("table `{name}` was replaced since the snapshot")));
    }
    let missing = Error::not_found(format!("no table `{name}`")).with_code("42P01");
    // `Orders` without quotes means `orders`; help whoever forgot them.
    let exact = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE lower(c.relname) = lower({0}) OR lower(n.nspname || '.' || c.relname) = lower({0}) LIMIT 1",
        quote_literal(name)
    ))?;
    Err(match exact.into_iter().flatten().flatten().next() {
        Some(other) => {
            missing.with_hint(format!("there is `{other}`: write it so, quotes included"))
        }
        None => missing.with_hint(
            "check the name and the schema; `longshore test-connection` lists what can be read",
        ),
    })
}

fn columns_query(server: &Server, table: u32) -> String {
    let deterministic = if server.version >= DETERMINISM_SINCE {
        "coalesce(l.collisdeterministic, true)"
    } else {
        "true"
    };
    format!(
        "SELECT a.attname, a.atttypid, a.atttypmod, a.attndims, format_type(a.atttypid, a.atttypmod), \
           NOT a.attnotnull, {deterministic} \
         FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
         WHERE a.attrelid = {table} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    )
}

fn table_columns(
    session: &mut Session,
    rows: &Rows,
    policy: Policy,
    types: &mut Types,
) -> Result<Vec<Column>> {
    let described: Option<Vec<Described<'_>>> = rows
        .iter()
        .map(|row| {
            let text = |at: usize| row.get(at)?.as_deref();
            Some(Described {
                name: text(0)?,
                type_oid: text(1)?.parse().ok()?,
                type_modifier: text(2)?.parse().ok()?,
                dimensions: text(3)?.parse().ok()?,
                source_type: text(4)?,
                nullable: text(5)? == "t",
                deterministic: text(6)? == "t",
            })
        })
        .collect();
    let described = described.ok_or_else(|| fault::protocol("a column that cannot be read"))?;
    columns(session, &described, policy, types)
}

fn columns(
    session: &mut Session,
    described: &[Described<'_>],
    policy: Policy,
    types: &mut Types,
) -> Result<Vec<Column>> {
    let mut oids: Vec<u32> = described.iter().map(|column| column.type_oid).collect();
    oids.sort_unstable();
    oids.dedup();
    let types = types.look_up(session, &oids)?;
    described.iter().map(|column| Column::new(column, &types, policy)).collect()
}

fn look_up_query(
    session: &mut Session,
    query: &str,
    policy: Policy,
    types: &mut Types,
) -> Result<Table> {
    // What is no one statement is the server's to refuse, in its own words.
    let query = sql::statement(query, Lexis::POSTGRESQL).unwrap_or(query);
    let statement = session.describe(query)?;
    if statement.is_empty() {
        return Err(Error::data("the query gives no columns").with_hint("make it a SELECT"));
    }
    let written: Vec<String> = statement
        .iter()
        .map(|c| format!("format_type({}, {})", c.type_oid, c.type_modifier))
        .collect();
    let names = session.query(&format!("SELECT unnest(ARRAY[{}])", written.join(", ")))?;
    let described: Vec<Described<'_>> = statement
        .iter()
        .zip(&names)
        .map(|(column, type_name)| Described {
            name: &column.name,
            type_oid: column.type_oid,
            type_modifier: column.type_modifier,
            dimensions: 0,
            source_type: type_name.first().and_then(Option::as_deref).unwrap_or("?"),
            nullable: true,
            // A query's columns do not say which collation they have.
            deterministic: false,
        })
        .collect();
    let mut columns = columns(session, &described, policy, types)?;
    rename_twins(&mut columns);
    let names: Vec<String> = columns.iter().map(|column| quote_ident(&column.name)).collect();
    Ok(Table {
        // The line's end ends a comment in the query too.
        from: format!("({query}\n) AS q({})", names.join(", ")),
        columns,
        rows: None,
        bytes: None,
        form: Form::Query { columns: statement },
    })
}

/// Columns of the same name get numbers: `a`, `a_2`.
fn rename_twins(columns: &mut [Column]) {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let unique = unique_names(&names);
    for (column, name) in columns.iter_mut().zip(unique) {
        if column.name != name {
            column.rename(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Kind;

    #[test]
    fn a_select_asks_for_no_more_than_is_wanted() {
        let mut text = Column::of_kind("B", Kind::Text);
        text.cast = "::text";
        let columns = [Column::of_kind("a", Kind::Int4), text];
        assert_eq!(
            Table::select(
                &columns,
                "ONLY public.t",
                &["ctid >= '(8,0)'::tid", "\"a\" > 3"],
                Some(5)
            ),
            "SELECT \"a\", \"B\"::text FROM ONLY public.t WHERE (ctid >= '(8,0)'::tid) AND (\"a\" > 3) LIMIT 5"
        );
    }

    #[test]
    fn a_table_that_was_dropped_while_it_was_looked_up_is_stale() {
        let row = |readable: Option<&str>| -> Vec<Option<String>> {
            let texts = [
                Some("16384"),
                Some("public.t"),
                Some("f"),
                None,
                Some("0"),
                None,
                Some("0"),
                readable,
            ];
            let rest = [Some("f"), Some("public"), Some("t"), Some("f")];
            texts.into_iter().chain(rest).map(|text| text.map(str::to_owned)).collect()
        };
        assert!(parse_leaf(&row(Some("f"))).is_ok_and(|leaf| !leaf.readable));
        let error = parse_leaf(&row(None)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Stale);
        assert!(error.to_string().contains("public.t"), "{error}");
    }

    #[test]
    fn columns_of_the_same_name_get_numbers() {
        let mut columns = ["a", "b", "a", "a_2", "a"].map(|name| Column::of_kind(name, Kind::Int4));
        rename_twins(&mut columns);
        let names = columns.each_ref().map(|column| column.name.as_str());
        assert_eq!(names, ["a", "b", "a_3", "a_2", "a_4"]);
    }
}
