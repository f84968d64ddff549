//! Certificates, made once for a run of the tests.

use std::{fs, path::PathBuf, sync::OnceLock};

use super::program::{self, Program};

/// How `openssl` is told what is not said on its command line.
const CONFIG: &str = "
[req]
distinguished_name = names
[names]
[ca]
default_ca = authority
[authority]
database = database
serial = serial
new_certs_dir = .
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost,DNS:other.test,IP:127.0.0.1,IP:::1
";

/// An authority, and what it has signed.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// None when there is no `openssl` to make them.
    pub(crate) fn get() -> Option<&'static Self> {
        static MADE: OnceLock<Certificates> = OnceLock::new();
        let openssl = Program::find("openssl")?;
        Some(MADE.get_or_init(|| Self::make(&openssl)))
    }

    fn make(openssl: &Program) -> Self {
        let folder = program::folder().join(env!("CARGO_CRATE_NAME"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config"), CONFIG).unwrap();
        fs::write(folder.join("database"), "").unwrap();
        fs::write(folder.join("serial"), "1000\n").unwrap();
        let call = |text: &str| {
            let mut command = openssl.command();
            command.current_dir(&folder).args(text.split(' '));
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "openssl {text}: {said}");
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout";
        for name in ["authority", "stranger"] {
            call(&format!(
                "req -config config -x509 {key} {name}.key -out {name}.pem -subj /CN={name} -days 2 \
                 -addext basicConstraints=critical,CA:TRUE"
            ));
        }
        call(&format!(
            "req -config config -x509 {key} own.key -out own.pem -subj /CN=own -days 2 \
             -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost"
        ));
        for (name, dates) in [
            ("server", "-days 2"),
            ("client", "-days 2"),
            (
                "expired",
                "-startdate 20200101000000Z -enddate 20200201000000Z",
            ),
        ] {
            call(&format!(
                "req -config config {key} {name}.key -out {name}.csr -subj /CN={name}"
            ));
            call(&format!(
                "ca -config config -batch -notext -extensions leaf -cert authority.pem \
                 -keyfile authority.key -in {name}.csr -out {name}.pem {dates}"
            ));
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}
