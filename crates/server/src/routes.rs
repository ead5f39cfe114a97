//! Every route: what it needs, how large its body may be, and what answers it.

use actix_web::guard::fn_guard;
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route};
use tollgate_domain::Permission;

use crate::access_line::tell;
use crate::error::HttpError;
use crate::{admin, data_plane, health, people};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody; such routes show nothing of any organization.
    Public,
    /// Anybody who proves by what they send that they may.
    Stranger,
    /// Somebody who is signed in.
    Person,
    /// An authenticated caller with this permission.
    Needs(Permission),
}

/// How large the body of a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyClass {
    /// A body is not read.
    None,
    /// An admin request: 256 KiB.
    Admin,
    /// A prompt: the setting `server.body_bytes_max`.
    Inference,
}

/// A route.
#[derive(Debug)]
pub struct RouteSpec {
    /// The method.
    pub method: Method,
    /// The path; `{id}` stands for one segment.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// How large its body may be.
    pub body: BodyClass,
    make: fn() -> Route,
}

macro_rules! routes {
    ($($method:ident $path:literal, $access:expr, $body:ident => $handler:path;)*) => {
        /// Returns every route that the server has.
        #[must_use]
        pub fn routes() -> Vec<RouteSpec> {
            vec![$(RouteSpec {
                method: Method::$method,
                path: $path,
                access: $access,
                body: BodyClass::$body,
                // A guard of our own: the library's notes the method, to name it in an answer that
                // the table below gives by itself.
            make: || web::route().guard(fn_guard(|ctx| ctx.head().method == Method::$method)).to($handler),
            },)*]
        }
    };
}

routes! {
    POST "/v1/chat/completions", Access::Needs(Permission::ModelsUse), Inference => data_plane::chat_completions;
    POST "/v1/embeddings", Access::Needs(Permission::ModelsUse), Inference => data_plane::embeddings;
    GET "/v1/models", Access::Needs(Permission::ModelsUse), None => data_plane::list_models;
    GET "/v1/models/{model:.+}", Access::Needs(Permission::ModelsUse), None => data_plane::find_model;
    POST "/api/v1/keys", Access::Needs(Permission::KeysManage), Admin => admin::keys::create;
    GET "/api/v1/keys", Access::Needs(Permission::KeysRead), None => admin::keys::list;
    GET "/api/v1/keys/{id}", Access::Needs(Permission::KeysRead), None => admin::keys::find;
    PATCH "/api/v1/keys/{id}", Access::Needs(Permission::KeysManage), Admin => admin::keys::update;
    DELETE "/api/v1/keys/{id}", Access::Needs(Permission::KeysManage), None => admin::keys::revoke;
    POST "/api/v1/keys/{id}/rotate", Access::Needs(Permission::KeysManage), Admin => admin::keys::rotate;
    POST "/api/v1/teams", Access::Needs(Permission::TeamsManage), Admin => admin::teams::create;
    GET "/api/v1/teams", Access::Needs(Permission::TeamsRead), None => admin::teams::list;
    GET "/api/v1/teams/{id}", Access::Needs(Permission::TeamsRead), None => admin::teams::find;
    PATCH "/api/v1/teams/{id}", Access::Needs(Permission::TeamsManage), Admin => admin::teams::update;
    DELETE "/api/v1/teams/{id}", Access::Needs(Permission::TeamsManage), None => admin::teams::delete;
    GET "/api/v1/teams/{id}/members", Access::Needs(Permission::UsersRead), None => admin::teams::list_members;
    PUT "/api/v1/teams/{id}/members/{user_id}", Access::Needs(Permission::UsersManage), Admin => admin::teams::set_member;
    DELETE "/api/v1/teams/{id}/members/{user_id}", Access::Needs(Permission::UsersManage), None => admin::teams::remove_member;
    POST "/api/v1/roles", Access::Needs(Permission::RolesManage), Admin => admin::roles::create;
    GET "/api/v1/roles", Access::Needs(Permission::RolesRead), None => admin::roles::list;
    GET "/api/v1/roles/{id}", Access::Needs(Permission::RolesRead), None => admin::roles::find;
    PATCH "/api/v1/roles/{id}", Access::Needs(Permission::RolesManage), Admin => admin::roles::update;
    DELETE "/api/v1/roles/{id}", Access::Needs(Permission::RolesManage), None => admin::roles::delete;
    GET "/api/v1/users", Access::Needs(Permission::UsersRead), None => admin::members::list;
    GET "/api/v1/users/{id}", Access::Needs(Permission::UsersRead), None => admin::members::find;
    PATCH "/api/v1/users/{id}", Access::Needs(Permission::UsersManage), Admin => admin::members::update;
    DELETE "/api/v1/users/{id}", Access::Needs(Permission::UsersManage), None => admin::members::remove;
    POST "/api/v1/service-accounts", Access::Needs(Permission::UsersManage), Admin => admin::members::create_service_account;
    POST "/api/v1/invitations", Access::Needs(Permission::UsersManage), Admin => admin::invitations::create;
    GET "/api/v1/invitations", Access::Needs(Permission::UsersRead), None => admin::invitations::list;
    GET "/api/v1/invitations/{id}", Access::Needs(Permission::UsersRead), None => admin::invitations::find;
    DELETE "/api/v1/invitations/{id}", Access::Needs(Permission::UsersManage), None => admin::invitations::revoke;
    GET "/api/v1/organization", Access::Needs(Permission::OrgRead), None => admin::organizations::find_own;
    PATCH "/api/v1/organization", Access::Needs(Permission::OrgManage), Admin => admin::organizations::update_own;
    POST "/api/v1/organizations", Access::Needs(Permission::PlatformManage), Admin => admin::organizations::create;
    GET "/api/v1/organizations", Access::Needs(Permission::PlatformManage), None => admin::organizations::list;
    GET "/api/v1/organizations/{id}", Access::Needs(Permission::PlatformManage), None => admin::organizations::find;
    PATCH "/api/v1/organizations/{id}", Access::Needs(Permission::PlatformManage), Admin => admin::organizations::update;
    GET "/api/v1/usage", Access::Needs(Permission::UsageRead), None => admin::usage;
    GET "/api/v1/audit", Access::Needs(Permission::AuditRead), None => admin::audit::list;
    GET "/api/v1/audit/export", Access::Needs(Permission::AuditRead), None => admin::audit::export;
    POST "/api/v1/auth/setup", Access::Stranger, Admin => people::set_up;
    POST "/api/v1/auth/sign-in", Access::Stranger, Admin => people::sign_in;
    POST "/api/v1/auth/sign-out", Access::Person, Admin => people::sign_out;
    GET "/api/v1/auth/session", Access::Person, None => people::session;
    GET "/api/v1/auth/sessions", Access::Person, None => people::list_sessions;
    DELETE "/api/v1/auth/sessions", Access::Person, None => people::revoke_other_sessions;
    DELETE "/api/v1/auth/sessions/{id}", Access::Person, None => people::revoke_session;
    POST "/api/v1/auth/password", Access::Person, Admin => people::change_password;
    POST "/api/v1/auth/password-reset", Access::Stranger, Admin => people::request_reset;
    POST "/api/v1/auth/password-reset/confirm", Access::Stranger, Admin => people::reset_password;
    POST "/api/v1/auth/verify-email", Access::Person, Admin => people::request_verification;
    POST "/api/v1/auth/verify-email/confirm", Access::Stranger, Admin => people::verify_email;
    POST "/api/v1/auth/totp", Access::Person, Admin => people::enrol_totp;
    POST "/api/v1/auth/totp/confirm", Access::Person, Admin => people::confirm_totp;
    POST "/api/v1/auth/totp/disable", Access::Person, Admin => people::disable_totp;
    POST "/api/v1/auth/totp/recovery-codes", Access::Person, Admin => people::renew_recovery_codes;
    POST "/api/v1/auth/invitations/accept", Access::Stranger, Admin => people::accept_invitation;
    POST "/api/v1/auth/token", Access::Person, Admin => people::issue_tokens;
    POST "/api/v1/auth/refresh", Access::Stranger, Admin => people::refresh;
    GET "/.well-known/jwks.json", Access::Public, None => people::jwks;
    GET "/health/live", Access::Public, None => health::live;
    GET "/health/ready", Access::Public, None => health::ready;
    GET "/health", Access::Public, None => health::report;
}

/// Registers every route, of which those of one path stand together, with the right answer to other methods and other paths.
pub(crate) fn register(config: &mut ServiceConfig) {
    let specs = routes();
    // In the order of the table: the paths that are asked for most are looked at first.
    for same_path in specs.chunk_by(|one, other| one.path == other.path) {
        let Some(path) = same_path.first().map(|spec| spec.path) else {
            continue;
        };
        let methods: Vec<_> = same_path.iter().map(|spec| spec.method.as_str()).collect();
        let allowed = methods.join(", ");
        let resource = same_path
            .iter()
            .fold(web::resource(path), |resource, spec| {
                resource.route((spec.make)())
            })
            .default_service(web::to(move |request: HttpRequest| {
                std::future::ready(method_not_allowed(&request, &allowed))
            }));
        // Calls to models have a line of their own, and monitoring asks for health all day.
        if same_path
            .iter()
            .any(|spec| spec.body == BodyClass::Inference)
            || path.starts_with("/health")
        {
            config.service(resource);
        } else {
            config.service(resource.wrap(from_fn(tell)));
        }
    }
    config.default_service(web::to(not_found));
}

fn method_not_allowed(request: &HttpRequest, allowed: &str) -> HttpResponse {
    let mut response = HttpError::method_not_allowed().respond(request.path());
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    HttpError::not_found().respond(request.path())
}
