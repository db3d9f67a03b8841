//! The versions of the contract that the host speaks: the current one, and the one before it.
//!
//! Here are the bindings of each version, one file each. The host works with the types of the current
//! version; `previous` is what it does for the other one. Both files of a version go when that version is
//! no longer supported.

pub(crate) mod v0_5;
pub(crate) mod v0_6;

/// A version of the contract that components may be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractVersion {
    /// The previous version.
    V0_5,
    /// The current version.
    V0_6,
}

impl ContractVersion {
    /// The version of `wit/`.
    pub const CURRENT: Self = Self::V0_6;

    /// Every version that the host speaks, the current one first.
    pub const ALL: [Self; 2] = [Self::V0_6, Self::V0_5];

    /// The version as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_5 => "0.5",
            Self::V0_6 => "0.6",
        }
    }

    /// The version that a full one such as `0.6.2` belongs to: versions 0.x are compatible if x is the
    /// same.
    pub fn of(full: &str) -> Option<Self> {
        let is_series = |version: &Self| {
            let rest = full.strip_prefix(version.name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        Self::ALL.into_iter().find(is_series)
    }
}

/// One thing of a world, in either version.
#[derive(Clone)]
pub enum PerVersion<Current, Previous> {
    Current(Current),
    Previous(Previous),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use wit_parser::{Function, Handle, Resolve, Type, TypeDefKind};

    use super::*;

    /// Every function of a package, as `interface.function`, with the structure of its types.
    fn functions(paths: &[&str]) -> BTreeMap<String, String> {
        let mut resolve = Resolve::default();
        let pushed = paths.iter().map(|path| resolve.push_path(Path::new(path)).unwrap().0);
        let package = pushed.last().unwrap();
        let mut functions = BTreeMap::new();
        for (name, &interface) in &resolve.packages[package].interfaces {
            for (function, of) in &resolve.interfaces[interface].functions {
                functions.insert(format!("{name}.{function}"), signature(&resolve, of));
            }
        }
        functions
    }

    fn signature(resolve: &Resolve, of: &Function) -> String {
        let param = |param: &wit_parser::Param| {
            format!("{}: {}", param.name, structure(resolve, &param.ty))
        };
        let params: Vec<String> = of.params.iter().map(param).collect();
        let result = of.result.as_ref().map(|ty| structure(resolve, ty));
        format!("({}) -> {result:?}", params.join(", "))
    }

    /// A type without the names of types: components are matched by what is left.
    fn structure(resolve: &Resolve, ty: &Type) -> String {
        let Type::Id(id) = ty else { return format!("{ty:?}") };
        let def = &resolve.types[*id];
        let of = |ty: &Type| structure(resolve, ty);
        let of_some = |ty: &Option<Type>| ty.as_ref().map(|ty| structure(resolve, ty));
        match &def.kind {
            TypeDefKind::Type(ty) => of(ty),
            TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
            TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
            TypeDefKind::Tuple(tuple) => {
                format!("{:?}", tuple.types.iter().map(of).collect::<Vec<_>>())
            }
            TypeDefKind::Result(result) => {
                format!("result<{:?}, {:?}>", of_some(&result.ok), of_some(&result.err))
            }
            TypeDefKind::Enum(of) => {
                format!("{:?}", of.cases.iter().map(|case| &case.name).collect::<Vec<_>>())
            }
            TypeDefKind::Record(record) => {
                let field = |field: &wit_parser::Field| (field.name.clone(), of(&field.ty));
                format!("{:?}", record.fields.iter().map(field).collect::<Vec<_>>())
            }
            TypeDefKind::Variant(variant) => {
                let case = |case: &wit_parser::Case| (case.name.clone(), of_some(&case.ty));
                format!("{:?}", variant.cases.iter().map(case).collect::<Vec<_>>())
            }
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => {
                format!("resource {:?}", resolve.types[*id].name)
            }
            other => panic!("a type that is not compared: {other:?}"),
        }
    }

    #[test]
    fn the_previous_contract_is_bound_as_it_was() {
        let as_it_was = functions(&["wit/v0_5"]);
        let as_bound = functions(&["../../wit", "wit/v0_5_changes.wit"]);
        assert!(as_it_was.len() > 50, "{}", as_it_was.len());
        for (function, signature) in &as_it_was {
            assert_eq!(as_bound.get(function), Some(signature), "{function}");
        }
    }

    #[test]
    fn a_version_belongs_to_its_series() {
        assert_eq!(ContractVersion::of("0.5.7"), Some(ContractVersion::V0_5));
        assert_eq!(ContractVersion::of("0.6"), Some(ContractVersion::V0_6));
        assert_eq!(ContractVersion::of("0.60.0"), None);
        assert_eq!(ContractVersion::of("1.0.0"), None);
    }
}
