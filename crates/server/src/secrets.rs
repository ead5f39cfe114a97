//! The installation's master key, and credentials that settings refer to.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use tollgate_auth::KeyText;

use crate::problem::Problem;

pub(crate) const MASTER_KEY_BYTES: usize = 32;

/// Reads the master key, or makes one, readable by its owner only.
pub(crate) fn master_key(file: &Path) -> Result<[u8; MASTER_KEY_BYTES], Problem> {
    let place = file.display().to_string();
    let cannot = |error: std::io::Error| Problem::new(&place, format!("the master key: {error}"));
    if !file.exists() {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(cannot)?;
        }
        // Written whole under another name first: a start that is cut off leaves no half a key.
        let draft = file.with_extension("new");
        let mut open = fs::OpenOptions::new();
        let mut made = open
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(cannot)?;
        made.write_all(new_master_key(&place)?.as_bytes())
            .map_err(cannot)?;
        made.sync_all().map_err(cannot)?;
        fs::rename(&draft, file).map_err(cannot)?;
    }
    let open = fs::File::open(file).map_err(cannot)?;
    let mode = open.metadata().map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        let message =
            format!("the master key must be readable by its owner only: chmod 600 {place}");
        return Err(Problem::new(&place, message));
    }
    let mut text = String::new();
    (&open)
        .take(256)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    parse_master_key(text.trim()).ok_or_else(|| {
        Problem::new(
            &place,
            "the master key must be 64 random hexadecimal digits".to_owned(),
        )
    })
}

/// 32 random bytes in hexadecimal, from the generator of API keys.
fn new_master_key(place: &str) -> Result<String, Problem> {
    let mut bytes = [0_u8; MASTER_KEY_BYTES];
    tollgate_auth::fill_random(&mut bytes).map_err(|_| {
        Problem::new(
            place,
            "the system gave no random bytes for a master key".to_owned(),
        )
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn parse_master_key(text: &str) -> Option<[u8; MASTER_KEY_BYTES]> {
    if text.len() != 2 * MASTER_KEY_BYTES || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; MASTER_KEY_BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    // A key that somebody typed has few different bytes; 32 random ones have about 30.
    let mut different = bytes;
    different.sort_unstable();
    let different = different.chunk_by(|one, other| one == other).count();
    (different >= 16).then_some(bytes)
}

/// Follows a reference to a credential: `env:NAME`, `file:PATH`, or the text itself.
pub(crate) fn resolve(
    place: &str,
    reference: &SecretString,
) -> Result<Option<SecretString>, Problem> {
    let text = reference.expose_secret();
    let problem = |message: String| Problem::new(place, message);
    let found = if let Some(name) = text.strip_prefix("env:") {
        let variable = std::env::vars().find(|(variable, _)| variable == name);
        let value = variable.map(|(_, value)| value);
        value.ok_or_else(|| problem(format!("api_key: the variable {name} is not set")))?
    } else if let Some(path) = text.strip_prefix("file:") {
        fs::read_to_string(path)
            .map_err(|error| problem(format!("api_key: {path} cannot be read: {error}")))?
    } else {
        text.to_owned()
    };
    let found = found.trim();
    if KeyText::parse(found).is_ok() {
        return Err(problem(
            "api_key: this is a key of Tollgate, not the provider's".to_owned(),
        ));
    }
    Ok((!found.is_empty()).then(|| SecretString::from(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_made_once_and_weak_ones_are_refused() {
        let folder = std::env::temp_dir().join(format!("tollgate-secrets-{}", std::process::id()));
        let file = folder.join("master.key");
        let made = master_key(&file).unwrap();
        assert_eq!(master_key(&file).unwrap(), made);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for weak in ["", "secret", &"0".repeat(64), &"0123456789abcdef".repeat(4)] {
            fs::write(&file, weak).unwrap();
            assert!(master_key(&file).is_err(), "{weak}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
