//! The handler that sends requests on.

use std::{
    fmt,
    future::{Future as _, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;

use super::{
    balancer::{Balancer, Ticket, Tried},
    fields::{self, Told},
    onward_body::OnwardBody,
    tunnel,
};
use crate::{
    http::{
        HeaderName, HeaderValue, Method, Result, StatusCode,
        client::{self, Client, IntoUrl},
        server::{BodyWriter, Handler, IntoResponse, Request, Response},
    },
    pool::ManagedBuf,
};

/// Connections to each server, of each worker.
const CONNECTIONS_MAX: usize = 1024;
/// Answers up to this size go out in one piece when they are here.
const WHOLE_BYTES_MAX: u64 = 64 * 1024;

/// A gateway, or reverse proxy: a [`Handler`] that sends each request on to another server, and
/// that one's response back.
///
/// It follows RFC 9110, section 7.6:
///
/// - Fields about one connection stay there: `Connection` and those that it names, `Keep-Alive`,
///   `TE`, `Transfer-Encoding`, `Upgrade` and credentials for a proxy. `Via` is added both ways.
/// - The other server sees the client in `X-Forwarded-For`, to which the peer is added, and in
///   `X-Forwarded-Proto` and `X-Forwarded-Host`, which are written anew; or by
///   [`forwarded`](Self::forwarded) in `Forwarded`. Fields of the other kind are removed, since
///   they would be the client's own word.
/// - Bodies and trailers go through piece by piece, each way only as fast as they are taken. The
///   body of a request is asked for (`100 Continue`) when the other server asks for it.
/// - A change of protocol, such as to WebSocket, makes a tunnel.
/// - `Max-Forwards` of `OPTIONS` and `TRACE` is counted down; at 0 the gateway answers itself.
///   `CONNECT` is answered 405.
///
/// A client that leaves takes its request along: the connection to the other server is closed. The
/// answer is 502 where the other server cannot be had or makes no sense, and 504 where it takes too
/// long, by the limits of the [client](Self::client). A response that fails in its middle is cut
/// off.
///
/// With several servers ([`balanced`](Self::balanced)) a request that one of them has failed goes to
/// the next, if that does no harm: the connection could not be opened, or the method is idempotent;
/// and no piece of the body was taken. A request that has timed out is not sent again.
///
/// Each worker makes its own: `run_each` calls its function there.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{Server, forward::{Balancer, Forward}};
///
/// # fn main() -> std::io::Result<()> {
/// Server::new().listen("127.0.0.1:8080").run_each(|| {
///     let balancer = Balancer::new();
///     let balancer = balancer.backend("http://10.0.0.1:8081").expect("it is a URL");
///     let balancer = balancer.backend("http://10.0.0.2:8081").expect("it is a URL");
///     Forward::balanced(balancer)
/// })?;
/// # Ok(())
/// # }
/// ```
///
/// A part of a service may live elsewhere:
///
/// ```
/// use std::rc::Rc;
///
/// use annulus::http::{Request, Router, forward::Forward};
///
/// fn router() -> Router {
///     let old = Rc::new(Forward::to("http://127.0.0.1:8081").expect("it is a URL"));
///     Router::new()
///         .get("/new", async |_| "hello")
///         .fallback(async move |request: Request| old.send(request).await)
/// }
/// # let _ = router;
/// ```
pub struct Forward {
    client: Client,
    balancer: Balancer,
    told: Told,
}

impl Forward {
    /// Sends requests on to one server, by a URL of which scheme, host and port count.
    ///
    /// # Errors
    ///
    /// When the URL makes no sense.
    pub fn to(url: impl IntoUrl) -> client::Result<Self> {
        Ok(Self::balanced(Balancer::new().backend(url)?))
    }

    /// Sends each request on to one of several servers.
    #[must_use]
    pub fn balanced(balancer: Balancer) -> Self {
        let client = Client::builder()
            .timeout(None) // a body may take as long as it moves
            .redirects_max(0)
            .decompress(false)
            .connections_per_host_max(CONNECTIONS_MAX)
            .idle_per_host_max(CONNECTIONS_MAX)
            .build();
        Self {
            client,
            balancer,
            told: Told {
                pseudonym: "annulus".to_owned(),
                writes_forwarded: false,
            },
        }
    }

    /// Sets the client, which has the limits of time, the connections and the configuration of TLS.
    /// By default it has 1024 connections to each server, and no limit on the whole of a request.
    /// One of your own hands redirects and codings on after `redirects_max(0)` and
    /// `decompress(false)`. Its own fields are not sent.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// Sets the name that stands in `Via`; `annulus` by default.
    #[must_use]
    pub fn pseudonym(mut self, name: HeaderName) -> Self {
        self.told.pseudonym = name.as_str().to_owned();
        self
    }

    /// Writes `Forwarded` (RFC 7239) in place of `X-Forwarded-For`, `-Proto` and `-Host`.
    #[must_use]
    pub fn forwarded(mut self) -> Self {
        self.told.writes_forwarded = true;
        self
    }

    /// Sends a request on, and returns the answer to it.
    ///
    /// # Errors
    ///
    /// The error of the client, which becomes 502 or 504; 503 where there is no server.
    ///
    /// # Cancel safety
    ///
    /// The connection to the other server is closed.
    pub async fn send(&self, mut request: Request) -> Result<Response> {
        let hops = match hops_left(&request) {
            Hops::Unlimited => None,
            Hops::Left(hops) => Some(hops),
            Hops::None(answer) => return Ok(answer),
        };
        let body = OnwardBody::new(request.take_body().limit(u64::MAX));
        let mut tried = Tried::default();
        let mut last = None;
        while let Some(ticket) = self.balancer.choose(&mut tried) {
            let onward = self.onward(&request, &ticket, &body, hops);
            let error = match onward.send().await {
                Ok(response) => {
                    self.balancer.succeeded(&ticket);
                    return self.answer(&request, response, ticket).await;
                }
                Err(error) => error,
            };
            if let Some(refused) = error.response() {
                // The change of protocol was refused.
                self.balancer.succeeded(&ticket);
                return Ok(self.answer_refused(refused));
            }
            if !is_by_server(&error) {
                return Err(error.into());
            }
            self.balancer.failed(&ticket);
            let may_repeat = !error.is_timeout() && request.method().is_idempotent();
            if !(error.is_connect() || may_repeat) || body.is_begun() {
                return Err(error.into());
            }
            last = Some(error);
        }
        Err(last.map_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into(), Into::into))
    }

    fn onward(
        &self,
        request: &Request,
        ticket: &Ticket,
        body: &OnwardBody,
        hops: Option<u64>,
    ) -> client::Request {
        let upgrade = request.upgrades().next();
        let onward = self.client.request(request.method().clone(), ticket.url());
        let onward = onward.with_onward_head(|head| {
            let host = request.authority().unwrap_or(ticket.url().authority());
            let query = request
                .query()
                .map(|query| ["?", query])
                .unwrap_or_default();
            head.begin([request.path(), query[0], query[1]], host);
            fields::write_request(head, request, &self.told, hops, upgrade);
            upgrade.is_some()
        });
        let onward = onward.body(body.to_client());
        if request.field("expect").is_some() {
            onward.expect_continue(true)
        } else {
            onward
        }
    }

    async fn answer(
        &self,
        request: &Request,
        mut response: client::Response,
        ticket: Ticket,
    ) -> Result<Response> {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return self.answer_upgrade(response, ticket);
        }
        let has_no_body = *request.method() == Method::HEAD
            || matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            );
        let whole = match has_no_body {
            true => None,
            false => whole_body(&mut response).await?,
        };
        let first = match whole {
            Some(Whole::All(bytes)) => {
                let answer = Response::new(status).with_body(bytes);
                return Ok(self.with_fields(&response, answer, false));
            }
            Some(Whole::First(piece)) => Some(piece),
            None => None,
        };
        let told = self.with_fields(&response, Response::new(status), true);
        Ok(told.with_writer(async move |mut out: BodyWriter| {
            let _ticket = ticket;
            if let Some(piece) = first {
                out.write(piece).await?;
            }
            while let Some(piece) = response.next().await? {
                out.write(piece).await?;
            }
            for (name, value) in &response.trailers() {
                out.add_trailer(name.clone(), value.clone());
            }
            Ok(())
        }))
    }

    fn with_fields(
        &self,
        response: &client::Response,
        answer: Response,
        keeps_length: bool,
    ) -> Response {
        fields::copy_response(response, answer, &self.told.pseudonym, keeps_length)
    }

    /// Makes a tunnel of both connections.
    fn answer_upgrade(&self, response: client::Response, ticket: Ticket) -> Result<Response> {
        let protocol = response.field("upgrade").unwrap_or_default();
        let protocol = HeaderValue::from_bytes(protocol);
        let protocol = protocol.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let fields = self.with_fields(&response, Response::new(StatusCode::OK), false);
        let far = response.upgrade()?;
        let tunnel = Response::upgrade(protocol, async move |near| {
            let _ticket = ticket;
            tunnel::join(near, far).await;
        });
        Ok(tunnel.with_fields_of(fields))
    }

    /// Answers by the response that refused a change of protocol, whose body is here.
    fn answer_refused(&self, refused: &::http::Response<Bytes>) -> Response {
        let answer = Response::new(refused.status()).with_body(refused.body().clone());
        fields::copy_map(refused.headers(), answer, &self.told.pseudonym)
    }
}

impl Handler for Forward {
    async fn handle(&self, request: Request) -> Response {
        self.send(request).await.into_response()
    }
}

/// The rest of the way that `Max-Forwards` allows (RFC 9110, section 7.6.2).
enum Hops {
    Unlimited,
    Left(u64),
    /// None: the gateway answers.
    None(Response),
}

fn hops_left(request: &Request) -> Hops {
    let method = request.method();
    if *method == Method::CONNECT {
        return Hops::None(Response::new(StatusCode::METHOD_NOT_ALLOWED));
    }
    if *method != Method::OPTIONS && *method != Method::TRACE {
        return Hops::Unlimited;
    }
    let hops = request.field("max-forwards").and_then(|hops| {
        let is_number = !hops.is_empty() && hops.iter().all(u8::is_ascii_digit);
        let hops = std::str::from_utf8(hops).ok().filter(|_| is_number)?;
        Some(hops.parse().unwrap_or(u64::MAX))
    });
    match hops {
        None => Hops::Unlimited,
        Some(0) if *method == Method::OPTIONS => Hops::None(Response::new(StatusCode::NO_CONTENT)),
        Some(0_u64) => Hops::None(Response::new(StatusCode::METHOD_NOT_ALLOWED)),
        Some(hops) => Hops::Left(hops - 1),
    }
}

/// Whether the error is a fault of the other server, and not of the request or its client.
fn is_by_server(error: &client::Error) -> bool {
    !matches!(
        error.kind(),
        client::ErrorKind::Url(_)
            | client::ErrorKind::Request(_)
            | client::ErrorKind::RequestBody
            | client::ErrorKind::QueueFull
    )
}

/// The beginning of a response's body.
enum Whole {
    All(Bytes),
    First(ManagedBuf),
}

/// Takes what is here of a small body; none where nothing is.
async fn whole_body(response: &mut client::Response) -> Result<Option<Whole>> {
    match response.bytes_left() {
        Some(0) if response.trailers().is_empty() => return Ok(Some(Whole::All(Bytes::new()))),
        Some(left) if left > WHOLE_BYTES_MAX => return Ok(None),
        _ => {}
    }
    let Some(first) = next_now(response).await? else {
        return Ok(None);
    };
    let Some(first) = first else {
        let has_trailers = !response.trailers().is_empty();
        return Ok((!has_trailers).then(|| Whole::All(Bytes::new())));
    };
    if response.bytes_left() == Some(0) && response.trailers().is_empty() {
        return Ok(Some(Whole::All(first.into())));
    }
    Ok(Some(Whole::First(first)))
}

/// The next piece, or the end, if it is here.
async fn next_now(response: &mut client::Response) -> Result<Option<Option<ManagedBuf>>> {
    let mut next = pin!(response.next());
    let polled = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
    match polled {
        Poll::Ready(piece) => Ok(Some(piece?)),
        Poll::Pending => Ok(None),
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("balancer", &self.balancer)
            .finish_non_exhaustive()
    }
}
