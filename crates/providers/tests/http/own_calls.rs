//! The calls that Tollgate makes for itself.

use tollgate_providers::list_models;

use crate::server::{Server, status, whole};

fn install_crypto() {
    // Somebody else may have been faster, which is as well.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

#[tokio::test]
async fn models_are_listed_whatever_else_a_provider_says_of_them() {
    install_crypto();
    let list = r#"{"data":[{"id":"a"},{"id":"b","object":"model","odd":1},{"name":"no id"}]}"#;
    let server = Server::start(vec![whole(list)]).await;
    let url = format!("http://{}/v1/", server.address);
    assert_eq!(
        list_models(&url, Some("sk-secret")).await.unwrap(),
        ["a", "b"]
    );
    let head = &server.seen()[0].head;
    assert!(head.starts_with("get /v1/models http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer sk-secret"), "{head}");
}

#[tokio::test]
async fn a_refusal_is_an_error_and_a_redirect_is_not_followed() {
    install_crypto();
    let elsewhere = Server::start(vec![whole(r#"{"data":[]}"#)]).await;
    let location = format!("location: http://{}/v1/models\r\n", elsewhere.address);
    let refusal = r#"{"error":{"message":"no","type":"t","param":null,"code":"c"}}"#;
    for answer in [
        status(401, "", refusal),
        status(429, "", refusal),
        status(503, "", refusal),
        status(302, &location, ""),
    ] {
        let server = Server::start(vec![answer]).await;
        let url = format!("http://{}/v1", server.address);
        let error = list_models(&url, Some("sk-secret")).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("sk-secret"));
        assert_eq!(server.seen().len(), 1, "it is not tried again");
    }
    assert_eq!(elsewhere.connections(), 0);
}
