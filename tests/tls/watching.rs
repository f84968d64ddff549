//! Certificates that are read again by themselves.

use std::{fs, io, path::PathBuf, process::Command, rc::Rc, time::Duration};

use annulus::{
    future::join,
    io::duplex,
    spawn,
    sync::mpsc,
    tls::{self, Config, ServerConfig},
};

use crate::support::{Folder, certificates::Certificates, run_each};

/// The files of a server.
struct Site {
    folder: Folder,
    certificates: &'static Certificates,
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// Exchanges both files, each at once.
    fn become_like(&self, name: &str) {
        for ending in ["pem", "key"] {
            let text = self.certificates.text(&format!("{name}.{ending}"));
            self.put(ending, &text);
        }
    }

    fn put(&self, ending: &str, text: &[u8]) {
        let fresh = self.path("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.path(ending)).unwrap();
    }

    fn config(&self) -> ServerConfig {
        let builder = ServerConfig::builder();
        let builder = builder.certificate_files(self.path("pem"), self.path("key"));
        builder.build().unwrap()
    }
}

/// The certificate that a server shows.
async fn shown(config: &ServerConfig) -> Vec<u8> {
    let client = Config::builder().danger_accept_invalid_certificates(true);
    let client = client.build().unwrap();
    let (near, far) = duplex(1 << 16);
    let (near, far) = join(
        tls::connect(near, "localhost", &client),
        tls::accept(far, config),
    )
    .await;
    far.unwrap();
    near.unwrap().peer_certificates()[0].to_vec()
}

/// Watches in a task of its own. Returns where the reports come.
fn watch(config: &ServerConfig, interval: Duration) -> mpsc::Receiver<io::Result<()>> {
    let (tell, told) = mpsc::unbounded();
    let config = config.clone();
    drop(spawn(async move {
        config
            .watch(interval, |result| drop(tell.try_send(result)))
            .await
    }));
    told
}

/// Waits for a reload that has done well. Between the two files of a certificate one may fail.
async fn success(told: &mut mpsc::Receiver<io::Result<()>>) {
    while told.recv().await.unwrap().is_err() {}
}

#[test]
fn files_that_change_are_read_again_and_broken_ones_change_nothing() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let folder = Folder::new("tls-watch");
        let site = Rc::new(Site {
            folder,
            certificates,
        });
        site.become_like("server");
        let config = site.config();
        // Before the watch begins, but after the files were read.
        site.become_like("client");
        let first = shown(&config).await;
        let mut told = watch(&config, Duration::from_millis(1));
        success(&mut told).await;
        let second = shown(&config).await;
        assert_ne!(first, second);
        site.put("pem", b"no certificate");
        let error = told.recv().await.unwrap().unwrap_err();
        let path = site.path("pem").display().to_string();
        assert!(error.to_string().contains(&path), "{error}");
        assert_eq!(shown(&config).await, second);
        fs::remove_file(site.path("pem")).unwrap();
        let error = told.recv().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        site.become_like("server");
        success(&mut told).await;
        assert_eq!(shown(&config).await, first);
    });
}

#[test]
fn files_are_read_again_at_sighup() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        let folder = Folder::new("tls-hangup");
        let site = Site {
            folder,
            certificates,
        };
        site.become_like("server");
        let config = site.config();
        let first = shown(&config).await;
        let mut told = watch(&config, Duration::from_secs(1_000_000));
        annulus::task::yield_now().await;
        site.become_like("client");
        let pid = std::process::id().to_string();
        // The second time nothing has changed.
        for _ in 0..2 {
            let kill = Command::new("kill").args(["-HUP", &pid]).status();
            assert!(kill.unwrap().success());
            success(&mut told).await;
            assert_ne!(shown(&config).await, first);
        }
    });
}
