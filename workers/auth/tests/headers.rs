//! `http-header` with a fake `network`, which is all that there is: no transport of ours has headers yet.

mod common;

use common::{Network, Supervisor, hello_of, listener, next, secret_file, serve, unix};
use ipc::ConnectionId;
use ipc::auth::{
    AuthToNetwork, AuthToSupervisor, Digest, NetworkToAuth, PeerFacts, Refusal, SupervisorToAuth,
};
use ipc::http::{Cidr, Header};
use ipc::spec::{AuthModule, SecretAt};
use ipc::verdict::Peer;
use std::net::{IpAddr, SocketAddr};

const NAME: &str = "X-Forwarded-Proto";
const VALUE: &str = "https";

/// A list of all variants, so that a new one is in every table.
macro_rules! every {
    ($(#[$doc:meta])* enum $name:ident { $($variant:ident)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $name { $($variant,)* }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

every! {
    /// Who is at the other end of the socket.
    enum Client {
        Proxy ProxyOfANetwork Proxy6 Proxy6OfANetwork MappedProxy MappedProxyOfANetwork
        Neighbour NeighbourOfTheNetwork Neighbour6 NeighbourOfTheNetwork6 MappedNeighbour
        CompatibleProxy Local LocalRoot
    }
}

impl Client {
    fn peer(self) -> PeerFacts {
        let address = match self {
            Self::Proxy => "192.0.2.1",
            Self::ProxyOfANetwork => "10.255.0.255",
            Self::Proxy6 => "2001:db8::1",
            Self::Proxy6OfANetwork => "2001:db8:1:ffff::",
            Self::MappedProxy => "::ffff:192.0.2.1",
            Self::MappedProxyOfANetwork => "::ffff:10.0.0.0",
            Self::Neighbour => "192.0.2.2",
            Self::NeighbourOfTheNetwork => "11.0.0.0",
            Self::Neighbour6 => "2001:db8::2",
            Self::NeighbourOfTheNetwork6 => "2001:db8:2::",
            Self::MappedNeighbour => "::ffff:192.0.2.0",
            // The same bits, but no address of IPv4.
            Self::CompatibleProxy => "::192.0.2.1",
            Self::Local => return unix(1000),
            Self::LocalRoot => return unix(0),
        };
        let ip: IpAddr = address.parse().unwrap();
        PeerFacts::Tcp {
            address: SocketAddr::new(ip, 443),
        }
    }

    fn is_believed(self) -> bool {
        match self {
            Self::Proxy
            | Self::ProxyOfANetwork
            | Self::Proxy6
            | Self::Proxy6OfANetwork
            | Self::MappedProxy
            | Self::MappedProxyOfANetwork => true,
            Self::Neighbour
            | Self::NeighbourOfTheNetwork
            | Self::Neighbour6
            | Self::NeighbourOfTheNetwork6
            | Self::MappedNeighbour
            | Self::CompatibleProxy
            | Self::Local
            | Self::LocalRoot => false,
        }
    }
}

fn proxies() -> Vec<Cidr> {
    [
        ("192.0.2.1", 32),
        ("10.0.0.0", 8),
        ("2001:db8::1", 128),
        ("2001:db8:1::", 48),
    ]
    .map(|(first, prefix)| Cidr::new(first.parse().unwrap(), prefix).unwrap())
    .to_vec()
}

every! {
    /// How the name is written.
    enum Name { AsItIs Small Capital Mixed }
}

impl Name {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::AsItIs => b"X-Forwarded-Proto",
            Self::Small => b"x-forwarded-proto",
            Self::Capital => b"X-FORWARDED-PROTO",
            Self::Mixed => b"x-ForWarDed-proTO",
        }
    }
}

every! {
    /// What the header says.
    enum Value {
        Exact SpaceBefore SpaceAfter TabsAround
        Empty OnlySpaces Shorter Longer Capital SpaceInside Quoted Another
        LineEndAfter CarriageReturnBefore Folded FoldedWithTab NulAfter NulBefore VerticalTab
        NoBreakSpace Wide HighBit Joined JoinedWithItself JoinedWithNothing
    }
}

impl Value {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Exact => b"https",
            Self::SpaceBefore => b" https",
            Self::SpaceAfter => b"https  ",
            Self::TabsAround => b"\t \thttps\t",
            Self::Empty => b"",
            Self::OnlySpaces => b" \t ",
            Self::Shorter => b"http",
            Self::Longer => b"httpss",
            Self::Capital => b"HTTPS",
            Self::SpaceInside => b"http s",
            Self::Quoted => b"\"https\"",
            Self::Another => b"proto",
            Self::LineEndAfter => b"https\n",
            Self::CarriageReturnBefore => b"\rhttps",
            Self::Folded => b"\r\n https",
            Self::FoldedWithTab => b"https\r\n\t",
            Self::NulAfter => b"https\0",
            Self::NulBefore => b"\0https",
            Self::VerticalTab => b"\x0bhttps\x0c",
            Self::NoBreakSpace => b"https\xa0",
            // The same letters, of another width, in UTF-8.
            Self::Wide => "\u{ff48}\u{ff54}\u{ff54}\u{ff50}\u{ff53}".as_bytes(),
            Self::HighBit => b"\xe8\xf4\xf4\xf0\xf3",
            Self::Joined => b"https, http",
            Self::JoinedWithItself => b"https,https",
            Self::JoinedWithNothing => b"https,",
        }
    }

    fn is_it(self) -> bool {
        match self {
            Self::Exact | Self::SpaceBefore | Self::SpaceAfter | Self::TabsAround => true,
            Self::Empty
            | Self::OnlySpaces
            | Self::Shorter
            | Self::Longer
            | Self::Capital
            | Self::SpaceInside
            | Self::Quoted
            | Self::Another
            | Self::LineEndAfter
            | Self::CarriageReturnBefore
            | Self::Folded
            | Self::FoldedWithTab
            | Self::NulAfter
            | Self::NulBefore
            | Self::VerticalTab
            | Self::NoBreakSpace
            | Self::Wide
            | Self::HighBit
            | Self::Joined
            | Self::JoinedWithItself
            | Self::JoinedWithNothing => false,
        }
    }
}

fn header(name: Name, value: Value) -> Header {
    Header {
        name: name.bytes().to_vec(),
        value: value.bytes().to_vec(),
    }
}

fn module() -> AuthModule {
    AuthModule::HttpHeader {
        header: NAME.to_owned(),
        secret: SecretAt {
            index: 0,
            in_place: false,
        },
        proxies: proxies(),
    }
}

fn password() -> AuthModule {
    AuthModule::Secret {
        name: "password".into(),
        secret: SecretAt {
            index: 1,
            in_place: false,
        },
    }
}

/// The service, with one listener that has these modules.
struct World<'s> {
    supervisor: &'s mut Supervisor,
    last: u64,
}

fn with(chain: Vec<AuthModule>, test: impl FnOnce(World<'_>)) {
    let secrets = [VALUE, "a password"].map(|text| secret_file(text.as_bytes()));
    serve(vec![listener(chain, false)], secrets.into(), |supervisor| {
        test(World {
            supervisor,
            last: 0,
        })
    });
}

impl World<'_> {
    fn connect(&mut self, from: Client) -> Network {
        self.last += 1;
        common::connect(self.supervisor, ConnectionId(self.last), from.peer())
    }

    /// The last connection has gone.
    fn gone(&mut self) {
        let gone = SupervisorToAuth::Gone(ConnectionId(self.last));
        self.supervisor.send(&gone, vec![]).unwrap();
    }

    /// Is a client let in of whose request this was told, if anything was? If not, what the log says.
    fn verdict(&mut self, from: Client, told: Option<Vec<Header>>) -> Result<(), Refusal> {
        let mut network = self.connect(from);
        if let Some(headers) = told {
            network
                .send(&NetworkToAuth::Headers(headers), vec![])
                .unwrap();
        }
        network.send(&hello(), vec![]).unwrap();
        let verdict = next(self.supervisor).unwrap();
        let heard = next(&mut network).unwrap();
        self.gone();
        match verdict {
            AuthToSupervisor::Accepted { module, .. } => {
                assert_eq!(
                    (module.as_str(), heard),
                    ("http-header", AuthToNetwork::Accepted)
                );
                Ok(())
            }
            AuthToSupervisor::Refused { module, why, .. } => {
                assert_eq!(module, "http-header");
                // Whatever the reason.
                let text = "authentication failed".to_owned();
                assert_eq!(heard, AuthToNetwork::Rejected { text });
                Err(why)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The last connection has broken the rules.
    fn has_reported(&mut self) {
        match next(self.supervisor).unwrap() {
            AuthToSupervisor::Violation(violation) => {
                assert_eq!(violation.peer, Peer::Network(ConnectionId(self.last)));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn hello() -> NetworkToAuth {
    hello_of("ann", &[Digest::HmacSha512])
}

/// Everybody who may come, with every header that they may bring, none, and two.
#[test]
fn a_table_of_requests() {
    with(vec![module()], |mut world| {
        let mut let_in = 0;
        for &from in Client::ALL {
            // Who is not a proxy is asked nothing more; who is has to have said it, once.
            let expected = |said: bool| match (from.is_believed(), said) {
                (false, _) => Err(Refusal::Origin),
                (true, false) => Err(Refusal::Failed),
                (true, true) => Ok(()),
            };
            for told in [None, Some(vec![])] {
                let verdict = world.verdict(from, told.clone());
                assert_eq!(verdict, expected(false), "{from:?} {told:?}");
            }
            for &value in Value::ALL {
                for &name in Name::ALL {
                    let one = header(name, value);
                    let verdict = world.verdict(from, Some(vec![one.clone()]));
                    assert_eq!(
                        verdict,
                        expected(value.is_it()),
                        "{from:?} {name:?} {value:?}"
                    );
                    let_in += u32::from(verdict.is_ok());
                    // Twice, also when both say the same, or one of them says it.
                    for &other in Name::ALL {
                        let right = header(other, Value::Exact);
                        for two in [vec![one.clone(), right.clone()], vec![right, one.clone()]] {
                            let verdict = world.verdict(from, Some(two));
                            let shown = format!("{from:?} {name:?} {value:?} and {other:?}");
                            assert_eq!(verdict, expected(false), "{shown}");
                        }
                    }
                }
            }
        }
        // Six proxies, four spellings of the name, four of the value.
        assert_eq!(let_in, 6 * 4 * 4);
    });
}

/// It is before the password, and does not replace it.
#[test]
fn the_other_modules_come_after_it() {
    with(vec![module(), password()], |mut world| {
        let right = || vec![header(Name::Small, Value::Exact)];
        let mut network = world.connect(Client::Proxy);
        let told = NetworkToAuth::Headers(right());
        network.send(&told, vec![]).unwrap();
        network.send(&hello(), vec![]).unwrap();
        let asked = next(&mut network).unwrap();
        assert!(
            matches!(asked, AuthToNetwork::Challenge { .. }),
            "{asked:?}"
        );
        world.gone();
        // Who comes from elsewhere is not asked for it.
        let verdict = world.verdict(Client::Neighbour, Some(right()));
        assert_eq!(verdict, Err(Refusal::Origin));
        assert_eq!(world.verdict(Client::Proxy, None), Err(Refusal::Failed));
    });
}

/// Two modules look at two headers of one request.
#[test]
fn each_module_looks_at_its_own() {
    let another = AuthModule::HttpHeader {
        header: "X-Door".to_owned(),
        secret: SecretAt {
            index: 1,
            in_place: false,
        },
        proxies: proxies(),
    };
    with(vec![module(), another], |mut world| {
        let first = header(Name::AsItIs, Value::Exact);
        let second = Header {
            name: b"x-door".to_vec(),
            value: b"a password".to_vec(),
        };
        for (told, verdict) in [
            (vec![second.clone(), first.clone()], Ok(())),
            (vec![first.clone()], Err(Refusal::Failed)),
            (vec![second.clone()], Err(Refusal::Failed)),
            (
                vec![first.clone(), second.clone(), second],
                Err(Refusal::Failed),
            ),
        ] {
            assert_eq!(
                world.verdict(Client::Proxy6, Some(told.clone())),
                verdict,
                "{told:?}"
            );
        }
    });
}

#[test]
fn network_tells_it_once_in_time_and_only_what_was_asked_for() {
    let right = || NetworkToAuth::Headers(vec![header(Name::AsItIs, Value::Exact)]);
    let many = |count: usize, len: usize| {
        let one = Header {
            name: NAME.as_bytes().to_vec(),
            value: vec![b' '; len],
        };
        NetworkToAuth::Headers(vec![one; count])
    };
    let cookie = || {
        let other = Header {
            name: b"Cookie".to_vec(),
            value: b"https".to_vec(),
        };
        NetworkToAuth::Headers(vec![header(Name::AsItIs, Value::Exact), other])
    };
    with(vec![module()], |mut world| {
        for (said, what) in [
            (vec![right(), right()], "twice"),
            (vec![hello(), right()], "after the hello"),
            (vec![cookie()], "another header"),
            (vec![many(65, 0)], "too many"),
            (vec![many(1, 8192)], "too long"),
        ] {
            let mut network = world.connect(Client::Proxy);
            for message in said {
                network.send(&message, vec![]).unwrap();
            }
            if what == "after the hello" {
                let refused = next(world.supervisor).unwrap();
                let why = Refusal::Failed;
                assert!(
                    matches!(&refused, AuthToSupervisor::Refused { why: it, .. } if *it == why),
                    "{refused:?}"
                );
            }
            world.has_reported();
        }
        // The others are served, with as much as there may be.
        for most in [many(64, 111), many(1, 8175)] {
            let mut network = world.connect(Client::Proxy);
            network.send(&most, vec![]).unwrap();
            network.send(&hello(), vec![]).unwrap();
            let refused = next(world.supervisor).unwrap();
            assert!(
                matches!(refused, AuthToSupervisor::Refused { .. }),
                "{refused:?}"
            );
        }
        // Where no module looks at any.
        for chain in [vec![AuthModule::None], vec![password()]] {
            for told in [right(), NetworkToAuth::Headers(vec![])] {
                with(chain.clone(), |mut world| {
                    let mut network = world.connect(Client::Proxy);
                    network.send(&told, vec![]).unwrap();
                    world.has_reported();
                });
            }
        }
    });
}
