// A browser's client of gRPC-Web, the package grpc-web, with an XMLHttpRequest of Node's:
// node web.js http://127.0.0.1:8080 [text|binary]. It prints a line for each thing done.
global.XMLHttpRequest = require('xhr2');
const { GrpcWebClientBase, MethodDescriptor, MethodType } = require('grpc-web');
const [base, encoding] = process.argv.slice(2);
const client = new GrpcWebClientBase({ format: encoding });
const method = (name, type) => new MethodDescriptor(
  '/grpc.testing.TestService/' + name, type, Object, Object, (bytes) => bytes, (bytes) => bytes);

// Messages by hand: response_size = 3; 7: {code = 2}; repeated 2: {size = 1, interval_us = 2}.
const call = (name, bytes) => new Promise((done) => {
  const metadata = { 'x-grpc-test-echo-initial': 'first' };
  client.rpcCall(base + '/grpc.testing.TestService/' + name, new Uint8Array(bytes), metadata,
    method(name, MethodType.UNARY), (err, m) => done(err ? `${err.code} ${err.message}` : `${m.length} bytes`));
});
const stream = (name, bytes) => new Promise((done) => {
  const sizes = [];
  let code = 'none';
  const s = client.serverStreaming(base + '/grpc.testing.TestService/' + name, new Uint8Array(bytes), {},
    method(name, MethodType.SERVER_STREAMING));
  s.on('data', (m) => sizes.push(m.length));
  s.on('status', (st) => { code = st.code; });
  s.on('error', (err) => done(`${err.code} ${err.message}`));
  s.on('end', () => done(`${sizes.join(' ')}, status ${code}`));
});
(async () => {
  console.log('unary', await call('UnaryCall', [16, 100]));
  console.log('status', await call('UnaryCall', [58, 7, 8, 7, 18, 3, 110, 111, 33]));
  console.log('unknown', await call('Nothing', []));
  console.log('down', (await call('Down', [])).slice(0, 2)); // whichever the reason
  if (encoding === 'text') {
    console.log('stream', await stream('StreamingOutputCall', [18, 2, 8, 1, 18, 2, 8, 30, 18, 2, 8, 2]));
  }
  process.exit(0);
})();
