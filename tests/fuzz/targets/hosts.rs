//! The rules of tcp-wrappers, as an operator writes them.
#![no_main]

use hosts::{Hosts, Name, Naming, Rules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(deny) = Rules::parse(file) else { return };
    let hosts = Hosts {
        allow: Rules::default(),
        deny,
    };
    let name = Name::new("desk.example.org").expect("a name");
    for address in ["10.0.0.1", "::1", "::ffff:10.0.0.1"] {
        let address = address.parse().expect("an address");
        for naming in [Naming::Name(name.clone()), Naming::Unknown, Naming::Paranoid] {
            let admitted = hosts.admits_named(address, &naming);
            assert!(admitted || hosts.keeps_out());
            assert!(hosts.admits_address(address).is_none_or(|it| it == admitted));
        }
    }
});
