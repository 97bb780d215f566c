//! libkrb5, as far as it is used here: `<krb5/krb5.h>` and `<profile.h>` of MIT Kerberos 1.18 and later.
#![allow(unsafe_code, reason = "the only module of this crate that needs it")]

use crate::kdc::{Broken, MAX_ANSWER};
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::fmt;
use std::ptr::{NonNull, null, null_mut};
use zeroize::Zeroizing;

/// The descriptor in which the library remembers the requests that it has seen.
pub const SEEN: i32 = 6;

/// Most questions to the server for one password: that it wants a proof, and the proof, which takes
/// two with SPAKE; once more with what it prefers.
const MAX_STEPS: usize = 6;
/// Seconds for which a ticket is asked for: nobody keeps it.
const LIFETIME: i32 = 300;
/// Longest text of an error or a name in the log, in bytes.
const MAX_TEXT: usize = 200;

/// `KRB5_INIT_CONTEXT_SECURE`: nothing in the environment counts.
const SECURE: i32 = 1;
/// `KRB5_INIT_CREDS_STEP_FLAG_CONTINUE`.
const CONTINUE: c_uint = 1;
/// `KRB5_VERIFY_INIT_CREDS_OPT_AP_REQ_NOFAIL`.
const MUST_VERIFY: i32 = 1;
/// `KRB5_KT_END`.
const KEYTAB_END: i32 = -1_765_328_202;
/// The types of keys of AES (RFC 3962, RFC 8009).
const AES: std::ops::RangeInclusive<i32> = 17..=20;
/// `PROF_NO_RELATION`.
const NO_RELATION: c_long = -1_429_577_725;
/// The type of the checksum with which GSS-API says what it wants, and how long what it always says
/// of channels is (RFC 4121, section 4.1.1).
const GSS_CHECKSUM: i32 = 0x8003;
const GSS_BINDINGS: [u8; 4] = 16_u32.to_le_bytes();
const GSS_LEN: usize = 24;

/// Keys that are good enough; the others of the library's are RC4, DES and Camellia.
const KEYS: &str = "aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128 aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96";

#[repr(C)]
struct Data {
    magic: i32,
    length: c_uint,
    data: *mut c_char,
}

impl Data {
    const EMPTY: Self = Self {
        magic: 0,
        length: 0,
        data: null_mut(),
    };

    /// Of bytes that are only read.
    fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            magic: 0,
            length: bytes.len().try_into().ok()?,
            data: bytes.as_ptr().cast_mut().cast(),
        })
    }

    /// # Safety
    /// So many bytes are there, or it is [`Self::EMPTY`].
    unsafe fn bytes(&self) -> &[u8] {
        match (self.data.is_null(), usize::try_from(self.length)) {
            // SAFETY: as the caller promises.
            (false, Ok(len)) => unsafe { std::slice::from_raw_parts(self.data.cast(), len) },
            _ => &[],
        }
    }
}

#[repr(C)]
struct Keyblock {
    magic: i32,
    enctype: i32,
    length: c_uint,
    contents: *mut u8,
}

/// `krb5_principal_data`, of which only the library knows the inside.
#[repr(C)]
struct Principal {
    _opaque: [u8; 0],
}

#[repr(C)]
struct KeytabEntry {
    magic: i32,
    principal: *mut Principal,
    timestamp: i32,
    vno: c_uint,
    key: Keyblock,
}

#[repr(C)]
struct Creds {
    magic: i32,
    client: *mut Principal,
    server: *mut Principal,
    keyblock: Keyblock,
    times: [i32; 4],
    is_skey: c_uint,
    flags: i32,
    addresses: *mut c_void,
    ticket: Data,
    second: Data,
    authdata: *mut c_void,
}

/// The beginning of `krb5_enc_tkt_part`.
#[repr(C)]
struct Inside {
    magic: i32,
    flags: i32,
    session: *mut Keyblock,
    client: *mut Principal,
}

#[repr(C)]
struct Ticket {
    magic: i32,
    server: *mut Principal,
    enc_magic: i32,
    enctype: i32,
    kvno: c_uint,
    ciphertext: Data,
    inside: *mut Inside,
}

#[repr(C)]
struct Checksum {
    magic: i32,
    kind: i32,
    length: c_uint,
    contents: *mut u8,
}

/// The beginning of `krb5_authenticator`.
#[repr(C)]
struct Authenticator {
    magic: i32,
    client: *mut Principal,
    checksum: *mut Checksum,
}

#[repr(C)]
struct VerifyOptions {
    flags: i32,
    must_verify: c_int,
}

type GetValues = extern "C" fn(*mut c_void, *const *const c_char, *mut *mut *mut c_char) -> c_long;
type FreeValues = extern "C" fn(*mut c_void, *mut *mut c_char);

/// `struct profile_vtable`, minor version 1: what is not there is null.
#[repr(C)]
struct Vtable {
    minor: c_int,
    get_values: GetValues,
    free_values: FreeValues,
    others: [*const c_void; 12],
}

// What the library returns pointers to.
#[repr(C)]
struct Context {
    _opaque: [u8; 0],
}
#[repr(C)]
struct Profile {
    _opaque: [u8; 0],
}
#[repr(C)]
struct Keytab {
    _opaque: [u8; 0],
}
#[repr(C)]
struct Login {
    _opaque: [u8; 0],
}
#[repr(C)]
struct LoginOptions {
    _opaque: [u8; 0],
}
#[repr(C)]
struct AuthContext {
    _opaque: [u8; 0],
}

// SAFETY: as `<profile.h>` and `<krb5/krb5.h>` declare them; on this platform `krb5_error_code`,
// `krb5_flags` and `krb5_deltat` are 32 bits with a sign, and `errcode_t` is a `long`.
#[link(name = "krb5")]
unsafe extern "C" {
    fn profile_init_vtable(
        vtable: *const Vtable,
        data: *mut c_void,
        profile: *mut *mut Profile,
    ) -> c_long;
    fn krb5_init_context_profile(
        profile: *mut Profile,
        flags: i32,
        context: *mut *mut Context,
    ) -> i32;
    fn krb5_get_error_message(context: *mut Context, code: i32) -> *const c_char;
    fn krb5_free_error_message(context: *mut Context, text: *const c_char);
    fn krb5_build_principal(
        context: *mut Context,
        principal: *mut *mut Principal,
        realm_len: c_uint,
        realm: *const c_char,
        ...
    ) -> i32;
    fn krb5_principal_compare(
        context: *mut Context,
        one: *const Principal,
        other: *const Principal,
    ) -> c_uint;
    fn krb5_unparse_name(
        context: *mut Context,
        principal: *const Principal,
        name: *mut *mut c_char,
    ) -> i32;
    fn krb5_free_unparsed_name(context: *mut Context, name: *mut c_char);
    fn krb5_kt_resolve(context: *mut Context, name: *const c_char, keytab: *mut *mut Keytab)
    -> i32;
    fn krb5_kt_start_seq_get(
        context: *mut Context,
        keytab: *mut Keytab,
        cursor: *mut *mut c_void,
    ) -> i32;
    fn krb5_kt_next_entry(
        context: *mut Context,
        keytab: *mut Keytab,
        entry: *mut KeytabEntry,
        cursor: *mut *mut c_void,
    ) -> i32;
    fn krb5_kt_end_seq_get(
        context: *mut Context,
        keytab: *mut Keytab,
        cursor: *mut *mut c_void,
    ) -> i32;
    fn krb5_kt_add_entry(
        context: *mut Context,
        keytab: *mut Keytab,
        entry: *mut KeytabEntry,
    ) -> i32;
    fn krb5_free_keytab_entry_contents(context: *mut Context, entry: *mut KeytabEntry) -> i32;
    fn krb5_kt_close(context: *mut Context, keytab: *mut Keytab) -> i32;
    fn krb5_get_init_creds_opt_alloc(context: *mut Context, options: *mut *mut LoginOptions)
    -> i32;
    fn krb5_get_init_creds_opt_set_tkt_life(options: *mut LoginOptions, seconds: i32);
    fn krb5_get_init_creds_opt_set_renew_life(options: *mut LoginOptions, seconds: i32);
    fn krb5_get_init_creds_opt_set_forwardable(options: *mut LoginOptions, yes: c_int);
    fn krb5_get_init_creds_opt_set_proxiable(options: *mut LoginOptions, yes: c_int);
    fn krb5_init_creds_init(
        context: *mut Context,
        client: *mut Principal,
        prompter: *const c_void,
        data: *mut c_void,
        start: i32,
        options: *mut LoginOptions,
        login: *mut *mut Login,
    ) -> i32;
    fn krb5_init_creds_free(context: *mut Context, login: *mut Login);
    fn krb5_init_creds_set_service(
        context: *mut Context,
        login: *mut Login,
        service: *const c_char,
    ) -> i32;
    fn krb5_init_creds_set_password(
        context: *mut Context,
        login: *mut Login,
        password: *const c_char,
    ) -> i32;
    fn krb5_init_creds_step(
        context: *mut Context,
        login: *mut Login,
        heard: *mut Data,
        say: *mut Data,
        realm: *mut Data,
        flags: *mut c_uint,
    ) -> i32;
    fn krb5_init_creds_get_creds(
        context: *mut Context,
        login: *mut Login,
        creds: *mut Creds,
    ) -> i32;
    fn krb5_verify_init_creds(
        context: *mut Context,
        creds: *mut Creds,
        server: *mut Principal,
        keytab: *mut Keytab,
        cache: *mut *mut c_void,
        options: *mut VerifyOptions,
    ) -> i32;
    fn krb5_free_cred_contents(context: *mut Context, creds: *mut Creds);
    fn krb5_free_data_contents(context: *mut Context, data: *mut Data);
    fn krb5_rd_req(
        context: *mut Context,
        auth: *mut *mut AuthContext,
        request: *const Data,
        server: *const Principal,
        keytab: *mut Keytab,
        options: *mut i32,
        ticket: *mut *mut Ticket,
    ) -> i32;
    fn krb5_auth_con_getauthenticator(
        context: *mut Context,
        auth: *mut AuthContext,
        authenticator: *mut *mut Authenticator,
    ) -> i32;
}

/// Why the answer is no.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// In the library's words.
    #[error("{phase}: {text}")]
    Said {
        /// What was tried.
        phase: &'static str,
        /// Why it has failed.
        text: String,
    },
    /// The KDC.
    #[error(transparent)]
    Kdc(#[from] Broken),
    /// Somebody else's ticket.
    #[error("the ticket is {0}'s")]
    Other(String),
    /// Not made for this.
    #[error("the request is not one of GSS-API")]
    NotGss,
    /// It cannot be said to a C library.
    #[error("a user name or password with a zero byte")]
    Zero,
    /// What a library must not do.
    #[error("the library gives {0}")]
    Nonsense(&'static str),
}

/// What the library is told instead of `/etc/krb5.conf`: names, and the values that they have.
struct Settings(Vec<(Vec<CString>, Vec<*mut c_char>)>);

impl Settings {
    fn new(realm: &str) -> Result<Self, String> {
        let seen = format!("file2:/proc/self/fd/{SEEN}");
        let rows: [(&[&str], &[&str]); 15] = [
            (&["libdefaults", "default_realm"], &[realm]),
            (&["libdefaults", "dns_lookup_kdc"], &["false"]),
            (&["libdefaults", "dns_lookup_realm"], &["false"]),
            (&["libdefaults", "dns_uri_lookup"], &["false"]),
            (&["libdefaults", "dns_canonicalize_hostname"], &["false"]),
            (&["libdefaults", "rdns"], &["false"]),
            (&["libdefaults", "realm_try_domains"], &["-1"]),
            // What a server says of the time, without a proof, changes nothing here.
            (&["libdefaults", "kdc_timesync"], &["0"]),
            (&["libdefaults", "permitted_enctypes"], &[KEYS]),
            (&["libdefaults", "default_ccache_name"], &["MEMORY:"]),
            (&["libdefaults", "default_keytab_name"], &["MEMORY:none"]),
            (
                &["libdefaults", "default_client_keytab_name"],
                &["MEMORY:none"],
            ),
            (&["libdefaults", "default_rcache_name"], &[&seen]),
            (&["libdefaults", "verify_ap_req_nofail"], &["true"]),
            (
                &["plugins", "clpreauth", "enable_only"],
                &["encrypted_timestamp", "encrypted_challenge", "spake"],
            ),
        ];
        let text = |text: &&str| CString::new(*text).map_err(|error| error.to_string());
        let row = |(names, values): &(&[&str], &[&str])| -> Result<_, String> {
            let names = names.iter().map(text).collect::<Result<_, _>>()?;
            let values: Vec<_> = values.iter().map(text).collect::<Result<_, _>>()?;
            let values = values.into_iter().map(CString::into_raw);
            Ok((names, values.chain([null_mut()]).collect()))
        };
        rows.iter().map(row).collect::<Result<_, _>>().map(Self)
    }
}

/// # Panics
/// Never: the names are compared, and nothing else is done with them.
extern "C" fn get_values(
    data: *mut c_void,
    names: *const *const c_char,
    values: *mut *mut *mut c_char,
) -> c_long {
    // SAFETY: what `Kerberos::new` has given, and never takes back.
    let settings = unsafe { &*data.cast::<Settings>() };
    let is = |row: &&(Vec<CString>, Vec<*mut c_char>)| {
        let mut at = names;
        // SAFETY: pointers to texts that end with zero, and after the last a null; we stop there.
        unsafe {
            for name in &row.0 {
                if (*at).is_null() || CStr::from_ptr(*at) != name.as_c_str() {
                    return false;
                }
                at = at.add(1);
            }
            (*at).is_null()
        }
    };
    match settings.0.iter().find(is) {
        Some((_, found)) => {
            // SAFETY: a place for one pointer. The library copies what is there, and gives it back.
            unsafe { *values = found.as_ptr().cast_mut() };
            0
        }
        None => NO_RELATION,
    }
}

/// They stay.
extern "C" fn free_values(_: *mut c_void, _: *mut *mut c_char) {}

static VTABLE: Shared = Shared(Vtable {
    minor: 1,
    get_values,
    free_values,
    others: [null(); 12],
});

struct Shared(Vtable);

// SAFETY: it is constant, and its pointers are null.
unsafe impl Sync for Shared {}

/// The library with its keys. What it has is never given back: it ends with the process.
pub struct Kerberos {
    context: NonNull<Context>,
    realm: CString,
    /// Our own name, for people and for the library.
    name: CString,
    service: NonNull<Principal>,
    keys: NonNull<Keytab>,
}

impl Kerberos {
    /// For a service of this realm, without keys; the library has loaded all that it ever needs.
    ///
    /// # Errors
    /// One line.
    pub fn new(service: &str, host: &str, realm: &str) -> Result<Self, String> {
        let text = |text: &str| CString::new(text).map_err(|error| error.to_string());
        let settings = Box::leak(Box::new(Settings::new(realm)?));
        let mut profile = null_mut();
        let mut context = null_mut();
        // SAFETY: a constant table, data that is never freed, and places for one pointer each.
        let code = unsafe {
            match profile_init_vtable(
                &raw const VTABLE.0,
                (&raw mut *settings).cast(),
                &raw mut profile,
            ) {
                0 => krb5_init_context_profile(profile, SECURE, &raw mut context),
                _ => -1,
            }
        };
        let context = NonNull::new(context).filter(|_| code == 0);
        let context = context.ok_or("libkrb5 cannot be set up")?;
        let realm = text(realm)?;
        let principal = |parts: [&CStr; 2]| build(context, &realm, parts[0], Some(parts[1]));
        let service_principal = principal([&text(service)?, &text(host)?])
            .map_err(|code| said(context, "our own name", code).to_string())?;
        let mut keys = null_mut();
        // SAFETY: a constant text and a place for one pointer.
        let code = unsafe {
            krb5_kt_resolve(context.as_ptr(), c"MEMORY:bulkhead".as_ptr(), &raw mut keys)
        };
        let keys = NonNull::new(keys).filter(|_| code == 0);
        let it = Self {
            context,
            name: text(&format!("{service}/{host}@{}", realm.to_string_lossy()))?,
            realm,
            service: service_principal,
            keys: keys.ok_or_else(|| said(context, "no keytab in memory", code).to_string())?,
        };
        // What it loads for a password it loads now.
        it.login(c"nobody", |_| Ok(()), |_| Err(Broken::Closed))
            .map_or_else(
                |failure| match failure {
                    Failure::Kdc(Broken::Closed) => Ok(()),
                    failure => Err(failure.to_string()),
                },
                |_| Err("a login that nobody was asked about".to_owned()),
            )?;
        Ok(it)
    }

    /// Copies our keys out of a keytab file, and none of others.
    ///
    /// # Errors
    /// One line.
    pub fn copy_keys(&self, path: &str) -> Result<(), String> {
        let path = CString::new(format!("FILE:{path}")).map_err(|error| error.to_string())?;
        let context = self.context.as_ptr();
        let failed = |code| said(self.context, "the keytab", code).to_string();
        let (mut file, mut cursor) = (null_mut(), null_mut());
        let mut count = 0_u32;
        // SAFETY: a text that ends with zero; places for what is returned; an entry is freed once,
        // after it was copied, and the library is told of the end of the reading.
        unsafe {
            match krb5_kt_resolve(context, path.as_ptr(), &raw mut file) {
                0 => {}
                code => return Err(failed(code)),
            }
            match krb5_kt_start_seq_get(context, file, &raw mut cursor) {
                0 => {}
                code => return Err(failed(code)),
            }
            let mut entry: KeytabEntry = std::mem::zeroed();
            loop {
                match krb5_kt_next_entry(context, file, &raw mut entry, &raw mut cursor) {
                    0 => {}
                    KEYTAB_END => break,
                    code => return Err(failed(code)),
                }
                let ours = krb5_principal_compare(context, entry.principal, self.service.as_ptr());
                let mut code = 0;
                if ours != 0 && AES.contains(&entry.key.enctype) {
                    code = krb5_kt_add_entry(context, self.keys.as_ptr(), &raw mut entry);
                    count = count.saturating_add(1);
                }
                krb5_free_keytab_entry_contents(context, &raw mut entry);
                if code != 0 {
                    return Err(failed(code));
                }
            }
            krb5_kt_end_seq_get(context, file, &raw mut cursor);
            krb5_kt_close(context, file);
        }
        match count {
            0 => Err(format!(
                "the keytab has no AES key of {}: ktadd it, or name what it has with service= and realm=",
                self.name.to_string_lossy()
            )),
            _ => Ok(()),
        }
    }

    /// Does this password belong to this user? `ask` takes a question to the server of keys, and
    /// brings its answer. Only a ticket for ourselves that our own key opens is a yes: that server
    /// may be anybody's.
    ///
    /// # Errors
    /// Why not.
    pub fn password(
        &self,
        username: &str,
        password: &[u8],
        ask: impl FnMut(&[u8]) -> Result<Vec<u8>, Broken>,
    ) -> Result<(), Failure> {
        let user = CString::new(username).map_err(|_| Failure::Zero)?;
        if password.contains(&0) {
            return Err(Failure::Zero);
        }
        let mut text = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        text.extend_from_slice(password);
        text.push(0);
        let context = self.context.as_ptr();
        let set = |login: *mut Login| {
            // SAFETY: a login of ours, and a text that ends with zero, which the library copies.
            let code =
                unsafe { krb5_init_creds_set_password(context, login, text.as_ptr().cast()) };
            self.good("password", code)
        };
        let client = self.user(&user)?;
        let login = self.login(&user, set, ask)?;
        // SAFETY: zeros are an empty one; the library fills it in.
        let mut creds: Creds = unsafe { std::mem::zeroed() };
        let mut options = VerifyOptions {
            flags: MUST_VERIFY,
            must_verify: 1,
        };
        // SAFETY: a login that has come to its end, our own principals and keys; what is filled in is
        // looked at as long as it is there, and freed once.
        unsafe {
            let code = krb5_init_creds_get_creds(context, login.as_ptr(), &raw mut creds);
            // Its copy of the password is wiped.
            krb5_init_creds_free(context, login.as_ptr());
            self.good("ticket", code)?;
            let is_same = |one: *mut Principal, other: NonNull<Principal>| {
                krb5_principal_compare(context, one, other.as_ptr()) != 0
            };
            let ours = is_same(creds.client, client) && is_same(creds.server, self.service);
            let code = krb5_verify_init_creds(
                context,
                &raw mut creds,
                self.service.as_ptr(),
                self.keys.as_ptr(),
                null_mut(),
                &raw mut options,
            );
            krb5_free_cred_contents(context, &raw mut creds);
            self.good("the KDC's answer is not proved by the keytab", code)?;
            match ours {
                true => Ok(()),
                false => Err(Failure::Nonsense("a ticket that was not asked for")),
            }
        }
    }

    /// Is this request (AP-REQ) of this user, made for us and never seen before?
    ///
    /// # Errors
    /// Why not.
    pub fn request(&self, username: &str, request: &[u8]) -> Result<(), Failure> {
        let user = CString::new(username).map_err(|_| Failure::Zero)?;
        let wanted = self.user(&user)?;
        let context = self.context.as_ptr();
        let request = Data::of(request).ok_or(Failure::Nonsense("no place for a token"))?;
        let (mut auth, mut ticket, mut authenticator) = (null_mut(), null_mut(), null_mut());
        // SAFETY: places for what is returned, which lives as long as the process: there is one
        // question. A request is only read.
        unsafe {
            let code = krb5_rd_req(
                context,
                &raw mut auth,
                &raw const request,
                self.service.as_ptr(),
                self.keys.as_ptr(),
                null_mut(),
                &raw mut ticket,
            );
            self.good("ticket", code)?;
            let code = krb5_auth_con_getauthenticator(context, auth, &raw mut authenticator);
            self.good("ticket", code)?;
            let authenticator: Option<&Authenticator> = authenticator.as_ref();
            let checksum = authenticator.and_then(|it| it.checksum.as_ref());
            if !checksum.is_some_and(|checksum| is_of_gss(checksum)) {
                return Err(Failure::NotGss);
            }
            let ticket: Option<&Ticket> = ticket.as_ref();
            let inside = ticket.and_then(|ticket| ticket.inside.as_ref());
            let client = inside.and_then(|inside| NonNull::new(inside.client));
            let client = client.ok_or(Failure::Nonsense("a ticket of nobody"))?;
            match krb5_principal_compare(context, client.as_ptr(), wanted.as_ptr()) {
                0 => Err(Failure::Other(self.unparsed(client))),
                _ => Ok(()),
            }
        }
    }

    /// Asks for a ticket for ourselves, in the name of this user.
    fn login(
        &self,
        user: &CStr,
        set: impl Fn(*mut Login) -> Result<(), Failure>,
        mut ask: impl FnMut(&[u8]) -> Result<Vec<u8>, Broken>,
    ) -> Result<NonNull<Login>, Failure> {
        let context = self.context.as_ptr();
        let client = self.user(user)?;
        let (mut options, mut login) = (null_mut(), null_mut());
        // SAFETY: places for what is returned, and a name that ends with zero. A login has a pointer
        // to its options, which are never freed.
        unsafe {
            let code = krb5_get_init_creds_opt_alloc(context, &raw mut options);
            self.good("options", code)?;
            krb5_get_init_creds_opt_set_tkt_life(options, LIFETIME);
            krb5_get_init_creds_opt_set_renew_life(options, 0);
            krb5_get_init_creds_opt_set_forwardable(options, 0);
            krb5_get_init_creds_opt_set_proxiable(options, 0);
            let code = krb5_init_creds_init(
                context,
                client.as_ptr(),
                null(),
                null_mut(),
                0,
                options,
                &raw mut login,
            );
            self.good("login", code)?;
            let code = krb5_init_creds_set_service(context, login, self.name.as_ptr());
            self.good("login", code)?;
        }
        let mut converse = || {
            set(login)?;
            let mut answer = Vec::new();
            for _ in 0..MAX_STEPS {
                match self.step(login, &answer)? {
                    Some(question) => answer = ask(&question)?,
                    None => return NonNull::new(login).ok_or(Failure::Nonsense("no login")),
                }
            }
            Err(Failure::Nonsense("more questions than there should be"))
        };
        converse().inspect_err(|_| {
            // SAFETY: a login of ours, which nobody has any more. Its copy of the password is wiped.
            unsafe { krb5_init_creds_free(context, login) };
        })
    }

    /// What to ask next, after this answer; `None`: that was all.
    fn step(&self, login: *mut Login, answer: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let context = self.context.as_ptr();
        let mut heard = Data::of(answer).ok_or(Failure::Nonsense("no place for an answer"))?;
        let (mut say, mut realm) = (Data::EMPTY, Data::EMPTY);
        let mut flags = 0;
        // SAFETY: a login of ours; an answer that is only read; what is filled in is copied, and
        // freed once.
        unsafe {
            let code = krb5_init_creds_step(
                context,
                login,
                &raw mut heard,
                &raw mut say,
                &raw mut realm,
                &raw mut flags,
            );
            let question = say.bytes().to_vec();
            let is_ours = realm.bytes() == self.realm.as_bytes();
            krb5_free_data_contents(context, &raw mut say);
            krb5_free_data_contents(context, &raw mut realm);
            self.good("the KDC says no", code)?;
            match (flags & CONTINUE != 0, is_ours) {
                (false, _) => Ok(None),
                (true, false) => Err(Failure::Nonsense("a question for another realm")),
                (true, true) if (1..=MAX_ANSWER).contains(&question.len()) => Ok(Some(question)),
                (true, true) => Err(Failure::Nonsense("a question of no length")),
            }
        }
    }

    /// A user of our realm: one part, whatever signs are in it.
    fn user(&self, name: &CStr) -> Result<NonNull<Principal>, Failure> {
        build(self.context, &self.realm, name, None)
            .map_err(|code| said(self.context, "user name", code))
    }

    fn good(&self, phase: &'static str, code: i32) -> Result<(), Failure> {
        match code {
            0 => Ok(()),
            code => Err(said(self.context, phase, code)),
        }
    }

    /// A name for the log.
    fn unparsed(&self, principal: NonNull<Principal>) -> String {
        let context = self.context.as_ptr();
        let mut name = null_mut();
        // SAFETY: a principal of the library's; a text that ends with zero, freed once.
        unsafe {
            match krb5_unparse_name(context, principal.as_ptr(), &raw mut name) {
                0 if !name.is_null() => {
                    let text = Short(CStr::from_ptr(name)).to_string();
                    krb5_free_unparsed_name(context, name);
                    text
                }
                _ => "somebody else".to_owned(),
            }
        }
    }
}

/// `one@realm` or `one/two@realm`. It is never freed: there is one question.
fn build(
    context: NonNull<Context>,
    realm: &CStr,
    one: &CStr,
    two: Option<&CStr>,
) -> Result<NonNull<Principal>, i32> {
    let end: *const c_char = null();
    let len = c_uint::try_from(realm.to_bytes().len()).map_err(|_| -1)?;
    let mut principal = null_mut();
    // SAFETY: texts that end with zero, and a null after the last part; a place for one pointer.
    let code = unsafe {
        krb5_build_principal(
            context.as_ptr(),
            &raw mut principal,
            len,
            realm.as_ptr(),
            one.as_ptr(),
            two.map_or(end, CStr::as_ptr),
            end,
        )
    };
    NonNull::new(principal).filter(|_| code == 0).ok_or(code)
}

/// # Safety
/// So many bytes are there.
unsafe fn is_of_gss(checksum: &Checksum) -> bool {
    let len = usize::try_from(checksum.length).unwrap_or_default();
    if checksum.kind != GSS_CHECKSUM || checksum.contents.is_null() || len < GSS_LEN {
        return false;
    }
    // SAFETY: as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(checksum.contents, len) };
    bytes.starts_with(&GSS_BINDINGS)
}

/// An error in the library's words.
fn said(context: NonNull<Context>, phase: &'static str, code: i32) -> Failure {
    // SAFETY: the library returns a text that ends with zero, freed once.
    let text = unsafe {
        let text = krb5_get_error_message(context.as_ptr(), code);
        if text.is_null() {
            format!("code {code}")
        } else {
            let copy = Short(CStr::from_ptr(text)).to_string();
            krb5_free_error_message(context.as_ptr(), text);
            copy
        }
    };
    Failure::Said { phase, text }
}

/// A text that a server or a client may have a part in, for the log.
struct Short<'t>(&'t CStr);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        let end = text.floor_char_boundary(MAX_TEXT);
        for c in text[..end].chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}
