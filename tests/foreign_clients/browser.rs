//! Chromium without a window, which opens pages of the examples.
//!
//! It is driven by its DevTools protocol: JSON over a WebSocket, which is this crate's client.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use annulus::{
    http::{
        Client,
        websocket::{Options, WebSocket},
    },
    time,
};

use crate::support::{
    BOUND, build,
    program::{Program, folder},
};

/// A browser, ended with this value.
pub(crate) struct Browser {
    process: Child,
    /// Its files.
    folder: PathBuf,
}

impl Browser {
    /// Starts it with a page, if there is one on this machine. The folder of its files is `name`.
    pub(crate) fn open(name: &str, url: &str) -> Option<Self> {
        let program = Program::find("chromium")?;
        let folder = folder().join(format!("browser-{name}"));
        let _ = fs::remove_dir_all(&folder);
        let process = program
            .command()
            .args(["--headless", "--no-first-run", "--disable-gpu"])
            // Root may not have its sandbox, and containers have little shared memory.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            // It talks to this machine alone.
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { process, folder })
    }

    /// Its page.
    pub(crate) async fn page(&self) -> Page {
        let start = Instant::now();
        loop {
            if let Some(url) = page_url(&self.folder).await {
                let options = Options::new().message_bytes_max(16 << 20);
                let request = Client::new().websocket(url).options(&options);
                let socket = request.connect().await.unwrap();
                return Page { socket, calls: 0 };
            }
            assert!(start.elapsed() < BOUND, "the browser has no page");
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Its other processes end by themselves, and may write until then.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.folder).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The address of the page's WebSocket, once the browser has told its own and has the page.
async fn page_url(folder: &Path) -> Option<String> {
    let told = fs::read_to_string(folder.join("DevToolsActivePort")).ok()?;
    let port = told.lines().next()?;
    let list = Client::new().get(format!("http://127.0.0.1:{port}/json/list"));
    let list = list.send().await.ok()?.text().await.ok()?;
    let page = list.split('{').find(|target| target.contains("\"page\""))?;
    let (_, rest) = page.split_once("\"webSocketDebuggerUrl\": \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// A page of a browser.
pub(crate) struct Page {
    socket: WebSocket,
    calls: u64,
}

impl Page {
    /// Runs a script. Its value as JSON is in the answer. The script has no double quotes.
    pub(crate) async fn run(&mut self, script: &str) -> String {
        assert!(!script.contains(['"', '\\', '\n']), "{script}");
        self.calls += 1;
        let call = format!(
            "{{\"id\":{},\"method\":\"Runtime.evaluate\",\"params\":{{\"expression\":\"{script}\",\
             \"awaitPromise\":true,\"returnByValue\":true}}}}",
            self.calls
        );
        self.socket.send(call).await.unwrap();
        let answer = format!("{{\"id\":{},", self.calls);
        loop {
            let message = self.socket.recv().await.unwrap();
            let message = message.expect("the browser goes on");
            let text = message.as_text().unwrap();
            if text.starts_with(&answer) {
                return text.to_owned();
            }
        }
    }

    /// Waits until an expression is true.
    pub(crate) async fn wait_for(&mut self, expression: &str) {
        let start = Instant::now();
        loop {
            let answer = self.run(expression).await;
            if answer.contains("\"value\":true") {
                return;
            }
            if start.elapsed() > BOUND {
                let page = self.run("document.body.innerText").await;
                panic!("{expression}: {answer}\n{page}");
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// An example that serves, ended with this value.
struct Example {
    process: Child,
    /// The address of its page.
    url: String,
}

impl Example {
    fn start(name: &str) -> Self {
        let mut process = Command::new(build::example(name))
            .arg("0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ");
        let url = url.expect("it says where it listens").to_owned();
        Self { process, url }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_page_of_chat_shows_each_line_by_all_three_ways() {
    let server = Example::start("chat");
    let Some(browser) = Browser::open("chat", &server.url) else {
        return;
    };
    annulus::run(async {
        let mut page = browser.page().await;
        let ways = ["socket", "events", "poll"];
        for (index, way) in ways.iter().enumerate() {
            page.wait_for("document.readyState === 'complete' && socket.readyState === 1")
                .await;
            page.run(&format!(
                "document.querySelector('#{way} input').value = 'by {way} <b>', \
                 document.querySelector('#{way} form').requestSubmit()"
            ))
            .await;
            let said: Vec<String> = ways[..=index]
                .iter()
                .map(|way| format!("by {way} <b>"))
                .collect();
            for shown in ways {
                let lines = format!(
                    "[...document.querySelectorAll('#{shown} li')].map((li) => li.textContent).join()"
                );
                page.wait_for(&format!("{lines} === '{}'", said.join(",")))
                    .await;
            }
        }
    });
}

#[test]
fn a_page_of_ticker_plots_the_price() {
    let server = Example::start("ticker");
    let Some(browser) = Browser::open("ticker", &server.url) else {
        return;
    };
    annulus::run(async {
        let mut page = browser.page().await;
        page.wait_for("prices.length > 2").await;
        page.wait_for("document.getElementById('viewers').textContent === '1'")
            .await;
        let plot = "document.getElementById('plot').getContext('2d')";
        page.wait_for(&format!(
            "{plot}.getImageData(0, 0, 900, 400).data.some((byte) => byte > 0)"
        ))
        .await;
    });
}
