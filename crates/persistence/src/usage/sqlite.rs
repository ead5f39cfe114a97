//! Adds usage events to SQLite.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;
use tollgate_domain::UsageEvent;
use tollgate_store::{Books, Posting};

use crate::error::Failure;
use crate::usage::{EventRow, event_columns};

/// Adds the events that are not there yet and returns the sums over those. One prepared statement
/// per event: no call leaves the process, and each says whether its event was new.
pub(crate) fn insert(
    connection: &mut SqliteConnection,
    events: &[UsageEvent],
) -> Result<Books, Failure> {
    let mut books = Books::default();
    for event in events {
        let added = InsertEvent(EventRow::try_from(event)?).execute(connection)?;
        if added > 0 {
            books.post(&Posting::from(event));
        }
    }
    Ok(books)
}

/// The statement, as a query of its own: what Diesel derives for so wide a row renders its text anew
/// for each one and takes twice the time (`examples/bench_usage.rs`).
struct InsertEvent<'a>(EventRow<'a>);

impl QueryId for InsertEvent<'_> {
    type QueryId = InsertEvent<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for InsertEvent<'_> {}

impl QueryFragment<Sqlite> for InsertEvent<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        macro_rules! statement {
            ($first:ident: $first_type:ty, $($column:ident: $sql_type:ty,)+) => {
                out.push_sql(concat!(
                    "INSERT INTO usage_events (",
                    stringify!($first),
                    $(", ", stringify!($column),)+
                    ") VALUES (",
                ));
                out.push_bind_param::<$first_type, _>(&self.0.$first)?;
                $(
                    out.push_sql(", ");
                    out.push_bind_param::<$sql_type, _>(&self.0.$column)?;
                )+
            };
        }
        event_columns!(statement);
        out.push_sql(") ON CONFLICT DO NOTHING");
        Ok(())
    }
}
