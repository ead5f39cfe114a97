//! What answers show, and what of them is kept for a repetition.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use serde::Serialize;
use serde_json::Value;
use tollgate_control::{
    CreatedInvitation, CreatedKey, CreatedOrganization, InvitationView, KeyView, MemberView,
    OrganizationView, RoleView, TeamMemberView, TeamView, Versioned as _,
};
use tollgate_store::KeptAnswer;

/// What is said in the place of a secret when its answer is repeated.
const NOTICE: &str = "the secret was shown once, with the first answer";

/// A thing that an answer shows.
pub(super) trait Shown: Serialize + Send + 'static {
    /// The field that is shown only once.
    const SECRET: Option<&'static str> = None;

    /// Returns the version that its entity tag is made of.
    fn tag(&self) -> Option<u64> {
        None
    }
}

macro_rules! shown {
    ($($name:ty: $secret:expr, $this:ident => $tag:expr;)*) => {$(
        impl Shown for $name {
            const SECRET: Option<&'static str> = $secret;

            fn tag(&self) -> Option<u64> {
                let $this = self;
                $tag
            }
        }
    )*};
}

shown! {
    KeyView: None, this => Some(this.version());
    CreatedKey: Some("key"), this => Some(this.view.version());
    TeamView: None, this => Some(this.version());
    TeamMemberView: None, _this => None;
    RoleView: None, this => Some(this.version());
    MemberView: None, this => Some(this.version());
    InvitationView: None, _this => None;
    CreatedInvitation: Some("token"), _this => None;
    OrganizationView: None, this => Some(this.version());
    CreatedOrganization: Some("owner_token"), this => Some(this.view.version());
}

/// Returns what is kept of an answer: all of it but what is shown only once.
pub(super) fn kept<T: Shown>(status: StatusCode, thing: &T) -> KeptAnswer {
    let mut value = serde_json::to_value(thing).unwrap_or_default();
    if let (Some(secret), Value::Object(fields)) = (T::SECRET, &mut value)
        && fields.get(secret).is_some_and(|secret| !secret.is_null())
    {
        fields.insert(secret.to_owned(), Value::Null);
        fields.insert("notice".to_owned(), Value::from(NOTICE));
    }
    KeptAnswer {
        status: status.as_u16(),
        body: value.to_string(),
    }
}

/// Answers JSON that is written already.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status)
        .content_type(ContentType::json())
        .body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Made {
        key: Option<&'static str>,
        name: &'static str,
    }

    impl Shown for Made {
        const SECRET: Option<&'static str> = Some("key");
    }

    #[test]
    fn what_is_shown_once_is_not_kept() {
        let name = "ci";
        let made = kept(
            StatusCode::CREATED,
            &Made {
                key: Some("tg_live_x"),
                name,
            },
        );
        assert_eq!(made.status, 201);
        let body: Value = serde_json::from_str(&made.body).unwrap();
        assert_eq!((&body["key"], &body["name"]), (&Value::Null, &"ci".into()));
        assert_eq!(body["notice"], NOTICE);
        let without = kept(StatusCode::OK, &Made { key: None, name });
        let body: Value = serde_json::from_str(&without.body).unwrap();
        assert!(body.get("notice").is_none());
    }
}
