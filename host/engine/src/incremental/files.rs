//! Files that are watched by the time of their change, or by what their folders say of a column.

use longshore_model::error::{Result, ResultExt};
use longshore_model::watermark::{Watermark, Window, WindowRange};

use super::kind::Kind;
use super::request::{WindowRequest, bounds};
use crate::scan::SourceFile;

/// The window of files that were changed since the run before.
pub(super) async fn open_window(request: &WindowRequest<'_>) -> Result<Window> {
    let relation = request.input.relation.clone().into();
    let files = request.source.files(&relation).await?.unwrap_or_default();
    if let Some(backfill) = &request.state.backfill {
        let (from, to) = bounds(Kind::Instant, backfill)?;
        let (from, to) = (Some(padded(&from)), Some(padded(&to)));
        let range = WindowRange { from, to, backfill: true, ..WindowRange::default() };
        return Ok(window(request, range, None, &files));
    }
    let before = request.watermark(&WindowRange::default())?;
    let initial = request.incremental.initial.as_deref();
    let initial = initial.map(|initial| Kind::Instant.read(initial)).transpose();
    let initial = initial.context("`incremental.initial`")?;
    let loaded = before.and_then(|before| before.value.as_deref());
    let loaded = loaded.map(|loaded| Kind::Instant.read(loaded)).transpose();
    let from = loaded.context("the watermark")?.or(initial).map(|from| padded(&from));
    let newest = files.iter().map(SourceFile::changed_text).max();
    let to = newest.max(from.clone());
    let range = WindowRange { from, to, ..WindowRange::default() };
    Ok(window(request, range, before, &files))
}

fn window(
    request: &WindowRequest<'_>,
    range: WindowRange,
    before: Option<&Watermark>,
    files: &[SourceFile],
) -> Window {
    let mut window = Window {
        relation: request.input.name.clone(),
        range,
        before: before.cloned(),
        ..Window::default()
    };
    let is_in = |file: &&SourceFile| window.takes_file(&file.name, &file.changed_text());
    let taken = files.iter().filter(is_in).count();
    window.condition = (taken > 0).then(|| format!("{taken} of {} files", files.len()));
    if !window.range.backfill {
        window.after = Some(after(&window, files));
    }
    window
}

/// The watermark when the window is loaded. Files of its very instant are remembered by their names.
fn after(window: &Window, files: &[SourceFile]) -> Watermark {
    let value = window.range.to.clone();
    let is_last = |file: &&SourceFile| Some(file.changed_text()) == value;
    let mut names: Vec<String> =
        files.iter().filter(is_last).map(|file| file.name.clone()).collect();
    names.sort();
    Watermark { value, files: names, ..Watermark::default() }
}

/// The greatest of some values, if it is greater than the last that was loaded.
pub(super) fn newest(
    kind: Kind,
    values: impl Iterator<Item = String>,
    last: Option<&str>,
) -> Option<String> {
    let greater =
        |one: String, other: String| if kind.is_before(&one, &other) { other } else { one };
    values.reduce(greater).filter(|newest| last.is_none_or(|last| kind.is_before(last, newest)))
}

/// A moment to the nanosecond, as files have it: texts of one length are compared.
fn padded(moment: &str) -> String {
    let (seconds, fraction) = moment.split_once('.').unwrap_or((moment, ""));
    format!("{seconds}.{fraction:0<9}")
}
