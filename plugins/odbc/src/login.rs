//! How a session begins: the job's URL becomes attributes of a connection string.

use longshore_odbc_wire::attributes;
use longshore_sdk::host::odbc::{Attribute, Login, Setting};
use longshore_sdk::host::odbc_drivers;
use longshore_sdk::{Error, Result};
use percent_encoding::percent_decode_str;

use crate::Config;
use crate::dialect::{Dialect, Port, of_scheme};

/// The login that a config says, and the database, if the URL names it.
pub fn login(config: &Config) -> Result<(Login, Option<&'static Dialect>)> {
    let (scheme, rest) = config.url.split_once(':').unwrap_or(("odbc", &config.url));
    let scheme = scheme.to_ascii_lowercase();
    let dialect = of_scheme(&scheme);
    let mut set: Vec<Attribute> = match dialect {
        None => {
            let string = attributes(rest);
            if string.is_empty() {
                return Err(Error::config("`url`: no connection string behind `odbc:`")
                    .with_hint("write it as in odbc:DSN=shop, or odbc:Driver={..};Server=.."));
            }
            named_by_string(&string, config)?
        }
        Some(dialect) => of_url(dialect, rest, config)?,
    };
    let names = dialect.map_or(("UID", "PWD"), |of| (of.attributes.user, of.attributes.password));
    if let Some(user) = &config.user {
        set_once(&mut set, names.0, user.clone());
    }
    for (name, value) in &config.options {
        set.retain(|attribute| !attribute.name.eq_ignore_ascii_case(name));
        set.push(attribute(name, value.clone()));
    }
    // A job file is read by many, and shown: a password comes by its own field.
    if let Some(spelled) = set.iter().find(|attribute| is_password(&attribute.name, names.1)) {
        return Err(Error::config(format!(
            "`{}` stands in the job's source as it is",
            spelled.name
        ))
        .with_hint("give it as `password: { env: .. }`, `{ file: .. }` or `{ secret: .. }`"));
    }
    if config.password.is_some() {
        let value = Setting::Secret("password".into());
        set.push(Attribute { name: names.1.into(), value });
    }
    let login =
        Login { attributes: set, setup: config.setup.clone(), timeout_secs: config.timeout };
    Ok((
        match dialect {
            Some(of) => settled(login, of, config),
            None => login,
        },
        dialect,
    ))
}

/// What a connection string says, and the driver, which may stand beside it.
fn named_by_string(string: &[(String, String)], config: &Config) -> Result<Vec<Attribute>> {
    let mut set: Vec<_> =
        string.iter().map(|(name, value)| attribute(name, value.clone())).collect();
    let Some(driver) = &config.driver else { return Ok(set) };
    let names = |attribute: &&Attribute| {
        ["driver", "dsn"].iter().any(|name| attribute.name.eq_ignore_ascii_case(name))
    };
    if let Some(named) = set.iter().find(names) {
        return Err(Error::config(format!(
            "`driver`: the connection string has `{}` already",
            named.name
        ))
        .with_hint("leave one of them out"));
    }
    set.insert(0, attribute("Driver", driver.clone()));
    Ok(set)
}

fn is_password(name: &str, of_dialect: &str) -> bool {
    ["pwd", "password", of_dialect].iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// A login with what the database's sessions have.
pub fn settled(mut login: Login, dialect: &Dialect, config: &Config) -> Login {
    for (name, value) in dialect.options {
        set_once(&mut login.attributes, name, (*value).to_owned());
    }
    let own = dialect.setup.iter().map(|statement| (*statement).to_owned());
    // The job's own come last: they may say otherwise.
    login.setup = own.chain(config.setup.iter().cloned()).collect();
    login
}

fn attribute(name: &str, value: String) -> Attribute {
    Attribute { name: name.to_owned(), value: Setting::Text(value) }
}

fn set_once(set: &mut Vec<Attribute>, name: &str, value: String) {
    if !set.iter().any(|attribute| attribute.name.eq_ignore_ascii_case(name)) {
        set.push(attribute(name, value));
    }
}

/// `//user@host:port/database?Key=value`.
fn of_url(dialect: &Dialect, rest: &str, config: &Config) -> Result<Vec<Attribute>> {
    let driver = match &config.driver {
        Some(driver) => driver.clone(),
        None => installed(dialect)?,
    };
    let mut set = vec![attribute("Driver", driver)];
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let names = &dialect.attributes;
    let (authority, path) = match place.strip_prefix("//") {
        Some(place) => match place.find('/') {
            Some(slash) => place.split_at(slash),
            None => (place, ""),
        },
        None => ("", place),
    };
    if dialect.name == "sqlite" {
        if path.is_empty() || !authority.is_empty() {
            return Err(Error::config(format!("`url`: `{}` names no file", config.url))
                .with_hint("write it as in sqlite:///folder/file.db"));
        }
        set.push(attribute(names.database, decoded(path)));
    } else {
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (host, port) = host_and_port(host);
        if host.is_empty() {
            return Err(Error::config(format!("`url`: `{}` names no host", config.url))
                .with_hint("write it as in mysql://user@host:3306/database"));
        }
        match (&names.port, port) {
            (Port::Behind(separator), Some(port)) => {
                // Where a database has no attribute, it stands behind the port.
                let behind = if names.database.is_empty() { path } else { "" };
                set.push(attribute(names.host, format!("{host}{separator}{port}{behind}")));
            }
            (Port::Own(name), Some(port)) => {
                set.extend([attribute(names.host, host), attribute(name, port.to_owned())]);
            }
            (_, None) => set.push(attribute(names.host, host)),
        }
        let database = decoded(path.trim_start_matches('/'));
        if !database.is_empty() && !names.database.is_empty() {
            set.push(attribute(names.database, database));
        }
        let user = user.split_once(':').map_or(user, |(user, _)| user);
        if !user.is_empty() {
            set.push(attribute(names.user, decoded(user)));
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        set.push(attribute(&decoded(name), decoded(value)));
    }
    Ok(set)
}

fn installed(dialect: &Dialect) -> Result<String> {
    let installed = odbc_drivers()?;
    dialect.driver(&installed).ok_or_else(|| {
        let there = if installed.is_empty() {
            "none is installed".to_owned()
        } else {
            format!("there are: {}", installed.join(", "))
        };
        Error::config(format!("no ODBC driver for {} can be used; {there}", dialect.name))
            .with_hint("install one, or name it: `driver: ..` in the job's source")
    })
}

fn host_and_port(text: &str) -> (String, Option<&str>) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    (decoded(host.trim_matches(['[', ']'])), port.filter(|port| !port.is_empty()))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, driver: Option<&str>) -> Config {
        Config {
            url: url.into(),
            password: None,
            user: None,
            driver: driver.map(Into::into),
            options: [("Extra".to_owned(), "1".to_owned())].into(),
            setup: Vec::new(),
            fetch: Default::default(),
            encoding: Default::default(),
            timeout: 1,
        }
    }

    fn set(url: &str) -> String {
        shown(&config(url, (!url.starts_with("odbc:")).then_some("D")))
    }

    fn shown(config: &Config) -> String {
        let (login, _) = login(config).unwrap();
        let text = |attribute: &Attribute| match &attribute.value {
            Setting::Text(text) => format!("{}={text}", attribute.name),
            Setting::Secret(field) => format!("{}=<{field}>", attribute.name),
        };
        login.attributes.iter().map(text).collect::<Vec<_>>().join(";")
    }

    #[test]
    fn a_url_becomes_a_connection_string() {
        assert_eq!(
            set("mysql://me@db:3306/my%20shop?SSLMODE=REQUIRED"),
            "Driver=D;Server=db;Port=3306;Database=my shop;UID=me;SSLMODE=REQUIRED;Extra=1;\
             OPTION=3145728"
        );
        assert_eq!(set("sqlserver://[::1]:1433/s"), "Driver=D;Server=::1,1433;Database=s;Extra=1");
        assert_eq!(set("oracle://me@db:1521/ORCL"), "Driver=D;DBQ=db:1521/ORCL;UID=me;Extra=1");
        assert_eq!(
            set("sqlite:///a/b.db"),
            "Driver=D;Database=/a/b.db;Extra=1;StepAPI=1;NoCreat=1"
        );
        assert_eq!(set("odbc:DSN=x;Server={a;b}"), "DSN=x;Server=a;b;Extra=1");
    }

    #[test]
    fn a_password_in_the_open_is_refused() {
        for url in
            ["odbc:DSN=x;pwd=s3cret", "odbc:DSN=x;Password={s3cret}", "mysql://db/x?PWD=s3cret"]
        {
            let driver = url.starts_with("mysql").then_some("D");
            let refused = login(&config(url, driver)).unwrap_err().to_string();
            assert!(refused.contains("as it is") && !refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn a_driver_may_stand_beside_a_connection_string_but_not_twice() {
        assert_eq!(shown(&config("odbc:Server=x", Some("D"))), "Driver=D;Server=x;Extra=1");
        let refused = login(&config("odbc:DSN=x", Some("D"))).unwrap_err().to_string();
        assert!(refused.contains("has `DSN` already"), "{refused}");
    }
}
