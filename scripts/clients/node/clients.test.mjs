// OpenAI's client for Node against a served Orrery; ../node_test.go starts it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';

const { KEY, SERVED, FULL, LATENT, SEEN } = process.env;
const client = (options) => new OpenAI({ baseURL: SERVED, apiKey: KEY, maxRetries: 0, ...options });
const about = (model, question, more) => ({ model, messages: [{ role: 'user', content: question }], ...more });
const seen = async (what, query) => (await fetch(`${SEEN}/${what}?${new URLSearchParams(query)}`)).json();

test('a chat, and what is new in its reply', async () => {
  const { data: r, request_id } = await client().chat.completions.create(about('scripted', 'What is 2 + 2?')).withResponse();
  assert.equal(r.choices[0].message.content, 'so it is \\boxed{4}');
  assert.equal(r.choices[0].message.refusal, null);
  assert.equal(r.choices[0].finish_reason, 'stop');
  assert.equal(r.usage.completion_tokens, 4);
  assert.equal(r.orrery.answer, '4');
  assert.equal(await seen('reason', { id: request_id }), 'completed');
});

test('a method and its parameters', async () => {
  const r = await client().chat.completions.create(about('scripted', 'What is 2 + 2?', { orrery: { method: 'majority', budget: 3 } }));
  assert.equal(r.orrery.method, 'majority');
  assert.equal(r.orrery.traces.length, 3);
});

test('text of every kind, in parts, with a stop', async () => {
  const r = await client().chat.completions.create({
    model: 'scripted', stop: 'END', temperature: 0.5, seed: 7, max_completion_tokens: 50,
    messages: [{ role: 'developer', content: 'Be brief.' }, { role: 'user', content: [{ type: 'text', text: 'Write ' }, { type: 'text', text: 'in foreign letters' }] }],
  });
  assert.equal(r.choices[0].message.content, 'π 三 🪐"\\\u2028\n');
});

test('hidden reasoning is told apart', async () => {
  const r = await client().chat.completions.create(about('scripted', 'Think aloud'));
  assert.equal(r.choices[0].message.reasoning_content, 'let me think');
  assert.equal(r.choices[0].message.content, ' so \\boxed{4}');
});

test('log-probabilities, whole and streamed', async () => {
  const asked = about('scripted', 'What is 2 + 2?', { logprobs: true, top_logprobs: 3 });
  const check = (content) => {
    assert.equal(content.map((t) => t.token).join(''), 'so it is \\boxed{4}');
    for (const t of content) {
      assert.ok(Math.abs(t.logprob + Math.LN2) < 1e-6);
      assert.equal(t.top_logprobs.length, 3);
      assert.equal(Buffer.from(t.bytes).toString(), t.token);
    }
  };
  const whole = await client().chat.completions.create(asked);
  check(whole.choices[0].logprobs.content);
  const runner = client().chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices[0].message.content, 'so it is \\boxed{4}');
  check(final.choices[0].logprobs.content);
  assert.equal(final.usage.completion_tokens, 4);
});

test('a stream, event by event', async () => {
  const stream = await client().chat.completions.create(
    about('scripted@deepconf-high', 'What is 2 + 2?', { stream: true, stream_options: { include_usage: true }, orrery: { progress: true, budget: 6, warmup: 4 } }));
  let text = '', progress = '', finish, usage, orrery;
  for await (const chunk of stream) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    for (const c of chunk.choices) {
      text += c.delta.content ?? '';
      progress += c.delta.reasoning_content ?? '';
      finish ??= c.finish_reason;
    }
    usage ??= chunk.usage;
    orrery ??= chunk.orrery;
  }
  assert.equal(text, 'so it is \\boxed{4}');
  assert.match(progress, /calibrated on 4 traces/);
  assert.equal(finish, 'stop');
  assert.ok(usage.completion_tokens >= 16);
  assert.equal(orrery.method, 'deepconf-high');
});

test('completions, whole and streamed', async () => {
  const asked = { model: 'scripted', prompt: '2 + 2 =', max_tokens: 20, logprobs: 2 };
  const r = await client().completions.create(asked);
  assert.equal(r.choices[0].text, 'so it is \\boxed{4}');
  assert.equal(r.choices[0].logprobs.token_logprobs.length, 4);
  let text = '', named = '';
  for await (const chunk of await client().completions.create({ ...asked, stream: true })) {
    text += chunk.choices[0].text;
    named += chunk.choices[0].logprobs?.tokens.join('') ?? '';
  }
  assert.equal(text, 'so it is \\boxed{4}');
  assert.equal(named, text);
});

test('models', async () => {
  const ids = [];
  for await (const m of client().models.list()) ids.push(m.id);
  assert.ok(ids.includes('scripted') && ids.includes('scripted@deepconf-low'), ids.join());
  for (const id of ids) assert.equal((await client().models.retrieve(id)).id, id);
});

test('errors are of the classes that programs catch', async () => {
  const long = 'long '.repeat(300000);
  for (const [ask, options, kind, expected, reason] of [
    [about('scripted', '?', { n: 2 }), {}, OpenAI.BadRequestError, { status: 400, param: 'n', type: 'invalid_request_error', code: null }, 'bad_request'],
    [about('scripted', 'Answer at length'), {}, OpenAI.BadRequestError, { status: 400, code: 'context_length_exceeded' }, 'upstream_error'],
    [about('scripted', '?'), { apiKey: 'sk-wrong' }, OpenAI.AuthenticationError, { status: 401, code: 'invalid_api_key', type: 'authentication_error' }, 'unauthorized'],
    [about('gpt-9', '?'), {}, OpenAI.NotFoundError, { status: 404, code: 'model_not_found', param: 'model' }, 'bad_request'],
    [about('scripted', long), {}, OpenAI.APIError, { status: 413, code: 'body_too_large' }, 'bad_request'],
    [about('scripted', 'Answer unreachably'), {}, OpenAI.InternalServerError, { status: 502, type: 'upstream_error' }, 'upstream_error'],
    [about('scripted', 'Answer in silence', { orrery: { deadline_seconds: 0.2 } }), {}, OpenAI.InternalServerError, { status: 504, code: 'deadline_exceeded' }, 'deadline'],
  ]) {
    for (const stream of [false, true]) {
      const error = await client(options).chat.completions.create({ ...ask, stream }).then(() => assert.fail('no error'), (e) => e);
      assert.ok(error instanceof kind, `${expected.status}: ${error}`);
      for (const [field, value] of Object.entries(expected)) assert.equal(error[field], value, `${expected.status} ${field}: ${error}`);
      assert.ok(error.message.length > 20, error.message);
      assert.equal(await seen('reason', { id: error.requestID }), reason, String(error));
    }
  }
});

test('a stream that breaks off ends in an error with the words', async () => {
  let text = '';
  await assert.rejects(async () => {
    for await (const chunk of await client().chat.completions.create(about('scripted', 'Answer in pieces', { stream: true }))) {
      text += chunk.choices[0].delta.content ?? '';
    }
  }, (e) => e instanceof OpenAI.APIError && /the engine died/.test(e.message) && e.code === 'stream_error');
  assert.equal(text, 'so it');
});

test('a client that leaves ends its traces', async () => {
  for (const method of ['single', 'majority']) {
    for (const leave of ['abort', 'break']) {
      const question = `Node, ${method}, ${leave}: think slowly`;
      const { data: stream, request_id } = await client().chat.completions
        .create(about(`scripted@${method}`, question, { stream: true, orrery: { progress: true } })).withResponse();
      for await (const _ of stream) {
        await seen('asked', { prompt: question });
        if (leave === 'break') break;
        stream.controller.abort();
      }
      assert.equal(await seen('reason', { id: request_id }), 'client_cancelled');
      const { left, sent } = await seen('left', { prompt: question });
      assert.ok(left && sent < 5000, `${question}: ${left}, ${sent} tokens`);
    }
  }
});

test('one that is refused comes again when it was told to', async () => {
  const statuses = [];
  let release, held;
  const watched = async (url, init) => {
    const r = await fetch(url, init);
    statuses.push(r.status);
    if (r.status === 429) {
      assert.ok(r.headers.get('retry-after') >= 1);
      release();
      // Its place is free, however busy the machine is.
      assert.equal(await seen('reason', { id: held, at: 'full' }), 'client_cancelled');
    }
    return r;
  };
  const hold = async () => {
    const { data: stream, request_id } = await client({ baseURL: FULL }).chat.completions.create(about('scripted', 'Think slowly', { stream: true })).withResponse();
    [release, held] = [() => stream.controller.abort(), request_id];
  };
  await hold();
  const full = client({ baseURL: FULL, fetch: watched });
  await assert.rejects(full.chat.completions.create(about('scripted', 'What is 2 + 2?')), (e) => e instanceof OpenAI.RateLimitError && e.code === 'queue_full');
  await hold();
  statuses.length = 0;
  const r = await full.chat.completions.create(about('scripted', 'What is 2 + 2?'), { maxRetries: 2 });
  assert.deepEqual(statuses, [429, 200]);
  assert.equal(r.orrery.answer, '4');
});

test('hidden thoughts are passed over', async () => {
  const question = 'Every wumpus is a gorpus. Every gorpus is a yumpus. Every lempus is a sterpus. Alex is a wumpus. Is Alex a yumpus or sterpus?';
  const latent = client({ baseURL: LATENT });
  let held = 0;
  const runner = latent.chat.completions.stream({ model: (await latent.models.list()).data[0].id, messages: [{ role: 'user', content: question }], seed: 1, orrery: { thoughts: 2 } });
  runner.on('chunk', (chunk) => { if (chunk.orrery?.thought) held++; });
  const final = await runner.finalChatCompletion();
  assert.equal(held, 2);
  assert.match(final.choices[0].message.content, /pus/);
});
