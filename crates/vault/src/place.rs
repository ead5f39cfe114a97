//! Where a sealed value belongs.

use tollgate_domain::OrgId;

/// Where a sealed value belongs. It opens there and nowhere else, so that whoever can write to the
/// database cannot move one organization's secret into another's row, or a secret into a column that
/// is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's id, as bytes: those of a UUID, or of a name.
    pub row: &'a [u8],
    /// The column.
    pub column: &'a str,
    /// The organization that it belongs to; none for the installation's own.
    pub org_id: Option<OrgId>,
}

impl Place<'_> {
    /// Returns the bytes that a ciphertext is bound to: a label, then each part with its length before
    /// it, so that no two places have the same ones.
    pub(crate) fn context(&self, label: &str) -> Vec<u8> {
        let org: &[u8] = self.org_id.as_ref().map_or(&[], |id| id.as_bytes());
        let parts = [
            label.as_bytes(),
            self.table.as_bytes(),
            self.row,
            self.column.as_bytes(),
            org,
        ];
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
        for part in parts {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_read_alike_are_different() {
        let place = Place {
            table: "ab",
            row: b"c",
            column: "d",
            org_id: None,
        };
        let moved = Place {
            table: "a",
            row: b"bc",
            ..place
        };
        let owned = Place {
            org_id: Some(OrgId::from_bytes([0; 16])),
            ..place
        };
        let all = [
            place.context("x"),
            place.context("y"),
            moved.context("x"),
            owned.context("x"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != one));
        }
    }
}
