//! The arguments of the program. `--protocol` and `--header` may be given several times, received
//! bytes are printed as ASCII with escapes, and `--ping` is the silence of the server after which a
//! ping is sent, in place of 30 s.

use std::{env, time::Duration};

use annulus::http::{
    HeaderName,
    websocket::{CloseCode, Options},
};

pub(crate) const USAGE: &str = "ws_client URL [--protocol NAME].. [--origin ORIGIN] \
     [--header \"NAME: VALUE\"].. [--binary] [--ping SECONDS] [--close CODE]";

pub(crate) struct Arguments {
    pub(crate) url: String,
    pub(crate) options: Options,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) is_binary: bool,
    pub(crate) code: CloseCode,
}

pub(crate) fn parse() -> Option<Arguments> {
    let (mut url, mut protocols, mut fields) = (None, Vec::new(), Vec::new());
    let (mut is_binary, mut code) = (false, CloseCode::NORMAL);
    let mut options = Options::new();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--protocol" => protocols.push(arguments.next()?),
            "--origin" => fields.push(("Origin".to_owned(), arguments.next()?)),
            "--header" => {
                let field = arguments.next()?;
                let (name, value) = field.split_once(':')?;
                fields.push((name.to_owned(), value.trim().to_owned()));
            }
            "--binary" => is_binary = true,
            "--ping" => {
                let seconds: f64 = arguments.next()?.parse().ok()?;
                let interval = Duration::try_from_secs_f64(seconds).ok()?;
                options = options.ping_interval(interval);
            }
            "--close" => code = CloseCode::new(arguments.next()?.parse().ok()?)?,
            other if other.starts_with("--") || url.is_some() => return None,
            _ => url = Some(argument),
        }
    }
    // A subprotocol is a token, and so is the name of a field.
    let is_token = |name: &String| HeaderName::from_bytes(name.as_bytes()).is_ok();
    if !protocols.iter().all(is_token) {
        return None;
    }
    Some(Arguments {
        url: url?,
        options: options.subprotocols(protocols),
        fields,
        is_binary,
        code,
    })
}
