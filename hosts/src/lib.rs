//! Who may connect from where: the rules of tcp-wrappers' `hosts.allow` and `hosts.deny`
//! (hosts_access(5), hosts_options(5)). Nothing is read, looked up or written here.
//!
//! * [`Hosts`]: both files. The first rule for the service `xpra` in the one lets in, else the first one
//!   in the other keeps out, else everybody is let in. A rule that goes by a name (`.example.com`,
//!   `LOCAL`, `KNOWN`, `PARANOID`) is told what somebody has found out, a [`Naming`]; nobody has to
//!   before the first such rule that an address alone does not decide. A netgroup is a mistake, and so is
//!   everything that would start a program. Rules for other services are read for their form only:
//!   they are in the same files and none of our business.
//! * [`Name`]: what may be the name of a machine.
//! * [`table`]: what `/etc/hosts` has.
#![forbid(unsafe_code)]

mod name;
pub mod table;

pub use name::{Name, Naming};

use name::{PARANOID, UNKNOWN};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Our service's name, as the stock server calls it.
pub const SERVICE: &str = "xpra";
/// Longest part of a file's text that a message shows, in characters.
const SHOWN: usize = 60;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Mistake {
    /// Counts from 1; of a continued line the first.
    pub line: usize,
    /// What, in one printable line.
    pub what: String,
}

/// The rules of one file that are for our service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    clients: List<Pattern>,
    /// `allow` or `deny` as its option, instead of what the file is for.
    allows: Option<bool>,
}

/// `a b EXCEPT c EXCEPT d`: each part is an exception of the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct List<T>(Vec<Vec<T>>);

impl<T> List<T> {
    /// `None` where that depends on something for which `matches` has `None`.
    fn contains(&self, matches: impl Fn(&T) -> Option<bool>) -> Option<bool> {
        let mut excepted = Some(false);
        // From the right: what is an exception of nothing is what it says.
        for part in self.0.iter().rev() {
            excepted = match (one_fits(part, &matches), excepted) {
                (Some(false), _) | (_, Some(true)) => Some(false),
                (Some(true), Some(false)) => Some(true),
                _ => None,
            };
        }
        excepted
    }
}

fn one_fits<T>(part: &[T], matches: impl Fn(&T) -> Option<bool>) -> Option<bool> {
    let mut found = Some(false);
    for one in part {
        match matches(one) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => found = None,
        }
    }
    found
}

/// A client pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// `ALL`.
    All,
    /// `192.168.1.2`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `192.168.`.
    V4 { net: u32, mask: u32 },
    /// `[::1]`, `[2001:db8::]/32`.
    V6 { net: u128, mask: u128 },
    /// `10.0.*.?`: compared with the address as it is written.
    Written(String),
    /// `*.example.com`, in lower case.
    Like(String),
    /// `host.example.com`.
    Name(Name),
    /// `.example.com`, in lower case.
    Domain(String),
    /// `LOCAL`: a name without a dot.
    Local,
    /// `KNOWN`: whatever has a name.
    Known,
    /// `UNKNOWN`: no name.
    Unknown,
    /// `PARANOID`: a name that is not believed.
    Paranoid,
}

impl Pattern {
    /// `None` where that depends on the name and it is not known yet.
    fn matches(&self, address: IpAddr, naming: Option<&Naming>) -> Option<bool> {
        Some(match (self, address) {
            (Self::All, _) => true,
            (Self::V4 { net, mask }, IpAddr::V4(address)) => address.to_bits() & mask == *net,
            (Self::V6 { net, mask }, IpAddr::V6(address)) => address.to_bits() & mask == *net,
            (Self::V4 { .. } | Self::V6 { .. }, _) => false,
            (Self::Written(pattern), address) => {
                is_like(pattern.as_bytes(), address.to_string().as_bytes())
            }
            (pattern, _) => pattern.fits(naming?),
        })
    }

    /// Does a pattern that goes by names fit what is known of one?
    fn fits(&self, naming: &Naming) -> bool {
        match (self, naming) {
            (Self::Like(pattern), Naming::Name(name)) => {
                is_like(pattern.as_bytes(), name.as_str().as_bytes())
            }
            (Self::Name(wanted), Naming::Name(name)) => wanted == name,
            // More than the domain itself: it begins with a dot, and no name does.
            (Self::Domain(domain), Naming::Name(name)) => name.as_str().ends_with(domain.as_str()),
            (Self::Local, Naming::Name(name)) => !name.as_str().contains('.'),
            (Self::Known, Naming::Name(_))
            | (Self::Unknown, Naming::Unknown)
            | (Self::Paranoid, Naming::Paranoid) => true,
            _ => false,
        }
    }

    fn goes_by_names(&self) -> bool {
        match self {
            Self::All | Self::V4 { .. } | Self::V6 { .. } | Self::Written(_) => false,
            Self::Like(_)
            | Self::Name(_)
            | Self::Domain(_)
            | Self::Local
            | Self::Known
            | Self::Unknown
            | Self::Paranoid => true,
        }
    }
}

/// What the rules of one file say of a client.
enum Said {
    /// The first that fits lets it in, or does not.
    Decided(bool),
    /// None fits.
    Nothing,
    /// That depends on its name.
    NeedsName,
}

impl Rules {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing in it that cannot be put in force.
    pub fn parse(file: &[u8]) -> Result<Self, Mistake> {
        let text = std::str::from_utf8(file).map_err(|error| Mistake {
            line: line_of(file, error.valid_up_to()),
            what: "not UTF-8".to_owned(),
        })?;
        let mut rules = Vec::new();
        let mut rest = text.split_inclusive('\n').zip(1..);
        while let Some((first, line)) = rest.next() {
            let mistake = |what: String| Mistake { line, what };
            let ended = |text: &str| {
                let ended = text.strip_suffix('\n').map(str::to_owned);
                ended.ok_or_else(|| {
                    mistake("the last line has no line end: tcp-wrappers would not read it".into())
                })
            };
            let mut rule = ended(first)?;
            while let Some(continued) = rule.strip_suffix('\\') {
                let (next, _) = rest
                    .next()
                    .ok_or_else(|| mistake("goes on after the end of the file".into()))?;
                rule = format!("{continued}{}", ended(next)?);
            }
            if rule.starts_with('#') || rule.bytes().all(|byte| b" \t".contains(&byte)) {
                continue;
            }
            rules.extend(read_rule(&rule).map_err(mistake)?);
        }
        Ok(Self(rules))
    }

    /// What the first rule for this client says; `default` is what the file is for.
    fn say(&self, address: IpAddr, naming: Option<&Naming>, default: bool) -> Said {
        for rule in &self.0 {
            let fits = |pattern: &Pattern| pattern.matches(address, naming);
            match rule.clients.contains(fits) {
                Some(false) => {}
                Some(true) => return Said::Decided(rule.allows.unwrap_or(default)),
                None => return Said::NeedsName,
            }
        }
        Said::Nothing
    }

    /// Is there a rule among them that goes by names?
    #[must_use]
    pub fn goes_by_names(&self) -> bool {
        let mut patterns = self
            .0
            .iter()
            .flat_map(|rule| rule.clients.0.iter().flatten());
        patterns.any(Pattern::goes_by_names)
    }

    /// Is there a rule that keeps anybody out? `default` is what the file is for.
    fn refuses(&self, default: bool) -> bool {
        let mut rules = self.0.iter();
        rules.any(|rule| !rule.allows.unwrap_or(default))
    }
}

/// Both files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// `hosts.allow`.
    pub allow: Rules,
    /// `hosts.deny`.
    pub deny: Rules,
}

impl Hosts {
    /// May this address connect? `None` where that depends on its name.
    #[must_use]
    pub fn admits_address(&self, address: IpAddr) -> Option<bool> {
        self.admits(address, None)
    }

    /// May this address with this name connect?
    #[must_use]
    pub fn admits_named(&self, address: IpAddr, naming: &Naming) -> bool {
        // With what is known of the name every rule says yes or no.
        self.admits(address, Some(naming)).unwrap_or(false)
    }

    fn admits(&self, address: IpAddr, naming: Option<&Naming>) -> Option<bool> {
        // A client of IPv4 at a socket of both families.
        let address = address.to_canonical();
        match self.allow.say(address, naming, true) {
            Said::Decided(admits) => Some(admits),
            Said::NeedsName => None,
            Said::Nothing => match self.deny.say(address, naming, false) {
                Said::Decided(admits) => Some(admits),
                Said::NeedsName => None,
                Said::Nothing => Some(true),
            },
        }
    }

    /// Is there a rule that goes by names?
    #[must_use]
    pub fn goes_by_names(&self) -> bool {
        self.allow.goes_by_names() || self.deny.goes_by_names()
    }

    /// Is there anybody whom these rules keep out?
    #[must_use]
    pub fn keeps_out(&self) -> bool {
        self.allow.refuses(true) || self.deny.refuses(false)
    }
}

/// A rule, if it is for our service.
fn read_rule(text: &str) -> Result<Option<Rule>, String> {
    if let Some(bad) = text.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(format!("a control character ({})", bad.escape_default()));
    }
    let fields = fields(text);
    let [services, clients, options @ ..] = &fields[..] else {
        return Err(format!(
            "`{}` has no colon: write {SERVICE}: ADDRESS",
            shown(text)
        ));
    };
    let services = list(services, service)?;
    let clients = words(clients)?;
    if services.contains(|ours| Some(*ours)) != Some(true) {
        return Ok(None);
    }
    let clients = List(
        clients
            .into_iter()
            .map(|part| part.into_iter().map(client).collect())
            .collect::<Result<_, _>>()?,
    );
    let allows = match options {
        [] => None,
        [option] if option.trim().eq_ignore_ascii_case("allow") => Some(true),
        [option] if option.trim().eq_ignore_ascii_case("deny") => Some(false),
        _ => {
            let known = |option: &&&str| {
                let option = option.trim();
                !option.eq_ignore_ascii_case("allow") && !option.eq_ignore_ascii_case("deny")
            };
            let option = options.iter().find(known).unwrap_or(&options[0]).trim();
            return Err(format!(
                "the option `{}`: there are only allow and deny here, one of them and at the end; nothing is started and nothing is set",
                shown(option)
            ));
        }
    };
    Ok(Some(Rule { clients, allows }))
}

/// Splits at colons that are neither in brackets nor after a backslash.
fn fields(text: &str) -> Vec<&str> {
    let (mut fields, mut start, mut inside, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' => inside = true,
            b']' => inside = false,
            b':' if !inside => {
                fields.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&text[start..]);
    fields
}

/// The words of a list, part by part.
fn words(text: &str) -> Result<Vec<Vec<&str>>, String> {
    let mut parts = vec![Vec::new()];
    for word in text.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        match (word.eq_ignore_ascii_case("EXCEPT"), parts.last_mut()) {
            (true, _) => parts.push(Vec::new()),
            (false, Some(part)) => part.push(word),
            (false, None) => {}
        }
    }
    match parts.iter().any(Vec::is_empty) {
        true => Err(format!("an empty list in `{}`", shown(text))),
        false => Ok(parts),
    }
}

fn list<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<List<T>, String> {
    let parts = words(text)?.into_iter();
    let parts = parts.map(|part| part.into_iter().map(read).collect());
    Ok(List(parts.collect::<Result<_, _>>()?))
}

/// Is this word our service?
fn service(word: &str) -> Result<bool, String> {
    let name = word.split('@').next().unwrap_or_default();
    if name.starts_with('.') || name.ends_with('.') || name.is_empty() {
        return Err(format!("`{}` is no service's name", shown(word)));
    }
    let ours = name.eq_ignore_ascii_case("ALL")
        || name.eq_ignore_ascii_case("KNOWN")
        || is_like(name.to_ascii_lowercase().as_bytes(), SERVICE.as_bytes());
    if ours && name != word {
        return Err(format!(
            "`{}`: which of our own addresses is connected to is not looked at; write {name}",
            shown(word)
        ));
    }
    Ok(ours)
}

/// A client pattern for our service.
fn client(word: &str) -> Result<Pattern, String> {
    match word.to_ascii_uppercase().as_str() {
        "ALL" => return Ok(Pattern::All),
        "LOCAL" => return Ok(Pattern::Local),
        "KNOWN" => return Ok(Pattern::Known),
        "UNKNOWN" => return Ok(Pattern::Unknown),
        "PARANOID" => return Ok(Pattern::Paranoid),
        _ => {}
    }
    let pattern = match word {
        _ if word.starts_with('[') => v6(word),
        _ if word.contains(['*', '?']) => glob(word),
        _ if word.starts_with('.') => domain(word),
        _ if word.ends_with('.') => prefix(word),
        _ if word.contains('/') && !word.starts_with('/') => v4_network(word),
        _ => match word.parse::<Ipv4Addr>() {
            Ok(address) => Some(Pattern::V4 {
                net: address.to_bits(),
                mask: u32::MAX,
            }),
            // Almost one of the words above.
            Err(_) if word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase()) => None,
            Err(_) => Name::new(word).map(Pattern::Name),
        },
    };
    let why = match word.chars().next() {
        Some('/') => "is a file of patterns; write them here",
        Some('@') => "is a netgroup; write names or addresses",
        _ if word.contains('@') => "asks for a user's name at the client; write the machine only",
        Some('[') => {
            "is no [IPv6 address] (IPv4 without brackets) nor [network]/prefix without bits beyond the prefix"
        }
        _ if word.contains('/') => {
            "is no network/mask without bits beyond the mask, such as 10.0.0.0/8 (for everybody: ALL)"
        }
        _ if word.contains(['*', '?']) => {
            "is no pattern of IPv4 addresses (10.0.*), nor of names only: put a dot into it (*.example.com)"
        }
        _ if word.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            "is no word for clients: there are ALL, LOCAL, KNOWN, UNKNOWN and PARANOID; names in lower case"
        }
        _ if word.ends_with('.') => {
            "is no beginning of an address, such as 10. or 192.168.; names have no dot at their end"
        }
        _ => "is no address (IPv6 in brackets) and no name of a machine or .domain",
    };
    pattern.ok_or_else(|| format!("`{}` {why}", shown(word)))
}

/// `.example.com`.
fn domain(word: &str) -> Option<Pattern> {
    let domain = Name::new(word.strip_prefix('.')?)?;
    Some(Pattern::Domain(format!(".{domain}")))
}

fn v4_network(word: &str) -> Option<Pattern> {
    let (net, mask) = word.split_once('/')?;
    let net = net.parse::<Ipv4Addr>().ok()?.to_bits();
    let mask = match number(mask) {
        Some(prefix @ 1..=32) => u32::MAX << (32 - prefix),
        Some(_) => return None,
        None => mask.parse::<Ipv4Addr>().ok()?.to_bits(),
    };
    (net & mask == net && mask != 0).then_some(Pattern::V4 { net, mask })
}

fn v6(word: &str) -> Option<Pattern> {
    let (net, prefix) = word.strip_prefix('[')?.split_once(']')?;
    let net = net.parse::<Ipv6Addr>().ok()?;
    // Clients with such an address are IPv4 clients here: it would never fit.
    if net.to_ipv4_mapped().is_some() {
        return None;
    }
    let net = net.to_bits();
    let prefix = match prefix.strip_prefix('/') {
        Some(prefix) => number(prefix).filter(|prefix| (1..=128).contains(prefix))?,
        None if prefix.is_empty() => 128,
        None => return None,
    };
    let mask = u128::MAX << (128 - prefix);
    (net & mask == net).then_some(Pattern::V6 { net, mask })
}

/// `10.`, `192.168.` and the like.
fn prefix(word: &str) -> Option<Pattern> {
    let parts = word.strip_suffix('.')?.split('.');
    let (mut net, mut bits) = (0_u32, 0);
    for part in parts {
        let part = number(part).filter(|part| *part <= 255)?;
        bits += 8;
        if bits > 24 {
            return None;
        }
        net |= part << (32 - bits);
    }
    let mask = u32::MAX << (32 - bits);
    Some(Pattern::V4 { net, mask })
}

/// `*` and `?` in an address of IPv4, or in a name. Without a letter it is the former only: `10.0.*` must
/// not let in who is called `10.0.example.com`, as it does with tcp-wrappers. What would fit the text of an address of
/// IPv6 with them, or what they have in the place of a name, is none.
fn glob(word: &str) -> Option<Pattern> {
    let address = |byte: u8| byte.is_ascii_digit() || b".*?".contains(&byte);
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*?".contains(&byte);
    // A dot at either end would be a beginning or a domain to a person, and fits nothing.
    let plain = !word.starts_with('.') && !word.ends_with('.') && !word.contains("..");
    match word {
        _ if !plain => None,
        _ if word.bytes().all(address) => {
            let number = word.bytes().any(|byte| byte.is_ascii_digit());
            let everybody = word.bytes().all(|byte| byte == b'*');
            (number || everybody).then(|| Pattern::Written(word.to_owned()))
        }
        _ if word.bytes().all(name) => {
            let pattern = word.to_ascii_lowercase();
            let hex = |byte: u8| byte.is_ascii_hexdigit() || b"*?".contains(&byte);
            let fits = |text: &str| is_like(pattern.as_bytes(), text.as_bytes());
            let clear = !pattern.bytes().all(hex) && !fits(UNKNOWN) && !fits(PARANOID);
            clear.then_some(Pattern::Like(pattern))
        }
        _ => None,
    }
}

/// A decimal number of at most three digits, without a sign and without zeros before it.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && text.len() <= 3 && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Does the text match a pattern with `*` and `?`? In a time that is a product of their lengths.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                None => return false,
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn line_of(file: &[u8], at: usize) -> usize {
    1 + file.iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// A part of the file for a message.
fn shown(text: &str) -> String {
    let escaped = text.chars().flat_map(char::escape_debug);
    escaped.take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admits(allow: &str, deny: &str, address: &str) -> bool {
        let hosts = Hosts {
            allow: Rules::parse(allow.as_bytes()).unwrap(),
            deny: Rules::parse(deny.as_bytes()).unwrap(),
        };
        // Nothing here goes by names.
        hosts.admits_address(address.parse().unwrap()).unwrap()
    }

    #[test]
    fn allow_comes_first_then_deny_then_everybody() {
        for (allow, deny, address, wanted) in [
            ("", "", "10.0.0.1", true),
            ("", "ALL: ALL\n", "10.0.0.1", false),
            ("xpra: 10.0.0.1\n", "ALL: ALL\n", "10.0.0.1", true),
            ("xpra: 10.0.0.1\n", "ALL: ALL\n", "10.0.0.2", false),
            ("sshd: ALL\n", "xpra: ALL\n", "10.0.0.1", false),
            ("xpra: ALL : deny\n", "", "10.0.0.1", false),
            ("", "xpra: ALL: Allow\nxpra: ALL\n", "10.0.0.1", true),
            ("xpra: [::1]\n", "xpra: ALL\n", "::1", true),
            // A client of IPv4 is one, at whichever socket.
            ("xpra: 10.\n", "xpra: ALL\n", "::ffff:10.1.2.3", true),
        ] {
            assert_eq!(
                admits(allow, deny, address),
                wanted,
                "{allow}{deny}{address}"
            );
        }
    }

    #[test]
    fn what_cannot_be_put_in_force_is_named() {
        for (text, part) in [
            ("xpra: host..example.com\n", "no name of a machine"),
            ("xpra: b\u{fc}cher.example\n", "no name of a machine"),
            ("xpra: -x.example.com\n", "no name of a machine"),
            ("xpra: host.example.com.\n", "no dot at their end"),
            ("xpra: .\n", "no dot at their end"),
            ("xpra: .0.1\n", "no name of a machine or .domain"),
            ("xpra: *.\n", "no pattern of"),
            ("xpra: .example.*\n", "no pattern of"),
            ("xpra: a*b\u{e4}\n", "no pattern of"),
            // They fit `paranoid`, `unknown`, an address of IPv6, or a name with tcp-wrappers.
            ("xpra: p*\n", "no pattern of"),
            ("xpra: *N*\n", "no pattern of"),
            ("xpra: un????n\n", "no pattern of"),
            ("xpra: fd*\n", "no pattern of"),
            ("xpra: *cafe\n", "no pattern of"),
            ("xpra: *.*\n", "no pattern of"),
            ("xpra: ?\n", "no pattern of"),
            ("xpra: UNKOWN\n", "no word for clients"),
            ("xpra: PARANOIA\n", "no word for clients"),
            ("xpra: @group\n", "is a netgroup"),
            ("xpra: ann@10.0.0.1\n", "asks for a user's name"),
            ("xpra: /etc/hosts.list\n", "is a file"),
            ("xpra: 10.0.0.1/8\n", "bits beyond the mask"),
            ("xpra: 10.0.0.0/33\n", "no network/mask"),
            // tcp-wrappers take it for nobody.
            ("xpra: 0.0.0.0/0\n", "for everybody: ALL"),
            ("xpra: [::]/0\n", "no [IPv6"),
            ("xpra: [::ffff:10.0.0.1]\n", "IPv4 without brackets"),
            ("xpra: [::ffff:10.0.0.0]/104\n", "IPv4 without brackets"),
            ("xpra: 10.0.0.0/08\n", "no network/mask"),
            ("xpra: 256.\n", "no beginning of an address"),
            ("xpra: 1.2.3.4.\n", "no beginning of an address"),
            ("xpra: 010.0.0.1\n", "no address"),
            ("xpra: ::1\n", "an empty list"),
            ("xpra: [::1\n", "no [IPv6"),
            ("xpra: [::1]/64\n", "beyond the prefix"),
            ("xpra: [fe80::%eth0]\n", "no [IPv6"),
            ("xpra: ALL: spawn (echo x)\n", "the option `spawn (echo x)`"),
            ("xpra: ALL: twist /bin/sh\n", "the option `twist /bin/sh`"),
            ("xpra: ALL: severity auth: allow\n", "`severity auth`"),
            ("xpra: ALL: allow: deny\n", "at the end"),
            ("xpra: ALL: allow:\n", "the option"),
            ("xpra@10.0.0.1: ALL\n", "write xpra"),
            ("xpra\n", "no colon"),
            (" # no comment\n", "no colon"),
            ("xpra:\n", "an empty list"),
            (": ALL\n", "an empty list"),
            ("xpra: ALL EXCEPT\n", "an empty list"),
            ("xpra: EXCEPT ALL\n", "an empty list"),
            ("xpra: ALL", "no line end"),
            ("xpra: ALL\\\n", "after the end"),
            ("xpra: A\u{7}LL\n", "control character"),
            ("xpra: ALL\r\n", "control character"),
            (".xpra: ALL\n", "no service's name"),
        ] {
            let mistake = Rules::parse(format!("# x\n{text}").as_bytes()).unwrap_err();
            assert!(mistake.what.contains(part), "{text:?}: {mistake}");
            assert!(mistake.line == 2 && !mistake.to_string().contains(char::is_control));
        }
        let mistake = Rules::parse(b"# x\nxpra: ALL\n\xff").unwrap_err();
        assert_eq!((mistake.line, mistake.what.as_str()), (3, "not UTF-8"));
        // None of it matters where it is somebody else's.
        let others = "sshd, vsftpd@10.0.0.1: .example.com LOCAL /x @y: spawn (a\\:b): deny\n\
            ALL EXCEPT xpra: \\\n KNOWN\n";
        assert_eq!(Rules::parse(others.as_bytes()).unwrap(), Rules::default());
    }

    #[test]
    fn files_that_keep_nobody_out_are_known() {
        let keeps_out = |allow: &str, deny: &str| {
            let parse = |text: &str| Rules::parse(text.as_bytes()).unwrap();
            let (allow, deny) = (parse(allow), parse(deny));
            Hosts { allow, deny }.keeps_out()
        };
        assert!(!keeps_out("", ""));
        assert!(!keeps_out("xpra: 10.0.0.1\n", "sshd: ALL\n"));
        assert!(!keeps_out("", "xpra: ALL: allow\n"));
        assert!(keeps_out("", "ALL: ALL\n"));
        assert!(keeps_out("xpra: ALL: deny\n", ""));
    }

    fn naming(text: &str) -> Naming {
        match text {
            "?" => Naming::Unknown,
            "!" => Naming::Paranoid,
            name => Naming::Name(Name::new(name).unwrap()),
        }
    }

    /// What is said of a client at 10.0.0.1 by `xpra: PATTERN` and nothing else, for each of these names.
    #[test]
    fn names_are_compared_as_hosts_access_says() {
        for (pattern, fit, do_not) in [
            ("ALL", "a.example.org ? !", ""),
            ("KNOWN", "a.example.org a", "? !"),
            ("known", "a.example.org a", "? !"),
            ("UNKNOWN", "?", "! a a.example.org"),
            ("PARANOID", "!", "? a"),
            ("LOCAL", "a localhost", "a.b ? !"),
            (
                "A.example.ORG",
                "a.example.org",
                "b.example.org ? ! b.a.example.org",
            ),
            (
                ".Example.org",
                "a.example.org b.a.example.org",
                "example.org aexample.org ? !",
            ),
            (
                "*.example.org",
                "a.example.org b.a.example.org",
                "example.org ? !",
            ),
            (
                "a?.example.org",
                "a1.example.org",
                "a.example.org a12.example.org ?",
            ),
            // Addresses only, whatever somebody calls a machine.
            ("11.*", "", "11.example.org ? !"),
            ("10.*", "a ? !", ""),
            ("ALL EXCEPT LOCAL", "a.b ? !", "a"),
            (
                "KNOWN EXCEPT .example.org EXCEPT a.example.org",
                "a.example.org b.example.com",
                "b.example.org ? !",
            ),
            ("a, 11.0.0.0/8 b", "a b", "c ? !"),
        ] {
            let rules = Rules::parse(format!("xpra: {pattern}\n").as_bytes()).unwrap();
            let deny = Rules::parse(b"xpra: ALL\n").unwrap();
            let hosts = Hosts { allow: rules, deny };
            let address = "10.0.0.1".parse().unwrap();
            for (names, wanted) in [(fit, true), (do_not, false)] {
                for name in names.split(' ').filter(|name| !name.is_empty()) {
                    let admits = hosts.admits_named(address, &naming(name));
                    assert_eq!(admits, wanted, "{pattern}: {name}");
                }
            }
        }
    }

    #[test]
    fn a_name_is_needed_where_no_rule_before_it_decides() {
        let say = |allow: &str, deny: &str, address: &str| {
            let [allow, deny] = [allow, deny].map(|text| Rules::parse(text.as_bytes()).unwrap());
            let hosts = Hosts { allow, deny };
            (
                hosts.admits_address(address.parse().unwrap()),
                hosts.goes_by_names(),
            )
        };
        let at = "10.0.0.1";
        assert_eq!(
            say("xpra: 10.\nxpra: a.b\n", "ALL: ALL\n", at),
            (Some(true), true)
        );
        assert_eq!(say("xpra: a.b 10.\n", "ALL: ALL\n", at), (Some(true), true));
        assert_eq!(
            say("xpra: a.b\nxpra: 10.\n", "ALL: ALL\n", at),
            (None, true)
        );
        assert_eq!(
            say("xpra: a.b EXCEPT 10.\n", "ALL: ALL\n", at),
            (Some(false), true)
        );
        assert_eq!(
            say("xpra: 11. EXCEPT a.b\n", "ALL: ALL\n", at),
            (Some(false), true)
        );
        assert_eq!(
            say("xpra: 10. EXCEPT a.b\n", "ALL: ALL\n", at),
            (None, true)
        );
        assert_eq!(say("xpra: 11.\n", "xpra: PARANOID\n", at), (None, true));
        assert_eq!(
            say("xpra: 10.: deny\n", "xpra: PARANOID\n", at),
            (Some(false), true)
        );
        // Of others' rules nobody asks for a name.
        assert_eq!(say("sshd: a.b\n", "ALL: ALL\n", at), (Some(false), false));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Rules::parse(&text);
        }

        #[test]
        fn nothing_that_looks_like_rules_panics(
            words in prop::collection::vec(prop::sample::select(vec![
                "xpra", "ALL", "EXCEPT", ":", " ", ",", "\n", "\\", "\\\n", "[::1]", "[2001:db8::]/32", "10.",
                "10.0.0.0/8", "192.168.1.1", "1.2.*", "?", "allow", "deny", "#", "@", "/", "LOCAL",
                "KNOWN", "PARANOID", "a.b", ".b", "*.b",
            ]), 0..30),
            address in any::<std::net::IpAddr>(),
            name in prop::sample::select(vec!["?", "!", "a", "a.b", "c.b"]),
        ) {
            if let Ok(rules) = Rules::parse(words.concat().as_bytes()) {
                let hosts = Hosts { allow: Rules::default(), deny: rules };
                let named = hosts.admits_named(address, &naming(name));
                // Whom nobody keeps out is let in.
                prop_assert!(named || hosts.keeps_out());
                // What is decided by an address no name changes.
                match hosts.admits_address(address) {
                    Some(admits) => prop_assert_eq!(admits, named),
                    None => prop_assert!(hosts.goes_by_names()),
                }
            }
        }

        #[test]
        fn networks_hold_what_they_say(bits in any::<u32>(), prefix in 1_u32..=32, other in any::<u32>()) {
            let mask = u32::MAX << (32 - prefix);
            let net = Ipv4Addr::from_bits(bits & mask);
            for rule in [format!("{net}/{prefix}"), format!("{net}/{}", Ipv4Addr::from_bits(mask))] {
                let inside = admits(&format!("xpra: {rule}\n"), "ALL: ALL\n", &Ipv4Addr::from_bits(other).to_string());
                prop_assert_eq!(inside, other & mask == bits & mask);
            }
        }

        #[test]
        fn stars_match_as_they_do_in_a_slow_way(pattern in "[ab*?]{0,6}", text in "[ab]{0,6}") {
            fn slow(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.split_first(), text.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => slow(rest, text) || !text.is_empty() && slow(pattern, &text[1..]),
                    (Some((b'?', rest)), Some((_, text))) => slow(rest, text),
                    (Some((one, rest)), Some((other, text))) => one == other && slow(rest, text),
                    _ => false,
                }
            }
            prop_assert_eq!(is_like(pattern.as_bytes(), text.as_bytes()), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
