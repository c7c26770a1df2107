config { services = false, lua = { total_timeout = 0 } }

-- Reads the beginning of the stream: so many bytes.
local function stream(limit, last)
	return request("GET", "/news", { limit = limit, headers = { ["Last-Event-Id"] = last } })
end

test("what is published arrives", function()
	expect(request("POST", "/news", { body = "one\ntwo" }).status):equals(202)
	local r = stream(13 + 27)
	expect(r.headers["Content-Type"]):equals("text/event-stream")
	expect(r.body):equals("retry: 2000\n\nid: 1\ndata: one\ndata: two\n\n")
end)

test("what the client has had doesn't come again", function()
	request("POST", "/news", { body = "one" })
	expect(stream(13 + 14, "1").body):equals("retry: 2000\n\n: still here\n\n")
end)
