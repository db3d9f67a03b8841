//! Parts in folders of their own: a chunk's rows, told apart, become a file for each folder.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use longshore_model::error::Result;
use longshore_model::memory::{Account, memory};
use longshore_model::part::Part;

use super::encoder::Encoder;
use super::part_file::{FileParts, MIN_FLUSH_BYTES, finish, guarded};
use super::partitioning::Partitioning;

/// The most files that a chunk writes at a time; with more folders than this, the one that was left longest is
/// closed, and gets another file if more of its rows come.
pub const OPEN_FILES_LIMIT: usize = 64;

/// So many files stay open even where memory is short.
const OPEN_FILES_LEAST: usize = 8;

/// What a chunk's open files hold together before the largest is written out.
const OPEN_LIMIT_BYTES: usize = 32 << 20;

/// A chunk on its way into folders.
pub(super) struct PartitionedWriter<'a> {
    parts: &'a FileParts,
    by: Partitioning,
    /// How its files are called, but for a number and their ending.
    stem: String,
    chunk: u64,
    open: HashMap<String, Open>,
    /// All files that were begun.
    begun: Vec<String>,
    done: Vec<Part>,
    turn: u64,
    held: Account,
}

struct Open {
    file: String,
    encoder: Box<dyn Encoder>,
    rows: u64,
    /// When rows came last.
    turn: u64,
}

impl<'a> PartitionedWriter<'a> {
    pub(super) fn new(parts: &'a FileParts, by: Partitioning, stem: String, chunk: u64) -> Self {
        let (open, begun, done) = Default::default();
        Self { parts, by, stem, chunk, open, begun, done, turn: 0, held: memory().account() }
    }

    /// Takes rows.
    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for (folder, rows) in self.by.split(batch)? {
            self.turn += 1;
            if !self.open.contains_key(&folder) {
                self.begin(&folder, &rows).await?;
            }
            if let Some(open) = self.open.get_mut(&folder) {
                guarded(|| open.encoder.write(&rows))?;
                open.rows += rows.num_rows() as u64;
                open.turn = self.turn;
            }
        }
        self.flush_buffered()
    }

    /// Ends all files.
    pub(super) async fn finish(
        mut self,
    ) -> Result<Vec<Part>, (Self, longshore_model::error::Error)> {
        let folders: Vec<String> = self.open.keys().cloned().collect();
        for folder in folders {
            if let Err(error) = self.close(&folder).await {
                return Err((self, error));
            }
        }
        self.done.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(self.done)
    }

    /// Removes what was written.
    pub(super) async fn discard(mut self) {
        // What is open goes first: it may be written to.
        self.open.clear();
        for file in &self.begun {
            let token = self.done.iter().find(|part| part.file == *file).map(|part| &part.token);
            let token = token.map(String::as_str);
            if let Err(error) = self.parts.folder.remove_part(&self.parts.target, file, token).await
            {
                tracing::debug!("{error}");
            }
        }
    }

    async fn begin(&mut self, folder: &str, sample: &RecordBatch) -> Result<()> {
        while self.open.len() >= OPEN_FILES_LIMIT
            || (memory().is_over_budget() && self.open.len() >= OPEN_FILES_LEAST)
        {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.turn);
            let Some(oldest) = oldest.map(|(folder, _)| folder.clone()) else { break };
            self.close(&oldest).await?;
        }
        let number = self.begun.len();
        let file = format!("{folder}/{}-{number}.{}", self.stem, self.parts.format.ending());
        self.begun.push(file.clone());
        let encoder = self.parts.create(&file, self.by.schema().clone(), Some(sample)).await?;
        self.open.insert(folder.to_owned(), Open { file, encoder, rows: 0, turn: self.turn });
        Ok(())
    }

    async fn close(&mut self, folder: &str) -> Result<()> {
        let Some(Open { file, encoder, rows, .. }) = self.open.remove(folder) else {
            return Ok(());
        };
        self.done.push(finish(encoder, self.chunk, rows, file).await?);
        Ok(())
    }

    /// Writes out what is largest, until the rest may stay in memory.
    fn flush_buffered(&mut self) -> Result<()> {
        loop {
            let bytes: usize = self.open.values().map(|open| open.encoder.memory_bytes()).sum();
            self.held.set(bytes);
            let largest = self.open.values_mut().max_by_key(|open| open.encoder.memory_bytes());
            let Some(largest) = largest else { return Ok(()) };
            let is_worth_it =
                memory().is_over_budget() && largest.encoder.memory_bytes() > MIN_FLUSH_BYTES;
            if bytes <= OPEN_LIMIT_BYTES && !is_worth_it {
                return Ok(());
            }
            guarded(|| largest.encoder.flush_buffered())?;
            let left: usize = self.open.values().map(|open| open.encoder.memory_bytes()).sum();
            if left >= bytes {
                // What a format cannot write out stays.
                return Ok(());
            }
        }
    }
}
