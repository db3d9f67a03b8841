//! Errors of a job that a command stands for name what was typed, and not keys of a file that does not exist.

use longshore_model::error::Error;

/// Keys and hints of a job file, and what they are on the command line.
const WORDS: [(&str, &str); 31] = [
    ("`source.url`", "SOURCE"),
    ("`target.url`", "TARGET"),
    ("`source` without", "SOURCE without"),
    ("`target.mode`", "--mode"),
    ("`target.format`", "--format"),
    ("`target.compression`", "--compression"),
    ("`source.password`", "--password-env or --password-file"),
    (
        "add `password: { secret: NAME }` beside `url`",
        "give --password-env NAME or --password-file FILE",
    ),
    ("parameters are keys beside `url`", "give parameters with --option KEY=VALUE"),
    (": `longshore test-connection JOB` lists what is there", ""),
    ("`transform[0].sql`", "--sql"),
    ("transform[0]", "--sql"),
    ("`name`: the name", "--as: the name"),
    ("give the job another name", "give another one with --as"),
    ("`chunk.rows`", "--chunk-rows"),
    ("`tables: [..]`, `query: ..` or `relations: [..]`", "--table NAME or --query SQL"),
    (", or make one relation of them with `sql`", ""),
    (
        "name the files as a table, and query them with the job's `sql`",
        "query them with --sql: they are the table `data`",
    ),
    (
        "read them as two relations, and make one of them with the job's `sql`",
        "copy them apart, each with a command of its own",
    ),
    ("say what happens to such columns with `schema`, make", "make"),
    ("with `transform: - sql: SELECT CAST(..)`", "with --sql: SELECT CAST(..) FROM data"),
    ("with the job's `transform`", "with --sql"),
    ("in an `sql` step", "with --sql"),
    ("the job names", "SOURCE names"),
    (" to `source`", ""),
    (" from `source`", ""),
    (" in the job's source", ""),
    ("`source.", "`--option "),
    ("`target.", "`--target-option "),
    ("`parameters.", "`--param "),
    (" beside `url`", ""),
];

/// Keys of the job that flags of their own give.
const FLAGS: [&str; 4] = ["as", "compression", "format", "mode"];

/// Keys of a source that hints name without it, and where they stand in it.
const SOURCE_KEYS: [(&str, &str); 11] = [
    ("arrays", "arrays"),
    ("auth", "auth"),
    ("bad_rows", "bad_rows"),
    ("csv", "csv"),
    ("driver", "driver"),
    ("int96", "parquet.int96"),
    ("kerberos", "kerberos"),
    ("numeric", "numeric"),
    ("special_values", "special_values"),
    ("timestamps", "timestamps"),
    ("unknown_types", "unknown_types"),
];

/// Keys of a relation, and the flags that give them.
const OF_RELATION: [(&str, &str); 5] = [
    ("", "--table"),
    (".as", "--as"),
    (".chunk_by", "--chunk-by"),
    (".query", "--query"),
    (".table", "--table"),
];

/// The error in the words of the command line.
pub(super) fn of_command(error: Error) -> Error {
    error.reworded(&in_flags)
}

fn in_flags(text: &str) -> String {
    let text = text.replace("add `format: csv`, or remove", "add `--option format=csv`, or remove");
    // Every second piece stands between backticks.
    let piece = |(place, piece): (usize, &str)| match place % 2 {
        0 => piece.to_owned(),
        _ => flag_of(piece).unwrap_or_else(|| format!("`{piece}`")),
    };
    let text: String = text.split('`').enumerate().map(piece).collect();
    WORDS.iter().fold(text, |text, (key, flag)| text.replace(key, flag))
}

/// The flag that gives what a piece of a job file says: `source.csv: { header: false }`.
fn flag_of(piece: &str) -> Option<String> {
    if let Some(rest) = piece.strip_prefix("relations[") {
        let (_, key) = rest.split_once(']')?;
        let known = OF_RELATION.iter().find(|(name, _)| *name == key);
        return known.map(|(_, flag)| (*flag).to_owned());
    }
    let (key, value) = piece.split_once(": ")?;
    if FLAGS.contains(&key) {
        return Some(format!("`--{key} {value}`"));
    }
    let of_source = || SOURCE_KEYS.iter().find(|(name, _)| *name == key).map(|(_, path)| *path);
    let (flag, path) = match (key.strip_prefix("source."), key.strip_prefix("target.")) {
        (Some(path), _) => ("--option", path),
        (_, Some(path)) => ("--target-option", path),
        _ => ("--option", of_source()?),
    };
    let option = option(path, value)?;
    let is_plain = |c: char| c.is_alphanumeric() || "_-./=:,".contains(c);
    let quote = if option.chars().all(is_plain) { "" } else { "'" };
    Some(format!("`{flag} {quote}{option}{quote}`"))
}

/// `columns.a=string`, of `columns` and `{ a: string }`.
fn option(path: &str, value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix("{ ").and_then(|value| value.strip_suffix(" }")) else {
        return Some(format!("{path}={}", value.trim_matches('"')));
    };
    let (key, value) = inner.rsplit_once(": ")?;
    let (key, value) = (key.trim_matches('"'), value.trim_matches('"'));
    // A dot would divide the key.
    if key.contains('.') {
        return Some(format!("{path}={{\"{key}\":\"{value}\"}}"));
    }
    Some(format!("{path}.{key}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_flags() {
        let error = Error::config("`source.csv.delimiter`: `ab` is not one ASCII character")
            .with_hint("choose `mode: replace`, or correct `target.url`");
        let error = of_command(error);
        assert_eq!(error.to_string(), "`--option csv.delimiter`: `ab` is not one ASCII character");
        assert_eq!(error.hint(), Some("choose `--mode replace`, or correct TARGET"));
    }

    #[test]
    fn pieces_of_job_files_become_flags_that_can_be_typed() {
        for (hint, typed) in [
            (
                "keep them: `source.columns: { f4: string }`",
                "keep them: `--option columns.f4=string`",
            ),
            (
                "keep it with `source.columns: { t: timestamp(9) }`",
                "keep it with `--option 'columns.t=timestamp(9)'`",
            ),
            (
                "name its type: `source.columns: { \"a.b\": string }`",
                "name its type: `--option 'columns={\"a.b\":\"string\"}'`",
            ),
            (
                "add `arrays: text` to `source`, or cast it",
                "add `--option arrays=text`, or cast it",
            ),
            (
                "add `special_values: nullify` (or `text`) to `source`",
                "add `--option special_values=nullify` (or `text`)",
            ),
            ("add `csv: { quote: \"\" }`", "add `--option csv.quote=`"),
            (
                "leave such rows out with `bad_rows: skip`",
                "leave such rows out with `--option bad_rows=skip`",
            ),
            (
                "cut it off with `int96: truncated`",
                "cut it off with `--option parquet.int96=truncated`",
            ),
            ("write `format: arrow`", "write `--format arrow`"),
            ("leave it out in an `sql` step", "leave it out with --sql"),
            ("`relations[0].chunk_by`: remove it", "--chunk-by: remove it"),
            ("`relations[1]`: no", "--table: no"),
            ("`a: b` is no column", "`a: b` is no column"),
        ] {
            assert_eq!(in_flags(hint), typed);
        }
    }
}
