//! What a million users ask of Sentinel's token endpoint in a day: a simulation, no measurement.
//!
//! No session waits for another, so each is followed alone through its day, and what it calls is
//! counted by the second: ten million users are ten times the table. Between two decisions requests
//! come at random (Poisson), so only the first one after each due time has to be drawn. Every run
//! prints the same, which stands in `docs/scale.md`.

#![allow(missing_docs, reason = "a program")]

mod simulated;

use self::simulated::{
    BETWEEN_REQUESTS, HOUR, Jitter, MINUTE, OUTAGE_FROM, OUTAGE_TO, Outage, REFRESH_AFTER,
    Scenario, USERS,
    tally::{Tally, mean, most, quantile},
};

fn main() {
    let usual =
        Scenario { rush: false, jitter: Jitter::Rule, outage: Outage::None, after: REFRESH_AFTER };
    let outages = [Outage::None, Outage::Refuses, Outage::Silent].into_iter();
    let days = outages.flat_map(|outage| {
        let day = Scenario { outage, ..usual };
        let hourly = Scenario { after: HOUR, ..day };
        [Scenario { jitter: Jitter::None, ..day }, day, hourly]
    });
    let days: Vec<_> = days.map(|scenario| (scenario, scenario.run())).collect();
    let rushes = [Jitter::None, Jitter::Rule, Jitter::Drawn]
        .map(|jitter| Scenario { rush: true, jitter, ..usual })
        .map(|scenario| (scenario, scenario.run()));
    print_sizes(&usual.run());
    print_days(&days);
    print_rushes(&rushes);
}

fn print_sizes(day: &Tally) {
    let per_user = |counts: &[u64]| counts.iter().sum::<u64>() as f64 / USERS as f64;
    let working = day.working();
    let end = 24.0 * HOUR;
    println!("| of one user in a day | |\n|---|--:|");
    println!("| requests | {:.0} |", per_user(&working) / BETWEEN_REQUESTS);
    println!("| refreshes | {:.1} |", per_user(&day.calls));
    println!("| activity noted | {:.1} |", per_user(&day.notes));
    println!("\n| of all, in a second | 1 M users | 10 M | 100 M |\n|---|--:|--:|--:|");
    for (what, count) in [
        ("users at work, at most", most(&working, 0.0, end)),
        ("requests, at most", most(&working, 0.0, end) / 10),
        ("logins, at most", most(&day.logins, 0.0, end)),
        ("refreshes, mean from 10:00 to 11:00", mean(&day.calls, 10.0 * HOUR, 11.0 * HOUR)),
        ("refreshes, at most", most(&day.calls, 0.0, end)),
        ("activity noted, mean from 10:00 to 11:00", mean(&day.notes, 10.0 * HOUR, 11.0 * HOUR)),
        ("activity noted, at most", most(&day.notes, 0.0, end)),
    ] {
        println!("| {what} | {count} | {} | {} |", 10 * count, 100 * count);
    }
}

fn print_days(days: &[(Scenario, Tally)]) {
    println!(
        "\n| outage, 11:00 to 11:10 | refresh after | jitter | mean, 10 to 11 | most before \
         | most in it | most after, to 11:20 | most, 11:35 to 12:30 | in vain, per user |"
    );
    println!("|---|---|---|--:|--:|--:|--:|--:|--:|");
    for (scenario, tally) in days {
        let calls = &tally.calls;
        println!(
            "{scenario} {} | {} | {} | {} | {} | {:.2} |",
            mean(calls, 10.0 * HOUR, 11.0 * HOUR),
            most(calls, 0.0, OUTAGE_FROM),
            most(calls, OUTAGE_FROM, OUTAGE_TO),
            most(calls, OUTAGE_TO, OUTAGE_TO + 10.0 * MINUTE),
            most(calls, 11.0 * HOUR + 35.0 * MINUTE, 12.5 * HOUR),
            tally.vain as f64 / USERS as f64,
        );
    }
}

fn print_rushes(rushes: &[(Scenario, Tally)]) {
    let shown = [1, 2, 3, 5, 8, 12];
    println!("\n| jitter | {} |", shown.map(|it| format!("refresh {it}")).join(" | "));
    println!("|---|{}", "--:|".repeat(shown.len()));
    for (scenario, tally) in rushes {
        let cell = |generation: usize| {
            let times = &tally.generations[generation];
            let width = quantile(times, 0.95).saturating_sub(quantile(times, 0.05));
            format!("{} in {width} s", most(times, 0.0, 24.0 * HOUR))
        };
        println!("{scenario} {} |", shown.map(cell).join(" | "));
    }
}
