// Package streams is the gateway's side of HTTP/2 connections to targets (RFC
// 9113): one connection carries many requests, a stream each.
//
//	conn, err := streams.NewConn(ctx, socketOrTLS, socket, streams.Options{…})
//	if conn.Reserve() {
//		s := streams.Acquire(conn, allowance)
//		err = s.Begin(block, payload, whole, toHEAD)
//		response, size, err := s.ReadHead() // again, while it is an interim one
//		span, err := s.Next()               // until io.EOF
//		s.Release()
//	}
//
// What a target sends is bounded, whatever it sends: a stream that nobody reads
// holds its window, a header section so much, and frames that bring nothing on
// are counted. A stream that isn't read never holds up the others. Which
// connection a request gets, and what becomes of its errors, is left to callers.
package streams
