// Package jwt verifies JSON Web Tokens (RFC 7519, RFC 7515) and keeps the key
// sets (RFC 7517) that they are verified by: cached, fetched once however many
// wait, with bounded refetching. There is no way to accept an unsigned token,
// nor a public key as the secret of HS256. It knows neither Lua nor tenants.
//
//	token, err := jwt.Parse(text)
//	check := jwt.Check{Algorithms: jwt.SetAlgorithms(), Audience: []string{"api"}, Required: []string{"exp"}}
//	if err := check.Accepts(token); err != nil { … }
//	keys, err := sets.Find(jwt.Source{Client: client, Now: time.Now}, url, token, wait)
//	if !slices.ContainsFunc(keys, token.Verify) { … jwt.ErrSignature }
//	err = check.Claims(token, time.Now())
package jwt
