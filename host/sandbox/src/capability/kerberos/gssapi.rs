//! The few calls of GSSAPI that a login needs, from the system's MIT Kerberos, loaded when the first login
//! begins: who uses no Kerberos needs no library. All that is unsafe about it is in this file.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::LazyLock;

use libloading::Library;
use longshore_model::error::{Error, Result};
use sha2::{Digest, Sha256};

const LIBRARY: &str = "libgssapi_krb5.so.2";

const CONTINUE_NEEDED: u32 = 1;

/// Calling and routine errors; the rest of a status is information.
const ERRORS: u32 = 0xffff_0000;

/// Both sides know each other; messages can be protected.
const FLAGS: u32 = MUTUAL | REPLAY | SEQUENCE | CONFIDENTIAL | INTEGRITY;
const MUTUAL: u32 = 2;
const REPLAY: u32 = 4;
const SEQUENCE: u32 = 8;
const CONFIDENTIAL: u32 = 16;
const INTEGRITY: u32 = 32;

const INITIATE: c_int = 1;
const INDEFINITE: u32 = u32::MAX;

/// 1.2.840.113554.1.2.2
const KERBEROS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
/// 1.2.840.113554.1.2.1.4: `hive@host`.
const HOSTBASED_SERVICE: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04";
/// 1.2.840.113554.1.2.2.1: `loader@REALM`.
const PRINCIPAL: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01";

/// `gss_display_status`: of GSSAPI, of the mechanism.
const OF_GSSAPI: c_int = 1;
const OF_MECHANISM: c_int = 2;

/// The mechanism's codes, as `krb5.h` and `errno.h` have them: no server of the realm is known, has an address
/// or answers; the system asks to try again.
const OUT_OF_REACH: [i32; 4] = [-1_765_328_230, -1_765_328_164, -1_765_328_228, 11];

type Handle = *mut c_void;

#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[repr(C)]
struct Oid {
    length: u32,
    elements: *mut c_void,
}

#[repr(C)]
struct OidSet {
    count: usize,
    elements: *mut Oid,
}

#[repr(C)]
struct Element {
    key: *const c_char,
    value: *const c_char,
}

#[repr(C)]
struct Store {
    count: u32,
    elements: *mut Element,
}

macro_rules! functions {
    ($($name:ident: fn($($of:ty),*);)*) => {
        /// The library's functions; each takes where to put the mechanism's status first.
        struct Gssapi {
            $($name: unsafe extern "C" fn(*mut u32, $($of),*) -> u32,)*
            /// What the functions above are in.
            _library: Library,
        }

        impl Gssapi {
            fn load() -> std::result::Result<Self, libloading::Error> {
                // SAFETY: MIT Kerberos runs nothing of its own when it is loaded, and its functions have
                // these types.
                unsafe {
                    let library = Library::new(LIBRARY)?;
                    Ok(Self {
                        $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)*
                        _library: library,
                    })
                }
            }
        }
    };
}

functions! {
    gss_import_name: fn(*mut Buffer, *mut Oid, *mut Handle);
    gss_release_name: fn(*mut Handle);
    gss_release_buffer: fn(*mut Buffer);
    gss_acquire_cred_from: fn(Handle, u32, *mut OidSet, c_int, *const Store, *mut Handle, *mut *mut OidSet, *mut u32);
    gss_release_cred: fn(*mut Handle);
    gss_init_sec_context: fn(Handle, *mut Handle, Handle, *mut Oid, u32, u32, *mut c_void, *mut Buffer, *mut *mut Oid, *mut Buffer, *mut u32, *mut u32);
    gss_delete_sec_context: fn(*mut Handle, *mut Buffer);
    gss_wrap: fn(Handle, c_int, u32, *mut Buffer, *mut c_int, *mut Buffer);
    gss_unwrap: fn(Handle, *mut Buffer, *mut Buffer, *mut c_int, *mut u32);
    gss_display_status: fn(u32, c_int, *mut Oid, *mut u32, *mut Buffer);
}

static GSSAPI: LazyLock<std::result::Result<Gssapi, String>> =
    LazyLock::new(|| Gssapi::load().map_err(|error| error.to_string()));

fn gssapi() -> Result<&'static Gssapi> {
    GSSAPI.as_ref().map_err(|error| {
        Error::config(format!("Kerberos cannot be used: {error}"))
            .with_hint("install MIT Kerberos: libgssapi-krb5-2 on Debian, krb5-libs on Red Hat")
    })
}

impl Buffer {
    /// Bytes to be read during one call.
    fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }

    fn empty() -> Self {
        Self { length: 0, value: ptr::null_mut() }
    }
}

impl Oid {
    fn of(bytes: &'static [u8]) -> Self {
        Self { length: bytes.len() as u32, elements: bytes.as_ptr().cast_mut().cast() }
    }
}

/// What the library gave out: released when it is dropped.
struct GssBuffer(Buffer);

impl GssBuffer {
    fn nothing() -> Self {
        Self(Buffer::empty())
    }

    fn bytes(&self) -> &[u8] {
        if self.0.value.is_null() {
            return &[];
        }
        // SAFETY: the library wrote so many bytes there, and they are its own until they are released.
        unsafe { std::slice::from_raw_parts(self.0.value.cast(), self.0.length) }
    }
}

impl Drop for GssBuffer {
    fn drop(&mut self) {
        if let Ok(of) = gssapi() {
            // SAFETY: the buffer is the library's or empty.
            unsafe { (of.gss_release_buffer)(&mut 0, &mut self.0) };
        }
    }
}

/// A name.
struct Name(Handle);

impl Name {
    fn import(name: &str, kind: &'static [u8]) -> Result<Self> {
        let (of, mut imported) = (gssapi()?, Self(ptr::null_mut()));
        let (mut minor, mut kind) = (0, Oid::of(kind));
        // SAFETY: all that is pointed to lives through the call.
        let major = unsafe {
            (of.gss_import_name)(
                &mut minor,
                &mut Buffer::of(name.as_bytes()),
                &mut kind,
                &mut imported.0,
            )
        };
        check(major, minor)?;
        Ok(imported)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Ok(of) = gssapi() {
            // SAFETY: the name is the library's or null.
            unsafe { (of.gss_release_name)(&mut 0, &mut self.0) };
        }
    }
}

/// Who logs in; null: whoever the environment's ticket is for.
struct Credential(Handle);

impl Credential {
    /// A principal's, by a key of a keytab or by the environment's ticket.
    fn acquire(principal: Option<&str>, keytab: Option<&Path>) -> Result<Self> {
        let (of, mut acquired) = (gssapi()?, Self(ptr::null_mut()));
        if principal.is_none() && keytab.is_none() {
            return Ok(acquired);
        }
        let name = principal.map(|principal| Name::import(principal, PRINCIPAL)).transpose()?;
        let values = match keytab {
            Some(keytab) => places(principal, keytab)?,
            None => Vec::new(),
        };
        let mut elements: Vec<Element> = values
            .iter()
            .map(|(key, value)| Element { key: key.as_ptr(), value: value.as_ptr() })
            .collect();
        let store = Store { count: elements.len() as u32, elements: elements.as_mut_ptr() };
        let mut oid = Oid::of(KERBEROS);
        let mut mechanisms = OidSet { count: 1, elements: &mut oid };
        let mut minor = 0;
        // SAFETY: all that is pointed to lives through the call.
        let major = unsafe {
            (of.gss_acquire_cred_from)(
                &mut minor,
                name.as_ref().map_or(ptr::null_mut(), |name| name.0),
                INDEFINITE,
                &mut mechanisms,
                INITIATE,
                &store,
                &mut acquired.0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        check(major, minor)?;
        Ok(acquired)
    }
}

/// Where the keys are, and where a ticket that they got is kept: in memory, one for all logins by this
/// key.
fn places(principal: Option<&str>, keytab: &Path) -> Result<Vec<(&'static CStr, CString)>> {
    let text = |text: String| {
        CString::new(text).map_err(|_| {
            Error::config("`kerberos.keytab` has a zero byte in it").with_hint("mend the path")
        })
    };
    Ok(vec![
        (c"client_keytab", text(format!("FILE:{}", keytab.display()))?),
        (c"ccache", text(format!("MEMORY:{}", cache_name(principal, keytab)))?),
    ])
}

fn cache_name(principal: Option<&str>, keytab: &Path) -> String {
    let key = format!("{}\n{}", principal.unwrap_or_default(), keytab.display());
    hex::encode(Sha256::digest(key))
}

impl Drop for Credential {
    fn drop(&mut self) {
        if let Ok(of) = gssapi() {
            // SAFETY: the credential is the library's or null.
            unsafe { (of.gss_release_cred)(&mut 0, &mut self.0) };
        }
    }
}

/// A login under way, or done.
pub(super) struct Context {
    context: Handle,
    credential: Credential,
    service: Name,
}

// SAFETY: the library's objects belong to no thread; each is used by one at a time.
unsafe impl Send for Context {}

impl Context {
    /// Begins a login with `hive@host`.
    pub(super) fn begin(
        service: &str,
        principal: Option<&str>,
        keytab: Option<&Path>,
    ) -> Result<Self> {
        let credential = Credential::acquire(principal, keytab)?;
        let service = Name::import(service, HOSTBASED_SERVICE)?;
        Ok(Self { context: ptr::null_mut(), credential, service })
    }

    /// Takes the server's token; gives the next one, and whether both sides are satisfied.
    pub(super) fn step(&mut self, token: &[u8]) -> Result<(Vec<u8>, bool)> {
        let mut mechanism = Oid::of(KERBEROS);
        // SAFETY: all that is pointed to lives through the call.
        let (next, major) = answer(|of, minor, next| unsafe {
            (of.gss_init_sec_context)(
                minor,
                self.credential.0,
                &mut self.context,
                self.service.0,
                &mut mechanism,
                FLAGS,
                INDEFINITE,
                ptr::null_mut(),
                &mut Buffer::of(token),
                ptr::null_mut(),
                next,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })?;
        Ok((next, major & CONTINUE_NEEDED == 0))
    }

    /// Protects a message.
    pub(super) fn wrap(&self, message: &[u8], encrypt: bool) -> Result<Vec<u8>> {
        self.check_begun()?;
        let mut message = Buffer::of(message);
        // SAFETY: all that is pointed to lives through the call.
        let (wrapped, _) = answer(|of, minor, wrapped| unsafe {
            let (encrypt, is_encrypted) = (encrypt.into(), ptr::null_mut());
            (of.gss_wrap)(minor, self.context, encrypt, 0, &mut message, is_encrypted, wrapped)
        })?;
        Ok(wrapped)
    }

    /// Takes the protection off a message.
    pub(super) fn unwrap(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.check_begun()?;
        let mut message = Buffer::of(message);
        // SAFETY: all that is pointed to lives through the call.
        let (plain, _) = answer(|of, minor, plain| unsafe {
            let (is_encrypted, quality) = (ptr::null_mut(), ptr::null_mut());
            (of.gss_unwrap)(minor, self.context, &mut message, plain, is_encrypted, quality)
        })?;
        Ok(plain)
    }

    /// The library would not look.
    fn check_begun(&self) -> Result<()> {
        if self.context.is_null() {
            Err(Error::internal("the plugin protects messages of a login it did not begin"))
        } else {
            Ok(())
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Ok(of) = gssapi() {
            // SAFETY: the context is the library's or null.
            unsafe { (of.gss_delete_sec_context)(&mut 0, &mut self.context, ptr::null_mut()) };
        }
    }
}

/// What a call writes out, and its status: `call` is given the library, and where to put the mechanism's
/// status and the bytes.
fn answer(call: impl FnOnce(&Gssapi, *mut u32, *mut Buffer) -> u32) -> Result<(Vec<u8>, u32)> {
    let (mut minor, mut given) = (0, GssBuffer::nothing());
    let major = call(gssapi()?, &mut minor, &mut given.0);
    check(major, minor)?;
    Ok((given.bytes().to_vec(), major))
}

/// Who must act on what the library says.
fn check(major: u32, minor: u32) -> Result<()> {
    if major & ERRORS == 0 {
        return Ok(());
    }
    let texts = [text(minor, OF_MECHANISM), text(major, OF_GSSAPI)];
    let said = texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    if OUT_OF_REACH.contains(&minor.cast_signed()) {
        return Err(Error::connection(format!("Kerberos: {said}"))
            .with_hint("check the realm's servers in krb5.conf"));
    }
    Err(Error::auth(format!("Kerberos: {said}"))
        .with_hint("check `kerberos.principal` and `kerberos.keytab`, or the ticket: `klist`"))
}

fn text(status: u32, of: c_int) -> String {
    let Ok(library) = gssapi() else { return String::new() };
    let (mut said, mut more, mut mechanism) = (GssBuffer::nothing(), 0, Oid::of(KERBEROS));
    // SAFETY: all that is pointed to lives through the call.
    unsafe {
        (library.gss_display_status)(&mut 0, status, of, &mut mechanism, &mut more, &mut said.0);
    }
    String::from_utf8_lossy(said.bytes()).trim().to_owned()
}
