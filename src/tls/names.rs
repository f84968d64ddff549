//! The certificates of a server by the names that clients ask for.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    client::verify_server_name,
    pki_types::ServerName,
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::hello::without_dot;

/// The certificates of a server: one for each name, and one for all others.
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By the name without its first label, which is any.
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
    /// The first that was added for a name.
    first: Option<Arc<CertifiedKey>>,
    /// A client that asks for another name than those of the certificates is refused.
    refuses_unknown: bool,
}

impl Names {
    pub(super) fn new(refuses_unknown: bool) -> Self {
        Self {
            refuses_unknown,
            ..Self::default()
        }
    }

    /// Adds the certificate for `name`, or that for all other names. The error says what is wrong
    /// with the name.
    pub(super) fn add(&mut self, name: Option<&str>, key: CertifiedKey) -> Result<(), String> {
        let key = Arc::new(key);
        let Some(name) = name else {
            self.default = Some(key);
            return Ok(());
        };
        self.first.get_or_insert_with(|| Arc::clone(&key));
        let name = name.to_ascii_lowercase();
        let suffix = name.strip_prefix("*.");
        // A certificate for all names below one is for this one.
        let example = suffix.map_or_else(|| name.clone(), |suffix| format!("any.{suffix}"));
        match ServerName::try_from(example) {
            Ok(example @ ServerName::DnsName(_)) if !is_for(&key, &example) => {
                return Err("expected a certificate for this name, found one for others".into());
            }
            Ok(ServerName::DnsName(_)) => {}
            _ => return Err("expected a host name, found something else".into()),
        }
        match suffix {
            Some(suffix) => self.wildcard.insert(suffix.into(), key),
            None => self.exact.insert(name.into(), key),
        };
        Ok(())
    }

    /// Ends the list: without a certificate for all other names, the first is for them.
    pub(super) fn complete(&mut self) {
        if self.default.is_none() {
            self.default = self.first.take();
        }
    }

    /// The certificate for a client that asks for `name`.
    pub(super) fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let Some(name) = name else {
            return self.default.clone();
        };
        let name = without_dot(name);
        if let Some(key) = self.exact.get(name) {
            return Some(Arc::clone(key));
        }
        let suffix = name.split_once('.').map(|(_, suffix)| suffix);
        if let Some(key) = suffix.and_then(|suffix| self.wildcard.get(suffix)) {
            return Some(Arc::clone(key));
        }
        let default = self.default.as_ref()?;
        if self.refuses_unknown {
            let name = ServerName::try_from(name).ok()?;
            return is_for(default, &name).then(|| Arc::clone(default));
        }
        Some(Arc::clone(default))
    }
}

/// Whether the certificate is for the name.
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    key.end_entity_cert()
        .and_then(ParsedCertificate::try_from)
        .and_then(|certificate| verify_server_name(&certificate, name))
        .is_ok()
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

#[cfg(test)]
mod tests {
    use rustls::{
        SignatureAlgorithm, SignatureScheme,
        sign::{Signer, SigningKey},
    };

    use super::*;

    #[derive(Debug)]
    struct NoKey;

    impl SigningKey for NoKey {
        fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
            None
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            SignatureAlgorithm::ECDSA
        }
    }

    #[test]
    fn a_dot_at_the_end_of_a_name_makes_it_no_other() {
        let key = || Arc::new(CertifiedKey::new(Vec::new(), Arc::new(NoKey)));
        let (exact, wildcard, default) = (key(), key(), key());
        let names = Names {
            exact: [("a.test".into(), Arc::clone(&exact))].into(),
            wildcard: [("b.test".into(), Arc::clone(&wildcard))].into(),
            default: Some(Arc::clone(&default)),
            ..Names::default()
        };
        for (name, expected) in [
            ("a.test", &exact),
            ("a.test.", &exact),
            ("x.b.test.", &wildcard),
            ("c.test.", &default),
        ] {
            let found = names.find(Some(name)).unwrap();
            assert!(Arc::ptr_eq(&found, expected), "{name}");
        }
    }
}
