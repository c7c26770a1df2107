// Plays cases of gRPC's interoperability suite by @grpc/grpc-js: node interop.js host:port.
// Messages are encoded by hand, so that nothing need be generated: each field is a tag, and
// a number or bytes with their length.
const assert = require('assert');
const grpc = require('@grpc/grpc-js');

const PATIENCE = 60000;
const SERVICE = '/grpc.testing.TestService/';
const UP = [27182, 8, 1828, 45904];
const DOWN = [31415, 9, 2653, 58979];
const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const same = (bytes) => bytes;
const patient = () => ({ deadline: Date.now() + PATIENCE });

function number(value) {
  const out = [];
  for (; value > 127; value = Math.floor(value / 128)) {
    out.push((value & 127) | 128);
  }
  return Buffer.from([...out, value]);
}

function field(tag, value) {
  return typeof value === 'number'
    ? Buffer.concat([number(tag << 3), number(value)])
    : Buffer.concat([number(tag << 3 | 2), number(value.length), value]);
}

const payload = (size) => field(2, Buffer.alloc(size));
const askFor = (size) => field(2, field(1, size));

function fields(message) {
  const found = {};
  let at = 0;
  const take = () => {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = message[at++];
      value += (byte & 127) * factor;
      if (byte < 128) {
        return value;
      }
    }
  };
  while (at < message.length) {
    const tag = take();
    let value = take();
    if ((tag & 7) === 2) {
      at += value;
      value = message.subarray(at - value, at);
    }
    found[tag >> 3] = value;
  }
  return found;
}

const none = Buffer.alloc(0);
const body = (message) => (fields(fields(message)[1] || none)[2] || none).length;

// unary calls once; metadata that comes first and last is in what it resolves to.
function unary(name, bytes, metadata = new grpc.Metadata(), service = SERVICE) {
  return new Promise((resolve, reject) => {
    const got = {};
    const call = client.makeUnaryRequest(service + name, same, same, bytes, metadata, patient(), (err, message) => {
      got.message = message;
      if (err) {
        reject(err);
      }
    });
    call.on('metadata', (first) => { got.first = first; });
    call.on('status', (status) => {
      got.last = status.metadata;
      if (status.code === grpc.status.OK) {
        setImmediate(() => resolve(got));
      }
    });
  });
}

// messages are all that a call sends.
function messages(call) {
  return new Promise((resolve, reject) => {
    const list = [];
    call.on('data', (message) => list.push(message));
    call.on('error', reject);
    call.on('end', () => resolve(list));
  });
}

const duplex = (options = patient()) => client.makeBidiStreamRequest(SERVICE + 'FullDuplexCall', same, same, new grpc.Metadata(), options);

async function fails(promise, code, details) {
  await assert.rejects(promise, (err) => {
    assert.strictEqual(err.code, code, err);
    assert.ok(details === undefined || err.details === details, err);
    return true;
  });
}

const cases = {
  async emptyUnary() {
    assert.strictEqual((await unary('EmptyCall', none)).message.length, 0);
  },
  async largeUnary() {
    const got = await unary('UnaryCall', Buffer.concat([field(2, 314159), field(3, payload(271828))]));
    assert.strictEqual(body(got.message), 314159);
  },
  async clientStreaming() {
    const sum = await new Promise((resolve, reject) => {
      const call = client.makeClientStreamRequest(SERVICE + 'StreamingInputCall', same, same, new grpc.Metadata(), patient(),
        (err, message) => (err ? reject(err) : resolve(fields(message)[1])));
      UP.forEach((size) => call.write(field(1, payload(size))));
      call.end();
    });
    assert.strictEqual(sum, UP.reduce((a, b) => a + b));
  },
  async serverStreaming() {
    const call = client.makeServerStreamRequest(SERVICE + 'StreamingOutputCall', same, same, Buffer.concat(DOWN.map(askFor)), new grpc.Metadata(), patient());
    assert.deepStrictEqual((await messages(call)).map(body), DOWN);
  },
  async pingPong() {
    const call = duplex();
    const got = messages(call);
    let next = 0;
    const ask = () => (next < UP.length ? call.write(Buffer.concat([askFor(DOWN[next]), field(3, payload(UP[next++]))])) : call.end());
    call.on('data', ask);
    ask();
    assert.deepStrictEqual((await got).map(body), DOWN);
  },
  async emptyStream() {
    const call = duplex();
    call.end();
    assert.deepStrictEqual(await messages(call), []);
  },
  async statusCodeAndMessage() {
    for (const details of ['test status message', '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n']) {
      const ask = field(7, Buffer.concat([field(1, 2), field(2, Buffer.from(details))]));
      await fails(unary('UnaryCall', ask), grpc.status.UNKNOWN, details);
      const call = duplex();
      call.end(ask);
      await fails(messages(call), grpc.status.UNKNOWN, details);
    }
  },
  async customMetadata() {
    const metadata = new grpc.Metadata();
    metadata.set('x-grpc-test-echo-initial', 'test_initial_metadata_value');
    metadata.set('x-grpc-test-echo-trailing-bin', Buffer.from([0xab, 0xab, 0xab]));
    const got = await unary('UnaryCall', Buffer.concat([field(2, 10), field(3, payload(10))]), metadata);
    assert.deepStrictEqual(got.first.get('x-grpc-test-echo-initial'), ['test_initial_metadata_value']);
    assert.deepStrictEqual(got.last.get('x-grpc-test-echo-trailing-bin'), [Buffer.from([0xab, 0xab, 0xab])]);
  },
  async unimplemented() {
    await fails(unary('UnimplementedCall', none), grpc.status.UNIMPLEMENTED);
    await fails(unary('UnimplementedCall', none, undefined, '/grpc.testing.UnimplementedService/'), grpc.status.UNIMPLEMENTED);
  },
  async timeoutOnSleepingServer() {
    await fails(messages(duplex({ deadline: Date.now() + 200 })), grpc.status.DEADLINE_EXCEEDED);
  },
  async cancelAfterBegin() {
    const call = duplex();
    const got = messages(call);
    call.cancel();
    await fails(got, grpc.status.CANCELLED);
  },
  async cancelAfterFirstResponse() {
    const call = duplex();
    const got = messages(call);
    call.on('data', (message) => {
      assert.strictEqual(body(message), 31415);
      call.cancel();
    });
    call.write(askFor(31415));
    await fails(got, grpc.status.CANCELLED);
  },
  async manyAtOnce() {
    const sizes = Array.from({ length: 300 }, (_, i) => i * 200);
    const got = await Promise.all(sizes.map((size) => unary('UnaryCall', Buffer.concat([field(2, size), field(3, payload(size))]))));
    assert.deepStrictEqual(got.map((one) => body(one.message)), sizes);
  },
};

(async () => {
  for (const [name, play] of Object.entries(cases)) {
    await play().catch((err) => {
      console.error(name, err);
      process.exit(1);
    });
  }
  console.log(Object.keys(cases).length, 'cases');
  process.exit(0); // without waiting for the connection's own end
})();
