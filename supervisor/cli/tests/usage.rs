//! Every row of the tables in `docs/usage.md` and `docs/authentication.md` is run through the parser.

use bulkhead_cli::auth;
use bulkhead_cli::exposure::Typed;
use bulkhead_cli::options::Command;
use bulkhead_cli::{Parsed, parse, start, syntax};

fn outcome(line: &str) -> Result<(), String> {
    let mut words = syntax::words(line).map_err(|error| error.to_string())?;
    // Variables in front of the command.
    while words.first().is_some_and(|word| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    }) {
        words.remove(0);
    }
    assert!(["xpra", "bulkhead"].contains(&words[0].as_str()), "{line}");
    "bulkhead".clone_into(&mut words[0]);
    let typed = Typed(words.clone());
    match parse(words).map_err(|error| error.to_string())? {
        Parsed::Command(cli) => match cli.command {
            Command::Seamless(args) => {
                start::check(&args, &typed).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        },
        Parsed::Text(_) => Ok(()),
    }
}

#[test]
fn every_row_has_the_stated_outcome() {
    let texts = [
        include_str!("../../../docs/usage.md"),
        include_str!("../../../docs/authentication.md"),
    ];
    let mut rows = 0;
    let lines = texts.into_iter().flat_map(str::lines);
    for row in lines.filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let Some(stated) = cells.get(1).filter(|cell| {
            let outcomes = ["accepted", "works: ", "works, ", "refused: "];
            outcomes.iter().any(|outcome| cell.starts_with(outcome))
        }) else {
            continue;
        };
        rows += 1;
        let line = cells[0].trim_matches('`');
        match (outcome(line), stated.strip_prefix("refused: ")) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => {
                assert!(error.contains(part.trim_matches('`')), "{line}\n{error}");
                assert!(
                    !error.contains('\n') && !error.contains("mysecret"),
                    "{error}"
                );
            }
            (Ok(()), Some(_)) => panic!("accepted: {line}"),
            (Err(error), None) => panic!("{line}\n{error}"),
        }
    }
    assert!(rows >= 60, "only {rows} rows were found");
}

/// Who is let in by each module stands with the sockets; what each holds off in the README and, at length, in the
/// chapter. `win32`, which is Xpra's, is in the first table only: people look there for what they know.
#[test]
fn every_module_is_in_all_tables() {
    for text in [
        include_str!("../../../docs/usage.md"),
        include_str!("../../../README.md"),
        include_str!("../../../docs/authentication.md"),
    ] {
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.filter_map(|row| row.split(" | ").next());
        let named: Vec<_> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        for kind in auth::kinds() {
            assert!(named.contains(&kind.name), "{}", kind.name);
        }
    }
    let text = include_str!("../../../docs/usage.md");
    assert!(text.contains("\n| `win32` | nobody: it is not on this platform"));
}

#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = include_str!("../../../docs/security.md");
    let mut named = 0;
    let rows = text.lines().filter(|line| line.starts_with("| "));
    for row in rows.filter(|line| line.contains(".rs` ")) {
        let tests = row
            .trim_end_matches([' ', '|'])
            .rsplit(" | ")
            .next()
            .unwrap();
        for group in tests.split("; ") {
            let (file, names) = group
                .trim_start_matches('`')
                .split_once("` ")
                .unwrap_or_else(|| panic!("{row}"));
            let source =
                std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            for name in names.split(", ") {
                named += 1;
                assert!(
                    source.contains(&format!("fn {name}(")),
                    "{file} has no test {name}"
                );
            }
        }
    }
    assert!(named >= 55, "only {named} tests are named");
}

/// `make vm` takes minutes and is run now and then: a test that gets another name is noticed here.
#[test]
fn the_tests_that_the_virtual_machine_runs_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut named = 0;
    for run in include_str!("../../../tests/vm/inside")
        .split("tests_pass ")
        .skip(1)
    {
        let mut words = run.lines().next().unwrap().split(' ');
        let file = format!("tests/{}.rs", words.next().unwrap());
        let source =
            std::fs::read_to_string(root.join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        for name in words {
            named += 1;
            assert!(
                source.contains(&format!("fn {name}(")),
                "{file} has no test {name}"
            );
        }
    }
    assert!(named >= 1, "no test is named");
}

/// The heading that a link's anchor leads to, as GitHub names them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_';
        let plain: String = line
            .trim_start_matches('#')
            .trim()
            .chars()
            .filter(kept)
            .collect();
        plain.to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages = |dir: &std::path::Path| {
        let entries = std::fs::read_dir(dir)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        entries
            .filter(|path| path.extension().is_some_and(|end| end == "md"))
            .collect::<Vec<_>>()
    };
    let mut links = 0;
    for page in pages(&root).into_iter().chain(pages(&root.join("docs"))) {
        let text = std::fs::read_to_string(&page).unwrap();
        let shown = page.display();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            links += 1;
            if target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            assert!(path.exists(), "{shown}: {target}");
            let there = || anchors(&std::fs::read_to_string(&path).unwrap());
            assert!(
                anchor.is_empty() || there().iter().any(|one| one == anchor),
                "{shown}: {target}"
            );
        }
        // What rustdoc would make a link of, and Markdown does not.
        assert!(!text.contains("[`"), "{shown} has a link of rustdoc's");
    }
    assert!(links >= 10, "only {links} links were found");
}
