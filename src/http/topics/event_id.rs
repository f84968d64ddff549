//! The id of a message among server-sent events.

use std::fmt;

/// The place of a message in its topic. A client names it in `Last-Event-ID` when it connects
/// again.
///
/// Numbers begin again when a topic is made again, or its program is started again. So an id has
/// the topic's epoch, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(super) epoch: u64,
    pub(super) number: u64,
}

impl EventId {
    /// Reads the value of a `Last-Event-ID`; none if it is no id of ours.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (epoch, number) = text.split_once('-')?;
        Some(Self {
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = EventId {
            epoch: 0x18b0_93ad,
            number: 17,
        };
        assert_eq!(id.to_string(), "18b093ad-17");
        assert_eq!(EventId::parse(b"18b093ad-17"), Some(id));
        for other in [
            &b""[..],
            b"17",
            b"-",
            b"x-1",
            b"1-",
            b"1-x",
            b"1-1-1",
            b"\xff-1",
        ] {
            assert_eq!(EventId::parse(other), None, "{other:?}");
        }
    }
}
