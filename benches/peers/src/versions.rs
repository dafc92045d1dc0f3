//! The versions that are measured, as Cargo.lock has them.

const LOCK: &str = include_str!("../Cargo.lock");

const SHOWN: [&str; 21] = [
    "tower-lp-auth",
    "axum",
    "tower",
    "http",
    "tokio",
    "axum-extra",
    "cookie",
    "axum-login",
    "tower-sessions",
    "tower-sessions-memory-store",
    "tower-sessions-moka-store",
    "moka",
    "tower-sessions-redis-store",
    "fred",
    "redis",
    "jsonwebtoken",
    "jwt-authorizer",
    "axum-oidc",
    "openidconnect",
    "aws-lc-rs",
    "ring",
];

/// Each shown crate with its versions.
pub fn line() -> String {
    SHOWN.map(|name| format!("{name} {}", versions_of(name).join(" and "))).join(", ")
}

fn versions_of(name: &str) -> Vec<&'static str> {
    let named = format!("name = \"{name}\"");
    let lines: Vec<&str> = LOCK.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == named);
    pairs.filter_map(|pair| pair[1].split('"').nth(1)).collect()
}
