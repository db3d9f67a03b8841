//! The error that plugins return: who must act, what happened, what to do next.

use std::fmt;

use crate::bindings::capabilities::longshore::plugin::types::Error as WireError;
pub use crate::bindings::capabilities::longshore::plugin::types::ErrorClass;

/// A plugin's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that a person will read. Boxed, so that a `Result` stays small.
#[derive(Clone)]
pub struct Error(Box<WireError>);

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $class:ident;)*) => {
        impl Error {
            $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Self {
                Self::new(ErrorClass::$class, message)
            })*
        }
    };
}

constructors! {
    /// The job's owner must mend the plugin's config.
    config => Config;
    /// Credentials were refused, or a permission is missing.
    auth => Auth;
    /// A named object does not exist.
    not_found => NotFound;
    /// A query or value that cannot be carried out or carried over.
    data => Data;
    /// A server cannot be reached, or the connection broke.
    connection => Connection;
    /// Something took longer than it may.
    timeout => Timeout;
    /// The server asks for less load.
    throttled => Throttled;
    /// What was planned is gone: the run has to be planned again.
    stale => Stale;
    /// A limit of the platform is spent.
    resource => Resource;
    /// A bug, or an answer that the plugin does not understand.
    internal => Internal;
}

impl Error {
    /// An error of a class.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self(Box::new(WireError {
            class,
            message: message.into(),
            code: None,
            hint: None,
            context: Vec::new(),
        }))
    }

    /// Adds the source's own code, such as an SQLSTATE.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Adds the next step for whoever must act.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what was being done; the last one added is the outermost.
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.0.context.insert(0, context.into());
        self
    }

    /// Who must act.
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The source's own code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in &self.0.context {
            write!(f, "{context}: ")?;
        }
        f.write_str(&self.0.message)?;
        match &self.0.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.class)
    }
}

impl std::error::Error for Error {}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        Self(Box::new(wire))
    }
}

impl From<Error> for WireError {
    fn from(error: Error) -> Self {
        *error.0
    }
}

impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::internal(error.to_string())
    }
}

/// Adds context to a failed result.
pub trait ResultExt<T> {
    /// Says what was being done, if it failed.
    fn context(self, context: impl Into<String>) -> Result<T>;
}

impl<T> ResultExt<T> for Result<T> {
    fn context(self, context: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.with_context(context))
    }
}
