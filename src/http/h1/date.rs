//! The `Date` field.

/// The bytes of a `Date` field line with its line end.
pub(crate) const DATE_LINE_LEN: usize = 37;

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

    /// The line for the second that it was last asked for.
    pub(crate) fn line(&self) -> &[u8; DATE_LINE_LEN] {
        &self.line
    }
}

/// A point in time as RFC 9110 writes it (section 5.6.7). Years above 9999, which the format
/// cannot hold, come out as 9999.
pub(crate) fn imf_fixdate(unix_seconds: u64) -> [u8; 29] {
    const WEEKDAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    /// The last second of the year 9999.
    const LAST: u64 = 253_402_300_799;

    let seconds = unix_seconds.min(LAST);
    let (day_count, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(day_count);
    let weekday = 3 * (day_count % 7) as usize;
    let month = 3 * (month as usize - 1);

    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    date[..3].copy_from_slice(&WEEKDAYS[weekday..weekday + 3]);
    date[5..7].copy_from_slice(&two_digits(day));
    date[8..11].copy_from_slice(&MONTHS[month..month + 3]);
    date[12..14].copy_from_slice(&two_digits(year / 100));
    date[14..16].copy_from_slice(&two_digits(year % 100));
    date[17..19].copy_from_slice(&two_digits(second / 3600));
    date[20..22].copy_from_slice(&two_digits(second / 60 % 60));
    date[23..25].copy_from_slice(&two_digits(second % 60));
    date
}

/// Year, month and day of the day that is `day_count` days behind the first of January 1970.
///
/// It counts in years that begin in March, so that the leap day is the last of its year, and in
/// eras of 400 years, which all have the same number of days.
fn civil_from_days(day_count: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    // Days since the first of March of the year 0.
    let days = day_count + 719_468;
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
