//! A file's bytes, piece by piece, from any place on, unpacked where the file is packed as a whole.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::files::Packing;
use longshore_model::error::{Error, Result};
use object_store::path::Path as Key;
use object_store::{GetOptions, GetResultPayload, ObjectStore};
use tokio_util::io::{ReaderStream, StreamReader};

use super::file_error;
use crate::store::Opened;

/// Bytes of a local file that are read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Bytes that are asked for at a time beyond a slice's end, to the end of its last line.
const BEYOND_BYTES: u64 = 256 << 10;

/// A file's bytes.
pub(super) type Pieces = BoxStream<'static, Result<Bytes>>;

/// Bytes that are unpacked at a time.
const UNPACKED_BYTES: usize = 256 << 10;

/// A whole file, unpacked: all that was packed into it, one stream behind the other.
pub(super) fn unpacked(store: &Opened, key: &Key, bytes: u64, packing: Packing) -> Result<Pieces> {
    let packed = from(store, key, 0..bytes, bytes);
    let reader = StreamReader::new(packed.map_err(std::io::Error::other));
    macro_rules! unpack {
        ($decoder:ident) => {{
            let mut decoder = $decoder::new(reader);
            decoder.multiple_members(true);
            ReaderStream::with_capacity(decoder, UNPACKED_BYTES).boxed()
        }};
    }
    let pieces = match packing {
        Packing::None => return Ok(from(store, key, 0..bytes, bytes)),
        Packing::Gzip => unpack!(GzipDecoder),
        Packing::Zstd => unpack!(ZstdDecoder),
        Packing::Bzip2 => unpack!(BzDecoder),
        Packing::Xz => unpack!(XzDecoder),
    };
    let url = store.url(key);
    let damaged = move |error: std::io::Error| {
        let cause = match (packing, error.to_string()) {
            // So its decoder says that nothing more comes.
            (Packing::Xz, text) if text == "out of memory" => "it ends too early".to_owned(),
            (_, text) => text,
        };
        let text = format!("{url}: cannot be unpacked: {cause}");
        match error.into_inner().map(|inner| inner.downcast::<Error>()) {
            Some(Ok(own)) => *own,
            _ => Error::data(text).with_hint(
                "check that the file is whole; name how it is packed with `source.compression`",
            ),
        }
    };
    Ok(pieces.map_err(damaged).boxed())
}

/// The bytes of a range, and those behind it to the file's end, as far as somebody wants them.
pub(super) fn from(store: &Opened, key: &Key, range: Range<u64>, bytes: u64) -> Pieces {
    let (store, key) = (store.clone(), key.clone());
    let next = move |Range { start, end }: Range<u64>| {
        let (store, key) = (store.clone(), key.clone());
        async move {
            if start >= end {
                return Ok::<_, Error>(None);
            }
            let pieces = get(&store, &key, start..end).await?;
            Ok(Some((pieces, end..(end + BEYOND_BYTES).min(bytes))))
        }
    };
    futures::stream::try_unfold(range, next).try_flatten().boxed()
}

async fn get(store: &Opened, key: &Key, range: Range<u64>) -> Result<Pieces> {
    let options = GetOptions { range: Some(range.clone().into()), ..GetOptions::default() };
    let got = store.objects.get_opts(key, options).await;
    let got = got.map_err(|error| file_error(store, key, &error))?;
    let (store, key) = (store.clone(), key.clone());
    Ok(match got.payload {
        GetResultPayload::File(file, _) => local(file, range, store.url(&key)),
        GetResultPayload::Stream(pieces) => {
            pieces.map_err(move |error| file_error(&store, &key, &error)).boxed()
        }
    })
}

/// In larger pieces than the store's own stream has.
fn local(file: File, range: Range<u64>, url: String) -> Pieces {
    let file = Arc::new(file);
    let next = move |start: u64| {
        let (file, url) = (file.clone(), url.clone());
        let length = PIECE_BYTES.min(range.end.saturating_sub(start));
        async move {
            if length == 0 {
                return Ok(None);
            }
            let reading = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; length as usize];
                file.read_exact_at(&mut piece, start).map(|()| Bytes::from(piece))
            });
            let read = reading.await.map_err(|error| Error::internal(error.to_string()))?;
            let piece = read.map_err(|error| Error::io(&url, error))?;
            Ok(Some((piece, start + length)))
        }
    };
    futures::stream::try_unfold(range.start, next).boxed()
}
