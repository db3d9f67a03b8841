//! The host's one error: who must act, what happened, what to do next.
//!
//! Errors of plugins, of DataFusion and of the operating system all become this one, so that
//! retries, exit codes and reports look at one thing only: its class.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// A result of the host.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The exit code of what was cancelled, unless a signal has its own: as shells have it for SIGINT.
const CANCELLED_EXIT_CODE: u8 = 130;

/// Who must act. Decides about retries and the exit code.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum Class {
    /// The job's owner: the job, the settings or a plugin's config is wrong.
    Config,
    /// The job's owner: credentials were refused, or a permission is missing.
    Auth,
    /// The job's owner: a named object does not exist.
    NotFound,
    /// The job's owner: a query or a value that cannot be carried out or carried over.
    Data,
    /// The platform: a server cannot be reached.
    Connection,
    /// The platform: something took longer than it may.
    Timeout,
    /// The platform: a server asks for less load.
    Throttled,
    /// Nobody: what was planned is gone, such as a snapshot. The run restarts.
    Stale,
    /// The platform: memory or another limit is spent.
    Resource,
    /// The platform: a disk or a quota is full. Trying again fills it no less.
    Full,
    /// Nobody: somebody stopped it.
    Cancelled,
    /// The author of the plugin, or of Longshore.
    Internal,
}

impl Class {
    /// Whether the same thing can succeed when it is done again.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Connection | Self::Timeout | Self::Throttled | Self::Resource)
    }

    /// The process's exit code: 1 general, 2 configuration, 3 connection, 4 query, 5 permission,
    /// 6 transfer, 130 cancelled.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Config => 2,
            Self::Connection | Self::Timeout | Self::Throttled | Self::Stale => 3,
            Self::NotFound | Self::Data => 4,
            Self::Auth => 5,
            Self::Resource | Self::Full => 6,
            Self::Cancelled => CANCELLED_EXIT_CODE,
        }
    }

    /// Its name, as reports and the ledger write it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Who must act, in words.
    pub fn owner(self) -> &'static str {
        match self {
            Self::Config | Self::Auth | Self::NotFound | Self::Data => "the job's owner",
            Self::Connection
            | Self::Timeout
            | Self::Throttled
            | Self::Stale
            | Self::Resource
            | Self::Full => "the platform",
            Self::Cancelled => "nobody: it was stopped",
            Self::Internal => "the author of the plugin, or of Longshore",
        }
    }
}

/// An error that a person will read: the thing, the cause, the next step.
pub struct Error(Box<Details>);

struct Details {
    class: Class,
    context: Vec<String>,
    message: String,
    code: Option<String>,
    hint: Option<String>,
    exit_code: Option<u8>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// What else is wrong with the same thing.
    also: Vec<Error>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $class:ident;)*) => {
        impl Error {
            $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Self {
                Self::new(Class::$class, message)
            })*
        }
    };
}

constructors! {
    /// Of class [`Class::Config`].
    config => Config;
    /// Of class [`Class::Auth`].
    auth => Auth;
    /// Of class [`Class::NotFound`].
    not_found => NotFound;
    /// Of class [`Class::Data`].
    data => Data;
    /// Of class [`Class::Connection`].
    connection => Connection;
    /// Of class [`Class::Timeout`].
    timeout => Timeout;
    /// Of class [`Class::Resource`].
    resource => Resource;
    /// Of class [`Class::Cancelled`].
    cancelled => Cancelled;
    /// Of class [`Class::Internal`].
    internal => Internal;
}

impl Error {
    /// An error of a class.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            class,
            context: Vec::new(),
            message: message.into(),
            code: None,
            hint: None,
            exit_code: None,
            source: None,
            also: Vec::new(),
        }))
    }

    /// All of them as one, if there are any; the first one's class is that of all.
    pub fn all(errors: Vec<Self>) -> Result<()> {
        let mut flat = Vec::new();
        for mut error in errors {
            let also = std::mem::take(&mut error.0.also);
            flat.push(error);
            flat.extend(also);
        }
        let mut errors = flat.into_iter();
        match errors.next() {
            None => Ok(()),
            Some(mut first) => {
                first.0.also = errors.collect();
                Err(first)
            }
        }
    }

    /// What else is wrong with the same thing.
    pub fn also(&self) -> &[Self] {
        &self.0.also
    }

    /// The same, with something done to each of what is wrong.
    pub fn map_each(mut self, change: impl Fn(Self) -> Self) -> Self {
        let also = std::mem::take(&mut self.0.also);
        let also = also.into_iter().map(&change).collect();
        let mut first = change(self);
        first.0.also = also;
        first
    }

    /// What the operating system said of a file or folder; `what` says what was being done.
    pub fn io(what: impl fmt::Display, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let (class, hint) = match error.kind() {
            Kind::NotFound => (Class::NotFound, Some("check the path")),
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
                (Class::Auth, Some("grant the permission to the user that Longshore runs as"))
            }
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
                (Class::Full, Some("make room there, then run again"))
            }
            Kind::NotADirectory | Kind::InvalidFilename => (Class::Config, Some("check the path")),
            _ => (Class::Resource, None),
        };
        let mut io = Self::new(class, format!("{what}: {error}"));
        io.0.hint = hint.map(Into::into);
        io.with_source(error)
    }

    /// The same, of another class.
    pub fn with_class(mut self, class: Class) -> Self {
        self.0.class = class;
        self
    }

    /// Adds the source's own code, such as an SQLSTATE.
    pub fn with_code(mut self, code: Option<String>) -> Self {
        self.0.code = code;
        self
    }

    /// Adds the next step for whoever must act.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what was being done; the last one added is the outermost.
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        let context = context.into();
        for other in &mut self.0.also {
            other.0.context.insert(0, context.clone());
        }
        self.0.context.insert(0, context);
        self
    }

    /// The process ends with this code, and not with its class's.
    pub fn with_exit_code(mut self, exit_code: u8) -> Self {
        self.0.exit_code = Some(exit_code);
        self
    }

    /// Keeps the error behind it.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same, its message as it may be shown.
    pub fn told(mut self, show: impl FnOnce(&str) -> String) -> Self {
        self.0.message = show(&self.0.message);
        self
    }

    /// The same in other words, its hint and what else is wrong, too.
    pub fn reworded(mut self, change: &dyn Fn(&str) -> String) -> Self {
        self.0.message = change(&self.0.message);
        self.0.hint = self.0.hint.take().map(|hint| change(&hint));
        self.0.context.iter_mut().for_each(|context| *context = change(context));
        let also = std::mem::take(&mut self.0.also);
        self.0.also = also.into_iter().map(|other| other.reworded(change)).collect();
        self
    }

    /// Who must act.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// What it is about: the job, the relation or the file that failed, or the step in which that was.
    pub fn object(&self) -> Option<&str> {
        self.0.context.first().map(String::as_str)
    }

    /// Whether the same thing can succeed when it is done again, now or later, and nobody has changed anything.
    pub fn is_worth_a_retry(&self) -> bool {
        self.class().is_transient() || self.class() == Class::Stale
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        self.0.exit_code.unwrap_or_else(|| self.class().exit_code())
    }

    /// The source's own code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The next step.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// An error that another process has reported.
    pub fn reported(report: ErrorReport) -> Self {
        let ErrorReport { class, message, code, next_step, exit_code, also, .. } = report;
        // The message has the code at its end.
        let ending = code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
        let message = message.strip_suffix(&ending).unwrap_or(&message);
        let mut error = Self::new(class, message).with_code(code).with_exit_code(exit_code);
        error.0.hint = next_step;
        error.0.also = also.into_iter().map(Self::reported).collect();
        error
    }

    /// The error as reports keep it.
    pub fn report(&self) -> ErrorReport {
        ErrorReport {
            class: self.class(),
            who_must_act: self.class().owner().to_owned(),
            object: self.0.context.first().map(|object| one_line(object)),
            message: self.to_string(),
            code: self.0.code.clone(),
            next_step: self.0.hint.clone(),
            exit_code: self.exit_code(),
            also: self.0.also.iter().map(Self::report).collect(),
        }
    }
}

/// An error as reports and `--json` show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorReport {
    /// Who must act, as a class.
    pub class: Class,
    /// Who must act, in words.
    pub who_must_act: String,
    /// What it is about: the outermost thing that the message names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What happened.
    pub message: String,
    /// The source's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// What else is wrong with the same thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<ErrorReport>,
}

/// One line that steers no terminal, whatever a message held.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { context, message, code, .. } = &*self.0;
        let mut line = String::new();
        for part in context.iter().chain([message]) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(part.trim());
        }
        let mut line = one_line(&line);
        if let Some(code) = code {
            line.push_str(&format!(" [{}]", one_line(code)));
        }
        f.write_str(&line)
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace(char::is_control, " ")
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.class)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl Error {
    /// A copy without the source.
    pub fn copy(&self) -> Self {
        let Details { class, context, message, code, hint, exit_code, also, .. } = &*self.0;
        Self(Box::new(Details {
            class: *class,
            context: context.clone(),
            message: message.clone(),
            code: code.clone(),
            hint: hint.clone(),
            exit_code: *exit_code,
            source: None,
            also: also.iter().map(Self::copy).collect(),
        }))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("JSON: {error}"))
    }
}

/// Adds context to a failed result.
pub trait ResultExt<T> {
    /// Says what was being done, if it failed.
    fn context(self, context: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for std::result::Result<T, E> {
    fn context(self, context: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().with_context(context))
    }
}
