//! Everything of an installation in a directory, and back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use tollgate_domain::Timestamp;

use crate::error::UpkeepError;
use crate::manifest::{
    DATABASE, JOURNAL, MANIFEST_BYTES_MAX, Manifest, ManifestFile, is_segment, segment_name,
};

/// The name of the manifest, which is written last.
const MANIFEST: &str = "manifest.json";
/// What is copied at once.
const COPY_BYTES: usize = 256 << 10;
/// How long a database that was let go of may take to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where what is restored goes, and what is backed up comes from.
#[derive(Debug, Clone, Copy)]
pub struct BackupPlace<'a> {
    /// The database's file.
    pub database: &'a Path,
    /// Where the journal is written.
    pub journal: &'a Path,
    /// Where it goes when that fails.
    pub fallback: Option<&'a Path>,
}

/// Makes a backup in a directory that is not there yet, while the installation goes on. First the
/// segments of the journal are copied, then the database by `copy`, which writes a consistent copy into a file: what
/// is booked in between is in both, and booked once when the backup is opened. The directory
/// gets its name when it is whole and on the disk.
///
/// # Errors
/// `Backup` when there is something already; what `copy` returns; `Output`.
pub fn back_up(
    from: BackupPlace<'_>,
    to: &Path,
    (version, at): (&str, Timestamp),
    copy: impl FnOnce(&Path, &Path) -> Result<(), UpkeepError>,
) -> Result<Manifest, UpkeepError> {
    let partial = to.with_added_extension("partial");
    for path in [to, &*partial] {
        if path.exists() {
            let path = path.display();
            return Err(UpkeepError::Backup(format!("{path} is there already")));
        }
    }
    make_dir(&partial)?;
    make_dir(&partial.join(JOURNAL))?;
    let mut files = Vec::new();
    for dir in [Some(from.journal), from.fallback].into_iter().flatten() {
        for (name, path) in segments(dir)? {
            let copied = partial.join(JOURNAL).join(&name);
            match copy_file(&path, &copied) {
                Ok((bytes, sha256)) => files.push(ManifestFile {
                    path: format!("{JOURNAL}/{name}"),
                    bytes,
                    sha256,
                }),
                // It was booked meanwhile, and the database is copied later.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let database = partial.join(DATABASE);
    copy(from.database, &database)?;
    let (bytes, sha256) = digest(File::open(&database)?, None)?;
    File::open(&database)?.sync_all()?;
    files.push(ManifestFile {
        path: DATABASE.to_owned(),
        bytes,
        sha256,
    });
    let manifest = Manifest::new(version.to_owned(), at, files);
    let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?;
    let mut file = new_file(&partial.join(MANIFEST))?;
    file.write_all(&text)?;
    file.sync_all()?;
    sync_dir(&partial.join(JOURNAL))?;
    sync_dir(&partial)?;
    fs::rename(&partial, to)?;
    sync_dir(parent(to))?;
    Ok(manifest)
}

/// Restores a backup into a place where there is nothing. Every file is compared with the manifest while
/// it is copied. `prepare` gets the database under another name, where it can be refused; it gets
/// its own name last, when all else is on the disk. What fails leaves nothing.
///
/// # Errors
/// `Backup` when there is something already, or a file is not what the manifest says; what `prepare`
/// returns; `Output`.
pub fn restore(
    from: &Path,
    to: BackupPlace<'_>,
    prepare: impl FnOnce(&Path) -> Result<(), UpkeepError>,
) -> Result<Manifest, UpkeepError> {
    let mut text = Vec::new();
    let manifest = File::open(from.join(MANIFEST)).map_err(|error| {
        let from = from.display();
        UpkeepError::Backup(format!(
            "{from} is no backup: its manifest cannot be read: {error}"
        ))
    })?;
    manifest
        .take(MANIFEST_BYTES_MAX as u64 + 1)
        .read_to_end(&mut text)?;
    let manifest = Manifest::parse(&text)?;
    check_empty(to)?;
    let mut made = Made::default();
    make_dir(to.journal)?;
    make_dir(parent(to.database))?;
    // A name of this process's own: one that was refused may leave a connection that comes too late.
    let own = format!("restoring-{}", std::process::id());
    let database = to.database.with_added_extension(own);
    for file in &manifest.files {
        let target = match segment_name(&file.path) {
            Some(name) => to.journal.join(name),
            None => database.clone(),
        };
        made.0.push(target.clone());
        let found = copy_file(&from.join(&file.path), &target)?;
        if found != (file.bytes, file.sha256.clone()) {
            let path = &file.path;
            return Err(UpkeepError::Backup(format!(
                "{path} is not what was backed up"
            )));
        }
    }
    let logs = ["-wal", "-shm"].map(|end| with_end(&database, end));
    made.0.extend(logs.clone());
    prepare(&database)?;
    if !is_written_through(&logs[0]) {
        return Err(UpkeepError::Backup(
            "another process has the database open".to_owned(),
        ));
    }
    File::open(&database)?.sync_all()?;
    sync_dir(to.journal)?;
    fs::rename(&database, to.database)?;
    sync_dir(parent(to.database))?;
    made.0.clear();
    Ok(manifest)
}

/// Files that go when they were not needed in the end.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            // Not all of them are always there.
            drop(fs::remove_file(path));
        }
    }
}

/// What runs here already must not be mixed with what is restored, nor a backup be restored twice.
/// Waits until the log of a database has nothing that is not in the database. A pool lets go of its
/// connections when its own threads come to it, and the last of them writes the log through.
fn is_written_through(log: &Path) -> bool {
    let is_empty = || !fs::metadata(log).is_ok_and(|log| log.len() > 0);
    let end = Instant::now() + CLOSE_TIMEOUT;
    while !is_empty() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn check_empty(to: BackupPlace<'_>) -> Result<(), UpkeepError> {
    let mut taken = vec![to.database.to_owned()];
    taken.extend(["-wal", "-shm"].map(|end| with_end(to.database, end)));
    let in_use = taken.into_iter().find(|path| path.exists());
    let dirs = [Some(to.journal), to.fallback];
    let mut journals = dirs.into_iter().flatten().filter(|dir| {
        let entries = fs::read_dir(dir);
        entries.is_ok_and(|mut entries| entries.next().is_some())
    });
    match in_use.or_else(|| journals.next().map(Path::to_owned)) {
        None => Ok(()),
        Some(path) => Err(UpkeepError::Backup(format!(
            "{} is there already: a backup is restored where there is nothing",
            path.display()
        ))),
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The segments of a journal; a directory that is missing has none.
fn segments(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(name) = name.to_str().filter(|name| is_segment(name)) {
            found.push((name.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a file to the disk; returns how large it is and what its digest is.
fn copy_file(from: &Path, to: &Path) -> io::Result<(u64, String)> {
    let from = File::open(from)?;
    let mut copy = new_file(to)?;
    let found = digest(from, Some(&mut copy))?;
    copy.sync_all()?;
    Ok(found)
}

fn digest(mut from: File, mut to: Option<&mut File>) -> io::Result<(u64, String)> {
    let (mut digest, mut size) = (Context::new(&SHA256), 0);
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = from.read(&mut buffer)?;
        let some = buffer.get(..count).unwrap_or_default();
        if some.is_empty() {
            return Ok((size, HEXLOWER.encode(digest.finish().as_ref())));
        }
        digest.update(some);
        size += some.len() as u64;
        if let Some(to) = &mut to {
            to.write_all(some)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Installed(tempfile::TempDir);

    impl Installed {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            fs::create_dir(folder.path("journal")).unwrap();
            fs::write(folder.path("t.db"), "database").unwrap();
            for (name, text) in [
                ("00aa-000-000001.tgj", "one"),
                ("lock", ""),
                ("x.tgj.damaged", ""),
            ] {
                fs::write(folder.path("journal").join(name), text).unwrap();
            }
            folder
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn back_up(&self, to: &str) -> Result<Manifest, UpkeepError> {
            let (database, journal) = (self.path("t.db"), self.path("journal"));
            let place = BackupPlace {
                database: &database,
                journal: &journal,
                fallback: None,
            };
            let copy = |from: &Path, to: &Path| {
                fs::copy(from, to)?;
                Ok(())
            };
            back_up(
                place,
                &self.path(to),
                ("1", Timestamp::from_micros(1)),
                copy,
            )
        }

        fn restore(&self, from: &str, prepare: bool) -> Result<Manifest, UpkeepError> {
            let (database, journal) = (self.path("new/t.db"), self.path("new/journal"));
            let place = BackupPlace {
                database: &database,
                journal: &journal,
                fallback: None,
            };
            restore(&self.path(from), place, |copy| {
                assert!(copy.exists() && !database.exists());
                if prepare {
                    Ok(())
                } else {
                    Err(UpkeepError::ForeignMasterKey)
                }
            })
        }

        /// The files that are restored.
        fn restored(&self) -> Vec<String> {
            let mut found = Vec::new();
            for dir in ["new", "new/journal"] {
                for entry in fs::read_dir(self.path(dir)).into_iter().flatten() {
                    let entry = entry.unwrap();
                    if entry.path().is_file() {
                        found.push(entry.file_name().into_string().unwrap());
                    }
                }
            }
            found
        }
    }

    #[test]
    fn what_was_backed_up_comes_back_once() {
        let installed = Installed::new();
        let made = installed.back_up("b").unwrap();
        assert_eq!(made.files.len(), 2, "{made:?}");
        let restored = installed.restore("b", true).unwrap();
        assert_eq!(restored, made);
        assert_eq!(fs::read(installed.path("new/t.db")).unwrap(), b"database");
        assert_eq!(installed.restored(), ["t.db", "00aa-000-000001.tgj"]);
        let again = installed.restore("b", true).unwrap_err().to_string();
        assert!(again.contains("is there already"), "{again}");
        fs::remove_file(installed.path("new/t.db")).unwrap();
        let again = installed.restore("b", true).unwrap_err().to_string();
        assert!(again.contains("journal is there already"), "{again}");
        let twice = installed.back_up("b").unwrap_err().to_string();
        assert!(twice.contains("is there already"), "{twice}");
    }

    #[test]
    fn a_backup_that_was_changed_or_is_refused_leaves_nothing() {
        let installed = Installed::new();
        installed.back_up("b").unwrap();
        assert!(installed.restore("b", false).is_err());
        assert_eq!(installed.restored(), [""; 0]);
        for (name, text) in [
            ("b/tollgate.db", "databasE"),
            ("b/journal/00aa-000-000001.tgj", "on"),
        ] {
            let before = fs::read(installed.path(name)).unwrap();
            fs::write(installed.path(name), text).unwrap();
            let refused = installed.restore("b", true).unwrap_err().to_string();
            assert!(refused.contains("is not what was backed up"), "{refused}");
            assert_eq!(installed.restored(), [""; 0]);
            fs::write(installed.path(name), before).unwrap();
        }
        fs::remove_file(installed.path("b/manifest.json")).unwrap();
        let refused = installed.restore("b", true).unwrap_err().to_string();
        assert!(refused.contains("is no backup"), "{refused}");
    }

    #[test]
    fn a_backup_that_was_cut_off_is_none() {
        let installed = Installed::new();
        let place = BackupPlace {
            database: &installed.path("none"),
            journal: &installed.path("journal"),
            fallback: Some(&installed.path("none")),
        };
        let copy = |_: &Path, _: &Path| Err(UpkeepError::Crypto);
        let to = installed.path("b");
        let failed = back_up(place, &to, ("1", Timestamp::from_micros(1)), copy);
        assert!(failed.is_err() && !to.exists());
        let again = installed.back_up("b").unwrap_err().to_string();
        assert!(again.contains("b.partial is there already"), "{again}");
    }
}
