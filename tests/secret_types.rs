//! No secret is compared by an operator, which takes longer the more is the same, and none is shown. This reads the
//! source: each type that holds one (`Zeroizing`, `runtime`'s `Secret`, `Hidden`, or what wipes a field of its own), and
//! each `==` with an operand that its function, its type or a pattern names as such. It does not know the type of an
//! expression: what is kept as a plain text, as `state` and `nonce` of `auth-keycloak` are, goes by unseen. That `auth`
//! takes the same steps for every wrong answer is counted in `workers/auth/tests/timing.rs`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A word, a number, a mark, or `""` for any text; and its line.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Marks of more than one sign that mean something else than their signs do.
const MARKS: [&str; 10] = ["==", "!=", "<=", ">=", "=>", "->", "::", "&&", "||", ".."];

/// What a compiler would read, without comments, lifetimes and what is only there in tests.
fn tokens(source: &str) -> Vec<Token> {
    let signs: Vec<char> = source.chars().collect();
    let (mut all, mut at, mut line) = (Vec::new(), 0, 1);
    let word = |sign: char| sign.is_alphanumeric() || sign == '_';
    while let Some(sign) = signs.get(at).copied() {
        let rest = |text: &str| {
            let mut ahead = signs[at..].iter();
            text.chars().all(|wanted| ahead.next() == Some(&wanted))
        };
        let (begin, first) = (at, line);
        let mut text = None;
        if rest("//") {
            while signs.get(at).is_some_and(|sign| *sign != '\n') {
                at += 1;
            }
        } else if rest("/*") {
            at += 2;
            while at < signs.len() && !(signs[at - 1] == '*' && signs[at] == '/') {
                at += 1;
            }
            at += 1;
        } else if let Some(end) = raw_text(&signs, at) {
            (at, text) = (end, Some("\"\"".to_owned()));
        } else if sign == '"' {
            at += 1;
            while signs.get(at).is_some_and(|sign| *sign != '"') {
                at += if signs[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
            text = Some("\"\"".to_owned());
        } else if sign == '\'' && signs.get(at + 1) == Some(&'\\') {
            at += 3;
            while signs.get(at).is_some_and(|sign| *sign != '\'') {
                at += 1;
            }
            at += 1;
            text = Some("\"\"".to_owned());
        } else if sign == '\'' && signs.get(at + 2) == Some(&'\'') {
            at += 3;
            text = Some("\"\"".to_owned());
        } else if sign == '\'' {
            at += 1;
            while signs.get(at).copied().is_some_and(word) {
                at += 1;
            }
        } else if word(sign) {
            while signs.get(at).copied().is_some_and(word) {
                at += 1;
            }
            text = Some(signs[begin..at].iter().collect());
        } else if let Some(mark) = MARKS.into_iter().find(|mark| rest(mark)) {
            at += 2;
            text = Some(mark.to_owned());
        } else {
            at += 1;
            text = (!sign.is_whitespace()).then(|| sign.to_string());
        }
        at = at.min(signs.len());
        line += signs[begin..at]
            .iter()
            .filter(|sign| **sign == '\n')
            .count();
        all.extend(text.map(|text| Token { text, line: first }));
    }
    without_tests(&all)
}

/// Where a text ends that begins here with `r"`, `r#"` and so on.
fn raw_text(signs: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).and_then(|before| signs.get(before));
    let prefix = signs.get(at) == Some(&'r') && !before.is_some_and(|sign| sign.is_alphanumeric());
    let marks = signs[at..]
        .iter()
        .skip(1)
        .take_while(|sign| **sign == '#')
        .count();
    if !prefix || signs.get(at + 1 + marks) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(vec!['#'; marks]).collect();
    let inside = &signs[at + 2 + marks..];
    let length = inside.windows(end.len()).position(|part| part == end)?;
    Some(at + 2 + marks + length + end.len())
}

/// The place of the bracket that closes the one here.
fn closed(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

/// The place of the bracket that opens the one here.
fn opened(tokens: &[Token], close: usize) -> usize {
    let mut depth = 0_usize;
    for at in (0..=close).rev() {
        match tokens[at].text.as_str() {
            ")" | "]" | "}" => depth += 1,
            "(" | "[" | "{" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    0
}

fn is(tokens: &[Token], at: usize, texts: &[&str]) -> bool {
    let mut here = tokens.iter().skip(at);
    texts
        .iter()
        .all(|text| here.next().is_some_and(|token| token.text == *text))
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if is(tokens, at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            // To the end of the item behind it.
            while at < tokens.len() && !["{", ";"].contains(&tokens[at].text.as_str()) {
                at += 1;
            }
            if is(tokens, at, &["{"]) {
                at = closed(tokens, at);
            }
        } else {
            kept.push(tokens[at].clone());
        }
        at += 1;
    }
    kept
}

/// Do these tokens name what wipes a secret, and compares it as anybody likes? `Secret` is that of `runtime`.
fn names_a_secret(tokens: &[Token]) -> bool {
    (0..tokens.len()).any(|at| {
        is(tokens, at, &["Zeroizing"])
            || is(tokens, at, &["SecretMemory"])
            || is(tokens, at, &["Secret", "<"])
    })
}

/// The same, or `Hidden`: two of them are compared in constant time, but what is in one need not be.
fn has_a_secret(tokens: &[Token]) -> bool {
    names_a_secret(tokens) || (0..tokens.len()).any(|at| is(tokens, at, &["Hidden", "<"]))
}

fn is_word(text: &str) -> bool {
    text != "_" && text.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
}

/// A type with a secret in it.
struct Holder {
    name: String,
    line: usize,
    derived: Vec<String>,
    /// Names of the fields, their numbers, or names of the variants that have it; not in a `Hidden`.
    parts: BTreeSet<String>,
    /// Names of the fields that have it, also in a `Hidden`.
    fields: BTreeSet<String>,
    /// Of an enum: the variants that have it, and in which field.
    inside: Vec<(String, Option<String>)>,
    /// It is nothing but a secret.
    is_tuple: bool,
}

/// What an `impl` is for.
struct Given {
    /// Of the trait, if there is one.
    name: Option<String>,
    to: String,
    body: Vec<Token>,
}

struct Source {
    path: PathBuf,
    tokens: Vec<Token>,
    functions: Vec<Range<usize>>,
}

impl Source {
    fn new(path: PathBuf, text: &str) -> Self {
        let tokens = tokens(text);
        let begins = (0..tokens.len()).filter(|at| tokens[*at].text == "fn");
        let functions = begins.filter_map(|at| {
            let open =
                (at..tokens.len()).find(|at| ["{", ";"].contains(&tokens[*at].text.as_str()))?;
            (tokens[open].text == "{").then(|| at..closed(&tokens, open) + 1)
        });
        Self {
            functions: functions.collect(),
            path,
            tokens,
        }
    }

    /// The types with a secret among their fields, or that wipe one.
    fn holders(&self) -> Vec<Holder> {
        let (all, wiped) = (&self.tokens, self.wiped());
        let (mut holders, mut derived, mut at) = (Vec::new(), Vec::new(), 0);
        while at < all.len() {
            if is(all, at, &["#", "["]) {
                let end = closed(all, at + 1);
                if is(all, at + 2, &["derive"]) {
                    derived.extend(all[at + 3..end].iter().map(|token| token.text.clone()));
                }
                at = end;
            } else if is(all, at, &["struct"]) || is(all, at, &["enum"]) {
                let body =
                    (at..all.len()).find(|at| ["{", "(", ";"].contains(&all[*at].text.as_str()));
                let open = body.expect("a type has a body");
                let end = if all[open].text == ";" {
                    open
                } else {
                    closed(all, open)
                };
                let (name, is_enum) = (all[at + 1].text.clone(), all[at].text == "enum");
                let is_tuple = all[open].text == "(";
                let body = &all[open.min(end - 1) + 1..end];
                let mut parts = named(body, is_tuple, names_a_secret);
                let own = wiped.iter().filter(|(of, _)| *of == name);
                parts.extend(own.map(|(_, part)| part.clone()));
                let mut fields = named(body, is_tuple, has_a_secret);
                fields.extend(parts.iter().cloned());
                if !fields.is_empty() {
                    holders.push(Holder {
                        name,
                        line: all[at].line,
                        derived: derived.clone(),
                        parts,
                        inside: if is_enum { inside(body) } else { Vec::new() },
                        fields: if is_enum || is_tuple {
                            BTreeSet::new()
                        } else {
                            fields
                        },
                        is_tuple,
                    });
                }
                at = end;
                derived.clear();
            } else if !["pub", "(", "crate", "super", ")"].contains(&all[at].text.as_str()) {
                derived.clear();
            }
            at += 1;
        }
        holders
    }

    /// Every `impl`.
    fn given(&self) -> Vec<Given> {
        let all = &self.tokens;
        let begins = |at: &usize| {
            all[*at].text == "impl"
                && (*at == 0 || ["}", ";", "]"].contains(&all[*at - 1].text.as_str()))
        };
        let impls = (0..all.len()).filter(begins).map(|at| {
            let open = (at..all.len()).find(|at| all[*at].text == "{");
            let open = open.expect("an impl has a body");
            let head = &all[at + 1..open];
            let head = match is(head, 0, &["<"]) {
                // Its own parameters.
                true => {
                    let end = head.iter().position(|token| token.text == ">");
                    &head[end.expect("parameters end") + 1..]
                }
                false => head,
            };
            // The last word before what it is given.
            let named = |part: &[Token]| {
                let words = part
                    .iter()
                    .take_while(|token| !["<", "where"].contains(&token.text.as_str()));
                words
                    .last()
                    .map(|token| token.text.clone())
                    .unwrap_or_default()
            };
            let place = head.iter().position(|token| token.text == "for");
            Given {
                name: place.map(|place| named(&head[..place])),
                to: named(&head[place.map_or(0, |place| place + 1)..]),
                body: all[open..=closed(all, open)].to_vec(),
            }
        });
        impls.collect()
    }

    /// The parts of types that their own code wipes.
    fn wiped(&self) -> Vec<(String, String)> {
        let impls = self.given();
        let parts = impls.iter().flat_map(|given| {
            let body = &given.body;
            let places = (0..body.len())
                .filter(|at| is(body, *at, &["self", "."]) && is(body, *at + 3, &[".", "zeroize"]));
            places.map(|at| (given.to.clone(), body[at + 2].text.clone()))
        });
        parts.collect()
    }

    /// What stands between the parentheses or braces behind the names of these variants: a name of each secret there,
    /// and how far it means that. In an expression it means nothing new.
    fn bound(&self, holders: &[Holder]) -> Vec<(String, Range<usize>)> {
        let all = &self.tokens;
        let mut names = Vec::new();
        for (variant, field) in holders.iter().flat_map(|holder| &holder.inside) {
            for at in (0..all.len()).filter(|at| all[*at].text == *variant) {
                let Some(open) = all
                    .get(at + 1)
                    .filter(|token| ["(", "{"].contains(&token.text.as_str()))
                else {
                    continue;
                };
                let inside = at + 2..closed(all, at + 1);
                let name = match (open.text.as_str(), field) {
                    ("(", None) => inside.clone().find(|at| is_word(&all[*at].text)),
                    ("{", Some(field)) => inside
                        .clone()
                        .find(|at| all[*at].text == *field)
                        .map(|at| if is(all, at + 1, &[":"]) { at + 2 } else { at }),
                    _ => None,
                };
                names.extend(name.map(|at| (all[at].text.clone(), self.function(at))));
            }
        }
        names
    }

    /// The function around a place, or nothing.
    fn function(&self, place: usize) -> Range<usize> {
        let around = self.functions.iter().filter(|range| range.contains(&place));
        around
            .min_by_key(|range| range.len())
            .cloned()
            .unwrap_or_default()
    }

    /// Names of arguments and variables that are said to be secrets, or made as such, and where they are.
    fn said(&self, tuples: &BTreeSet<String>) -> Vec<(String, Range<usize>)> {
        let all = &self.tokens;
        let is_said = |at: &usize| {
            let ends = [",", ";", "=", ")", "}", "{", "|"];
            let kind = all[*at..]
                .iter()
                .take_while(|token| !ends.contains(&token.text.as_str()));
            let kind: Vec<_> = kind.cloned().collect();
            all[*at].text == ":"
                && (names_a_secret(&kind) || kind.iter().any(|token| tuples.contains(&token.text)))
        };
        let said = (1..all.len()).filter(is_said).map(|at| at - 1);
        let made = (0..all.len())
            .filter(|at| all[*at].text == "let")
            .flat_map(|at| {
                let end = |begin: usize, ends: &[&str]| {
                    let mut at = begin;
                    while at < all.len() && !ends.contains(&all[at].text.as_str()) {
                        at = match ["(", "[", "{"].contains(&all[at].text.as_str()) {
                            true => closed(all, at) + 1,
                            false => at + 1,
                        };
                    }
                    at
                };
                let pattern = at + 1..end(at + 1, &["=", ":", ";"]);
                let value = &all[pattern.end..end(pattern.end, &[";", "else"])];
                let makes = (0..value.len()).any(|at| is(value, at, &["Zeroizing", "::"]));
                pattern.filter(move |at| makes && is_word(&all[*at].text))
            });
        let names = said.chain(made);
        names
            .map(|at| (all[at].text.clone(), self.function(at)))
            .collect()
    }

    /// Functions that give a secret.
    fn givers(&self) -> impl Iterator<Item = String> {
        let all = &self.tokens;
        let heads = (0..all.len()).filter(|at| all[*at].text == "fn").map(|at| {
            let end = (at..all.len()).find(|at| ["{", ";"].contains(&all[*at].text.as_str()));
            &all[at..end.unwrap_or(all.len())]
        });
        let giver = |head: &[Token]| {
            let gives = head.iter().position(|token| token.text == "->")?;
            has_a_secret(&head[gives..]).then(|| head[1].text.clone())
        };
        heads.filter_map(giver)
    }
}

/// The parts of a type, each with its number.
fn split(body: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    while at < body.len() {
        if body[at].text == "," {
            parts.push(&body[begin..at]);
            begin = at + 1;
        } else if ["(", "[", "{"].contains(&body[at].text.as_str()) {
            at = closed(body, at);
        }
        at += 1;
    }
    parts.push(&body[begin..]);
    parts
}

/// The parts with a secret: fields by name, or by number in a tuple; variants by name.
fn named(body: &[Token], is_tuple: bool, has: fn(&[Token]) -> bool) -> BTreeSet<String> {
    let parts = split(body).into_iter().enumerate();
    let secret = parts.filter(|(_, part)| has(part));
    let name = |(number, part): (usize, &[Token])| match is_tuple {
        true => number.to_string(),
        false => name_of(part),
    };
    secret.map(name).collect()
}

/// In the variants of an enum: the name of each with a secret, and of its field.
fn inside(body: &[Token]) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for variant in split(body).into_iter().filter(|part| has_a_secret(part)) {
        let name = name_of(variant);
        let open = variant
            .iter()
            .position(|token| ["(", "{"].contains(&token.text.as_str()));
        let open = open.expect("a secret is in something");
        let fields = named(&variant[open + 1..variant.len() - 1], false, has_a_secret);
        match variant[open].text.as_str() {
            "(" => all.push((name, None)),
            _ => all.extend(fields.into_iter().map(|field| (name.clone(), Some(field)))),
        }
    }
    all
}

/// Of a field or a variant: the first word that is no attribute and does not say who sees it.
fn name_of(part: &[Token]) -> String {
    let mut at = 0;
    loop {
        if is(part, at, &["#", "["]) || is(part, at, &["pub", "("]) {
            at = closed(part, at + 1) + 1;
        } else if is(part, at, &["pub"]) {
            at += 1;
        } else {
            return part[at].text.clone();
        }
    }
}

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
/// What may be known of a secret.
const KNOWN: [&str; 4] = ["len", "is_empty", "is_some", "is_none"];

/// What is wrong with a type.
fn faults(holder: &Holder, impls: &[&Given]) -> Vec<String> {
    if holder.parts.is_empty() {
        return Vec::new();
    }
    let derives = |name: &&&str| holder.derived.iter().any(|derived| derived == **name);
    let derived = DERIVED.iter().filter(derives);
    let mut faults: Vec<String> = derived.map(|name| format!("derives {name}")).collect();
    for Given { name, body, .. } in impls {
        let fault = match name.as_deref() {
            Some("PartialEq") if !(0..body.len()).any(|at| is(body, at, &[".", "ct_eq", "("])) => {
                "is compared, and not by ct_eq"
            }
            Some("PartialOrd" | "Ord" | "Hash" | "Display") => "is ordered, hashed or displayed",
            Some("Debug") if shows(holder, body) => "shows a secret when it is debugged",
            _ => continue,
        };
        faults.push(fault.to_owned());
    }
    faults
}

/// Does this use a part with a secret, but to say whether it is there, or how long it is?
fn shows(holder: &Holder, body: &[Token]) -> bool {
    (0..body.len()).any(|at| {
        let method = at > 0 && body[at - 1].text == "." && is(body, at + 1, &["("]);
        let named = holder.parts.contains(&body[at].text) && !method;
        let hidden = is(body, at + 1, &["(", "_", ")"])
            || is(body, at + 1, &["(", "..", ")"])
            || is(body, at + 1, &["{", "..", "}"])
            || KNOWN
                .iter()
                .any(|known| is(body, at + 1, &[".", known, "("]));
        named && !hidden
    })
}

/// Words that begin what an operator compares, and are no part of it.
const KEYWORDS: [&str; 8] = [
    "if", "let", "return", "match", "in", "while", "move", "else",
];

/// Is it a part of an operand, apart from what stands in brackets?
fn is_part(token: &Token) -> bool {
    let sign = token.text.chars().next().unwrap_or_default();
    let word = (sign.is_alphanumeric() || sign == '_') && !KEYWORDS.contains(&token.text.as_str());
    word || [".", "::", "*", "&", "?", "\"\""].contains(&token.text.as_str())
}

/// What stands at both sides of an operator, or before and behind the name of a method.
fn operands(all: &[Token], at: usize) -> [Range<usize>; 2] {
    let bracket = |at: usize, brackets: [&str; 2]| brackets.contains(&all[at].text.as_str());
    let (mut begin, mut end) = (at, at + 1);
    while begin > 0 && (is_part(&all[begin - 1]) || bracket(begin - 1, [")", "]"])) {
        begin = match is_part(&all[begin - 1]) {
            true => begin - 1,
            false => opened(all, begin - 1),
        };
    }
    while end < all.len() && (is_part(&all[end]) || bracket(end, ["(", "["])) {
        end = match is_part(&all[end]) {
            true => end + 1,
            false => closed(all, end) + 1,
        };
    }
    [begin..at, at + 1..end]
}

/// What is a secret in a crate, by its name.
struct Names {
    holders: Vec<Holder>,
    /// Types that are nothing but a secret.
    tuples: BTreeSet<String>,
}

/// The lines in which an operator compares a secret.
fn compared(source: &Source, known: &Names) -> Vec<usize> {
    let all = &source.tokens;
    let mut names = source.said(&known.tuples);
    names.extend(source.bound(&known.holders));
    let givers: BTreeSet<_> = source.givers().collect();
    let is_secret = |at: usize| {
        let text = &all[at].text;
        if is(all, at + 1, &["("]) && givers.contains(text) {
            return true;
        }
        match all[at.saturating_sub(1)].text == "." {
            true => {
                let mut fields = known.holders.iter().flat_map(|holder| &holder.fields);
                fields.any(|field| field == text) && !is(all, at + 1, &["("])
            }
            false => names
                .iter()
                .any(|(name, place)| name == text && place.contains(&at)),
        }
    };
    let compares = |at: &usize| {
        let operator = ["==", "!="].contains(&all[*at].text.as_str());
        let method = ["eq", "ne", "cmp", "partial_cmp"].contains(&all[*at].text.as_str());
        operator || method && is(all, at - 1, &["."]) && is(all, at + 1, &["("])
    };
    let wrong = (1..all.len()).filter(compares).filter(|at| {
        operands(all, *at).into_iter().any(|mut operand| {
            let known = operand.len() > 4
                && KNOWN.contains(&all[operand.end - 3].text.as_str())
                && is(all, operand.end - 2, &["(", ")"]);
            !known && operand.any(is_secret)
        })
    });
    wrong.map(|at| all[at].line).collect()
}

/// The types that are nothing but a secret, by name.
fn tuples<'a>(holders: impl Iterator<Item = &'a Holder>) -> BTreeSet<String> {
    let tuples = holders.filter(|holder| holder.is_tuple && !holder.parts.is_empty());
    tuples.map(|holder| holder.name.clone()).collect()
}

/// The lines of a crate, and its types, of which `others` may be used too.
fn all_compared(sources: &[Source], others: &BTreeSet<String>) -> Vec<String> {
    let holders: Vec<_> = sources.iter().flat_map(Source::holders).collect();
    let known = Names {
        tuples: tuples(holders.iter()).union(others).cloned().collect(),
        holders,
    };
    let lines = sources.iter().flat_map(|source| {
        let lines = compared(source, &known).into_iter();
        lines.map(|line| format!("{}:{line}", source.path.display()))
    });
    lines.collect()
}

/// What is wrong in one crate.
fn wrong(sources: &[Source]) -> Vec<String> {
    let impls: Vec<Given> = sources.iter().flat_map(Source::given).collect();
    let types = sources.iter().flat_map(|source| {
        source.holders().into_iter().flat_map(|holder| {
            let own: Vec<_> = impls
                .iter()
                .filter(|given| given.to == holder.name)
                .collect();
            let (path, name, line) = (source.path.display(), &holder.name, holder.line);
            let says = |fault| format!("{path}:{line}: {name} {fault}");
            faults(&holder, &own)
                .into_iter()
                .map(says)
                .collect::<Vec<_>>()
        })
    });
    types.collect()
}

/// The source of each crate of the product.
fn crates() -> Vec<Vec<Source>> {
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
    ] {
        assert_eq!(all_compared(&[source(text)], &others), [""; 0], "{text}");
    }
}
