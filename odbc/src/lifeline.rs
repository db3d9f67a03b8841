//! Standard input: requests, and the sign to stop. When it ends, the host has left or wants no more:
//! the statement under way is cancelled at the server, and the process ends.

use std::io::{BufRead, stdin};
use std::process::exit;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use odbc_api::sys::{HStmt, SQLCancel};

/// How long a cancelled statement may take to end before the process does.
const CANCEL_GRACE_SECS: u64 = 3;

/// The statement under way, if there is one.
#[derive(Clone, Default)]
pub struct Lifeline(Arc<Mutex<Option<Handle>>>);

/// Drivers allow a statement to be cancelled from another thread.
struct Handle(HStmt);

// SAFETY: the handle is only cancelled by, and forgotten before it is freed.
unsafe impl Send for Handle {}

/// A statement is under way as long as this lives; drop it before the statement.
pub struct UnderWay<'a>(&'a Lifeline);

impl Lifeline {
    /// Begins to listen; gives the requests.
    pub fn hold() -> (Self, Receiver<String>) {
        let lifeline = Self::default();
        let (sender, requests) = channel();
        let held = lifeline.clone();
        thread::spawn(move || {
            for line in stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
            drop(sender);
            // Whatever the driver does with it, the process ends.
            thread::spawn(|| {
                thread::sleep(Duration::from_secs(CANCEL_GRACE_SECS));
                exit(0);
            });
            held.cancel();
        });
        (lifeline, requests)
    }

    /// This statement begins.
    pub fn watch(&self, statement: HStmt) -> UnderWay<'_> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Handle(statement));
        UnderWay(self)
    }

    fn cancel(&self) {
        if let Some(Handle(statement)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: while it is under way it is not freed.
            let _ = unsafe { SQLCancel(*statement) };
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
