//! What fuzzing reaches of the parser of answers. It is there under `cfg(fuzzing)` alone.

use bytes::BytesMut;

use crate::h1::{BodyDecoder, Malformed, Piece, parse_head};

/// An answer as it was read: its status, its body, and what is left behind it.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// The status.
    pub status: u16,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// Whether the body is whole when the connection ends here.
    pub is_whole: bool,
    /// Whether another request may follow on the connection.
    pub is_reusable: bool,
    /// What is left behind the body.
    pub rest: Vec<u8>,
}

/// Reads one answer that arrives in these pieces, as a connection does; `None` when it is malformed, or its
/// head is not whole.
#[must_use]
pub fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Read> {
    try_read(pieces).ok().flatten()
}

fn try_read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Read>, Malformed> {
    let (mut arrived, mut begun, mut body) = (BytesMut::new(), None, Vec::new());
    for piece in pieces {
        arrived.extend_from_slice(piece);
        if begun.is_none() {
            begun = parse_head(&mut arrived)?.map(|head| {
                let decoder = BodyDecoder::new(head.framing);
                (head, decoder)
            });
        }
        if let Some((_, decoder)) = &mut begun {
            while let Piece::Data(data) = decoder.next(&mut arrived)? {
                body.extend_from_slice(&data);
            }
        }
    }
    Ok(begun.map(|(head, mut decoder)| Read {
        status: head.status.as_u16(),
        body,
        is_whole: decoder.close().is_ok(),
        is_reusable: head.is_reusable,
        rest: arrived.to_vec(),
    }))
}
