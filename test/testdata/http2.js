// Sends 100 requests at once over one connection of HTTP/2, each third with 1 MiB, and
// gives each tenth up: node http2.js host:port ca.pem
'use strict';
const http2 = require('http2'), fs = require('fs'), crypto = require('crypto');
const [address, ca] = process.argv.slice(2);
const session = http2.connect('https://' + address, {
  ca: fs.readFileSync(ca), servername: 'example.com', maxSessionMemory: 1000, // megabytes: what is to be sent is kept by the session
});
session.on('error', (err) => { console.log('session: ' + err); process.exit(1); });
let whole = 0, givenUp = 0;
const ask = (i) => new Promise((done) => {
  const body = i % 3 === 0 ? Buffer.alloc(1 << 20, String(i)) : Buffer.from('request ' + i);
  const sum = crypto.createHash('sha256').update(body).digest('hex');
  const stream = session.request({ ':method': 'POST', ':path': '/' + i, ':authority': 'example.com' });
  let status, bytes = 0, trailers = {};
  stream.on('response', (head) => { status = head[':status']; });
  stream.on('data', (span) => { bytes += span.length; });
  stream.on('trailers', (fields) => { trailers = fields; });
  stream.on('error', () => {});
  if (i % 10 === 9) {
    stream.on('close', () => { givenUp++; done(); });
    stream.write('x');
    setImmediate(() => stream.close(http2.constants.NGHTTP2_CANCEL));
    return;
  }
  stream.on('close', () => {
    if (status === 200 && bytes === 100000 && trailers['x-sum'] === sum) whole++;
    else console.log(`${i}: ${status}, ${bytes} bytes, ${trailers['x-sum']}, code ${stream.rstCode}`);
    done();
  });
  stream.end(body);
});
Promise.all([...Array(100).keys()].map(ask)).then(() => {
  console.log(`${session.alpnProtocol} ${whole} whole, ${givenUp} given up`);
  session.close();
});
