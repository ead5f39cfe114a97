//! A master key in a file.

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use crate::crypto::fill_random;
use crate::error::MasterKeyError;
use crate::master_key::MasterKey;

/// How much of a file is read: a key with space around it.
const FILE_BYTES_MAX: usize = 256;

pub(crate) fn read(path: &Path) -> Result<MasterKey, MasterKeyError> {
    let file = fs::File::open(path).map_err(MasterKeyError::Unreadable)?;
    let metadata = file.metadata().map_err(MasterKeyError::Unreadable)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(MasterKeyError::Exposed(path.to_owned()));
    }
    // The buffer never grows, which would leave a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 1));
    file.take(FILE_BYTES_MAX as u64)
        .read_to_end(&mut text)
        .map_err(MasterKeyError::Unreadable)?;
    MasterKey::from_text_bytes(&text)
}

pub(crate) fn read_or_make(path: &Path) -> Result<MasterKey, MasterKeyError> {
    match read(path) {
        Err(MasterKeyError::Unreadable(error)) if error.kind() == ErrorKind::NotFound => {
            make(path)?;
            read(path)
        }
        found => found,
    }
}

/// Makes a file with a new key. One that another process has made in the meantime stays.
fn make(path: &Path) -> Result<(), MasterKeyError> {
    let key = MasterKey::generate()?;
    let mut suffix = [0; 4];
    fill_random(&mut suffix).map_err(|_| MasterKeyError::NoRandomness)?;
    let draft = path.with_extension(format!("{:08x}.new", u32::from_be_bytes(suffix)));
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    make_whole(&key, &draft, path, &folder).map_err(MasterKeyError::NotMade)
}

/// Writes under another name first: a start that is cut off leaves no half a key.
fn make_whole(key: &MasterKey, draft: &Path, path: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut open = fs::OpenOptions::new();
    let mut made = open.write(true).create_new(true).mode(0o600).open(draft)?;
    made.write_all(&*key.to_hex())?;
    made.sync_all()?;
    // Unlike a renaming, a link does not replace what is there.
    match fs::hard_link(draft, path) {
        Ok(()) => fs::remove_file(draft)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::remove_file(draft)?,
        // There are file systems without hard links.
        Err(_) => fs::rename(draft, path)?,
    }
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_made_once_and_weak_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data").join("master.key");
        assert!(matches!(read(&file), Err(MasterKeyError::Unreadable(_))));
        let made = read_or_make(&file).unwrap();
        assert_eq!(read_or_make(&file).unwrap().expose(), made.expose());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let entries = fs::read_dir(file.parent().unwrap()).unwrap();
        assert_eq!(entries.count(), 1, "the draft is gone");
        for weak in ["", "secret", &"0".repeat(64), &"0123456789abcdef".repeat(4)] {
            fs::write(&file, weak).unwrap();
            assert!(read_or_make(&file).is_err(), "{weak}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        read_or_make(&file).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_or_make(&file).unwrap_err();
            assert!(matches!(error, MasterKeyError::Exposed(_)), "{mode:o}");
            assert!(error.to_string().contains("chmod 600 "), "{error}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read(&file).is_ok());
    }

    #[test]
    fn of_several_that_start_at_once_all_get_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        let start = std::sync::Barrier::new(8);
        let keys: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                start.wait();
                *read_or_make(&file).unwrap().expose()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn an_endless_file_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        fs::write(&file, vec![b'a'; 1 << 20]).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(read(&file), Err(MasterKeyError::Malformed)));
    }
}
