//! `auth=keycloak`: which OpenID Connect provider is asked, and who may come in of those whom it knows.

use crate::auth::Options;
use crate::auth::ldap::LdapTls;
use crate::error::{Error, Result};
use crate::hidden::Hidden;
use crate::uri::Uri;
use std::net::IpAddr;
use std::path::PathBuf;

/// Longest value of an option that goes to the provider, in bytes.
const MAX_TEXT: usize = 400;
/// Most groups, and parts of the name of a claim.
const MAX_LIST: usize = 32;
/// What an address, and the name of a realm in it, is made of (RFC 3986).
const ADDRESS: &[u8] = b"-._~%";

/// An OpenID Connect provider, and whom it lets in.
#[derive(Clone, PartialEq, Eq)]
pub struct Keycloak {
    /// Its address, which is its name.
    pub issuer: String,
    /// It, by name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// With TLS.
    pub tls: Option<LdapTls>,
    /// Our name there.
    pub client: String,
    /// Our secret there, if we have one.
    pub secret: Option<Secret>,
    /// Where it sends people when they have logged in.
    pub redirect: String,
    /// Its host, if what they bring goes there in clear.
    redirect_host: Option<String>,
    /// What it is asked for.
    pub scope: String,
    /// Where the groups of somebody are in what it says; empty if that does not matter.
    pub claim: Vec<String>,
    /// The groups that somebody has to be in.
    pub groups: Vec<String>,
    /// In all of them, and not only in one.
    pub all: bool,
    /// Seconds that a question to it may take.
    pub timeout: u16,
}

/// Where our secret at the provider is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// On the command line.
    Value(Hidden<String>),
    /// In the environment.
    Variable(Hidden<String>),
    /// In a file.
    File(PathBuf),
}

/// Its options.
pub const OPTIONS: &[&str] = &[
    "server_url",
    "realm_name",
    "client_id",
    "client_secret_key",
    "client-secret-file",
    "redirect_uri",
    "scope",
    "grant_type",
    "claim_field",
    "auth_groups",
    "auth_condition",
    "cacert",
    "timeout",
];

impl Keycloak {
    /// Reads them. What is not written is looked for in the environment (`XPRA_KEYCLOAK_…`).
    ///
    /// # Errors
    /// What is missing or wrong, by name.
    pub fn read(options: &mut Options<'_>) -> Result<Self> {
        // Who may come in is said in one place.
        let who = ["claim_field", "auth_groups", "auth_condition"];
        let is_written = who.iter().any(|key| options.take(key).is_some());
        let optional = |options: &mut Options<'_>, key: &str| {
            let value = match options.take(key) {
                None if is_written && who.contains(&key) => None,
                None => of_environment(key)?,
                value => value,
            };
            value.map(|value| text(options, key, value)).transpose()
        };
        let required =
            |options: &mut Options<'_>, key: &str, example: &str| match optional(options, key)? {
                Some(value) => Ok(value),
                None => options.require(key, example),
            };
        let url = required(options, "server_url", "https://login.example.org/")?;
        let at = |why: &str| Error::usage(format!("auth=keycloak: server_url= {why}"));
        let of_address = |byte: u8| byte.is_ascii_alphanumeric() || ADDRESS.contains(&byte);
        if !url
            .bytes()
            .all(|byte| of_address(byte) || b":/[]".contains(&byte))
        {
            return Err(at("has what is not in the address of a provider"));
        }
        if !url.contains("://") {
            return Err(at("is no https://…"));
        }
        let uri = Uri::read(&url).map_err(at)?;
        let is_tls = match uri.scheme.as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(at("is neither https://… nor http://…")),
        };
        if uri.host.is_empty() || !uri.user.is_empty() || uri.password.is_some() {
            return Err(at("has no host, or a user"));
        }
        let issuer = match optional(options, "realm_name")? {
            // Of a provider that is not Keycloak.
            None => url,
            Some(realm) if realm.bytes().all(of_address) => {
                format!("{}/realms/{realm}", url.trim_end_matches('/'))
            }
            Some(realm) => {
                let allowed = "names as they are in the realm's address (%20 for a space)";
                return Err(options.wrong("realm_name", &realm, allowed));
            }
        };
        let authorities = options.take("cacert").map(PathBuf::from);
        if authorities.is_some() && !is_tls {
            return Err(options.vain("cacert", "server_url=https://…"));
        }
        let secret = match (
            options.take("client_secret_key"),
            options.take("client-secret-file"),
        ) {
            (Some(_), Some(_)) => {
                return Err(Error::usage(
                    "auth=keycloak: either `client_secret_key=` or `client-secret-file=`",
                ));
            }
            (Some(value), None) if value.is_empty() => {
                return Err(Error::usage("auth=keycloak: `client_secret_key=` is empty"));
            }
            (Some(value), None) => Some(Secret::Value(Hidden::new(value))),
            (None, Some(file)) => Some(Secret::File(file.into())),
            (None, None) => of_environment("client_secret_key")?
                .map(|value| Secret::Variable(Hidden::new(value))),
        };
        let redirect = required(options, "redirect_uri", "https://xpra.example.org/")?;
        let redirect_host = match redirect.split_once("://") {
            Some(("https", rest)) if is_address(rest) => None,
            Some(("http", rest)) if is_address(rest) => Some(host(rest).to_owned()),
            _ => return Err(options.wrong("redirect_uri", &redirect, "https://… and http://…")),
        };
        let scope = optional(options, "scope")?.unwrap_or_else(|| "openid".to_owned());
        if !scope.split(' ').any(|word| word == "openid") {
            return Err(options.wrong("scope", &scope, "lists of words, of which one is openid"));
        }
        if let Some(grant) = optional(options, "grant_type")?
            && grant != "authorization_code"
        {
            return Err(options.wrong("grant_type", &grant, "authorization_code and nothing else"));
        }
        let claim = optional(options, "claim_field")?.unwrap_or_default();
        let claim: Vec<String> = match claim.is_empty() {
            true => Vec::new(),
            false => claim.split('.').map(str::to_owned).collect(),
        };
        let groups = optional(options, "auth_groups")?;
        let groups: Vec<String> = match &groups {
            None => Vec::new(),
            Some(blank) if blank.trim().is_empty() => {
                return Err(Error::usage("auth=keycloak: `auth_groups=` is empty"));
            }
            Some(groups) => groups.split_whitespace().map(str::to_owned).collect(),
        };
        match (claim.is_empty(), groups.is_empty()) {
            (false, true) => return Err(options.vain("claim_field", "auth_groups=")),
            // All others would be let in.
            (true, false) => return Err(options.vain("auth_groups", "claim_field=")),
            _ => {}
        }
        if claim.iter().any(String::is_empty) || claim.len().max(groups.len()) > MAX_LIST {
            let allowed = format!("names with dots between them, at most {MAX_LIST}");
            return Err(options.wrong("claim_field", "…", &allowed));
        }
        let condition = optional(options, "auth_condition")?;
        if condition.is_some() && groups.is_empty() {
            return Err(options.vain("auth_condition", "claim_field= and auth_groups="));
        }
        let all = match condition.as_deref() {
            None | Some("and") => true,
            Some("or") => false,
            Some(other) => return Err(options.wrong("auth_condition", other, "and, or")),
        };
        Ok(Self {
            issuer,
            host: uri.host,
            port: uri.port.unwrap_or(if is_tls { 443 } else { 80 }),
            tls: is_tls.then_some(LdapTls {
                ask: true,
                authorities,
            }),
            client: required(options, "client_id", "bulkhead")?,
            secret,
            redirect,
            redirect_host,
            scope,
            claim,
            groups,
            all,
            timeout: options.timeout()?,
        })
    }

    /// Who has TLS neither with us nor with people, and should: a host, and what it could be told or
    /// say.
    #[must_use]
    pub fn in_clear(&self) -> Option<(&String, &'static str)> {
        let redirect = self.redirect_host.as_ref();
        if self.tls.is_none() && !is_here(&self.host) {
            Some((
                &self.host,
                "would believe in clear what {host} says of users: write server_url=https://…, or --insecure",
            ))
        } else {
            let redirect = redirect.filter(|host| !is_here(host))?;
            Some((
                redirect,
                "has what logs people in sent to {host} in clear: write redirect_uri=https://…, or --insecure",
            ))
        }
    }

    /// What whoever starts the session should know.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.groups.is_empty() {
            warnings.push("auth=keycloak lets in everybody whom the provider knows: claim_field= and auth_groups= say who".to_owned());
        }
        if self.tls.is_none() {
            warnings.push("auth=keycloak: without TLS, whoever has the provider's port while it does not run says who is let in".to_owned());
        }
        warnings
    }
}

/// Is it this machine?
fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The rest of an address, after the `//`.
fn is_address(rest: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\".contains(&byte);
    rest.bytes().all(plain) && !host(rest).is_empty() && !rest.contains('@')
}

/// The host at its beginning.
fn host(rest: &str) -> &str {
    let place = rest.split(['/', '?']).next().unwrap_or_default();
    match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => place,
    }
}

/// A value of the environment, which is not ignored where it cannot be used.
fn of_environment(key: &str) -> Result<Option<String>> {
    let name = format!("XPRA_KEYCLOAK_{}", key.to_ascii_uppercase());
    let Some(value) = std::env::var_os(&name) else {
        return Ok(None);
    };
    match value.into_string() {
        Ok(value) if !value.is_empty() => Ok(Some(value)),
        _ => Err(Error::usage(format!(
            "auth=keycloak: the variable {name} is empty or no text: unset it"
        ))),
    }
}

/// A value that goes to the provider.
fn text(options: &Options<'_>, key: &str, value: String) -> Result<String> {
    if value.is_empty() {
        return Err(Error::usage(format!("auth=keycloak: `{key}=` is empty")));
    }
    match value.len() > MAX_TEXT || value.contains(char::is_control) {
        true => {
            let allowed = format!("printable texts of at most {MAX_TEXT} bytes");
            Err(options.wrong(key, "…", &allowed))
        }
        false => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{self, What};
    use crate::syntax::RawModule;

    const LEAST: &str =
        "server_url=https://login.test/,client_id=us,redirect_uri=https://xpra.test/?a";

    fn read(options: &str) -> Result<Keycloak> {
        let raw = RawModule::parse(&format!("keycloak({options})"))?;
        match auth::chain(&[raw], &[])?.remove(0).what {
            What::Keycloak(keycloak) => Ok(keycloak),
            _ => panic!("{options}"),
        }
    }

    #[test]
    fn a_provider_is_its_address() {
        let it = read(LEAST).ok().unwrap();
        assert_eq!(it.issuer, "https://login.test/");
        assert_eq!((it.host.as_str(), it.port), ("login.test", 443));
        assert_eq!(
            (it.scope.as_str(), it.all, it.timeout),
            ("openid", true, 10)
        );
        assert!(it.secret.is_none() && it.claim.is_empty() && it.in_clear().is_none());
        assert_eq!(it.warnings().len(), 1);
        let it = read(&format!("{LEAST},realm_name=a%20b")).ok().unwrap();
        assert_eq!(it.issuer, "https://login.test/realms/a%20b");
        let it = read(
            "server_url=http://[::1]:8080/auth,realm_name=r,client_id=us,redirect_uri=http://[::1]:8/,\
             client-secret-file=f,scope=openid profile,grant_type=authorization_code,\
             claim_field=realm_access.roles,auth_groups=a b,auth_condition=or,timeout=5",
        );
        let it = it.ok().unwrap();
        assert_eq!(it.issuer, "http://[::1]:8080/auth/realms/r");
        assert_eq!((it.host.as_str(), it.port), ("::1", 8080));
        assert!(it.tls.is_none() && it.in_clear().is_none() && !it.all);
        assert!(it.secret == Some(Secret::File("f".into())));
        assert_eq!(it.claim, ["realm_access", "roles"]);
        assert_eq!(it.groups, ["a", "b"]);
        for (text, host) in [
            (LEAST.replace("https://login", "http://login"), "login.test"),
            (LEAST.replace("https://xpra", "http://xpra"), "xpra.test"),
            (
                LEAST.replace("https://xpra.test", "http://127.0.0.1.test:80"),
                "127.0.0.1.test",
            ),
        ] {
            let it = read(&text).ok().unwrap();
            assert_eq!(it.in_clear().map(|(host, _)| host.as_str()), Some(host));
        }
    }

    #[test]
    fn what_is_no_provider_is_refused() {
        for (options, part) in [
            ("", "needs server_url="),
            ("server_url=", "`server_url=` is empty"),
            ("server_url=login.test", "server_url= is no https"),
            ("server_url=ldap://a/", "neither https"),
            ("server_url=https:///", "no host"),
            ("server_url=https://u@a/", "has what is not in the address"),
            ("server_url=https://a/?x", "has what is not in the address"),
            ("server_url=https://a:0/", "a port"),
            ("server_url=https://a/", "needs redirect_uri="),
            (
                "server_url=https://a/,redirect_uri=https://x/",
                "needs client_id=",
            ),
            ("server_url=https://a/,redirect_uri=x", "there are https://"),
            (
                "server_url=https://a/,redirect_uri=https://x/ y",
                "there are https://",
            ),
            (
                "server_url=http://a/,cacert=f",
                "`cacert` needs server_url=https",
            ),
        ] {
            let error = read(options).err().unwrap().to_string();
            assert!(error.contains(part), "{options}: {error}");
        }
        for (option, part) in [
            ("realm_name=a/b", "there are names as they are"),
            ("client_secret_key=", "is empty"),
            ("client_secret_key=hunter2,client-secret-file=f", "either"),
            ("scope=profile", "one is openid"),
            ("grant_type=password", "authorization_code and nothing else"),
            ("claim_field=groups", "`claim_field` needs auth_groups="),
            ("auth_groups=a", "`auth_groups` needs claim_field="),
            ("claim_field=a..b,auth_groups=a", "names with dots"),
            ("auth_condition=or", "needs claim_field= and auth_groups="),
            ("auth_groups= ", "`auth_groups=` is empty"),
            (
                "claim_field=a,auth_groups=a,auth_condition=xor",
                "there are and, or",
            ),
            ("client-username=yes", "not proved"),
            ("redirect_uri=https://x/#", "there are https://"),
            ("redirect_uri=https://u@x/", "there are https://"),
            ("redirect_uri=javascript:x", "there are https://"),
            ("timeout=0", "1 to 50 seconds"),
            ("scope=openid\t", "printable texts"),
        ] {
            let error = read(&format!("{LEAST},{option}")).err().unwrap();
            let error = error.to_string();
            assert!(error.contains(part), "{option}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
