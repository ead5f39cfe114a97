//! What a browser does for a page of the gateway's: it keeps the cookie, and says where it is.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tollgate_testkit::{
    Answer, Gateway, GatewaySettings, TestDatabase, TestPostgres, exchange, request,
};

use crate::common::BINARY;

pub(crate) const PASSWORD: &str = "several quite unusual words";

/// A browser that looks at a page of the gateway's.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    address: SocketAddr,
    /// The cookie, as `name=value`.
    pub(crate) cookie: Option<String>,
    /// What the page learned with its session.
    pub(crate) csrf: Option<String>,
}

impl Browser {
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self {
            address: gateway.address(),
            cookie: None,
            csrf: None,
        }
    }

    /// Sends what a page of the gateway's sends.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.send_from("http://127.0.0.1", method, path, body);
        if let Some(set) = answer.header("set-cookie") {
            let (pair, _) = set.split_once(';').unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        if let Some(csrf) = answer.json()["csrf_token"].as_str() {
            self.csrf = Some(csrf.to_owned());
        }
        answer
    }

    /// Sends what a page of this origin sends.
    pub(crate) fn send_from(
        &self,
        origin: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut headers = vec![("origin", origin)];
        headers.extend(self.cookie.iter().map(|cookie| ("cookie", &**cookie)));
        headers.extend(self.csrf.iter().map(|csrf| ("x-csrf-token", &**csrf)));
        exchange(self.address, &request(method, path, &headers, body)).unwrap()
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(crate) fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.post("/api/v1/auth/sign-in", &body)
    }

    pub(crate) fn is_in(&mut self) -> bool {
        let answer = self.get("/api/v1/auth/session");
        assert!(matches!(answer.status, 200 | 401), "{}", answer.text());
        answer.status == 200
    }
}

/// A gateway that nobody has a key of, and the database that it is on.
pub(crate) struct Installation {
    pub(crate) gateway: Gateway,
    /// Kept until the gateway has ended.
    _database: Option<TestDatabase>,
}

impl Installation {
    /// Starts one on SQLite or on PostgreSQL.
    pub(crate) fn start(on_postgres: bool, settings: GatewaySettings) -> Self {
        let database = on_postgres.then(TestPostgres::database);
        let url = database.as_ref().map(|database| database.url.clone());
        let role = database.as_ref().map(TestDatabase::application_role);
        let mut settings = GatewaySettings {
            database: url.unwrap_or_default(),
            app_role: role.unwrap_or_default(),
            ..settings
        };
        let no_key = ("TOLLGATE_BOOTSTRAP_KEY".to_owned(), String::new());
        settings.env.push(no_key);
        let gateway = Gateway::start(BINARY, &settings);
        Self {
            gateway,
            _database: database,
        }
    }

    /// Returns the tokens that it printed.
    pub(crate) fn setup_tokens(&self) -> Vec<String> {
        let lines = self.gateway.lines();
        let tokens = lines.iter().filter_map(|line| {
            let (_, rest) = line.split_once("\"token\":\"tg_setup_")?;
            let (rest, _) = rest.split_once('"')?;
            Some(format!("tg_setup_{rest}"))
        });
        tokens.collect()
    }

    /// Lets the first person, Ann, in.
    pub(crate) fn set_up(&self) -> Browser {
        let mut browser = Browser::new(&self.gateway);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while self.setup_tokens().is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let answer = browser.post("/api/v1/auth/setup", &ann(&self.setup_tokens()[0]));
        assert_eq!(answer.status, 201, "{}", answer.text());
        browser
    }
}

/// What lets Ann in.
pub(crate) fn ann(token: &str) -> Value {
    json!({"token": token, "email": "ann@example.com", "name": "Ann", "password": PASSWORD})
}

/// The code that an authenticator app shows now for a secret, so many steps of 30 seconds later; worked
/// out by Python, so that the gateway's own code is not what is believed.
pub(crate) fn app_code(secret: &str, steps: i64) -> String {
    const PYTHON: &str = "import base64, hashlib, hmac, struct, sys, time\n\
        key = base64.b32decode(sys.argv[1])\n\
        count = struct.pack('>Q', int(time.time()) // 30 + int(sys.argv[2]))\n\
        mac = hmac.new(key, count, hashlib.sha1).digest()\n\
        at = mac[-1] & 15\n\
        print('%06d' % ((struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000))";
    let mut python = std::process::Command::new("python3");
    let output = python.args(["-c", PYTHON, secret, &steps.to_string()]);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
