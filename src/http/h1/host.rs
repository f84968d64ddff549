//! The grammar of `Host` and of the authority in a target (RFC 3986, section 3.2).

use std::{net::Ipv6Addr, str};

use super::token::{is_hex, is_reg_name_byte};

/// Whether `authority` is a host, which is not empty, with an optional port.
///
/// Userinfo is no part of it. An address in brackets must be an IPv6 address without a zone: the
/// grammar's place for future versions of IP is refused.
pub(crate) fn is_host(authority: &[u8]) -> bool {
    split_port(authority).is_some()
}

/// Whether `authority` is a host with a port, as the target of a `CONNECT` must be.
pub(super) fn is_host_and_port(authority: &[u8]) -> bool {
    split_port(authority).is_some_and(|port| !port.is_empty())
}

/// The digits of the port, which may be empty, or `None` when `authority` is malformed.
fn split_port(authority: &[u8]) -> Option<&[u8]> {
    let rest = match authority {
        [] => return None,
        [b'[', inner @ ..] => {
            let end = inner.iter().position(|&byte| byte == b']')?;
            let address = str::from_utf8(&inner[..end]).ok()?;
            address.parse::<Ipv6Addr>().ok()?;
            &inner[end + 1..]
        }
        _ => {
            let end = reg_name_len(authority)?;
            if end == 0 {
                return None;
            }
            &authority[end..]
        }
    };
    match rest {
        [] => Some(rest),
        [b':', port @ ..] => is_port(port).then_some(port),
        _ => None,
    }
}

/// The bytes of the registered name or IPv4 address at the start of `authority`, or `None` when
/// a percent sign in it is not followed by two hex digits.
#[inline]
fn reg_name_len(authority: &[u8]) -> Option<usize> {
    let mut len = 0;
    loop {
        let rest = &authority[len..];
        len += rest
            .iter()
            .position(|&byte| !is_reg_name_byte(byte))
            .unwrap_or(rest.len());
        match authority[len..] {
            [b'%', first, second, ..] if is_hex(first) && is_hex(second) => len += 3,
            [b'%', ..] => return None,
            _ => return Some(len),
        }
    }
}

/// Whether `port` is empty or a number that fits 16 bits.
fn is_port(port: &[u8]) -> bool {
    let mut number: u32 = 0;
    for &byte in port {
        if !byte.is_ascii_digit() {
            return false;
        }
        number = number * 10 + u32::from(byte - b'0');
        if number > u32::from(u16::MAX) {
            return false;
        }
    }
    true
}
