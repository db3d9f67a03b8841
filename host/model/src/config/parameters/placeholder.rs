//! Placeholders: `{{ day }}` stands for the value of the parameter `day`.

use std::ops::Range;

use longshore_sql::is_word;

/// A placeholder in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placeholder<'a> {
    /// Where it stands, braces included.
    pub(super) range: Range<usize>,
    /// The parameter's name. None: it is something else within braces.
    pub(super) name: Option<&'a str>,
}

/// All that begins with two braces, whether or not it is a placeholder.
pub(super) fn placeholders(text: &str) -> Vec<Placeholder<'_>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(open) = text[at..].find("{{") {
        let start = at + open;
        let end = match text[start..].find("}}") {
            Some(close) => start + close + 2,
            None => text.len(),
        };
        let name = braced(&text[start..end]).filter(|name| is_name(name));
        // A placeholder may begin within braces that are none.
        at = if name.is_some() { end } else { start + 1 };
        found.push(Placeholder { range: start..end, name });
    }
    found
}

/// What stands within two braces, if the whole text does.
pub(super) fn braced(text: &str) -> Option<&str> {
    Some(text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim())
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii() && is_word(c))
        && text.starts_with(|c: char| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_names_within_two_braces() {
        let names = |text: &str| -> Vec<Option<String>> {
            placeholders(text).into_iter().map(|found| found.name.map(str::to_owned)).collect()
        };
        let is = |name: &str| Some(name.to_owned());
        assert_eq!(names("a {{ b }} {{c_1}} {{\tD\n}}"), [is("b"), is("c_1"), is("D")]);
        assert_eq!(names("'{{1,2},{3,4}}'"), [None]);
        assert_eq!(names("{{{ a }}"), [None, is("a")]);
        assert_eq!(names("{{ a - 1 }} {{"), [None, None]);
        assert_eq!(names("{ a } }} {"), []);
    }
}
