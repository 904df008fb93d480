//! Responses of a server in the cluster's place that means harm.

use flate2::{Compress, Compression, FlushCompress};

use crate::http_server::Reply;

/// A response with this status, these headers and this body, which ends with the connection.
pub fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A response of 4 MB in gzip that unpacks to 4 GB.
pub fn bomb() -> Vec<u8> {
    const PART: usize = 4 << 20;
    const PARTS: usize = 1024;
    let mut compress = Compress::new(Compression::best(), false);
    let (zeros, mut part) = (vec![0; PART], Vec::new());
    // After a full flush a part depends on no other one: one part serves for all.
    for _ in 0..2 {
        part = Vec::with_capacity(PART);
        let done = compress.compress_vec(&zeros, &mut part, FlushCompress::Full);
        done.unwrap();
    }
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let body = [&header[..], &part.repeat(PARTS)].concat();
    assert!(body.len() < 5 << 20, "{}", body.len());
    answer(200, "content-encoding: gzip\r\n", &body)
}

/// A body in chunks that never ends.
pub fn endless() -> Reply {
    let head = answer(200, "transfer-encoding: chunked\r\n", b"");
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    Reply::Endless(head, chunk)
}

/// A head that never ends.
pub fn endless_head() -> Reply {
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    Reply::Endless(head, b"x-more: of the same\r\n".repeat(1000))
}
