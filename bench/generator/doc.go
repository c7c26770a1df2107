// Package generator is the load generator of the command bench: it sends
// requests to servers of the user's choice, measures how long the answers take,
// and reports that as text, JSON and HTML.
//
// It has a closed loop, in which each connection sends its next request when
// its last one is answered, and a constant rate, at which latency counts from
// when a request was due. It takes its connections from fasthttp's HostClient
// and writes and reads on them itself: requests are never retried, redirects
// never followed, bodies of responses dropped as they arrive.
//
//	result, err := generator.Run(ctx, generator.Options{Targets: targets, Connections: 50, Duration: time.Minute})
//	err = result.Report("1.2.3").WriteText(os.Stdout)
//
// What a server sends is hostile: heads, lines, interim responses and the time
// of a request are bounded, and the reports escape or quote all of it.
package generator
