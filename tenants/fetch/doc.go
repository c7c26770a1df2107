// Package fetch makes HTTP requests in the name of one tenant: for its scripts,
// and for whatever else of it has to ask a server (key sets, external
// decisions). Names may come from clients and answers from anybody: each address
// is judged just before it is connected to (guard.go), each connection has a
// place, each request says how it came about (HopsField), and heads, bodies,
// redirects and time are bounded. It knows neither Lua nor tenants.
//
//	client := fetch.New(fetch.Config{Deny: networks})
//	defer client.Close()
//	r := client.NewRequest()
//	if err := r.SetURL("https://id.example.com/jwks", ""); err != nil { … }
//	answer, err := client.Do(ctx, r, nil)
package fetch
