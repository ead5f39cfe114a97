//! What somebody does to a chain who can write to the database, but has no key.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use tollgate_audit::canonical_bytes;
use tollgate_domain::{Actor, AuditEntry, AuditOutcome, DIGEST_BYTES, KeyId, OrgId, Timestamp};

use crate::entries::{Installation, append, draft, installation};
use crate::random::Random;

/// A chain to change, and what there is to change it with.
pub(crate) struct Case<'a> {
    pub(crate) org_id: Option<OrgId>,
    pub(crate) chain: &'a mut Vec<AuditEntry>,
    /// Another chain of the same log.
    pub(crate) foreign: &'a [AuditEntry],
    pub(crate) made: &'a Installation,
    pub(crate) random: Random,
}

pub(crate) type Change = fn(&mut Case<'_>);

/// The kinds of change. None leaves a chain as it is.
pub(crate) const KINDS: [(&str, Change); 15] = [
    ("a bit of a field", bit),
    ("a character that moves from one text to the next", shift),
    ("a deleted run", delete),
    ("a cut-off end", cut),
    ("an insertion, with hashes computed anew", insert),
    ("an edit, with hashes computed anew", edit),
    ("an edit or a deletion, sealed with another key", reseal),
    ("two entries that change places", swap),
    ("a run that is turned around", turn),
    ("an entry of another chain", replay),
    ("an entry that comes again", repeat),
    ("a restored older copy", restore),
    ("an entry that was sealed behind an older copy", splice),
    ("another chain in place of this one", substitute),
    ("two entries that exchange their seals", exchange),
];

impl Case<'_> {
    fn index(&mut self) -> usize {
        self.random.below(self.chain.len())
    }

    /// Two different ones.
    fn two(&mut self) -> (usize, usize) {
        let one = self.index();
        let step = 1 + self.random.below(self.chain.len() - 1);
        (one, (one + step) % self.chain.len())
    }

    /// The start and the end of a run of at least this many entries.
    fn run(&mut self, least: usize) -> std::ops::Range<usize> {
        let start = self.random.below(self.chain.len() + 1 - least);
        let end = start + least + self.random.below(8);
        start..end.min(self.chain.len())
    }
}

fn bit(case: &mut Case<'_>) {
    let (at, field) = (case.index(), case.random.below(FIELDS));
    flip_field(&mut case.chain[at], field, &mut case.random);
}

fn shift(case: &mut Case<'_>) {
    let at = case.index();
    let moved = case.chain[at].action.pop().unwrap();
    case.chain[at].object.insert(0, moved);
}

fn delete(case: &mut Case<'_>) {
    let run = case.run(1);
    case.chain.drain(run);
}

fn cut(case: &mut Case<'_>) {
    let is_whole = case.random.below(20) == 0;
    let length = if is_whole { 0 } else { case.index() };
    case.chain.truncate(length);
}

fn insert(case: &mut Case<'_>) {
    let at = case.index();
    let forged = draft(case.org_id, 1_000 + case.random.next() % 1_000);
    case.chain.insert(at, forged.follow(0, [0; DIGEST_BYTES]));
    // Those behind it keep their seals, or get new hashes too.
    let end = if case.random.coin() {
        at + 1
    } else {
        case.chain.len()
    };
    rechain(&mut case.chain[..end], at, plain_hash);
}

fn edit(case: &mut Case<'_>) {
    let at = case.index();
    case.chain[at].details.push_str(",budget");
    rechain(case.chain, at, plain_hash);
}

fn reseal(case: &mut Case<'_>) {
    let own = installation(0xee).sealer;
    let at = case.index();
    if case.random.coin() {
        case.chain.remove(at);
    } else {
        case.chain[at].object.push('x');
    }
    rechain(case.chain, at, |entry| own.seal(entry));
}

fn swap(case: &mut Case<'_>) {
    let (one, other) = case.two();
    case.chain.swap(one, other);
    if case.random.coin() {
        // With numbers that look right.
        (case.chain[one].seq, case.chain[other].seq) = (case.chain[other].seq, case.chain[one].seq);
    }
}

fn turn(case: &mut Case<'_>) {
    let run = case.run(2);
    case.chain[run].reverse();
}

fn replay(case: &mut Case<'_>) {
    let at = case.index();
    let mut replayed = case.foreign[case.random.below(case.foreign.len())].clone();
    if case.random.coin() {
        // Made to look at home.
        replayed.org_id = case.org_id;
        replayed.seq = case.chain[at].seq;
        replayed.previous = case.chain[at].previous;
    }
    case.chain[at] = replayed;
}

fn repeat(case: &mut Case<'_>) {
    let (at, place) = (case.index(), case.index() + 1);
    let mut again = case.chain[at].clone();
    if case.random.coin() {
        again.seq = case.chain[place - 1].seq + 1;
    }
    case.chain.insert(place, again);
}

/// The gateway, which has its key, goes on with the older copy.
fn restore(case: &mut Case<'_>) {
    let length = case.index();
    case.chain.truncate(length);
    for number in 0..case.random.below(100) {
        let later = draft(case.org_id, 5_000 + number as u64);
        append(case.chain, &case.made.sealer, &later);
    }
}

/// Whoever has seen the gateway go on with an older copy has two entries of one number, both sealed.
fn splice(case: &mut Case<'_>) {
    let at = 1 + case.random.below(case.chain.len() - 1);
    let mut branch = case.chain.clone();
    branch.truncate(case.random.below(at));
    while branch.len() <= at {
        let later = draft(case.org_id, 7_000 + branch.len() as u64);
        append(&mut branch, &case.made.sealer, &later);
    }
    let mut sealed = branch.swap_remove(at);
    if case.random.coin() {
        sealed.previous = case.chain[at].previous;
    }
    case.chain[at] = sealed;
}

fn substitute(case: &mut Case<'_>) {
    *case.chain = case.foreign.to_vec();
    if case.random.coin() {
        for entry in &mut *case.chain {
            entry.org_id = case.org_id;
        }
    }
}

fn exchange(case: &mut Case<'_>) {
    let (one, other) = case.two();
    (case.chain[one].seal, case.chain[other].seal) = (case.chain[other].seal, case.chain[one].seal);
}

/// Numbers and links entries anew from this index on, with seals made like this.
fn rechain(chain: &mut [AuditEntry], from: usize, seal: impl Fn(&AuditEntry) -> [u8; 32]) {
    for at in from..chain.len() {
        let before = at.checked_sub(1).map(|before| chain[before].seal);
        chain[at].seq = at as u64 + 1;
        chain[at].previous = before.unwrap_or_default();
        chain[at].seal = seal(&chain[at]);
    }
}

/// What somebody without a key can compute.
fn plain_hash(entry: &AuditEntry) -> [u8; 32] {
    let digest = digest(&SHA256, &canonical_bytes(entry));
    digest.as_ref().try_into().unwrap()
}

const FIELDS: usize = 14;

fn flip_field(entry: &mut AuditEntry, field: usize, random: &mut Random) {
    match field {
        0 => {
            let mut bytes = entry.org_id.map_or([0; 16], |id| *id.as_bytes());
            random.flip(&mut bytes);
            entry.org_id = Some(OrgId::from_bytes(bytes));
        }
        1 => entry.seq ^= 1 << random.below(64),
        2 => entry.at = Timestamp::from_micros(entry.at.micros() ^ (1 << random.below(64))),
        3 => {
            entry.actor = match entry.actor {
                Actor::Anonymous => Actor::System,
                Actor::System => Actor::Anonymous,
                Actor::User(id) => Actor::Key(KeyId::from_bytes(*id.as_bytes())),
                Actor::Key(id) => {
                    let mut bytes = *id.as_bytes();
                    random.flip(&mut bytes);
                    Actor::Key(KeyId::from_bytes(bytes))
                }
            };
        }
        4 => random.flip_text(&mut entry.action),
        5 => random.flip_text(&mut entry.object),
        6 => {
            entry.outcome = match entry.outcome {
                AuditOutcome::Done => AuditOutcome::Denied,
                AuditOutcome::Denied => AuditOutcome::Done,
            };
        }
        7 => random.flip_text(&mut entry.request_id),
        8 => {
            entry.client_ip = match entry.client_ip {
                None => Some(IpAddr::from([0; 4])),
                Some(IpAddr::V4(ip)) => Some(IpAddr::V6(ip.to_ipv6_mapped())),
                Some(IpAddr::V6(ip)) => {
                    let mut bytes = ip.octets();
                    random.flip(&mut bytes);
                    Some(IpAddr::from(bytes))
                }
            };
        }
        9 => random.flip_digest(&mut entry.before),
        10 => random.flip_digest(&mut entry.after),
        11 => random.flip_text(&mut entry.details),
        12 => random.flip(&mut entry.previous),
        _ => random.flip(&mut entry.seal),
    }
}
