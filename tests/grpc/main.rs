//! gRPC behind the layer, as its users have it: tonic servers and clients over real sockets, grpc-web,
//! and bytes that no client sends.

#![allow(unreachable_pub, reason = "files of one program share what is public in them")]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod echo;
mod order;
mod paths;
mod refusals;
mod streams;
mod trouble;
mod uploads;
mod web;
mod wire;

const HOUR: u64 = 3600;
