// Plays Node's fetch against the example `conformance`:
//
//     node fetch.mjs http://127.0.0.1:PORT
//
// It prints `served` when everything was as it should be, and throws where not.

import assert from "node:assert/strict";

const base = process.argv[2];
const content = new Uint8Array(1 << 20).map((_, index) => (index * 7) % 256);

async function ask(path, options) {
    const answer = await fetch(base + path, options);
    return { answer, body: new Uint8Array(await answer.arrayBuffer()) };
}

const text = (body) => new TextDecoder().decode(body);

for (let index = 0; index < 20; index++) {
    const { answer, body } = await ask(`/x${index}`, { method: "POST", body: "hello" });
    assert.equal(text(body), "hello");
    assert.equal(answer.headers.get("x-target"), `/x${index}`);
}

assert.deepEqual((await ask("/x", { method: "PUT", body: content })).body, content);

// In chunks.
const stream = new ReadableStream({
    start(controller) {
        for (let at = 0; at < content.length; at += 50_000) {
            controller.enqueue(content.slice(at, at + 50_000));
        }
        controller.close();
    },
});
const chunked = await ask("/x", { method: "POST", body: stream, duplex: "half" });
assert.deepEqual(chunked.body, content);

const head = await ask("/big?n=1000", { method: "HEAD" });
assert.equal(head.answer.headers.get("content-length"), "1000");
assert.equal(head.body.length, 0);

for (const status of [204, 304, 404, 503]) {
    const { answer, body } = await ask(`/status/${status}`);
    assert.deepEqual([answer.status, body.length], [status, 0]);
}

assert.equal(text((await ask("/chunked")).body), "alpha,beta,gamma");
assert.equal((await ask("/boom")).answer.status, 500);
assert.equal(text((await ask("/noread", { method: "POST", body: "hello" })).body), "early");
assert.equal((await ask("/big?n=20000000")).body.length, 20_000_000);
const events = text((await ask("/sse")).body);
assert.equal(events.match(/data: tick /g).length, 3);

const answers = await Promise.all([...Array(200).keys()].map((index) => ask(`/${index}`)));
answers.forEach(({ answer }, index) => {
    assert.equal(answer.headers.get("x-target"), `/${index}`);
});

// One that is given up costs nobody else anything.
const controller = new AbortController();
const given = fetch(`${base}/slow?ms=10000`, { signal: controller.signal });
controller.abort();
await assert.rejects(given);
assert.equal((await ask("/next")).answer.status, 200);

console.log("served");
