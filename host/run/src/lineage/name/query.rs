//! The tables that a query at the source reads.

use datafusion::common::TableReference;
use datafusion::sql::parser::DFParser;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::dialect::{
    Dialect, GenericDialect, HiveDialect, MsSqlDialect, MySqlDialect, OracleDialect,
    PostgreSqlDialect, SQLiteDialect,
};
use longshore_engine::transform::check_depth;

/// The parts of the names of the tables that a query reads, without those that WITH names. None of a query that is
/// not understood: what a database adds to the language is not known here.
pub(super) fn tables_of_query(scheme: &str, query: &str) -> Vec<Vec<String>> {
    let query = query.trim().trim_end_matches(';');
    if check_depth(query).is_err() {
        return Vec::new();
    }
    let statements = DFParser::parse_sql_with_dialect(query, dialect(scheme).as_ref());
    let Some(statement) = statements.ok().and_then(|mut found| found.pop_front()) else {
        return Vec::new();
    };
    let tables = resolve_table_references(&statement, folds(scheme));
    let parts = |table: TableReference| {
        let parts = [table.catalog(), table.schema(), Some(table.table())];
        parts.into_iter().flatten().map(str::to_owned).collect()
    };
    tables.map(|(tables, _)| tables.into_iter().map(parts).collect()).unwrap_or_default()
}

fn dialect(scheme: &str) -> Box<dyn Dialect> {
    match scheme {
        "postgres" | "postgresql" | "odbc+postgresql" | "odbc+greenplum" => {
            Box::new(PostgreSqlDialect {})
        }
        "impala" | "hive" => Box::new(HiveDialect {}),
        "mysql" | "mariadb" => Box::new(MySqlDialect {}),
        "sqlserver" | "mssql" => Box::new(MsSqlDialect {}),
        "oracle" => Box::new(OracleDialect {}),
        "sqlite" => Box::new(SQLiteDialect {}),
        _ => Box::new(GenericDialect {}),
    }
}

/// Whether names that stand in no quotes are written in small letters; of a server that writes them in capitals,
/// [`Server::of_query`](super::server::Server::of_query) makes those of it.
fn folds(scheme: &str) -> bool {
    !matches!(scheme, "mysql" | "mariadb" | "sqlserver" | "mssql" | "sqlite" | "vertica")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(scheme: &str, query: &str) -> Vec<String> {
        let tables = tables_of_query(scheme, query);
        tables.into_iter().map(|parts| parts.join("/")).collect()
    }

    #[test]
    fn a_query_reads_the_tables_in_it_and_not_what_with_names() {
        let query = "WITH big AS (SELECT * FROM Shop.Orders WHERE total > 9)
            SELECT b.*, (SELECT max(at) FROM \"Log\") FROM big b JOIN items USING (id);";
        assert_eq!(tables("postgres", query), ["Log", "items", "shop/orders"]);
        assert_eq!(tables("impala", "SELECT * FROM `Raw`.`Nation`"), ["Raw/Nation"]);
        assert_eq!(tables("mysql", "SELECT * FROM Orders"), ["Orders"]);
        assert_eq!(tables("vertica", "SELECT * FROM Orders"), ["Orders"]);
        assert!(tables("postgres", "SELECT 1").is_empty());
        assert!(tables("oracle", "SELEKT nothing").is_empty());
        assert!(tables("postgres", &"(".repeat(10_000)).is_empty());
    }
}
