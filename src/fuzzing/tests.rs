//! Feeds the seeds of each fuzz target, and mutations of them, to its function.

use std::{fs, path::Path};

type Target = fn(&[u8]) -> bool;

/// What replaces, or comes before, a byte.
const TRICKS: [u8; 12] = [0, b'\t', b'\n', b' ', b'"', b'%', b'/', b';', b'\\', b'A', b'{', 0xff];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// At every place: cut off there, a byte replaced, doubled, or preceded by a trick.
fn mutations(seed: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    // Long seeds are changed at some 500 places.
    let step = seed.len() / 500 + 1;
    (0..seed.len()).step_by(step).flat_map(move |at| {
        let (head, tail) = seed.split_at(at);
        let trick = TRICKS[at % TRICKS.len()];
        [
            head.to_vec(),
            tail.to_vec(),
            [head, &[trick], &tail[1..]].concat(),
            [head, &[trick], tail].concat(),
            [head, &[tail[0] ^ 1], &tail[1..]].concat(),
            [head, &tail[..1], tail].concat(),
        ]
    })
}

/// Feeds the seeds of a target; some must be accepted and some refused, or they prove nothing.
fn replay(target: &str, run: Target) {
    let seeds = seeds(target);
    let accepted = seeds.iter().filter(|seed| run(seed)).count();
    assert!(accepted > 0, "no seed of {target} is accepted");
    assert!(accepted < seeds.len(), "no seed of {target} is refused");
    for mutation in seeds.iter().flat_map(|seed| mutations(seed)) {
        run(&mutation);
    }
    for (one, other) in seeds.iter().zip(seeds.iter().skip(1)) {
        run(&[&**one, other].concat());
    }
    run(b"");
}

macro_rules! replay {
    ($($(#[$doc:meta])* $test:ident = $target:ident;)+) => {$(
        $(#[$doc])*
        #[test]
        fn $test() {
            replay(stringify!($target), super::$target);
        }
    )+};
}

replay! {
    /// A01 to A12.
    seeds_of_return_paths_stay_on_our_origin = return_path;
    /// C16, C17.
    seeds_of_cookie_headers_lose_our_cookies_alone = cookie_header;
    /// C02.
    seeds_of_sealed_values_open_only_if_we_sealed_them = sealed_value;
    /// B01, B02.
    seeds_of_callback_queries_name_one_state_and_one_outcome = callback_query;
    /// X10 to X12.
    seeds_of_token_answers_yield_usable_tokens_or_none = token_answer;
    /// E04 to E12.
    seeds_of_id_tokens_are_believed_only_if_our_key_signed_them = id_token;
    /// E10, E11.
    seeds_of_bearer_claims_name_a_user_or_an_accepted_service = bearer_claims;
    /// E24.
    seeds_of_key_sets_verify_only_what_their_keys_signed = key_set;
    /// X20.
    seeds_of_domain_answers_name_hosts_of_liveperson_alone = domain_answer;
    /// F09.
    seeds_of_retry_after_ask_for_a_second_to_a_minute = retry_after;
    /// J08 to J11.
    seeds_of_request_headers_navigate_only_where_they_say_so = request_kind;
}
