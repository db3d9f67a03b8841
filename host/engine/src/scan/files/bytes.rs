//! A file's bytes, piece by piece, from any place on, unpacked where the file is packed as a whole.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::files::Packing;
use longshore_model::error::{Error, Result};
use object_store::path::Path as Key;
use object_store::{GetOptions, GetResultPayload, ObjectStore};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::io::{ReaderStream, StreamReader};

use super::super::own_thread::MAKERS;
use super::file_error;
use crate::store::{SourceStore, read_at};

/// Bytes of a local file that are read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Bytes that are asked for at a time beyond a slice's end, to the end of its last line.
const BEYOND_BYTES: u64 = 256 << 10;

/// A file's bytes.
pub(super) type Pieces = BoxStream<'static, Result<Bytes>>;

/// Bytes that are unpacked at a time.
const UNPACKED_BYTES: usize = 256 << 10;

/// Pieces that wait for somebody to take them, beside the one that is made.
const PIECES_AHEAD: usize = 1;

/// Pieces that are made on a thread of their own, while those before them are worked on.
pub(super) fn ahead(pieces: Pieces) -> Pieces {
    let Some(thread) = MAKERS.claim() else { return pieces };
    let (send, receive) = channel(PIECES_AHEAD);
    let making = thread.spawn(make(pieces, send));
    let next = |(mut receive, making): (Receiver<Result<Bytes>>, JoinHandle<()>)| async move {
        if let Some(piece) = receive.recv().await {
            return Ok(Some((piece?, (receive, making))));
        }
        // The end of the pieces is the end of the file only if their thread has come to its own.
        making.await.map(|()| None).map_err(|error| Error::internal(error.to_string()))
    };
    futures::stream::try_unfold((receive, making), next).boxed()
}

/// Makes pieces until nobody takes them.
async fn make(mut pieces: Pieces, send: Sender<Result<Bytes>>) {
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = send.closed() => None,
        };
        let Some(piece) = piece else { return };
        if send.send(piece).await.is_err() {
            return;
        }
    }
}

/// A whole file, unpacked: all that was packed into it, one stream behind the other.
pub(super) fn unpacked(
    store: &SourceStore,
    key: &Key,
    bytes: u64,
    packing: Packing,
) -> Result<Pieces> {
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
pub(super) fn from(store: &SourceStore, key: &Key, range: Range<u64>, bytes: u64) -> Pieces {
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

async fn get(store: &SourceStore, key: &Key, range: Range<u64>) -> Result<Pieces> {
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
            let reading = spawn_blocking(move || read_at(&file, start..start + length));
            let read = reading.await.map_err(|error| Error::internal(error.to_string()))?;
            let piece = read.map_err(|error| Error::io(&url, error))?;
            Ok(Some((piece, start + length)))
        }
    };
    futures::stream::try_unfold(range.start, next).boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryFutureExt;
    use longshore_model::config::settings::cores;

    use super::*;

    #[tokio::test]
    async fn pieces_that_are_made_ahead_are_the_same_in_the_same_order() {
        let made = (0..100_u8).map(|byte| Ok(Bytes::from(vec![byte; 3])));
        let taken: Vec<Bytes> =
            ahead(futures::stream::iter(made).boxed()).try_collect().await.unwrap();
        assert_eq!(taken.len(), 100);
        assert!(taken.iter().zip(0..).all(|(piece, byte)| **piece == [byte; 3]));
    }

    #[tokio::test]
    async fn an_error_ahead_comes_behind_the_pieces_before_it() {
        let made = [Ok(Bytes::from("a")), Err(Error::data("damaged")), Ok(Bytes::from("b"))];
        let mut pieces = ahead(futures::stream::iter(made).boxed());
        assert_eq!(pieces.try_next().await.unwrap().unwrap(), "a");
        assert_eq!(pieces.try_next().await.unwrap_err().to_string(), "damaged");
    }

    #[tokio::test]
    async fn a_panic_ahead_is_no_end_of_the_file() {
        let made = futures::stream::iter(0..2).map(|at| {
            assert_eq!(at, 0, "the maker panics");
            Ok(Bytes::from("a"))
        });
        let mut pieces = ahead(made.boxed());
        assert_eq!(pieces.try_next().await.unwrap().unwrap(), "a");
        assert!(pieces.try_next().await.is_err());
    }

    #[test]
    fn more_files_than_threads_are_read_all_the_same() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(cores() + 1)
            .build()
            .unwrap();
        let waiting = |_| spawn_blocking(|| Bytes::from("a")).map_err(|_| Error::internal("lost"));
        let read = |_| ahead(futures::stream::iter(0..20).then(waiting).boxed()).count();
        let files = (0..4 * cores()).map(read);
        let counts = runtime.block_on(async { futures::future::join_all(files).await });
        assert!(counts.iter().all(|pieces| *pieces == 20));
    }
}
