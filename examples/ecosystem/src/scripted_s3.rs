//! A server that speaks as much of S3's protocol as a test of its SDK needs, on this crate's HTTP
//! server.
//!
//! It keeps objects in memory, and has `PutObject`, `GetObject`, `DeleteObject`, `ListObjectsV2` in
//! pages, and uploads in parts. It does not verify signatures: it wants one.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    future::pending,
    io,
    net::SocketAddr,
    rc::Rc,
};

use annulus::{
    http::{self, Connection, Error, HeaderValue, Request, Response, StatusCode, header},
    net::TcpListener,
    spawn,
};
use bytes::Bytes;

/// The largest body of one request.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// How many answers to a request for the key `flaky` are errors.
const REFUSALS: u32 = 2;

#[derive(Debug, Default)]
struct Data {
    /// By bucket and key, with a slash between them.
    objects: BTreeMap<String, Bytes>,
    /// The parts of uploads that have begun, by their numbers.
    uploads: HashMap<u32, BTreeMap<u32, Vec<u8>>>,
    upload_count: u32,
    refused_count: u32,
}

/// Starts the server in tasks of this runtime, and returns where it listens.
///
/// # Errors
///
/// When no port can be had.
pub async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let data = Rc::new(RefCell::new(Data::default()));
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let data = Rc::clone(&data);
            let handler = async move |request: Request| answer(&data, request).await;
            spawn(Connection::new().serve(stream, handler));
        }
    });
    Ok(addr)
}

async fn answer(data: &RefCell<Data>, mut request: Request) -> http::Result<Response> {
    let signature = request.field("authorization").unwrap_or_default();
    if !signature.starts_with(b"AWS4-HMAC-SHA256 Credential=") {
        return Ok(error(StatusCode::FORBIDDEN, "AccessDenied"));
    }
    let path = request.path().trim_matches('/').to_owned();
    let (upload, part) = (
        request.query_param::<u32>("uploadId")?,
        request.query_param::<u32>("partNumber")?,
    );
    let begins_upload = request.query_pairs().any(|(name, _)| name == "uploads");
    let method = request.method().as_str().to_owned();
    match &*method {
        "GET" if !path.contains('/') => list(&data.borrow(), &path, &request),
        "GET" => get(data, &path).await,
        "DELETE" => {
            data.borrow_mut().objects.remove(&path);
            Ok(Response::new(StatusCode::NO_CONTENT))
        }
        "PUT" => {
            let body = body_of(&mut request).await?;
            let mut data = data.borrow_mut();
            match (upload, part) {
                (Some(upload), Some(part)) => match data.uploads.get_mut(&upload) {
                    Some(parts) => drop(parts.insert(part, body)),
                    None => return Ok(error(StatusCode::NOT_FOUND, "NoSuchUpload")),
                },
                _ => drop(data.objects.insert(path, body.into())),
            }
            Ok(Response::text("").with_field(header::ETAG, HeaderValue::from_static("\"tag\"")))
        }
        "POST" if begins_upload => {
            let mut data = data.borrow_mut();
            data.upload_count += 1;
            let upload = data.upload_count;
            data.uploads.insert(upload, BTreeMap::new());
            Ok(xml(format!(
                "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>\
                 </InitiateMultipartUploadResult>"
            )))
        }
        "POST" => {
            let mut data = data.borrow_mut();
            let Some(parts) = upload.and_then(|upload| data.uploads.remove(&upload)) else {
                return Ok(error(StatusCode::NOT_FOUND, "NoSuchUpload"));
            };
            let whole: Vec<u8> = parts.into_values().flatten().collect();
            data.objects.insert(path, whole.into());
            Ok(xml(
                "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>".into(),
            ))
        }
        _ => Ok(error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed")),
    }
}

async fn get(data: &RefCell<Data>, path: &str) -> http::Result<Response> {
    if path.ends_with("/never") {
        pending::<()>().await;
    }
    let mut data = data.borrow_mut();
    if path.ends_with("/flaky") && data.refused_count < REFUSALS {
        data.refused_count += 1;
        return Ok(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"));
    }
    Ok(match data.objects.get(path) {
        Some(object) => Response::bytes(object.clone()),
        None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
    })
}

/// A page of the objects of a bucket. The token of the next one is the last key.
fn list(data: &Data, bucket: &str, request: &Request) -> http::Result<Response> {
    let keys_max = request.query_param::<usize>("max-keys")?.unwrap_or(1000);
    let after: Option<String> = request.query_param("continuation-token")?;
    let prefix = format!("{bucket}/");
    let keys = data.objects.iter().filter_map(|(path, object)| {
        let key = path.strip_prefix(&prefix)?;
        (after.as_deref() < Some(key)).then_some((key, object.len()))
    });
    let keys: Vec<_> = keys.take(keys_max + 1).collect();
    let page = &keys[..keys.len().min(keys_max)];
    let mut text = String::from("<ListBucketResult>");
    for (key, bytes) in page {
        let _ = write!(
            text,
            "<Contents><Key>{key}</Key><Size>{bytes}</Size></Contents>"
        );
    }
    let is_truncated = page.len() < keys.len();
    if let (true, Some((last, _))) = (is_truncated, page.last()) {
        let _ = write!(
            text,
            "<NextContinuationToken>{last}</NextContinuationToken>"
        );
    }
    let _ = write!(
        text,
        "<IsTruncated>{is_truncated}</IsTruncated></ListBucketResult>"
    );
    Ok(xml(text))
}

/// The body of a request, taken out of the chunks in which the SDK signs what it streams.
async fn body_of(request: &mut Request) -> http::Result<Vec<u8>> {
    let is_chunked = request.field("x-amz-decoded-content-length").is_some();
    let body = request.take_body().limit(BODY_BYTES_MAX).bytes().await?;
    if !is_chunked {
        return Ok(body);
    }
    decode(&body).ok_or_else(|| Error::new(StatusCode::BAD_REQUEST, "expected chunks"))
}

/// The data of chunks: each is its size in hex digits, a line end, its data, and a line end. After
/// the empty one come fields.
fn decode(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let end = chunks.windows(2).position(|bytes| bytes == b"\r\n")?;
        let line = std::str::from_utf8(&chunks[..end]).ok()?;
        let size = line.split(';').next()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(data);
        }
        let start = end + 2;
        data.extend_from_slice(chunks.get(start..start + size)?);
        chunks = chunks.get(start + size + 2..)?;
    }
}

fn xml(text: String) -> Response {
    let kind = HeaderValue::from_static("application/xml");
    Response::bytes(text).with_field(header::CONTENT_TYPE, kind)
}

fn error(status: StatusCode, code: &str) -> Response {
    xml(format!(
        "<Error><Code>{code}</Code><Message>of the scripted server</Message></Error>"
    ))
    .with_status(status)
}
