//! Gets pages by `https` from servers whose certificates an authority of one's own has signed.
//!
//! ```text
//! openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 9 \
//!     -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE
//! openssl s_server -accept 8443 -www -cert cert.pem -key key.pem
//! cargo run --features tls --example https cert.pem https://localhost:8443/ [URL..]
//! ```
//!
//! The system's authorities are trusted, too. With `--insecure` in place of the file any
//! certificate is taken for the right one.

use std::{env, fs, io};

use annulus::{http::Client, tls};

#[path = "shared/plain.rs"]
mod plain;

async fn get(client: &Client, url: &str) -> io::Result<()> {
    let response = client.get(url).send().await?;
    let timings = response.timings();
    let (status, total) = (response.status(), timings.total);
    plain::note(format_args!("{status} in {total:.1?}\n"));
    let (connect, tls) = (timings.connect, timings.tls);
    plain::note(format_args!("connect {connect:.1?}, TLS {tls:.1?}\n"));
    plain::say(response.text().await?);
    Ok(())
}

fn main() -> plain::Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [trusted, urls @ ..] = &arguments[..] else {
        plain::usage("https CERTIFICATE|--insecure URL..");
    };
    let builder = tls::Config::builder();
    let config = if trusted == "--insecure" {
        builder.danger_accept_invalid_certificates(true)
    } else {
        builder.add_root_certificate(&fs::read(trusted)?)
    };
    let config = config.build()?;
    annulus::run(async {
        let client = Client::builder().tls(config).build();
        for url in urls {
            get(&client, url).await?;
        }
        Ok(())
    })
}
