// What users of OpenAI's JavaScript SDK see of Tollgate. Prints a line per case; the first failure
// ends it.

import assert from "node:assert/strict";
import OpenAI from "openai";

const e2e = JSON.parse(process.env.TOLLGATE_E2E);
const hello = [{ role: "user", content: "Say it. tokens(12,3)" }];

function client(key = "owner", options = {}) {
  const apiKey = e2e.keys[key] ?? key;
  return new OpenAI({ baseURL: e2e.base_url, apiKey, maxRetries: 0, timeout: 20000, ...options });
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}

const content = (chunks) => chunks.map((c) => c.choices[0]?.delta.content ?? "").join("");

async function chat() {
  const body = { model: "m", messages: hello, temperature: 0.25, x_unknown: { deep: [1, "é"] } };
  const answer = await client().chat.completions.create(body);
  assert.equal(answer.choices[0].message.content, "w w w ");
  assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [12, 3]);
  assert.deepEqual(answer.x_scripted, { kept: true });
  assert.match(answer._request_id, /^req_/);
}

async function streamWithoutUsage() {
  const body = { model: "m", messages: hello, stream: true };
  const chunks = await collect(client().chat.completions.create(body));
  assert.equal(content(chunks), "w1 w2 w3 ");
  assert.ok(chunks.every((c) => !c.usage && c.choices.length === 1));
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
}

async function streamWithUsage() {
  const body = { model: "m", messages: hello, stream: true, stream_options: { include_usage: true } };
  const chunks = await collect(client().chat.completions.create(body));
  assert.equal(content(chunks), "w1 w2 w3 ");
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.total_tokens, 15);
}

async function tools() {
  const body = { model: "tools", messages: hello, tools: e2e.tools };
  const [choice] = (await client().chat.completions.create(body)).choices;
  const [call] = choice.message.tool_calls;
  assert.deepEqual([call.id, call.function.name], ["call_1", "weather"]);
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Zürich" });
  assert.equal(choice.finish_reason, "tool_calls");
}

async function streamedTools() {
  const body = { model: "streamed-tools", messages: hello, tools: e2e.tools };
  const answer = await client().chat.completions.stream(body).finalChatCompletion();
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Zürich" });
}

async function structuredOutput() {
  const schema = {
    type: "object",
    properties: { city: { type: "string" }, population: { type: "integer" } },
    required: ["city", "population"],
    additionalProperties: false,
  };
  const format = { type: "json_schema", json_schema: { name: "City", strict: true, schema } };
  const body = { model: "structured", messages: hello, response_format: format };
  const answer = await client().chat.completions.create(body);
  const city = JSON.parse(answer.choices[0].message.content);
  assert.deepEqual(city, { city: "Zürich", population: 450000 });
}

async function embeddings() {
  for (const options of [{}, { encoding_format: "float" }]) {
    const body = { model: "m", input: ["a tokens(6,0)", "b"], ...options };
    const answer = await client().embeddings.create(body);
    for (const row of answer.data) assert.deepEqual([...row.embedding], [1, 0.5, 0.25, -1]);
    assert.equal(answer.usage.prompt_tokens, 6);
  }
}

async function models() {
  const ids = (await client().models.list()).data.map((model) => model.id);
  assert.ok(ids.includes("m") && ids.includes("tools"), ids);
  const model = await client().models.retrieve("m");
  assert.deepEqual([model.id, model.object], ["m", "model"]);
  const limited = await client("limited").models.list();
  assert.deepEqual(limited.data.map((model) => model.id), ["m"]);
}

async function fails(kind, status, code, promise) {
  const error = await promise.then(
    () => assert.fail(`no ${kind.name}`),
    (error) => error,
  );
  assert.equal(error.constructor, kind, `${error.constructor.name}: ${error.message}`);
  assert.equal(error.status, status, error.message);
  assert.equal(error.code, code, error.message);
  return error;
}

async function errors() {
  const ask = (model, key = "owner", options = {}) =>
    client(key).chat.completions.create({ model, messages: hello, ...options });
  await fails(OpenAI.BadRequestError, 400, "invalid_value", ask("m", "owner", { n: 0 }));
  await fails(OpenAI.BadRequestError, 400, "scripted_400", ask("fail-400"));
  await fails(OpenAI.AuthenticationError, 401, "invalid_api_key", ask("m", "sk-wrong"));
  await fails(OpenAI.PermissionDeniedError, 403, "model_not_allowed", ask("tools", "limited"));
  await fails(OpenAI.NotFoundError, 404, "model_not_found", ask("nobody"));
  await fails(OpenAI.NotFoundError, 404, "scripted_404", ask("fail-404"));
  await fails(OpenAI.UnprocessableEntityError, 422, "scripted_422", ask("fail-422"));
  await fails(OpenAI.RateLimitError, 429, "provider_rate_limited", ask("fail-429"));
  await fails(OpenAI.InternalServerError, 502, "provider_error", ask("fail-500"));
  await fails(OpenAI.InternalServerError, 502, "provider_credential_refused", ask("fail-401"));
  await fails(OpenAI.InternalServerError, 504, "provider_timeout", ask("hang"));
  await fails(OpenAI.APIError, 402, "budget_exceeded", ask("m", "poor"));
  await ask("m", "slow");
  const limited = await fails(OpenAI.RateLimitError, 429, "rate_limit_exceeded", ask("m", "slow"));
  assert.ok(Number(limited.headers.get("retry-after")) >= 1);
  const impatient = client("owner", { timeout: 300 }).chat.completions;
  await assert.rejects(
    impatient.create({ model: "hang", messages: hello }),
    OpenAI.APIConnectionTimeoutError,
  );
}

async function streamThatBreaksOff() {
  const seen = [];
  const read = async () => {
    const body = { model: "cut", messages: hello, stream: true };
    for await (const chunk of await client().chat.completions.create(body)) seen.push(chunk);
  };
  await fails(OpenAI.APIError, undefined, "provider_stream_cut", read());
  assert.equal(content(seen), "w1 w2 w3 ");
  assert.ok(seen.every((c) => !c.choices[0].finish_reason));
}

const cases = [
  chat, streamWithoutUsage, streamWithUsage, tools, streamedTools, structuredOutput, embeddings,
  models, errors, streamThatBreaksOff,
];
for (const test of cases) {
  await test();
  console.log("ok", test.name);
}
