//! The syntax of a scope (RFC 6749 §3.3).

/// Whether `text` is the name of one scope: visible ASCII but for quote and backslash, so that it also
/// fits between the quotes of a `WWW-Authenticate` header.
pub(crate) fn is_scope(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(allowed)
}
