//! The records of the journal and the frames that they lie in.
//!
//! A frame is the length of its payload (u32), a CRC-32C (u32, over the length and the payload,
//! seeded by the run that wrote it) and the payload: a byte for the kind, a byte for the version, and
//! the record in postcard's encoding. Integers are little-endian. The seed is part of the segment's
//! name and cannot be guessed from outside: no text that a client sends is ever taken for a frame.

use std::sync::Arc;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};
use tollgate_domain::{
    AttemptId, Charge, KeyId, Money, OrgId, Provenance, RequestId, Surface, TerminalState,
    Timestamp, Usage, UsageEvent,
};

/// Lengths beyond this are not believed. Four names of the longest and all numbers fit.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 4 << 10;
/// The length and the checksum.
pub(crate) const HEADER_BYTES: usize = 8;

const RESERVED: u8 = 1;
const CHECKPOINT: u8 = 2;
const SETTLED: u8 = 3;
const VERSION: u8 = 2;

/// An attempt is under way: all that is known before its answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) attempt_id: AttemptId,
    pub(crate) request_id: RequestId,
    pub(crate) attempt: u16,
    pub(crate) org_id: OrgId,
    pub(crate) key_id: KeyId,
    pub(crate) surface: Surface,
    pub(crate) model: Arc<str>,
    pub(crate) provider: Arc<str>,
    pub(crate) upstream_model: Arc<str>,
    pub(crate) started_at: Timestamp,
    pub(crate) org_charge: Option<Charge>,
    pub(crate) key_charge: Option<Charge>,
    pub(crate) amount: Money,
    pub(crate) known_prompt_tokens: u64,
    pub(crate) known_cost: Money,
    pub(crate) price_version: Arc<str>,
}

/// A [`Reserved`] to be written, which borrows what is long.
#[derive(Debug, Serialize)]
pub(crate) struct ReservedParts<'a> {
    pub(crate) attempt_id: AttemptId,
    pub(crate) request_id: RequestId,
    pub(crate) attempt: u16,
    pub(crate) org_id: OrgId,
    pub(crate) key_id: KeyId,
    pub(crate) surface: Surface,
    pub(crate) model: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) upstream_model: &'a str,
    pub(crate) started_at: Timestamp,
    pub(crate) org_charge: Option<Charge>,
    pub(crate) key_charge: Option<Charge>,
    pub(crate) amount: Money,
    pub(crate) known_prompt_tokens: u64,
    pub(crate) known_cost: Money,
    pub(crate) price_version: &'a str,
}

impl Reserved {
    /// Returns the event of an attempt whose end nobody saw: what is known to be used is charged.
    pub(crate) fn into_unknown(self, seen: Option<Checkpoint>) -> UsageEvent {
        let prompt = Usage {
            input: self.known_prompt_tokens,
            ..Usage::default()
        };
        let (usage, cost) = match seen {
            Some(seen) if seen.cost >= self.known_cost => (seen.usage, seen.cost),
            _ => (prompt, self.known_cost),
        };
        UsageEvent {
            attempt_id: self.attempt_id,
            request_id: self.request_id,
            attempt: self.attempt,
            is_final: true,
            org_id: self.org_id,
            key_id: self.key_id,
            surface: self.surface,
            model: self.model,
            provider: self.provider,
            upstream_model: self.upstream_model,
            started_at: self.started_at,
            latency_us: 0,
            first_token_us: None,
            usage,
            provenance: Provenance::Partial,
            cost,
            price_version: self.price_version,
            state: TerminalState::Unknown,
            upstream_status: None,
            org_charge: self.org_charge,
            key_charge: self.key_charge,
        }
    }
}

/// What an attempt under way has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) attempt_id: AttemptId,
    pub(crate) usage: Usage,
    pub(crate) cost: Money,
}

/// What is read of a reservation: all of it, or only its id, which is enough to count what is open.
pub(crate) trait Opening: Sized {
    fn read(body: &[u8]) -> Option<Self>;
}

impl Opening for Box<Reserved> {
    fn read(body: &[u8]) -> Option<Self> {
        whole(body)
    }
}

impl Opening for AttemptId {
    fn read(body: &[u8]) -> Option<Self> {
        postcard::take_from_bytes(body).ok().map(|(id, _)| id)
    }
}

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record<R = Box<Reserved>> {
    Reserved(R),
    Checkpoint(Checkpoint),
    Settled(Box<UsageEvent>),
}

/// What lies at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<R = Box<Reserved>> {
    /// An intact record, and how many bytes its frame takes.
    Record(Record<R>, usize),
    /// An intact frame that this version cannot read, and how many bytes it takes.
    Foreign(usize),
    /// Fewer bytes than the frame says.
    Short,
    /// No frame.
    Bad,
}

pub(crate) fn append_reserved(frames: &mut Vec<u8>, seed: u32, record: &ReservedParts<'_>) -> bool {
    append(frames, seed, RESERVED, record)
}

pub(crate) fn append_checkpoint(frames: &mut Vec<u8>, seed: u32, record: &Checkpoint) -> bool {
    append(frames, seed, CHECKPOINT, record)
}

pub(crate) fn append_settled(frames: &mut Vec<u8>, seed: u32, record: &UsageEvent) -> bool {
    append(frames, seed, SETTLED, record)
}

/// Appends a frame; returns false, and appends nothing, when the record is too large for one.
fn append(frames: &mut Vec<u8>, seed: u32, kind: u8, record: &impl Serialize) -> bool {
    let start = frames.len();
    frames.extend_from_slice(&[0; HEADER_BYTES]);
    frames.extend_from_slice(&[kind, VERSION]);
    let encoded = postcard::serialize_with_flavor(record, Tail(frames)).is_ok();
    let payload = frames.get(start + HEADER_BYTES..).unwrap_or_default();
    let length = match u32::try_from(payload.len()) {
        Ok(length) if encoded && payload.len() <= PAYLOAD_BYTES_MAX => length.to_le_bytes(),
        _ => {
            frames.truncate(start);
            return false;
        }
    };
    let checksum = checksum(seed, length, payload).to_le_bytes();
    let header = length.into_iter().chain(checksum);
    frames
        .iter_mut()
        .skip(start)
        .zip(header)
        .for_each(|(place, byte)| *place = byte);
    true
}

/// Reads what lies at the start of `bytes`.
pub(crate) fn step<R: Opening>(seed: u32, bytes: &[u8]) -> Step<R> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Step::Short;
    };
    let size = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if !(2..=PAYLOAD_BYTES_MAX).contains(&size) {
        return Step::Bad;
    }
    let Some((kept, rest)) = rest.split_first_chunk::<4>() else {
        return Step::Short;
    };
    let Some(payload) = rest.get(..size) else {
        return Step::Short;
    };
    if u32::from_le_bytes(*kept) != checksum(seed, *length, payload) {
        return Step::Bad;
    }
    match decode(payload) {
        Some(record) => Step::Record(record, HEADER_BYTES + size),
        None => Step::Foreign(HEADER_BYTES + size),
    }
}

fn decode<R: Opening>(payload: &[u8]) -> Option<Record<R>> {
    match payload {
        [RESERVED, VERSION, body @ ..] => R::read(body).map(Record::Reserved),
        [CHECKPOINT, VERSION, body @ ..] => whole(body).map(Record::Checkpoint),
        [SETTLED, VERSION, body @ ..] => whole(body).map(Record::Settled),
        _ => None,
    }
}

fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(body) {
        Ok((record, [])) => Some(record),
        _ => None,
    }
}

fn checksum(seed: u32, length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &length), payload)
}

/// Lets postcard write to the end of a buffer.
struct Tail<'a>(&'a mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tollgate_domain::BudgetScope;

    use super::*;
    use crate::testing::{KEY, NOW, ORG, attempt, usage};

    const SEED: u32 = 7;

    fn read(seed: u32, bytes: &[u8]) -> Step {
        step(seed, bytes)
    }

    fn event() -> UsageEvent {
        reserved().into_unknown(None)
    }

    impl Reserved {
        fn parts(&self) -> ReservedParts<'_> {
            ReservedParts {
                attempt_id: self.attempt_id,
                request_id: self.request_id,
                attempt: self.attempt,
                org_id: self.org_id,
                key_id: self.key_id,
                surface: self.surface,
                model: &self.model,
                provider: &self.provider,
                upstream_model: &self.upstream_model,
                started_at: self.started_at,
                org_charge: self.org_charge,
                key_charge: self.key_charge,
                amount: self.amount,
                known_prompt_tokens: self.known_prompt_tokens,
                known_cost: self.known_cost,
                price_version: &self.price_version,
            }
        }
    }

    fn reserved() -> Reserved {
        Reserved {
            attempt_id: attempt(1),
            request_id: RequestId::from_bytes([3; 16]),
            attempt: 2,
            org_id: ORG,
            key_id: KEY,
            surface: Surface::Embeddings,
            model: "fast".into(),
            provider: "openai".into(),
            upstream_model: "gpt".into(),
            started_at: NOW,
            org_charge: Some(Charge {
                scope: BudgetScope::Org(ORG),
                window_start: NOW.day(),
            }),
            key_charge: None,
            amount: Money::from_nano(300),
            known_prompt_tokens: 5,
            known_cost: Money::from_nano(70),
            price_version: "v".into(),
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex
            .bytes()
            .filter(u8::is_ascii_hexdigit)
            .collect::<Vec<_>>();
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// A journal may be read by a later version than wrote it. If this fails, records have changed:
    /// raise `VERSION`, and keep reading the old ones.
    #[test]
    fn version_2_is_what_it_was() {
        let seen = Checkpoint {
            attempt_id: attempt(1),
            usage: usage(9),
            cost: Money::from_nano(80),
        };
        let mut frames = Vec::new();
        assert!(append_reserved(&mut frames, SEED, &reserved().parts()));
        assert!(append_checkpoint(&mut frames, SEED, &seen));
        assert!(append_settled(&mut frames, SEED, &event()));
        let golden = bytes(include_str!("../tests/golden/journal-v2.hex"));
        assert_eq!(frames, golden);
        let mut rest = golden.as_slice();
        for expected in [
            Record::Reserved(Box::new(reserved())),
            Record::Checkpoint(seen),
            Record::Settled(Box::new(event())),
        ] {
            let Step::Record(record, size) = read(SEED, rest) else {
                panic!("no record at {rest:?}");
            };
            if let Record::Reserved(reserved) = &record {
                let opening = Record::Reserved(reserved.attempt_id);
                assert_eq!(step(SEED, rest), Step::Record(opening, size));
            }
            assert_eq!(record, expected);
            rest = &rest[size..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn an_intact_record_of_another_version_is_not_taken_for_damage() {
        let mut frame = Vec::new();
        assert!(append(&mut frame, SEED, 9, &1_u8));
        assert_eq!(read(SEED, &frame), Step::Foreign(frame.len()));
        frame.clear();
        assert!(append(&mut frame, SEED, SETTLED, &(event(), 1_u8)));
        assert_eq!(read(SEED, &frame), Step::Foreign(frame.len()));
    }

    #[test]
    fn what_does_not_fit_a_frame_is_refused_whole() {
        let mut frames = vec![1, 2, 3];
        let mut event = event();
        event.model = "m".repeat(PAYLOAD_BYTES_MAX).into();
        assert!(!append_settled(&mut frames, SEED, &event));
        assert_eq!(frames, [1, 2, 3]);
        let longest: Arc<str> = "m".repeat(tollgate_store::NAME_BYTES_MAX).into();
        event.model.clone_from(&longest);
        event.provider.clone_from(&longest);
        event.upstream_model.clone_from(&longest);
        event.price_version = longest;
        event.latency_us = u64::MAX;
        assert!(append_settled(&mut frames, SEED, &event));
    }

    #[test]
    fn a_frame_of_another_run_is_none() {
        let mut frame = Vec::new();
        assert!(append_settled(&mut frame, SEED, &event()));
        assert_eq!(read(SEED + 1, &frame), Step::Bad);
    }

    proptest! {
        #[test]
        fn every_event_survives_its_frame(
            counts in prop::array::uniform9(any::<u64>()), cost in any::<i64>(), time in any::<i64>(),
            names in prop::array::uniform4(".{0,40}"), flags in any::<[bool; 4]>(),
            status in any::<Option<u16>>(), attempt in any::<u16>(),
        ) {
            let [input, cached_input, cache_write, audio_input, output, reasoning, audio_output, latency_us, first] = counts;
            let [model, provider, upstream_model, price_version] = names;
            let charge = |scope| Charge { scope, window_start: Timestamp::from_micros(time / 2) };
            let event = UsageEvent {
                attempt,
                is_final: flags[0],
                model: model.into(),
                provider: provider.into(),
                upstream_model: upstream_model.into(),
                price_version: price_version.into(),
                started_at: Timestamp::from_micros(time),
                latency_us,
                first_token_us: flags[1].then_some(first),
                usage: Usage { input, cached_input, cache_write, audio_input, output, reasoning, audio_output },
                cost: Money::from_nano(cost),
                upstream_status: status,
                org_charge: flags[2].then_some(charge(BudgetScope::Org(ORG))),
                key_charge: flags[3].then_some(charge(BudgetScope::Key(KEY))),
                ..event()
            };
            let mut frame = Vec::new();
            prop_assert!(append_settled(&mut frame, SEED, &event));
            let size = frame.len();
            prop_assert_eq!(read(SEED, &frame), Step::Record(Record::Settled(Box::new(event)), size));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!matches!(read(SEED, &bytes), Step::Record(..)));
        }
    }
}
