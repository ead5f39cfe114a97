//! The role that the application works as, so that row-level security holds for it.

use diesel::prelude::*;

use crate::error::PersistenceError;
use crate::migrations::MigrationFailure;

/// The longest name of a role in PostgreSQL.
const ROLE_BYTES_MAX: usize = 63;

/// Returns a role's name as SQL takes it.
pub(super) fn quoted(role: &str) -> Result<String, PersistenceError> {
    let is_name = (1..=ROLE_BYTES_MAX).contains(&role.len())
        && role
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_name {
        Ok(format!("\"{role}\""))
    } else {
        Err(PersistenceError::AppRole)
    }
}

/// What the application may do: read and write rows, but only add audit entries, not let any be dropped,
/// and nothing to the schema.
pub(super) fn grants(role: &str) -> String {
    format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
         REVOKE UPDATE, DELETE ON audit_entries FROM {role};
         REVOKE INSERT, UPDATE, DELETE ON audit_pruned FROM {role};
         REVOKE ALL ON __diesel_schema_migrations FROM {role}"
    )
}

/// Says in the log, once per start, when nothing but the queries keeps organizations apart.
pub(super) fn report_role(connection: &mut PgConnection) -> Result<(), PersistenceError> {
    let query = "SELECT CASE WHEN rolsuper OR rolbypassrls THEN 'bypasses' \
         WHEN pg_has_role(oid, (SELECT relowner FROM pg_class WHERE oid = 'api_keys'::regclass), \
         'MEMBER') THEN 'owns' ELSE '' END AS how FROM pg_roles WHERE rolname = current_user";
    let found: Standing = diesel::sql_query(query)
        .get_result(connection)
        .map_err(MigrationFailure::Query)?;
    match found.how.as_str() {
        "bypasses" => tracing::warn!(
            "the database role bypasses row-level security: set database.app_role to one that does not"
        ),
        "owns" => tracing::warn!(
            "the database role owns the tables and could lift row-level security: set \
             database.app_role to one that does not"
        ),
        _ => {}
    }
    Ok(())
}

/// How a role stands to row-level security.
#[derive(QueryableByName)]
struct Standing {
    #[diesel(sql_type = diesel::sql_types::Text)]
    how: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_plain_name() {
        assert_eq!(quoted("tollgate_app").unwrap(), "\"tollgate_app\"");
        for none in ["", "a\"b", "a b", "a;b", "ä", &"x".repeat(64)] {
            assert!(quoted(none).is_err(), "{none}");
        }
    }
}
