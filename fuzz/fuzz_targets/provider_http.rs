//! Answers of providers, as HTTP: nothing panics, how the bytes arrive makes no difference, and nothing is
//! made up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_providers::fuzz::read;

fuzz_target!(|data: &[u8]| {
    let Some((sizes, text)) = data.split_at_checked(4) else {
        return;
    };
    let mut rest = text;
    let mut size = sizes.iter().cycle();
    let pieces = std::iter::from_fn(|| {
        let size = usize::from(*size.next()?).clamp(1, rest.len().max(1));
        let (piece, behind) = rest.split_at_checked(size)?;
        rest = behind;
        Some(piece)
    });
    let in_pieces = read(pieces);
    assert_eq!(in_pieces, read([text]));
    if let Some(answer) = in_pieces {
        assert!(
            (200..1_000).contains(&answer.status),
            "an interim answer is none"
        );
        assert!(answer.body.len() + answer.rest.len() < text.len());
        assert!(answer.rest.is_empty() || text.ends_with(&answer.rest));
    }
});
