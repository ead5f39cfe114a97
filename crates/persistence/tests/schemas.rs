//! Both backends keep the same tables and columns.
#![cfg(all(feature = "postgres", feature = "sqlite"))]

use diesel::prelude::*;
use diesel::sql_types::Text;
use tollgate_persistence::{PoolOptions, open};
use tollgate_store::conformance::fixtures::TestSealer;
use tollgate_testkit::TestPostgres;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Each column as `table.column type null|not null` with the type that SQLite calls it by.
#[test]
fn sqlite_and_postgres_have_the_same_tables_and_columns() {
    let database = TestPostgres::database();
    open(&database.url, &PoolOptions::default(), TestSealer::shared()).unwrap();
    let in_postgres = database.execute(
        "SELECT table_name || '.' || column_name || ' ' || CASE data_type \
             WHEN 'bytea' THEN 'BLOB' WHEN 'bigint' THEN 'INTEGER' WHEN 'boolean' THEN 'INTEGER' \
             WHEN 'text' THEN 'TEXT' ELSE data_type END || ' ' || \
             CASE is_nullable WHEN 'YES' THEN 'null' ELSE 'not null' END \
         FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%' \
         ORDER BY table_name COLLATE \"C\", ordinal_position",
    );

    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("test.db");
    let path = path.to_str().unwrap();
    open(
        &format!("sqlite://{path}"),
        &PoolOptions::default(),
        TestSealer::shared(),
    )
    .unwrap();
    let mut connection = SqliteConnection::establish(path).unwrap();
    let in_sqlite: Vec<Column> = diesel::sql_query(
        "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || \
             CASE c.\"notnull\" WHEN 0 THEN 'null' ELSE 'not null' END AS line \
         FROM pragma_table_list AS t, pragma_table_info(t.name) AS c \
         WHERE t.schema = 'main' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\' \
             AND t.name NOT LIKE 'sqlite%' \
         ORDER BY t.name, c.cid",
    )
    .load(&mut connection)
    .unwrap();
    let in_sqlite: Vec<_> = in_sqlite.into_iter().map(|column| column.line).collect();

    assert!(in_sqlite.contains(&"usage_events.cost_nano_usd INTEGER not null".to_owned()));
    assert_eq!(in_postgres.lines().collect::<Vec<_>>(), in_sqlite);
}
