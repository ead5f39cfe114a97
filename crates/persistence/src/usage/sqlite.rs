//! Adds usage events to SQLite.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;
use tollgate_domain::UsageEvent;
use tollgate_store::{Books, Posting};

use crate::error::Failure;
use crate::usage::{EventRow, event_columns};

/// How many events one statement adds. More would cost no less (`examples/bench_usage.rs`).
const MANY: usize = 64;

/// Adds the events that are not there yet and returns the sums over those. What is new is added many
/// at a time; where one of them is not, that is undone, and they are added one by one, each saying
/// whether it was new.
pub(crate) fn insert(
    connection: &mut SqliteConnection,
    events: &[UsageEvent],
) -> Result<Books, Failure> {
    let mut books = Books::default();
    let mut rows = Vec::with_capacity(MANY);
    for events in events.chunks(MANY) {
        rows.clear();
        for event in events {
            rows.push(EventRow::try_from(event)?);
        }
        if events.len() == MANY && are_all_added(connection, &rows)? {
            events
                .iter()
                .for_each(|event| books.post(&Posting::from(event)));
            continue;
        }
        for (event, row) in events.iter().zip(rows.chunks(1)) {
            if InsertEvents::<1>(row).execute(connection)? > 0 {
                books.post(&Posting::from(event));
            }
        }
    }
    Ok(books)
}

/// Adds all of these rows, or none when one is there already; returns which it was.
fn are_all_added(connection: &mut SqliteConnection, rows: &[EventRow<'_>]) -> QueryResult<bool> {
    let added = connection.transaction(|connection| {
        let added = InsertEvents::<MANY>(rows).execute(connection)?;
        if added < rows.len() {
            return Err(diesel::result::Error::RollbackTransaction);
        }
        Ok(())
    });
    match added {
        Ok(()) => Ok(true),
        Err(diesel::result::Error::RollbackTransaction) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The statement that adds `N` rows, as a query of its own: what Diesel derives for so wide a row
/// renders its text anew each time and takes twice as long (`examples/bench_usage.rs`).
struct InsertEvents<'a, const N: usize>(&'a [EventRow<'a>]);

impl<const N: usize> QueryId for InsertEvents<'_, N> {
    type QueryId = InsertEvents<'static, N>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const N: usize> RunQueryDsl<SqliteConnection> for InsertEvents<'_, N> {}

impl<const N: usize> QueryFragment<Sqlite> for InsertEvents<'_, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        macro_rules! statement {
            ($first:ident: $first_type:ty, $($column:ident: $sql_type:ty,)+) => {
                out.push_sql(concat!(
                    "INSERT INTO usage_events (",
                    stringify!($first),
                    $(", ", stringify!($column),)+
                    ") VALUES ",
                ));
                for (at, row) in self.0.iter().enumerate() {
                    out.push_sql(if at == 0 { "(" } else { ", (" });
                    out.push_bind_param::<$first_type, _>(&row.$first)?;
                    $(
                        out.push_sql(", ");
                        out.push_bind_param::<$sql_type, _>(&row.$column)?;
                    )+
                    out.push_sql(")");
                }
            };
        }
        event_columns!(statement);
        out.push_sql(" ON CONFLICT DO NOTHING");
        Ok(())
    }
}
