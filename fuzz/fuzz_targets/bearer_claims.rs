#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tower_lp_auth::fuzzing::bearer_claims(data);
});
