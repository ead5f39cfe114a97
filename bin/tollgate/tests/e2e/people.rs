//! People from outside: the first one, sign-in, sessions, second factors. On both databases.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{Answer, GatewaySettings};

use crate::browser::{Browser, Installation, PASSWORD, ann, app_code};

const ANN: &str = "ann@example.com";

fn on_both(check: impl Fn(Installation)) {
    for on_postgres in [false, true] {
        check(Installation::start(on_postgres, GatewaySettings::default()));
    }
}

fn code(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.json()["code"].clone())
}

#[test]
fn t_firstrun_nobody_is_there_before_the_token_is_used_and_then_it_is_void() {
    on_both(|mut installation| {
        let gateway = &installation.gateway;
        let mut browser = Browser::new(gateway);
        for (email, password) in [
            ("admin@example.com", "admin"),
            ("admin", "password"),
            ("root@localhost", "123456"),
            ("", ""),
        ] {
            let refused = browser.sign_in(email, password);
            assert_eq!(refused.status, 401, "{email}: {}", refused.text());
        }
        let printed = gateway.command(&["setup-link", "--json"]).output().unwrap();
        let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
        let second = printed["token"].as_str().unwrap().to_owned();
        for wrong in ["", " ", "tg_setup_x", &second.to_uppercase()] {
            let refused = browser.post("/api/v1/auth/setup", &ann(wrong));
            assert_eq!(code(&refused), (400, json!("invalid_token")), "{wrong}");
        }
        // What is wrong with the rest leaves the token as it is.
        let mut weak = ann(&second);
        weak["password"] = json!("password1234");
        assert_eq!(browser.post("/api/v1/auth/setup", &weak).status, 400);
        weak["password"] = json!(PASSWORD);
        weak["email"] = json!("no address");
        assert_eq!(browser.post("/api/v1/auth/setup", &weak).status, 400);

        let mut ann_browser = installation.set_up();
        assert!(ann_browser.is_in());
        let me = ann_browser.get("/api/v1/auth/session").json();
        assert_eq!(me["user"]["email"], ANN);
        let may = |place: &str, what: &str| {
            let all = me["permissions"][place].as_array().unwrap();
            all.contains(&json!(what))
        };
        assert!(may("organization", "keys.manage"), "{me}");
        assert!(may("platform", "platform.manage"), "{me}");
        let key = ann_browser.post("/api/v1/keys", &json!({"name": "first"}));
        assert_eq!(key.status, 201, "{}", key.text());

        let first = installation.setup_tokens()[0].clone();
        for used in [&first, &second] {
            let refused = browser.post("/api/v1/auth/setup", &ann(used));
            assert!(matches!(refused.status, 400 | 409), "{}", refused.text());
        }
        let refused = installation.gateway.command(&["setup-link"]).output();
        assert_eq!(refused.unwrap().status.code(), Some(1));
        installation.gateway.sigterm();
        let ended = installation.gateway.wait_for_exit(Duration::from_secs(20));
        assert_eq!(ended.code(), Some(0));
        installation.gateway.restart();
        assert_eq!(
            installation.setup_tokens(),
            [first],
            "none is printed again"
        );
    });
}

#[test]
fn t_session_a_sign_in_gives_a_new_secret_and_a_sign_out_ends_it() {
    on_both(|installation| {
        let mut browser = installation.set_up();
        let gateway = &installation.gateway;
        let first = browser.clone();
        let answer = browser.sign_in("Ann@Example.com", PASSWORD);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap();
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert!(pair.starts_with("tollgate-dev=tg_sess_"), "{cookie}");
        assert_eq!(
            attributes.trim(),
            "Path=/; Max-Age=604799; HttpOnly; SameSite=Lax".replace("604799", &max_age(cookie)),
        );
        let body = answer.text();
        assert!(
            !body.contains("tg_sess_"),
            "the cookie alone has it: {body}"
        );
        assert_ne!(browser.cookie, first.cookie);
        assert!(!first.clone().is_in(), "the one before has ended");

        // A cookie that somebody else put there is worth nothing, before and after.
        let planted = format!("tollgate-dev=tg_sess_{}", "A".repeat(49));
        let mut victim = Browser::new(gateway);
        victim.cookie = Some(planted.clone());
        assert!(!victim.is_in());
        victim.csrf = None;
        assert_eq!(victim.sign_in(ANN, PASSWORD).status, 200);
        assert_ne!(victim.cookie.as_ref(), Some(&planted));
        let mut attacker = Browser::new(gateway);
        attacker.cookie = Some(planted);
        assert!(!attacker.is_in());

        let out = browser.clone();
        let answer = browser.post("/api/v1/auth/sign-out", &json!({}));
        assert_eq!(answer.status, 204, "{}", answer.text());
        let forgotten = answer.header("clear-site-data").unwrap_or_default();
        assert_eq!(forgotten, r#""cache", "cookies", "storage""#);
        assert_eq!(browser.cookie, None, "{:?}", answer.headers);
        assert!(!out.clone().is_in(), "whoever kept the cookie is out too");
        assert!(victim.is_in(), "and nobody else");
    });
}

fn max_age(cookie: &str) -> String {
    let (_, rest) = cookie.split_once("Max-Age=").unwrap();
    let (seconds, _) = rest.split_once(';').unwrap();
    let left: i64 = seconds.parse().unwrap();
    assert!((604_000..=604_800).contains(&left), "{cookie}");
    seconds.to_owned()
}

#[test]
fn t_session_people_see_their_sessions_and_end_one_the_others_or_all() {
    on_both(|installation| {
        let mut browser = installation.set_up();
        let mut others = [(); 3].map(|()| Browser::new(&installation.gateway));
        for other in &mut others {
            assert_eq!(other.sign_in(ANN, PASSWORD).status, 200);
        }
        let listed = browser.get("/api/v1/auth/sessions").json();
        let listed = listed["data"].as_array().unwrap();
        assert_eq!(listed.len(), 4, "{listed:?}");
        let current: Vec<_> = listed
            .iter()
            .filter(|one| one["is_current"] == true)
            .collect();
        assert_eq!(current.len(), 1);
        let last = listed[3]["id"].as_str().unwrap();
        let path = format!("/api/v1/auth/sessions/{last}");
        assert_eq!(browser.send("DELETE", &path, None).status, 204);
        assert_eq!(browser.send("DELETE", &path, None).status, 404);
        let [first, second, third] = &mut others;
        assert!(first.is_in() && second.is_in() && !third.is_in());

        let ended = browser.send("DELETE", "/api/v1/auth/sessions", None);
        assert_eq!(ended.json()["ended"], 2, "{}", ended.text());
        assert!(browser.is_in() && !first.is_in() && !second.is_in());

        assert_eq!(first.sign_in(ANN, PASSWORD).status, 200);
        let answer = browser.post("/api/v1/auth/sign-out", &json!({"everywhere": true}));
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert!(!browser.is_in() && !first.is_in());
    });
}

#[test]
fn t_session_a_new_password_or_second_factor_ends_all_sessions_but_a_new_one() {
    on_both(|installation| {
        let mut browser = installation.set_up();
        let sign_in = |password: &str, code: Option<&str>| {
            let mut other = Browser::new(&installation.gateway);
            let body = json!({"email": ANN, "password": password, "code": code});
            let answer = other.post("/api/v1/auth/sign-in", &body);
            (other, answer)
        };
        let new = "other rather unusual words";
        let (mut other, _) = sign_in(PASSWORD, None);
        let before = browser.clone();
        let change = |old: &str| json!({"current_password": old, "new_password": new});
        let refused = browser.post("/api/v1/auth/password", &change("wrong"));
        assert_eq!(code(&refused), (401, json!("sign_in_refused")));
        assert!(other.is_in());
        let changed = browser.post("/api/v1/auth/password", &change(PASSWORD));
        assert_eq!(changed.status, 200, "{}", changed.text());
        assert!(browser.is_in() && !other.is_in() && !before.clone().is_in());
        assert_eq!(sign_in(PASSWORD, None).1.status, 401);

        let enrolled = browser.post("/api/v1/auth/totp", &json!({"password": new}));
        let enrolled = enrolled.json();
        let secret = enrolled["secret"].as_str().unwrap();
        let confirm = json!({"enrolment": enrolled["enrolment"], "code": app_code(secret, 0)});
        let confirmed = browser.post("/api/v1/auth/totp/confirm", &confirm);
        assert_eq!(confirmed.status, 200, "{}", confirmed.text());
        let codes = confirmed.json()["recovery_codes"].clone();
        assert_eq!(codes.as_array().unwrap().len(), 10);

        let (_, refused) = sign_in(new, None);
        assert_eq!(code(&refused), (401, json!("second_factor_required")));
        let (_, refused) = sign_in(new, confirm["code"].as_str());
        assert_eq!(
            code(&refused),
            (401, json!("sign_in_refused")),
            "it is used"
        );
        let recovery = codes[0].as_str();
        let (mut recovered, answer) = sign_in(new, recovery);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["session"]["has_second_factor"], true);
        let (_, again) = sign_in(new, recovery);
        assert_eq!(again.status, 401, "a recovery code works once");

        let disable = json!({"password": new, "code": codes[1]});
        let answer = recovered.post("/api/v1/auth/totp/disable", &disable);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(recovered.is_in() && !browser.is_in());
        assert_eq!(sign_in(new, None).1.status, 200);
    });
}

#[test]
fn who_guesses_waits_and_learns_nothing_of_who_is_known() {
    on_both(|installation| {
        let _ann = installation.set_up();
        let mut guesser = Browser::new(&installation.gateway);
        let mut tell = |email: &str| {
            let answers = [(); 8].map(|()| guesser.sign_in(email, "several wrong words"));
            answers.map(|answer| {
                let text = answer.json()["detail"].clone();
                (answer.status, text, answer.header("retry-after").is_some())
            })
        };
        let known = tell(ANN);
        assert_eq!(known[0].0, 401);
        assert_eq!(known[7].0, 429, "{known:?}");
        assert!(known[7].2, "it says when to try again");
        let stranger = tell("nobody@example.com");
        // What was counted for this address of the network counts for both.
        for (one, other) in known.iter().zip(&stranger) {
            let told = |answer: &(u16, Value, bool)| answer.0 == 401 || answer.0 == 429;
            assert!(told(one) && told(other));
        }
    });
}

#[test]
fn t_credform_an_access_token_does_what_its_person_may_until_its_session_ends() {
    on_both(|installation| {
        let mut browser = installation.set_up();
        let gateway = &installation.gateway;
        let issued = browser.post("/api/v1/auth/token", &json!({}));
        assert_eq!(issued.status, 200, "{}", issued.text());
        let token = |answer: &Answer, name: &str| answer.json()[name].as_str().unwrap().to_owned();
        let access = token(&issued, "access_token");
        let status = |access: &str, path: &str| gateway.send_as(access, "GET", path, None).status;
        assert_eq!(status(&access, "/api/v1/keys"), 200);
        assert_eq!(
            status(&access, "/v1/models"),
            401,
            "calls are metered by key"
        );
        assert_eq!(
            status(&access, "/api/v1/auth/session"),
            401,
            "it is no session"
        );
        let mut forged = access.clone();
        forged.replace_range(access.len() - 4.., "AAAA");
        assert_eq!(status(&forged, "/api/v1/keys"), 401);
        let made = gateway.send_as(&access, "POST", "/api/v1/keys", Some(&json!({"name": "a"})));
        assert_eq!(made.status, 201, "{}", made.text());

        let mut program = Browser::new(gateway);
        let refresh = |program: &mut Browser, answer: &Answer| {
            let body = json!({"refresh_token": token(answer, "refresh_token")});
            program.post("/api/v1/auth/refresh", &body)
        };
        let next = refresh(&mut program, &issued);
        assert_eq!(next.status, 200, "{}", next.text());
        let again = refresh(&mut program, &issued);
        let successor = token(&next, "refresh_token");
        assert_eq!(token(&again, "refresh_token"), successor, "one successor");
        let access = token(&next, "access_token");
        assert_eq!(status(&access, "/api/v1/keys"), 200);
        let keys = gateway.get("/.well-known/jwks.json").json();
        assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "{keys}");
        assert!(!keys.to_string().contains("\"d\""), "public keys alone");

        let ended = browser.send("DELETE", "/api/v1/auth/sessions", None);
        assert_eq!(ended.json()["ended"], 1, "{}", ended.text());
        assert_eq!(status(&access, "/api/v1/keys"), 401, "at once");
        assert_eq!(refresh(&mut program, &next).status, 401);
        assert!(browser.is_in());
    });
}

#[test]
fn t_reset_what_is_no_token_resets_nothing_and_the_answer_is_always_the_same() {
    on_both(|installation| {
        let mut browser = installation.set_up();
        let mut stranger = Browser::new(&installation.gateway);
        let session = browser.cookie.clone().unwrap();
        let (_, session) = session.split_once('=').unwrap();
        let never = format!("tg_rst_{}", "A".repeat(49));
        for token in [
            json!(null),
            json!(""),
            json!("  "),
            json!(0),
            json!([]),
            json!(never),
            json!(session),
        ] {
            let body = json!({"token": token, "new_password": "other rather unusual words"});
            let refused = stranger.post("/api/v1/auth/password-reset/confirm", &body);
            assert_eq!(refused.status, 400, "{token}: {}", refused.text());
        }
        let ask = |email: &str| {
            let mut asking = Browser::new(&installation.gateway);
            let answer = asking.post("/api/v1/auth/password-reset", &json!({"email": email}));
            (answer.status, answer.text())
        };
        let known = ask(ANN);
        assert_eq!(known, (202, String::new()));
        assert_eq!(ask("nobody@example.com"), known);
        assert_eq!(ask("no address"), known);
        assert!(browser.is_in());
        assert_eq!(stranger.sign_in(ANN, PASSWORD).status, 200);
    });
}
