//! The protocol's messages, over a connection.

use std::io;

use bytes::BytesMut;
use longshore_sdk::host::Connection;
use longshore_sdk::{Error, Result};
use postgres_protocol::message::backend::Message;

use crate::fault;

/// The most that is asked of the host at a time while no rows are read.
const CONTROL_READ_BYTES: u32 = 64 << 10;

/// A connection, and what of the server's bytes is not parsed yet.
pub(crate) struct MessageStream {
    connection: Connection,
    received: BytesMut,
}

impl MessageStream {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, received: BytesMut::new() }
    }

    /// Sends messages.
    pub(crate) fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<()> {
        let mut out = BytesMut::new();
        write(&mut out).map_err(|error| Error::config(format!("cannot be sent: {error}")))?;
        self.connection.write(&out)
    }

    /// Sends bytes that are messages already.
    pub(crate) fn send_raw(&mut self, messages: &[u8]) -> Result<()> {
        self.connection.write(messages)
    }

    /// What the host sends over another connection when we are stopped.
    pub(crate) fn set_cancel_message(&mut self, message: &[u8]) -> Result<()> {
        self.connection.set_cancel_message(message)
    }

    /// The server's next bytes, as they are: first what came along with the last message.
    pub(crate) fn read_raw(&mut self, max: u32) -> Result<Vec<u8>> {
        if self.received.is_empty() {
            return self.read(max);
        }
        Ok(std::mem::take(&mut self.received).to_vec())
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        let bytes = self.connection.read(max)?;
        if bytes.is_empty() {
            return Err(Error::connection("the server closed the connection"));
        }
        Ok(bytes)
    }

    /// The next message.
    pub(crate) fn receive(&mut self) -> Result<Message> {
        loop {
            let parsed = Message::parse(&mut self.received);
            if let Some(message) = parsed.map_err(|error| fault::protocol(error.to_string()))? {
                return Ok(message);
            }
            let bytes = self.read(CONTROL_READ_BYTES)?;
            self.received.extend_from_slice(&bytes);
        }
    }
}
