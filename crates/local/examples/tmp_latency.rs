//! temp
#![allow(warnings, clippy::all)]
use futures_util::StreamExt;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_local::*;
use tollgate_providers::*;
fn burn(us: u64) {
    let t = Instant::now();
    while t.elapsed() < Duration::from_micros(us) {}
}
async fn window(addr: std::net::SocketAddr, secs: u64) -> Vec<u64> {
    let mut hs = vec![];
    for _ in 0..4 {
        hs.push(tokio::task::spawn(async move {
            let mut s = TcpStream::connect(addr).await.unwrap();
            s.set_nodelay(true).unwrap();
            let end = Instant::now() + Duration::from_secs(secs);
            let mut v = vec![];
            let mut b = [0u8; 256];
            while Instant::now() < end {
                let t = Instant::now();
                s.write_all(&b).await.unwrap();
                s.read_exact(&mut b).await.unwrap();
                v.push(t.elapsed().as_micros() as u64);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            v
        }));
    }
    let mut all = vec![];
    for h in hs {
        all.extend(h.await.unwrap());
    }
    all
}
fn main() {
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/SmolLM2-135M-Instruct.Q4_1.gguf"
    );
    let mut config = LocalConfig::new(path, "m");
    config.threads = std::env::args().nth(1).map_or(0, |t| t.parse().unwrap());
    let model: &'static LocalModel = Box::leak(Box::new(LocalModel::new(config)));
    rt.block_on(async move {
        let l = TcpListener::bind("127.0.0.1:0").await.unwrap(); let addr = l.local_addr().unwrap();
        tokio::task::spawn(async move { loop { let (mut s, _) = l.accept().await.unwrap(); s.set_nodelay(true).unwrap(); tokio::task::spawn(async move { let mut b = [0u8; 256]; while s.read_exact(&mut b).await.is_ok() { burn(100); s.write_all(&b).await.unwrap(); } }); } });
        let (mut off, mut on) = (vec![], vec![]); let mut toks = 0;
        for _ in 0..8 {
            off.extend(window(addr, 3).await);
            let body = r#"{"messages":[{"role":"user","content":"Tell a story."}],"max_tokens":3900,"frequency_penalty":-2,"temperature":0}"#;
            let a = model.call(UpstreamRequest { endpoint: Endpoint::ChatCompletions, body: body.into(), is_stream: true, trace_parent: None }).await.unwrap();
            let AnswerBody::Stream(mut s) = a.body else { panic!() };
            let h = tokio::task::spawn(async move { let mut n = 0; while let Some(x) = s.next().await { n += 1 } n });
            let w = window(addr, 3).await; on.extend(w); h.abort();
        }
        for (n, v) in [("off", &mut off), ("on", &mut on)] { v.sort(); println!("{n}: n={} p50={} p90={} p99={} p999={}", v.len(), v[v.len()/2], v[v.len()*9/10], v[v.len()*99/100], v[v.len()*999/1000]); }
    });
    std::process::exit(0);
}
