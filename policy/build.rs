//! Checks and compiles the policy files. A file that is wrong is a build error.

#[allow(
    dead_code,
    reason = "the build script needs the names, the crate the rest"
)]
#[path = "src/role.rs"]
mod role;

#[allow(
    dead_code,
    reason = "the build script needs the shapes, the crate the rest"
)]
#[path = "src/data.rs"]
mod data;

#[path = "build/mod.rs"]
mod build;

mod types {
    pub use crate::data::*;
    pub use crate::role::Role;
}

use role::{Role, StartMode};
use std::path::Path;
use std::{env, fs, process};

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=roles");
    println!("cargo::rerun-if-changed=src/data.rs");
    println!("cargo::rerun-if-changed=src/role.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
        fail(&["the policies are written for x86-64 only".into()]);
    }
    let mut wrong = Vec::new();
    let mut sources = Vec::new();
    for role in Role::ALL {
        let path = format!("roles/{role}.toml");
        let read = fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| build::source::read(role, &text));
        match read {
            Ok(source) => sources.push(source),
            Err(error) => wrong.push(format!("{path}: {error}")),
        }
    }
    let known = |name: &str| Role::ALL.iter().any(|role| name == format!("{role}.toml"));
    for entry in fs::read_dir("roles").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !known(&name) {
            wrong.push(format!("roles/{name}: no role has this name"));
        }
    }
    fail(&wrong);
    for source in &sources {
        let complaints = build::lint::file(source);
        wrong.extend(
            complaints
                .iter()
                .map(|text| format!("roles/{}.toml: {text}", source.role)),
        );
    }
    wrong.extend(build::lint::all(&sources));
    fail(&wrong);

    let mut out = String::new();
    for source in &sources {
        let written = build::emit::compile(source).and_then(|filter| {
            let refusals = build::emit::refusals(source)?;
            build::emit::role(source, &filter, &refusals).map_err(|error| error.to_string())
        });
        match written {
            Ok(text) => out.push_str(&text),
            Err(error) => wrong.push(format!("roles/{}.toml: {error}", source.role)),
        }
    }
    fail(&wrong);
    let directory = env::var("OUT_DIR").unwrap_or_default();
    if let Err(error) = fs::write(Path::new(&directory).join("roles.rs"), out) {
        fail(&[format!("{directory}: {error}")]);
    }
}

/// Ends the build if there is anything to say.
fn fail(wrong: &[String]) {
    for line in wrong {
        println!("cargo::error={}", line.replace('\n', " "));
    }
    if !wrong.is_empty() {
        process::exit(1);
    }
}
