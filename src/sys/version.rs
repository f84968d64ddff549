//! A kernel version, used for emulating old kernels only: what the running kernel can do is
//! probed, never concluded from its version.

use std::fmt;

/// `major.minor` of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u16,
    minor: u16,
}

impl Version {
    pub(crate) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Its two numbers.
    pub(crate) const fn numbers(self) -> (u16, u16) {
        (self.major, self.minor)
    }

    /// `ANNULUS_KERNEL`, when set: the newest kernel whose features may be used.
    pub(crate) fn from_environment() -> Result<Option<Self>, String> {
        let Some(value) = std::env::var_os("ANNULUS_KERNEL") else {
            return Ok(None);
        };
        let text = value.to_string_lossy();
        if text.is_empty() {
            return Ok(None);
        }
        match Self::parse(&text) {
            Some(version) if version >= Self::new(5, 6) => Ok(Some(version)),
            Some(version) => Err(format!(
                "expected ANNULUS_KERNEL to be at least 5.6, the oldest kernel supported, found {version}"
            )),
            None => Err(format!(
                "expected ANNULUS_KERNEL to be a kernel version such as 5.10, found {text:?}"
            )),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self::new(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        assert!(Version::parse("5.10").unwrap() > Version::parse("5.9").unwrap());
        assert!(Version::parse("6.1").unwrap() > Version::parse("5.19").unwrap());
        assert_eq!(Version::parse("6"), None);
        assert_eq!(Version::parse("6.x"), None);
    }
}
