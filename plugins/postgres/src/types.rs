//! The types that the server knows, and each one's way to Arrow.

use std::collections::HashMap;

use longshore_sdk::Result;

use crate::kind::{Digits, Kind};
use crate::policy::{Arrays, DECIMAL_MAX_PRECISION, Numerics, Policy, SpecialValues};
use crate::session::Session;
use longshore_postgres_client::fault;

/// Types within types beyond this depth are moved as text.
const DEPTH_LIMIT: usize = 8;

/// The first oid that is not one of PostgreSQL's own.
const FIRST_USER_OID: u32 = 16_384;

/// A type's way to Arrow.
pub(crate) struct Way {
    pub(crate) kind: Kind,
    pub(crate) cast: &'static str,
    pub(crate) notes: Vec<String>,
    /// Not one of PostgreSQL's own types.
    pub(crate) foreign: bool,
}

impl Way {
    fn exact(kind: Kind) -> Self {
        Self { kind, cast: "", notes: Vec::new(), foreign: false }
    }

    fn text(why: impl Into<String>) -> Self {
        Self { kind: Kind::Text, cast: "::text", notes: vec![why.into()], foreign: false }
    }
}

/// What the server says of the types in use.
#[derive(Clone, Default)]
pub(crate) struct Types {
    known: HashMap<u32, Type>,
    /// Digits after the point of `money`.
    money_scale: u8,
}

/// A row of `pg_type`.
#[derive(Clone)]
struct Type {
    form: Form,
    name: String,
}

#[derive(Clone)]
enum Form {
    Base,
    Enum,
    Array { element: u32 },
    Domain { base: u32, modifier: i32, dimensions: usize },
    Composite { attributes: Vec<(String, u32, i32)> },
    Other,
}

const MONEY_OID: u32 = 790;

impl Types {
    /// A type that somebody else made.
    #[cfg(test)]
    pub(crate) fn of_foreign(oid: u32) -> Self {
        let known = HashMap::from([(oid, Type { form: Form::Base, name: "it".into() })]);
        Self { known, money_scale: 2 }
    }

    /// A column's way to Arrow, by its type's oid and modifier, and its declared dimensions.
    pub(crate) fn way(&self, policy: Policy, oid: u32, modifier: i32, dimensions: usize) -> Way {
        Resolver { types: self, policy }.resolve(oid, modifier, dimensions, 0)
    }

    /// Looks up types and what they are made of. What comes with the server is kept here, and asked for once.
    pub(crate) fn look_up(&mut self, session: &mut Session, oids: &[u32]) -> Result<Self> {
        let missing: Vec<u32> =
            oids.iter().copied().filter(|oid| !self.known.contains_key(oid)).collect();
        if missing.is_empty() {
            return Ok(self.clone());
        }
        let mut types = Self::ask(session, &missing)?;
        if self.known.contains_key(&MONEY_OID) {
            types.money_scale = self.money_scale;
        }
        types.known.extend(self.known.clone());
        *self = types.builtin();
        Ok(types)
    }

    /// Those that are the same as long as the session lasts.
    fn builtin(&self) -> Self {
        let is_builtin = |(oid, own): &(&u32, &Type)| {
            **oid < FIRST_USER_OID && !matches!(own.form, Form::Composite { .. })
        };
        let known = self.known.iter().filter(is_builtin);
        let known = known.map(|(oid, own)| (*oid, own.clone())).collect();
        Self { known, money_scale: self.money_scale }
    }

    fn ask(session: &mut Session, oids: &[u32]) -> Result<Self> {
        let list: Vec<String> = oids.iter().map(u32::to_string).collect();
        let used = format!(
            "WITH RECURSIVE used(oid) AS (SELECT unnest('{{{}}}'::oid[]) UNION \
             SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype WHEN 'c' THEN a.atttypid ELSE t.typelem END \
             FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid LEFT JOIN pg_catalog.pg_attribute a \
               ON t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)",
            list.join(",")
        );
        let rows = session.query(&format!(
            "{used} SELECT t.oid, t.typtype, t.typcategory, t.typlen, t.typelem, t.typbasetype, t.typtypmod, t.typndims, t.typname \
             FROM pg_catalog.pg_type t JOIN used USING (oid)"
        ))?;
        let mut known =
            rows.iter().map(|row| parse_type(row)).collect::<Result<HashMap<_, _>>>()?;
        if known.values().any(|t| matches!(t.form, Form::Composite { .. })) {
            let rows = session.query(&format!(
                "{used} SELECT t.oid, a.attname, a.atttypid, a.atttypmod FROM used JOIN pg_catalog.pg_type t USING (oid) \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped \
                 WHERE t.typtype = 'c' ORDER BY a.attnum"
            ))?;
            rows.iter().try_for_each(|row| add_attribute(&mut known, row))?;
        }
        let money_scale = if known.contains_key(&MONEY_OID) {
            session.number("SELECT length(split_part(1::money::numeric::text, '.', 2))")?
        } else {
            0
        };
        Ok(Self { known, money_scale: money_scale as u8 })
    }
}

fn parse_type(row: &[Option<String>]) -> Result<(u32, Type)> {
    let text = |at: usize| row.get(at)?.as_deref();
    let number = |at: usize| text(at)?.parse::<i64>().ok();
    let parsed = || {
        let form = match (text(1)?, text(2)?) {
            ("e", _) => Form::Enum,
            ("d", _) => Form::Domain {
                base: number(5)? as u32,
                modifier: number(6)? as i32,
                dimensions: number(7)? as usize,
            },
            ("c", _) => Form::Composite { attributes: Vec::new() },
            // Types of a fixed length have a typelem too, and the vectors begin at 0.
            ("b", "A") if number(3)? == -1 && ![22, 30].contains(&number(0)?) => {
                Form::Array { element: number(4)? as u32 }
            }
            ("b", _) => Form::Base,
            _ => Form::Other,
        };
        Some((number(0)? as u32, Type { form, name: text(8)?.to_owned() }))
    };
    parsed().ok_or_else(|| fault::protocol("a type that cannot be read"))
}

fn add_attribute(known: &mut HashMap<u32, Type>, row: &[Option<String>]) -> Result<()> {
    let mut add = || {
        let [Some(oid), Some(name), Some(attribute), Some(modifier)] = row else { return None };
        if let Form::Composite { attributes } = &mut known.get_mut(&oid.parse().ok()?)?.form {
            attributes.push((name.clone(), attribute.parse().ok()?, modifier.parse().ok()?));
        }
        Some(())
    };
    add().ok_or_else(|| fault::protocol("an attribute that cannot be read"))
}

struct Resolver<'a> {
    types: &'a Types,
    policy: Policy,
}

impl Resolver<'_> {
    fn resolve(&self, oid: u32, modifier: i32, dimensions: usize, depth: usize) -> Way {
        if depth > DEPTH_LIMIT {
            return Way::text("moved as text: it is nested too deep");
        }
        if let Some(way) = self.own(oid, modifier) {
            return way;
        }
        let Some(found) = self.types.known.get(&oid) else {
            return Way::text("moved as text: its type is not in the catalog");
        };
        match &found.form {
            Form::Enum => Way::exact(Kind::Text),
            Form::Domain { base, modifier, dimensions } => {
                self.resolve(*base, *modifier, *dimensions, depth + 1)
            }
            Form::Array { element } => {
                self.array(self.resolve(*element, modifier, 0, depth + 1), dimensions.max(1))
            }
            Form::Composite { attributes } => self.composite(attributes, depth),
            Form::Base | Form::Other => Way {
                foreign: oid >= FIRST_USER_OID && matches!(found.form, Form::Base),
                ..Way::text(format!("moved as text: Arrow has no {}", found.name))
            },
        }
    }

    /// PostgreSQL's own scalars that are decoded as they come, by their oids, as `pg_type.dat`
    /// fixes them.
    fn own(&self, oid: u32, modifier: i32) -> Option<Way> {
        let kind = match oid {
            16 => Kind::Bool,
            17 => Kind::Bytea,
            20 => Kind::Int8,
            21 => Kind::Int2,
            23 => Kind::Int4,
            // name, text, json, char(n), varchar
            19 | 25 | 114 | 1042 | 1043 => Kind::Text,
            // oid, xid, cid
            26 | 28 | 29 => Kind::Oid,
            700 => Kind::Float4,
            701 => Kind::Float8,
            MONEY_OID => Kind::Money { scale: self.types.money_scale },
            1082 => Kind::Date,
            1083 => Kind::Time,
            1114 => Kind::Timestamp { utc: false },
            1184 => Kind::Timestamp { utc: true },
            1700 => match self.numeric(modifier) {
                Ok(kind) => kind,
                Err(why) => {
                    let notes = vec![why.to_owned()];
                    return Some(Way { notes, ..Way::exact(Kind::NumericText) });
                }
            },
            2950 => Kind::Uuid,
            3802 => Kind::Jsonb,
            _ => return None,
        };
        Some(if self.policy.special_values == SpecialValues::Text && kind.has_special() {
            Way::text("moved as text: `special_values` says so")
        } else {
            Way::exact(kind)
        })
    }

    /// The decimal that holds a numeric of this modifier, or why none does.
    fn numeric(&self, modifier: i32) -> Result<Kind, &'static str> {
        let (precision, scale) = match (declared_digits(modifier), self.policy.numeric) {
            (Some(digits), _) => digits,
            (None, Numerics::Decimal { precision, scale }) => (precision, scale),
            (None, Numerics::Text) if modifier < 4 => {
                return Err(
                    "moved as text: it has no precision; `numeric: decimal(P,S)` gives it one",
                );
            }
            (None, Numerics::Text) => return Err("moved as text: it has more than 76 digits"),
        };
        Ok(Kind::Numeric(Digits { precision, scale }))
    }

    fn array(&self, element: Way, dimensions: usize) -> Way {
        let Way { kind, cast, notes, foreign } = element;
        if self.policy.arrays == Arrays::Text || dimensions > DEPTH_LIMIT {
            return Way::text("moved as text: an array");
        }
        Way {
            kind: Kind::List { element: Box::new(kind), dimensions },
            // What has to be text is made text by the server, element by element.
            cast: if cast.is_empty() { "" } else { "::text[]" },
            notes: notes.into_iter().map(|note| format!("its elements: {note}")).collect(),
            foreign,
        }
    }

    fn composite(&self, attributes: &[(String, u32, i32)], depth: usize) -> Way {
        let mut fields = Vec::new();
        let mut notes = Vec::new();
        for (name, oid, modifier) in attributes {
            let way = self.resolve(*oid, *modifier, 1, depth + 1);
            if !way.cast.is_empty() {
                return Way::text(format!("moved as text, for its field `{name}`"));
            }
            notes.extend(way.notes);
            fields.push((name.clone(), way.kind));
        }
        if fields.is_empty() {
            Way::text("moved as text: it has no fields")
        } else {
            Way { notes, ..Way::exact(Kind::Struct(fields)) }
        }
    }
}

/// Digits of the decimal that holds every value of a `numeric(p,s)`, and those after the point;
/// none for `numeric` alone or for more than a decimal can have.
fn declared_digits(modifier: i32) -> Option<(u8, u8)> {
    if modifier < 4 {
        return None;
    }
    let precision = (modifier - 4) >> 16 & 0xffff;
    // Eleven bits with a sign, since PostgreSQL 15.
    let scale = ((modifier - 4) & 0x7ff ^ 1024) - 1024;
    // A negative scale rounds before the point, and a scale may exceed the precision.
    let (precision, scale) = (precision.max(scale) - scale.min(0), scale.max(0));
    let fits = (1..=i32::from(DECIMAL_MAX_PRECISION)).contains(&precision);
    fits.then_some((precision as u8, scale as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modifier(precision: i32, scale: i32) -> i32 {
        (precision << 16 | scale & 0x7ff) + 4
    }

    #[test]
    fn a_declared_numeric_has_a_decimal_that_holds_it_or_none() {
        assert_eq!(declared_digits(modifier(15, 2)), Some((15, 2)));
        assert_eq!(declared_digits(modifier(76, 76)), Some((76, 76)));
        assert_eq!(declared_digits(modifier(77, 2)), None, "too wide");
        assert_eq!(declared_digits(modifier(5, -2)), Some((7, 0)), "rounded to hundreds");
        assert_eq!(declared_digits(modifier(3, 7)), Some((7, 7)), "0.0000xyz");
        assert_eq!(declared_digits(-1), None, "no precision at all");
    }

    fn types(known: Vec<(u32, Form)>) -> Types {
        let known = known.into_iter().map(|(oid, form)| (oid, Type { form, name: "it".into() }));
        Types { known: known.collect(), money_scale: 2 }
    }

    fn resolve(oid: u32, types: &Types, policy: Policy) -> Way {
        types.way(policy, oid, -1, 0)
    }

    #[test]
    fn arrays_and_composites_are_what_their_parts_are() {
        let types = types(vec![
            (1007, Form::Array { element: 23 }),
            (1041, Form::Array { element: 869 }),
            (869, Form::Base),
            (20_000, Form::Composite { attributes: vec![("a".into(), 1007, -1)] }),
            (20_001, Form::Composite { attributes: vec![("a".into(), 869, -1)] }),
            (20_002, Form::Domain { base: 1700, modifier: modifier(9, 2), dimensions: 0 }),
            (20_003, Form::Domain { base: 1700, modifier: modifier(1, 0), dimensions: 0 }),
        ]);
        let arrow = |oid| resolve(oid, &types, Policy::default()).kind.arrow().to_string();
        let cast = |oid| resolve(oid, &types, Policy::default()).cast;
        assert_eq!(arrow(1007), r#"List(Int32, field: 'element')"#);
        assert_eq!(
            (arrow(1041).as_str(), cast(1041)),
            ("List(Utf8, field: 'element')", "::text[]")
        );
        assert!(arrow(20_000).starts_with("Struct"), "{}", arrow(20_000));
        assert_eq!((arrow(20_001).as_str(), cast(20_001)), ("Utf8", "::text"));
        assert_eq!(arrow(20_002), "Decimal32(9, 2)");
        assert_eq!(arrow(20_003), "Decimal64(1, 0)");
    }
}
