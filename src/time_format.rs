//! Times as text: `3 years ago`, `in 24 hours`, `2026-11-25 10:11 CET`.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Formats the distance from `now` to `at` in its largest unit. Months and years have their average length.
pub fn format_relative(at: Timestamp, now: Timestamp) -> String {
    const UNITS: [(i64, &str); 5] =
        [(31_556_952, "year"), (2_629_746, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    let seconds = at.duration_since(now).as_secs();
    let Some((length, unit)) = UNITS.into_iter().find(|(length, _)| seconds.abs() >= *length) else {
        return if at <= now { "just now" } else { "in less than a minute" }.to_owned();
    };
    // Rounds up by 1/30 of a unit: a token that was issued for 24 hours a minute ago expires `in 24 hours`.
    let count = (seconds.abs() + length / 30) / length;
    let plural = if count == 1 { "" } else { "s" };
    if seconds < 0 { format!("{count} {unit}{plural} ago") } else { format!("in {count} {unit}{plural}") }
}

/// Formats a time in `zone`, to the minute, with its distance from `now`.
pub fn format_timestamp(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    format!("{} ({})", minute(at, zone), format_relative(at, now))
}

/// Formats the time of something that has happened. Within a minute after `now` it is "just now": the server's clock is
/// ahead by less than a verifier tolerates.
pub fn format_past_timestamp(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let distance = if at.duration_since(now) <= SignedDuration::from_mins(1) { at.min(now) } else { at };
    format!("{} ({})", minute(at, zone), format_relative(distance, now))
}

fn minute(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_times_are_in_words() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let table = [
            ("2023-03-22T08:35:40Z", "3 years ago"),
            ("2026-11-24T09:59:01Z", "just now"),
            ("2026-11-24T09:58:59Z", "1 minute ago"),
            ("2026-11-24T10:00:00Z", "just now"),
            ("2026-11-24T10:00:00.5Z", "in less than a minute"),
            ("2026-11-24T10:00:59Z", "in less than a minute"),
            ("2026-11-24T11:30:00Z", "in 1 hour"),
            ("2026-11-25T09:59:40Z", "in 24 hours"),
            ("2026-11-25T10:00:00Z", "in 1 day"),
            ("2026-12-24T11:00:00Z", "in 30 days"),
            ("2028-11-24T10:00:00Z", "in 2 years"),
        ];
        for (at, expected) in table {
            assert_eq!(format_relative(at.parse().unwrap(), now), expected, "{at}");
        }
    }

    #[test]
    fn past_time_is_never_in_less_than_a_minute() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let table = [
            ("2026-11-24T09:59:30Z", "2026-11-24 09:59 UTC (just now)"),
            ("2026-11-24T10:00:00Z", "2026-11-24 10:00 UTC (just now)"),
            ("2026-11-24T10:00:01Z", "2026-11-24 10:00 UTC (just now)"),
            ("2026-11-24T10:01:00Z", "2026-11-24 10:01 UTC (just now)"),
            ("2026-11-24T10:02:00Z", "2026-11-24 10:02 UTC (in 2 minutes)"),
        ];
        for (at, expected) in table {
            assert_eq!(format_past_timestamp(at.parse().unwrap(), now, &TimeZone::UTC), expected, "{at}");
        }
    }

    #[test]
    fn timestamp_names_its_time_zone() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let at: Timestamp = "2026-11-24T12:30:00Z".parse().unwrap();
        assert_eq!(format_timestamp(at, now, &TimeZone::UTC), "2026-11-24 12:30 UTC (in 2 hours)");
    }
}
