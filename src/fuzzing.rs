//! The parsers of outside bytes, each with what must hold of all that it accepts.
//!
//! Fuzz targets call these functions; the seeds and mutations of them are ordinary tests. Each
//! returns whether the bytes were accepted, so that a test can tell that its seeds reach deep.

pub use crate::{
    caller::fuzzing::request_kind,
    jwt::fuzzing::{bearer_claims, id_token, key_set},
    login::fuzzing::{callback_query, return_path},
    seal::fuzzing::sealed_value,
    sentinel::fuzzing::{domain_answer, retry_after, token_answer},
    session::fuzzing::cookie_header,
};

#[cfg(test)]
mod tests;
