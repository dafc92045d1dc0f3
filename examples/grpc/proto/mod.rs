//! What `scripts/proto.sh` has made of `echo.proto`.

#![allow(dead_code, missing_docs, unused_qualifications, unreachable_pub, reason = "generated")]

include!("echo.v1.rs");
