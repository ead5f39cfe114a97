//! Segments: the files that the journal consists of, by name, state and content.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::codec::{self, HEADER_BYTES, Opening, PAYLOAD_BYTES_MAX, Record, Reserved, Step};

const EXTENSION: &str = "tgj";
const READ_BYTES: usize = 256 << 10;

/// Which segment: the run of the process, the writer within it, and the place in its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    pub(crate) run: u64,
    pub(crate) worker: u32,
    pub(crate) seq: u32,
}

impl SegmentName {
    /// Returns the seed of the run's checksums.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.run.to_le_bytes())
    }

    fn parse(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?;
        let mut parts = stem.strip_suffix('.')?.split('-');
        let name = Self {
            run: u64::from_str_radix(parts.next()?, 16).ok()?,
            worker: parts.next()?.parse().ok()?,
            seq: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(name)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, worker, seq } = self;
        write!(f, "{run:016x}-{worker:03}-{seq:06}.{EXTENSION}")
    }
}

/// Returns the segments in these directories, each writer's in the order in which it wrote them.
/// A directory that is missing holds none.
pub(crate) fn list<'a>(
    dirs: impl Iterator<Item = &'a PathBuf>,
) -> io::Result<Vec<(SegmentName, PathBuf)>> {
    let mut found = Vec::new();
    for dir in dirs {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            found.extend(SegmentName::parse(&path).map(|name| (name, path)));
        }
    }
    found.sort();
    Ok(found)
}

/// A segment of this run, as its writer, the sync thread and the drain see it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) path: PathBuf,
    /// Whole frames end here.
    written: AtomicU64,
    /// How many settled records were written.
    settled: AtomicU64,
    /// Up to here it is on the disk.
    pub(crate) synced: AtomicU64,
    /// Up to here all settled records are booked.
    pub(crate) booked: AtomicU64,
    /// How many settled records were booked.
    pub(crate) booked_events: AtomicU64,
    /// Nothing will be written any more.
    pub(crate) is_finished: AtomicBool,
    /// The drain is through with what there is: the next write had better begin a new one.
    pub(crate) is_read: AtomicBool,
}

impl Segment {
    pub(crate) fn new(name: SegmentName, path: PathBuf) -> Self {
        Self {
            name,
            path,
            written: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            booked: AtomicU64::new(0),
            booked_events: AtomicU64::new(0),
            is_finished: AtomicBool::new(false),
            is_read: AtomicBool::new(false),
        }
    }

    /// Notes that frames were written; the drain may read them from now on.
    pub(crate) fn wrote(&self, bytes: usize, settled: u64) {
        self.settled.fetch_add(settled, Ordering::Relaxed);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.written.fetch_add(bytes, Ordering::Release);
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Reads what may not be on the disk yet; nothing when the segment is gone, because then it is
    /// booked.
    pub(crate) fn read_unsynced(&self) -> io::Result<Vec<u8>> {
        let from = self.synced.load(Ordering::Acquire);
        let size = self.written().saturating_sub(from);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bytes.clear(),
            file => file?.read_exact_at(&mut bytes, from)?,
        }
        Ok(bytes)
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire) >= self.written()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Acquire)
    }

    /// Returns how many bytes and settled records are not booked yet.
    pub(crate) fn backlog(&self) -> (u64, u64) {
        let bytes = self
            .written()
            .saturating_sub(self.booked.load(Ordering::Acquire));
        let booked = self.booked_events.load(Ordering::Relaxed);
        let events = self.settled.load(Ordering::Relaxed).saturating_sub(booked);
        (bytes, events)
    }
}

/// What a reader comes upon.
#[derive(Debug)]
pub(crate) enum Item<R = Box<Reserved>> {
    Record(Record<R>),
    /// Bytes that are no frame, with intact frames after them.
    Corrupt(u64),
    /// Bytes up to the end that are no frame: a write that the process did not live to finish.
    Torn(u64),
    /// An intact frame that this version cannot read.
    Foreign,
}

/// Reads a segment from its start.
///
/// Where no frame is, it goes on byte by byte to the next intact one, so that one bad place does not
/// take the records after it along.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: File,
    seed: u32,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    at: usize,
    /// Where in the file it begins.
    offset: u64,
}

impl SegmentReader {
    pub(crate) fn open(path: &Path, name: SegmentName, offset: u64) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            seed: name.seed(),
            buffer: Vec::new(),
            at: 0,
            offset,
        })
    }

    /// Returns the size of the file.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Returns how far it has read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns what comes next before `limit`, or `None` when that is reached.
    pub(crate) fn next<R: Opening>(&mut self, limit: u64) -> io::Result<Option<Item<R>>> {
        if self.offset >= limit {
            return Ok(None);
        }
        self.fill(limit)?;
        Ok(Some(match self.step() {
            Step::Record(record, bytes) => {
                self.advance(bytes);
                Item::Record(record)
            }
            Step::Foreign(bytes) => {
                self.advance(bytes);
                Item::Foreign
            }
            Step::Short | Step::Bad => self.skip_to_frame(limit)?,
        }))
    }

    fn skip_to_frame<R: Opening>(&mut self, limit: u64) -> io::Result<Item<R>> {
        let start = self.offset;
        while self.offset < limit {
            self.advance(1);
            self.fill(limit)?;
            if matches!(self.step::<R>(), Step::Record(..) | Step::Foreign(_)) {
                return Ok(Item::Corrupt(self.offset - start));
            }
        }
        Ok(Item::Torn(self.offset - start))
    }

    fn step<R: Opening>(&self) -> Step<R> {
        codec::step(self.seed, self.buffer.get(self.at..).unwrap_or_default())
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.offset += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Makes sure that a whole frame is in the buffer, as far as there is one before `limit`.
    fn fill(&mut self, limit: u64) -> io::Result<()> {
        let ahead = self.buffer.len().saturating_sub(self.at);
        let left = usize::try_from(limit.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if ahead >= (HEADER_BYTES + PAYLOAD_BYTES_MAX).min(left) {
            return Ok(());
        }
        self.buffer.drain(..self.at.min(self.buffer.len()));
        self.at = 0;
        self.buffer.resize(READ_BYTES.min(left), 0);
        let from = self.offset + u64::try_from(ahead).unwrap_or(u64::MAX);
        let free = self.buffer.get_mut(ahead..).unwrap_or_default();
        self.file
            .read_exact_at(free, from)
            .inspect_err(|_| self.buffer.truncate(ahead))
    }
}

#[cfg(test)]
mod tests {
    use tollgate_domain::UsageEvent;

    use super::*;
    use crate::testing::{TempDir, attempt, draft, outcome};

    const NAME: SegmentName = SegmentName {
        run: 0x0123_4567_89ab_cdef,
        worker: 3,
        seq: 12,
    };

    fn event(n: u64) -> UsageEvent {
        let draft = draft(n);
        let reserved = Reserved {
            attempt_id: attempt(n),
            request_id: draft.request_id,
            attempt: draft.attempt,
            org_id: draft.org_id,
            key_id: draft.key_id,
            surface: draft.surface,
            model: draft.model,
            provider: draft.provider,
            upstream_model: draft.upstream_model,
            started_at: draft.started_at,
            org_charge: None,
            key_charge: None,
            amount: tollgate_domain::Money::ZERO,
            known_prompt_tokens: n,
            known_cost: tollgate_domain::Money::from_nano(1),
            price_version: draft.price_version,
        };
        UsageEvent {
            latency_us: outcome(n).latency_us,
            ..reserved.into_unknown(None)
        }
    }

    /// Four settled records, and where each ends.
    fn small_segment() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let ends = (1..=4).map(|n| {
            assert!(codec::append_settled(&mut bytes, NAME.seed(), &event(n)));
            bytes.len()
        });
        let ends = ends.collect();
        (bytes, ends)
    }

    /// Returns the attempts that are read from these bytes, and how many were corrupt and torn.
    fn read(dir: &TempDir, bytes: &[u8]) -> (Vec<u64>, u64, u64) {
        let path = dir.0.join(NAME.to_string());
        fs::write(&path, bytes).unwrap();
        let mut reader = SegmentReader::open(&path, NAME, 0).unwrap();
        let (mut found, mut corrupt, mut torn) = (Vec::new(), 0, 0);
        let end = reader.len().unwrap();
        while let Some(item) = reader.next::<Box<Reserved>>(end).unwrap() {
            match item {
                Item::Record(Record::Settled(read)) => {
                    let n = (1..=4).find(|n| *read == event(*n));
                    found.push(n.expect("an event that was never written"));
                }
                Item::Corrupt(bytes) => corrupt += bytes,
                Item::Torn(bytes) => torn += bytes,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reader.offset(), end);
        (found, corrupt, torn)
    }

    #[test]
    fn a_segment_cut_anywhere_gives_the_records_before_the_cut() {
        let dir = TempDir::new();
        let (bytes, ends) = small_segment();
        for cut in 0..=bytes.len() {
            let whole: Vec<u64> = (1..)
                .zip(&ends)
                .filter(|(_, end)| **end <= cut)
                .map(|(n, _)| n)
                .collect();
            let kept = whole.len().checked_sub(1).map_or(0, |last| ends[last]);
            let torn = u64::try_from(cut - kept).unwrap();
            assert_eq!(read(&dir, &bytes[..cut]), (whole, 0, torn), "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_byte_anywhere_costs_the_record_that_it_is_in_and_no_other() {
        let dir = TempDir::new();
        let (bytes, ends) = small_segment();
        for at in 0..bytes.len() {
            for flip in [1 << (at % 8), 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let hit = 1 + ends.iter().filter(|end| **end <= at).count();
                let hit = u64::try_from(hit).unwrap();
                let (found, corrupt, torn) = read(&dir, &damaged);
                let others: Vec<u64> = (1..=4).filter(|n| *n != hit).collect();
                assert_eq!(found, others, "{flip:x} at {at}");
                assert_eq!((corrupt > 0, torn > 0), (hit < 4, hit == 4));
            }
        }
    }

    #[test]
    fn records_go_on_after_garbage_larger_than_any_buffer() {
        let dir = TempDir::new();
        let (bytes, _) = small_segment();
        let garbage: Vec<u8> = (0..3 * READ_BYTES)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let garbage_bytes = u64::try_from(garbage.len()).unwrap();
        let damaged = [&bytes[..], &garbage, &bytes].concat();
        let expected = vec![1, 2, 3, 4, 1, 2, 3, 4];
        assert_eq!(read(&dir, &damaged), (expected, garbage_bytes, 0));
    }

    /// Whoever sends names may put a frame into one. It is only ever looked at when the record around
    /// it is damaged, and then the checksum, whose seed is not known outside, tells.
    #[test]
    fn a_forged_frame_in_a_damaged_record_is_not_believed() {
        let dir = TempDir::new();
        let (bytes, _) = small_segment();
        let mut forged = vec![0; HEADER_BYTES];
        assert!(codec::append_settled(&mut forged, 0, &event(9)));
        let forged_bytes = u64::try_from(forged.len()).unwrap();
        let damaged = [&forged, &bytes[..]].concat();
        assert_eq!(read(&dir, &damaged), (vec![1, 2, 3, 4], forged_bytes, 0));
    }

    #[test]
    fn names_read_back_and_other_files_are_left_alone() {
        let dir = TempDir::new();
        let path = dir.0.join(NAME.to_string());
        assert_eq!(SegmentName::parse(&path), Some(NAME));
        for name in [
            "lock",
            "ballast",
            "0-1-2.tgj.damaged",
            "0-1.tgj",
            "0-1-2-3.tgj",
            "x-1-2.tgj",
            ".tgj",
        ] {
            assert_eq!(SegmentName::parse(&dir.0.join(name)), None, "{name}");
        }
    }
}
