//! Socket addresses in the kernel's layout.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{ffi::OsStrExt as _, net::SocketAddr as UnixAddr},
    },
};

/// Room for any IPv4, IPv6 or Unix address, and how much of it is used.
#[derive(Clone, Copy)]
pub(crate) struct SocketAddress {
    storage: libc::sockaddr_storage,
    bytes: libc::socklen_t,
}

impl SocketAddress {
    /// Room for the kernel to write an address to.
    pub(crate) fn empty() -> Self {
        // SAFETY: all zeros are a valid `sockaddr_storage`, a plain C struct of integers.
        let storage = unsafe { std::mem::zeroed::<libc::sockaddr_storage>() };
        Self {
            storage,
            bytes: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    pub(crate) fn family(&self) -> i32 {
        i32::from(self.storage.ss_family)
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(crate) fn as_bytes_ptr(&self) -> *const u8 {
        (&raw const self.storage).cast()
    }

    pub(crate) fn bytes(&self) -> u32 {
        self.bytes
    }

    pub(super) fn as_mut_parts(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        ((&raw mut self.storage).cast(), &raw mut self.bytes)
    }

    /// The address, or an error for a family that is neither IPv4 nor IPv6.
    pub(crate) fn to_std(self) -> io::Result<SocketAddr> {
        match self.family() {
            libc::AF_INET => {
                // SAFETY: the family says that the storage holds this layout, and the storage is
                // larger and at least as aligned.
                let addr = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr));
                Ok(SocketAddrV4::new(ip, u16::from_be(addr.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let addr = unsafe {
                    (&raw const self.storage)
                        .cast::<libc::sockaddr_in6>()
                        .read()
                };
                let ip = Ipv6Addr::from(addr.sin6_addr.s6_addr);
                let port = u16::from_be(addr.sin6_port);
                Ok(SocketAddrV6::new(ip, port, addr.sin6_flowinfo, addr.sin6_scope_id).into())
            }
            family => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("expected an IPv4 or IPv6 address, found address family {family}"),
            )),
        }
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(addr: SocketAddr) -> Self {
        let mut address = Self::empty();
        match addr {
            SocketAddr::V4(addr) => {
                let raw = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: addr.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from(*addr.ip()).to_be(),
                    },
                    sin_zero: [0; 8],
                };
                // SAFETY: the storage is larger than the address and at least as aligned.
                unsafe {
                    (&raw mut address.storage)
                        .cast::<libc::sockaddr_in>()
                        .write(raw)
                };
                address.bytes = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(addr) => {
                let raw = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: addr.port().to_be(),
                    sin6_flowinfo: addr.flowinfo(),
                    sin6_addr: libc::in6_addr {
                        s6_addr: addr.ip().octets(),
                    },
                    sin6_scope_id: addr.scope_id(),
                };
                // SAFETY: as above.
                unsafe {
                    (&raw mut address.storage)
                        .cast::<libc::sockaddr_in6>()
                        .write(raw)
                };
                address.bytes = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        address
    }
}

impl From<&UnixAddr> for SocketAddress {
    fn from(addr: &UnixAddr) -> Self {
        let mut raw = libc::sockaddr_un {
            sun_family: libc::AF_UNIX as libc::sa_family_t,
            sun_path: [0; 108],
        };
        // A path ends with a zero, and an abstract name begins with one; an unnamed address has
        // neither.
        let (start, name, end) = match (addr.as_pathname(), addr.as_abstract_name()) {
            (Some(path), _) => (0, path.as_os_str().as_bytes(), 1),
            (None, Some(name)) => (1, name, 0),
            (None, None) => (0, &[][..], 0),
        };
        for (to, from) in raw.sun_path[start..].iter_mut().zip(name) {
            *to = *from as libc::c_char;
        }
        let mut address = Self::empty();
        // SAFETY: the storage is larger than the address and at least as aligned.
        unsafe {
            (&raw mut address.storage)
                .cast::<libc::sockaddr_un>()
                .write(raw)
        };
        let bytes = std::mem::offset_of!(libc::sockaddr_un, sun_path) + start + name.len() + end;
        address.bytes = bytes as libc::socklen_t;
        address
    }
}

impl std::fmt::Debug for SocketAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SocketAddress")
            .field(&self.to_std().ok())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_through_the_kernels_layout() {
        for text in ["127.0.0.1:80", "0.0.0.0:0", "[::1]:65535", "[fe80::1%7]:9"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddress::from(addr).to_std().unwrap(), addr);
        }
    }

    #[test]
    fn an_unknown_family_is_an_error_that_names_it() {
        let error = SocketAddress::empty().to_std().unwrap_err();
        assert!(error.to_string().contains("family 0"), "{error}");
    }
}
