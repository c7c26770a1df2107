package message

// StatusText returns the reason phrase of a status that the gateway itself
// answers with, or of any other registered one.
func StatusText(status int) string {
	if s, ok := statusTexts[status]; ok {
		return s
	}
	return "Status"
}

var statusTexts = map[int]string{
	100: "Continue", 101: "Switching Protocols", 103: "Early Hints",
	200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
	301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
	307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict",
	410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
	414: "URI Too Long", 415: "Unsupported Media Type", 417: "Expectation Failed",
	421: "Misdirected Request", 422: "Unprocessable Content", 425: "Too Early",
	426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
	431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
	499: "Client Closed Request",
	500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
	503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported", 508: "Loop Detected",
	// what only scripts send
	203: "Non-Authoritative Information",
	205: "Reset Content",
	207: "Multi-Status",
	208: "Already Reported",
	226: "IM Used",
	300: "Multiple Choices",
	305: "Use Proxy",
	402: "Payment Required",
	407: "Proxy Authentication Required",
	416: "Range Not Satisfiable",
	418: "I'm a teapot",
	423: "Locked",
	424: "Failed Dependency",
	506: "Variant Also Negotiates",
	507: "Insufficient Storage",
	510: "Not Extended",
	511: "Network Authentication Required",
}
