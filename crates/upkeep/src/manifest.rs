//! What a backup consists of.

use serde::{Deserialize, Serialize};
use tollgate_domain::Timestamp;

use crate::error::UpkeepError;

/// The largest manifest that is read.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;

/// The only format so far.
const FORMAT: u32 = 1;

/// The database's name in a backup.
pub(crate) const DATABASE: &str = "tollgate.db";
/// The journal's directory in a backup.
pub(crate) const JOURNAL: &str = "journal";

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of the backup.
    pub format: u32,
    /// The version of Tollgate that made it.
    pub version: String,
    /// When it was begun: nothing later is needed to be in it.
    pub at: Timestamp,
    /// Every file but this one.
    pub files: Vec<ManifestFile>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// `tollgate.db`, or a segment of the journal, `journal/….tgj`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of what is in it, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    pub(crate) const fn new(version: String, at: Timestamp, files: Vec<ManifestFile>) -> Self {
        Self {
            format: FORMAT,
            version,
            at,
            files,
        }
    }

    /// Reads a manifest: one database, and segments of a journal, each under a name that leads nowhere else.
    ///
    /// # Errors
    /// `Backup`.
    pub fn parse(bytes: &[u8]) -> Result<Self, UpkeepError> {
        let refused = |why: &str| UpkeepError::Backup(format!("the manifest {why}"));
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(refused("is too large"));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| refused(&format!("is none: {error}")))?;
        if manifest.format != FORMAT {
            return Err(refused("is of a format that this version does not know"));
        }
        let mut names: Vec<_> = manifest.files.iter().map(|file| &*file.path).collect();
        names.sort_unstable();
        let is_twice = names.windows(2).any(|pair| pair.first() == pair.last());
        let is_one = |name: &&str| *name == DATABASE || segment_name(name).is_some();
        if is_twice || !names.contains(&DATABASE) || !names.iter().all(is_one) {
            return Err(refused("names files that no backup has"));
        }
        Ok(manifest)
    }
}

/// The name of a segment in its directory, out of its path in a backup.
pub(crate) fn segment_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(JOURNAL)?.strip_prefix('/')?;
    is_segment(name).then_some(name)
}

/// Whether a file of the journal's directory is a segment: digits and dashes, as the ledger names them.
pub(crate) fn is_segment(name: &str) -> bool {
    let is_part = |c: u8| c.is_ascii_hexdigit() || c == b'-';
    name.strip_suffix(".tgj")
        .is_some_and(|stem| (1..=64).contains(&stem.len()) && stem.bytes().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(paths: &[&str]) -> Manifest {
        let file = |path: &&str| ManifestFile {
            path: (*path).to_owned(),
            bytes: 1,
            sha256: "00".to_owned(),
        };
        let at = Timestamp::from_micros(1_795_420_800_000_000);
        Manifest::new("1".to_owned(), at, paths.iter().map(file).collect())
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let written = manifest(&[DATABASE, "journal/00aa-001-000002.tgj"]);
        let text = serde_json::to_vec(&written).unwrap();
        assert_eq!(Manifest::parse(&text).unwrap(), written);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for path in [
            "../tollgate.db",
            "/etc/passwd",
            "journal/../x.tgj",
            "journal/a/b.tgj",
            "journal/.tgj",
            "journal/0.tgj.damaged",
            "journal",
            "",
            DATABASE,
        ] {
            let text = serde_json::to_vec(&manifest(&[DATABASE, path])).unwrap();
            assert!(Manifest::parse(&text).is_err(), "{path}");
        }
        let text = serde_json::to_vec(&manifest(&[])).unwrap();
        assert!(Manifest::parse(&text).is_err());
        let other = Manifest {
            format: 2,
            ..manifest(&[DATABASE])
        };
        assert!(Manifest::parse(&serde_json::to_vec(&other).unwrap()).is_err());
        assert!(Manifest::parse(b"{}").is_err());
    }
}
