//! Files of a folder, and single ones, as answers to requests.

mod answer;
mod cache;
mod file_path;
mod found;
mod mounted;
mod place;
mod serve_file;

use std::{
    borrow::Cow,
    cell::RefCell,
    ffi::OsStr,
    fmt, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use super::message::{handler::Handler, request::Request, response::Response};
use crate::{
    fs::{Dir, File},
    http::{
        HeaderValue, Method, StatusCode,
        error::{Error, Result},
        error_kind::ErrorKind,
        h1::trim,
        header,
        representation::{CachePolicy, Coding, coding::Accepted, content_type::extension},
    },
    sys::errno,
};
use cache::Variants;
use file_path::{FilePath, with_slash};
use found::{Dress, Found};
pub(crate) use mounted::Mounted;
use place::Place;
pub use serve_file::serve_file;

/// How long a file that was found is used again without a look at the folder.
const VALIDITY: Duration = Duration::from_secs(1);

/// Answers requests with the files of a folder, for [`Router::files`](crate::http::Router::files).
/// It is also a [`Handler`] itself, for requests whose whole path is a file's. The page
/// [`files`](crate::docs::files) tells all about it.
///
/// Nothing outside of the folder is ever read: paths are opened beneath it by the kernel
/// ([`fs::Dir`](crate::fs::Dir)), symbolic links that lead out of it are not followed, and only
/// regular files are served. Names that begin with a dot are not, but for `/.well-known/`. All that
/// is not served is 404, so that no client learns what is there.
///
/// Answers have `ETag` and `Last-Modified`; conditions and ranges of requests are answered as RFC
/// 9110 says.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{CachePolicy, Coding, Files, Router, Server};
///
/// # fn main() -> std::io::Result<()> {
/// let router = || {
///     let files = Files::new("public")
///         .precompressed([Coding::Brotli, Coding::Gzip])
///         .cache(CachePolicy::by_name)
///         .fallback("index.html");
///     Router::new().get("/api/version", async |_| "1").files("/", files)
/// };
/// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
/// # }
/// ```
pub struct Files {
    folder: PathBuf,
    place: RefCell<Rc<Place>>,
    index: Vec<String>,
    codings: Vec<Coding>,
    cache_policy: Box<dyn Fn(&str) -> CachePolicy>,
    fallback: Option<String>,
    not_found: Option<String>,
    validity: Duration,
}

/// The outcome of the search for a path.
enum Search {
    File(Rc<Variants>),
    /// A folder that was asked for without a slash at its end.
    Folder,
    Missing,
}

impl Files {
    /// Makes a handler of the files in `folder`, which is opened when the first request comes.
    ///
    /// A folder that cannot be opened is answered with 500, and the access log has the reason.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            place: RefCell::new(Rc::new(Place::new())),
            index: vec!["index.html".to_owned()],
            codings: Vec::new(),
            cache_policy: Box::new(|_| CachePolicy::Unsaid),
            fallback: None,
            not_found: None,
            validity: VALIDITY,
        }
    }

    /// Sets the names that are looked for in a folder, in order. `index.html` by default.
    #[must_use]
    pub fn index<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.index = names.into_iter().map(Into::into).collect();
        self
    }

    /// Answers with a compressed sibling of a file to clients that accept its coding, by the
    /// weights of `Accept-Encoding` and then by this order: `app.js.br`, `app.js.zst` or
    /// `app.js.gz` in place of `app.js`. A sibling that is older than its file is not used. None by
    /// default.
    #[must_use]
    pub fn precompressed(mut self, codings: impl IntoIterator<Item = Coding>) -> Self {
        self.codings = codings.into_iter().collect();
        self
    }

    /// Sets the field `Cache-Control` by the path of a file in the folder, such as
    /// `css/site.css`. [`CachePolicy::by_name`] is such a function. The field is left out by
    /// default.
    #[must_use]
    pub fn cache(mut self, policy: impl Fn(&str) -> CachePolicy + 'static) -> Self {
        self.cache_policy = Box::new(policy);
        self
    }

    /// Answers with `file` of the folder, and 200, where nothing is at a path without an extension
    /// and the client accepts `text/html`: for programs in the browser that have paths of their
    /// own.
    #[must_use]
    pub fn fallback(mut self, file: impl Into<String>) -> Self {
        self.fallback = Some(file.into());
        self
    }

    /// Answers with `file` of the folder, and 404, where nothing is.
    #[must_use]
    pub fn not_found(mut self, file: impl Into<String>) -> Self {
        self.not_found = Some(file.into());
        self
    }

    /// Sets how long a file is used again without a look at the folder: a second by default. Zero
    /// looks at each request.
    ///
    /// A file that is written to in place is noticed at once when it is larger than 128 KiB.
    #[must_use]
    pub fn validity(mut self, validity: Duration) -> Self {
        self.validity = validity;
        self
    }

    /// Answers a request for the path `sent`, percent-encoded and with a slash at its start, of the
    /// folder.
    pub(crate) async fn answer(&self, request: &Request, sent: &str) -> Response {
        match self.try_answer(request, sent).await {
            Ok(response) => response,
            Err(error) => Response::failed(error),
        }
    }

    /// The handles of the runtime that runs now. Those of an earlier one are dropped.
    fn place(&self) -> Rc<Place> {
        let mut place = self.place.borrow_mut();
        if !place.is_here() {
            *place = Rc::new(Place::new());
        }
        Rc::clone(&place)
    }

    async fn try_answer(&self, request: &Request, sent: &str) -> Result<Response> {
        let place = self.place();
        if let Some(variants) = place.cache.find(sent) {
            return Ok(self.chosen(request, &variants));
        }
        match self.search(sent).await? {
            Search::File(variants) => {
                if !self.validity.is_zero() {
                    place.cache.keep(sent, &variants, self.validity);
                }
                Ok(self.chosen(request, &variants))
            }
            Search::Folder => {
                let location = with_slash(request.path(), request.query());
                let location = HeaderValue::try_from(location);
                let location = location.expect("a target is visible ASCII");
                let response = Response::new(StatusCode::MOVED_PERMANENTLY);
                Ok(response.with_field(header::LOCATION, location))
            }
            Search::Missing => self.missing(request, sent).await,
        }
    }

    /// The answer with the file in the coding that the client likes best.
    fn chosen(&self, request: &Request, variants: &Variants) -> Response {
        let mut found = &variants.plain;
        if !variants.coded.is_empty() {
            let accepted = Accepted::by(request.head().fields());
            let offered: Vec<Coding> = variants.coded.iter().map(|(coding, _)| *coding).collect();
            if let Some(best) = accepted.best_of(&offered).next() {
                let mut coded = variants.coded.iter();
                let best = coded.find(|(coding, _)| *coding == best);
                found = best.map_or(found, |(_, found)| found);
            }
        }
        answer::answer(request, found)
    }

    async fn search(&self, sent: &str) -> Result<Search> {
        let Some(path) = FilePath::parse(sent) else {
            return Ok(Search::Missing);
        };
        let Some(file) = self.open(&path).await? else {
            return Ok(Search::Missing);
        };
        if !file.metadata()?.is_dir() {
            if path.has_slash {
                return Ok(Search::Missing);
            }
            return Ok(match self.variants(file, &path).await? {
                Some(variants) => Search::File(variants),
                None => Search::Missing,
            });
        }
        if !path.has_slash {
            return Ok(Search::Folder);
        }
        for name in &self.index {
            if let Some(variants) = self.load(&path.join(name)).await? {
                return Ok(Search::File(variants));
            }
        }
        Ok(Search::Missing)
    }

    /// Opens what is at `path`; none when nothing is that may be served.
    async fn open(&self, path: &FilePath) -> Result<Option<File>> {
        let place = self.place();
        let dir = place
            .dir
            .get_or_try_init(async || self.open_dir().await)
            .await?;
        let path = match &*path.bytes {
            b"" => Path::new("."),
            bytes => Path::new(OsStr::from_bytes(bytes)),
        };
        match dir.open_file(path).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(internal("a file was not opened", error)),
        }
    }

    async fn open_dir(&self) -> Result<Dir> {
        Dir::open(&self.folder).await.map_err(|error| {
            let folder = self.folder.display();
            internal(
                format!("the folder `{folder}` of files was not opened"),
                error,
            )
        })
    }

    /// The file at `path` with its siblings, if it is a regular one.
    async fn load(&self, path: &FilePath) -> Result<Option<Rc<Variants>>> {
        match self.open(path).await? {
            Some(file) => self.variants(file, path).await,
            None => Ok(None),
        }
    }

    async fn variants(&self, file: File, path: &FilePath) -> Result<Option<Rc<Variants>>> {
        let name = String::from_utf8_lossy(&path.bytes);
        let dress = Dress {
            path: Path::new(OsStr::from_bytes(&path.bytes)),
            coding: None,
            varies: !self.codings.is_empty(),
            cache: (self.cache_policy)(&name),
        };
        let Some(plain) = Found::of(file, dress).await? else {
            return Ok(None);
        };
        let mut coded = Vec::new();
        for &coding in &self.codings {
            let mut sibling = path.clone();
            sibling.bytes.push(b'.');
            sibling
                .bytes
                .extend_from_slice(coding.extension().as_bytes());
            let Some(file) = self.open(&sibling).await? else {
                continue;
            };
            let coding_of = Some(coding);
            let dress = Dress {
                coding: coding_of,
                ..dress
            };
            if let Some(found) = Found::of(file, dress).await? {
                if found.version.is_as_new_as(&plain.version) {
                    coded.push((coding, Rc::new(found)));
                }
            }
        }
        let plain = Rc::new(plain);
        Ok(Some(Rc::new(Variants { plain, coded })))
    }

    /// The answer where nothing is.
    async fn missing(&self, request: &Request, sent: &str) -> Result<Response> {
        if let Some(page) = &self.fallback {
            if extension(sent.as_bytes()).is_none() && accepts_html(request) {
                if let Some(variants) = self.page(page).await? {
                    return Ok(self
                        .chosen(request, &variants)
                        .with_field(header::VARY, HeaderValue::from_static("accept")));
                }
            }
        }
        if let Some(page) = &self.not_found {
            if let Some(variants) = self.page(page).await? {
                return Ok(answer::whole(&variants.plain)
                    .without_validators()
                    .with_status(StatusCode::NOT_FOUND));
            }
        }
        Ok(Response::new(StatusCode::NOT_FOUND))
    }

    /// A file that is named here and not by a request.
    async fn page(&self, name: &str) -> Result<Option<Rc<Variants>>> {
        // No request's path is without a slash at its start.
        let place = self.place();
        if let Some(variants) = place.cache.find(name) {
            return Ok(Some(variants));
        }
        let variants = self.load(&FilePath::named(name)).await?;
        if let (Some(variants), false) = (&variants, self.validity.is_zero()) {
            place.cache.keep(name, variants, self.validity);
        }
        Ok(variants)
    }
}

/// Serves the file that the whole path of a request names.
impl Handler for Files {
    async fn handle(&self, request: Request) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Response::new(StatusCode::METHOD_NOT_ALLOWED)
                .with_field(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        self.answer(&request, request.path()).await
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Whether the client shows pages.
fn accepts_html(request: &Request) -> bool {
    let mut accepted = request.head().fields().elements("accept");
    accepted.any(|range| {
        let name = range.split(|&byte| byte == b';').next().unwrap_or_default();
        trim(name).eq_ignore_ascii_case(b"text/html")
    })
}

/// Whether an open failed because nothing is there that may be served. A client is not told what
/// is there and forbidden.
fn is_missing(error: &io::Error) -> bool {
    let is_missing_kind = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::CrossesDevices
            | io::ErrorKind::InvalidInput
    );
    let number = error.raw_os_error();
    let is_missing_number = [
        errno::ELOOP,
        errno::ENAMETOOLONG,
        errno::ENXIO,
        errno::ENODEV,
    ];
    is_missing_kind || number.is_some_and(|number| is_missing_number.contains(&number))
}

fn internal(reason: impl Into<Cow<'static, str>>, error: io::Error) -> Error {
    Error::other(StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Io, reason).with_source(error)
}
