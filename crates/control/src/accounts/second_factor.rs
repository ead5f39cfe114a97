//! The second factor: enrolled, confirmed, checked, turned off.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use tollgate_auth::{RecoveryCode, TotpError, TotpSecret};
use tollgate_domain::{Actor, MAC_BYTES, Timestamp, User, UserId};
use tollgate_vault::{ExposeSecret, Place, Sealed};

use super::{AccountError, Accounts, Current, SignedIn, Visitor};

/// How long an enrolment can be confirmed.
pub const ENROLMENT_SECONDS: i64 = 600;

/// The most bytes of an enrolment as it comes back.
const ENROLMENT_BYTES_MAX: usize = 512;

/// The digits of a code of the authenticator app.
const TOTP_DIGITS: usize = 6;

/// A second factor that is not in use before it is confirmed.
pub struct TotpEnrolment {
    /// The secret as people type it.
    pub secret: String,
    /// The address that an app reads as a picture.
    pub uri: String,
    /// What comes back with the first code: sealed, and nothing is kept of it meanwhile.
    pub enrolment: String,
}

impl fmt::Debug for TotpEnrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpEnrolment(…)")
    }
}

/// A second factor that is in use now.
pub struct ConfirmedTotp {
    /// For when the app is lost: shown this once.
    pub recovery_codes: Vec<String>,
    /// The session that replaces the one that asked; all others are over.
    pub signed_in: SignedIn,
}

impl fmt::Debug for ConfirmedTotp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfirmedTotp")
            .field("session", &self.signed_in.session)
            .finish_non_exhaustive()
    }
}

/// Where the secret is kept.
fn kept_place(user: &UserId) -> Place<'_> {
    Place {
        table: "users",
        row: user.as_bytes(),
        column: "totp",
        org_id: None,
    }
}

/// Where one that waits for its first code would be.
fn waiting_place(user: &UserId) -> Place<'_> {
    Place {
        column: "totp_enrolment",
        ..kept_place(user)
    }
}

impl Accounts {
    /// Makes a second factor for whoever asks and knows their password. It is not in use yet.
    ///
    /// # Errors
    /// `Conflict` when they have one; `Refused`, `Wait`.
    pub fn enrol_totp(
        &self,
        current: &Current,
        password: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<TotpEnrolment, AccountError> {
        let user = &self.confirm_person(current, password, None, visitor, now)?;
        no_totp(user)?;
        let secret = TotpSecret::generate().map_err(|_| AccountError::NoRandomness)?;
        let mut waiting = now
            .plus_seconds(ENROLMENT_SECONDS)
            .micros()
            .to_be_bytes()
            .to_vec();
        waiting.extend_from_slice(secret.expose());
        let sealed = self.parts.vault.seal(&waiting_place(&user.id), &waiting)?;
        let account = user.email.as_deref().unwrap_or(&user.name);
        Ok(TotpEnrolment {
            secret: secret.to_base32().to_string(),
            uri: secret.to_uri(&self.config.issuer, account).to_string(),
            enrolment: BASE64URL_NOPAD.encode(&sealed.to_bytes()),
        })
    }

    /// Puts an enrolment of whoever asks into use, with the first code of the app. All of their sessions
    /// end but a new one.
    ///
    /// # Errors
    /// `Refused` when the code is not right; `InvalidToken` when the enrolment is not theirs or has
    /// expired; `Conflict` when they have a second factor; `Wait`.
    pub fn confirm_totp(
        &self,
        current: &Current,
        enrolment: &str,
        code: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<ConfirmedTotp, AccountError> {
        let user = current.user();
        no_totp(user)?;
        let secret = self.open_enrolment(user, enrolment, now)?;
        let attempt = self.begin(&email_of(user), Some(user), visitor, now)?;
        let Ok(step) = secret.check(code.trim(), now, None) else {
            self.refuse(Some(user.id), "user.totp_confirm", visitor, now)?;
            return Err(AccountError::Refused);
        };
        self.sign_ins.take_back(&attempt);
        let codes = RecoveryCode::generate_all()?;
        let sealed = self
            .parts
            .vault
            .seal(&kept_place(&user.id), secret.expose())?;
        let changed = User {
            totp: Some(sealed.to_bytes()),
            recovery_macs: self.macs(&codes, user.id),
            ..user.clone()
        };
        let audit = visitor.done(current.actor(), "user.totp_confirm", now);
        self.store().update_user(&changed, &audit.about(user.id))?;
        // The code that was just used is not one to sign in with.
        self.store().use_totp_step(user.id, step)?;
        Ok(ConfirmedTotp {
            recovery_codes: shown(&codes),
            signed_in: self.rotate(current, &changed, true, visitor, now)?,
        })
    }

    /// Turns the second factor of whoever asks off. All of their sessions end but a new one.
    ///
    /// # Errors
    /// `Conflict` when they have none; `Refused`, `SecondFactorRequired`, `Wait`.
    pub fn disable_totp(
        &self,
        current: &Current,
        password: &str,
        code: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<SignedIn, AccountError> {
        has_totp(current.user())?;
        let user = self.confirm_person(current, password, Some(code), visitor, now)?;
        let changed = User {
            totp: None,
            recovery_macs: Vec::new(),
            ..user
        };
        let audit = visitor.done(current.actor(), "user.totp_disable", now);
        self.store()
            .update_user(&changed, &audit.about(changed.id))?;
        self.rotate(current, &changed, false, visitor, now)
    }

    /// Makes new recovery codes for whoever asks; those from before are void.
    ///
    /// # Errors
    /// `Conflict` when they have no second factor; `Refused`, `SecondFactorRequired`, `Wait`.
    pub fn renew_recovery_codes(
        &self,
        current: &Current,
        password: &str,
        code: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<Vec<String>, AccountError> {
        has_totp(current.user())?;
        let user = self.confirm_person(current, password, Some(code), visitor, now)?;
        let codes = RecoveryCode::generate_all()?;
        let changed = User {
            recovery_macs: self.macs(&codes, user.id),
            ..user
        };
        let audit = visitor.done(current.actor(), "user.recovery_codes", now);
        self.store()
            .update_user(&changed, &audit.about(changed.id))?;
        Ok(shown(&codes))
    }

    /// Checks a code for somebody who has a second factor, and uses it up. Returns whether they have
    /// one.
    pub(super) fn check_second_factor(
        &self,
        user: &User,
        code: Option<&str>,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<bool, AccountError> {
        let Some(sealed) = &user.totp else {
            return Ok(false);
        };
        let code = code.map(str::trim).filter(|code| !code.is_empty());
        let code = code.ok_or(AccountError::SecondFactorRequired)?;
        let is_right = if code.len() == TOTP_DIGITS {
            let opened = self
                .parts
                .vault
                .open(&kept_place(&user.id), &Sealed::from_bytes(sealed)?)?;
            let secret = secret_of(opened.expose_secret())?;
            match secret.check(code, now, user.totp_last_step) {
                Ok(step) => self.store().use_totp_step(user.id, step)?,
                Err(TotpError::NoRandomness) => return Err(AccountError::NoRandomness),
                Err(_) => false,
            }
        } else {
            self.use_recovery_code(user, code, visitor, now)?
        };
        is_right.then_some(true).ok_or(AccountError::Refused)
    }

    fn use_recovery_code(
        &self,
        user: &User,
        code: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<bool, AccountError> {
        let Ok(code) = RecoveryCode::parse(code) else {
            return Ok(false);
        };
        let pepper = &self.parts.pepper;
        if code.find(pepper, user.id, &user.recovery_macs).is_none() {
            return Ok(false);
        }
        let actor = Actor::User(user.id);
        let audit = visitor
            .done(actor, "user.recovery_code_use", now)
            .about(user.id);
        let mac = code.mac(pepper, user.id);
        Ok(self.store().use_recovery_code(user.id, &mac, &audit)?)
    }

    fn open_enrolment(
        &self,
        user: &User,
        enrolment: &str,
        now: Timestamp,
    ) -> Result<TotpSecret, AccountError> {
        let invalid = || AccountError::InvalidToken;
        if enrolment.len() > ENROLMENT_BYTES_MAX {
            return Err(invalid());
        }
        let bytes = BASE64URL_NOPAD.decode(enrolment.as_bytes());
        let sealed = Sealed::from_bytes(&bytes.map_err(|_| invalid())?);
        let opened = self
            .parts
            .vault
            .open(&waiting_place(&user.id), &sealed.map_err(|_| invalid())?)
            .map_err(|_| invalid())?;
        let (end, secret) = opened
            .expose_secret()
            .split_first_chunk::<8>()
            .ok_or_else(invalid)?;
        if now >= Timestamp::from_micros(i64::from_be_bytes(*end)) {
            return Err(invalid());
        }
        secret_of(secret)
    }

    fn macs(&self, codes: &[RecoveryCode], user: UserId) -> Vec<[u8; MAC_BYTES]> {
        let mac = |code: &RecoveryCode| code.mac(&self.parts.pepper, user);
        codes.iter().map(mac).collect()
    }
}

pub(super) fn email_of(user: &User) -> String {
    user.email.clone().unwrap_or_default()
}

fn secret_of(bytes: &[u8]) -> Result<TotpSecret, AccountError> {
    let bytes = bytes.try_into().map_err(|_| AccountError::InvalidToken)?;
    Ok(TotpSecret::from_bytes(bytes))
}

fn shown(codes: &[RecoveryCode]) -> Vec<String> {
    codes.iter().map(|code| code.expose().to_string()).collect()
}

fn has_totp(user: &User) -> Result<(), AccountError> {
    let has = user.totp.is_some();
    has.then_some(())
        .ok_or(AccountError::Conflict("there is no second factor"))
}

fn no_totp(user: &User) -> Result<(), AccountError> {
    if user.totp.is_none() {
        return Ok(());
    }
    Err(AccountError::Conflict(
        "there is a second factor already; turn it off first",
    ))
}
