//! What is wrong with a type that holds a secret.

use crate::source::{Holder, Source, arguments, is_known, last, name_of, target, words};
use std::collections::BTreeSet;
use syn::Pat;
use syn::visit::{self, Visit};

/// Traits that compare, or order, or hash, a secret by its bytes, or show it.
const DERIVED: [&str; 7] = [
    "PartialEq",
    "Eq",
    "PartialOrd",
    "Ord",
    "Hash",
    "Debug",
    "Display",
];

/// What is wrong with a type.
fn faults(holder: &Holder, impls: &[&syn::ItemImpl]) -> Vec<String> {
    if holder.parts.is_empty() {
        return Vec::new();
    }
    let derives = |name: &&&str| holder.derived.iter().any(|derived| derived == **name);
    let derived = DERIVED.iter().filter(derives);
    let mut faults: Vec<String> = derived.map(|name| format!("derives {name}")).collect();
    for it in impls.iter().filter(|it| target(it) == holder.name) {
        let Some((of, _)) = &it.trait_ else {
            continue;
        };
        let fault = match last(of).as_str() {
            "PartialEq" if !words(it).iter().any(|word| word == "ct_eq") => {
                "is compared, and not by ct_eq"
            }
            "PartialOrd" | "Ord" | "Hash" | "Display" => "is ordered, hashed or displayed",
            "Debug" if Shown::by(holder, it) => "shows a secret when it is debugged",
            _ => continue,
        };
        faults.push(fault.to_owned());
    }
    faults
}

/// Is a part with a secret used, but to say whether it is there, or how long it is?
struct Shown<'a> {
    parts: &'a BTreeSet<String>,
    found: bool,
}

impl<'a> Shown<'a> {
    fn by(holder: &'a Holder, it: &syn::ItemImpl) -> bool {
        let parts = &holder.parts;
        let mut shown = Self {
            parts,
            found: false,
        };
        shown.visit_item_impl(it);
        shown.found
    }
}

/// Does it give a name to nothing?
fn is_blank(pattern: &Pat) -> bool {
    matches!(pattern, Pat::Wild(_) | Pat::Rest(_))
}

impl Visit<'_> for Shown<'_> {
    fn visit_expr_field(&mut self, it: &syn::ExprField) {
        self.found |= self.parts.contains(&name_of(&it.member));
        visit::visit_expr_field(self, it);
    }

    fn visit_expr_method_call(&mut self, it: &syn::ExprMethodCall) {
        if !is_known(it) {
            visit::visit_expr_method_call(self, it);
        }
    }

    fn visit_field_pat(&mut self, it: &syn::FieldPat) {
        self.found |= self.parts.contains(&name_of(&it.member)) && !is_blank(&it.pat);
        visit::visit_field_pat(self, it);
    }

    fn visit_pat_struct(&mut self, it: &syn::PatStruct) {
        self.found |= self.parts.contains(&last(&it.path)) && !it.fields.is_empty();
        visit::visit_pat_struct(self, it);
    }

    fn visit_pat_tuple_struct(&mut self, it: &syn::PatTupleStruct) {
        self.found |= self.parts.contains(&last(&it.path)) && !it.elems.iter().all(is_blank);
        visit::visit_pat_tuple_struct(self, it);
    }

    fn visit_macro(&mut self, it: &syn::Macro) {
        for expression in arguments(it).into_iter().flat_map(|(all, _)| all) {
            self.visit_expr(&expression);
        }
    }
}

/// What is wrong in one crate.
pub fn wrong(sources: &[Source]) -> Vec<String> {
    let impls: Vec<_> = sources.iter().flat_map(|it| it.types().impls).collect();
    let types = sources.iter().flat_map(|source| {
        source.holders().into_iter().flat_map(|holder| {
            let (path, name, line) = (source.path.display(), &holder.name, holder.line);
            let says = |fault| format!("{path}:{line}: {name} {fault}");
            let faults = faults(&holder, &impls).into_iter().map(says);
            faults.collect::<Vec<_>>()
        })
    });
    types.collect()
}
