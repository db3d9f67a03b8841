//! The line to the driver of an attempt.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http::StatusCode;
use longshore_engine::scan::{ReadAmount, ReadCounter};
use longshore_engine::write::WriteResult;
use longshore_model::error::{Error, Result, ResultExt};
use parking_lot::Mutex;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;
use tonic::transport::Channel;

use crate::address::unguessable;
use crate::http::{REFUSED, ask};
use crate::limits::{DRIVER_SILENCE_SECS, REPORT_MILLIS, SCRATCH_PIECE_BYTES};
use crate::message::{Assignment, AttemptMessage, News, Outcome, ReaderNews, Step, WriterNews};

/// Says to a driver how far an attempt is.
pub(super) struct DriverLine {
    channel: Channel,
    assignment: Assignment,
    role: Role,
    count: ReadCounter,
    /// What the driver knows of.
    told: Mutex<ReadAmount>,
}

/// What an executor does for an attempt.
pub(super) enum Role {
    /// It writes a partition, and calls that by this name.
    Writer {
        /// The number of the partition.
        partition: usize,
        /// The name.
        claim: String,
    },
    /// It reads rows that others write, in the fragment of this number, if it knows that.
    Reader(Option<usize>),
}

/// Whether the driver still waits for an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    Yes,
    No,
}

impl Role {
    /// That of who writes a partition.
    pub(super) fn writer(partition: usize) -> Result<Self> {
        Ok(Self::Writer { partition, claim: unguessable()? })
    }
}

impl DriverLine {
    pub(super) fn new(
        channel: Channel,
        assignment: Assignment,
        role: Role,
        count: ReadCounter,
    ) -> Self {
        Self { channel, assignment, role, count, told: Mutex::default() }
    }

    /// The driver.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    async fn say(&self, news: News) -> Result<Demand> {
        let message = AttemptMessage { order: self.assignment.order, news };
        self.send(serde_json::to_vec(&message)?).await
    }

    async fn send(&self, message: Vec<u8>) -> Result<Demand> {
        let path = format!("/sessions/{}/attempts", self.assignment.session);
        let answer = match ask(&self.channel, &path, Some(message)).await {
            // The process is gone, and the session with it.
            Err(error) if error.code() == Some(REFUSED) => return Ok(Demand::No),
            asked => asked?,
        };
        match answer.status {
            StatusCode::OK => Ok(Demand::Yes),
            StatusCode::GONE => Ok(Demand::No),
            other => Err(Error::internal(format!("the driver answered {other}"))),
        }
    }

    fn news(&self, read: ReadAmount, step: Step) -> News {
        match &self.role {
            Role::Reader(_) => News::Reading(read),
            Role::Writer { partition, claim } => {
                let (partition, claim) = (*partition, claim.clone());
                News::Writing(WriterNews { partition, claim, read, step })
            }
        }
    }

    /// The attempt begins.
    pub(super) async fn begin(&self, executor: &str) -> Result<Demand> {
        self.say(self.news(ReadAmount::default(), Step::Begun(executor.to_owned()))).await
    }

    fn untold(&self) -> ReadAmount {
        self.count.amount().since(*self.told.lock())
    }

    /// Reports again and again, until the driver no longer wants the attempt, or is gone.
    pub(super) async fn report(&self) {
        let mut heard = Instant::now();
        loop {
            sleep(Duration::from_millis(REPORT_MILLIS)).await;
            let read = self.untold();
            match self.say(self.news(read, Step::Running)).await {
                Ok(Demand::Yes) => {
                    heard = Instant::now();
                    let mut told = self.told.lock();
                    *told = told.plus(read);
                }
                Ok(Demand::No) => return,
                Err(error) if heard.elapsed().as_secs() < DRIVER_SILENCE_SECS => {
                    tracing::debug!("{}: {error}", self.assignment.driver);
                }
                Err(error) => {
                    let driver = &self.assignment.driver;
                    return tracing::warn!("{driver}: {error}: an attempt is given up");
                }
            }
        }
    }

    /// Copies files from a folder of this machine into the run's scratch folder, which is the driver's.
    pub(super) async fn hand_over(&self, folder: &Path, files: &[PathBuf]) -> Result<()> {
        for name in files {
            let (path, name) = (folder.join(name), hex::encode(name.to_string_lossy().as_bytes()));
            let handed = self.hand_over_file(&path, &name).await;
            handed.context("handing rows over to the driver")?;
        }
        Ok(())
    }

    async fn hand_over_file(&self, path: &Path, name: &str) -> Result<()> {
        let fault = |error| Error::io(path.display(), error);
        let mut file = File::open(path).await.map_err(fault)?;
        let mut offset = 0;
        loop {
            let mut piece = Vec::new();
            let mut next = (&mut file).take(SCRATCH_PIECE_BYTES as u64);
            let bytes = next.read_to_end(&mut piece).await.map_err(fault)?;
            self.send_piece(name, offset, piece).await?;
            if bytes < SCRATCH_PIECE_BYTES {
                return Ok(());
            }
            offset += bytes as u64;
        }
    }

    async fn send_piece(&self, name: &str, offset: u64, piece: Vec<u8>) -> Result<()> {
        let path = format!("/sessions/{}/scratch/{offset}/{name}", self.assignment.session);
        let begun = Instant::now();
        let answer = loop {
            match ask(&self.channel, &path, Some(piece.clone())).await {
                Ok(answer) => break answer,
                Err(error) if begun.elapsed().as_secs() >= DRIVER_SILENCE_SECS => {
                    return Err(error);
                }
                Err(error) => tracing::debug!("{}: {error}", self.assignment.driver),
            }
            sleep(Duration::from_millis(REPORT_MILLIS)).await;
        };
        match answer.status {
            StatusCode::OK => Ok(()),
            StatusCode::GONE => Err(Error::cancelled("the driver has let go of the run")),
            StatusCode::INSUFFICIENT_STORAGE => {
                Err(Error::resource("the driver cannot write into its scratch folder").with_hint(
                    "make room where the driver's state folder is, or give it another by --state",
                ))
            }
            other => Err(Error::internal(format!("the driver answered {other}"))),
        }
    }

    /// What the executor does for the attempt is over. What was written is nobody's unless the driver hears of it, and
    /// wants it.
    pub(super) async fn end(&self, done: Result<WriteResult>) -> Demand {
        let read = self.untold();
        let news = match (&self.role, done) {
            (Role::Reader(Some(fragment)), Ok(_)) => {
                let (fragment, left_out) = (*fragment, self.count.left_out());
                News::Read(ReaderNews { fragment, read, left_out })
            }
            (Role::Reader(None), Ok(_)) => News::Reading(read),
            (Role::Reader(_), Err(error)) => News::Broken(error.report()),
            (Role::Writer { .. }, done) => self.news(read, Step::Ended(Outcome::from(done))),
        };
        let message = AttemptMessage { order: self.assignment.order, news };
        match serde_json::to_vec(&message) {
            Ok(message) => self.insist(message).await,
            Err(error) => {
                tracing::error!("{error}");
                Demand::No
            }
        }
    }

    async fn insist(&self, message: Vec<u8>) -> Demand {
        let begun = Instant::now();
        loop {
            match self.send(message.clone()).await {
                Ok(wanted) => return wanted,
                Err(error) if begun.elapsed().as_secs() >= DRIVER_SILENCE_SECS => {
                    tracing::warn!("{}: {error}", self.assignment.driver);
                    return Demand::No;
                }
                Err(error) => tracing::debug!("{}: {error}", self.assignment.driver),
            }
            sleep(Duration::from_millis(REPORT_MILLIS)).await;
        }
    }
}
