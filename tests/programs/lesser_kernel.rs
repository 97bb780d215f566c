//! Runs a command on what looks like a kernel that lacks a layer of the sandbox:
//! `lesser-kernel no-landlock|no-userns PROGRAM ARGUMENTS…`. A filter that everything inherits
//! refuses the calls as such a kernel does.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::os::unix::process::CommandExt;
use std::process::Command;

type Rules = Vec<(i64, Vec<SeccompRule>)>;

fn filter(rules: Rules, errno: i32) -> BpfProgram {
    let refused = SeccompAction::Errno(errno.cast_unsigned());
    let rules = rules.into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, TargetArch::x86_64);
    filter.expect("a filter").try_into().expect("a program")
}

/// landlock(7): not compiled in.
fn no_landlock() -> BpfProgram {
    let calls = [
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ];
    filter(calls.map(|call| (call, vec![])).into(), libc::ENOSYS)
}

/// user_namespaces(7): not for ordinary users, as some distributions set it.
fn no_user_namespaces() -> BpfProgram {
    let flag = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
    let with_flag = || {
        let set = SeccompCmpOp::MaskedEq(flag);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, set, flag);
        SeccompRule::new(vec![condition.expect("a condition")]).expect("a rule")
    };
    let calls = [libc::SYS_unshare, libc::SYS_clone];
    filter(
        calls.map(|call| (call, vec![with_flag()])).into(),
        libc::EPERM,
    )
}

fn main() {
    let mut words = std::env::args().skip(1);
    let filter = match words.next().as_deref() {
        Some("no-landlock") => no_landlock(),
        Some("no-userns") => no_user_namespaces(),
        other => panic!("no such kernel: {other:?}"),
    };
    seccompiler::apply_filter(&filter).expect("the filter can be installed");
    let program = words.next().expect("a program");
    let error = Command::new(program).args(words).exec();
    panic!("it cannot be executed: {error}");
}
