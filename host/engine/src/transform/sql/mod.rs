//! SQL steps: each is a query over the table `data`, which is what came out of the step before.

mod align;
mod checked;
mod condition;
mod convert;
#[cfg(test)]
mod fuzz;
mod group_limits;
mod ignored;
mod joins;
mod limits;
mod narrowing;
mod numbers;
mod ordered_doubles;
mod padding;
mod precedence;
mod refused;
mod sizes;
mod sort_joins;
mod spilling;
#[cfg(test)]
mod tests;
mod turn;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, Session, TableProvider,
};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType, cast};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::prelude::{DataFrame, SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::parser::ParserError;
use longshore_model::config::nearest;
use longshore_values::unique_names;

use crate::datafusion_fault::from_datafusion;
use crate::drift::AlignedColumn;
use crate::lineage::{ColumnLineage, LineageTable, of_query, of_table};
use crate::spill::{SqlBudget, SqlMemory};
pub use condition::{check_condition, condition};
pub(crate) use convert::unit_of;
pub use limits::check_depth;
use limits::check_work;
pub(crate) use sort_joins::with_sort_joins;
pub use spilling::SpillingSession;
pub use turn::SqlTurn;

use super::component::ComponentTransform;
use longshore_model::error::{Error, Result};
use longshore_plugins::Bound;
use longshore_sandbox::Transform;

/// The name under which a step's query sees its rows.
pub(crate) const TABLE: &str = "data";

/// A state whose plans keep a chunk a partition wherever the query allows it, and in which no value is
/// changed in silence. It has no tables.
///
/// It is made once: it registers hundreds of functions, and a job may have thousands of relations.
fn session_state() -> Result<&'static SessionState> {
    static STATE: LazyLock<DfResult<SessionState>> = LazyLock::new(|| {
        let disk = DiskManagerBuilder::default().with_max_temp_directory_size(u64::MAX);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(SqlMemory::new(SqlBudget::of_process().share_bytes))
            .with_disk_manager_builder(disk);
        let streams = SqlBudget::of_process().streams;
        new_session_state(runtime.build_arc()?, streams)
    });
    STATE.as_ref().map_err(|error| Error::internal(error.to_string()))
}

fn new_session_state(runtime: Arc<RuntimeEnv>, streams: usize) -> DfResult<SessionState> {
    let config = SessionConfig::new()
        .with_round_robin_repartition(false)
        // Each sort takes memory, and there are as many chunks as the source likes: rows are sorted together.
        .with_repartition_sorts(false)
        .with_target_partitions(streams)
        // 1.1 is exactly that, as in every database.
        .set_bool("datafusion.sql_parser.parse_float_as_decimal", true)
        .set_usize("datafusion.sql_parser.recursion_limit", limits::SQL_DEPTH_LIMIT);
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_type_planner(Arc::new(types::SqlTypes))
        .with_physical_optimizer_rule(Arc::new(group_limits::NoGroupLimits))
        .build();
    state.register_expr_planner(Arc::new(align::AlignTypes))?;
    state.register_function_rewrite(Arc::new(align::AlignTypes))?;
    state.add_analyzer_rule(Arc::new(checked::CheckedArithmetic));
    // Checked quotients have more digits: what they are compared with gets them, too.
    state.add_analyzer_rule(Arc::new(TypeCoercion::new()));
    Ok(state)
}

/// A context with a catalog of its own, for the tables of one query.
fn session_context(state: &SessionState) -> Result<SessionContext> {
    let mut state = state.clone();
    let names = &state.config_options().catalog;
    let (catalog, schema) = (names.default_catalog.clone(), names.default_schema.clone());
    let tables = MemoryCatalogProvider::new();
    tables
        .register_schema(&schema, Arc::new(MemorySchemaProvider::new()))
        .map_err(from_datafusion)?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(catalog, Arc::new(tables));
    state.register_catalog_list(Arc::new(catalogs));
    Ok(SessionContext::new_with_state(state))
}

/// What can be told of a query without its tables.
pub fn check_query(sql: &str, tables: &[&str]) -> Result<()> {
    let state = session_state()?;
    let statement = read_statement(state, sql)?;
    check_tables(state, &statement, tables)
}

/// A query within the limits.
fn read_statement(state: &SessionState, sql: &str) -> Result<Statement> {
    check_depth(sql)?;
    let statement = parse(state, sql)?;
    match &statement {
        Statement::Statement(parsed) if matches!(parsed.as_ref(), SqlStatement::Query(_)) => {
            check_work(parsed)?;
            joins::refuse_sides_of_keys(parsed)?;
            ignored::refuse_ignored(parsed)?;
            refused::refuse_text(parsed)?;
            Ok(statement)
        }
        _ => Err(Error::data("that is no query").with_hint("write a SELECT")),
    }
}

fn parse(state: &SessionState, sql: &str) -> Result<Statement> {
    let parsed = state.sql_to_statement(sql, &state.config_options().sql_parser.dialect);
    let parsed = parsed.map(|mut statement| {
        if let Statement::Statement(parsed) = &mut statement {
            precedence::repair(parsed.as_mut());
        }
        statement
    });
    parsed.map_err(|error| match error.find_root() {
        DataFusionError::SQL(cause, _) if **cause == ParserError::RecursionLimitExceeded => {
            limits::too_deep()
        }
        _ => from_datafusion(error),
    })
}

/// A query reads only what it is given.
fn check_tables(state: &SessionState, statement: &Statement, tables: &[&str]) -> Result<()> {
    for table in state.resolve_table_references(statement).map_err(from_datafusion)? {
        let name = table.table();
        let is_given = tables.contains(&name) || state.table_functions().contains_key(name);
        if table.schema().is_none() && is_given {
            continue;
        }
        let hint = match (tables, nearest(name, tables.iter().copied())) {
            ([only], _) => format!("the table is called `{only}`"),
            (_, Some(near)) => {
                format!("did you mean `{near}`? The tables are {}", tables.join(", "))
            }
            (_, None) => format!("the tables are {}", tables.join(", ")),
        };
        return Err(Error::data(format!("no table `{table}`")).with_hint(hint));
    }
    Ok(())
}

/// A context to run a plan in; `configure` adds what its nodes look for.
pub fn task_context(
    configure: impl FnOnce(SessionConfig) -> SessionConfig,
) -> Result<Arc<TaskContext>> {
    new_task_context(configure).map(Arc::new)
}

fn new_task_context(configure: impl FnOnce(SessionConfig) -> SessionConfig) -> Result<TaskContext> {
    let state = session_state()?;
    let config = configure(state.config().clone());
    Ok(TaskContext::from(state).with_session_config(config))
}

/// A relation's rows after some of the steps.
pub enum Rows {
    /// As a table: what follows can push projections and filters into it.
    Table(Arc<dyn TableProvider>),
    /// As a query not yet planned.
    Query(SessionContext, Box<DataFrame>),
}

impl Rows {
    /// Puts a query on top; `now` is what `now()` is in it.
    pub async fn sql(self, sql: &str, now: DateTime<Utc>) -> Result<Self> {
        let table = match self {
            Self::Table(table) => table,
            Self::Query(_, query) => query.into_view(),
        };
        Self::over([(TABLE, table)], sql, now).await
    }

    /// A query over several tables.
    pub async fn over<'a>(
        tables: impl IntoIterator<Item = (&'a str, Arc<dyn TableProvider>)>,
        sql: &str,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        Self::over_in(session_state()?, tables, sql, now).await
    }

    /// The same in a session.
    async fn over_in<'a>(
        state: &SessionState,
        tables: impl IntoIterator<Item = (&'a str, Arc<dyn TableProvider>)>,
        sql: &str,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let context = session_context(state)?;
        let mut names = Vec::new();
        for (name, table) in tables {
            context.register_table(TableReference::bare(name), table).map_err(from_datafusion)?;
            names.push(name);
        }
        let mut state = context.state();
        state.execution_props_mut().query_execution_start_time = Some(now);
        let mut statement = read_statement(&state, sql)?;
        if let Statement::Statement(parsed) = &mut statement {
            numbers::read_exponents(parsed);
            joins::name_keys(parsed);
        }
        check_tables(&state, &statement, &names)?;
        let logical = state.statement_to_plan(statement).await.map_err(from_datafusion)?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        read_only.verify_plan(&logical).map_err(from_datafusion)?;
        refused::refuse_plan(&logical)?;
        let query = DataFrame::new(
            state,
            numbers::of_plan(joins::merge_using_keys(logical).map_err(from_datafusion)?)
                .map_err(from_datafusion)?,
        );
        Ok(Self::Query(context, Box::new(with_unique_names(query)?)))
    }

    /// Keeps the first rows only, whichever those are.
    pub fn limit(self, rows: usize) -> Result<Self> {
        let (context, query) = self.into_query()?;
        Ok(Self::Query(context, Box::new(query.limit(0, Some(rows)).map_err(from_datafusion)?)))
    }

    fn into_query(self) -> Result<(SessionContext, DataFrame)> {
        match self {
            Self::Query(context, query) => Ok((context, *query)),
            Self::Table(table) => {
                let context = session_context(session_state()?)?;
                let query = context.read_table(table).map_err(from_datafusion)?;
                Ok((context, query))
            }
        }
    }

    /// The columns, as they come out of the plan.
    pub fn schema(&self) -> Result<SchemaRef> {
        match self {
            Self::Table(table) => Ok(table.schema()),
            Self::Query(context, query) => {
                let state = context.state();
                let (logical, options) = (query.logical_plan().clone(), state.config_options());
                // Types are only settled there.
                let analyzed = state.analyzer().execute_and_check(logical, options, |_, _| {});
                Ok(analyzed.map_err(from_datafusion)?.schema().inner().clone())
            }
        }
    }

    /// Makes the columns that a target holds of them.
    pub fn align(self, columns: &[AlignedColumn]) -> Result<Self> {
        let is_read = |(place, column): (usize, &AlignedColumn)| {
            column.from == Some(place) && column.cast.is_none()
        };
        if self.schema()?.fields().len() == columns.len() && columns.iter().enumerate().all(is_read)
        {
            return Ok(self);
        }
        let (context, query) = self.into_query()?;
        let own = query.schema().columns();
        let made = |column: &AlignedColumn| {
            let expr = match (column.from, &column.cast) {
                (Some(place), None) => Expr::Column(own[place].clone()),
                (Some(place), Some(to)) => cast(Expr::Column(own[place].clone()), to.clone()),
                (None, to) => {
                    let none = ScalarValue::try_new_null(to.as_ref().unwrap_or(&DataType::Null));
                    Expr::Literal(none.map_err(from_datafusion)?, None)
                }
            };
            Ok(expr.alias(&column.name))
        };
        let made = columns.iter().map(made).collect::<Result<Vec<_>>>()?;
        Ok(Self::Query(context, Box::new(query.select(made).map_err(from_datafusion)?)))
    }

    /// The columns that a query reads of each of its tables.
    pub fn columns_read(&self) -> Result<BTreeMap<String, BTreeSet<usize>>> {
        let mut read: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let Self::Query(_, query) = self else { return Ok(read) };
        let (state, logical) = query.as_ref().clone().into_parts();
        let optimized = state.optimize(&logical).map_err(from_datafusion)?;
        let walked = optimized.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let columns = read.entry(scan.table_name.table().to_owned()).or_default();
                let all = || (0..scan.source.schema().fields().len()).collect();
                columns.extend(scan.projection.clone().unwrap_or_else(all));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        walked.map_err(from_datafusion)?;
        Ok(read)
    }

    /// Puts a transform in the sandbox on top.
    pub async fn transform(self, transform: Arc<Bound<Transform>>) -> Result<Self> {
        let lineage = self.lineage();
        let node = ComponentTransform::open(self.into_plan().await?, transform).await?;
        let lineage = lineage.map(|input| node.lineage(&input));
        let table = Arc::new(PlannedTable { plan: Arc::new(node) });
        Ok(Self::Table(Arc::new(LineageTable::new(table, lineage))))
    }

    /// Where the columns come from; none if it is not known, or too much to be told.
    pub fn lineage(&self) -> Option<ColumnLineage> {
        match self {
            Self::Table(table) => of_table(table.as_ref()),
            Self::Query(_, query) => of_query(query.logical_plan()),
        }
    }

    /// The plan that makes the rows.
    pub async fn into_plan(self) -> Result<Arc<dyn ExecutionPlan>> {
        match self {
            Self::Table(table) => {
                table.scan(session_state()?, None, &[], None).await.map_err(from_datafusion)
            }
            Self::Query(context, query) => {
                let (state, logical) = query.into_parts();
                // The context owns the tables: it must outlive the planning.
                let planned = state.create_physical_plan(&logical).await;
                drop(context);
                planned.map_err(from_datafusion)
            }
        }
    }
}

/// Columns of one name get numbers, as those of a source's query do: `id`, `id_2`.
fn with_unique_names(query: DataFrame) -> Result<DataFrame> {
    let schema = query.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let unique = unique_names(&names);
    if unique == names {
        return Ok(query);
    }
    let columns: Vec<Expr> = schema
        .columns()
        .into_iter()
        .zip(unique)
        .map(|(column, name)| Expr::Column(column).alias(name))
        .collect();
    query.select(columns).map_err(from_datafusion)
}

/// A plan, as a table for the query after it.
#[derive(Debug)]
struct PlannedTable {
    plan: Arc<dyn ExecutionPlan>,
}

#[async_trait]
impl TableProvider for PlannedTable {
    fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let Some(projection) = projection else { return Ok(self.plan.clone()) };
        let schema = self.plan.schema();
        let column = |&index: &usize| {
            let name = schema.field(index).name();
            (Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>, name.clone())
        };
        let columns: Vec<_> = projection.iter().map(column).collect();
        Ok(Arc::new(ProjectionExec::try_new(columns, self.plan.clone())?))
    }
}
