//! The tables that hold a table's rows: itself, its partitions, and what inherits from it.

use longshore_postgres_client::{Server, fault};
use longshore_sdk::{Error, Result};

use super::files::File;

/// The first version with other ways to store a table than PostgreSQL's own.
const ACCESS_METHODS_SINCE: u32 = 120_000;

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

/// More partitions than this are not read one by one.
const LEAF_LIMIT: usize = 5_000;

/// A table whose rows the user may see only through the table itself, not through its partitions,
/// or that has very many of them, is read as one: with as many pages as the largest of them has.
pub(super) fn whole_or_parts(oid: u32, from: &str, leaves: Vec<Leaf>) -> Vec<Leaf> {
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

/// Asks for tables and what inherits from them, as far as they hold rows. The first column is the table's oid.
pub(super) fn query(server: &Server, tables: &[u32], have_children: bool) -> String {
    let roots: Vec<String> = tables.iter().map(|oid| format!("({oid}::oid)")).collect();
    let roots = format!("SELECT v.oid, v.oid FROM (VALUES {}) AS v(oid)", roots.join(", "));
    let tree = if have_children {
        format!(
            "WITH RECURSIVE tree(root, oid) AS ({roots} UNION \
             SELECT t.root, i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
        )
    } else {
        format!("WITH tree(root, oid) AS ({roots})")
    };
    // Pages of other storages than the heap are not to be named.
    let heap =
        if server.version >= ACCESS_METHODS_SINCE { "c.relam = 2" } else { "c.relkind <> 'f'" };
    let row_security = if server.version >= ROW_SECURITY_SINCE {
        "(SELECT r.relrowsecurity FROM pg_catalog.pg_class r WHERE r.oid = tree.root)"
    } else {
        "false"
    };
    format!(
        "{tree} SELECT tree.root, c.oid, format('%I.%I', n.nspname, c.relname), c.relkind = 'r' AND c.relhassubclass, \
           CASE WHEN {heap} THEN pg_relation_size(c.oid) / current_setting('block_size')::int END, \
           coalesce(pg_table_size(c.oid), 0), CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END, \
           coalesce(pg_relation_filenode(c.oid), 0), \
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), \
           {row_security}, n.nspname, c.relname, c.relkind = 'f' \
         FROM tree JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'm', 'f') ORDER BY tree.root, c.oid"
    )
}

/// The first version with row-level security.
const ROW_SECURITY_SINCE: u32 = 90_500;

/// The column that says whether the user may read a leaf.
const LEAF_READABLE: usize = 7;

/// Reads a leaf from its row, without the table's oid.
pub(super) fn parse(row: &[Option<String>]) -> Result<Leaf> {
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

#[cfg(test)]
mod tests {
    use longshore_sdk::ErrorClass;

    use super::*;

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
        assert!(parse(&row(Some("f"))).is_ok_and(|leaf| !leaf.readable));
        let error = parse(&row(None)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Stale);
        assert!(error.to_string().contains("public.t"), "{error}");
    }
}
