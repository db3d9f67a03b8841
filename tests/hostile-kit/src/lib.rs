//! What the hostile plugins of the tests share: the harm that any call of a plugin can do, streams
//! that lie, and a mark that a test finds in the finished component.

#![cfg(target_arch = "wasm32")]

pub mod mark;
pub mod streams;

use std::hint::black_box;

use longshore_sdk::bindings::capabilities::longshore::plugin::types::{Error, ErrorClass};
use longshore_sdk::host::{self, Connection, Endpoint, Level, Request, Response};

/// A text that clears a screen, rings the bell, and begins a line of its own.
pub const ESCAPES: &str = "\u{1b}[2J\u{7}gone\nlongshore: all is well";

/// JSON Schemas of configs: an honest one, one of another kind of value, and one whose words steer a
/// terminal.
pub fn config_schema(mode: &str) -> String {
    let schema = match mode {
        "schema" => "[]",
        "keys" => r#"{"type":"object","properties":{"\u001b[2J":{"description":"\u001b[2J"}}}"#,
        _ => {
            r#"{"type":"object","additionalProperties":false,"properties":{"url":{"type":"string"},
            "abuse":{"type":"string"},"server":{"type":"string"},"password":{}}}"#
        }
    };
    schema.to_owned()
}

/// What a job's config says of the harm to do.
#[derive(Clone)]
pub struct Abuse {
    name: String,
    /// Of the server that the job names.
    port: u16,
}

impl Abuse {
    /// Reads a config that is known to be small and flat.
    pub fn of(config: &str) -> Self {
        report_panics();
        let port = text(config, "server").rsplit(':').next().unwrap_or_default();
        Self { name: text(config, "abuse").to_owned(), port: port.parse().unwrap_or(1) }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does the harm that a name such as `loop-open` holds, in the call that it holds.
    pub fn strike(&self, call: &str) -> Result<(), Error> {
        let harm = self.name.strip_suffix(call).and_then(|harm| harm.strip_suffix('-'));
        harm.map_or(Ok(()), |harm| self.harm(harm))
    }

    fn harm(&self, harm: &str) -> Result<(), Error> {
        let internal = |message: &str| Err(error(ErrorClass::Internal, message));
        match harm {
            "loop" => endless(),
            "sleep" => {
                host::log(Level::Warn, "asleep");
                loop {
                    host::sleep(u32::MAX);
                }
            }
            "memory" => hoard(),
            "memory-slowly" => trickle(),
            "recursion" => internal(&deeper(1).to_string()),
            "trap" => core::arch::wasm32::unreachable(),
            "panic" => panic!("the plugin's own words"),
            "host-calls" => loop {
                black_box(host::now_ns());
            },
            "random-huge" => {
                black_box(host::random_bytes(u32::MAX));
                Ok(())
            }
            "elsewhere" => connect("169.254.169.254", 80),
            "scan-ports" => (1..=1_000).try_for_each(|port| connect("127.0.0.1", port)),
            "connection-flood" => (0..1_000).try_for_each(|_| connect("127.0.0.1", self.port)),
            "request-elsewhere" => request("http://169.254.169.254/latest/meta-data"),
            "secret" => internal(&host::secret("other")?),
            "tell" => self.tell("the password is "),
            // So that what is shown of the text ends in the middle of the secret.
            "tell-late" => self.tell(&"x".repeat(4_090)),
            _ => shout(harm),
        }
    }

    fn tell(&self, before: &str) -> Result<(), Error> {
        let message = format!("{before}{}", host::secret("password")?);
        host::log(Level::Error, &message);
        Err(error(ErrorClass::Data, &message))
    }
}

/// Harm by what people read.
fn shout(harm: &str) -> Result<(), Error> {
    let data = |message: &str| error(ErrorClass::Data, message);
    match harm {
        "log-flood" => (0..100_000).for_each(|_| host::log(Level::Trace, &"x".repeat(100))),
        "log-huge" => host::log(Level::Error, &"x".repeat(16 << 20)),
        "log-escapes" => host::log(Level::Error, ESCAPES),
        "error-escapes" => return Err(data(ESCAPES)),
        "error-huge" => return Err(data(&"x".repeat(16 << 20))),
        "error-code" => return Err(Error { code: Some(ESCAPES.into()), ..data("its code") }),
        "error-code-huge" => {
            return Err(Error { code: Some("x".repeat(16 << 20)), ..data("its code") });
        }
        "error-code-tells" => {
            return Err(Error { code: Some(host::secret("password")?), ..data("its code") });
        }
        "error-context" => {
            return Err(Error { context: vec!["deeper".into(); 100_000], ..data("lost") });
        }
        "error-hint" => return Err(Error { hint: Some(ESCAPES.into()), ..data("its hint") }),
        "broken" => return Err(error(ErrorClass::Connection, "broke, as it always does")),
        "stale" => return Err(error(ErrorClass::Stale, "gone, as it always is")),
        _ => {}
    }
    Ok(())
}

/// An error of a plugin.
pub fn error(class: ErrorClass, message: &str) -> Error {
    Error { class, message: message.into(), code: None, hint: None, context: Vec::new() }
}

/// A field of a config that is known to be small and flat.
pub fn text<'a>(config: &'a str, field: &str) -> &'a str {
    let value = config.split(&format!(r#""{field}":""#)).nth(1);
    value.and_then(|rest| rest.split('"').next()).unwrap_or_default()
}

/// Opens a connection, and never closes it.
pub fn connect(host: &str, port: u16) -> Result<(), Error> {
    let connection = Connection::connect(&Endpoint { host: host.into(), port })?;
    std::mem::forget(connection);
    Ok(())
}

fn request(url: &str) -> Result<(), Error> {
    let (method, url) = ("GET".into(), url.into());
    let (headers, body) = (Vec::new(), Vec::new());
    let answer = Response::to(&Request {
        method,
        url,
        headers,
        body,
        timeout_ms: 1_000,
        authorities: None,
    })?;
    std::mem::forget(answer);
    Ok(())
}

/// Has the host told of a panic before it traps.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|info| host::log(Level::Error, &info.to_string())));
}

/// Computes for ever.
pub fn endless<T>() -> T {
    loop {
        black_box(());
    }
}

/// Takes memory for ever, much at a time.
pub fn hoard<T>() -> T {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1_u8; 16 << 20]);
        black_box(&hoard);
    }
}

/// Takes memory for ever, little at a time.
pub fn trickle<T>() -> T {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1_u8; 10_000]);
        black_box(&hoard);
    }
}

/// Calls itself for ever.
#[expect(unconditional_recursion, reason = "that is the abuse")]
pub fn deeper(level: u64) -> u64 {
    level ^ deeper(black_box(level + 1)).rotate_left(3)
}
