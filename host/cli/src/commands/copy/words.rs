//! Errors of a job that a command stands for name what was typed, and not keys of a file that does not exist.

use longshore_model::error::Error;

/// Keys and hints of a job file, and what they are on the command line.
const WORDS: [(&str, &str); 22] = [
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
    (": `longshore test-connection JOB` lists what is there", ""),
    ("`transform[0].sql`", "--sql"),
    ("transform[0]", "--sql"),
    ("`name`: the name", "--as: the name"),
    ("`chunk.rows`", "--chunk-rows"),
    ("`mode: replace`", "`--mode replace`"),
    ("`mode: version`", "`--mode version`"),
    ("`mode: error`", "`--mode error`"),
    ("`as: NAME`", "`--as NAME`"),
    ("`tables: [..]`, `query: ..` or `relations: [..]`", "--table NAME or --query SQL"),
    ("`format: csv`", "`--format csv`"),
    (", or make one relation of them with `sql`", ""),
    (
        "name the files as a table, and query them with the job's `sql`",
        "query them with --sql: they are the table `data`",
    ),
    ("the job names", "SOURCE names"),
];

/// Beginnings of keys, and the flags that give them.
const SECTIONS: [(&str, &str); 4] = [
    ("`source.", "`--option "),
    ("`target.", "`--target-option "),
    ("`parameters.", "`--param "),
    ("`relations[0]", "`--table"),
];

/// The error in the words of the command line.
pub(super) fn of_command(error: Error) -> Error {
    error.reworded(&|text| {
        let text = WORDS.iter().fold(text.to_owned(), |text, (key, flag)| text.replace(key, flag));
        SECTIONS.iter().fold(text, |text, (key, flag)| text.replace(key, flag))
    })
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
}
