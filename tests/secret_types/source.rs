//! The source of a crate, and which of its types have a secret in them.

use proc_macro2::TokenTree;
use quote::ToTokens;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Fields, Item, Member, Pat, Token};

/// The words and signs of a part of the source.
pub fn words(part: impl ToTokens) -> Vec<String> {
    let all = part.into_token_stream().into_iter();
    let words = all.flat_map(|token| match token {
        TokenTree::Group(group) => words(group.stream()),
        other => vec![other.to_string()],
    });
    words.collect()
}

/// Does a type name what wipes a secret, and compares it as anybody likes? `Secret` is that of `runtime`.
pub fn names_a_secret(part: impl ToTokens) -> bool {
    let words = words(part);
    let wipes = |word: &String| ["Zeroizing", "SecretMemory"].contains(&word.as_str());
    words.iter().any(wipes) || words.windows(2).any(|pair| pair == ["Secret", "<"])
}

/// The same, or `Hidden`: two of them are compared in constant time, but what is in one need not be.
fn has_a_secret(part: impl ToTokens) -> bool {
    let part = part.into_token_stream();
    let hidden = words(&part).windows(2).any(|pair| pair == ["Hidden", "<"]);
    hidden || names_a_secret(part)
}

/// A variant with a secret in it.
pub struct Variant {
    pub name: String,
    /// The fields that have it.
    pub fields: Vec<String>,
}

/// A type with a secret in it.
pub struct Holder {
    pub name: String,
    pub line: usize,
    pub derived: Vec<String>,
    /// Names of the fields, their numbers, or names of the variants that have it; not in a `Hidden`.
    pub parts: BTreeSet<String>,
    /// Of a struct: names of the fields that have it, also in a `Hidden`.
    pub fields: BTreeSet<String>,
    /// Of an enum: the variants that have it, also in a `Hidden`.
    pub variants: Vec<Variant>,
    /// It is nothing but a secret.
    pub is_tuple: bool,
}

/// The fields of which this is true, by name or number.
fn fields(fields: &Fields, has: fn(&syn::Type) -> bool) -> Vec<String> {
    let secret = fields.members().zip(fields).filter(|(_, it)| has(&it.ty));
    secret.map(|(member, _)| name_of(&member)).collect()
}

pub fn name_of(member: &Member) -> String {
    member.to_token_stream().to_string()
}

/// The last word of a path, without its parameters.
pub fn last(path: &syn::Path) -> String {
    let last = path.segments.last();
    last.map(|it| it.ident.to_string()).unwrap_or_default()
}

fn derived(attributes: &[Attribute]) -> Vec<String> {
    let derives = attributes.iter().filter(|it| it.path().is_ident("derive"));
    derives.flat_map(|it| words(&it.meta)).collect()
}

pub struct Source {
    pub path: PathBuf,
    pub items: syn::File,
}

/// The types of a source with a secret in them, its `impl`s and its functions that give one.
#[derive(Default)]
pub struct Types<'a> {
    pub holders: Vec<Holder>,
    pub impls: Vec<&'a syn::ItemImpl>,
    pub givers: BTreeSet<String>,
}

impl<'a> Visit<'a> for Types<'a> {
    fn visit_item_struct(&mut self, it: &'a syn::ItemStruct) {
        let is_tuple = matches!(it.fields, Fields::Unnamed(_));
        self.holders.push(Holder {
            name: it.ident.to_string(),
            line: it.ident.span().start().line,
            derived: derived(&it.attrs),
            parts: fields(&it.fields, |kind| names_a_secret(kind))
                .into_iter()
                .collect(),
            fields: if is_tuple {
                BTreeSet::new()
            } else {
                fields(&it.fields, |kind| has_a_secret(kind))
                    .into_iter()
                    .collect()
            },
            variants: Vec::new(),
            is_tuple,
        });
    }

    fn visit_item_enum(&mut self, it: &'a syn::ItemEnum) {
        let parts = it.variants.iter().filter(|it| names_a_secret(&it.fields));
        let variants = it.variants.iter().filter(|it| has_a_secret(&it.fields));
        self.holders.push(Holder {
            name: it.ident.to_string(),
            line: it.ident.span().start().line,
            derived: derived(&it.attrs),
            parts: parts.map(|it| it.ident.to_string()).collect(),
            fields: BTreeSet::new(),
            variants: variants
                .map(|it| Variant {
                    name: it.ident.to_string(),
                    fields: fields(&it.fields, |kind| has_a_secret(kind)),
                })
                .collect(),
            is_tuple: false,
        });
    }

    fn visit_item_impl(&mut self, it: &'a syn::ItemImpl) {
        self.impls.push(it);
        visit::visit_item_impl(self, it);
    }

    fn visit_signature(&mut self, it: &'a syn::Signature) {
        if has_a_secret(&it.output) {
            self.givers.insert(it.ident.to_string());
        }
    }
}

/// What an `impl` is for.
pub fn target(it: &syn::ItemImpl) -> String {
    match &*it.self_ty {
        syn::Type::Path(kind) => last(&kind.path),
        _ => String::new(),
    }
}

/// The fields of `self` that are wiped.
#[derive(Default)]
struct Wiped(BTreeSet<String>);

impl Visit<'_> for Wiped {
    fn visit_expr_method_call(&mut self, it: &syn::ExprMethodCall) {
        if let Expr::Field(field) = &*it.receiver
            && it.method == "zeroize"
            && words(&field.base) == ["self"]
        {
            self.0.insert(name_of(&field.member));
        }
        visit::visit_expr_method_call(self, it);
    }
}

impl Source {
    pub fn new(path: PathBuf, text: &str) -> Self {
        let mut items = syn::parse_file(text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        without_tests(&mut items.items);
        Self { path, items }
    }

    pub fn types(&self) -> Types<'_> {
        let mut types = Types::default();
        types.visit_file(&self.items);
        for it in &types.impls {
            let (name, mut wiped) = (target(it), Wiped::default());
            wiped.visit_item_impl(it);
            for holder in types
                .holders
                .iter_mut()
                .filter(|holder| holder.name == name)
            {
                holder.parts.extend(wiped.0.iter().cloned());
                if !holder.is_tuple {
                    holder.fields.extend(wiped.0.iter().cloned());
                }
            }
        }
        let has =
            |it: &Holder| !(it.parts.is_empty() && it.fields.is_empty() && it.variants.is_empty());
        types.holders.retain(has);
        types
    }

    pub fn holders(&self) -> Vec<Holder> {
        self.types().holders
    }
}

fn without_tests(items: &mut Vec<Item>) {
    items.retain_mut(|item| {
        let Item::Mod(module) = item else { return true };
        if let Some((_, items)) = &mut module.content {
            without_tests(items);
        }
        let is_test = |it: &Attribute| words(&it.meta) == ["cfg", "test"];
        !module.attrs.iter().any(is_test)
    });
}

/// The expressions, and the pattern, that a macro of the usual kinds is called with. `None`: it is of another kind.
pub fn arguments(it: &syn::Macro) -> Option<(Vec<Expr>, Option<Pat>)> {
    let list = |input: ParseStream| Punctuated::<Expr, Token![,]>::parse_terminated(input);
    let matches = |input: ParseStream| {
        let mut all = vec![input.parse()?];
        input.parse::<Token![,]>()?;
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        if input.parse::<Option<Token![if]>>()?.is_some() {
            all.push(input.parse()?);
        }
        input.parse::<Option<Token![,]>>()?;
        Ok((all, Some(pattern)))
    };
    if it.path.is_ident("matches") {
        return matches.parse2(it.tokens.clone()).ok();
    }
    let all = list.parse2(it.tokens.clone()).ok()?;
    Some((all.into_iter().collect(), None))
}

/// What may be known of a secret.
const KNOWN: [&str; 4] = ["len", "is_empty", "is_some", "is_none"];

/// Does this ask no more of a secret than may be known?
pub fn is_known(it: &syn::ExprMethodCall) -> bool {
    it.args.is_empty() && KNOWN.iter().any(|known| it.method == known)
}

/// The source of each crate of the product.
pub fn crates() -> Vec<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).unwrap();
    let members = members
        .split(']')
        .next()
        .unwrap()
        .split('"')
        .skip(1)
        .step_by(2);
    let ours = members.filter(|member| *member != "tests" && !member.starts_with("tests/"));
    let read = |member: &str| {
        let mut sources = Vec::new();
        let mut folders = vec![Path::new(member).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(root.join(&folder)).unwrap().flatten() {
                let path = folder.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(root.join(&path)).unwrap();
                    sources.push(Source::new(path, &text));
                }
            }
        }
        sources
    };
    ours.map(read).collect()
}
