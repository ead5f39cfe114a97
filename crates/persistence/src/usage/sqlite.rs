//! Adds usage events to SQLite.

use diesel::prelude::*;
use tollgate_domain::UsageEvent;
use tollgate_store::{Books, Posting};

use crate::error::Failure;
use crate::schema::usage_events;
use crate::usage::EventRow;

/// Adds the events that are not there yet and returns the sums over those. One prepared statement
/// per event: no call leaves the process, and each says whether its event was new.
pub(crate) fn insert(
    connection: &mut SqliteConnection,
    events: &[UsageEvent],
) -> Result<Books, Failure> {
    let mut books = Books::default();
    for event in events {
        let added = diesel::insert_into(usage_events::table)
            .values(EventRow::try_from(event)?)
            .on_conflict_do_nothing()
            .execute(connection)?;
        if added > 0 {
            books.post(&Posting::from(event));
        }
    }
    Ok(books)
}
