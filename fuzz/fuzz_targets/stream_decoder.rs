//! Streams: nothing panics, and how a stream is split makes no difference.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate_wire::StreamDecoder;

fn decode(chunks: impl Iterator<Item = Bytes>) -> Option<(Vec<u8>, String)> {
    let mut decoder = StreamDecoder::new(true);
    let mut forwarded = Vec::new();
    for chunk in chunks {
        forwarded.extend(decoder.push(chunk).ok()?);
    }
    let end = decoder.end();
    Some((
        forwarded,
        format!("{end:?} {decoder:?} {}", decoder.finished_choices()),
    ))
}

fuzz_target!(|data: &[u8]| {
    let Some((sizes, stream)) = data.split_at_checked(4) else {
        return;
    };
    let stream = Bytes::copy_from_slice(stream);
    let mut rest = stream.clone();
    let mut size = sizes.iter().cycle();
    let pieces = std::iter::from_fn(|| {
        let size = usize::from(*size.next()?).clamp(1, rest.len().max(1));
        (!rest.is_empty()).then(|| rest.split_to(size))
    });
    assert_eq!(decode(pieces), decode(std::iter::once(stream)));
});
