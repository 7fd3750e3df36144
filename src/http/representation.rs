//! A body that many answers share, with the names that HTTP gives it: its `ETag`, and its gzip form
//! once somebody asked for that.

use crate::limits::GZIP_BYTES_MIN;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use xxhash_rust::xxh3::xxh3_128;

/// How the bytes of a representation are coded (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    #[default]
    Identity,
    /// gzip (RFC 1952).
    Gzip,
}

/// One state of a resource, encoded once and shared by all who read it.
///
/// The `ETag` is made of the content, so equal processes, and the next start, give it too; a state
/// that came back has its old name again, which is what a client that kept it wants.
#[derive(Debug)]
pub struct Representation {
    identity: Form,
    /// `None` inside: gzip would not make it smaller.
    gzip: OnceLock<Option<Form>>,
}

/// The bytes of one coding, and the fields that go with them.
#[derive(Debug)]
struct Form {
    bytes: Arc<[u8]>,
    /// `ETag` with its quotes; strong, hence another one for each coding (RFC 9110 section 8.8.3.3).
    etag: Box<str>,
    /// For answers with this content and for a 304. Every line begins with its CRLF.
    fields: Box<[u8]>,
}

impl Representation {
    /// The state that `bytes` show; the gzip form is made when it is asked for.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let etag = format!("\"{:032x}\"", xxh3_128(&bytes));
        Self { identity: Form::new(bytes, etag), gzip: OnceLock::new() }
    }

    /// As [`Representation::new`], with the gzip form made now: for what is too large to be
    /// compressed by a loop, on a thread that has the time.
    pub fn with_gzip(bytes: impl Into<Arc<[u8]>>) -> Self {
        let representation = Self::new(bytes);
        representation.gzipped();
        representation
    }

    /// The coding that is sent to who accepts gzip.
    pub(super) fn smallest(&self) -> Coding {
        if self.gzipped().is_some() { Coding::Gzip } else { Coding::Identity }
    }

    /// The content.
    pub(super) fn bytes(&self, coding: Coding) -> &Arc<[u8]> {
        &self.form(coding).bytes
    }

    /// The name of the content, in its quotes.
    pub(super) fn etag(&self, coding: Coding) -> &str {
        &self.form(coding).etag
    }

    /// The fields of an answer with this content, each after its line end.
    pub(super) fn fields(&self, coding: Coding) -> &[u8] {
        &self.form(coding).fields
    }

    fn form(&self, coding: Coding) -> &Form {
        match coding {
            Coding::Identity => &self.identity,
            Coding::Gzip => self.gzipped().unwrap_or(&self.identity),
        }
    }

    fn gzipped(&self) -> Option<&Form> {
        let make = || {
            let plain = &self.identity;
            let bytes = gzip(&plain.bytes).filter(|bytes| bytes.len() < plain.bytes.len())?;
            let etag = format!("{}-gzip\"", plain.etag.trim_end_matches('"'));
            Some(Form::new(bytes.into(), etag))
        };
        self.gzip.get_or_init(make).as_ref()
    }
}

impl Form {
    fn new(bytes: Arc<[u8]>, etag: String) -> Self {
        // Kept by whoever likes, but never shown without asking: what was acknowledged is seen.
        let cache = "Cache-Control: no-cache\r\nVary: Accept-Encoding";
        let fields = format!("\r\nETag: {etag}\r\n{cache}");
        Self { bytes, etag: etag.into(), fields: fields.into_bytes().into() }
    }
}

/// `None` when it is not worth the work.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < GZIP_BYTES_MIN {
        return None;
    }
    // A loop does this once a version: the fast level takes most of what there is to gain.
    let room = Vec::with_capacity(bytes.len() / 2);
    let mut encoder = GzEncoder::new(room, Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn each_coding_has_its_own_tag_and_the_same_content() {
        let text = "gifts and gifts ".repeat(100);
        let made = Representation::new(text.as_bytes());
        assert_eq!(made.smallest(), Coding::Gzip);
        let (plain, gzip) = (made.etag(Coding::Identity), made.etag(Coding::Gzip));
        assert_eq!(plain.len(), 34);
        assert_eq!(gzip, format!("{}-gzip\"", &plain[..33]));
        let mut unpacked = String::new();
        let mut decoder = GzDecoder::new(&made.bytes(Coding::Gzip)[..]);
        decoder.read_to_string(&mut unpacked).expect("valid gzip");
        assert_eq!(unpacked, text);
        let twice = (made.bytes(Coding::Gzip), made.bytes(Coding::Gzip));
        assert!(Arc::ptr_eq(twice.0, twice.1), "compressed once");
        let other = Representation::new(text.replace("gifts", "Gifts").as_bytes());
        assert_ne!(other.etag(Coding::Identity), plain);
        assert_eq!(Representation::new(text.as_bytes()).etag(Coding::Identity), plain);
    }

    #[test]
    fn what_does_not_shrink_is_sent_as_it_is() {
        let noise: Vec<u8> = (0..GZIP_BYTES_MIN as u64)
            .map(|index| (xxh3_128(&index.to_le_bytes()) & 0xFF) as u8)
            .collect();
        assert_eq!(Representation::new(noise).smallest(), Coding::Identity);
        let short = "a".repeat(GZIP_BYTES_MIN - 1);
        assert_eq!(Representation::new(short.as_bytes()).smallest(), Coding::Identity);
    }
}
