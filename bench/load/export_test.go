package load

// Parse feeds a response in pieces of at most size bytes, as it would arrive.
func Parse(response []byte, size int) (done bool, status int, err error) {
	var p parser
	for len(response) > 0 && err == nil {
		if done {
			return false, 0, errExtra
		}
		n := min(size, len(response))
		done, err = p.feed(response[:n])
		response = response[n:]
	}
	return done || err == nil && p.end(), p.status, err
}
