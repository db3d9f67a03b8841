//! A client of PostgreSQL's protocol, for plugins that read from it or write to it.
//!
//! | file | what |
//! |---|---|
//! | `address` | the URL |
//! | `login` | TLS and login: what the job says, and how it is done |
//! | `scram` | login without showing the password |
//! | `messages` | messages over a connection |
//! | `client` | a session: queries |
//! | `fault` | the server's errors, by who must act |
//! | `quote` | names and texts in SQL |

mod address;
mod client;
pub mod fault;
mod login;
mod messages;
mod quote;
mod scram;

pub use address::{Address, PORT};
pub use client::{Client, Rows, Server};
pub use login::{Login, SslMode};
pub use postgres_protocol::message;
pub use quote::{quote_ident, quote_literal};
