//! The limits of the API. They are fixed.

/// The largest body of a request.
pub const BODY_LIMIT_BYTES: usize = 1 << 20;

/// Connections over TCP at the same time.
pub const CONNECTION_LIMIT: usize = 256;

/// Connections over the Unix socket at the same time: it always has room of its own.
pub const SOCKET_CONNECTION_LIMIT: usize = 64;

/// Event streams at the same time.
pub const STREAM_LIMIT: usize = 64;

/// How long a client may take for the head of a request, and for a handshake of TLS.
pub const HEADER_READ_SECS: u64 = 10;

/// The largest head of a request.
pub const HEADER_LIMIT_BYTES: usize = 64 << 10;
/// The most headers of a request.
pub const HEADER_LIMIT: usize = 100;

/// How long a client may take for the body of a request.
pub const BODY_READ_SECS: u64 = 20;

/// How long an answer may take, but for a stream.
pub const REQUEST_SECS: u64 = 60;

/// Requests that read the ledger at the same time.
pub const READER_LIMIT: usize = 4;

/// Requests that plan, preview or ask a source at the same time.
pub const INSPECTION_LIMIT: usize = 2;
/// Requests that wait for their turn at that.
pub const WAITING_INSPECTION_LIMIT: usize = 8;

/// When a client that was told to wait should ask again.
pub const RETRY_AFTER_SECS: u64 = 5;

/// The events that a reader may be behind; then it is disconnected.
pub const STREAM_BUFFER_EVENTS: usize = 256;

/// How long a stream waits for a reader that reads nothing.
pub const SLOW_READER_SECS: u64 = 10;

/// How often a stream without news says that it lives.
pub const KEEP_ALIVE_SECS: u64 = 15;

/// How often it is looked whether the token of an event stream is still valid.
pub const REVOCATION_LOOK_SECS: u64 = 5;

/// How long a browser's session lasts.
pub const SESSION_SECS: u64 = 24 * 3_600;

/// How long a login link is valid.
pub const LOGIN_SECS: u64 = 300;

/// What must be free on the disk of the state folder for the daemon to be ready.
pub const READY_FREE_BYTES: u64 = 16 << 20;

/// The most entries of one page of a list.
pub const PAGE_LIMIT: usize = 500;

/// The most rows of a preview.
pub const PREVIEW_LIMIT_ROWS: usize = 1_000;
