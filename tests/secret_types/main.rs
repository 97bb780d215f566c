//! No secret is compared by an operator, which takes longer the more is the same, and none is shown. This reads the
//! source: each type that holds one (`Zeroizing`, `runtime`'s `Secret`, `Hidden`, or what wipes a field of its own), and
//! each `==` with an operand that its function, its type or a pattern names as such. It does not know the type of an
//! expression: what is kept as a plain text, as `state` and `nonce` of `auth-keycloak` are, goes by unseen. That `auth`
//! takes the same steps for every wrong answer is counted in `workers/auth/tests/timing.rs`.

mod operators;
mod source;
mod types;

use operators::{all_compared, tuples};
use source::{Source, crates};
use std::collections::BTreeSet;
use std::path::PathBuf;
use types::wrong;

#[test]
fn no_type_with_a_secret_is_compared_byte_by_byte_or_shown() {
    let crates = crates();
    let found: BTreeSet<_> = crates
        .iter()
        .flatten()
        .flat_map(|source| {
            let names = source.holders().into_iter().map(|holder| holder.name);
            names
                .map(|name| format!("{} {name}", source.path.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    println!("{found:#?}");
    for known in [
        "ipc/src/check.rs Password",
        "ipc/src/command.rs CommandSpec",
        "ipc/src/keys.rs DerivedKey",
        "wire/src/cipher/mod.rs SessionKey",
        "workers/auth/src/otp.rs Key",
        "workers/runtime/src/secret.rs Buffer",
        "workers/runtime/src/secret.rs Secret",
    ] {
        assert!(found.contains(known), "{known} is not seen");
    }
    assert!(found.len() >= 25, "only {} types are seen", found.len());
    let wrong: Vec<_> = crates.iter().flat_map(|sources| wrong(sources)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_operator_compares_a_secret() {
    let crates = crates();
    // Crates that others use: theirs are everybody's.
    let everybodys = crates.iter().flatten().filter(|source| {
        let begins = |crate_: &&str| source.path.starts_with(crate_);
        ["ipc", "wire", "workers/runtime"].iter().any(begins)
    });
    let holders: Vec<_> = everybodys.flat_map(Source::holders).collect();
    let others = tuples(holders.iter());
    let lines: Vec<_> = crates
        .iter()
        .flat_map(|sources| all_compared(sources, &others))
        .collect();
    assert!(lines.is_empty(), "compare with ct_eq: {lines:#?}");
}

#[test]
fn what_is_forbidden_is_seen() {
    let source = |text: &str| Source::new(PathBuf::from("x.rs"), text);
    for (text, fault) in [
        (
            "#[derive(Clone, PartialEq)] pub struct A { /// It.\n pub a: Zeroizing<String>, b: u8 }",
            "derives PartialEq",
        ),
        (
            "#[derive(Debug)]\n#[must_use]\nenum A { B, C { d: u8, e: Option<Zeroizing<[u8; 2]>> } }",
            "derives Debug",
        ),
        (
            "#[derive(Hash)] pub(super) struct A<'b>(u8, Secret<'b>);",
            "derives Hash",
        ),
        (
            "#[derive(Eq)] struct A(Vec<u8>); impl Drop for A { fn drop(&mut self) { self.0.zeroize(); } }",
            "derives Eq",
        ),
        (
            "#[derive(Ord)] struct A { b: Vec<u8> } impl A { fn wipe(&mut self) { self.b.zeroize(); } }",
            "derives Ord",
        ),
        (
            "struct A(Zeroizing<u8>); impl PartialEq for A { fn eq(&self, o: &A) -> bool { self.0 == o.0 } }",
            "not by ct_eq",
        ),
        (
            "struct A<T>(Zeroizing<T>); impl<T> std::fmt::Display for A<T> {}",
            "displayed",
        ),
        (
            "struct A(Zeroizing<u8>); impl fmt::Debug for A { fn fmt() { write!(f, \"{}\", self.0) } }",
            "shows",
        ),
        (
            "enum A { B(Zeroizing<u8>) } impl Debug for A { fn fmt() { match self { Self::B(b) => b } } }",
            "shows",
        ),
        (
            "struct A { b: Zeroizing<u8> } impl Debug for A { fn fmt() { let Self { b } = self; } }",
            "shows",
        ),
    ] {
        let wrong = wrong(&[source(text)]);
        assert!(
            wrong.len() == 1 && wrong[0].contains(fault),
            "{text}\n{wrong:?}"
        );
    }
    for text in [
        "#[cfg_attr(test, derive(PartialEq))] struct A(Zeroizing<u8>);",
        "#[derive(PartialEq)] struct A; struct B(Zeroizing<u8>);",
        "// #[derive(Debug)]\n#[derive(Clone)] struct A(Zeroizing<u8>);",
        "#[cfg(test)] mod tests { #[derive(Debug)] struct A(Zeroizing<u8>); }",
        "struct A(Zeroizing<u8>); impl PartialEq for A { fn eq(&self, o: &A) -> bool { self.0.ct_eq(&o.0).into() } }",
        "struct A { b: Zeroizing<u8> } impl Debug for A { fn fmt() { f.field(\"b\", &self.b.len()) } }",
        "enum A { B(Zeroizing<u8>) } impl Debug for A { fn fmt() { match self { Self::B(_) => 1 } } }",
    ] {
        assert_eq!(wrong(&[source(text)]), [""; 0], "{text}");
    }
    let others = BTreeSet::from(["Password".to_owned()]);
    for text in [
        "fn f(a: &Zeroizing<String>, b: &str) -> bool { a.as_str() == b }",
        "fn f(a: Secret<'_>, b: &[u8]) -> bool { *b != *a.bytes() }",
        "fn f(a: Option<&Password>) -> bool { Some(b) == a.map(|a| &a.0) }",
        "fn f() -> bool { let a = Zeroizing::new(g()); h(&a)[..2] == *b }",
        "struct S { a: Zeroizing<u8> } impl S { fn f(&self) -> bool { b.eq(&self.a) } }",
        "fn a() -> Zeroizing<u8> {} fn f(b: &X) -> bool { b.a().as_slice() == c }",
        "fn f() -> bool { let [a, b] = [c, d].map(|x| Zeroizing::new(g(x))); e == b }",
        "enum S { A(Hidden<String>) } fn f() { match s { S::A(a) if a.as_str() == b => c, _ => d } }",
        "fn f(a: Zeroizing<u8>) { assert_eq!(*a, b, \"{c}\"); }",
        "fn f(a: Zeroizing<u8>) { if matches!(b, Some(c) if c == *a) {} }",
        "fn f(a: Zeroizing<u8>) { b! { c == a; d } }",
        "enum S { A(Zeroizing<u8>) } fn f() { let b = matches!(c, S::A(d) if *d == e); }",
        "enum S { A { b: u8, c: Hidden<u8> } } fn f() { if let S::A { c: d, .. } = s && *d != e {} }",
    ] {
        assert_eq!(all_compared(&[source(text)], &others), ["x.rs:1"], "{text}");
    }
    for text in [
        "fn f(a: &Zeroizing<String>, b: &str) -> bool { a.len() == b.len() }",
        "fn f(a: &Zeroizing<String>, b: &str) -> bool { a.ct_eq(b) }",
        "fn f(a: &Zeroizing<String>, b: &str) -> bool { b == \"a == b\" }",
        "fn f(a: &String, b: &str) -> bool { a == b }",
        "fn f(a: &Zeroizing<String>) {} fn g(a: &str) -> bool { a == b && c.a == d }",
        "enum S { A(Hidden<String>), B(u8) } fn f() { match s { S::B(a) if a == b => c, _ => d } }",
        "fn f(a: &Zeroizing<String>) -> bool { 'a' == c && d == e }",
        "fn f(a: &Zeroizing<String>) -> bool { b! { c == d; e } }",
    ] {
        assert_eq!(all_compared(&[source(text)], &others), [""; 0], "{text}");
    }
}
