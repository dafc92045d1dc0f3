//! HTTP/2 frame by frame: for requests that no client sends, and for flags that no client shows.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// How a call has ended (RFC 9113).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// One HEADERS frame with END_STREAM: "trailers-only".
    TrailersOnly,
    /// A head, then something else.
    Answer,
    /// RST_STREAM or GOAWAY: it was no request.
    Reset,
}

/// Calls `path`, whatever it is, with an empty message and these further fields.
pub async fn call(url: &str, path: &str, fields: &[(&str, &str)]) -> Outcome {
    let authority = url.strip_prefix("http://").expect("plain http");
    let mut stream = TcpStream::connect(authority).await.expect("a connection");
    let mut block = Vec::new();
    let pseudo =
        [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority)];
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    for (name, value) in pseudo.iter().chain(&grpc).chain(fields) {
        add_field(&mut block, name, value);
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    add_frame(&mut bytes, SETTINGS, 0, 0, &[]);
    add_frame(&mut bytes, HEADERS, END_HEADERS, 1, &block);
    add_frame(&mut bytes, DATA, END_STREAM, 1, &[0; 5]);
    stream.write_all(&bytes).await.expect("a request that is taken");
    let outcome = timeout(Duration::from_secs(10), read_outcome(&mut stream));
    outcome.await.expect("an answer in time")
}

async fn read_outcome(stream: &mut TcpStream) -> Outcome {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Outcome::Reset;
        }
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.expect("a whole frame");
        match kind {
            HEADERS if flags & END_STREAM != 0 => return Outcome::TrailersOnly,
            HEADERS => return Outcome::Answer,
            RST_STREAM | GOAWAY => return Outcome::Reset,
            _ => {}
        }
    }
}

fn add_frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    bytes.extend(&length[1..]);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

/// A field as it stands, without indexing or Huffman code (RFC 7541 §6.2.2).
fn add_field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        add_length(block, text.len());
        block.extend(text.as_bytes());
    }
}

/// An integer with a prefix of 7 bits (RFC 7541 §5.1).
fn add_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}
