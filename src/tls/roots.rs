//! The authorities that a system trusts.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use rustls::RootCertStore;

/// The authorities that were read, once for the whole process.
static SYSTEM: Mutex<Option<RootCertStore>> = Mutex::new(None);

/// The system's certificates. They are read once; a failure is not kept.
pub(super) fn system() -> io::Result<RootCertStore> {
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(roots) = &*system {
        return Ok(roots.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A few that cannot be parsed are usual, and do no harm.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let text = "expected certificates of authorities on this system, found none: install them, name them \
                    in SSL_CERT_FILE, or use `ConfigBuilder::bundled_roots`";
        let text = match found.errors.first() {
            Some(error) => format!("{text}: {error}"),
            None => text.to_owned(),
        };
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    *system = Some(roots.clone());
    Ok(roots)
}
