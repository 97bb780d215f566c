//! Compiling the rules to BPF and writing the policies as Rust.

use crate::build::source::Source;
use crate::types::{Condition, Rule, Test};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

/// The filter of a role: what matches no rule kills the process, and so does a foreign
/// architecture (seccompiler's first instructions) and x32 (its numbers have bit 30 set and match
/// nothing).
pub fn compile(source: &Source) -> Result<BpfProgram, String> {
    if source.unconfined.is_some() {
        return Ok(Vec::new());
    }
    filter(
        &source.rules,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
    )
}

/// The filters that answer the refused calls, one for each error: what matches no rule passes.
pub fn refusals(source: &Source) -> Result<Vec<BpfProgram>, String> {
    let mut by_errno: BTreeMap<u16, Vec<&Rule>> = BTreeMap::new();
    for rule in &source.rules {
        if let Some(refused) = rule.refused {
            by_errno.entry(refused.errno).or_default().push(rule);
        }
    }
    by_errno
        .into_iter()
        .map(|(errno, rules)| {
            let answer = SeccompAction::Errno(errno.into());
            filter(rules, answer, SeccompAction::Allow)
        })
        .collect()
}

/// A filter that does one thing with the calls of these rules and another with all others.
fn filter<'a>(
    rules: impl IntoIterator<Item = &'a Rule>,
    matched: SeccompAction,
    others: SeccompAction,
) -> Result<BpfProgram, String> {
    let failed = |error: seccompiler::BackendError| error.to_string();
    let mut chains: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for rule in rules {
        // An empty chain means: with any arguments. The linter has seen to it that such a rule is
        // the only one of its call.
        let chain = chains.entry(rule.number).or_default();
        if !rule.conditions.is_empty() {
            let conditions = rule
                .conditions
                .iter()
                .map(condition)
                .collect::<Result<_, _>>()
                .map_err(failed)?;
            chain.push(SeccompRule::new(conditions).map_err(failed)?);
        }
    }
    SeccompFilter::new(chains, others, matched, TargetArch::x86_64)
        .and_then(BpfProgram::try_from)
        .map_err(failed)
}

fn condition(condition: &Condition) -> Result<SeccompCondition, seccompiler::BackendError> {
    let (length, all) = if condition.wide {
        (SeccompCmpArgLen::Qword, u64::MAX)
    } else {
        (SeccompCmpArgLen::Dword, u64::from(u32::MAX))
    };
    let (operator, value) = match condition.test {
        Test::Equal(value) => (SeccompCmpOp::Eq, value),
        Test::Within(bits) => (SeccompCmpOp::MaskedEq(!bits & all), 0),
        Test::Includes(bits) => (SeccompCmpOp::MaskedEq(bits), bits),
        Test::AtMost(value) => (SeccompCmpOp::Le, value),
    };
    SeccompCondition::new(condition.argument, length, operator, value)
}

/// A slice as Rust source.
fn slice<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(one).collect();
    format!("&[{}]", items.join(", "))
}

fn variant(kind: &str, value: impl Debug) -> String {
    format!("{kind}::{value:?}")
}

fn rule(rule: &Rule) -> String {
    let Rule {
        call,
        number,
        conditions,
        why,
        justification,
        path,
        refused,
    } = rule;
    let conditions = slice(conditions, |condition| {
        let Condition {
            argument,
            wide,
            test,
            text,
        } = condition;
        format!(
            "Condition {{ argument: {argument}, wide: {wide}, test: Test::{test:?}, text: {text:?} }}"
        )
    });
    format!(
        "\n        Rule {{ call: {call:?}, number: {number}, conditions: {conditions}, why: {why:?}, \
         justification: {justification:?}, path: RulePath::{path:?}, refused: {refused:?} }}"
    )
}

fn program(program: &BpfProgram) -> String {
    slice(program, |instruction| {
        format!(
            "sock_filter {{ code: {}, jt: {}, jf: {}, k: {} }}",
            instruction.code, instruction.jt, instruction.jf, instruction.k
        )
    })
}

/// The role's policy as the source of a `static`.
pub fn role(
    source: &Source,
    filter: &BpfProgram,
    refusals: &[BpfProgram],
) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let texts = |items: &[String]| slice(items, |item| format!("{item:?}"));
    let landlock = &source.landlock;
    let restart = &source.restart;
    write!(
        out,
        "pub static {}: RolePolicy = RolePolicy {{
    role: {},
    purpose: {:?},
    parses: {:?},
    holds: {},
    count: {:?},
    unconfined: {:?},
    dies_with_parent: {},
    locks_memory: {},
    channels: {},
    descriptors: {},
    received: {},
    limits: {},
    namespaces_root: {},
    namespaces_user: {},
    reads_as_root: {},
    capabilities_root: {},
    capabilities_user: {},
    landlock: Landlock {{ paths: {}, deny_tcp: {}, scope_abstract_unix: {}, scope_signal: {} }},
    restart: {restart:?},
    rules: {},
    filter: {},
    refusals: {},
}};
",
        source.role.name().to_uppercase().replace('-', "_"),
        variant("Role", source.role),
        source.purpose,
        source.parses,
        texts(&source.holds),
        source.count,
        source.unconfined.as_deref(),
        source.dies_with_parent,
        source.locks_memory,
        slice(&source.channels, |role| variant("Role", role)),
        slice(&source.descriptors, |entry| format!(
            "Descriptor {{ fd: {}, what: {:?}, kinds: {}, optional: {}, onwards: {}, \
             closed_at_start: {}, read_at_start: {} }}",
            entry.fd,
            entry.what,
            slice(entry.kinds, |kind| variant("DescriptorKind", kind)),
            entry.optional,
            entry.onwards,
            entry.closed_at_start,
            entry.read_at_start,
        )),
        slice(&source.received, |entry| format!(
            "Received {{ what: {:?}, kind: {} }}",
            entry.what,
            variant("DescriptorKind", entry.kind)
        )),
        slice(&source.limits, |limit| format!(
            "Limit {{ resource: Resource::{:?}, value: {} }}",
            limit.resource, limit.value
        )),
        slice(&source.namespaces[0], |one| variant("Namespace", one)),
        slice(&source.namespaces[1], |one| variant("Namespace", one)),
        source.reads_as_root,
        texts(&source.capabilities[0]),
        texts(&source.capabilities[1]),
        slice(landlock.paths, |path| variant("LandlockPath", path)),
        landlock.deny_tcp,
        landlock.scope_abstract_unix,
        landlock.scope_signal,
        slice(&source.rules, rule),
        program(filter),
        slice(refusals, program),
    )?;
    Ok(out)
}
