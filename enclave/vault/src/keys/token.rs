//! A key in a PKCS #11 token, which seals and opens the root key without ever leaving the token.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use zeroize::Zeroizing;

use super::guard::{RootKeyError, given};
use super::source::Pkcs11Key;
use crate::durable;
use crate::seal::random;

/// Names a file whose first line is the PIN of the token's user.
const PIN_VARIABLE: &str = "ENCLAVE_PKCS11_PIN_FILE";
const ID_BYTES: usize = 16;
const IV_BYTES: usize = 12;
const TAG_BITS: u64 = 128;
const AES_256_BYTES: u64 = 32;

/// Modules by path, each loaded once: a second `C_Initialize` in a process is an error.
static MODULES: Mutex<Vec<(PathBuf, Pkcs11)>> = Mutex::new(Vec::new());
/// The PIN, once it was given.
static PIN: Mutex<Option<Zeroizing<String>>> = Mutex::new(None);

fn refused(error: Error) -> RootKeyError {
    RootKeyError::Token(match error {
        Error::Pkcs11(code, function) => format!("{function:?} gave {code:?}"),
        Error::LibraryLoading(_) => "its module cannot be loaded".to_owned(),
        _ => "its module answered what it may not".to_owned(),
    })
}

/// Makes an AES-256 key in the token; gives its id.
pub(super) fn generate(key: &Pkcs11Key) -> Result<Vec<u8>, RootKeyError> {
    let id = random::<ID_BYTES>()?.to_vec();
    with_session(key, |session| {
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::ValueLen(AES_256_BYTES.into()),
            Attribute::Label(key.object.as_bytes().to_vec()),
            Attribute::Id(id.clone()),
        ];
        session.generate_key(&Mechanism::AesKeyGen, &template).map(drop).map_err(refused)
    })?;
    Ok(id)
}

/// Destroys the keys of this label that have another id.
pub(super) fn destroy_others(key: &Pkcs11Key, id: &[u8]) -> Result<(), RootKeyError> {
    with_session(key, |session| {
        let ours =
            [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(key.object.as_bytes().to_vec())];
        for object in session.find_objects(&ours).map_err(refused)? {
            let attributes = session.get_attributes(object, &[AttributeType::Id]).map_err(refused)?;
            let is_other = attributes.iter().any(|a| matches!(a, Attribute::Id(other) if other != id));
            if is_other {
                session.destroy_object(object).map_err(refused)?;
            }
        }
        Ok(())
    })
}

/// AES-GCM: IV, ciphertext, tag.
pub(super) fn encrypt(
    key: &Pkcs11Key,
    id: &[u8],
    purpose: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, RootKeyError> {
    let mut iv = random::<IV_BYTES>()?;
    let mut sealed = iv.to_vec();
    with_session(key, |session| {
        let object = find(session, key, id)?;
        let parameters = GcmParams::new(&mut iv, purpose, TAG_BITS.into()).map_err(refused)?;
        let encrypted = session.encrypt(&Mechanism::AesGcm(parameters), object, plain);
        sealed.extend(encrypted.map_err(refused)?);
        Ok(())
    })?;
    Ok(sealed)
}

/// What [`encrypt`] was given; `None` where the token says that it was not.
pub(super) fn decrypt(
    key: &Pkcs11Key,
    id: &[u8],
    purpose: &[u8],
    sealed: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, RootKeyError> {
    let Some((iv, sealed)) = sealed.split_at_checked(IV_BYTES) else { return Ok(None) };
    let mut iv = iv.to_vec();
    with_session(key, |session| {
        let object = find(session, key, id)?;
        let parameters = GcmParams::new(&mut iv, purpose, TAG_BITS.into()).map_err(refused)?;
        match session.decrypt(&Mechanism::AesGcm(parameters), object, sealed) {
            Ok(plain) => Ok(Some(Zeroizing::new(plain))),
            Err(Error::Pkcs11(RvError::EncryptedDataInvalid | RvError::GeneralError, _)) => Ok(None),
            Err(error) => Err(refused(error)),
        }
    })
}

fn find(session: &Session, key: &Pkcs11Key, id: &[u8]) -> Result<ObjectHandle, RootKeyError> {
    let wanted = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Label(key.object.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ];
    let found = session.find_objects(&wanted).map_err(refused)?;
    let missing = || RootKeyError::Token(format!("it has no key `{}` of this home", key.object));
    found.first().copied().ok_or_else(missing)
}

fn with_session<T>(
    key: &Pkcs11Key,
    act: impl FnOnce(&Session) -> Result<T, RootKeyError>,
) -> Result<T, RootKeyError> {
    // Held all the while: who logs in twice is refused, and the last session that closes logs out.
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let place = modules.iter().position(|(path, _)| *path == key.module);
    let place = match place {
        Some(place) => place,
        None => {
            modules.push((key.module.clone(), load(&key.module)?));
            modules.len() - 1
        }
    };
    let module = &modules[place].1;
    let slots = module.get_slots_with_token().map_err(refused)?;
    let slot = slots
        .into_iter()
        .find(|slot| module.get_token_info(*slot).is_ok_and(|token| token.label().trim_end() == key.token));
    let slot = slot.ok_or_else(|| RootKeyError::Token(format!("there is no token `{}`", key.token)))?;
    let session = module.open_rw_session(slot).map_err(refused)?;
    let mut pin = PIN.lock().unwrap_or_else(PoisonError::into_inner);
    let typed = match pin.take() {
        Some(typed) => typed,
        None => given("PIN of the token", PIN_VARIABLE, false)?,
    };
    let entered = typed.to_string().into();
    match session.login(UserType::User, Some(&entered)) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => *pin = Some(typed),
        Err(error) => return Err(refused(error)),
    }
    act(&session)
}

/// A module is code that sees the root key: others must not be able to replace it.
fn load(path: &Path) -> Result<Pkcs11, RootKeyError> {
    if durable::is_writable_by_others(path)? {
        let message = format!("others than its owner may write to its module `{}`", path.display());
        return Err(RootKeyError::Token(message));
    }
    let module = Pkcs11::new(path).map_err(refused)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(error) => Err(refused(error)),
    }
}
