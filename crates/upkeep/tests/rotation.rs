//! A rotation of the master key that is killed at each of its steps, and goes on.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tollgate_domain::{Timestamp, User, UserId};
use tollgate_persistence::{Database, PoolOptions, open_unsealed};
use tollgate_store::RewrappedTotp;
use tollgate_store::conformance::fixtures::{platform_audit, user, user_id};
use tollgate_upkeep::{AuditSeal, MasterKeys, Secrets, UpkeepError, rotate, secrets_status};
use tollgate_vault::{ExposeSecret as _, MasterKey, Place, Sealed, Vault};

const FOLDER: &str = "TOLLGATE_ROTATION_FOLDER";
/// After which step the process kills itself.
const STEP: &str = "TOLLGATE_ROTATION_STEP";

/// Two and a half pages of users with a second factor.
const USERS: u64 = 250;
/// Three of users, one of the installation's secrets.
const STEPS: u64 = 4;

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_420_800_000_000)
}

fn place(user: &UserId) -> Place<'_> {
    Place {
        table: "users",
        row: user.as_bytes(),
        column: "totp",
        org_id: None,
    }
}

fn key(folder: &Path, name: &str) -> MasterKey {
    MasterKey::from_file_or_new(&folder.join(name)).unwrap()
}

/// The installation, opened with the new key and, perhaps, the old one.
fn open(folder: &Path, old: &[&str]) -> Result<(Arc<dyn Database>, Secrets), UpkeepError> {
    let keys = MasterKeys {
        current: key(folder, "new"),
        old: old.iter().map(|name| key(folder, name)).collect(),
    };
    open_with(folder, &keys)
}

fn open_with(
    folder: &Path,
    keys: &MasterKeys,
) -> Result<(Arc<dyn Database>, Secrets), UpkeepError> {
    let url = format!("sqlite://{}/t.db", folder.display());
    let store = open_unsealed(&url, &PoolOptions::default()).unwrap();
    let secrets = Secrets::open(&*store, keys)?;
    store.seal_with(Arc::new(AuditSeal::new(&secrets.audit_root)?));
    Ok((store, secrets))
}

/// Makes an installation under the old key, with people who have a second factor, and returns its root key.
fn fill(folder: &Path) -> [u8; 32] {
    let keys = MasterKeys {
        current: key(folder, "old"),
        old: Vec::new(),
    };
    let (store, secrets) = open_with(folder, &keys).unwrap();
    for n in 1..=USERS {
        let sealed = secrets
            .vault
            .seal(&place(&user_id(n)), secret_of(n).as_bytes());
        let user = User {
            totp: Some(sealed.unwrap().to_bytes()),
            ..user(n)
        };
        store.add_user(&user, &platform_audit()).unwrap();
    }
    *secrets.audit_root.expose()
}

fn secret_of(n: u64) -> String {
    format!("the second factor of {n}")
}

fn check_all_open(store: &dyn Database, vault: &Vault) {
    for n in 1..=USERS {
        let user = store.find_user(user_id(n)).unwrap().unwrap();
        let sealed = Sealed::from_bytes(&user.totp.unwrap()).unwrap();
        let opened = vault.open(&place(&user_id(n)), &sealed).unwrap();
        assert_eq!(opened.expose_secret(), secret_of(n).as_bytes());
    }
}

/// What the killed process does; run as a test of its own it has nothing to do.
#[test]
fn rotate_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let last: u64 = std::env::var(STEP).unwrap().parse().unwrap();
    let (store, secrets) = open(Path::new(&folder), &["old"]).unwrap();
    rotate(&*store, &secrets.vault, now, |step| {
        if step.number == last {
            let own = std::process::id().to_string();
            let killed = Command::new("kill").args(["-9", &own]).status();
            panic!("not killed: {killed:?}");
        }
    })
    .unwrap();
}

fn rotate_and_die(folder: &Path, step: u64) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "rotate_until_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(STEP, step.to_string())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9), "step {step}: {status:?}");
}

#[test]
fn a_rotation_that_is_killed_at_any_step_goes_on_and_loses_nothing() {
    for step in 1..=STEPS {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let root = fill(folder);
        rotate_and_die(folder, step);
        let (store, secrets) = open(folder, &["old"]).unwrap();
        check_all_open(&*store, &secrets.vault);
        let status = secrets_status(&*store, &secrets.vault).unwrap();
        let left = match step {
            STEPS => 0,
            _ => USERS.saturating_sub(100 * step) + 4,
        };
        assert_eq!(status.needs_rewrap, left, "{status}");

        let mut steps = 0;
        rotate(&*store, &secrets.vault, now, |step| steps = step.number).unwrap();
        assert_eq!(steps, STEPS - step, "it goes on where it was");
        assert!(
            secrets_status(&*store, &secrets.vault)
                .unwrap()
                .is_current()
        );
        drop(store);
        let (store, secrets) = open(folder, &[]).expect("the old key is needed no more");
        check_all_open(&*store, &secrets.vault);
        assert_eq!(secrets.audit_root.expose(), &root);
        check_audit(&*store, &secrets);
    }
}

/// Each step has one entry, and the chain is whole.
fn check_audit(store: &dyn Database, secrets: &Secrets) {
    let sealer = tollgate_audit::Sealer::derive(&secrets.audit_root).unwrap();
    let mut verifier = tollgate_audit::Verifier::new(&sealer, None);
    let entries = store.read_audit(None, 0, u16::MAX).unwrap();
    for entry in &entries {
        verifier.push(entry).unwrap();
    }
    let rotations = entries
        .iter()
        .filter(|entry| entry.action == "secrets.rotate");
    assert_eq!(u64::try_from(rotations.count()).unwrap(), STEPS);
}

#[test]
fn status_tells_of_values_that_do_not_open_and_rotation_leaves_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fill(folder);
    let (store, secrets) = open(folder, &["old"]).unwrap();
    let stranger = Vault::new(&key(folder, "stranger"), []).unwrap();
    let lost = stranger.seal(&place(&user_id(1)), b"x").unwrap().to_bytes();
    for (n, to) in [(1, lost.clone()), (2, vec![1, 2, 3])] {
        let from = store.find_user(user_id(n)).unwrap().unwrap().totp.unwrap();
        let user_id = user_id(n);
        let change = [RewrappedTotp { user_id, from, to }];
        assert_eq!(store.rewrap_totps(&change, &platform_audit()).unwrap(), 1);
    }
    let status = secrets_status(&*store, &secrets.vault).unwrap();
    assert_eq!(
        (status.needs_rewrap, status.lost, status.damaged),
        (USERS - 2 + 4, 1, 1)
    );
    assert!(!status.is_current() && status.to_string().contains("run `tollgate secrets rotate`"));

    rotate(&*store, &secrets.vault, now, |_| ()).unwrap();
    let status = secrets_status(&*store, &secrets.vault).unwrap();
    assert_eq!(
        (status.needs_rewrap, status.lost, status.damaged),
        (0, 1, 1)
    );
    assert!(!status.is_current());
    let keys: Vec<_> = status
        .keys
        .iter()
        .map(|under| (under.secrets, under.second_factors))
        .collect();
    assert!(
        keys.contains(&(4, USERS - 2)) && keys.contains(&(0, 1)),
        "{keys:?}"
    );
    let user = store.find_user(user_id(1)).unwrap().unwrap();
    assert_eq!(user.totp, Some(lost));
}

#[test]
fn a_rotation_that_is_done_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fill(folder);
    let (store, secrets) = open(folder, &["old"]).unwrap();
    rotate(&*store, &secrets.vault, now, |_| ()).unwrap();
    let kept = store.list_secrets(None, 9).unwrap();
    let entries = store.find_audit_head(None).unwrap();
    let (store, secrets) = open(folder, &[]).unwrap();
    rotate(&*store, &secrets.vault, now, |_| panic!("a step")).unwrap();
    assert_eq!(store.list_secrets(None, 9).unwrap(), kept);
    assert_eq!(store.find_audit_head(None).unwrap(), entries);
}
