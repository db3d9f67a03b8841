//! Ids of traces and spans, and the context that a caller hands on: <https://www.w3.org/TR/trace-context/>.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The id of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// The id of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The id for what a name stands for. It is the same each time.
    pub fn of(name: &str) -> Self {
        Self(beginning("trace", name))
    }
}

impl SpanId {
    /// The id for what a name stands for. It is the same each time.
    pub fn of(name: &str) -> Self {
        Self(beginning("span", name))
    }
}

/// The first bytes of a digest. All zeros would mean that there is no id, which no digest begins with in practice.
fn beginning<const N: usize>(kind: &str, name: &str) -> [u8; N] {
    let digest = Sha256::new().chain_update(kind).chain_update(":").chain_update(name).finalize();
    std::array::from_fn(|index| digest[index])
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The caller's span, as the variable TRACEPARENT or a header of that name has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The caller's trace.
    pub trace: TraceId,
    /// The caller's span.
    pub span: SpanId,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

/// A text that is no context.
#[derive(Debug, thiserror::Error)]
#[error("it is not of the form 00-TRACE-SPAN-FLAGS")]
pub struct NoTraceParent;

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut parts = text.trim().split('-');
        let mut part =
            || parts.next().filter(|part| part.bytes().all(is_lower_hex)).ok_or(NoTraceParent);
        let version: [u8; 1] = bytes(part()?)?;
        let (trace, span) = (bytes(part()?)?, bytes(part()?)?);
        let flags: [u8; 1] = bytes(part()?)?;
        // Later versions may have more parts.
        let is_whole = version != [0] || parts.next().is_none();
        if version == [0xff] || trace == [0; 16] || span == [0; 8] || !is_whole {
            return Err(NoTraceParent);
        }
        let is_sampled = flags[0] & 1 == 1;
        Ok(Self { trace: TraceId(trace), span: SpanId(span), is_sampled })
    }
}

impl TraceParent {
    /// The caller's span, of the variable TRACEPARENT. What cannot be read is no reason not to run.
    pub fn of_environment() -> Option<Self> {
        std::env::var("TRACEPARENT").ok()?.parse().ok()
    }
}

/// Of the form that is parsed.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], NoTraceParent> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| NoTraceParent)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_callers_context_is_read() {
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            (parent.span.to_string().as_str(), parent.is_sampled),
            ("00f067aa0ba902b7", true)
        );
        assert!(!GOOD.replace("-01", "-00").parse::<TraceParent>().unwrap().is_sampled);
        assert_eq!(parent.to_string(), GOOD);
        assert!(GOOD.replacen("00", "cc", 1).parse::<TraceParent>().is_ok());
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let wrong = ["", "00", &GOOD.to_uppercase(), &GOOD[1..], &format!("{GOOD}-00"), &zeros];
        for wrong in wrong {
            assert!(wrong.parse::<TraceParent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_is_the_same_each_time() {
        assert_eq!(TraceId::of("r1"), TraceId::of("r1"));
        assert_ne!(SpanId::of("r1").to_string(), TraceId::of("r1").to_string()[..16]);
        assert_ne!(SpanId::of("r1"), SpanId::of("r2"));
    }
}
