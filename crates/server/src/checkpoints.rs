//! Signs how far the chains of the audit log have come, and sends that away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tollgate_domain::{OrgId, Timestamp};
use tollgate_engine::now;
use tollgate_persistence::Database;
use tollgate_store::AuditHead;
use tollgate_upkeep::{AuditLog, UpkeepError};
use uuid::Uuid;

use crate::audit_settings::AuditSettings;
use crate::checkpoint_sinks::{Sink, sinks};
use crate::problem::Problem;

/// How often it is looked whether checkpoints are due, and whose job they are.
const POLL: Duration = Duration::from_secs(2);
/// The one process of several that publishes holds this.
const LEASE: &str = "audit_checkpoints";
/// How long the others wait for one that does not answer any more.
const LEASE_SECONDS: i64 = 30;
/// Chains that are listed together.
const CHAINS_MAX: u16 = 200;
/// The most checkpoints that are signed at once; the others come with the next ones.
const ROUND_MAX: usize = 10_000;
/// How long the last checkpoints may take when the process ends.
const LAST_ROUND: Duration = Duration::from_secs(3);

/// Hears of each delivery: the sink's name, and whether it worked.
pub(crate) type Told = Arc<dyn Fn(&'static str, bool) + Send + Sync>;

/// Publishes checkpoints.
pub(crate) struct Publisher {
    log: AuditLog,
    database: Arc<dyn Database>,
    sinks: Vec<Pending>,
    interval: Duration,
    entries_max: u64,
    holder: String,
    told: Told,
    /// How far each chain had come when it was last signed.
    signed: BTreeMap<Option<OrgId>, u64>,
    /// When that was, and how many entries had been written.
    last: Option<(Instant, u64)>,
}

/// A sink, and what it has not taken yet: of each chain the newest, which says all that older ones do.
struct Pending {
    sink: Sink,
    lines: BTreeMap<Option<OrgId>, String>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Publisher {
    /// Makes the publisher that the settings want; `None` when they name no place.
    pub(crate) fn new(
        settings: &AuditSettings,
        log: AuditLog,
        database: Arc<dyn Database>,
        told: Told,
    ) -> Result<Option<Self>, Problem> {
        let sinks = sinks(settings)?;
        if sinks.is_empty() {
            return Ok(None);
        }
        let pending = |sink| Pending {
            sink,
            lines: BTreeMap::new(),
        };
        Ok(Some(Self {
            log,
            database,
            sinks: sinks.into_iter().map(pending).collect(),
            interval: Duration::from_secs(settings.checkpoint_interval_s),
            entries_max: settings.checkpoint_entries,
            holder: Uuid::now_v7().simple().to_string(),
            told,
            signed: BTreeMap::new(),
            last: None,
        }))
    }

    /// Publishes on a thread of its own, once more when it is told to stop.
    pub(crate) fn start(mut self, stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let run = async move {
            while !stop.is_cancelled() {
                self.tick(false).await;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
            drop(tokio::time::timeout(LAST_ROUND, self.tick(true)).await);
            // Another process goes on at once; if this fails, when the lease has run out.
            drop(self.database.end_lease(LEASE, &self.holder));
        };
        std::thread::Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || runtime.block_on(run))
    }

    /// Publishes, if it is this process's turn and there is reason to.
    async fn tick(&mut self, is_last: bool) {
        match self.is_due(is_last) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return warn(&error),
        }
        if let Err(error) = self.sign() {
            warn(&error);
        }
        for pending in &mut self.sinks {
            let lines: Vec<_> = pending.lines.values().cloned().collect();
            if lines.is_empty() {
                continue;
            }
            let name = pending.sink.name();
            let sent = pending.sink.send(&lines).await;
            (self.told)(name, sent.is_ok());
            match sent {
                Ok(()) => pending.lines.clear(),
                Err(error) => tracing::warn!(
                    sink = name,
                    checkpoints = lines.len(),
                    error = %format_args!("{error:#}"),
                    "checkpoints of the audit log could not be sent"
                ),
            }
        }
    }

    fn is_due(&mut self, is_last: bool) -> Result<bool, UpkeepError> {
        let at = now();
        let until = at.plus_seconds(LEASE_SECONDS);
        if !self.database.take_lease(LEASE, &self.holder, at, until)? {
            self.last = None;
            return Ok(false);
        }
        let count = self.database.count_audit()?;
        let is_due = is_last
            || self.last.is_none_or(|(when, counted)| {
                when.elapsed() >= self.interval || count >= counted.saturating_add(self.entries_max)
            });
        if is_due {
            self.last = Some((Instant::now(), count));
        }
        Ok(is_due)
    }

    /// Signs the chains that have grown, for each sink.
    fn sign(&mut self) -> Result<(), UpkeepError> {
        let (at, mut count) = (now(), 0);
        if let Some(head) = self.database.find_audit_head(None)? {
            count += usize::from(self.sign_chain(&head, at)?);
        }
        let mut after = None;
        loop {
            let heads = self.database.list_audit_heads(after, CHAINS_MAX)?;
            for head in &heads {
                count += usize::from(self.sign_chain(head, at)?);
                if count >= ROUND_MAX {
                    return Ok(());
                }
            }
            match heads.last() {
                Some(last) if heads.len() == usize::from(CHAINS_MAX) => after = last.org_id,
                _ => return Ok(()),
            }
        }
    }

    /// Returns whether a chain has grown, and was signed.
    fn sign_chain(&mut self, head: &AuditHead, at: Timestamp) -> Result<bool, UpkeepError> {
        if self.signed.get(&head.org_id) == Some(&head.seq) {
            return Ok(false);
        }
        let store: &dyn tollgate_store::Store = &*self.database;
        let line = match self.log.checkpoint(store, head, at) {
            Ok(checkpoint) => checkpoint.to_string(),
            Err(UpkeepError::BrokenChain(broken)) => {
                tracing::error!(%broken, "the audit log is broken");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        for pending in &mut self.sinks {
            pending.lines.insert(head.org_id, line.clone());
        }
        self.signed.insert(head.org_id, head.seq);
        Ok(true)
    }
}

fn warn(error: &UpkeepError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "checkpoints of the audit log could not be made"
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parking_lot::Mutex;
    use tollgate_domain::{Actor, AuditDraft};
    use tollgate_upkeep::{AuditScope, AuditSeal, KeptCheckpoints, MasterKeys, Secrets};
    use tollgate_vault::MasterKey;

    use super::*;

    struct Installed {
        folder: tempfile::TempDir,
        database: Arc<dyn Database>,
        secrets: Secrets,
        told: Arc<Mutex<Vec<bool>>>,
    }

    impl Installed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}/t.db", folder.path().display());
            let database = tollgate_persistence::open_unsealed(&url, &Default::default()).unwrap();
            let keys = MasterKeys {
                current: MasterKey::generate().unwrap(),
                old: Vec::new(),
            };
            let secrets = Secrets::open(&*database, &keys).unwrap();
            database.seal_with(Arc::new(AuditSeal::new(&secrets.audit_root).unwrap()));
            Self {
                folder,
                database,
                secrets,
                told: Arc::default(),
            }
        }

        fn log(&self) -> AuditLog {
            AuditLog::new(&self.secrets.audit_root).unwrap()
        }

        fn publisher(&self, path: &Path) -> Publisher {
            let told = Arc::clone(&self.told);
            let settings = AuditSettings {
                checkpoint_entries: 3,
                checkpoint_file: Some(path.to_owned()),
                ..AuditSettings::default()
            };
            let told: Told = Arc::new(move |_, is_sent| told.lock().push(is_sent));
            let database = Arc::clone(&self.database);
            let made = Publisher::new(&settings, self.log(), database, told);
            made.unwrap().expect("a publisher")
        }

        fn write(&self, count: usize) {
            for _ in 0..count {
                let draft = AuditDraft::done(Actor::System, "test", now());
                self.database.record_audit(&draft).unwrap();
            }
        }

        fn lines(&self, path: &Path) -> usize {
            let text = std::fs::read_to_string(path).unwrap();
            let kept = KeptCheckpoints::read(text.as_bytes(), &self.log().public_key()).unwrap();
            let store: &dyn tollgate_store::Store = &*self.database;
            let report = self.log().verify(store, AuditScope::All, &kept).unwrap();
            assert!(report.is_whole, "{report}");
            text.lines().count()
        }
    }

    #[test]
    fn without_a_place_nothing_is_published() {
        let installed = Installed::new();
        let told: Told = Arc::new(|_, _| ());
        let database = Arc::clone(&installed.database);
        let made = Publisher::new(&AuditSettings::default(), installed.log(), database, told);
        assert!(made.unwrap().is_none());
    }

    #[tokio::test]
    async fn checkpoints_come_with_time_or_entries_and_only_of_what_grew() {
        let installed = Installed::new();
        let path = installed.folder.path().join("checkpoints");
        let mut publisher = installed.publisher(&path);
        installed.write(1);
        publisher.tick(false).await;
        assert_eq!(installed.lines(&path), 1, "the first ones come at once");
        installed.write(2);
        publisher.tick(false).await;
        assert_eq!(installed.lines(&path), 1, "neither enough entries nor time");
        installed.write(1);
        publisher.tick(false).await;
        assert_eq!(installed.lines(&path), 2);
        publisher.interval = Duration::ZERO;
        publisher.tick(false).await;
        assert_eq!(installed.lines(&path), 2, "nothing has grown");
        installed.write(1);
        publisher.tick(false).await;
        publisher.tick(true).await;
        assert_eq!(installed.lines(&path), 3);
        assert_eq!(*installed.told.lock(), [true; 3]);
    }

    #[tokio::test]
    async fn one_process_of_several_publishes_until_it_ends() {
        let installed = Installed::new();
        let paths = ["a", "b"].map(|name| installed.folder.path().join(name));
        let mut publishers = [
            installed.publisher(&paths[0]),
            installed.publisher(&paths[1]),
        ];
        installed.write(1);
        for publisher in &mut publishers {
            publisher.tick(false).await;
        }
        assert_eq!(installed.lines(&paths[0]), 1);
        assert_eq!(installed.lines(&paths[1]), 0);
        let [first, mut second] = publishers;
        let stop = CancellationToken::new();
        stop.cancel();
        tokio::task::spawn_blocking(move || first.start(stop).unwrap().join().unwrap())
            .await
            .unwrap();
        second.tick(false).await;
        assert_eq!(installed.lines(&paths[1]), 1);
    }

    #[tokio::test]
    async fn what_a_place_did_not_take_comes_with_the_next_ones() {
        let installed = Installed::new();
        let path = installed.folder.path().join("log");
        let mut publisher = installed.publisher(&installed.folder.path().join("file"));
        let setting = crate::SyslogSetting::Unix(path.clone());
        publisher.sinks[0].sink = Sink::Syslog(setting);
        publisher.interval = Duration::ZERO;
        installed.write(1);
        publisher.tick(false).await;
        let server = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        publisher.tick(false).await;
        assert_eq!(*installed.told.lock(), [false, true]);
        let mut buffer = [0; 2_048];
        let count = server.recv(&mut buffer).unwrap();
        assert!(String::from_utf8_lossy(&buffer[..count]).contains("checkpoint.v1"));
    }
}
