//! Where traces are sent: OpenTelemetry's variables, which are the same for all programs.

use std::env;

use url::Url;

/// What the program is called in traces, unless somebody says otherwise.
const SERVICE: &str = "longshore";

/// The path of traces beneath a collector's address.
const TRACES_PATH: &str = "v1/traces";

/// Where traces are sent, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// The collector's URL, with the path.
    pub url: String,
    /// What this program is called.
    pub service: String,
}

impl Traces {
    /// What the environment says; none if it names no collector.
    pub(super) fn of_environment() -> Option<Self> {
        Self::of(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let is_off = variable("OTEL_SDK_DISABLED")
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none");
        if is_off {
            return None;
        }
        let url = match variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            Some(url) => url,
            None => {
                let base = variable("OTEL_EXPORTER_OTLP_ENDPOINT")?;
                format!("{}/{TRACES_PATH}", base.trim_end_matches('/'))
            }
        };
        // A login in it would be in the ledger.
        let is_fit =
            |url: Url| matches!(url.scheme(), "http" | "https") && url.username().is_empty();
        if !Url::parse(&url).is_ok_and(is_fit) {
            tracing::warn!(
                "OTEL_EXPORTER_OTLP_ENDPOINT is no URL of http or https without a login: there are no traces"
            );
            return None;
        }
        let service = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| SERVICE.to_owned());
        Some(Self { url, service })
    }
}

/// The headers of OTEL_EXPORTER_OTLP_HEADERS, `name=value,name=value`: they may hold secrets, and are read when
/// traces are sent.
pub fn trace_headers() -> Vec<(String, String)> {
    let names = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    let text = names.iter().find_map(|name| env::var(name).ok()).unwrap_or_default();
    headers(&text)
}

fn headers(text: &str) -> Vec<(String, String)> {
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim().to_owned(), value.into_owned()))
    };
    text.split(',').filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<String> {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Traces::of(value).map(|traces| traces.url)
    }

    #[test]
    fn the_variables_mean_what_they_mean_elsewhere() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.internal/in");
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[base]).as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(of(&[base, own]).as_deref(), Some("https://traces.internal/in"));
        assert_eq!(of(&[base, ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(of(&[base, ("OTEL_TRACES_EXPORTER", "none")]), None);
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]), None);
        let pairs = [("api-key", "a b"), ("x", "1=2")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(headers("api-key=a%20b, x=1=2,"), pairs);
    }
}
