//! `log`: a plugin's messages, cut and counted.

/// How loud a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Trace,
    /// For the plugin's author.
    Debug,
    /// What happens.
    Info,
    /// What somebody should look at.
    Warn,
    /// What went wrong.
    Error,
}

/// The longest message that is kept to be repeated in an error: what the SDK says is shorter.
const KEPT_MESSAGE_LIMIT_BYTES: usize = 4 << 10;

/// One instance's log.
#[derive(Debug)]
pub struct Log {
    /// What it may write in all; the rest is dropped and counted.
    limit_bytes: usize,
    written_bytes: usize,
    dropped: u64,
    last_error: Option<String>,
    last: Option<String>,
}

impl Log {
    /// An empty log.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, written_bytes: 0, dropped: 0, last_error: None, last: None }
    }

    /// Writes one message in a plugin's name.
    pub fn write(&mut self, plugin: &str, level: Level, message: &str) {
        if level == Level::Error {
            self.last_error = Some(message.to_owned());
        }
        self.last = (message.len() <= KEPT_MESSAGE_LIMIT_BYTES).then(|| message.to_owned());
        if self.written_bytes + message.len() > self.limit_bytes {
            if self.dropped == 0 {
                tracing::warn!(
                    plugin,
                    "logs more than {} bytes: the rest is dropped",
                    self.limit_bytes
                );
            }
            self.dropped += 1;
            return;
        }
        self.written_bytes += message.len();
        match level {
            Level::Trace => tracing::trace!(plugin, "{message}"),
            Level::Debug => tracing::debug!(plugin, "{message}"),
            Level::Info => tracing::info!(plugin, "{message}"),
            Level::Warn => tracing::warn!(plugin, "{message}"),
            Level::Error => tracing::error!(plugin, "{message}"),
        }
    }

    /// The last message of any level: the SDK says there which value makes a row large.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// The last error logged: after a trap, what the plugin said before it.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_not_kept_to_be_repeated() {
        let mut log = Log::new(1 << 20);
        log.write("p", Level::Debug, "a row of 70 MiB");
        assert_eq!(log.last(), Some("a row of 70 MiB"));
        log.write("p", Level::Debug, &"x".repeat(KEPT_MESSAGE_LIMIT_BYTES + 1));
        assert_eq!(log.last(), None);
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut log = Log::new(1 << 20);
        for _ in 0..1_000 {
            log.write("noisy", Level::Trace, &"x".repeat(4_096));
        }
        assert!(log.written_bytes <= 1 << 20);
        assert_eq!(log.dropped, 744);
    }
}
