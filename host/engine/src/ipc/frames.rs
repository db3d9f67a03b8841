//! Where the messages of an Arrow IPC stream begin and end, so that each is looked at before Arrow
//! decodes it: a compressed body claims how long it will be, and Arrow believes it; rows without bytes
//! can be as many as a number holds.

use std::collections::HashMap;

use arrow::ipc::{Message, MessageHeader, root_as_message};

/// The most bytes that may come before a batch is complete.
pub const BATCH_LIMIT_BYTES: usize = 256 << 20;

/// The most rows of one batch.
pub const BATCH_ROW_LIMIT: i64 = 1 << 24;

const CONTINUATION: [u8; 4] = [0xff; 4];

/// Follows a stream, message by message.
#[derive(Default)]
pub(super) struct Frames {
    /// The beginning of a message, until its whole head has arrived.
    head: Vec<u8>,
    /// What is still to come of the body of the last one.
    body_left: usize,
    /// Whether the last one is a record batch without a body: of no columns, or of no rows.
    is_bare_batch: bool,
    /// Bytes of the dictionaries that Arrow keeps, by their ids.
    dictionaries: HashMap<i64, usize>,
}

impl Frames {
    /// How many of the next bytes may be decoded: none of them is beyond a head or a body that ends
    /// there. Says why a message is refused.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<usize, String> {
        if self.body_left > 0 {
            let taken = bytes.len().min(self.body_left);
            self.body_left -= taken;
            return Ok(taken);
        }
        let mut taken = 0;
        loop {
            let (prefix, whole) = lengths(&self.head);
            if self.head.len() == whole {
                let head = std::mem::take(&mut self.head);
                self.body_left = self.body(&head[prefix..])?;
                return Ok(taken);
            }
            let more = (whole - self.head.len()).min(bytes.len() - taken);
            if more == 0 {
                return Ok(taken);
            }
            self.head.extend_from_slice(&bytes[taken..taken + more]);
            taken += more;
        }
    }

    /// Whether the bytes so far end with a record batch that has no body.
    pub(super) fn end_with_bare_batch(&self) -> bool {
        self.is_bare_batch && self.head.is_empty()
    }

    /// Whether any dictionary has come.
    pub(super) fn has_dictionaries(&self) -> bool {
        !self.dictionaries.is_empty()
    }

    /// The length of a message's body; none at the end of the stream.
    fn body(&mut self, metadata: &[u8]) -> Result<usize, String> {
        self.is_bare_batch = false;
        if metadata.is_empty() {
            return Ok(0);
        }
        let message = root_as_message(metadata).map_err(|error| error.to_string())?;
        let length = usize::try_from(message.bodyLength());
        let length = length.map_err(|error| format!("the length of a body: {error}"))?;
        check(&message)?;
        self.is_bare_batch = length == 0 && message.header_type() == MessageHeader::RecordBatch;
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            let kept = self.dictionaries.entry(dictionary.id()).or_default();
            *kept = if dictionary.isDelta() { kept.saturating_add(length) } else { length };
            if self.dictionaries.values().fold(0, |sum: usize, kept| sum.saturating_add(*kept))
                > BATCH_LIMIT_BYTES
            {
                return Err(format!("more than {BATCH_LIMIT_BYTES} bytes of dictionaries"));
            }
        }
        Ok(length)
    }
}

/// How long the prefix of a message is, and with it the head: as far as its beginning tells.
fn lengths(head: &[u8]) -> (usize, usize) {
    let prefix = if head.starts_with(&CONTINUATION) { 8 } else { 4 };
    let size = head.get(prefix - 4..prefix).and_then(|size| size.try_into().ok());
    (prefix, prefix + size.map_or(0, |size| u32::from_le_bytes(size) as usize))
}

/// Refuses what claims more than it has.
fn check(message: &Message<'_>) -> Result<(), String> {
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => {
            message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data())
        }
        _ => None,
    };
    if batch.is_some_and(|batch| batch.compression().is_some()) {
        return Err("its batches are compressed".into());
    }
    if batch.is_some_and(|batch| batch.length() > BATCH_ROW_LIMIT) {
        return Err(format!("more than {BATCH_ROW_LIMIT} rows to one batch"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::ipc::{
        DictionaryBatch, DictionaryBatchArgs, Message, MessageArgs, MetadataVersion, RecordBatch,
        RecordBatchArgs,
    };
    use flatbuffers::FlatBufferBuilder;

    use super::*;

    /// The head of a dictionary whose body has so many bytes.
    fn dictionary(id: i64, length: i64) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let data = RecordBatch::create(&mut builder, &RecordBatchArgs::default());
        let dictionary = DictionaryBatch::create(
            &mut builder,
            &DictionaryBatchArgs { id, data: Some(data), isDelta: false },
        );
        let message = Message::create(
            &mut builder,
            &MessageArgs {
                version: MetadataVersion::V5,
                header_type: MessageHeader::DictionaryBatch,
                header: Some(dictionary.as_union_value()),
                bodyLength: length,
                custom_metadata: None,
            },
        );
        builder.finish(message, None);
        let head = builder.finished_data();
        [&CONTINUATION, (head.len() as u32).to_le_bytes().as_slice(), head].concat()
    }

    #[test]
    fn dictionaries_do_not_pile_up() {
        let mut frames = Frames::default();
        let third = BATCH_LIMIT_BYTES as i64 / 3;
        let mut take = |id, length| {
            let head = dictionary(id, length);
            let taken = frames.next(&head);
            frames.body_left = 0;
            taken.map(|taken| taken == head.len())
        };
        for _ in 0..9 {
            assert_eq!(take(1, third), Ok(true), "the one before is replaced");
        }
        assert_eq!((take(2, third), take(3, third)), (Ok(true), Ok(true)));
        assert!(take(4, third).is_err());
        assert!(take(5, -1).is_err());
    }
}
