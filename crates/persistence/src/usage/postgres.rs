//! Adds usage events to PostgreSQL.

use std::collections::HashSet;

use diesel::deserialize::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};
use tollgate_domain::UsageEvent;
use tollgate_store::{Books, Posting};

use crate::error::Failure;
use crate::usage::{EventRow, ROWS_MAX, event_columns};

#[derive(QueryableByName)]
struct Added {
    #[diesel(sql_type = Binary)]
    attempt_id: Vec<u8>,
}

/// Adds the events that are not there yet and returns the sums over those. One statement for all,
/// in the order of their ids, so that processes that book the same events wait for each other in
/// the same order and not in a circle.
pub(crate) fn insert(
    connection: &mut PgConnection,
    events: &[UsageEvent],
) -> Result<Books, Failure> {
    let mut sorted: Vec<&UsageEvent> = events.iter().collect();
    sorted.sort_by_key(|event| event.attempt_id);
    let mut books = Books::default();
    for events in sorted.chunks(ROWS_MAX) {
        let rows: Vec<EventRow<'_>> = events
            .iter()
            .map(|event| EventRow::try_from(*event))
            .collect::<Result<_, _>>()?;
        let added: Vec<Added> = insert_rows(connection, &rows)?;
        let mut added: HashSet<Vec<u8>> = added.into_iter().map(|row| row.attempt_id).collect();
        for event in events {
            if added.remove(event.attempt_id.as_bytes().as_slice()) {
                books.post(&Posting::from(*event));
            }
        }
    }
    Ok(books)
}

/// Sends each column as one array: one statement text for any number of rows.
fn insert_rows(connection: &mut PgConnection, rows: &[EventRow<'_>]) -> QueryResult<Vec<Added>> {
    macro_rules! query {
        ($($column:ident: $sql_type:ty,)+) => {{
            let columns = [$(stringify!($column)),+];
            let arrays: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
            diesel::sql_query(format!(
                "INSERT INTO usage_events ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING \
                 RETURNING attempt_id",
                columns.join(", "),
                arrays.join(", "),
            ))
            $(.bind::<Array<$sql_type>, _>(rows.iter().map(|row| row.$column).collect::<Vec<_>>()))+
        }};
    }
    event_columns!(query).load(connection)
}
