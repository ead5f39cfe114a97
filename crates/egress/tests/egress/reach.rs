//! Whoever chooses a URL reaches the public internet or what the operator listed, and nothing else.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use secrecy::SecretString;
use tokio_util::task::TaskTracker;
use tollgate_egress::{
    CredentialForm, EgressError, EgressMethod, EgressRequest, EgressResponse, HostBound,
    UnreachableCause,
};

use crate::support::server::{Authority, NAME, Reply, serve_plain, serve_tls};
use crate::support::spellings::{self, End};
use crate::support::{SENTINEL, SERVER, Scripted, Sentinel, client, config, get};

const LOOPBACK: &[&[&str]] = &[&[SENTINEL, "::1"]];

fn cause(sent: &Result<EgressResponse, EgressError>) -> Option<UnreachableCause> {
    match sent {
        Err(EgressError::Unreachable { cause }) => Some(*cause),
        _ => None,
    }
}

#[tokio::test]
async fn t_egress_no_spelling_of_a_url_reaches_this_machine() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    let rows = spellings::all(sentinel.port);
    let distinct: HashSet<_> = rows.iter().map(|(url, _)| url).collect();
    assert_eq!(distinct.len(), rows.len(), "a row is there twice");
    assert!(rows.len() >= 120, "{}", rows.len());

    let mut wrong = Vec::new();
    // What the operator lists for others opens nothing here.
    for allowed in [&[][..], &["models.corp", "10.9.0.0/16", "models:1"]] {
        let resolver = Scripted::new(LOOPBACK);
        let client = client(config(sentinel.port, allowed, None), &resolver);
        for (url, end) in &rows {
            let found = match get(&client, url).await {
                Err(EgressError::Url(error)) => Some(End::Refused(error)),
                Err(EgressError::Unreachable {
                    cause: UnreachableCause::AddressRefused,
                }) => Some(End::NoGoodAddress),
                _ => None,
            };
            if found != Some(*end) {
                wrong.push(format!("{allowed:?} {url:?}: {found:?} instead of {end:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    sentinel.saw_nobody().await;
}

#[tokio::test]
async fn t_egress_no_special_address_behind_a_name_is_connected_to() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    for address in [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.1.1",
        "192.0.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::127.0.0.1",
        "2002:7f00:1::1",
        "2001:0:7f00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "100::1",
    ] {
        let resolver = Scripted::new(&[&[address]]);
        let client = client(config(sentinel.port, &[], None), &resolver);
        let sent = get(&client, &format!("https://{NAME}:{}/", sentinel.port)).await;
        assert_eq!(
            cause(&sent),
            Some(UnreachableCause::AddressRefused),
            "{address}"
        );
    }
    sentinel.saw_nobody().await;
}

#[tokio::test]
async fn t_egress_a_listed_host_is_reached_over_tls_and_answers() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    let (port, authority) = (sentinel.port, Authority::new());
    let identity = authority.issue(NAME, [2020, 2100]);
    let seen = serve_tls(port, identity, Reply::ok("welcome"), &tasks).await;
    let resolver = Scripted::new(&[&[SERVER]]);
    let client = client(config(port, &[SERVER], Some(authority.pem())), &resolver);

    let target = client
        .target(&format!("https://{NAME}:{port}/in?a=b"))
        .unwrap();
    let key = HostBound::new(target.origin().clone(), SecretString::from("s3cret")).unwrap();
    let request = EgressRequest::new(EgressMethod::Post, target)
        .credential(&key, &CredentialForm::Bearer)
        .unwrap();
    let answer = client.send(request.body("hello")).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &*answer.body),
        (200, &b"welcome"[..])
    );

    let heads = seen.lock().unwrap().clone();
    let [head] = &*heads else { panic!("{heads:?}") };
    assert!(head.starts_with("POST /in?a=b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {NAME}:{port}\r\n")), "{head}");
    assert!(head.contains("authorization: Bearer s3cret\r\n"), "{head}");
    sentinel.saw_nobody().await;
}

#[tokio::test]
async fn t_egress_a_listed_address_or_name_may_be_asked_over_http() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    let port = sentinel.port;
    serve_plain(port, Reply::ok("plain"), &tasks).await;
    let resolver = Scripted::new(&[&[SERVER]]);
    let listed = [
        format!("models:{port}"),
        format!("localhost:{port}"),
        SERVER.to_owned(),
    ];
    let listed = listed.each_ref().map(String::as_str);
    let client = client(config(port, &listed, None), &resolver);
    for host in [SERVER, "models", "localhost"] {
        let answer = get(&client, &format!("http://{host}:{port}/"))
            .await
            .unwrap();
        assert_eq!(&*answer.body, b"plain", "{host}");
    }
    sentinel.saw_nobody().await;
}

#[tokio::test]
async fn t_egress_a_name_that_changes_its_address_is_caught_when_it_does() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    let (port, authority) = (sentinel.port, Authority::new());
    let identity = authority.issue(NAME, [2020, 2100]);
    let seen = serve_tls(port, identity, Reply::ok("good"), &tasks).await;
    // A good address for whoever checks first, then this machine's for whoever asks again.
    let resolver = Scripted::new(&[&[SERVER], &[SENTINEL]]);
    let client = client(config(port, &[SERVER], Some(authority.pem())), &resolver);
    let url = format!("https://{NAME}:{port}/");

    assert_eq!(&*get(&client, &url).await.unwrap().body, b"good");
    assert_eq!(
        resolver.asked.load(Ordering::SeqCst),
        1,
        "asked once, connected to that"
    );
    let sent = get(&client, &url).await;
    assert_eq!(cause(&sent), Some(UnreachableCause::AddressRefused));
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 2);
    assert_eq!(seen.lock().unwrap().len(), 1);
    sentinel.saw_nobody().await;
}

#[tokio::test]
async fn t_egress_of_good_and_bad_addresses_only_the_good_are_used() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    let (port, authority) = (sentinel.port, Authority::new());
    let identity = authority.issue(NAME, [2020, 2100]);
    serve_tls(port, identity, Reply::ok("good"), &tasks).await;
    for answer in [
        &[SENTINEL, SERVER][..],
        &["::1", SENTINEL, SERVER],
        &[SERVER, SENTINEL, "::1"],
        &["::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1", SERVER],
    ] {
        let resolver = Scripted::new(&[answer]);
        let client = client(config(port, &[SERVER], Some(authority.pem())), &resolver);
        let sent = get(&client, &format!("https://{NAME}:{port}/")).await;
        assert_eq!(&*sent.unwrap().body, b"good", "{answer:?}");
    }
    sentinel.saw_nobody().await;
}

#[tokio::test]
async fn t_egress_an_answer_that_points_elsewhere_is_not_followed() {
    let statuses = ["301 A", "302 A", "303 A", "307 A", "308 A", "300 A"];
    for status in statuses {
        let tasks = TaskTracker::new();
        let sentinel = Sentinel::start(&tasks).await;
        let (port, authority) = (sentinel.port, Authority::new());
        let identity = authority.issue(NAME, [2020, 2100]);
        let location = format!(
            "location: http://{SENTINEL}:{port}/\r\nrefresh: 0;url=http://{SENTINEL}:{port}/\r\n"
        );
        let reply = Reply::head(status, &location, "");
        let seen = serve_tls(port, identity, reply, &tasks).await;
        let resolver = Scripted::new(&[&[SERVER]]);
        let client = client(config(port, &[SERVER], Some(authority.pem())), &resolver);
        let answer = get(&client, &format!("https://{NAME}:{port}/"))
            .await
            .unwrap();
        assert_eq!(answer.status.as_str(), &status[..3]);
        let location = answer.headers.get("location").unwrap().to_str().unwrap();
        assert!(client.target(location).is_err(), "{location}");
        assert_eq!(seen.lock().unwrap().len(), 1);
        sentinel.saw_nobody().await;
    }
}

#[tokio::test]
async fn t_egress_whoever_runs_a_listed_name_does_not_get_this_machine() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    let port = sentinel.port;
    let resolver = Scripted::new(&[&[SENTINEL, "::1", "169.254.169.254", "fd00:ec2::254"]]);
    let listed = format!("models.corp:{port}");
    let client = client(config(port, &[&listed], None), &resolver);
    for scheme in ["http", "https"] {
        let sent = get(&client, &format!("{scheme}://models.corp:{port}/")).await;
        assert_eq!(
            cause(&sent),
            Some(UnreachableCause::AddressRefused),
            "{scheme}"
        );
    }
    sentinel.saw_nobody().await;
}

#[tokio::test]
async fn t_egress_a_url_read_under_another_policy_is_read_again() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    let port = sentinel.port;
    let resolver = Scripted::new(LOOPBACK);
    let open = client(config(port, &["127.0.0.0/8", "::1"], None), &resolver);
    let closed = client(config(port, &[], None), &resolver);
    let target = open.target(&format!("http://{SENTINEL}:{port}/")).unwrap();
    let sent = closed
        .send(EgressRequest::new(EgressMethod::Get, target))
        .await;
    assert!(matches!(sent, Err(EgressError::Url(_))), "{sent:?}");
    sentinel.saw_nobody().await;
}

/// The environment of a process cannot be changed from within without unsafe code, so two of the
/// tests above run again in processes of their own.
#[tokio::test]
async fn t_egress_proxies_of_the_environment_are_not_used() {
    let tasks = TaskTracker::new();
    let sentinel = Sentinel::start(&tasks).await;
    let proxy = format!("http://{SENTINEL}:{}", sentinel.port);
    for test in [
        "reach::t_egress_a_listed_host_is_reached_over_tls_and_answers",
        "reach::t_egress_a_listed_address_or_name_may_be_asked_over_http",
    ] {
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        command
            .args([test, "--exact"])
            .env_remove("NO_PROXY")
            .env_remove("no_proxy");
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ] {
            command.env(name, &proxy);
        }
        let output = command.output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
    }
    sentinel.saw_nobody().await;
}
