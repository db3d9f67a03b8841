//! The dashboard: files that are built into the program. They hold no data, and need no login.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use include_dir::{Dir, include_dir};

use super::answer::ApiError;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/dashboard");

const INDEX: &str = "index.html";

/// Paths of pages: what has no ending there is the index, whose script shows it.
const PAGES: &str = "ui/";

/// What no endpoint answers: a file of the dashboard, or nothing.
pub(super) async fn file(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if path.starts_with("api/") {
        return ApiError::not_found("there is no such endpoint").into_response();
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_page = path.is_empty() || (path.starts_with(PAGES) && !path.contains('.'));
    let name = if is_page { INDEX } else { path };
    match FILES.get_file(name).filter(|_| is_read) {
        Some(file) => {
            let content_type = HeaderValue::from_static(content_type(name));
            ([(header::CONTENT_TYPE, content_type)], file.contents()).into_response()
        }
        None => ApiError::not_found("there is no such page").into_response(),
    }
}

/// An endpoint that knows other methods only.
pub(super) async fn other_method() -> Response {
    let error = longshore_model::error::Error::config("the endpoint does not know this method");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, error).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
