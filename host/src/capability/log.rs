//! `log`: a plugin's messages, cut and counted.

/// A message is cut at this length.
pub const MESSAGE_LIMIT_BYTES: usize = 4_096;

/// What one instance may log in all; the rest is dropped and counted.
pub const VOLUME_LIMIT_BYTES: usize = 1 << 20;

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

/// One instance's log.
#[derive(Debug, Default)]
pub struct Log {
    written_bytes: usize,
    dropped: u64,
    last_error: Option<String>,
}

impl Log {
    /// Writes one message in a plugin's name.
    pub fn write(&mut self, plugin: &str, level: Level, message: &str) {
        let message = cut(message);
        if level == Level::Error {
            self.last_error = Some(message.to_owned());
        }
        if self.written_bytes + message.len() > VOLUME_LIMIT_BYTES {
            if self.dropped == 0 {
                tracing::warn!(
                    plugin,
                    "logs more than {VOLUME_LIMIT_BYTES} bytes: the rest is dropped"
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

    /// The last error logged: after a trap, what the plugin said before it.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_LIMIT_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut log = Log::default();
        for _ in 0..1_000 {
            log.write("noisy", Level::Trace, &"é".repeat(5_000));
        }
        assert!(log.written_bytes <= VOLUME_LIMIT_BYTES);
        assert_eq!(log.dropped, 744);
    }
}
