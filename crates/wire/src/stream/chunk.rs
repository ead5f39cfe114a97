//! Chunks of chat completions: what one event says.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::answer::written;
use crate::fields::{open_body, whole};
use crate::json::{Fault, Kind, Scanner};
use crate::usage::{Reported, read_usage};

/// What a gateway must know of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChunkFacts {
    pub(super) usage: Reported,
    pub(super) has_error: bool,
    pub(super) has_content: bool,
    pub(super) answer_bytes: u64,
    /// One bit for each choice with an index below 128.
    pub(super) seen: u128,
    pub(super) finished: u128,
    has_no_choices: bool,
}

/// Keys with their quotes. Within a string the quotes are escaped, so that they are found only as keys
/// or whole values; a provider that escaped letters of a key would be read as not having it.
struct Keys {
    /// Keys whose value must be read unless it is null.
    telling: [Finder<'static>; 3],
    delta: Finder<'static>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    telling: [
        Finder::new("\"finish_reason\""),
        Finder::new("\"usage\""),
        Finder::new("\"error\""),
    ],
    delta: Finder::new("\"delta\""),
});

impl ChunkFacts {
    const NOTHING: Self = Self {
        usage: Reported::Nothing,
        has_error: false,
        has_content: false,
        answer_bytes: 0,
        seen: 0,
        finished: 0,
        has_no_choices: false,
    };

    /// Returns what a chunk says that only goes on with its choices, without reading the rest of it;
    /// `None` when it may say more.
    pub(super) fn glance(data: &[u8]) -> Option<Self> {
        let keys = &*KEYS;
        let is_null = |finder: &Finder<'_>, at: usize| {
            let after = data.get(at + finder.needle().len()..).unwrap_or_default();
            let value = after
                .trim_ascii_start()
                .strip_prefix(b":")
                .unwrap_or_default();
            value.trim_ascii_start().starts_with(b"null")
        };
        let tells = |finder: &Finder<'_>| finder.find_iter(data).any(|at| !is_null(finder, at));
        if keys.telling.iter().any(tells) {
            return None;
        }
        let mut facts = Self::NOTHING;
        for at in keys.delta.find_iter(data) {
            facts.seen |= index_before(data.get(..at)?)?;
            let value = data.get(at + keys.delta.needle().len()..)?;
            let colon = value.len() - value.trim_ascii_start().len();
            if value.get(colon) != Some(&b':') {
                return None;
            }
            facts.answer_bytes += written(&mut Scanner::within(value, colon + 1)).ok()?;
        }
        facts.has_content = facts.answer_bytes > 0;
        (facts.seen != 0).then_some(facts)
    }

    /// Reads a chunk.
    pub(super) fn read(data: &[u8]) -> Result<Self, Fault> {
        let scanner = &mut Scanner::lenient(data)?;
        let mut facts = Self::NOTHING;
        let mut has_choices = false;
        open_body(scanner)?;
        while let Some(key) = scanner.next_key()? {
            match (&*key.said(), scanner.kind()?) {
                (b"usage", _) => facts.usage = read_usage(scanner)?,
                (b"choices", Kind::Array) => {
                    has_choices = true;
                    facts.has_no_choices = true;
                    scanner.open_array()?;
                    while scanner.next_element()? {
                        facts.has_no_choices = false;
                        facts.read_choice(scanner)?;
                    }
                }
                (b"error", kind) => {
                    facts.has_error |= kind != Kind::Null;
                    scanner.skip()?;
                }
                _ => drop(scanner.skip()?),
            }
        }
        scanner.end()?;
        // What is not a chunk of an answer is for the client all the same.
        facts.has_content = facts.answer_bytes > 0 || (!has_choices && !facts.has_error);
        Ok(facts)
    }

    /// Returns whether the chunk holds usage and nothing else.
    pub(super) fn is_usage_only(&self) -> bool {
        self.has_no_choices && !self.has_error && self.usage != Reported::Nothing
    }

    fn read_choice(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        if scanner.kind()? != Kind::Object {
            return scanner.skip().map(drop);
        }
        let mut index = 0;
        let mut is_finished = false;
        scanner.open_object()?;
        while let Some(key) = scanner.next_key()? {
            match (&*key.said(), scanner.kind()?) {
                (b"index", Kind::Number) => index = whole(scanner.number()?).unwrap_or_default(),
                (b"delta" | b"message" | b"text", _) => self.answer_bytes += written(scanner)?,
                (b"finish_reason", Kind::Text) => is_finished = !scanner.text()?.raw.is_empty(),
                _ => drop(scanner.skip()?),
            }
        }
        let bit = bit(index);
        self.seen |= bit;
        self.finished |= if is_finished { bit } else { 0 };
        Ok(())
    }
}

fn bit(index: u64) -> u128 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u128.checked_shl(index))
        .unwrap_or_default()
}

/// Returns the bit of the choice whose `"index":0,` ends these bytes, as it does in most dialects of
/// OpenAI's API.
fn index_before(bytes: &[u8]) -> Option<u128> {
    let before = bytes.trim_ascii_end().strip_suffix(b",")?.trim_ascii_end();
    let digits = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (before, index) = before.split_at(before.len() - digits);
    let before = before.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    before.strip_suffix(b"\"index\"")?;
    if index.is_empty() {
        None
    } else {
        whole(index).map(bit)
    }
}
