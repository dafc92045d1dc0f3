//! What this process takes of its machine, as Linux tells it.

use std::fs;

/// Resident memory in bytes.
pub fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a field");
    let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
    kibibytes * 1024
}

/// Open descriptors.
pub fn descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").expect("Linux").count() as u64
}
