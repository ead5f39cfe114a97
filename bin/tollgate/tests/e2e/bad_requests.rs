//! The malformed requests: their bytes, and what they deserve.

/// The largest body that the gateway under test takes; small, so that a debug build is quick.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// One malformed request.
pub(crate) struct BadRequest {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) status: u16,
    /// OpenAI's `error.code`; empty where the request is too broken for a body to be promised.
    pub(crate) code: &'static str,
}

/// A table: status, code, name and bytes. A macro, so that a row stays a line.
macro_rules! table {
    ($($status:literal $code:literal $name:literal, $bytes:expr;)*) => {
        vec![$(BadRequest { name: $name, bytes: $bytes.into(), status: $status, code: $code }),*]
    };
}

const CHAT_LINE: &str = "POST /v1/chat/completions HTTP/1.1\r\n";
const HOST: &str = "host: gateway.test\r\n";
const JSON: &str = "content-type: application/json\r\n";
const CHUNKED: &str = "transfer-encoding: chunked\r\n";

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const MESSAGE: &str = r#"{"role":"user","content":"hi"}"#;

/// Makes requests that are good but for what is given.
struct Good<'a> {
    key: &'a str,
}

impl Good<'_> {
    fn authorization(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.key)
    }

    /// A chat request with this body.
    fn chat(&self, body: impl AsRef<[u8]>) -> Vec<u8> {
        self.post("/v1/chat/completions", body)
    }

    fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let body = body.as_ref();
        let start = format!(
            "POST {path} HTTP/1.1\r\n{HOST}{JSON}{}",
            self.authorization()
        );
        let mut bytes = format!("{start}content-length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// A chat request with these fields besides model and messages.
    fn with(&self, fields: &str) -> Vec<u8> {
        self.chat(format!(
            r#"{{"model":"m","messages":[{MESSAGE}],{fields}}}"#
        ))
    }

    /// A chat request with these headers instead of all but the length.
    fn headers(headers: &str) -> Vec<u8> {
        format!(
            "{CHAT_LINE}{headers}content-length: {}\r\n\r\n{CHAT}",
            CHAT.len()
        )
        .into_bytes()
    }

    /// A chat request with these headers besides.
    fn more(&self, headers: &str) -> Vec<u8> {
        Self::headers(&format!("{HOST}{JSON}{}{headers}", self.authorization()))
    }

    /// A chat request with this framing of its body.
    fn framed(&self, framing: &str, body: &str) -> Vec<u8> {
        format!(
            "{CHAT_LINE}{HOST}{JSON}{}{framing}\r\n{body}",
            self.authorization()
        )
        .into_bytes()
    }

    /// A request without a body.
    fn line(&self, line: &str) -> Vec<u8> {
        format!("{line}\r\n{HOST}{}\r\n", self.authorization()).into_bytes()
    }
}

/// Returns them all, for a gateway with this key and a model `m`.
pub(crate) fn bad_requests(key: &str) -> Vec<BadRequest> {
    let good = Good { key };
    let groups = [
        syntax(&good),
        shape(&good),
        models_and_messages(&good),
        fields(&good),
        embeddings(&good),
        media(&good),
        credentials(&good),
        hosts(&good),
        routes(&good),
        lengths(&good),
        chunks(&good),
        heads(&good),
    ];
    groups.into_iter().flatten().collect()
}

fn syntax(good: &Good<'_>) -> Vec<BadRequest> {
    table! {
        400 "invalid_json" "an empty body", good.chat("");
        400 "invalid_json" "only blanks", good.chat(" \r\n\t ");
        400 "invalid_json" "an opening brace", good.chat("{");
        400 "invalid_json" "a closing brace", good.chat("}");
        400 "invalid_json" "a word", good.chat("hello");
        400 "invalid_json" "half a literal", good.chat("nul");
        400 "invalid_json" "a cut object", good.chat(r#"{"model":"m","messages":[{"role":"user""#);
        400 "invalid_json" "a cut string", good.chat(r#"{"model":"m"#);
        400 "invalid_json" "a trailing comma in an object", good.chat(r#"{"model":"m",}"#);
        400 "invalid_json" "a trailing comma in an array", good.with(r#""x":[1,]"#);
        400 "invalid_json" "a missing colon", good.chat(r#"{"model" "m"}"#);
        400 "invalid_json" "a missing comma", good.chat(r#"{"model":"m" "n":1}"#);
        400 "invalid_json" "a bare key", good.chat(r#"{model:"m"}"#);
        400 "invalid_json" "single quotes", good.chat("{'model':'m'}");
        400 "invalid_json" "a comment", good.chat(r#"{"model":"m"/* hi */}"#);
        400 "invalid_json" "NaN", good.with(r#""temperature":NaN"#);
        400 "invalid_json" "Infinity", good.with(r#""temperature":-Infinity"#);
        400 "invalid_json" "a leading zero", good.with(r#""x":01"#);
        400 "invalid_json" "a plus sign", good.with(r#""x":+1"#);
        400 "invalid_json" "a hexadecimal number", good.with(r#""x":0x1"#);
        400 "invalid_json" "a number that ends in a point", good.with(r#""x":1."#);
        400 "invalid_json" "a number beyond any float", good.with(r#""temperature":1e999"#);
        400 "invalid_json" "an unknown escape", good.with(r#""user":"\x6d""#);
        400 "invalid_json" "half an escape", good.with(r#""user":"\u00""#);
        400 "invalid_json" "a lone surrogate", good.with(r#""user":"\ud800""#);
        400 "invalid_json" "a line break inside a string", good.with("\"user\":\"m\nn\"");
        400 "invalid_json" "a zero byte", good.chat("{\"model\":\"m\"\0}");
        400 "invalid_json" "two documents", good.chat(format!("{CHAT}{CHAT}"));
        400 "invalid_json" "text after the end", good.chat(format!("{CHAT} x"));
        400 "invalid_json" "a byte order mark", good.chat(format!("\u{feff}{CHAT}"));
        400 "invalid_json" "bytes that are not UTF-8", good.chat(b"{\"model\":\"m\xff\"}");
        400 "invalid_json" "an overlong encoding", good.chat(b"{\"model\":\"\xc0\xaf\"}");
        400 "invalid_json" "UTF-16", good.chat(b"\xff\xfe{\0\"\0m\0\"\0:\x001\0}\0");
    }
}

fn shape(good: &Good<'_>) -> Vec<BadRequest> {
    let deep = |open: &str, close: &str, depth: usize| {
        good.with(&format!(
            "\"x\":{}1{}",
            open.repeat(depth),
            close.repeat(depth)
        ))
    };
    table! {
        400 "invalid_json" "an array", good.chat("[]");
        400 "invalid_json" "a string", good.chat("\"model\"");
        400 "invalid_json" "a number", good.chat("17");
        400 "invalid_json" "null", good.chat("null");
        400 "too_deep" "65 nested arrays", deep("[", "]", 65);
        400 "too_deep" "65 nested objects", deep("{\"a\":", "}", 65);
        400 "too_deep" "100,000 nested arrays", deep("[", "]", 100_000);
        400 "too_deep" "100,000 arrays that are never closed", deep("[", "", 100_000);
        400 "duplicate_key" "two models", good.with(r#""model":"s""#);
        400 "duplicate_key" "two models, one of them escaped", good.with(r#""mod\u0065l":"s""#);
        400 "duplicate_key" "two lists of messages", good.with(r#""messages":[]"#);
        400 "duplicate_key" "two equal keys deep inside", good.with(r#""x":{"y":[{"z":1,"z":1}]}"#);
    }
}

fn models_and_messages(good: &Good<'_>) -> Vec<BadRequest> {
    let model = |value: &str| good.chat(format!(r#"{{"model":{value},"messages":[{MESSAGE}]}}"#));
    let messages = |value: &str| good.chat(format!(r#"{{"model":"m","messages":{value}}}"#));
    let long_name = format!("\"{}\"", "m".repeat(10_000));
    table! {
        400 "missing_required_parameter" "no model", good.chat(format!(r#"{{"messages":[{MESSAGE}]}}"#));
        400 "invalid_type" "a model that is null", model("null");
        400 "invalid_type" "a model that is a number", model("1");
        400 "invalid_type" "a model that is an object", model("{}");
        400 "invalid_type" "a model that is a list", model(r#"["m"]"#);
        400 "invalid_value" "a model without a name", model("\"\"");
        400 "invalid_value" "a model with a very long name", model(&long_name);
        404 "model_not_found" "a model nobody has", model("\"nobody\"");
        400 "invalid_value" "a model with a line break", model(r#""m\nx""#);
        404 "model_not_found" "a model that is a path", model("\"../../m\"");
        400 "missing_required_parameter" "no messages", good.chat(r#"{"model":"m"}"#);
        400 "invalid_type" "messages that are null", messages("null");
        400 "invalid_type" "messages that are a text", messages("\"hi\"");
        400 "invalid_type" "messages that are an object", messages("{}");
        400 "invalid_value" "no message", messages("[]");
    }
}

fn fields(good: &Good<'_>) -> Vec<BadRequest> {
    let options =
        |options: &str| good.with(&format!("\"stream\":true,\"stream_options\":{options}"));
    table! {
        400 "invalid_type" "a stream that is a text", good.with(r#""stream":"yes""#);
        400 "invalid_type" "a stream that is a number", good.with(r#""stream":1"#);
        400 "invalid_type" "stream options that are a list", options("[]");
        400 "invalid_type" "a usage wish that is a text", options(r#"{"include_usage":"true"}"#);
        400 "invalid_value" "no choice", good.with(r#""n":0"#);
        400 "invalid_value" "a negative number of choices", good.with(r#""n":-1"#);
        400 "invalid_value" "half a choice", good.with(r#""n":1.5"#);
        400 "invalid_value" "129 choices", good.with(r#""n":129"#);
        400 "invalid_type" "choices that are a text", good.with(r#""n":"2""#);
        400 "invalid_value" "no token at the most", good.with(r#""max_tokens":0"#);
        400 "invalid_value" "negative tokens", good.with(r#""max_completion_tokens":-5"#);
        400 "invalid_value" "tokens beyond all numbers", good.with(r#""max_tokens":1e300"#);
        400 "invalid_type" "tokens that are a text", good.with(r#""max_tokens":"5""#);
    }
}

fn embeddings(good: &Good<'_>) -> Vec<BadRequest> {
    let embed = |body: &str| good.post("/v1/embeddings", body);
    table! {
        400 "missing_required_parameter" "embeddings of nothing", embed(r#"{"model":"m"}"#);
        400 "missing_required_parameter" "embeddings without a model", embed(r#"{"input":"a"}"#);
        400 "invalid_type" "embeddings of null", embed(r#"{"model":"m","input":null}"#);
        400 "invalid_type" "embeddings of a number", embed(r#"{"model":"m","input":5}"#);
        400 "invalid_type" "embeddings of an object", embed(r#"{"model":"m","input":{}}"#);
        400 "invalid_type" "embeddings of a mixture", embed(r#"{"model":"m","input":["a",1]}"#);
        400 "invalid_value" "embeddings of no text", embed(r#"{"model":"m","input":[]}"#);
    }
}

fn media(good: &Good<'_>) -> Vec<BadRequest> {
    let typed = |content_type: &str| {
        Good::headers(&format!(
            "{HOST}{}content-type: {content_type}\r\n",
            good.authorization()
        ))
    };
    let untyped = Good::headers(&format!("{HOST}{}", good.authorization()));
    table! {
        415 "unsupported_media_type" "no content type", untyped;
        415 "unsupported_media_type" "plain text", typed("text/plain");
        415 "unsupported_media_type" "a form", typed("application/x-www-form-urlencoded");
        415 "unsupported_media_type" "a form in parts", typed("multipart/form-data; boundary=x");
        415 "unsupported_media_type" "JSON in UTF-16", typed("application/json; charset=utf-16");
        415 "unsupported_media_type" "a content type that is none", typed("json");
        415 "unsupported_media_type" "a compressed body", good.more("content-encoding: gzip\r\n");
        415 "unsupported_media_type" "an unknown encoding", good.more("content-encoding: rot13\r\n");
    }
}

fn credentials(good: &Good<'_>) -> Vec<BadRequest> {
    let with = |headers: &str| Good::headers(&format!("{HOST}{JSON}{headers}"));
    let authorization = |value: &str| with(&format!("authorization: {value}\r\n"));
    let bearer = |key: &str| authorization(&format!("Bearer {key}"));
    let key = good.key;
    let last = if key.ends_with('x') { 'y' } else { 'x' };
    let mistyped = format!("{}{last}", &key[..key.len() - 1]);
    let second_bearer = format!("authorization: Bearer {mistyped}\r\n");
    let query = CHAT_LINE.replace(" HTTP", &format!("?api_key={key} HTTP"));
    let query = format!(
        "{query}{HOST}{JSON}content-length: {}\r\n\r\n{CHAT}",
        CHAT.len()
    );
    table! {
        401 "invalid_api_key" "no credential", with("");
        401 "invalid_api_key" "a credential without text", authorization("");
        401 "invalid_api_key" "a bearer without a key", bearer("");
        401 "invalid_api_key" "a bare word", authorization("Bearer");
        401 "invalid_api_key" "a key without its scheme", authorization(key);
        401 "invalid_api_key" "a user name and a password", authorization("Basic dTpw");
        401 "invalid_api_key" "somebody else's key", bearer("sk-proj-0123456789abcdef");
        401 "invalid_api_key" "a key with a typing error", bearer(&mistyped);
        401 "invalid_api_key" "a key in capitals", bearer(&key.to_uppercase());
        401 "invalid_api_key" "half a key", bearer(&key[..key.len() / 2]);
        401 "invalid_api_key" "a key with something after it", bearer(&format!("{key}x"));
        401 "invalid_api_key" "a very long key", bearer(&key.repeat(60));
        401 "invalid_api_key" "a key that is SQL", bearer("tg_live_' OR '1'='1");
        401 "invalid_api_key" "a key outside ASCII", bearer("tg_live_\u{e9}\u{e9}");
        401 "invalid_api_key" "a key in the query", query;
        401 "invalid_api_key" "an empty x-api-key", with("x-api-key: \r\n");
        400 "conflicting_credentials" "two keys", good.more(&format!("x-api-key: {mistyped}\r\n"));
        400 "conflicting_credentials" "two bearers", good.more(&second_bearer);
        400 "conflicting_credentials" "a key and something else", good.more("api-key: sk-1\r\n");
    }
}

fn hosts(good: &Good<'_>) -> Vec<BadRequest> {
    let with = |hosts: &str| Good::headers(&format!("{hosts}{JSON}{}", good.authorization()));
    let long = format!("host: {}\r\n", "a".repeat(300));
    table! {
        400 "" "no host", with("");
        400 "" "two hosts", with("host: a\r\nhost: b\r\n");
        400 "invalid_host" "an empty host", with("host: \r\n");
        400 "invalid_host" "a host with a query", with("host: a?x\r\n");
        400 "invalid_host" "a host with a path", with("host: a/b\r\n");
        400 "invalid_host" "a host with a fragment", with("host: a#b\r\n");
        400 "invalid_host" "a host with a user", with("host: u@a\r\n");
        400 "invalid_host" "a host with a blank", with("host: a b\r\n");
        400 "invalid_host" "a host with a port that is none", with("host: a:b\r\n");
        400 "invalid_host" "a host with a port too high", with("host: a:65536\r\n");
        400 "invalid_host" "a host with a backslash", with("host: a\\b\r\n");
        400 "invalid_host" "an IPv6 host that is not closed", with("host: [::1\r\n");
        400 "invalid_host" "a very long host", with(&long);
    }
}

fn routes(good: &Good<'_>) -> Vec<BadRequest> {
    table! {
        405 "method_not_allowed" "GET of a chat", good.line("GET /v1/chat/completions HTTP/1.1");
        405 "method_not_allowed" "PUT of a chat", good.line("PUT /v1/chat/completions HTTP/1.1");
        405 "method_not_allowed" "DELETE of a model", good.line("DELETE /v1/models/m HTTP/1.1");
        405 "method_not_allowed" "TRACE", good.line("TRACE /v1/chat/completions HTTP/1.1");
        405 "method_not_allowed" "an unknown method", good.line("BREW /v1/chat/completions HTTP/1.1");
        404 "not_found" "an unknown path", good.post("/v1/chat/completion", CHAT);
        404 "not_found" "a path with two slashes", good.post("/v1//chat/completions", CHAT);
        404 "not_found" "a path with dots", good.post("/v1/../v1/chat/completions", CHAT);
        404 "not_found" "a path in capitals", good.post("/V1/CHAT/COMPLETIONS", CHAT);
        404 "not_found" "a path with encoded slashes", good.post("/v1%2fchat%2fcompletions", CHAT);
        404 "not_found" "a slash at the end", good.post("/v1/chat/completions/", CHAT);
        404 "model_not_found" "a look at no model", good.line("GET /v1/models/nobody HTTP/1.1");
        400 "invalid_host" "CONNECT", good.line("CONNECT evil.test:443 HTTP/1.1");
    }
}

fn lengths(good: &Good<'_>) -> Vec<BadRequest> {
    let length = |value: &str| good.framed(&format!("content-length: {value}\r\n"), CHAT);
    let real = CHAT.len();
    let mut in_chunks = good.framed(CHUNKED, "");
    for _ in 0..9 {
        in_chunks.extend_from_slice(b"20000\r\n");
        in_chunks.resize(in_chunks.len() + (128 << 10), b' ');
        in_chunks.extend_from_slice(b"\r\n");
    }
    table! {
        413 "request_too_large" "a body announced too long", length(&(BODY_BYTES_MAX + 1).to_string());
        413 "request_too_large" "a body too long in chunks", in_chunks;
        400 "invalid_json" "a body longer than it says", length("10");
        400 "" "a length below zero", length("-1");
        400 "" "a length with a sign", length(&format!("+{real}"));
        400 "" "a length that is a word", length("long");
        400 "" "a length that is empty", length("");
        400 "" "a length in hexadecimal", length(&format!("0x{real:x}"));
        400 "" "a length beyond all numbers", length("99999999999999999999");
        400 "" "a list of lengths", length(&format!("{real}, 1"));
        400 "" "two lengths", length(&format!("{real}\r\ncontent-length: 1"));
    }
}

fn chunks(good: &Good<'_>) -> Vec<BadRequest> {
    let chunked = format!("{:x}\r\n{CHAT}\r\n0\r\n\r\n", CHAT.len());
    let framed = |framing: &str| good.framed(&format!("{framing}\r\n"), &chunked);
    let chunk = |chunk: &str| good.framed(CHUNKED, chunk);
    let length = format!("content-length: {}", CHAT.len());
    table! {
        400 "" "a length and chunks", framed(&format!("{length}\r\ntransfer-encoding: chunked"));
        400 "" "chunks and a length", framed("transfer-encoding: chunked\r\ncontent-length: 3");
        400 "" "chunks twice", framed("transfer-encoding: chunked, chunked");
        400 "" "chunks that are not last", framed("transfer-encoding: chunked, identity");
        400 "" "an unknown transfer encoding", framed("transfer-encoding: xchunked");
        400 "" "chunks and identity", framed("transfer-encoding: chunked\r\ntransfer-encoding: identity");
        400 "" "a chunk without a size", chunk("\r\nx\r\n0\r\n\r\n");
        400 "" "a chunk of a wrong size", chunk("zz\r\nx\r\n0\r\n\r\n");
        400 "" "a chunk of a negative size", chunk("-1\r\nx\r\n0\r\n\r\n");
        400 "" "a chunk beyond all numbers", chunk("fffffffffffffffff\r\nx\r\n0\r\n\r\n");
        400 "" "a chunk longer than it says", chunk("1\r\nxx\r\n0\r\n\r\n");
    }
}

fn heads(good: &Good<'_>) -> Vec<BadRequest> {
    let many = (0..200)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect::<String>();
    let long = "a".repeat(200_000);
    table! {
        400 "" "not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
        400 "" "HTTP/2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        400 "" "no version", b"GET /v1/models\r\n\r\n";
        400 "" "a version that is none", good.line("GET /v1/models HTTP/9.9");
        400 "" "a line of one word", b"GET\r\n\r\n";
        400 "" "a path with a blank", good.line("GET /v1/models m HTTP/1.1");
        400 "" "a header without a colon", good.more("nonsense\r\n");
        400 "" "a header without a name", good.more(": x\r\n");
        400 "" "a blank before the colon", good.more("x-a : b\r\n");
        400 "" "a header on two lines", good.more("x-a: b\r\n c\r\n");
        400 "" "a zero byte in a header", good.more("x-a: b\0c\r\n");
        400 "" "a carriage return in a header", good.more("x-a: b\rc\r\n");
        431 "" "200 headers", good.more(&many);
        431 "" "a header of 200 KB", good.more(&format!("x-a: {long}\r\n"));
        431 "" "a path of 200 KB", good.line(&format!("GET /v1/models/{long} HTTP/1.1"));
    }
}
