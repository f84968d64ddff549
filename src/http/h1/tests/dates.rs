//! Dates.

use crate::http::h1::{
    DateCache,
    date::{imf_fixdate, parse_date},
};

fn date(unix_seconds: u64) -> String {
    String::from_utf8(imf_fixdate(unix_seconds).to_vec()).unwrap()
}

#[test]
fn known_dates() {
    assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT"); // RFC 9110
    assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(date(1_700_000_000), "Tue, 14 Nov 2023 22:13:20 GMT");
    assert_eq!(date(4_107_542_399), "Sun, 28 Feb 2100 23:59:59 GMT");
    assert_eq!(date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    assert_eq!(date(253_402_300_799), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
}

#[test]
fn every_day_of_nine_centuries_is_the_one_behind_the_day_before() {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let mut day_count = 0;
    for year in 1970..2870 {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (index, month) in MONTHS.into_iter().enumerate() {
            let day_max = match index {
                1 if is_leap => 29,
                1 => 28,
                3 | 5 | 8 | 10 => 30,
                _ => 31,
            };
            for day in 1..=day_max {
                let weekday = WEEKDAYS[day_count % 7];
                let second = day_count as u64 * 86_400 + day_count as u64 % 86_400;
                let (hours, minutes) = (second % 86_400 / 3600, second / 60 % 60);
                let expected = format!(
                    "{weekday}, {day:02} {month} {year} {hours:02}:{minutes:02}:{:02} GMT",
                    second % 60
                );
                assert_eq!(date(second), expected);
                assert_eq!(
                    parse_date(expected.as_bytes(), 0),
                    Some(second),
                    "{expected}"
                );
                day_count += 1;
            }
        }
    }
}

/// The first second of the year 2026.
const NOW: u64 = 1_767_225_600;

#[test]
fn a_date_is_read_in_three_formats() {
    for (text, expected) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777),
        ("Tue Nov 14 22:13:20 2023", 1_700_000_000),
        ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        // A leap second.
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        // The day of the week is not checked.
        ("Mon, 01 Jan 1970 00:00:01 GMT", 1),
        ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
        ("Sat, 01 Jan 0001 00:00:00 GMT", 0),
        // Two digits are no more than 50 years ahead.
        ("Thursday, 01-Jan-70 00:00:00 GMT", 3_155_760_000),
        ("Wednesday, 01-Jan-76 00:00:00 GMT", 3_345_062_400),
        ("Saturday, 01-Jan-77 00:00:00 GMT", 220_924_800),
    ] {
        assert_eq!(parse_date(text.as_bytes(), NOW), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_date_is_refused() {
    for text in [
        "",
        "Sun",
        "Sun,",
        "120",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday Nov  6 08:49:37 1994",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sat, 01 Jan 0000 00:00:00 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
    ] {
        assert_eq!(parse_date(text.as_bytes(), NOW), None, "{text}");
    }
}

#[test]
fn the_cache_follows_the_second() {
    let mut cache = DateCache::new(0);
    assert_eq!(cache.at(0), b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    assert_eq!(
        cache.at(784_111_777),
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    );
    assert_eq!(cache.line(), b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    // A clock that was set back is followed too.
    assert_eq!(cache.at(1), b"Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n");
}
