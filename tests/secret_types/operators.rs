//! Where an operator compares a secret.

use crate::source::{Holder, Source, arguments, is_known, last, name_of, names_a_secret, words};
use quote::ToTokens;
use std::collections::BTreeSet;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Expr, Pat};

/// What is a secret in a crate, by its name.
struct Names {
    holders: Vec<Holder>,
    /// Types that are nothing but a secret.
    tuples: BTreeSet<String>,
}

impl Names {
    /// Is something of this type, or made so, a secret?
    fn is_secret(&self, kind: impl ToTokens) -> bool {
        let kind = kind.into_token_stream();
        let words = words(&kind);
        names_a_secret(kind) || words.iter().any(|word| self.tuples.contains(word))
    }
}

/// The names in a function that are said to be secrets, or made as such.
struct Said<'a> {
    known: &'a Names,
    names: BTreeSet<String>,
}

impl Said<'_> {
    fn add(&mut self, pattern: &Pat) {
        let mut bound = Bound::default();
        bound.visit_pat(pattern);
        self.names.extend(bound.0);
    }
}

/// The names that a pattern gives.
#[derive(Default)]
struct Bound(Vec<String>);

impl Visit<'_> for Bound {
    fn visit_pat_ident(&mut self, it: &syn::PatIdent) {
        self.0.push(it.ident.to_string());
        visit::visit_pat_ident(self, it);
    }
}

impl Visit<'_> for Said<'_> {
    /// Arguments, variables and those of closures.
    fn visit_pat_type(&mut self, it: &syn::PatType) {
        if self.known.is_secret(&it.ty) {
            self.add(&it.pat);
        }
    }

    fn visit_local(&mut self, it: &syn::Local) {
        let made = |init: &syn::LocalInit| {
            let words = words(&init.expr);
            words.windows(2).any(|pair| pair == ["Zeroizing", ":"])
        };
        if it.init.as_ref().is_some_and(made) {
            self.add(&it.pat);
        }
        visit::visit_local(self, it);
    }

    fn visit_pat_tuple_struct(&mut self, it: &syn::PatTupleStruct) {
        let variants = self.known.holders.iter().flat_map(|it| &it.variants);
        let name = last(&it.path);
        for variant in variants.filter(|variant| variant.name == name) {
            for (number, pattern) in it.elems.iter().enumerate() {
                if variant.fields.contains(&number.to_string()) {
                    self.add(pattern);
                }
            }
        }
        visit::visit_pat_tuple_struct(self, it);
    }

    fn visit_pat_struct(&mut self, it: &syn::PatStruct) {
        let variants = self.known.holders.iter().flat_map(|it| &it.variants);
        let name = last(&it.path);
        for variant in variants.filter(|variant| variant.name == name) {
            for field in &it.fields {
                if variant.fields.contains(&name_of(&field.member)) {
                    self.add(&field.pat);
                }
            }
        }
        visit::visit_pat_struct(self, it);
    }

    fn visit_macro(&mut self, it: &syn::Macro) {
        let Some((expressions, pattern)) = arguments(it) else {
            return;
        };
        expressions.iter().for_each(|it| self.visit_expr(it));
        pattern.iter().for_each(|it| self.visit_pat(it));
    }
}

/// The lines of a source in which an operator compares a secret.
struct Compared<'a> {
    known: &'a Names,
    givers: BTreeSet<String>,
    /// Of the function that is read.
    names: BTreeSet<String>,
    lines: Vec<usize>,
}

impl Compared<'_> {
    fn function(&mut self, read: impl Fn(&mut Said), go_on: impl FnOnce(&mut Self)) {
        let mut said = Said {
            known: self.known,
            names: self.names.clone(),
        };
        read(&mut said);
        let around = std::mem::replace(&mut self.names, said.names);
        go_on(self);
        self.names = around;
    }

    fn is_field(&self, name: &str) -> bool {
        let mut fields = self.known.holders.iter().flat_map(|it| &it.fields);
        fields.any(|field| field == name)
    }

    fn is_secret(&self, word: &str) -> bool {
        self.names.contains(word) || self.givers.contains(word) || self.is_field(word)
    }

    fn compare(&mut self, operands: [&Expr; 2]) {
        let mut mentioned = Mentioned {
            by: self,
            found: false,
        };
        operands.into_iter().for_each(|it| mentioned.visit_expr(it));
        if mentioned.found {
            self.lines.push(operands[0].span().start().line);
        }
    }
}

impl<'a> Visit<'a> for Compared<'_> {
    fn visit_item_fn(&mut self, it: &'a syn::ItemFn) {
        self.function(
            |said| said.visit_item_fn(it),
            |own| visit::visit_item_fn(own, it),
        );
    }

    fn visit_impl_item_fn(&mut self, it: &'a syn::ImplItemFn) {
        self.function(
            |said| said.visit_impl_item_fn(it),
            |own| visit::visit_impl_item_fn(own, it),
        );
    }

    fn visit_trait_item_fn(&mut self, it: &'a syn::TraitItemFn) {
        self.function(
            |said| said.visit_trait_item_fn(it),
            |own| visit::visit_trait_item_fn(own, it),
        );
    }

    fn visit_expr_binary(&mut self, it: &'a syn::ExprBinary) {
        if matches!(it.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_)) {
            self.compare([&it.left, &it.right]);
        }
        visit::visit_expr_binary(self, it);
    }

    fn visit_expr_method_call(&mut self, it: &'a syn::ExprMethodCall) {
        let compares = ["eq", "ne", "cmp", "partial_cmp"];
        if compares.iter().any(|method| it.method == method)
            && let Some(other) = it.args.first()
        {
            self.compare([&it.receiver, other]);
        }
        visit::visit_expr_method_call(self, it);
    }

    fn visit_macro(&mut self, it: &'a syn::Macro) {
        let Some((expressions, _)) = arguments(it) else {
            // What a macro of another kind compares is not known: it may be anything it mentions.
            let words = words(&it.tokens);
            let compares = |pair: &[String]| pair == ["=", "="] || pair == ["!", "="];
            if words.windows(2).any(compares) && words.iter().any(|word| self.is_secret(word)) {
                self.lines.push(it.span().start().line);
            }
            return;
        };
        let name = last(&it.path);
        if let [one, other, ..] = &expressions[..]
            && (name.ends_with("assert_eq") || name.ends_with("assert_ne"))
        {
            self.compare([one, other]);
        }
        expressions.iter().for_each(|it| self.visit_expr(it));
    }
}

/// Is a secret mentioned in an operand, but to say whether it is there, or how long it is?
struct Mentioned<'a, 'b> {
    by: &'a Compared<'b>,
    found: bool,
}

impl Visit<'_> for Mentioned<'_, '_> {
    fn visit_expr_path(&mut self, it: &syn::ExprPath) {
        let name = it.path.get_ident().map(ToString::to_string);
        self.found |= name.is_some_and(|name| self.by.names.contains(&name));
    }

    fn visit_expr_field(&mut self, it: &syn::ExprField) {
        self.found |= self.by.is_field(&name_of(&it.member));
        visit::visit_expr_field(self, it);
    }

    fn visit_expr_call(&mut self, it: &syn::ExprCall) {
        if let Expr::Path(function) = &*it.func {
            self.found |= self.by.givers.contains(&last(&function.path));
        }
        visit::visit_expr_call(self, it);
    }

    fn visit_expr_method_call(&mut self, it: &syn::ExprMethodCall) {
        if !is_known(it) {
            self.found |= self.by.givers.contains(&it.method.to_string());
            visit::visit_expr_method_call(self, it);
        }
    }

    fn visit_macro(&mut self, it: &syn::Macro) {
        for expression in arguments(it).into_iter().flat_map(|(all, _)| all) {
            self.visit_expr(&expression);
        }
    }
}

/// The types that are nothing but a secret, by name.
pub fn tuples<'a>(holders: impl Iterator<Item = &'a Holder>) -> BTreeSet<String> {
    let tuples = holders.filter(|holder| holder.is_tuple && !holder.parts.is_empty());
    tuples.map(|holder| holder.name.clone()).collect()
}

/// The lines of a crate, and its types, of which `others` may be used too.
pub fn all_compared(sources: &[Source], others: &BTreeSet<String>) -> Vec<String> {
    let holders: Vec<_> = sources.iter().flat_map(Source::holders).collect();
    let known = Names {
        tuples: tuples(holders.iter()).union(others).cloned().collect(),
        holders,
    };
    let lines = sources.iter().flat_map(|source| {
        let mut compared = Compared {
            known: &known,
            givers: source.types().givers,
            names: BTreeSet::new(),
            lines: Vec::new(),
        };
        compared.visit_file(&source.items);
        let lines = compared.lines.into_iter();
        lines.map(|line| format!("{}:{line}", source.path.display()))
    });
    lines.collect()
}
