//! The `Date` field.

/// The bytes of a `Date` field line with its line end.
pub(crate) const DATE_LINE_LEN: usize = 37;

/// The days of the week, from that of the first of January 1970 on.
const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
/// The days of 400 years, which repeat.
const ERA_DAYS: u64 = 146_097;
/// Days from the first of March of the year 0 to the first of January 1970.
const EPOCH_DAYS: u64 = 719_468;

/// The `Date` field line of one second, so that it is written once a second and copied otherwise.
#[derive(Debug, Clone)]
pub(crate) struct DateCache {
    second: u64,
    line: [u8; DATE_LINE_LEN],
}

impl DateCache {
    /// The line for `unix_seconds`, seconds since 1970 without leap seconds.
    pub(crate) fn new(unix_seconds: u64) -> Self {
        let mut line = *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
        line[6..35].copy_from_slice(&imf_fixdate(unix_seconds));
        Self {
            second: unix_seconds,
            line,
        }
    }

    /// The line for `unix_seconds`: `Date: Thu, 01 Jan 1970 00:00:00 GMT` with CR LF.
    #[inline]
    pub(crate) fn at(&mut self, unix_seconds: u64) -> &[u8; DATE_LINE_LEN] {
        if self.second != unix_seconds {
            *self = Self::new(unix_seconds);
        }
        &self.line
    }

    /// The second that it was last asked for.
    pub(super) fn second(&self) -> u64 {
        self.second
    }

    /// The line for that second.
    pub(crate) fn line(&self) -> &[u8; DATE_LINE_LEN] {
        &self.line
    }
}

/// A point in time as RFC 9110 writes it (section 5.6.7). Years above 9999, which the format
/// cannot hold, come out as 9999.
pub(crate) fn imf_fixdate(unix_seconds: u64) -> [u8; 29] {
    /// The last second of the year 9999.
    const LAST: u64 = 253_402_300_799;

    let seconds = unix_seconds.min(LAST);
    let (day_count, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(day_count);
    let weekday = WEEKDAYS[(day_count % 7) as usize];
    let month = 3 * (month as usize - 1);

    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    date[..3].copy_from_slice(&weekday.as_bytes()[..3]);
    date[5..7].copy_from_slice(&two_digits(day));
    date[8..11].copy_from_slice(&MONTHS[month..month + 3]);
    date[12..14].copy_from_slice(&two_digits(year / 100));
    date[14..16].copy_from_slice(&two_digits(year % 100));
    date[17..19].copy_from_slice(&two_digits(second / 3600));
    date[20..22].copy_from_slice(&two_digits(second / 60 % 60));
    date[23..25].copy_from_slice(&two_digits(second % 60));
    date
}

/// The point in time that an HTTP-date tells, in any of its three formats (RFC 9110, section
/// 5.6.7), as seconds since 1970; dates before that count as it. A year of two digits is the one
/// that is at most 50 years ahead of `now`.
pub(crate) fn parse_date(text: &[u8], now: u64) -> Option<u64> {
    let (weekday_len, rest) = match text.iter().position(|&byte| matches!(byte, b',' | b' '))? {
        len if text[len] == b',' => (len, text[len + 1..].strip_prefix(b" ")?),
        len => (len, &text[len + 1..]),
    };
    let weekday = &text[..weekday_len];
    let is_asctime = text[weekday_len] == b' ';
    let is_known = WEEKDAYS.iter().any(|name| {
        let is_whole = weekday == name.as_bytes();
        is_whole || weekday == &name.as_bytes()[..3]
    });
    if !is_known || (is_asctime && weekday_len != 3) {
        return None;
    }
    let (year, month, day, time) = if is_asctime {
        // Nov  6 08:49:37 1994
        let (month, rest) = rest.split_at_checked(3)?;
        let (day, rest) = rest.strip_prefix(b" ")?.split_at_checked(2)?;
        let day = match day {
            [b' ', digit] => number(&[*digit])?,
            day => number(day)?,
        };
        let (time, year) = rest.strip_prefix(b" ")?.split_at_checked(8)?;
        let year = four_digits(year.strip_prefix(b" ")?)?;
        (year, month, day, time)
    } else {
        let (day, rest) = rest.split_at_checked(2)?;
        let (&separator, rest) = rest.split_first()?;
        let (month, rest) = rest.split_at_checked(3)?;
        let (year, time) = match (separator, weekday_len) {
            // 06 Nov 1994 08:49:37 GMT
            (b' ', 3) => {
                let (year, rest) = rest.strip_prefix(b" ")?.split_at_checked(4)?;
                (four_digits(year)?, rest)
            }
            // 06-Nov-94 08:49:37 GMT
            (b'-', 4..) => {
                let (year, rest) = rest.strip_prefix(b"-")?.split_at_checked(2)?;
                (year_of_two_digits(number(year)?, now), rest)
            }
            _ => return None,
        };
        let time = time.strip_prefix(b" ")?.strip_suffix(b" GMT")?;
        (year, month, number(day)?, time)
    };
    let month = MONTHS.chunks(3).position(|name| name == month)? as u64 + 1;
    let [a, b, b':', c, d, b':', e, f] = *time else {
        return None;
    };
    let (hour, minute) = (number(&[a, b])?, number(&[c, d])?);
    let second = number(&[e, f])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second).saturating_sub(EPOCH_DAYS * 86_400))
}

/// The days from the first of March of the year 0 to that day, if there is one.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    // The year 0 begins before that.
    let year_from_march = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let month_from_march = (month + 9) % 12;
    let days_to = |month_from_march: u64| (153 * month_from_march + 2) / 5;
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let day_max = match month {
        2 => 28 + u64::from(is_leap),
        _ => days_to(month_from_march + 1) - days_to(month_from_march),
    };
    if day == 0 || day > day_max {
        return None;
    }
    let day_of_year = days_to(month_from_march) + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * ERA_DAYS + day_of_era)
}

fn year_of_two_digits(year: u64, now: u64) -> u64 {
    let (this_year, ..) = civil_from_days(now / 86_400);
    let latest = this_year + 50;
    let year = latest / 100 * 100 + year;
    if year > latest { year - 100 } else { year }
}

fn four_digits(digits: &[u8]) -> Option<u64> {
    (digits.len() == 4).then(|| number(digits)).flatten()
}

/// A number in up to four digits, and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    for &digit in digits {
        number = number * 10 + u64::from(char::from(digit).to_digit(10)?);
    }
    Some(number)
}

/// Year, month and day of the day that is `day_count` days after the first of January 1970.
///
/// It counts in years that begin in March, so that the leap day is the last of its year, and in
/// eras of 400 years, which all have the same number of days.
fn civil_from_days(day_count: u64) -> (u64, u64, u64) {
    // Days since the first of March of the year 0.
    let days = day_count + EPOCH_DAYS;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March to January have a pattern of lengths that 153 days in 5 months reproduce.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

fn two_digits(number: u64) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}
