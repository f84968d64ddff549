//! A file that was found: its validators and content, as answers need them.

use std::{io, path::Path, rc::Rc, time::SystemTime};

use crate::{
    fs::{File, Metadata},
    http::{
        HeaderName, HeaderValue, header,
        representation::{
            CachePolicy, Coding, ETag, conditions::Validators, content_type::content_type,
        },
        server::message::{file_body::Content, response::date_value},
    },
};

/// A file up to this size is read into memory at once, and leaves together with its head.
pub(super) const SMALL_BYTES_MAX: u64 = 128 * 1024;

/// A file that was changed so short a time ago may change again within the same tick of the file
/// system's clock.
const YOUNG_NANOSECONDS: u128 = 2_000_000_000;

/// Times that a small file is read again which changes meanwhile.
const READS_MAX: usize = 4;

/// A regular file, opened.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) content_type: HeaderValue,
    /// The fields of each answer, `ETag` and `Last-Modified` among them.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) etag: ETag,
    /// Seconds since 1970.
    last_modified: u64,
    pub(super) version: Version,
    pub(super) content: Content,
}

/// The facts that differ between two versions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// Since 1970.
    nanoseconds: i128,
    pub(super) len: u64,
    inode: u64,
}

impl Version {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let seconds = i128::from(metadata.mtime()) * 1_000_000_000;
        Self {
            nanoseconds: seconds + i128::from(metadata.mtime_nsec()),
            len: metadata.len(),
            inode: metadata.ino(),
        }
    }

    /// Whether it was not changed before `other`.
    pub(super) fn is_as_new_as(&self, other: &Self) -> bool {
        self.nanoseconds >= other.nanoseconds
    }

    fn is_young(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_nanos()) as i128;
        self.nanoseconds.saturating_add(YOUNG_NANOSECONDS as i128) > now
    }

    fn etag(&self, coding: Option<Coding>) -> ETag {
        let Self {
            nanoseconds,
            len,
            inode,
        } = self;
        let coding = coding.map_or("", Coding::name);
        let dash = if coding.is_empty() { "" } else { "-" };
        let text = format!("{nanoseconds:x}-{len:x}-{inode:x}{dash}{coding}");
        if self.is_young() {
            ETag::weak(&text)
        } else {
            ETag::strong(&text)
        }
    }
}

/// How the answers with a file are to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dress<'a> {
    /// The path whose end tells the type.
    pub(super) path: &'a Path,
    pub(super) coding: Option<Coding>,
    /// The answers depend on `Accept-Encoding`.
    pub(super) varies: bool,
    pub(super) cache: CachePolicy,
}

impl Found {
    /// Takes an open file; none when that is no regular one.
    pub(super) async fn of(file: File, dress: Dress<'_>) -> io::Result<Option<Self>> {
        let mut metadata = file.metadata()?;
        let mut content = None;
        for _ in 0..READS_MAX {
            if !metadata.is_file() {
                return Ok(None);
            }
            if metadata.len() > SMALL_BYTES_MAX {
                break;
            }
            let bytes = read_whole(&file, metadata.len() as usize).await?;
            let before = std::mem::replace(&mut metadata, file.metadata()?);
            if Version::of(&before) == Version::of(&metadata)
                && bytes.len() as u64 == metadata.len()
            {
                content = Some(Content::Bytes(bytes.into()));
                break;
            }
        }
        let content = content.unwrap_or_else(|| Content::File(Rc::new(file)));
        Ok(Some(Self::dressed(Version::of(&metadata), content, dress)))
    }

    fn dressed(version: Version, content: Content, dress: Dress<'_>) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        let etag = version.etag(dress.coding);
        let last_modified = u64::try_from(version.nanoseconds / 1_000_000_000).unwrap_or(0);
        let nosniff = HeaderValue::from_static("nosniff");
        let mut fields = vec![
            (header::ETAG, etag.clone().into()),
            (header::LAST_MODIFIED, date_value(last_modified)),
            (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
            (header::X_CONTENT_TYPE_OPTIONS, nosniff),
        ];
        fields.extend(
            dress
                .cache
                .value()
                .map(|value| (header::CACHE_CONTROL, value)),
        );
        if let Some(coding) = dress.coding {
            fields.push((header::CONTENT_ENCODING, coding.value()));
        }
        if dress.varies {
            fields.push((header::VARY, HeaderValue::from_static("accept-encoding")));
        }
        Self {
            content_type: content_type(dress.path.as_os_str().as_bytes()),
            fields,
            etag,
            last_modified,
            version,
            content,
        }
    }

    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            exists: true,
            etag: Some(&self.etag),
            last_modified: Some(self.last_modified),
            is_date_strong: !self.etag.is_weak(),
        }
    }

    /// Whether what was read is still what the file has: another file may stand at its path, but
    /// this one was not written to.
    pub(super) fn is_unchanged(&self) -> bool {
        match &self.content {
            Content::Bytes(_) => true,
            Content::File(file) => file
                .metadata()
                .is_ok_and(|metadata| Version::of(&metadata) == self.version),
        }
    }

    /// The bytes that it holds in memory.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::File(_) => 0,
        }
    }
}

/// Reads `len` bytes, or fewer when there are no more.
async fn read_whole(file: &File, len: usize) -> io::Result<Vec<u8>> {
    use crate::buf::IoBufMut as _;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let start = bytes.len();
        let (count, part) = file.read_at(bytes.slice_mut(start), start as u64).await?;
        bytes = part.into_inner();
        if count == 0 {
            break;
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}
